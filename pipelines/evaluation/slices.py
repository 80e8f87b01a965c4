"""Parts of the rows, by the values of a column: how good a model is on each of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gristmill.pipelines.base import write_json, writing
from gristmill.pipelines.config import Bins
from gristmill.pipelines.evaluation.metrics import Metric, clopper_pearson, measure
from gristmill.pipelines.evaluation.predictions import Predictions
from gristmill.pipelines.preparation import as_text, frames
from gristmill.pipelines.tables import Flags, Floats, Hashes, TableRows

ALPHA = 0.05
WORST = 3
"""Searched slices that are taken to the test rows."""

FEWEST = 30
"""Validation rows of a slice that the search looks at."""

LARGEST = 0.5
"""Share of the rows; what is larger is no part that hides behind the rest."""

KEPT = 50
"""Slices that the search has in mind."""

ALIKE = 0.5
"""Share of common rows above which two slices are the same finding."""

MOST_LEVELS = 12
"""Values of a declared column that are slices each; the others are one together."""

MOST_SEARCHED = 50
"""Values of a column that the search looks at; one with more is likely a name or a text."""

FEW_NUMBERS = 8
"""Different numbers up to which each is a slice of its own."""

OTHERS = "(others)"


@dataclass(frozen=True)
class Slice:
    """How a model does on a part of the test rows.

    Attributes:
        column: by which the rows were chosen.
        value: which of them, in words: `Seoul`, `18 to 40`, `(missing)`.
        rows: how many test rows these are.
        metric: accuracy, or the mean absolute error, with an interval that holds for all slices
            together.
        overall: the same of all test rows.
        worse: whether it is shown to be worse than that.
        validation: what it was on the validation rows, where the search found it there.
    """

    column: str
    value: str
    rows: int
    metric: Metric
    overall: float
    worse: bool
    validation: float | None = None

    def __str__(self) -> str:
        return f"{self.column}: {self.value}"


@dataclass(frozen=True)
class Cut:
    """Which rows a slice takes: those of some values, or of numbers from `low` to below `high`."""

    column: str
    value: str
    levels: frozenset[str] | None = None
    low: float = -math.inf
    high: float = math.inf


Found = tuple[Cut, Flags, float | None]
"""A cut, the rows that it takes, and what the search found there."""


def masks_of(cuts: Iterable[Cut], values: pd.Series[Any]) -> Iterator[Flags]:
    """Which rows each cut of a column takes, (n_rows,) bool."""
    texts = numbers = None
    for cut in cuts:
        if cut.levels is not None:
            texts = as_text(values) if texts is None else texts
            yield np.asarray(texts.isin(cut.levels), dtype=bool)
            continue
        numbers = _numbers(values) if numbers is None else numbers
        with np.errstate(invalid="ignore"):
            yield np.asarray((numbers >= cut.low) & (numbers < cut.high))


def column_of(rows: TableRows, name: str) -> pd.Series[Any]:
    """A column of raw rows."""
    parts = [frame[name] for frame in frames(rows, [name])]
    return pd.concat(parts, ignore_index=True) if parts else pd.Series(dtype=object, name=name)


def declared_slices(
    columns: Mapping[str, Bins],
    values: Mapping[str, pd.Series[Any]],
    predictions: Predictions,
    group: Hashes | None = None,
) -> list[Slice]:
    """Each part of each column, as far as there are rows of it.

    Args:
        columns: what was declared.
        values: of these columns in the test rows.
        predictions: of the same rows.
        group: (n_rows,), equal where rows belong together.
    """
    found: list[Found] = []
    for name, bins in columns.items():
        parts = parts_of(values[name], bins.bins)
        found += [(cut, mask, None) for cut, mask in parts if mask.any()]
    return _measured(found, predictions, len(found), group)


def confirmed_slices(
    worst: Sequence[tuple[Cut, float]],
    values: Mapping[str, pd.Series[Any]],
    predictions: Predictions,
    group: Hashes | None = None,
) -> list[Slice]:
    """The slices that `worst_slices` found, on test rows.

    Each is worse than all rows by Clopper-Pearson's bound at a third of 5 %, so that in 95 % of
    cases none of three is so by chance: the rows that found them do not confirm them.
    """
    found = [(c, mask, v) for c, v in worst for mask in masks_of([c], values[c.column])]
    return _measured([one for one in found if one[1].any()], predictions, WORST, group)


def worst_slices(
    columns: Iterable[pd.Series[Any]], predictions: Predictions
) -> list[tuple[Cut, float]]:
    """The slices on which a model does worst, by how surely that is so, and what it does there.

    Args:
        columns: of the raw validation rows, looked at one by one.
        predictions: of the same rows.
    """
    each = _each(predictions)
    overall, spread = float(each.mean()), float(each.std())
    sign = 1 if predictions.classes is None else -1
    found = []
    for values in columns:
        for cut, mask in parts_of(values, None, MOST_SEARCHED):
            rows = int(mask.sum())
            if FEWEST <= rows <= LARGEST * len(each) and spread > 0:
                value = float(each[mask].mean())
                away = sign * (value - overall) * math.sqrt(rows) / spread
                found.append((away, cut, mask, value))
        found = sorted(found, key=lambda one: -one[0])[:KEPT]
    taken: list[tuple[Cut, Flags, float]] = []
    for away, cut, mask, value in found:
        if len(taken) == WORST or away <= 0:
            break
        if not any((mask & other).sum() > ALIKE * (mask | other).sum() for _, other, _ in taken):
            taken.append((cut, mask, value))
    return [(cut, value) for cut, _, value in taken]


def parts_of(
    values: pd.Series[Any], edges: Sequence[float] | None, most: int = 0
) -> Iterator[tuple[Cut, Flags]]:
    """The slices of a column, as `cuts_of` has them, and which rows each takes."""
    cuts = [*cuts_of(values, edges, most)]
    return zip(cuts, masks_of(cuts, values), strict=True)


def cuts_of(values: pd.Series[Any], edges: Sequence[float] | None, most: int = 0) -> Iterator[Cut]:
    """The slices of a column.

    Numbers and dates by their edges, by their values if these are few, else by their quartiles;
    all else by its values. Rows without a value are a slice, too.

    Args:
        most: values up to which a column is cut by them at all; 0 makes one slice of all values
            but the most frequent.
    """
    name = str(values.name)
    dates = pd.api.types.is_datetime64_any_dtype(values.dtype)
    numbers = dates or pd.api.types.is_any_real_numeric_dtype(values.dtype)
    if edges is None and not (numbers and values.nunique() > FEW_NUMBERS):
        yield from _by_value(name, as_text(values), most)
        return
    held = _numbers(values)
    if edges is None:
        edges = _quartiles(held)
    ends = [-math.inf, *edges, math.inf]
    for low, high in pairwise(ends):
        yield Cut(name, _span(low, high, dates), None, low, high)
    if values.isna().any():
        yield Cut(name, "(missing)", frozenset({"(missing)"}))


def _quartiles(held: Floats) -> list[float]:
    """Edges above the smallest number; where that is most of them the next one is an edge."""
    smallest = np.nanmin(held)
    ends = {*np.nanquantile(held, [0.25, 0.5, 0.75]).tolist()} - {smallest}
    return sorted(ends) or [float(np.min(held[held > smallest]))]


def _by_value(name: str, texts: pd.Series[Any], most: int) -> Iterator[Cut]:
    counts = texts.value_counts()
    if most and len(counts) > most:
        return
    shown = counts.index if most else counts.index[:MOST_LEVELS]
    for level in shown:
        yield Cut(name, str(level), frozenset({str(level)}))
    if len(shown) < len(counts):
        yield Cut(name, OTHERS, frozenset(map(str, counts.index[len(shown) :])))


def _numbers(values: pd.Series[Any]) -> Floats:
    """(n_rows,) float64, NaN where missing; of dates microseconds since 1970."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        moments = values.to_numpy("datetime64[us]")
        return np.where(np.isnat(moments), np.nan, moments.astype("int64").astype("float64"))
    return values.to_numpy(dtype="float64", na_value=np.nan)


def _span(low: float, high: float, dates: bool) -> str:
    def word(end: float) -> str:
        return str(np.datetime64(int(end), "us").astype("datetime64[D]")) if dates else f"{end:.6g}"

    if low == -math.inf:
        return f"below {word(high)}" if high < math.inf else "all"
    return f"from {word(low)}" if high == math.inf else f"{word(low)} to {word(high)}"


def _each(predictions: Predictions) -> Floats:
    """(n_rows,) 1 where the answer is right, or the absolute error."""
    answers, truth = predictions.answers, predictions.truth
    if predictions.classes is None:
        return np.asarray(np.abs(answers - truth))
    return np.asarray(answers == truth, dtype="float64")


def _measured(
    masks: Sequence[Found], predictions: Predictions, tests: int, group: Hashes | None
) -> list[Slice]:
    """Slices whose intervals hold together: each end is a bound at 5 % over their number.

    Clopper and Pearson's of a share of independent rows, else those of `measure`.
    """
    each = _each(predictions)
    name = "mae" if predictions.classes is None else "accuracy"
    overall = float(each.mean())
    level = 1 - 2 * ALPHA / max(tests, 1)
    made = []
    for cut, mask, found in masks:
        part, rows = each[mask], int(mask.sum())
        if predictions.classes is not None and group is None:
            ends = clopper_pearson(int(part.sum()), rows, level)
            metric = Metric(name, float(part.mean()), *ends)
        else:
            of, kept = None if group is None else group[mask], predictions.rows(mask)
            metric = measure(name, kept.truth, kept.outputs, kept.labels, of, level)
        if predictions.classes is None:
            worse = metric.low is not None and metric.low > overall
        else:
            worse = metric.high is not None and metric.high < overall
        made.append(Slice(cut.column, cut.value, rows, metric, overall, worse, found))
    return made


def write_slices(file: Path, slices: Sequence[Slice]) -> None:
    """As JSON, and as CSV beside it."""
    records = [
        {"column": one.column, "slice": one.value, "rows": one.rows, "metric": one.metric.name}
        | {"value": one.metric.value, "low": one.metric.low, "high": one.metric.high}
        | {"overall": one.overall, "worse": one.worse, "validation": one.validation}
        for one in slices
    ]
    write_json(file, records)
    with writing(file.with_suffix(".csv")) as aside:
        pd.DataFrame(records).to_csv(aside, index=False)
