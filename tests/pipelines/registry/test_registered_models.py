"""Versions and the alias `champion`, in a real store."""

from __future__ import annotations

import sqlite3

import pytest
from registered import make_versions

from gristmill.pipelines.base.errors import ConfigError, EnvironmentFault
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.registry.model_records import Version, metric_tags
from gristmill.pipelines.registry.promotion import history, promote, rollback
from gristmill.pipelines.registry.registered_models import (
    champion,
    find,
    model_names,
    register,
    remove_empty,
    require_champion,
    require_version,
    tag_version,
    trained,
    versions,
)
from gristmill.pipelines.tracking import Tracker, client, local_database


def test_a_missing_model_has_no_champion_and_raises_no_error(stored: Project) -> None:
    assert champion(stored, "tiny") is None
    assert versions(stored, "tiny") == []
    assert history(stored, "tiny") == []
    assert model_names(stored) == []


def test_a_model_without_the_alias_has_no_champion(stored: Project) -> None:
    make_versions(stored, 2)
    assert champion(stored, "tiny") is None
    with pytest.raises(ConfigError, match=r"(?s)tiny has no champion.*gristmill promote tiny"):
        require_champion(stored, "tiny")


def test_a_failing_store_is_not_treated_as_no_champion(stored: Project) -> None:
    make_versions(stored, 1)
    promote(stored, "tiny", None, "first")
    database = sqlite3.connect(local_database(stored))
    database.execute("ALTER TABLE registered_model_aliases RENAME TO lost")
    database.close()
    with pytest.raises(EnvironmentFault, match=r"(?s)cannot be read.*_model_aliases"):
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


def test_an_unknown_model_is_answered_with_the_closest_name(stored: Project) -> None:
    make_versions(stored, 1, "tiny")
    for ask in (lambda: promote(stored, "tinny", None, ""), lambda: rollback(stored, "tinny")):
        with pytest.raises(
            ConfigError, match=r"(?s)no registered model 'tinny'.*gristmill models tiny"
        ):
            ask()


def test_an_unknown_model_in_an_empty_store_is_reported(stored: Project) -> None:
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


def test_a_model_whose_first_version_cannot_be_created_is_removed(stored: Project) -> None:
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
def test_a_missing_version_is_named(stored: Project, text: str, words: str) -> None:
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


def test_models_are_found_by_their_training_data(stored: Project) -> None:
    connection = client(stored)
    make_versions(stored, 3)
    for number, digest in (("1", "one.dir"), ("2", "two.dir")):  # an old release made version 3
        connection.set_model_version_tag("tiny", number, "gristmill.data", digest)
    connection.set_registered_model_alias("tiny", "champion", "2")
    assert [(m.number, m.aliases, m.data) for m in trained(stored)] == [
        ("1", (), "one.dir"),
        ("2", ("champion",), "two.dir"),
    ]
    connection.delete_model_version("tiny", "1")
    assert [m.number for m in trained(stored)] == ["2"]


def test_metrics_with_shortened_names_are_read_from_tags_under_their_full_names() -> None:
    same = "b" * 250
    values = {"accuracy": 0.9, "recall:<30": 0.5, f"f1:{same} one": 0.25, f"f1:{same} two": 0.75}
    version = Version("long", "1", "", 0, (), metric_tags(values))
    assert version.metrics == values
