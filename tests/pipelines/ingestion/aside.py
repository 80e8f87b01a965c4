"""What the tests of versions share: small files, and refreshes that find nothing wrong."""

from __future__ import annotations

from pathlib import Path

from pipelines.config import Experiment, Project
from pipelines.ingestion.refresh import Refreshed, refresh
from tests.conftest import git

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
    """Accepts everything."""


def sizes(old: Path, new: Path) -> tuple[int, int]:
    """A comparison: rows before and after."""
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
    """The data and their pin, hidden left-overs included."""
    files = [project.root / "data.dvc", *(project.root / "data").rglob("*")]
    return {project.relative(file): file.read_bytes() for file in files if file.is_file()}


def add_data_set(project: Project, name: str, rows: list[str]) -> None:
    """Another experiment with data of its own, refreshed and listed, as a run would leave it."""
    document = DOCUMENT.replace("data/tiny/tiny.csv", f"data/{name}/{name}.csv")
    project.experiment_file(name).write_text(document)
    project.register(name, name)
    take(project, name, write(project.root.parent / f"{name}.csv", rows))
