"""The gate: a pure function of a candidate, a champion and the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipelines.config import Gate, Requirement
from pipelines.evaluation import Predictions, lower_is_better, paired_p, score

Outcome = Literal["promote", "hold", "reject"]


@dataclass(frozen=True)
class Contest:
    """Candidate against champion on the same test rows.

    Attributes:
        champion: its version.
        metric: by which they were compared.
        values: of the candidate and of the champion.
        p: one-sided p-value that the candidate is better.
        rows: how many rows both answered.
    """

    champion: str
    metric: str
    values: tuple[float, float]
    p: float
    rows: int


@dataclass(frozen=True)
class Decision:
    """What happens to a candidate, and every reason."""

    outcome: Outcome
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.outcome}: " + "; ".join(self.reasons)


def contest(version: str, metric: str, candidate: Predictions, champion: Predictions) -> Contest:
    """Compares two models' answers for the very same rows, in the same order.

    Rows that the candidate has seen in training are left out.
    """
    if candidate.twin is not None:
        champion = champion.rows(~candidate.twin)
        candidate = candidate.unseen()
    return Contest(
        champion=version,
        metric=metric,
        values=(
            score(metric, candidate.truth, candidate.outputs, candidate.labels),
            score(metric, champion.truth, champion.outputs, champion.labels),
        ),
        p=paired_p(metric, candidate.truth, candidate.outputs, champion.outputs),
        rows=len(candidate.truth),
    )


def decide(metrics: Mapping[str, float], rules: Gate, against: Contest | str | None) -> Decision:
    """Promote, hold or reject.

    Args:
        metrics: the candidate's, on the test rows.
        rules: of the experiment file.
        against: the contest with the champion; None when there is no champion yet; a text when
            the champion could not be looked up, loaded or scored, which rejects.
    """
    broken = [
        reason
        for name, requirement in rules.require.items()
        for reason in [_broken(name, metrics[name], requirement)]
        if reason
    ]
    if broken:
        return Decision("reject", tuple(broken))
    kept = tuple(_kept(name, metrics[name], bound) for name, bound in rules.require.items())
    if against is None:
        return Decision("promote", (*kept, "there is no champion yet"))
    if isinstance(against, str):
        return Decision("reject", (against,))
    alpha = 1 - rules.champion.confidence
    mine, other = against.values
    better = "lower" if lower_is_better(against.metric) else "higher"
    words = (
        f"{against.metric} {mine:.4g} against {other:.4g} of version {against.champion} "
        f"on {against.rows:,} rows ({better} is better), p = {against.p:.3g}"
    )
    if against.p <= alpha:
        return Decision("promote", (*kept, f"better than the champion: {words}"))
    return Decision("hold", (*kept, f"not shown to be better than the champion: {words}"))


def _broken(name: str, value: float, bound: Requirement) -> str:
    if bound.min is not None and not value >= bound.min:
        return f"{name} {value:.4g} is below the required {bound.min:g}"
    if bound.max is not None and not value <= bound.max:
        return f"{name} {value:.4g} is above the required {bound.max:g}"
    return ""


def _kept(name: str, value: float, bound: Requirement) -> str:
    ends = [
        f"≥ {bound.min:g}" if bound.min is not None else "",
        f"≤ {bound.max:g}" if bound.max is not None else "",
    ]
    return f"{name} {value:.4g} is " + " and ".join(filter(None, ends))
