"""Candidate against champion: which rows count, and what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator

from gristmill.pipelines.evaluation import Pair, Predictions, lower_is_better

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Figure = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""A number that JSON has as null where it is NaN."""

UNKNOWN = (math.nan, math.nan)
"""The values of two models without a row."""

POINTS = frozenset({"brier"})
"""Metrics of which less is better and that a margin in points makes sense of all the same."""


@dataclass(frozen=True)
class NotWorse:
    """Whether a candidate is worse than an earlier version by less than a margin.

    Attributes:
        version: the champion, or the anchor.
        values: of the candidate and of that version.
        margin: in the metric's own unit.
        p: one-sided p-value that it is.
        rows: how many were compared.
    """

    version: str
    values: tuple[Figure, Figure]
    margin: Figure
    p: Figure
    rows: int
    method: str


@dataclass(frozen=True)
class Refresh:
    """The champion's own recipe, on newer data.

    Attributes:
        days: age of the champion.
        against: the champion and, where that is another version, the anchor; a text where one
            could not be looked up, loaded or scored.
    """

    days: float
    against: tuple[NotWorse, ...] | str


@dataclass(frozen=True)
class Contest:
    """Candidate against champion on the same test rows.

    Attributes:
        champion: its version.
        metric: by which they were compared.
        values: of the candidate and of the champion; NaN without a row.
        p: one-sided p-value that the candidate is better.
        rows: how many rows both answered and neither saw.
        worse: one-sided p-value that the candidate is worse.
        method: of the test.
        deviation: of the gain of one row, see `Pair.deviation`; NaN where it is not known.
        newer: how many of the rows the champion had not answered before.
        left_out: rows that one of both had seen, or that are not among the newest.
        groups: how many groups the rows are in; 0 where each stands for itself.
        assumed: what had to be taken for granted of the rows.
        refresh: None where the candidate is no more than another model.
        margin: in the metric's own unit; this and what follows is found by the gate.
        shown_gain, power: a gain, the one that was found or the margin, and how probably so many
            rows show it.
        enough: rows that show it 4 times in 5; None where the rows are enough for it and it was not
            shown all the same, or where nothing can be said.
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
        """How much better the candidate is."""
        mine, theirs = self.values
        return theirs - mine if lower_is_better(self.metric) else mine - theirs


@dataclass(frozen=True)
class SliceFound:
    """A required slice of the test rows; broken only where it is significantly below (Holm 1979).

    Attributes:
        name: `COLUMN=VALUE`.
        kind: what the candidate must not be significantly below.
        value: of the candidate.
        bound: the required share of right rows, or the champion's value.
        p: one-sided p-value that the candidate is truly below it.
        adjusted_p: for the number of slices; by the gate, like what follows.
        holds: whether the candidate holds it.
        words: that, as a reason.
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
    """What is known of the rows on which two models are compared.

    Attributes:
        seen: (n_rows,) rows that one of both has seen; None where only the candidate's twins are
            known.
        newer: (n_rows,) rows that the champion had not answered before.
        dates: (n_rows,) when they are from.
        group: (n_rows,) hashes of the rows' groups.
        newest: how many rows are compared at most where some are newer.
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
    """Compares two models' answers for the very same rows, in the same order.

    Args:
        version: of the champion.
        rows: what is known of them.
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
        worse=pair.turned.better().p if pair.gain < 0 else 1.0,
        method=tested.method,
        deviation=pair.deviation,
        newer=0 if rows.newer is None else int(rows.newer[places].sum()),
        left_out=n - count,
        groups=0 if pair.group is None else len(np.unique(pair.group)),
    )


def not_worse(version: str, share: float, pair: Pair) -> NotWorse:
    """Whether a candidate is no worse than an earlier version on some rows.

    Args:
        share: the margin: points, or where the metric has the target's unit a share of the other
            version's value.
        pair: the candidate and that version on the rows that count.
    """
    if not pair.rows:
        return NotWorse(version, UNKNOWN, share, 1.0, 0, "")
    margin = margin_of(pair.metric, share, pair.values[1])
    tested = pair.no_worse(margin) if margin > 0 else pair.better()
    return NotWorse(version, pair.values, margin, tested.p, pair.rows, tested.method)


def margin_of(metric: str, share: float, value: float) -> float:
    """A margin in the metric's own unit; see `not_worse`."""
    in_unit = lower_is_better(metric) and metric not in POINTS
    return share * abs(value) if in_unit else share


def counting(candidate: Predictions, rows: ComparedRows) -> Numbers:
    """The places of the rows that decide, in the order of the rows.

    Rows that were seen in training or validation do not. Where there are rows that the champion had
    not answered before, the data grow, and the newest rows decide: by their dates where the split
    is by time; else those first that are new to the champion, and of these the last in the table.
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
    """Two models on some rows."""
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
    """Required slices: is the candidate worse there than the champion, or than a share?

    A share of right rows is tested by the exact binomial test, the one of Clopper and Pearson's
    interval (1934); against the champion as in `contest`, the other way round.

    Args:
        masks: by name the rows of a slice, (n_rows,), and the share that must be right.
        champion: None where there is none yet.
        places: of the rows that count.
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
            p = pair.turned.better().p if pair.gain < 0 else 1.0
            found.append(SliceFound(name, "champion", len(here), metric, *pair.values, p))
    return tuple(found)


def slice_masks(
    wanted: Mapping[str, float | None], columns: Mapping[str, Any]
) -> dict[str, tuple[Flags, float | None]]:
    """The rows of each required slice, by its name.

    Args:
        wanted: shares, or None, by `COLUMN=VALUE` or `COLUMN`.
        columns: (n_rows,) texts by column.

    Raises:
        ValueError: there is no such column, or it has more values than slices are made of.
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


MOST_SLICES = 30
"""Slices that a column is made into, at most."""
