"""The gate on models with known accuracy: how often it errs, and the result of a year.

Null pairs are two models' predictions swapped row by row at random; gains and margins are sampled
as counts. Sizes are measured for five metrics at three numbers of rows. In the simulated year the
same recipe is trained every night under five policies, in a stationary world and in one that drifts
by a point a month. Each night has a candidate; one in a hundred is broken. A policy's score is the
mean accuracy of its champion on each day's rows.

All tests and decisions are those of `pipelines/evaluation/metrics/paired.py` and
`pipelines/registry/gate.py`.
Exits with 1 if a target is missed.

Usage: make bench-gate
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from gristmill.pipelines.config.sections import Gate
from gristmill.pipelines.evaluation.metrics.measures import mcnemar_mid_p
from gristmill.pipelines.evaluation.metrics.paired import tango_p
from gristmill.pipelines.evaluation.predictions import Predictions
from gristmill.pipelines.registry.contests import Contest, NotWorse, Refresh, contest
from gristmill.pipelines.registry.gate import CandidateFacts, decide

ROWS = 2_000
PAIRS = 2_000
MOST_NULL = 116
POWERS = {0.05: 0.95, 0.10: 0.85, 0.15: 0.70, 0.20: 0.60}
SIZE = 0.055

YEARS, DAYS = 40, 365
NEW_ROWS = 100
"""New test rows a day."""
SPREAD = 0.0065
"""Standard deviation of the accuracy of networks of one recipe with different seeds."""
DRIFT = 0.01 / 30
BROKEN, BROKEN_BY = 0.01, 0.05
MEAN, SHAPE = 0.9, 0.5
"""Beta distribution of the share of models that are right on a row: two differ on 6 % of rows."""

RULES = Gate()
Array = np.ndarray[Any, Any]


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def outcome(made: Contest, reads: int = 0) -> str:
    return decide(CandidateFacts({}, reads=reads), made, RULES).outcome


def null_pairs(rng: Any, metric: str) -> tuple[int, int]:
    """Return the numbers of null pairs promoted and rejected."""
    found = {"promote": 0, "hold": 0, "reject": 0}
    identity = np.arange(ROWS, dtype=np.uint64)
    for _ in range(PAIRS):
        truth = rng.integers(0, 2, ROWS)
        lean = rng.normal(1.6, 1.2, ROWS)
        shares = [1 / (1 + np.exp(-(lean + rng.normal(0, 0.7, ROWS)))) for _ in range(2)]
        swap = rng.random(ROWS) < 0.5
        first = np.where(swap, shares[0], shares[1])
        both = (first, shares[0] + shares[1] - first)
        outputs = [np.where(truth[:, None] == [0, 1], s[:, None], 1 - s[:, None]) for s in both]
        mine, theirs = (Predictions(identity, truth, o, ("no", "yes")) for o in outputs)
        found[outcome(contest("1", metric, mine, theirs))] += 1
    return found["promote"], found["reject"]


METRICS = ("rmse", "mae", "f1_macro", "balanced_accuracy", "roc_auc")
SIZES = (100, 300, 2000)
MOST_IN_A_CELL = 132
"""Null pairs of 2,000 that right 5 % tests exceed in one of the 60 cells with probability 0.05."""
MOST_ON_AVERAGE = 0.056
MOST_SECONDS = 1.0
LARGE = 10_000


def null_pair(rng: Any, metric: str, rows: int, heavy: bool) -> tuple[Predictions, Predictions]:
    """Return two models whose answers were exchanged at random, so that neither is better.

    Heavy tails are Student's t with 2.5 degrees of freedom. Balanced accuracy has a class of 5 %.
    """

    def noise() -> Array:
        return np.asarray(rng.standard_t(2.5, rows) if heavy else rng.normal(size=rows))

    swap, identity = rng.random(rows) < 0.5, np.arange(rows, dtype=np.uint64)
    if metric in ("rmse", "mae", "r2", "median_error"):
        truth, shared = rng.normal(size=rows), noise()
        each = [truth + shared + 0.7 * noise() for _ in range(2)]
        values = (np.where(swap, *order) for order in (each, each[::-1]))
        mine, theirs = (Predictions(identity, truth, value, None) for value in values)
        return mine, theirs
    truth = (rng.random(rows) < (0.05 if metric == "balanced_accuracy" else 0.5)).astype(np.int64)
    lean = 2.0 * truth - 1 + noise()
    each = [1 / (1 + np.exp(-np.clip(lean + 0.7 * noise(), -30, 30))) for _ in range(2)]
    shares = (np.where(swap, *order) for order in (each, each[::-1]))
    outputs = (np.stack([1 - share, share], axis=1) for share in shares)
    mine, theirs = (Predictions(identity, truth, given, ("no", "yes")) for given in outputs)
    return mine, theirs


Cell = tuple[str, int, bool]


def size(cell: Cell) -> tuple[int, int]:
    """Return the numbers of null pairs promoted and rejected."""
    metric, rows, heavy = cell
    rng = np.random.default_rng(rows + heavy)
    found = {"promote": 0, "hold": 0, "reject": 0}
    with threadpool_limits(limits=1):
        for _ in range(PAIRS):
            found[outcome(contest("1", metric, *null_pair(rng, *cell)))] += 1
    return found["promote"], found["reject"]


def sizes(wanted: Callable[[bool, str], None]) -> None:
    """Print the share of null pairs promoted and rejected, by metric, rows and tails."""
    cells = [
        (metric, rows, heavy) for metric in METRICS for rows in SIZES for heavy in (False, True)
    ]
    with ProcessPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = dict(zip(cells, pool.map(size, cells), strict=True))
    say()
    say(f"of {PAIRS:,} null pairs promoted, rejected (5 % are allowed)")
    say(f"{'':20s}" + "".join(f"{f'{rows:,} rows':>16s}{'heavy tails':>16s}" for rows in SIZES))
    for metric in METRICS:
        of_metric = [found[metric, rows, heavy] for rows in SIZES for heavy in (False, True)]
        shown = (f"{up / PAIRS:.1%}, {down / PAIRS:.1%}" for up, down in of_metric)
        say(f"{metric:20s}" + "".join(f"{text:>16s}" for text in shown))
        for place, word in enumerate(("promoted", "rejected")):
            counts = [pair[place] for pair in of_metric]
            share = sum(counts) / (PAIRS * len(counts))
            wanted(share <= MOST_ON_AVERAGE, f"{share:.2%} {word} by {metric} (at most 5.6 %)")
            wanted(max(counts) <= MOST_IN_A_CELL, f"{max(counts)} in a cell ({MOST_IN_A_CELL})")
    say()
    for metric in (*METRICS, "r2", "median_error", "mcc", "log_loss", "ece", "average_precision"):
        pair = null_pair(np.random.default_rng(0), metric, LARGE, heavy=True)
        began = time.perf_counter()
        contest("1", metric, *pair)
        seconds = time.perf_counter() - began
        words = f"a contest of {LARGE:,} rows by {metric} takes {seconds:.2f} s"
        wanted(seconds <= MOST_SECONDS, f"{words} (at most {MOST_SECONDS:g})")


def counted(version: str, gained: int, lost: int, right: int, n: int) -> Contest:
    """Return a comparison with known counts: both models are right in `right` rows."""
    values = ((right + gained) / n, (right + lost) / n)
    p, worse = float(mcnemar_mid_p(gained, lost)), float(mcnemar_mid_p(lost, gained))
    return Contest(
        version, "accuracy", values, p, n, worse, "", deviation=math.sqrt((gained + lost) / n)
    )


def power(rng: Any, disagreement: float, gain: float = 0.02) -> float:
    """Return the share of candidates with a true gain that are promoted."""
    shares = [(disagreement + gain) / 2, (disagreement - gain) / 2]
    drawn = rng.multinomial(ROWS, [*shares, 1 - disagreement], PAIRS)
    return float(
        np.mean([outcome(counted("1", b, c, same, ROWS)) == "promote" for b, c, same in drawn])
    )


def size_of_no_worse(rng: Any, disagreement: float, margin: float) -> float:
    """Return how often a candidate that is worse by exactly the margin is shown not to be."""
    shares = [(disagreement - margin) / 2, (disagreement + margin) / 2]
    drawn = rng.multinomial(ROWS, [*shares, 1 - disagreement], 100_000)
    alpha = 1 - RULES.champion.confidence
    return float((tango_p(drawn[:, 0], drawn[:, 1], ROWS, margin) <= alpha).mean())


@dataclass
class Model:
    """A model in each of the simulated years.

    Attributes:
        ability: (YEARS,) difference of its accuracy from the mean, without drift.
        day: (YEARS,) day of its training.
        right: (YEARS, ROWS) whether it is right on each current test row.
    """

    ability: Array
    day: Array
    right: Array

    def take(self, other: Model, where: Array) -> None:
        for name in ("ability", "day", "right"):
            mine, theirs = getattr(self, name), getattr(other, name)
            mine[where] = theirs[where]

    def copy(self) -> Model:
        return Model(self.ability.copy(), self.day.copy(), self.right.copy())


def answered(rng: Any, easy: Array, level: Array) -> Array:
    """Sample the rows a model gets right: `easy` is the mean over models, shifted to its level."""
    level = level[:, None]
    chance = np.where(level < 0, easy * (1 + level / MEAN), easy + (1 - easy) * level / (1 - MEAN))
    return rng.random(easy.shape, dtype=np.float32) < chance


def rows_like(rng: Any, count: int) -> Array:
    return rng.beta(MEAN * SHAPE, (1 - MEAN) * SHAPE, (YEARS, count)).astype(np.float32)


Policy = Callable[[Contest, int], str]


def by_the_gate(now: Contest, reads: int) -> str:
    return outcome(now, reads=reads)


def by_superiority(now: Contest, reads: int) -> str:
    return outcome(replace(now, refresh=None), reads=reads)


def unless_worse(now: Contest, _: int) -> str:
    return "reject" if now.worse <= 1 - RULES.champion.confidence else "promote"


def never(*_: Any) -> str:
    return "hold"


POLICIES: dict[str, tuple[Policy, bool]] = {
    "never promote": (never, True),
    "superiority, fixed rows": (by_superiority, False),
    "superiority, newest rows": (by_superiority, True),
    "the gate: or no worse, newest rows": (by_the_gate, True),
    "unless significantly worse": (unless_worse, True),
}
"""Decision rule, and whether the test rows are the newest ones or those of the first day."""


def year(rng: Any, policy: Policy, recent: bool, drift: float) -> tuple[float, float, float, float]:
    """Return mean accuracy in service, its standard error, promotions a year, broken promotions."""
    easy = rows_like(rng, ROWS)
    born = np.zeros((YEARS, ROWS), dtype=np.int32)
    champion = Model(rng.normal(0, SPREAD, YEARS), np.zeros(YEARS), np.empty_like(easy, dtype=bool))
    champion.right = answered(rng, easy, champion.ability)
    anchor = champion.copy()
    served, promoted, broken_in = np.zeros(YEARS), np.zeros(YEARS), np.zeros(YEARS)
    for day in range(1, DAYS + 1):
        if recent:
            new = np.arange(NEW_ROWS) + (day - 1) * NEW_ROWS
            new %= ROWS
            easy[:, new], born[:, new] = rows_like(rng, NEW_ROWS), day
            for model in (champion, anchor):
                moved = model.ability - drift * (day - model.day)
                model.right[:, new] = answered(rng, easy[:, new], moved)
        broken = rng.random(YEARS) < BROKEN
        ability = rng.normal(0, SPREAD, YEARS) - BROKEN_BY * broken
        fresh = Model(ability, np.full(YEARS, float(day)), answered(rng, easy, ability))
        won = np.zeros(YEARS, dtype=bool)
        by_margin = np.zeros(YEARS, dtype=bool)
        pairs = [_counts(fresh, other) for other in (champion, anchor)]
        p = [tango_p(b, c, ROWS, RULES.champion.margin) for b, c, _ in pairs]
        gained, lost, right = pairs[0]
        better, worse = mcnemar_mid_p(gained, lost), mcnemar_mid_p(lost, gained)
        for each in range(YEARS):
            values = tuple((right[each] + x[each]) / ROWS for x in (gained, lost))
            held = tuple(
                NotWorse(str(i), values, 0.01, float(p[i][each]), ROWS, "") for i in (0, 1)
            )
            refresh = Refresh(float(day - champion.day[each]), held)
            now = Contest(
                "0", "accuracy", values, float(better[each]), ROWS, float(worse[each]),
                refresh=refresh,
            )  # fmt: skip
            decision = policy(now, 0 if recent else day)
            won[each] = decision == "promote"
            by_margin[each] = won[each] and policy is by_the_gate and better[each] > 0.05
        champion.take(fresh, won)
        anchor.take(fresh, won & ~by_margin)
        promoted += won
        broken_in += won & broken
        served += MEAN + champion.ability - drift * (day - champion.day)
    mean = served / DAYS
    error = float(mean.std(ddof=1) / math.sqrt(YEARS))
    return float(mean.mean()), error, float(promoted.mean()), float(broken_in.mean())


def _counts(mine: Model, theirs: Model) -> tuple[Array, Array, Array]:
    """Count the rows (YEARS,) that only the first, only the second, and both get right."""
    return (
        (mine.right & ~theirs.right).sum(axis=1),
        (theirs.right & ~mine.right).sum(axis=1),
        (mine.right & theirs.right).sum(axis=1),
    )


def main() -> int:
    began = time.perf_counter()
    rng = np.random.default_rng(0)
    missed: list[str] = []

    def wanted(holds: bool, words: str) -> None:
        say(f"{'ok    ' if holds else 'MISSED'} {words}")
        missed.extend([] if holds else [words])

    for metric in ("accuracy", "brier"):
        promoted, rejected = null_pairs(rng, metric)
        words = f"{promoted} of {PAIRS:,} null pairs promoted by {metric}, {rejected} rejected"
        wanted(promoted <= MOST_NULL, f"{words} (at most {MOST_NULL})")
    sizes(wanted)
    for disagreement, least in POWERS.items():
        found = power(rng, disagreement)
        words = f"two points at {disagreement:.0%} disagreement promoted in {found:.3f}"
        wanted(found >= least, f"{words} (at least {least})")
    for disagreement in (0.03, 0.05, 0.10, 0.20):
        found = size_of_no_worse(rng, disagreement, RULES.champion.margin)
        words = f"size of the non-inferiority test at {disagreement:.0%} disagreement {found:.4f}"
        wanted(found <= SIZE, f"{words} (at most {SIZE})")
    say()
    say(f"{YEARS} years of {DAYS} nights; mean accuracy in service, promotions a year, broken ones")
    say(f"{'':36s} {'a world that stays':>26s} {'a point a month':>26s}")
    scores = {}
    for name, (policy, recent) in POLICIES.items():
        found = [year(np.random.default_rng(1), policy, recent, drift) for drift in (0.0, DRIFT)]
        scores[name] = found
        cells = [f"{mean:.4f} {count:7.1f} {bad:6.1f}" for mean, _, count, bad in found]
        say(f"{name:36s} {cells[0]:>26s} {cells[1]:>26s}")
    say()
    gate = scores["the gate: or no worse, newest rows"]
    for name, found in scores.items():
        if found is not gate and name != "unless significantly worse":
            wanted(gate[1][0] > found[1][0], f"the gate serves better under drift than: {name}")
    loose = scores["unless significantly worse"]
    wanted(gate[0][0] > loose[0][0], "the gate serves better in a world that stays than: unless …")
    wanted(gate[1][2] < loose[1][2] / 5, "and promotes less than a fifth as often")
    wanted(gate[0][3] + gate[1][3] < 0.1, "the gate promotes no broken model in ten years")
    say(f"{time.perf_counter() - began:.0f} s")
    say("reached" if not missed else f"MISSED: {len(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
