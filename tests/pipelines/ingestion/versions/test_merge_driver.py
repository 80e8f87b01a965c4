"""The merge driver, called by git: data sets, stages and experiments are merged by name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from versioned import ROWS, add_data_set, commit, raw, take, write

from gristmill.pipelines.base.errors import InputError
from gristmill.pipelines.base.yaml_file import read_yaml
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.versions.merge_driver import (
    driver_command,
    is_registered,
    merge_locks,
    merge_parameters,
    register_driver,
    registered_driver,
)
from gristmill.pipelines.ingestion.versions.pins import DataState, data_state, pinned_digest
from gristmill.pipelines.ingestion.versions.snapshot import snapshot
from tests.conftest import BIN, clean_environment, git

PROGRAM = BIN / "gristmill"


def merge(project: Project, branch: str, folder: str = ".") -> subprocess.CompletedProcess[str]:
    """Run `git merge` without the virtual environment on PATH."""
    plain = clean_environment() | {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    return subprocess.run(
        ["git", "merge", "-q", "--no-edit", branch],
        cwd=project.root / folder,
        env=plain,
        capture_output=True,
        text=True,
    )


def diverge(project: Project, theirs: str, ours: str) -> None:
    """Create two branches of `main` with a change each, and check out `ours`."""
    register_driver(project, PROGRAM)
    for branch, name in (("theirs", theirs), ("ours", ours)):
        git(project.root, "checkout", "-q", "main")
        git(project.root, "checkout", "-qb", branch)
        if name == "tiny":
            rows = ROWS[:30] if branch == "ours" else ROWS[:40]
            snapshot(project, "tiny")
            take(project, "tiny", write(project.root.parent / "again.csv", rows))
        else:
            add_data_set(project, name, ROWS[:50])
        commit(project, f"{branch}: {name}")


def conflicts(project: Project) -> list[str]:
    return git(project.root, "diff", "--name-only", "--diff-filter=U").splitlines()


def test_two_branches_that_each_add_a_data_set_merge(versioned: Project) -> None:
    diverge(versioned, "left", "right")
    done = merge(versioned, "theirs", "experiments")
    assert (done.returncode, conflicts(versioned)) == (0, []), done.stdout + done.stderr
    for name in ("tiny", "left", "right"):
        snapshot(versioned, name)
        assert data_state(versioned, name) is DataState.PINNED
        assert len(raw(versioned, name).read_text().splitlines()) == (59 if name == "tiny" else 51)
    text = (versioned.root / "data.dvc").read_text()
    subprocess.run([BIN / "dvc", "commit", "-q", "-f", "data.dvc"], cwd=versioned.root, check=True)
    assert (versioned.root / "data.dvc").read_text() == text  # as DVC writes it
    listed = read_yaml(versioned.params_file)["experiments"]
    assert listed == {name: {"data": name} for name in ("tiny", "right", "left")}


def test_a_refresh_and_a_new_data_set_on_two_branches_merge(
    versioned: Project,
) -> None:
    diverge(versioned, "tiny", "right")
    snapshot(versioned, "tiny")
    done = merge(versioned, "theirs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert data_state(versioned, "tiny") is DataState.OTHER  # not EDITED
    assert snapshot(versioned, "tiny").how == "restored by DVC"
    assert len(raw(versioned).read_text().splitlines()) == 41
    assert data_state(versioned, "right") is DataState.PINNED


def test_a_data_set_changed_on_both_sides_is_a_conflict_with_both_solutions(
    versioned: Project,
) -> None:
    diverge(versioned, "tiny", "tiny")
    ours = pinned_digest(versioned, "tiny")
    git(versioned.root, "checkout", "-q", "theirs")
    theirs = pinned_digest(versioned, "tiny")
    git(versioned.root, "checkout", "-q", "ours")
    assert ours
    assert theirs
    done = merge(versioned, "theirs")
    assert (done.returncode, conflicts(versioned)) == (1, ["data.dvc"])
    said = done.stdout + done.stderr
    for words in (
        f"data/tiny was changed on both sides: version {ours[:8]} here, {'version'} {theirs[:8]}",
        "git add data.dvc   keeps ours",
        f"gristmill data use tiny {theirs[:8]}   uses theirs",
    ):
        assert words in said
    assert pinned_digest(versioned, "tiny") == ours
    subprocess.run(
        [PROGRAM, "data", "use", "tiny", theirs[:8]],
        cwd=versioned.root,
        env=clean_environment(),
        check=True,
        capture_output=True,
    )
    git(versioned.root, "add", "data.dvc")
    git(versioned.root, "commit", "-qm", "theirs")
    assert data_state(versioned, "tiny") is DataState.PINNED
    assert len(raw(versioned).read_text().splitlines()) == 41


def test_the_driver_works_after_the_clone_was_moved(versioned: Project) -> None:
    """Only if the environment is inside the clone; otherwise `doctor --fix` repairs it."""
    diverge(versioned, "left", "right")
    bin_ = versioned.root / ".venv" / "bin"
    bin_.mkdir(parents=True)
    (bin_ / "gristmill").write_text(f'#!/bin/sh\nexec "{PROGRAM}" "$@"\n')
    (bin_ / "gristmill").chmod(0o755)
    register_driver(versioned, bin_ / "gristmill")
    assert registered_driver(versioned) == driver_command(versioned, bin_ / "gristmill")
    moved = Project(versioned.root.rename(versioned.root.with_name("another 곳 100%")))
    program = moved.root / ".venv" / "bin" / "gristmill"
    assert registered_driver(moved) != driver_command(moved, program)
    assert is_registered(moved, program)
    assert not is_registered(moved, PROGRAM)
    done = merge(moved, "theirs")
    assert (done.returncode, conflicts(moved)) == (0, []), done.stdout + done.stderr


def test_without_the_program_git_falls_back_to_its_own_merge(versioned: Project) -> None:
    diverge(versioned, "left", "right")
    register_driver(versioned, Path("/nowhere/gristmill"))
    done = merge(versioned, "theirs")
    assert done.returncode == 1
    assert "<<<<<<< ours" in (versioned.root / "data.dvc").read_text()
    assert conflicts(versioned) == ["data.dvc", "params.yaml"]


LOCK = "schema: '2.0'\nstages:\n"


def lock(**stages: str) -> str:
    return LOCK + "".join(f"  {name}:\n    cmd: {cmd}\n" for name, cmd in stages.items())


def test_each_stage_of_dvc_lock_is_from_the_side_that_changed_it() -> None:
    base = lock(a="1", b="1", c="1", d="1")
    ours = lock(a="2", b="1", c="2", e="1")
    theirs = lock(a="1", b="2", c="3", d="1", f="1")
    merged = merge_locks(base, ours, theirs)
    assert merged.conflicts == ()
    assert merged.text == lock(a="2", b="2", e="1", f="1")  # c changed on both sides: re-run


STAGES = st.dictionaries(st.sampled_from("abcde"), st.sampled_from(["1", "2"]), min_size=1)


@given(base=STAGES, ours=STAGES, theirs=STAGES)
def test_a_merged_stage_is_never_an_outdated_one(
    base: dict[str, str], ours: dict[str, str], theirs: dict[str, str]
) -> None:
    expected = {
        name: theirs[name] if ours.get(name) == base.get(name) else ours[name]
        for name in {*ours, *theirs}
        if (ours.get(name) == theirs.get(name))
        or (ours.get(name) == base.get(name) and name in theirs)
        or (theirs.get(name) == base.get(name) and name in ours)
    }
    text = merge_locks(lock(**base), lock(**ours), lock(**theirs)).text
    assert sorted(text.splitlines()[2:]) == sorted(lock(**expected).splitlines()[2:])


def test_parameters_merge_by_key_and_keep_comments() -> None:
    base = "# one\nexperiments:\n  a: {data: a}  # two\nlibraries:\n  # three\n  numpy: 1\n"
    ours = base.replace("  # two\n", "  # two\n  b:\n    data: b\n")
    theirs = base.replace("  # two\n", "  # two\n  c:\n    data: c\n").replace(
        "numpy: 1", "numpy: 2"
    )
    merged = merge_parameters(base, ours, theirs)
    assert merged.conflicts == ()
    assert merged.text == ours.replace("data: b\n", "data: b\n  c:\n    data: c\n").replace(
        "numpy: 1", "numpy: 2"
    )


def test_a_parameter_changed_on_both_sides_is_named() -> None:
    base, ours, theirs = (f"libraries:\n  numpy: {i}\n  pandas: 1\n" for i in (1, 2, 3))
    merged = merge_parameters(base, ours, theirs.replace("pandas: 1", "pandas: 2"))
    assert merged.text == "libraries:\n  numpy: 2\n  pandas: 2\n"
    (said,) = merged.conflicts
    assert said.startswith("libraries.numpy was changed on both sides: 2 here, 3 there\n")


def test_a_side_that_is_not_valid_yaml_is_an_error() -> None:
    with pytest.raises(InputError, match="a side of the merge is not valid YAML"):
        merge_parameters("a: 1\n", "a: 2\n", "a: [\n")
