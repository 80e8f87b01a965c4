"""Statistics of each column for `transform`, from training rows only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from gristmill.pipelines.base import ConfigError, DataInvalid, Problem, side_by_side
from gristmill.pipelines.config import Feature, Features, PrepareSections
from gristmill.pipelines.preparation.columns import declared_kinds, feature_columns
from gristmill.pipelines.preparation.features.column_fit import (
    Column,
    fit_column,
    nothing,
    scaling,
    series,
)
from gristmill.pipelines.preparation.features.frames import frames
from gristmill.pipelines.preparation.features.picture_arrays import fit_picture
from gristmill.pipelines.preparation.features.transforms import answer_names, labels
from gristmill.pipelines.tables import Floats, TableRows

BLOCK = 1 << 24
"""Numeric values in memory at a time: 128 MiB as float64."""

PIECE = 1 << 18
"""Numeric values per piece of work of a thread."""


def fit_statistics(training: pd.DataFrame, document: PrepareSections) -> Column:
    """Fit statistics to training rows in memory; see `fit`."""
    return fit(TableRows(pa.Table.from_pandas(training, preserve_index=False)), document)


def fit(rows: TableRows, document: PrepareSections, left_out: Collection[str] = ()) -> Column:
    """Fit the statistics that `transform` needs.

    Args:
        rows: raw training rows.
        document: the experiment file.
        left_out: columns that are not features, because they came after the first split.

    Returns:
        A dictionary for JSON: `picture` (name, height, width, channels, and offset and factor by
        channel; or None), `numbers` (name, offset, factor, fill and indicator of each), `columns`
        (name, kind and settings of each, embedded ones last), `embedded` (number of codes and
        embedding length of each embedded column), `classes` (labels in order, or None),
        `target_scale` (offset and factor, or None), `target` and `task`.

    Raises:
        ConfigError: `features.columns` does not fit the data.
        DataInvalid: columns cannot be converted to numbers; all of them are listed.
    """
    features, target = document.features, document.data.target
    of_target = _of_target(rows, document)
    present = [name for name in rows.schema.names if name not in left_out]
    names = feature_columns(present, features, target, document.split)
    _require_free([target, *names], of_target)
    declared = declared_kinds(names, features)
    pictures = [name for name in names if rows.storage(name) == "picture"]
    if pictures:
        return {**fit_picture(rows, names, pictures[0], features), **of_target}
    kinds = {name: _kind(rows, name, declared.get(name)) for name in names}
    numbers = [name for name in names if kinds[name].kind == "number"]
    problems: list[Problem] = []
    measured = _numbers(rows, numbers, features, problems)
    columns: list[Column] = []

    def of(name: str) -> Column | Problem:
        return fit_column(rows, name, kinds[name], name in declared, features)

    for _, fitted in side_by_side((name for name in names if name not in numbers), of):
        problems.append(fitted) if isinstance(fitted, Problem) else columns.append(fitted)
    if problems:
        raise DataInvalid(
            f"{len(problems)} column{'s' * (len(problems) > 1)} cannot be used as features",
            problems=problems,
        )
    columns.sort(key=lambda column: bool(column["kind"] == "embedded"))
    codes = [c for c in columns if c["kind"] == "embedded"]
    return {
        "picture": None,
        "numbers": measured,
        "columns": columns,
        "embedded": [[len(column["levels"]) + 1, column["size"]] for column in codes],
        **of_target,
    }


def _require_free(names: Sequence[str], statistics: Column) -> None:
    """Check that no column of a model has the name of a column of its answers.

    Such a model could be trained, but its answers could not be put beside its rows.
    """
    if taken := [name for name in names if name in answer_names(statistics)]:
        target = statistics["target"]
        rename = "rename it in the data"
        raise ConfigError(
            f"column {taken[0]} has the name of a column of the model's answers",
            expected=f"other names than {', '.join(answer_names(statistics)[:5])}",
            found=", ".join(taken),
            next=rename
            if target in taken
            else f"leave it out: features: {{exclude: [{', '.join(taken)}]}}, or {rename}",
        )


def _of_target(rows: TableRows, document: PrepareSections) -> Column:
    features, target = document.features, document.data.target
    classes = None
    if document.data.task == "classification":
        classes = _classes(rows, target)
    return {
        "classes": classes,
        "target_scale": _target_scale(rows, target) if features.scale_target else None,
        "target": target,
        "task": document.data.task,
    }


def _kind(rows: TableRows, name: str, declared: Feature | None) -> Feature:
    """Return the kind declared in the experiment file, else the one of the stored type."""
    stored = rows.storage(name)
    if declared is not None and declared.kind == "number" and stored == "date":
        raise ConfigError(
            f"column {name} is declared as number but contains dates",
            expected="numbers",
            found=str(rows.schema.field(name).type),
            next=f"features: {{columns: {{{name}: date}}}}, the default",
        )
    if declared is not None and (declared.kind, stored) != ("number", "boolean"):
        return declared
    if stored == "other" or stored == "picture":
        raise ConfigError(
            f"column {name} cannot be converted to numbers",
            expected="numbers, booleans, dates or text",
            found=str(rows.schema.field(name).type),
            next=f"exclude it: features: {{exclude: [{name}]}}",
        )
    return Feature(kind="category" if stored == "text" else stored)


def _numbers(
    rows: TableRows, names: Sequence[str], features: Features, problems: list[Problem]
) -> list[Column]:
    """Measure numeric columns, as many at a time as `BLOCK` allows."""
    width = max(1, BLOCK // max(rows.count, 1))
    found: list[Column] = []
    for start in range(0, len(names), width):
        block = names[start : start + width]
        values = _values(rows, block)
        step = max(1, PIECE // max(rows.count, 1))
        pieces = (slice(first, first + step) for first in range(0, len(block), step))
        for _, measured in side_by_side(pieces, partial(_measured, block, values, features)):
            for one in measured:
                problems.append(one) if isinstance(one, Problem) else found.append(one)
    return found


def _measured(
    names: Sequence[str], values: Floats, features: Features, piece: slice
) -> list[Column | Problem]:
    pairs = zip(names[piece], values[piece], strict=True)
    return [_measured_one(name, column, features) for name, column in pairs]


def _measured_one(name: str, values: Floats, features: Features) -> Column | Problem:
    known = values[~np.isnan(values)]
    if not len(known):
        return nothing(name)
    if np.isinf(known).any():
        return Problem(
            f"column {name} has infinite values in the training rows",
            "finite numbers",
            hint="fix the source; `type: number` in the schema finds such rows",
        )
    offset, factor = scaling(known, features.scale)
    return {
        "name": name,
        "offset": offset,
        "factor": factor,
        "fill": float(np.median(known, overwrite_input=True)),
        "indicator": len(known) < len(values),
    }


def _values(rows: TableRows, names: Sequence[str]) -> Floats:
    """Read columns as (n_columns, n_rows) float64, NaN where missing."""
    values = np.empty((len(names), rows.count))
    place = 0
    for frame in frames(rows, names, names):
        for i, name in enumerate(names):
            values[i, place : place + len(frame)] = _floats(frame[name])
        place += len(frame)
    return values


def _floats(values: pd.Series[Any]) -> Floats:
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(dtype="float64", na_value=np.nan)
    parsed = pd.to_numeric(values, errors="coerce")
    wrong = parsed.isna() & values.notna()
    if wrong.any():
        raise DataInvalid(
            f"column {values.name} is declared as number but contains other values",
            expected="numbers",
            found=repr(values[wrong].iloc[0]),
            next=f"features: {{columns: {{{values.name}: category}}}}, or fix the source",
        )
    return parsed.to_numpy(dtype="float64", na_value=np.nan)


def _classes(rows: TableRows, target: str) -> list[Any]:
    found: dict[str, Any] = {}
    for values in series(rows, target):
        distinct = values.dropna().unique().tolist()
        found |= dict(zip(labels(distinct), distinct, strict=True))
    stored = rows.schema.field(target).type
    if pa.types.is_integer(stored):
        return sorted(int(label) for label in found.values())
    if rows.storage(target) in ("date", "text"):
        return sorted(found)
    return sorted(found.values())


def _target_scale(rows: TableRows, target: str) -> Column:
    values = _values(rows, [target])[0]
    if not np.isfinite(values).all():
        raise DataInvalid(
            f"the target {target} is not a finite number in every training row",
            expected="finite numbers",
            found=f"{int((~np.isfinite(values)).sum()):,} rows with other values",
        )
    offset, factor = scaling(values, "standard")
    return {"offset": offset, "factor": factor}
