"""Versions of a data set: listed, found by commit or hash, and checked out again."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from versioned import ROWS, add_data_set, commit, everything, raw, take, write

from gristmill.pipelines.base.errors import ConfigError, EnvironmentFault, InputError
from gristmill.pipelines.base.files import write_json
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.versions.cache import Kept
from gristmill.pipelines.ingestion.versions.data_log import data_log, find, note_rows, recorded_rows
from gristmill.pipelines.ingestion.versions.moves import go_to
from gristmill.pipelines.ingestion.versions.pins import DataState, data_state, pinned_digest
from gristmill.pipelines.ingestion.versions.snapshot import restore
from tests.conftest import BIN, clean_environment, git


def head(project: Project, revision: str = "HEAD") -> str:
    return git(project.root, "rev-parse", revision).strip()


def dvc(folder: Path, *words: str) -> None:
    subprocess.run([BIN / "dvc", *words], cwd=folder, env=clean_environment(), check=True)


def forget(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc" / "cache")


def shared(project: Project, remote: Path) -> None:
    """Add a remote and push each version to it.

    `dvc push --all-commits` does not work here: it reads the remote from each commit's settings.
    """
    dvc(project.root, "remote", "add", "-q", "-d", "here", str(remote))
    for revision in ("first", "main"):
        use(project, revision)
        dvc(project.root, "push", "-q", "data.dvc")
    commit(project, "a remote")


def use(project: Project, revision: str) -> None:
    go_to(project, "tiny", find(project, "tiny", revision))


def test_versions_are_listed_newest_first_with_what_is_on_disk(versioned: Project) -> None:
    add_data_set(versioned, "other", ROWS[:30])
    commit(versioned, "another data set is no version of this one")
    found = data_log(versioned, "tiny")
    assert [v.commit for v in found.versions] == [
        head(versioned, "HEAD~1"),
        head(versioned, "first"),
    ]
    assert [v.on_disk for v in found.versions] == [True, False]
    assert [v.pinned for v in found.versions] == [True, False]
    assert {v.kept for v in found.versions} == {Kept.CACHE}
    assert found.unknown == 0


def test_an_uncommitted_version_is_listed(versioned: Project) -> None:
    take(versioned, "tiny", write(versioned.root / "new.csv", ROWS[:30]))
    newest = data_log(versioned, "tiny").versions[0]
    assert (newest.commit, newest.when, newest.on_disk) == ("", None, True)


def test_changing_the_version_moves_pin_and_files_of_one_data_set(
    versioned: Project,
) -> None:
    add_data_set(versioned, "other", ROWS[:30])
    before = everything(versioned)
    use(versioned, "first")
    assert len(raw(versioned).read_text().splitlines()) == 61
    for name in ("tiny", "other"):
        assert data_state(versioned, name) is DataState.PINNED
    assert [v.on_disk for v in data_log(versioned, "tiny").versions] == [False, True]
    use(versioned, data_log(versioned, "tiny").versions[0].digest[:6])
    assert everything(versioned) == before


def test_a_version_that_was_never_committed_can_be_checked_out_again(versioned: Project) -> None:
    take(versioned, "tiny", write(versioned.root / "new.csv", ROWS[:30]))
    digest = pinned_digest(versioned, "tiny")
    assert digest
    use(versioned, "first")
    assert digest not in [v.digest for v in data_log(versioned, "tiny").versions]
    use(versioned, digest[:8])
    assert len(raw(versioned).read_text().splitlines()) == 31


@pytest.mark.parametrize("asked", ["nonsense", "--all", "0", "ffffffff"])
def test_an_unknown_version_is_refused_with_the_list_of_versions(
    versioned: Project, asked: str
) -> None:
    known = data_log(versioned, "tiny").versions
    with pytest.raises(ConfigError, match=r"(?s)has no version.*data log tiny") as caught:
        find(versioned, "tiny", asked)
    for version in known:
        assert f"{version.digest[:8]} ({version.commit[:8]})" in str(caught.value)


def test_a_version_whose_bytes_are_lost_is_marked_and_refused(
    versioned: Project,
) -> None:
    forget(versioned)
    before = everything(versioned)
    with pytest.raises(InputError, match=r"(?s)its list of files is missing.*&& dvc push data"):
        use(versioned, "first")
    assert [v.kept for v in data_log(versioned, "tiny").versions] == [Kept.NOWHERE] * 2
    assert everything(versioned) == before


def test_a_version_with_files_missing_from_the_cache_is_marked_and_refused(
    versioned: Project,
) -> None:
    for file in (versioned.root / ".dvc" / "cache").rglob("*"):
        if file.is_file() and file.suffix != ".dir":
            file.unlink()
    before = everything(versioned)
    assert {v.kept for v in data_log(versioned, "tiny").versions} == {Kept.NOWHERE}
    with pytest.raises(
        InputError, match=r"(?s)are missing.*no remote.*1 of its 1 files are missing"
    ):
        use(versioned, "first")
    assert everything(versioned) == before


def test_a_fresh_clone_pulls_lists_and_checks_out_versions_from_a_remote(
    versioned: Project, tmp_path: Path
) -> None:
    shared(versioned, tmp_path / "remote")
    git(tmp_path, "clone", "-q", str(versioned.root), "clone")
    fresh = Project(tmp_path / "clone")
    dvc(fresh.root, "pull", "-q", "data.dvc")  # a plain pull also asks for stage outputs
    assert raw(fresh).read_bytes() == raw(versioned).read_bytes()
    assert data_state(fresh, "tiny") is DataState.PINNED
    assert [v.kept for v in data_log(fresh, "tiny").versions] == [Kept.CACHE, Kept.REMOTE]
    use(fresh, "first")
    assert len(raw(fresh).read_text().splitlines()) == 61
    forget(fresh)
    shutil.rmtree(fresh.root / "data")
    assert restore(fresh, "tiny") == "restored by DVC"
    take(fresh, "tiny", write(fresh.root / "new.csv", ROWS[:30]))
    dvc(fresh.root, "push", "-q", "data.dvc")
    commit(fresh, "new data")
    git(versioned.root, "pull", "-q", "--ff-only", str(fresh.root), "HEAD")
    dvc(versioned.root, "pull", "-q", "--force", "data.dvc")
    assert len(raw(versioned).read_text().splitlines()) == 31
    assert data_state(versioned, "tiny") is DataState.PINNED


def test_a_remote_without_its_package_is_an_error_with_the_install_command(
    versioned: Project,
) -> None:
    dvc(versioned.root, "remote", "add", "-q", "-d", "cloud", "s3://bucket/data")
    forget(versioned)
    shutil.rmtree(versioned.root / "data")
    with pytest.raises(EnvironmentFault, match=r"(?s)needs a package.*uv pip install.* dvc-s3"):
        restore(versioned, "tiny")


def test_row_counts_are_read_from_refreshes_and_the_history_of_dvc_lock(
    versioned: Project,
) -> None:
    second, first = (v.digest for v in data_log(versioned, "tiny").versions)
    assert recorded_rows(versioned, "tiny", [first, second]) == {}
    note_rows(versioned, "tiny", second, 58)
    result = versioned.build("tiny") / "validation.json"
    write_json(result, {"rows": 60, "columns": 3, "rules": 1})
    digest = put_in_cache(versioned, result)
    (versioned.root / "dvc.lock").write_text(LOCK.format(data=first, result=digest))
    commit(versioned, "as a run left it")
    (versioned.root / "dvc.lock").write_text("<<<<<<< in conflict\n")
    assert recorded_rows(versioned, "tiny", [first, second]) == {first: 60, second: 58}


LOCK = """\
schema: '2.0'
stages:
  ingest@tiny:
    deps:
    - {{path: data/tiny, md5: {data}}}
    outs:
    - {{path: build/tiny/table.parquet, md5: abc}}
  validate@tiny:
    deps:
    - {{path: build/tiny/table.parquet, md5: abc}}
    outs:
    - {{path: build/tiny/validation.json, md5: {result}}}
"""


def put_in_cache(project: Project, file: Path) -> str:
    digest = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    place = project.root / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, place)
    return digest
