"""Why a trial is new: its differences from the most similar trial in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from gristmill.pipelines.config import Experiment, Project
from gristmill.pipelines.ingestion import cached_files, stage_digests
from gristmill.pipelines.tracking import StoredRun, past_trials, rows_read, run_tags
from gristmill.pipelines.training import ALL_FOLDS, FOLD, Trial, changed, recipe_record

SHOWN = 4
"""Reasons shown for a trial; further ones are only counted."""

MOST_CELLS = 20_000_000
"""Largest table for which the columns with changed values are determined."""

Settings = frozenset[tuple[str, str]]


class Reasons:
    """Compares trials with those of earlier runs; the ledger is read on first use."""

    def __init__(self, project: Project, experiment: Experiment) -> None:
        self._project, self._experiment = project, experiment
        self._told_of_data = cache(self._data_lines)

    def of(self, trial: Trial) -> str:
        """Return the differences from the most similar earlier trial, or `first time`."""
        past = self._nearest(trial)
        if past is None:
            return "first time"
        lines = changed(trial, past.parts, past.recipe)
        if "data changed" in lines:
            place = lines.index("data changed")
            others = any(line.startswith("features") for line in lines)
            lines[place : place + 1] = self._told_of_data(past.parent, past.run_id, others)
        rest = f"and {len(lines) - SHOWN} more"
        return ", ".join([*lines[:SHOWN], *[rest] * (len(lines) > SHOWN)]) or "asked for"

    def _nearest(self, trial: Trial) -> StoredRun | None:
        """Return the newest of the earlier trials with the fewest differences."""
        whole = trial.parts.get(FOLD) == ALL_FOLDS
        alike = [one for one in self._past if (one[0].parts.get(FOLD) == ALL_FOLDS) == whole]
        mine = _settings(trial.parts, recipe_record(trial.recipe))
        return min(
            alike or self._past,
            key=lambda one: len(mine - one[1]) + len(one[1] - mine),
            default=(None, mine),
        )[0]

    @cached_property
    def _past(self) -> list[tuple[StoredRun, Settings]]:
        past = past_trials(self._project, self._experiment.name)
        return [(trial, _settings(trial.parts, trial.recipe)) for trial in past]

    def _data_lines(self, run: str, trial: str, features: bool) -> list[str]:
        """Return the differences of the data, at most one line.

        Args:
            run, trial: MLflow's ids of the earlier run and trial.
            features: whether the section `features` differs, which changes the arrays as well.
        """
        name = self._experiment.name
        now = stage_digests(self._project, name)
        words = data_changes(self._project, name, run_tags(self._project, run), now)
        if words is None:
            roles = self._project.build(name) / "roles.parquet"
            return [f"data: {self._counted(trial, roles)}"]
        if words:
            return [f"data: {words}"]
        return [] if features else ["data: prepared by other code or libraries"]

    def _counted(self, trial: str, roles: Path) -> str:
        """Compare the numbers of rows, if the earlier rows are no longer available."""
        from gristmill.pipelines.preparation import rows_to_learn_from

        before, now = rows_read(self._project, trial), rows_to_learn_from(roles)
        if not before or before == now:
            return "another version"
        return f"{_rows(abs(now - before))} {'added' if now > before else 'removed'}"


KEPT = ("table", "roles")


def data_changes(
    project: Project, name: str, tags: Mapping[str, str], now: Mapping[str, str]
) -> str | None:
    """Describe the changes of an experiment's rows and roles since an earlier run.

    Args:
        project: the project.
        name: name of the experiment.
        tags: tags of the earlier run.
        now: DVC's hashes of the data stages' outputs, by path.

    Returns:
        A text, empty if nothing changed; None if the earlier rows are no longer available.
    """
    names = {kind: f"build/{name}/{kind}.parquet" for kind in KEPT}
    digests = {kind: tags.get(f"dvc.{place}", "") for kind, place in names.items()}
    same = {kind for kind in KEPT if digests[kind] == now.get(names[kind])}
    if len(same) == len(KEPT):
        return ""
    there = cached_files(project, [digest for digest in digests.values() if digest])
    old = {kind: there.get(digest) for kind, digest in digests.items()}
    new = {kind: project.root / place for kind, place in names.items()}
    if "table" not in same:
        return None if old["table"] is None else _table_words(old["table"], new["table"])
    if old["roles"] is None:
        return "split differently"
    from gristmill.pipelines.preparation import changed_roles

    return f"{_rows(changed_roles(old['roles'], new['roles']))} in another role"


def _settings(parts: Mapping[str, str], recipe: Mapping[str, Any] | None) -> Settings:
    """Return everything that a result depends on, as pairs of a name and a value."""
    found = set(parts.items())
    if recipe is not None:
        found |= set(_places({k: v for k, v in recipe.items() if k != "parameters"}, ""))
    return frozenset(found)


def _places(tree: Any, where: str) -> list[tuple[str, str]]:
    if isinstance(tree, dict):
        return [one for key, below in tree.items() for one in _places(below, f"{where}.{key}")]
    if isinstance(tree, list):
        return [one for i, below in enumerate(tree) for one in _places(below, f"{where}.{i}")]
    return [(where, repr(tree))]


def _table_words(old: Path, new: Path) -> str:
    from gristmill.pipelines.tables import changed_columns, table_changes

    found = table_changes(old, new)
    words = [_listed("column", found.new_columns, "is new", "are new")]
    words.append(_listed("column", found.lost_columns, "is gone", "are gone"))
    kinds = [f"{name} {before} → {after}" for name, before, after in found.retyped]
    words += [f"other types: {', '.join(kinds[:3])}"] * bool(kinds)
    if found.added == found.removed and 0 < found.before * len(found.shared) <= MOST_CELLS:
        columns = changed_columns(old, new, found.shared)
        if 0 < len(columns) <= 3 and found.added:
            values = f"{_rows(found.added)} with other values in {', '.join(columns)}"
            return ", ".join(filter(None, [*words, values]))
    words.append(f"{_rows(found.added)} added" * bool(found.added))
    lost = f"{found.removed:,}" if found.added else _rows(found.removed)
    words.append(f"{lost} removed" * bool(found.removed))
    return ", ".join(filter(None, words)) or "the same rows in another order"


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"


def _listed(what: str, names: Sequence[str], one: str, more: str) -> str:
    if not names:
        return ""
    return f"{what} {names[0]} {one}" if len(names) == 1 else f"{len(names)} {what}s {more}"
