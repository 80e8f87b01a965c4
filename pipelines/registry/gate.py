"""The gate: a pure function of a candidate, a champion and the rules."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter

from gristmill.pipelines.config import Gate, Requirement
from gristmill.pipelines.evaluation import Metric, holm, lower_is_better, power_of, rows_enough
from gristmill.pipelines.registry.contests import Contest, NotWorse, SliceFound, margin_of
from gristmill.pipelines.registry.model_records import ChampionSeen
from gristmill.pipelines.reporting import number, p_words

Outcome = Literal["promote", "challenger", "hold", "reject"]
By = Literal["first", "superiority", "non-inferiority", "person", ""]

MANY_READS = 20
"""Number of candidates after which a test set is likely to favour one by chance."""

STRICTER = 10
"""Divisor of alpha after `MANY_READS` candidates (Blum & Hardt 2015)."""

DUMMY, LINEAR = "dummy", "linear"
"""Names of the baselines."""

BASELINES = {DUMMY: "the dummy", LINEAR: "the linear baseline"}

TYPICAL = math.sqrt(0.1)
"""Fallback standard deviation of the per-row gain: two models that differ on a tenth of rows."""


@dataclass(frozen=True)
class RequirementCheck:
    """Result of an absolute requirement.

    Attributes:
        name: name of the metric or figure.
        min: lower bound, if any.
        max: upper bound, if any.
        of: what is compared with the bounds: the `value`, or with `low` the low end of the interval
            with `min` and the high end with `max`.
        holds: whether the candidate meets the requirement.
        words: the result as a reason for the decision.
        value: the candidate's value; None if unknown.
        low: low end of its interval; None if unknown.
        high: high end of its interval; None if unknown.
    """

    name: str
    min: float | None
    max: float | None
    of: str
    holds: bool
    words: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Evidence:
    """Evidence for a decision, check by check; a run stores it in `decision.json`.

    Attributes:
        alpha: significance level of the tests.
        reads: number of candidates judged on these test rows, including this one.
        requirements: results of the absolute requirements.
        slices: results on the required slices.
        contest: comparison with the champion; None if there was none.
        baselines: comparisons with the baselines, if there was no champion.
    """

    alpha: float
    reads: int
    requirements: tuple[RequirementCheck, ...]
    slices: tuple[SliceFound, ...]
    contest: Contest | None = None
    baselines: tuple[Contest, ...] = ()

    @property
    def record(self) -> dict[str, Any]:
        """The evidence as JSON; NaN becomes null."""
        found: dict[str, Any] = json.loads(TypeAdapter(Evidence).dump_json(self))
        if self.contest is None:
            del found["contest"]
        else:
            gain = self.contest.gain
            found["contest"]["gain"] = gain if math.isfinite(gain) else None
        if not self.baselines:
            del found["baselines"]
        return found

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Evidence:
        """Read evidence from its `record`."""
        return TypeAdapter(cls).validate_python(record)


@dataclass(frozen=True)
class CandidateFacts:
    """What the gate knows about a candidate.

    Attributes:
        metrics: metrics on the test rows by name, with `calibration` and the package's figures.
        slices: results on the required slices.
        reads: number of candidates judged on these test rows, including this one.
        why_not: reason why the candidate could not be checked, which rejects it; empty if it was.
        baselines: comparisons with the baselines, for a model without a champion.
    """

    metrics: Mapping[str, Metric]
    slices: tuple[SliceFound, ...] = ()
    reads: int = 0
    why_not: str = ""
    baselines: tuple[Contest, ...] = ()


@dataclass(frozen=True)
class Decision:
    """The outcome for a candidate, with all reasons.

    A challenger meets the rules for promotion but waits for a person's approval.

    Attributes:
        outcome: what happens to the candidate.
        reasons: one line per reason, in the order of the checks.
        by: ground of a promotion; empty if the candidate is not promoted.
        evidence: the results of all checks; None for a decision read from a version's tags.
        seen: the champion the candidate was judged against.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    by: By = ""
    evidence: Evidence | None = field(default=None, compare=False)
    seen: ChampionSeen | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.outcome}: " + "; ".join(self.reasons)

    @property
    def record(self) -> dict[str, Any]:
        """The decision as JSON."""
        said = {"outcome": self.outcome, "by": self.by, "reasons": list(self.reasons)}
        return said | (self.evidence.record if self.evidence else {})


def alpha_for(rules: Gate, reads: int) -> float:
    """Return the significance level: stricter if the test rows have judged many candidates."""
    alpha = 1 - rules.champion.confidence
    return alpha / STRICTER if reads > MANY_READS else alpha


def decide(candidate: CandidateFacts, against: Contest | str | None, rules: Gate) -> Decision:
    """Decide whether to promote, hold or reject a candidate.

    Args:
        candidate: the facts about the candidate.
        against: the comparison with the champion; None without a champion; an error's text if the
            champion could not be looked up, loaded or scored, which rejects.
        rules: section `gate` of the experiment file.
    """
    alpha = alpha_for(rules, candidate.reads)
    evidence = Evidence(
        alpha,
        candidate.reads,
        tuple(_required(candidate, *rule) for rule in rules.require.items()),
        tuple(_slices(candidate.slices, alpha)),
        _contest(against, alpha, rules) if isinstance(against, Contest) else None,
        tuple(_contest(each, alpha, rules) for each in candidate.baselines),
    )

    def decided(outcome: Outcome, *reasons: str, by: By = "") -> Decision:
        return Decision(outcome, reasons, by, evidence)

    checks: list[RequirementCheck | SliceFound] = [*evidence.requirements, *evidence.slices]
    faults = [check.words for check in checks if not check.holds]
    faults += filter(None, [candidate.why_not])
    if isinstance(against, str):
        return decided("reject", *faults, against)
    said: list[str] = []
    if against is not None:
        said = [*_read_words(candidate.reads, alpha), *against.assumed, *_scores(against)]
        if against.rows and against.worse <= alpha:
            which = f"the champion, version {against.champion}"
            faults += [*said, f"worse than {which}: {p_words(against.worse)}"]
    if faults:
        return decided("reject", *faults)
    kept = [check.words for check in evidence.requirements]
    if against is None:
        holds, words = _first_champion(evidence.baselines, alpha)
        if not holds:
            return decided("hold", *kept, *words)
        return decided("promote", *kept, *words, "there was no champion before", by="first")
    version = f"the champion, version {against.champion}"
    if not against.rows:
        return decided("hold", *kept, *said, *_no_rows(against, alpha, rules))
    if against.p <= alpha:
        better = f"better than {version}: {p_words(against.p)}"
        return decided("promote", *kept, *said, better, by="superiority")
    refreshed = _refreshed(against, alpha, rules)
    if refreshed is not None and refreshed.outcome != "hold":
        kept = kept if refreshed.outcome == "promote" else []
        return decided(refreshed.outcome, *kept, *said, *refreshed.reasons, by=refreshed.by)
    more = [] if refreshed is None else [*refreshed.reasons]
    held = f"not shown to be better than {version}: {p_words(against.p)}"
    return decided("hold", *kept, *said, *more, held, *_enough_words(evidence.contest))


def _first_champion(baselines: tuple[Contest, ...], alpha: float) -> tuple[bool, list[str]]:
    """Return whether a candidate can become the first champion, and the reasons.

    It has to be better than the dummy, and not significantly worse than the linear baseline.
    """
    every, said = True, []
    for each in baselines:
        if not each.rows:
            return False, ["every test row was seen by the candidate"]
        mine, theirs = map(number, each.values)
        better = ", lower is better" * lower_is_better(each.metric)
        said.append(f"{each.metric} {mine} against {theirs} of {BASELINES[each.champion]}{better}")
        if each.champion == DUMMY and each.p <= alpha:
            said.append(f"better than the dummy: {p_words(each.p)}")
        elif each.champion == DUMMY:
            every = False
            said.append(f"not shown to be better than the dummy: {p_words(each.p)}")
            said += _enough_words(each)
        elif each.worse <= alpha:
            every = False
            said.append(f"worse than the linear baseline: {p_words(each.worse)}")
            said.append("gate: {baseline: off} leaves out this comparison")
        else:
            said.append(f"not shown to be worse than the linear baseline: {p_words(each.worse)}")
    return every, said


def _refreshed(against: Contest, alpha: float, rules: Gate) -> Decision | None:
    """Decide on a refresh of the champion; None if the candidate is no refresh, or too early."""
    refresh, wanted = against.refresh, rules.champion
    if refresh is None or refresh.days < wanted.fresh_after:
        return None
    if isinstance(refresh.against, str):
        return Decision("reject", (refresh.against,))
    words = tuple(_not_worse_words(each) for each in refresh.against)
    if not refresh.against or not all(each.p <= alpha for each in refresh.against):
        return Decision("hold", words)
    same = f"the champion's recipe on newer data, after {refresh.days:.0f} days"
    return Decision("promote", (*words, same), "non-inferiority")


def _not_worse_words(each: NotWorse) -> str:
    return (
        f"non-inferior to version {each.version} by a margin of {each.margin:.3g}: "
        f"{p_words(each.p)} on {each.rows:,} rows"
    )


def _scores(against: Contest) -> Iterator[str]:
    if not against.rows:
        return
    mine, theirs = against.values
    better = ", lower is better" * lower_is_better(against.metric)
    yield (
        f"{against.metric} {number(mine)} against {number(theirs)} of version {against.champion} "
        f"on {against.rows:,} rows{better}"
    )


def _read_words(reads: int, alpha: float) -> Iterator[str]:
    if reads > MANY_READS:
        yield (f"test rows used to judge {reads} candidates: p must be below {alpha:.3g}")


def _no_rows(against: Contest, alpha: float, rules: Gate) -> Iterator[str]:
    gain = rules.champion.margin
    enough = rows_enough(TYPICAL, gain, alpha)
    yield f"every test row was seen by the candidate or the champion, version {against.champion}"
    yield f"about {enough:,} unseen rows are needed to show a gain of {number(gain, 3)}"


def _enough_words(found: Contest | None) -> Iterator[str]:
    if found is not None and found.enough is not None:
        yield (
            f"too few rows: {found.enough:,} are needed to show a gain of "
            f"{found.shown_gain:.2g} (power 80 %)"
        )


def _contest(against: Contest, alpha: float, rules: Gate) -> Contest:
    margin = margin_of(against.metric, rules.champion.margin, against.values[1])
    found = replace(against, margin=margin)
    deviation = against.deviation
    if not against.rows or not math.isfinite(deviation + against.gain) or deviation <= 0:
        return found
    wanted = max(against.gain, margin)
    if wanted <= 0:
        return found
    power = power_of(deviation, wanted, against.rows, alpha)
    enough = rows_enough(deviation, wanted, alpha)
    missing = enough if enough > against.rows else None
    return replace(found, shown_gain=wanted, power=power, enough=missing)


def _slices(found: tuple[SliceFound, ...], alpha: float) -> Iterator[SliceFound]:
    for each, p in zip(found, holm([each.p for each in found]), strict=True):
        of = "the required" if each.kind == "required" else "the champion's"
        words = (
            f"{each.metric} {number(each.value)} where {each.name} is below {of} "
            f"{number(each.bound)}: {p_words(p)} on {each.rows:,} rows"
        )
        yield replace(each, adjusted_p=p, holds=p is None or not p <= alpha, words=words)


def _required(candidate: CandidateFacts, name: str, bound: Requirement) -> RequirementCheck:
    metric = candidate.metrics.get(name)

    def check(words: str, *, holds: bool = False) -> RequirementCheck:
        figures = (metric.value, metric.low, metric.high) if metric and not metric.why else ()
        return RequirementCheck(name, bound.min, bound.max, bound.of, holds, words, *figures)

    if metric is None:
        return check(f"{name} is required but was not measured")
    if metric.why:
        return check(f"{name} is required but {metric.shown}")
    ends = {"value": (metric.value, metric.value), "low": (metric.low, metric.high)}[bound.of]
    what = (name, name) if bound.of == "value" else (f"{name}'s low end", f"{name}'s high end")
    kept = []
    for value, limit, which, sign in (
        (ends[0], bound.min, what[0], "≥"),
        (ends[1], bound.max, what[1], "≤"),
    ):
        if limit is None:
            continue
        if value is None:
            return check(f"{which} is required but unknown: it has no interval")
        if not (value >= limit if sign == "≥" else value <= limit):
            side = "below" if sign == "≥" else "above"
            return check(f"{which} {number(value)} is {side} the required {limit:g}")
        kept.append((f"{which} {number(value)}", f"{sign} {limit:g}"))
    first = kept[0][0]
    words = f"{first} is " + " and ".join(
        end if start == first else f"{start} is {end}" for start, end in kept
    )
    return check(words, holds=True)
