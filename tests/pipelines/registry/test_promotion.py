"""Promotions, rollbacks and other changes of a version's state, in real stores."""

from __future__ import annotations

import getpass
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from mlflow_server import mlflow_server
from postgres_server import PASSWORD
from registered import aliases, champion_number, make_versions
from sqlalchemy import URL, create_engine, text

from gristmill.pipelines.base.errors import ConfigError, EnvironmentFault
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.registry.model_records import ChampionSeen, Version
from gristmill.pipelines.registry.promotion import (
    Basis,
    ChampionMoved,
    anchor,
    challenge,
    history,
    promote,
    rollback,
    set_aside,
)
from gristmill.pipelines.registry.registered_models import (
    champion,
    read_model,
    tag_version,
    versions,
)
from gristmill.pipelines.tracking import client, prepare_store
from tests.conftest import ROOT, clean_environment


def test_promote_selects_the_newest_version_by_default(stored: Project) -> None:
    make_versions(stored, 3)
    now, before = promote(stored, "tiny", None, "by hand")
    assert (now.number, before) == ("3", None)
    assert champion_number(stored) == "3"
    assert aliases(stored) == {"3": ("champion",), "2": (), "1": ()}


def test_promote_selects_a_named_version_and_returns_the_previous_champion(stored: Project) -> None:
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


def test_rollback_goes_back_step_by_step_to_the_first_champion(stored: Project) -> None:
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


def test_a_rollback_after_a_new_promotion_restores_the_version_before_it(stored: Project) -> None:
    make_versions(stored, 3)
    for number in ("1", "2"):
        promote(stored, "tiny", number, "better")
    rollback(stored, "tiny")
    promote(stored, "tiny", "3", "better")
    rollback(stored, "tiny")
    assert champion_number(stored) == "1"  # not 2, whose promotion was rolled back


def test_a_rollback_skips_deleted_versions(stored: Project) -> None:
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


def test_every_move_is_recorded_with_person_and_reason(stored: Project) -> None:
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


def test_a_very_long_reason_does_not_lose_the_move(stored: Project) -> None:
    make_versions(stored, 2)
    promote(stored, "tiny", "1", "first")
    promote(stored, "tiny", "2", "because " * 2000)
    assert [m["version"] for m in history(stored, "tiny")] == ["1", "2"]


def champion_of(project: Project) -> Version:
    found = champion(project, "tiny")
    assert found is not None
    return found


def kinds(project: Project) -> list[tuple[str, str, str]]:
    return [(e["kind"], e["version"], e["by"]) for e in history(project, "tiny")]


def test_a_history_of_a_hundred_moves_keeps_them_all(stored: Project) -> None:
    make_versions(stored, 2)
    for place in range(100):
        promote(stored, "tiny", str(place % 2 + 1), f"{place}")
    assert [entry["why"] for entry in history(stored, "tiny")] == [str(i) for i in range(100)]


def test_a_history_in_the_old_single_tag_is_read_and_continued(stored: Project) -> None:
    make_versions(stored, 3)
    old = (
        '[{"version": "1", "when": 1.0, "who": "me", "why": "it is better", "back": false},'
        ' {"version": "2", "when": 2.0, "who": "me", "why": "by hand", "back": false}]'
    )
    client(stored).set_registered_model_tag("tiny", "gristmill.history", old)
    client(stored).set_registered_model_alias("tiny", "champion", "2")
    promote(stored, "tiny", "3", "better", Basis("superiority"))
    assert kinds(stored) == [
        ("promote", "1", "superiority"),
        ("promote", "2", "person"),
        ("promote", "3", "superiority"),
    ]
    rollback(stored, "tiny")
    assert champion_number(stored) == "2"


def test_evidence_is_stored_with_a_move_unless_it_is_too_long(stored: Project) -> None:
    make_versions(stored, 2)
    promote(stored, "tiny", "1", "first", Basis("first", evidence={"p": 0.5}))
    promote(stored, "tiny", "2", "better", Basis("superiority", evidence={"text": "방" * 5000}))
    first, second = history(stored, "tiny")
    assert first["evidence"] == {"p": 0.5}
    assert "evidence" not in second
    assert second["why"] == "better"


def test_an_alias_moved_elsewhere_is_recorded_with_the_next_move(stored: Project) -> None:
    make_versions(stored, 3)
    promote(stored, "tiny", "1", "first", Basis("first"))
    client(stored).set_registered_model_alias("tiny", "champion", "2")
    promote(stored, "tiny", "3", "better", Basis("superiority"))
    assert [(e["version"], e["who"] == "unknown") for e in history(stored, "tiny")] == [
        ("1", False),
        ("2", True),
        ("3", False),
    ]
    rollback(stored, "tiny")
    assert champion_number(stored) == "2"


def test_a_move_based_on_another_champion_is_refused(stored: Project) -> None:
    make_versions(stored, 3)
    promote(stored, "tiny", "1", "first", Basis("first"))
    found = read_model(stored, "tiny")
    assert found is not None
    assert found.seen == ChampionSeen("1", 1)
    promote(stored, "tiny", "2", "I like it")
    with pytest.raises(ChampionMoved, match=r"(?s)moved in the meantime.*I like it") as caught:
        promote(stored, "tiny", "3", "better", Basis("superiority", seen=found.seen))
    assert caught.value.by_person
    assert champion_number(stored) == "2"
    assert len(history(stored, "tiny")) == 2


def test_a_champion_that_was_replaced_and_restored_counts_as_moved(stored: Project) -> None:
    make_versions(stored, 3)
    promote(stored, "tiny", "1", "first")
    promote(stored, "tiny", "2", "better")
    rollback(stored, "tiny")
    with pytest.raises(ChampionMoved):
        promote(stored, "tiny", "3", "better", Basis("superiority", seen=ChampionSeen("1", 1)))


def test_an_alias_removed_by_hand_counts_as_a_move_by_a_person(stored: Project) -> None:
    make_versions(stored, 2)
    promote(stored, "tiny", "1", "first")
    client(stored).delete_registered_model_alias("tiny", "champion")
    with pytest.raises(ChampionMoved, match="removed") as caught:
        promote(stored, "tiny", "2", "better", Basis("superiority", seen=ChampionSeen("1", 1)))
    assert caught.value.by_person


def test_a_deleted_champion_is_rolled_back_to_the_previous_one(stored: Project) -> None:
    make_versions(stored, 2)
    promote(stored, "tiny", "1", "first")
    promote(stored, "tiny", "2", "better")
    client(stored).delete_model_version("tiny", "2")
    now, before = rollback(stored, "tiny")
    assert (now.number, before) == ("1", None)


def test_promoting_a_rejected_or_archived_version_needs_a_reason(stored: Project) -> None:
    make_versions(stored, 3)
    promote(stored, "tiny", "1", "first")
    set_aside(stored, "tiny", "2", "reject", "unfair")
    set_aside(stored, "tiny", "3", "archive", "")
    assert [v.standing for v in versions(stored, "tiny")] == ["archived", "rejected", ""]
    for number in "23":
        with pytest.raises(ConfigError, match=r"(?s)requires a reason.*--reason"):
            promote(stored, "tiny", number)
    promote(stored, "tiny", "2", "mended its data")
    assert versions(stored, "tiny")[1].standing == ""
    assert kinds(stored)[1:] == [
        ("reject", "2", "person"),
        ("archive", "3", "person"),
        ("promote", "2", "person"),
    ]


def test_promoting_a_version_rejected_by_the_gate_needs_a_reason(stored: Project) -> None:
    make_versions(stored, 1)
    said = {"gristmill.decision": "reject", "gristmill.reasons": "mae 9 is above the required 1"}
    tag_version(stored, versions(stored, "tiny")[0], said)
    with pytest.raises(ConfigError, match=r"(?s)requires a reason.*mae 9 is above"):
        promote(stored, "tiny", None)
    promote(stored, "tiny", None, "for the demonstration")
    assert champion_number(stored) == "1"


@pytest.mark.parametrize("kind", ["reject", "archive"])
def test_the_champion_cannot_be_rejected_or_archived(stored: Project, kind: str) -> None:
    make_versions(stored, 1)
    promote(stored, "tiny", "1", "first")
    with pytest.raises(ConfigError, match=r"(?s)is the champion.*gristmill rollback tiny"):
        set_aside(stored, "tiny", "1", kind, "bad")  # type: ignore[arg-type]
    assert len(history(stored, "tiny")) == 1


def test_a_rollback_skips_rejected_versions(stored: Project) -> None:
    make_versions(stored, 3)
    for number in "123":
        promote(stored, "tiny", number, "better")
    set_aside(stored, "tiny", "2", "reject", "unfair")
    rollback(stored, "tiny")
    assert champion_number(stored) == "1"


def test_a_challenger_waits_until_it_is_promoted_or_rejected(stored: Project) -> None:
    make_versions(stored, 3)
    promote(stored, "tiny", "1", "first")
    challenge(stored, "tiny", "2", "better", Basis("superiority"))
    assert aliases(stored) == {"3": (), "2": ("challenger",), "1": ("champion",)}
    promote(stored, "tiny", None)  # not the newest but the waiting version
    assert aliases(stored) == {"3": (), "2": ("champion",), "1": ()}
    challenge(stored, "tiny", "3", "better", Basis("superiority"))
    set_aside(stored, "tiny", "3", "reject", "unfair")
    assert aliases(stored) == {"3": (), "2": ("champion",), "1": ()}


def test_the_anchor_was_promoted_by_superiority_or_by_a_person(stored: Project) -> None:
    make_versions(stored, 4)
    steps = (("1", "first", "1"), ("2", "superiority", "2"), ("3", "non-inferiority", "2"))
    for number, by, expected in (*steps, ("3", "person", "3"), ("1", "person", "1")):
        promote(stored, "tiny", number, "because", Basis(by))  # type: ignore[arg-type]
        assert anchor(stored, champion_of(stored)).number == expected
    challenge(stored, "tiny", "4", "better", Basis("superiority"))
    promote(stored, "tiny", "2", "as good", Basis("non-inferiority"))
    assert anchor(stored, champion_of(stored)).number == "1"
    client(stored).delete_model_version("tiny", "1")
    with pytest.raises(EnvironmentFault, match="anchor of version 2 no longer exists"):
        anchor(stored, champion_of(stored))


def test_a_store_that_cannot_be_written_leaves_no_partial_move(stored: Project) -> None:
    make_versions(stored, 2)
    promote(stored, "tiny", "1", "first")
    refuse(stored, "registered_model_tags")
    with pytest.raises(EnvironmentFault, match="full"):
        promote(stored, "tiny", "2", "better")
    assert champion_number(stored) == "1"
    assert len(history(stored, "tiny")) == 1


def refuse(project: Project, table: str, *, ending: bool = False) -> None:
    """Make inserts into a table of the store fail, or (`ending`) succeed again."""
    made = f"CREATE TRIGGER full BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'full'); END"
    with closing(sqlite3.connect(project.store / "mlflow.db")) as database, database:
        database.execute("DROP TRIGGER full" if ending else made)


def test_an_interrupted_move_counts_and_the_next_move_completes_it(stored: Project) -> None:
    make_versions(stored, 3)
    set_aside(stored, "tiny", "2", "archive", "old")
    refuse(stored, "registered_model_aliases")
    with pytest.raises(EnvironmentFault, match="full"):
        promote(stored, "tiny", "2", "better")
    refuse(stored, "registered_model_aliases", ending=True)
    assert client(stored).get_registered_model("tiny").aliases == {}
    assert champion_number(stored) == "2"
    assert champion_of(stored).standing == ""
    challenge(stored, "tiny", "3", "as good", Basis("superiority"))
    assert client(stored).get_registered_model("tiny").aliases == {"champion": 2, "challenger": 3}
    assert kinds(stored)[1:] == [("promote", "2", "person"), ("challenger", "3", "superiority")]
    assert not any("rest" in entry for entry in history(stored, "tiny"))


def test_an_interrupted_move_to_a_deleted_version_blocks_no_other_move(stored: Project) -> None:
    make_versions(stored, 2)
    refuse(stored, "registered_model_aliases")
    with pytest.raises(EnvironmentFault, match="full"):
        promote(stored, "tiny", "2", "better")
    refuse(stored, "registered_model_aliases", ending=True)
    client(stored).delete_model_version("tiny", "2")
    assert champion(stored, "tiny") is None
    promote(stored, "tiny", "1", "instead")
    assert champion_number(stored) == "1"


VERSIONS = 20

RACER = """
import sys
from pathlib import Path
from gristmill.pipelines.config import Project
from gristmill.pipelines.registry.promotion import Basis, ChampionMoved, promote
from gristmill.pipelines.registry.model_records import ChampionSeen
project, pair = Project(Path(sys.argv[1])), sys.argv[2].split()
print("ready", flush=True)
for line in sys.stdin:
    champion, moves = line.split()
    mine = next(number for number in pair if number != champion)
    seen = None if moves == "any" else ChampionSeen(champion, int(moves))
    try:
        promote(project, "tiny", mine, "raced", Basis("superiority", seen=seen))
        print("moved", flush=True)
    except ChampionMoved:
        print("late", flush=True)
"""


class Race:
    """Processes that wait for a signal to promote, each with two own versions."""

    def __init__(self, project: Project, processes: int) -> None:
        self.project = project
        promote(project, "tiny", "1", "first", Basis("first"))
        command = [sys.executable, "-c", RACER, str(project.root)]
        self.racers = [
            subprocess.Popen(
                [*command, f"{2 * place + 1} {2 * place + 2}"],
                env=clean_environment()
                | {k: v for k, v in os.environ.items() if k.startswith("MLFLOW_")}
                | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for place in range(processes)
        ]
        assert self._answers() == {"ready": processes}

    def run(self, *, seen: bool) -> Counter[str]:
        """Start all at once; return how many moved the alias and how many were late."""
        found = read_model(self.project, "tiny")
        assert found is not None
        word = f"{found.seen.champion} {found.seen.moves if seen else 'any'}\n"
        for racer in self.racers:
            assert racer.stdin is not None
            racer.stdin.write(word)
            racer.stdin.flush()
        return self._answers()

    def _answers(self) -> Counter[str]:
        return Counter(
            str(racer.stdout and racer.stdout.readline().strip()) for racer in self.racers
        )

    def close(self) -> None:
        for racer in self.racers:
            racer.communicate(timeout=60)


def races(project: Project, processes: int, rounds: int) -> None:
    """Run rounds in which one process can win, then rounds in which all move in turn."""
    with ExitStack() as stack:
        race = Race(project, processes)
        stack.callback(race.close)
        for _ in range(rounds):
            assert race.run(seen=True) == {"moved": 1, "late": processes - 1}
        for _ in range(rounds // 10):
            assert race.run(seen=False) == {"moved": processes}
    found = read_model(project, "tiny")
    assert found is not None
    assert sum("champion" in version.aliases for version in found.versions) == 1
    moves = 1 + rounds + processes * (rounds // 10)
    keys = sorted(key for key in found.tags if key.startswith("gristmill.history."))
    assert keys == [f"gristmill.history.{place:06d}" for place in range(1, moves + 1)]
    champion = found.alias("champion")
    assert champion is not None
    assert found.history[-1]["version"] == champion.number


@pytest.fixture
def in_sqlite(stored: Project) -> Project:
    make_versions(stored, VERSIONS)
    return stored


@pytest.fixture
def in_postgres(stored: Project, postgres: URL, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project whose MLflow uses a new database in PostgreSQL."""
    mine = postgres.set(password=PASSWORD, database=f"mlflow_{time.time_ns()}")
    server = create_engine(postgres.set(password=PASSWORD), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {mine.database}"))
    server.dispose()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mine.render_as_string(hide_password=False))
    prepare_store(stored)
    make_versions(stored, VERSIONS)
    return stored


def test_simultaneous_promotions_leave_one_champion_and_no_gap_in_sqlite(
    in_sqlite: Project,
) -> None:
    races(in_sqlite, 5, 10)


@pytest.mark.slow
def test_ten_processes_race_in_sqlite(in_sqlite: Project) -> None:
    races(in_sqlite, 10, 100)


@pytest.mark.slow
def test_ten_processes_race_in_postgres(in_postgres: Project) -> None:
    races(in_postgres, 10, 100)


@pytest.fixture
def on_server(
    stored: Project, monkeypatch: pytest.MonkeyPatch
) -> Iterator[subprocess.Popen[bytes]]:
    """Start an MLflow server over the project's store, and configure the project to use it."""
    make_versions(stored, 3)
    with mlflow_server(stored.store) as (address, process):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        yield process


@pytest.mark.slow
def test_moves_on_a_server_are_stored_and_refused_as_in_a_database(
    stored: Project, on_server: subprocess.Popen[bytes]
) -> None:
    promote(stored, "tiny", "1", "first", Basis("first", evidence={"p": 1}))
    found = read_model(stored, "tiny")
    assert found is not None
    promote(stored, "tiny", "2", "I like it")
    with pytest.raises(ChampionMoved, match="I like it"):
        promote(stored, "tiny", "3", "better", Basis("superiority", seen=found.seen))
    challenge(stored, "tiny", "3", "better", Basis("superiority"))
    set_aside(stored, "tiny", "3", "reject", "unfair")
    client(stored).set_registered_model_alias("tiny", "champion", "1")
    promote(stored, "tiny", "3", "mended")
    rollback(stored, "tiny")
    assert aliases(stored) == {"3": (), "2": (), "1": ("champion",)}
    assert [(e["kind"], e["version"]) for e in history(stored, "tiny")] == [
        ("promote", "1"),
        ("promote", "2"),
        ("challenger", "3"),
        ("reject", "3"),
        ("promote", "1"),
        ("promote", "3"),
        ("rollback", "1"),
    ]
    os.killpg(on_server.pid, signal.SIGKILL)
    on_server.wait()
    with pytest.raises(EnvironmentFault, match="MLflow"):
        promote(stored, "tiny", "2", "better")
