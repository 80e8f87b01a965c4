"""Slices: metrics of a model on the rows with certain values of a column."""

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
"""Slices found by the search that are tested on the test rows."""

FEWEST = 30
"""Fewest validation rows of a slice in the search, and fewest test rows or groups of a slice whose
interval alone shows that it is worse."""

LARGEST = 0.5
"""Largest share of the rows of a slice in the search."""

KEPT = 50
"""Slices that the search keeps at once."""

ALIKE = 0.5
"""Share of common rows above which two slices count as the same."""

MOST_LEVELS = 12
"""Most values of a declared column with a slice each; the others share one slice."""

MOST_SEARCHED = 50
"""Most values of a column in the search; a column with more is likely a name or a text."""

FEW_NUMBERS = 8
"""Most distinct numbers that become a slice each."""

OTHERS = "(others)"


@dataclass(frozen=True)
class Slice:
    """Result of a model on a part of the test rows.

    Attributes:
        column: Column that selects the rows.
        value: Selected value or range: `Seoul`, `18 to 40`, `(missing)`.
        rows: Number of test rows.
        metric: Accuracy or mean absolute error, with an interval that holds for all slices
            together.
        overall: The same metric on all test rows.
        worse: Whether the slice is significantly worse.
        validation: The metric on the validation rows, if the search found the slice there.
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
    """Rule that selects rows: certain values, or numbers from `low` to below `high`."""

    column: str
    value: str
    levels: frozenset[str] | None = None
    low: float = -math.inf
    high: float = math.inf


Found = tuple[Cut, Flags, float | None]
"""A cut, its rows, and the metric that the search found there."""


def masks_of(cuts: Iterable[Cut], values: pd.Series[Any]) -> Iterator[Flags]:
    """Yield the rows of each cut of a column, (n_rows,) bool."""
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
    """Return a column of raw rows."""
    parts = [frame[name] for frame in frames(rows, [name])]
    return pd.concat(parts, ignore_index=True) if parts else pd.Series(dtype=object, name=name)


def declared_slices(
    columns: Mapping[str, Bins],
    values: Mapping[str, pd.Series[Any]],
    predictions: Predictions,
    group: Hashes | None = None,
) -> list[Slice]:
    """Measure every declared slice that has rows.

    Args:
        columns: Declared columns with their bins.
        values: Values of these columns in the test rows, (n_rows,) each.
        predictions: Predictions of the same rows.
        group: (n_rows,) uint64, equal for rows of one group.
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
    """Measure the slices that `worst_slices` found, on test rows.

    Clopper-Pearson's bound at a third of 5 % decides whether one is worse than all rows, so that
    with a probability of 95 % none of the three is flagged by chance: the rows that found the
    slices do not confirm them.

    Args:
        worst: Cuts with their metric on the validation rows.
        values: Values of their columns in the test rows, (n_rows,) each.
        predictions: Predictions of the same rows.
        group: (n_rows,) uint64, equal for rows of one group.
    """
    found = [(c, mask, v) for c, v in worst for mask in masks_of([c], values[c.column])]
    return _measured([one for one in found if one[1].any()], predictions, WORST, group)


def worst_slices(
    columns: Iterable[pd.Series[Any]], predictions: Predictions
) -> list[tuple[Cut, float]]:
    """Find the slices on which a model is most significantly worse, with its metric there.

    Args:
        columns: Columns of the raw validation rows, read one by one.
        predictions: Predictions of the same rows.
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
    """Return the slices of a column, as in `cuts_of`, and the rows of each, (n_rows,) bool.

    Args:
        values: Column, (n_rows,).
        edges: Declared edges; None for values or quartiles.
        most: As in `cuts_of`.
    """
    cuts = [*cuts_of(values, edges, most)]
    return zip(cuts, masks_of(cuts, values), strict=True)


def cuts_of(values: pd.Series[Any], edges: Sequence[float] | None, most: int = 0) -> Iterator[Cut]:
    """Yield the slices of a column.

    Numbers and dates are cut by their edges, by their values if there are few, else by their
    quartiles; other columns by their values. Rows without a value form a slice, too.

    Args:
        values: Column, (n_rows,).
        edges: Declared edges; None for values or quartiles.
        most: Most values of a column that is cut by values; 0 puts all but the most frequent
            values into one slice.
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
    """Return edges above the smallest number; the next number if most are the smallest."""
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
    """Return numbers, (n_rows,) float64, NaN if missing; dates as microseconds since 1970."""
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
    """Return 1 for a right answer and 0 for a wrong one, or the absolute error; (n_rows,)."""
    answers, truth = predictions.answers, predictions.truth
    if predictions.classes is None:
        return np.asarray(np.abs(answers - truth))
    return np.asarray(answers == truth, dtype="float64")


def _measured(
    masks: Sequence[Found], predictions: Predictions, tests: int, group: Hashes | None
) -> list[Slice]:
    """Measure slices with simultaneous intervals: each end is a bound at 5 % over their number.

    Clopper-Pearson intervals for shares of independent rows, otherwise those of `measure`.
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
        if worse and (predictions.classes is None or group is not None):
            sign = 1 if predictions.classes is None else -1
            worse = _few_are_worse(sign * each, mask, group) <= ALPHA / max(tests, 1)
        made.append(Slice(cut.column, cut.value, rows, metric, overall, worse, found))
    return made


def _few_are_worse(errors: Floats, mask: Flags, group: Hashes | None) -> float:
    """Return the p-value of a sign test if a slice has few rows or groups; 0 if it has enough.

    Intervals of means are too narrow then. A row or group is above the median of all with a
    probability of a half at most if the slice is not worse.
    """
    from scipy.stats import binom

    if group is not None:
        _, places = np.unique(group, return_inverse=True)
        errors = np.bincount(places, errors) / np.bincount(places)
        mask = np.bincount(places, mask) > 0
    count = int(mask.sum())
    above = int((errors[mask] > np.median(errors)).sum())
    return 0.0 if count >= FEWEST else float(binom.sf(above - 1, count, 0.5))


def write_slices(file: Path, slices: Sequence[Slice]) -> None:
    """Write slices as JSON, and as CSV beside it."""
    records = [
        {"column": one.column, "slice": one.value, "rows": one.rows, "metric": one.metric.name}
        | {"value": one.metric.value, "low": one.metric.low, "high": one.metric.high}
        | {"overall": one.overall, "worse": one.worse, "validation": one.validation}
        for one in slices
    ]
    write_json(file, records)
    with writing(file.with_suffix(".csv")) as aside:
        pd.DataFrame(records).to_csv(aside, index=False)
