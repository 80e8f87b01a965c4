"""`gristmill data merge`: git's merge driver for data.dvc, dvc.lock and params.yaml."""

from __future__ import annotations

from pathlib import Path

from gristmill.commands.endings import echo
from gristmill.pipelines import ingestion
from gristmill.pipelines.base import GristmillError
from gristmill.pipelines.config import Project


def merge(base: Path, ours: Path, theirs: Path, name: str) -> int:
    """Merge data.dvc, dvc.lock or params.yaml (called by git).\f

    Args:
        base, ours, theirs: files with the three versions; the result replaces `ours`.
        name: path of the merged file in the repository.

    Returns:
        1 if conflicts are left, else 0.
    """
    place = Path(name)
    texts = (file.read_text(encoding="utf-8") for file in (base, ours, theirs))
    try:
        project = Project.find(place.absolute().parent)
        merged = ingestion.merge_file(project, place.name, *texts)
    except GristmillError as error:
        ingestion.plain_merge(base, ours, theirs)
        echo(f"{name}: {error}", err=True)
        return 1
    ours.write_text(merged.text, encoding="utf-8")
    for conflict in merged.conflicts:
        echo(f"{name}: {conflict}", err=True)
    return 1 if merged.conflicts else 0
