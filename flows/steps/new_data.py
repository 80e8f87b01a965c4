"""Accepting a new version of a data set, and describing its changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.pipelines.config import Experiment, Project
from gristmill.pipelines.ingestion import Progress, Refreshed, note_rows
from gristmill.pipelines.ingestion import refresh as take

if TYPE_CHECKING:
    from gristmill.pipelines.tables import Changes

SHOWN = 8
"""Maximum number of names listed; the rest is counted."""


def take_new_version(
    project: Project, name: str, given: Path | None, progress: Progress | None = None
) -> Refreshed:
    """Refresh a data set, record its rows for `data log`, and keep the reports of refused data.

    Args:
        project: the project.
        name: experiment.
        given: file or folder to use instead of the source.
        progress: called while data are fetched.
    """

    def accept(experiment: Experiment, table: Path) -> None:
        _accept(project, experiment, table)

    done = take(project, name, given, accept, differences, progress)
    if done.made is not None:
        note_rows(project, name, done.after, done.made.rows)
    return done


def _accept(project: Project, experiment: Experiment, table: Path) -> None:
    from gristmill.pipelines.validation import validate_table

    report = project.build(experiment.name) / "refresh" / "validation"
    validate_table(project, table, experiment.document, report)


def differences(old: Path, new: Path) -> list[str]:
    """Describe the differences between the tables of two versions, a line each."""
    from gristmill.pipelines.tables import table_changes

    return [*_row_lines(table_changes(old, new)), *_distributions(old, new)]


def _distributions(old: Path, new: Path) -> list[str]:
    """Describe the columns whose distribution changed."""
    from gristmill.pipelines.validation import compare_tables

    found = compare_tables(old, new)
    retyped = {column for column, _, _ in found.retyped}
    drifted = [one for one in found.drifted if one.column not in retyped]
    lines = [f"{one.column}: {one}" for one in drifted]
    rest = f"… and {len(lines) - SHOWN} more columns" * (len(lines) > SHOWN)
    return [*lines[:SHOWN], *filter(None, [rest])]


def _row_lines(found: Changes) -> list[str]:
    lines = [f"rows: {found.added:,} added, {found.removed:,} removed"]
    others = {name for name, _, _ in found.retyped} - set(found.shared)
    if found.new_columns or found.lost_columns or others:
        lines[0] += f", compared by {len(found.shared)} of the columns that both versions have"
    retyped = [f"{column} {old} → {new}" for column, old, new in found.retyped]
    named = (
        ("new columns", found.new_columns),
        ("columns gone", found.lost_columns),
        ("other types", retyped),
    )
    return lines + [f"{what}: {_few(names)}" for what, names in named if names]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" … and {len(names) - SHOWN} more" * (len(names) > SHOWN))


def described(done: Refreshed) -> list[str]:
    """Describe the result of a refresh, in lines."""
    return [*done.notes, *_outcome(done)]


def _outcome(done: Refreshed) -> list[str]:
    if done.made is None:
        return [f"the source has no new data, version {done.after[:8]} stays"]
    if not done.changed:
        return [f"version {done.after[:8]} stays"]
    lines = [f"new data pinned, {done.made.size}, version {done.after[:8]}"]
    if done.difference is not None:
        lines += [f"  {line}" for line in done.difference]
    elif done.before:
        lines.append(f"  version {done.before[:8]} is not available to compare with")
    if len(done.accepted) > 1:
        lines.append(f"  accepted by {', '.join(done.accepted)}")
    if done.unread:
        lines.append(f"  not validated, because the file is invalid: {', '.join(done.unread)}")
    return lines
