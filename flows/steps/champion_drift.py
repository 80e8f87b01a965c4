"""Drift of a run's data from those that the champion was trained on."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gristmill.flows.session import Session
from gristmill.pipelines.base import DataInvalid, Problem, read_json, write_json
from gristmill.pipelines.config import Document, Project
from gristmill.pipelines.registry import Version, champion
from gristmill.pipelines.tracking import fetch_artifact, has_artifact
from gristmill.pipelines.validation import Shift, drifted, summarise

DISTRIBUTIONS, DRIFT = "distributions.json", "drift.json"
FOLDER = "validation"
"""Artifact folder of the two files."""


def check_drift(run: Session) -> tuple[str, list[str]]:
    """Compare the data with the champion's, and store the distributions for later runs.

    Returns:
        The result in a few words, and warnings.

    Raises:
        DataInvalid: columns have drifted, and `schema.drift` has the severity error.
        EnvironmentFault: the store or the champion's artifacts cannot be read.
    """
    files = [run.build / DISTRIBUTIONS, run.build / DRIFT]
    for file in files:
        file.unlink(missing_ok=True)
    document, name = run.experiment.document, run.experiment.name
    accepted = run.champion = champion(run.project, name)
    if document.schema_.drift.severity == "off":
        return "switched off", []
    table, exclude = run.build / "table.parquet", not_compared(document)
    mine = summarise(table, exclude)
    write_json(files[0], mine)
    if accepted is None:
        return "no champion to compare with yet", []
    theirs = distributions(run.project, accepted)
    if theirs is None:
        return f"version {accepted.number}, the champion, has no stored distributions", []
    same = theirs == mine
    found = [] if same else drifted(theirs, summarise(table, exclude, like=theirs))
    write_json(files[1], {"version": accepted.number, "drifted": [_kept(one) for one in found]})
    return _judged(run, accepted, found)


def not_compared(document: Document) -> tuple[str, ...]:
    """Return columns and patterns that are allowed to drift: excluded ones, keys, groups, times."""
    split = document.split
    time = split.time.column if split.time is not None else None
    apart = [name for name in (split.key, split.group, time) if name is not None]
    return (*document.schema_.drift.exclude, *document.features.exclude, *apart)


def distributions(project: Project, version: Version) -> Any:
    """Return the summary of the data that a version was trained on, or None if not stored."""
    address = f"{FOLDER}/{DISTRIBUTIONS}"
    if not has_artifact(project, version.run_id, address):
        return None
    with tempfile.TemporaryDirectory() as folder:
        return read_json(fetch_artifact(project, version.run_id, address, Path(folder)))


def _kept(one: Shift) -> dict[str, Any]:
    return asdict(one) | {"psi": one.psi if one.psi < float("inf") else None}


def _judged(run: Session, accepted: Version, found: list[Shift]) -> tuple[str, list[str]]:
    against = f"the data of version {accepted.number}, the champion"
    if not found:
        return f"no column drifted from {against}", []
    columns = f"{len(found)} column" + "s" * (len(found) > 1)
    if run.experiment.document.schema_.drift.severity == "error":
        raise DataInvalid(
            f"{columns} drifted from {against}",
            problems=[
                Problem(one.column, "the champion's distribution", str(one)) for one in found
            ],
            next="fix the source; or, if the change is intended, schema.drift: "
            "{exclude: [COLUMN]} or {severity: warning}",
        )
    shown = [f"{one.column} drifted: {one}" for one in found[: DataInvalid.SHOWN]]
    more = len(found) - len(shown)
    return f"{columns} drifted from {against}", [*shown, *[f"and {more} more"] * bool(more)]
