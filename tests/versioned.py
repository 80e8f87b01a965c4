"""A project with two versions of a small data set under git and DVC, and helpers for more."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from gristmill.pipelines.config.experiment import Experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.versions.pin_file import entries_in
from gristmill.pipelines.ingestion.versions.refresh import Refreshed, refresh
from tests.conftest import BIN, clean_environment, clone, git

DOCUMENT = """\
data: {path: data/tiny/tiny.csv, target: label, task: classification}
schema: {columns: {a: {max: 100}}}
split: {}
features: {}
model: {layers: []}
"""
HEADER = "a,b,label"
ROWS = [f"{i},{(i * 7 % 60) / 8},{'yes' if i // 10 % 2 else 'no'}" for i in range(60)]


def write(file: Path, rows: list[str], header: str = HEADER) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def fine(experiment: Experiment, table: Path) -> None:
    """Accept everything."""


def sizes(old: Path, new: Path) -> tuple[int, int]:
    """Compare two tables: rows before and after."""
    from pyarrow.parquet import read_metadata

    return read_metadata(old).num_rows, read_metadata(new).num_rows


def take(project: Project, name: str, file: Path) -> Refreshed:
    return refresh(project, name, file, fine, sizes)


def commit(project: Project, words: str) -> str:
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", words)
    return git(project.root, "rev-parse", "HEAD").strip()


def raw(project: Project, name: str = "tiny") -> Path:
    return project.root / "data" / name / f"{name}.csv"


def everything(project: Project) -> dict[str, bytes]:
    """Return the data and their pin, including hidden left-overs."""
    files = [project.root / "data.dvc", *(project.root / "data").rglob("*")]
    return {project.relative(file): file.read_bytes() for file in files if file.is_file()}


def digits_csv(project: Project) -> Path:
    """Return the raw data of `digits` in a clone of the whole project."""
    return project.root / "data" / "digits" / "digits.csv"


def edit_digits(project: Project) -> None:
    file = digits_csv(project)
    with file.open("a") as stream:
        stream.write(file.read_text().splitlines()[-1] + "\n")


def add_folder(project: Project, folder: str) -> None:
    """Create data that nothing pins."""
    place = project.root / "data" / folder
    place.mkdir(parents=True)
    (place / "a.csv").write_text("a,b\n1,2\n")


def forget_bytes(project: Project) -> None:
    """Delete the cache, as in a fresh clone without cache or remote."""
    shutil.rmtree(project.root / ".dvc" / "cache")


def remove(project: Project, folder: str) -> None:
    shutil.rmtree(project.root / "data" / folder)


def with_remote(project: Project, url: str | Path) -> None:
    settings = project.root / ".dvc" / "config"
    settings.write_text(
        settings.read_text().replace("[core]", "[core]\n    remote = here")
        + f'[remote "here"]\n    url = {url}\n'
    )


def pin_as_whole(project: Project) -> None:
    """Give `data.dvc` its old form with one entry for all of `data/`, as `dvc add data` does."""
    subprocess.run(
        [BIN / "dvc", "add", "-q", "data"], cwd=project.root, env=clean_environment(), check=True
    )
    assert list(entries_in((project.root / "data.dvc").read_text())) == ["data"]


def add_data_set(project: Project, name: str, rows: list[str]) -> None:
    """Add an experiment with a separate data set, refreshed and registered as a run leaves it."""
    document = DOCUMENT.replace("data/tiny/tiny.csv", f"data/{name}/{name}.csv")
    project.experiment_file(name).write_text(document)
    project.register(name, name)
    take(project, name, write(project.root.parent / f"{name}.csv", rows))


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return `tiny` with 60 rows, tagged `first`, then with 58; tests copy it."""
    project = clone(tmp_path_factory.mktemp("versions") / "project")
    for name in project.experiment_names():
        project.experiment_file(name).unlink()
    for name in ("dvc.lock", "data.dvc", *map(str, project.experiments.glob("*.split.json"))):
        (project.root / name).unlink()
    project.params_file.write_text("experiments:\n  tiny: {data: tiny}\n")
    project.register("tiny", "tiny")
    git(project.root, "config", "user.name", "test")
    git(project.root, "config", "user.email", "test@example.com")
    project.experiment_file("tiny").write_text(DOCUMENT)
    take(project, "tiny", write(project.root.parent / "first.csv", ROWS))
    commit(project, "first")
    git(project.root, "tag", "first")
    take(project, "tiny", write(project.root.parent / "second.csv", ROWS[:-2]))
    commit(project, "second")
    return project


@pytest.fixture
def versioned(two_versions: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a copy in a folder with a space and Hangul in its name."""
    target = tmp_path / "내 project"
    shutil.copytree(two_versions.root, target, symlinks=True)
    monkeypatch.setenv("PATH", clean_environment()["PATH"])
    return Project(target)
