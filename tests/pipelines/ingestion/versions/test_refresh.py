"""Refresh: a new version is checked in a separate folder before the pin moves."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from versioned import DOCUMENT, ROWS, everything, fine, raw, sizes, take, write

from gristmill.pipelines.base.errors import ConfigError, DataInvalid, GristmillError, InputError
from gristmill.pipelines.config.experiment import Experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.versions.pins import (
    DataState,
    data_digest,
    data_state,
    pinned_digest,
)
from gristmill.pipelines.ingestion.versions.refresh import PREFIX, refresh, sweep
from gristmill.pipelines.ingestion.versions.snapshot import snapshot
from gristmill.pipelines.validation.schema.validation import validate_table
from tests.conftest import clean_environment, git


def valid(experiment: Experiment, table: Path) -> None:
    validate_table(Project(table.parent), table, experiment.document, table.parent / "report")


def left(project: Project) -> list[Path]:
    return list((project.root / "build").glob(".*"))


def test_a_new_version_is_accepted_and_compared_with_the_pinned_one(versioned: Project) -> None:
    before = pinned_digest(versioned, "tiny")
    new = write(versioned.root / "new.csv", ROWS)
    seen = []

    def accept(experiment: Experiment, table: Path) -> None:
        seen.append((experiment.name, raw(versioned).read_bytes() == new.read_bytes()))

    done = refresh(versioned, "tiny", new, accept, sizes)
    assert seen == [("tiny", False)]  # the old file is in place during the check
    assert (done.changed, done.before, done.difference) == (True, before, (58, 60))
    assert done.made is not None
    assert done.made.rows == 60
    assert raw(versioned).read_bytes() == new.read_bytes()
    assert data_state(versioned, "tiny") is DataState.PINNED
    assert done.after == pinned_digest(versioned, "tiny") == data_digest(versioned, "tiny")
    text = (versioned.root / "data.dvc").read_text()
    assert f"size: {new.stat().st_size}" in text
    subprocess.run(["dvc", "commit", "-q", "-f", "data.dvc"], cwd=versioned.root, check=True)
    assert (versioned.root / "data.dvc").read_text() == text  # as DVC writes it
    assert left(versioned) == []


def test_the_same_bytes_change_nothing_and_are_not_ingested(versioned: Project) -> None:
    before = everything(versioned)
    new = write(versioned.root / "new.csv", ROWS[:-2])
    done = refresh(versioned, "tiny", new, fine, sizes)
    assert (done.changed, done.made) == (False, None)
    assert everything(versioned) == before


def test_a_refresh_keeps_the_other_files_of_the_data_set(
    versioned: Project,
) -> None:
    beside = raw(versioned).with_name("more.txt")
    beside.write_text("more")
    take(versioned, "tiny", raw(versioned))  # accepts the edit
    shutil.rmtree(raw(versioned).parent)
    done = take(versioned, "tiny", write(versioned.root / "new.csv", ROWS[:9]))
    assert done.difference == (58, 9)  # the old version was in the cache
    assert beside.read_text() == "more"
    assert data_state(versioned, "tiny") is DataState.PINNED


def test_an_edit_is_refused_unless_the_edited_file_is_the_new_version(versioned: Project) -> None:
    write(raw(versioned), ROWS[:20])
    new = write(versioned.root / "new.csv", ROWS[:30])
    before = everything(versioned)
    with pytest.raises(InputError, match=r"(?s)edited by hand.*refresh tiny --data data/tiny"):
        take(versioned, "tiny", new)
    assert everything(versioned) == before
    assert take(versioned, "tiny", raw(versioned)).difference == (58, 20)
    assert snapshot(versioned, "tiny").how == "as pinned"


def test_data_that_were_never_pinned_are_not_overwritten(versioned: Project) -> None:
    document = DOCUMENT.replace("data/tiny/tiny.csv", "data/new/new.csv")
    versioned.experiment_file("new").write_text(document)
    file = write(raw(versioned, "new"), ROWS[:20])
    with pytest.raises(InputError, match=r"(?s)not pinned.*--data data/new/new\.csv   pins them"):
        take(versioned, "new", raw(versioned))
    assert take(versioned, "new", file).before is None
    assert data_state(versioned, "new") is DataState.PINNED
    assert data_state(versioned, "tiny") is DataState.PINNED


def test_a_refresh_creates_a_missing_pin_file(versioned: Project) -> None:
    (versioned.root / "data.dvc").unlink()
    shutil.rmtree(versioned.root / "data")
    assert take(versioned, "tiny", write(versioned.root / "new.csv", ROWS)).before is None
    assert data_state(versioned, "tiny") is DataState.PINNED


@pytest.mark.parametrize(
    ("row", "kind", "words"),
    [
        ("101,2,no", DataInvalid, r"(?s)1 finding\n.*100 or less\n.*row 61 with 101"),
        ("1,2", InputError, "ragged row"),
    ],
)
def test_an_invalid_version_changes_nothing(
    versioned: Project, row: str, kind: type[GristmillError], words: str
) -> None:
    before = everything(versioned)
    with pytest.raises(kind, match=words):
        refresh(versioned, "tiny", write(versioned.root / "new.csv", [*ROWS, row]), valid, sizes)
    assert everything(versioned) == before
    assert left(versioned) == []


def test_all_experiments_on_a_file_must_accept_it_and_the_one_that_does_not_is_named(
    versioned: Project,
) -> None:
    strict = DOCUMENT.replace("max: 100", "max: 59")
    versioned.experiment_file("strict").write_text(strict)
    versioned.experiment_file("beside").write_text(strict.replace("tiny.csv", "beside.csv"))
    versioned.experiment_file("broken").write_text("data: [\n")
    before = everything(versioned)
    new = write(versioned.root / "new.csv", [*ROWS, "60,1,no"])
    with pytest.raises(
        DataInvalid,
        match=r"(?s)does not fit strict; the old one stays pinned\n  strict: a\n.*accepted by tiny",
    ):
        refresh(versioned, "tiny", new, valid, sizes)
    assert everything(versioned) == before
    done = refresh(versioned, "tiny", write(new, ROWS), valid, sizes)
    assert done.accepted == ("tiny", "strict")
    assert done.unread == ("experiments/broken.yaml",)


def test_a_refresh_without_a_source_or_a_file_is_refused(versioned: Project) -> None:
    with pytest.raises(ConfigError, match=r"(?s)names no source to fetch from.*--data FILE"):
        refresh(versioned, "tiny", None, fine, sizes)


KILLED = """
import os, signal, sys
from pathlib import Path
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion.versions import moves, refresh

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

place = sys.argv[1]
if place == "accept":
    accept = die
else:
    accept = lambda *_: None
    setattr(moves.pins if place == "write_pin" else moves, place, die)
refresh.refresh(Project(Path.cwd()), "tiny", Path("new.csv").absolute(), accept, accept)
"""


@pytest.mark.parametrize(
    ("place", "taken"),
    [("accept", False), ("_move", False), ("write_pin", False), ("finish_move", True)],
)
def test_a_killed_refresh_leaves_the_complete_old_or_new_version(
    versioned: Project, place: str, taken: bool
) -> None:
    before = everything(versioned)
    new = write(versioned.root / "new.csv", ROWS)
    code = KILLED
    if place == "finish_move":
        code = re.sub(r"setattr.*", HALFWAY, code)
    done = subprocess.run(
        [sys.executable, "-c", code, place], cwd=versioned.root, env=clean_environment()
    )
    assert done.returncode == -signal.SIGKILL
    assert left(versioned)
    assert data_state(versioned, "tiny") is DataState.PINNED
    assert (raw(versioned).read_bytes() == new.read_bytes()) is taken
    assert (everything(versioned) == before) is not taken
    assert sweep(versioned) == 1
    assert left(versioned) == []
    take(versioned, "tiny", write(new, ROWS[:30]))
    assert data_state(versioned, "tiny") is DataState.PINNED


HALFWAY = """
    def half(*_):
        Path("data/tiny/tiny.csv").write_text("half")
        die()
    moves.finish_move = half
"""


def test_the_folder_of_a_running_refresh_is_not_swept(versioned: Project) -> None:
    def accept(experiment: Experiment, table: Path) -> None:
        assert sweep(versioned) == 0

    refresh(versioned, "tiny", write(versioned.root / "new.csv", ROWS), accept, sizes)
    young = versioned.root / "build" / f"{PREFIX}young"
    young.mkdir()
    assert sweep(versioned) == 0
    os.utime(young, (0, 0))
    assert sweep(versioned) == 1


def test_a_version_of_another_branch_is_not_an_edit(versioned: Project) -> None:
    git(versioned.root, "checkout", "-q", "first")
    assert data_state(versioned, "tiny") is DataState.OTHER
    assert snapshot(versioned, "tiny").how == "restored by DVC"
    assert len(raw(versioned).read_text().splitlines()) == 61
    shutil.rmtree(versioned.root / ".dvc" / "cache")
    git(versioned.root, "checkout", "-q", "main")
    assert data_state(versioned, "tiny") is not DataState.OTHER  # its bytes are not in the cache
