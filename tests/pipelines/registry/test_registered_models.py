"""Versions and the alias `champion`, in a real store."""

from __future__ import annotations

import getpass
import sqlite3

import pytest

from pipelines.config import ConfigError, EnvironmentFault, Project
from pipelines.registry import (
    champion,
    history,
    model_names,
    promote,
    require_champion,
    rollback,
    versions,
)
from pipelines.registry.models import (
    find,
    register,
    remove_empty,
    require_version,
    tag_version,
)
from pipelines.tracking import local_database
from pipelines.tracking.runs import Tracker, client


def make_versions(project: Project, count: int, model: str = "tiny") -> None:
    with Tracker(project, model) as tracker:
        for _ in range(count):
            register(project, model, "somewhere", tracker.run_id, {"gristmill.metric.mae": "1"})


def aliases(project: Project) -> dict[str, tuple[str, ...]]:
    return {v.number: v.aliases for v in versions(project, "tiny")}


def champion_number(project: Project) -> str:
    found = champion(project, "tiny")
    assert found is not None
    return found.number


def test_no_model_is_no_champion_and_no_error(stored: Project) -> None:
    assert champion(stored, "tiny") is None
    assert versions(stored, "tiny") == []
    assert history(stored, "tiny") == []
    assert model_names(stored) == []


def test_a_model_without_the_alias_has_no_champion(stored: Project) -> None:
    make_versions(stored, 2)
    assert champion(stored, "tiny") is None
    with pytest.raises(ConfigError, match=r"(?s)tiny has no champion.*gristmill promote tiny"):
        require_champion(stored, "tiny")


def test_no_champion_is_only_what_the_store_says_and_not_what_fails(stored: Project) -> None:
    make_versions(stored, 1)
    promote(stored, "tiny", None, "first")
    database = sqlite3.connect(local_database(stored))
    database.execute("ALTER TABLE registered_model_aliases RENAME TO lost")
    database.close()
    with pytest.raises(EnvironmentFault, match="MLflow could not list the versions of tiny"):
        champion(stored, "tiny")


def test_a_registered_version_keeps_its_tags_run_and_metrics(stored: Project) -> None:
    with Tracker(stored, "tiny") as tracker:
        tags = {"gristmill.decision": "hold", "gristmill.metric.mae": "0.25", "long": "x" * 9000}
        made = register(stored, "tiny", "somewhere", tracker.run_id, tags)
    (found,) = versions(stored, "tiny")
    assert (found.number, found.run_id) == (made.number, tracker.run_id) == ("1", made.run_id)
    assert found.address == made.address == "models:/tiny/1"
    assert found.tags["gristmill.decision"] == "hold"
    assert found.tags["long"] == "x" * 5000
    assert found.metrics == {"mae": 0.25}
    tag_version(stored, found, {"gristmill.decision": "promote"})
    assert versions(stored, "tiny")[0].tags["gristmill.decision"] == "promote"


def test_versions_are_listed_newest_first_by_number(stored: Project) -> None:
    make_versions(stored, 11)
    assert [v.number for v in versions(stored, "tiny")] == [str(n) for n in range(11, 0, -1)]


def test_promote_takes_the_newest_by_default(stored: Project) -> None:
    make_versions(stored, 3)
    now, before = promote(stored, "tiny", None, "by hand")
    assert (now.number, before) == ("3", None)
    assert champion_number(stored) == "3"
    assert aliases(stored) == {"3": ("champion",), "2": (), "1": ()}


def test_promote_takes_a_named_version_and_says_who_was_champion(stored: Project) -> None:
    make_versions(stored, 3)
    promote(stored, "tiny", "1", "first")
    now, before = promote(stored, "tiny", "2", "second")
    assert before is not None
    assert (now.number, before.number) == ("2", "1")
    assert champion_number(stored) == "2"


def test_promoting_the_champion_changes_nothing(stored: Project) -> None:
    make_versions(stored, 1)
    promote(stored, "tiny", None, "first")
    now, before = promote(stored, "tiny", "1", "again")
    assert now == before
    assert len(history(stored, "tiny")) == 1


def test_rollback_goes_back_step_by_step_until_the_first_champion(stored: Project) -> None:
    make_versions(stored, 3)
    for number in ("1", "2", "3"):
        promote(stored, "tiny", number, "better")
    now, before = rollback(stored, "tiny")
    assert (now.number, before.number) == ("2", "3")
    now, before = rollback(stored, "tiny")
    assert (now.number, before.number) == ("1", "2")
    assert champion_number(stored) == "1"
    with pytest.raises(ConfigError, match=r"(?s)cannot be rolled back.*1 is the first champion"):
        rollback(stored, "tiny")
    assert champion_number(stored) == "1"


def test_a_rollback_after_a_new_promotion_goes_to_what_was_before_that(stored: Project) -> None:
    make_versions(stored, 3)
    for number in ("1", "2"):
        promote(stored, "tiny", number, "better")
    rollback(stored, "tiny")
    promote(stored, "tiny", "3", "better")
    rollback(stored, "tiny")
    assert champion_number(stored) == "1"  # and not 2, which was taken back


def test_a_rollback_skips_versions_that_were_deleted(stored: Project) -> None:
    make_versions(stored, 3)
    for number in ("1", "2", "3"):
        promote(stored, "tiny", number, "better")
    client(stored).delete_model_version("tiny", "2")
    rollback(stored, "tiny")
    assert champion_number(stored) == "1"


def test_a_model_without_a_champion_cannot_be_rolled_back(stored: Project) -> None:
    make_versions(stored, 1)
    with pytest.raises(ConfigError, match=r"(?s)tiny cannot be rolled back.*none"):
        rollback(stored, "tiny")


def test_every_move_is_kept_with_who_and_why(stored: Project) -> None:
    make_versions(stored, 2)
    promote(stored, "tiny", "1", "first")
    promote(stored, "tiny", "2", "better")
    rollback(stored, "tiny")
    moves = history(stored, "tiny")
    assert [(m["version"], m["why"], m["back"]) for m in moves] == [
        ("1", "first", False),
        ("2", "better", False),
        ("1", "rollback from version 2", True),
    ]
    assert {m["who"] for m in moves} == {getpass.getuser()}
    assert sorted(m["when"] for m in moves) == [m["when"] for m in moves]


def test_a_long_history_forgets_its_oldest_moves(stored: Project) -> None:
    make_versions(stored, 2)
    for place in range(12):
        promote(stored, "tiny", str(place % 2 + 1), f"{place} " + "x" * 700)
    moves = history(stored, "tiny")
    assert 3 <= len(moves) < 12
    assert moves[-1]["why"].startswith("11 ")
    rollback(stored, "tiny")
    assert champion_number(stored) == "1"


def test_a_very_long_reason_does_not_lose_the_move(stored: Project) -> None:
    make_versions(stored, 2)
    promote(stored, "tiny", "1", "first")
    promote(stored, "tiny", "2", "because " * 2000)
    assert [m["version"] for m in history(stored, "tiny")] == ["1", "2"]


def test_an_unknown_model_offers_the_nearest(stored: Project) -> None:
    make_versions(stored, 1, "tiny")
    for ask in (lambda: promote(stored, "tinny", None, ""), lambda: rollback(stored, "tinny")):
        with pytest.raises(
            ConfigError, match=r"(?s)no registered model 'tinny'.*gristmill models tiny"
        ):
            ask()


def test_an_unknown_model_in_an_empty_store_says_so(stored: Project) -> None:
    with pytest.raises(ConfigError, match=r"(?s)none is registered yet.*gristmill run NAME"):
        promote(stored, "tiny", None, "")


def test_an_unknown_version_lists_the_known_ones(stored: Project) -> None:
    make_versions(stored, 2)
    with pytest.raises(ConfigError, match=r"(?s)tiny has no version 7.*one of 2, 1"):
        promote(stored, "tiny", "7", "")
    assert require_version(versions(stored, "tiny"), "2").number == "2"


def test_models_are_listed_in_alphabetical_order(stored: Project) -> None:
    for name in ("wheat", "barley"):
        make_versions(stored, 1, name)
    assert model_names(stored) == ["barley", "wheat"]


def test_a_model_whose_first_version_cannot_be_made_is_not_left_behind(stored: Project) -> None:
    with pytest.raises(EnvironmentFault, match="could not register tiny"):
        register(stored, "tiny", "models:/m-0123456789", "0" * 32, {})
    assert model_names(stored) == []


def test_a_version_is_found_by_alias_by_number_and_as_the_champion(stored: Project) -> None:
    make_versions(stored, 2)
    promote(stored, "tiny", "1", "first")
    assert [find(stored, text).number for text in ("tiny", "tiny@champion", "tiny@2")] == list(
        "112"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tiny@champio", r"(?s)alias 'champio'.*reproduce tiny@champion"),
        ("tiny@7", "tiny has no version 7"),
        ("tine", r"(?s)no registered model 'tine'.*models tiny"),
    ],
)
def test_a_version_that_is_not_there_is_named(stored: Project, text: str, words: str) -> None:
    make_versions(stored, 1)
    promote(stored, "tiny", "1", "first")
    with pytest.raises(ConfigError, match=words):
        find(stored, text)


def test_only_a_model_without_versions_is_removed_as_empty(stored: Project) -> None:
    make_versions(stored, 1)
    client(stored).create_registered_model("bare")
    for model in ("tiny", "bare"):
        remove_empty(stored, model)
    assert model_names(stored) == ["tiny"]
