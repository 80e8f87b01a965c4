"""Comparison of candidate and champion: which rows count, and the result on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator

from gristmill.pipelines.evaluation import MOST_SLICES, Pair, Predictions, lower_is_better

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Figure = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""A number, written to JSON as null if it is NaN."""

UNKNOWN = (math.nan, math.nan)
"""The values of two models if no row counts."""

POINTS = frozenset({"brier"})
"""Metrics whose margin is in points although lower is better."""


@dataclass(frozen=True)
class NotWorse:
    """Result of a non-inferiority test of a candidate against an earlier version.

    Attributes:
        version: number of the champion or the anchor.
        values: the metric's values of the candidate and of that version.
        margin: non-inferiority margin in the metric's unit.
        p: one-sided p-value; a small one shows that the candidate is worse by less than the margin.
        rows: number of rows compared.
        method: name of the test.
    """

    version: str
    values: tuple[Figure, Figure]
    margin: Figure
    p: Figure
    rows: int
    method: str


@dataclass(frozen=True)
class Refresh:
    """Comparison of a candidate that is the champion's recipe trained on newer data.

    Attributes:
        days: age of the champion in days.
        against: results against the champion and, if it is another version, the anchor; empty if
            the champion is too young for a refresh; an error's text if the anchor could not be
            looked up, loaded or scored.
    """

    days: float
    against: tuple[NotWorse, ...] | str


@dataclass(frozen=True)
class Contest:
    """Candidate against the champion, or against a baseline, on the same test rows.

    Attributes:
        champion: number of the champion's version, or name of the baseline.
        metric: name of the metric.
        values: the metric's values of the candidate and of the champion; NaN if no row counts.
        p: one-sided p-value; a small one shows that the candidate is better.
        rows: number of rows that count.
        worse: one-sided p-value; a small one shows that the candidate is worse.
        method: name of the test.
        deviation: root mean square of the per-row gain, see `Pair.deviation`; NaN if unknown.
        newer: number of rows that count and are new to the champion.
        left_out: number of rows that do not count: seen by either model, or not among the newest.
        groups: number of groups among the rows; 0 without groups.
        assumed: assumptions about the rows, as reasons for the decision.
        refresh: comparison for a refresh of the champion; None if the candidate is no refresh.
        margin: the rules' margin in the metric's unit. Set by the gate, like the rest.
        shown_gain: gain for which `power` and `enough` are computed: the gain found or the margin,
            whichever is larger.
        power: probability that this number of rows shows `shown_gain`.
        enough: number of rows that show `shown_gain` with probability 0.8; None if there are
            enough rows or the number cannot be computed.
    """

    champion: str
    metric: str
    values: tuple[Figure, Figure]
    p: Figure
    rows: int
    worse: Figure = 1.0
    method: str = ""
    deviation: Figure = math.nan
    newer: int = 0
    left_out: int = 0
    groups: int = 0
    assumed: tuple[str, ...] = ()
    refresh: Refresh | None = None
    margin: Figure = math.nan
    shown_gain: float | None = None
    power: float | None = None
    enough: int | None = None

    @property
    def gain(self) -> float:
        """The candidate's advantage in the metric's unit; negative if it is worse."""
        mine, theirs = self.values
        return theirs - mine if lower_is_better(self.metric) else mine - theirs


@dataclass(frozen=True)
class SliceFound:
    """Result on a required slice; it fails only if significantly below its bound (Holm 1979).

    Attributes:
        name: `COLUMN=VALUE`.
        kind: kind of bound: the champion's value or a required share.
        rows: number of rows of the slice that count.
        metric: name of the metric.
        value: the candidate's value.
        bound: the required share of correct rows, or the champion's value.
        p: one-sided p-value; a small one shows that the candidate is worse than the bound.
        adjusted_p: p-value adjusted for the number of slices. Set by the gate, like the rest.
        holds: whether the candidate meets the requirement.
        words: the result as a reason for the decision.
    """

    name: str
    kind: Literal["champion", "required"]
    rows: int
    metric: str
    value: Figure
    bound: Figure
    p: Figure
    adjusted_p: float | None = None
    holds: bool = True
    words: str = ""


@dataclass(frozen=True)
class ComparedRows:
    """Properties of the rows on which two models are compared.

    Attributes:
        seen: (n_rows,) bool, rows that either model has seen; None if unknown.
        newer: (n_rows,) bool, rows new to the champion; None if unknown.
        dates: (n_rows,) int64 microseconds since 1970; None without a time split.
        group: (n_rows,) uint64 hashes of the rows' groups; None without groups.
        newest: maximum number of rows to compare if some are newer; None for no maximum.
    """

    seen: Flags | None = None
    newer: Flags | None = None
    dates: Numbers | None = None
    group: Hashes | None = None
    newest: int | None = None


def contest(
    version: str,
    metric: str,
    candidate: Predictions,
    champion: Predictions,
    rows: ComparedRows = ComparedRows(),
) -> Contest:
    """Compare two models' answers to the same rows, in the same order.

    Args:
        version: number of the champion's version, or name of a baseline.
        metric: name of the metric.
        candidate: the candidate's answers.
        champion: the answers of that version or baseline.
        rows: properties of the rows.
    """
    n = len(candidate.truth)
    places = counting(candidate, rows)
    count = len(places)
    if not count:
        return Contest(version, metric, UNKNOWN, 1.0, 0, left_out=n)
    pair = paired(metric, candidate, champion, places, rows.group)
    tested = pair.better()
    return Contest(
        champion=version,
        metric=metric,
        values=pair.values,
        p=tested.p,
        rows=count,
        worse=pair.worse().p if pair.gain < 0 else 1.0,
        method=tested.method,
        deviation=pair.deviation,
        newer=0 if rows.newer is None else int(rows.newer[places].sum()),
        left_out=n - count,
        groups=0 if pair.group is None else len(np.unique(pair.group)),
    )


def not_worse(version: str, share: float, pair: Pair) -> NotWorse:
    """Test whether a candidate is non-inferior to an earlier version.

    Args:
        version: number of the earlier version.
        share: the margin, see `margin_of`; a margin of 0 tests whether the candidate is better.
        pair: the candidate and that version on the rows that count.
    """
    if not pair.rows:
        return NotWorse(version, UNKNOWN, share, 1.0, 0, "")
    margin = margin_of(pair.metric, share, pair.values[1])
    tested = pair.no_worse(margin) if margin > 0 else pair.better()
    return NotWorse(version, pair.values, margin, tested.p, pair.rows, tested.method)


def margin_of(metric: str, share: float, value: float) -> float:
    """Return a margin in the metric's unit.

    Args:
        metric: name of the metric.
        share: the margin in points; for an error in the target's unit, as a share of `value`.
        value: the metric's value of the earlier version.

    Examples:
        >>> margin_of("accuracy", 0.01, 0.9), margin_of("mae", 0.01, 200.0)
        (0.01, 2.0)
    """
    in_unit = lower_is_better(metric) and metric not in POINTS
    return share * abs(value) if in_unit else share


def counting(candidate: Predictions, rows: ComparedRows) -> Numbers:
    """Return the sorted positions of the rows that count, (n,) int64.

    Rows seen in training or validation do not count. If some rows are new to the champion, only the
    `rows.newest` newest count: by date in a split by time; otherwise rows new to the champion rank
    first, and among equals the later in the table.
    """
    keep = np.ones(len(candidate.truth), dtype=np.bool_) if rows.seen is None else ~rows.seen
    if candidate.twin is not None:
        keep &= ~candidate.twin
    places = np.flatnonzero(keep)
    newer, most = rows.newer, rows.newest
    if most is None or newer is None or len(places) <= most or not newer[places].any():
        return places
    first = newer if rows.dates is None else rows.dates
    order = np.lexsort((places, first[places]))
    return np.sort(places[order[-most:]])


def paired(
    metric: str, candidate: Predictions, other: Predictions, places: Numbers, group: Hashes | None
) -> Pair:
    """Return two models' answers to some of the rows.

    Args:
        metric: name of the metric.
        candidate: the candidate's answers.
        other: the other model's answers to the same rows.
        places: (n,) int64 positions of the rows to compare.
        group: (n_rows,) uint64 hashes of the groups of all rows; None without groups.
    """
    mine, theirs = candidate.rows(places), other.rows(places)
    return Pair(
        metric, mine.truth, mine.given, theirs.given, None if group is None else group[places]
    )


def sliced(
    metric: str,
    masks: Mapping[str, tuple[Flags, float | None]],
    candidate: Predictions,
    champion: Predictions | None,
    places: Numbers,
    group: Hashes | None = None,
) -> tuple[SliceFound, ...]:
    """Test whether the candidate is worse on a slice than the champion or than a required share.

    The share of correct rows is tested with the exact binomial test (Clopper & Pearson 1934), the
    comparison with the champion as in `contest` with the models exchanged.

    Args:
        metric: name of the metric for the comparison with the champion.
        masks: for each slice its rows, (n_rows,) bool, and the required share of correct rows in
            0..1, or None.
        candidate: the candidate's answers.
        champion: the champion's answers; None without a champion.
        places: (n,) int64 positions of the rows that count.
        group: (n_rows,) uint64 hashes of the rows' groups; None without groups.
    """
    from scipy.stats import binom

    found = []
    for name, (mask, share) in masks.items():
        here = places[mask[places]]
        if share is not None:
            right = candidate.answers[here] == candidate.truth[here]
            p = float(binom.cdf(right.sum(), len(here), share)) if len(here) else 1.0
            value = float(right.mean()) if len(here) else float("nan")
            found.append(SliceFound(name, "required", len(here), "accuracy", value, share, p))
        if champion is not None and len(here):
            pair = paired(metric, candidate, champion, here, group)
            p = pair.worse().p if pair.gain < 0 else 1.0
            found.append(SliceFound(name, "champion", len(here), metric, *pair.values, p))
    return tuple(found)


def slice_masks(
    wanted: Mapping[str, float | None], columns: Mapping[str, Any]
) -> dict[str, tuple[Flags, float | None]]:
    """Return the rows and the required share of each slice.

    Args:
        wanted: required share in 0..1, or None, for each `COLUMN=VALUE` or `COLUMN`.
        columns: (n_rows,) texts of each column.

    Raises:
        ValueError: a column is missing or has more than `MOST_SLICES` values.
    """
    made: dict[str, tuple[Flags, float | None]] = {}
    for name, share in wanted.items():
        column, equals, value = name.partition("=")
        if column not in columns:
            raise ValueError(f"gate.slices: the data have no column '{column}'")
        texts = np.asarray(columns[column], dtype=object)
        values = [value] if equals else sorted({*texts.tolist()})
        if len(values) > MOST_SLICES:
            raise ValueError(
                f"gate.slices: {column} has {len(values):,} different values, "
                f"more than {MOST_SLICES}; name those that matter, such as {column}={values[0]}"
            )
        for each in values:
            made[f"{column}={each}"] = np.asarray(texts == each, dtype=np.bool_), share
    return made
