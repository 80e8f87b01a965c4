"""The gate's decisions depend only on its arguments."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gristmill.pipelines.config.sections import Gate
from gristmill.pipelines.evaluation.metrics.measures import Metric
from gristmill.pipelines.registry.contests import Contest, NotWorse, Refresh, SliceFound
from gristmill.pipelines.registry.gate import (
    MANY_READS,
    CandidateFacts,
    Decision,
    Evidence,
    alpha_for,
    decide,
)

shares = st.floats(0, 1)
numbers = st.floats(-5, 5)


def gate(confidence: float = 0.95, **require: Any) -> Gate:
    return Gate.model_validate({"require": require, "champion": {"confidence": confidence}})


def told(reads: int = 0, **metrics: float) -> CandidateFacts:
    return CandidateFacts({n: Metric(n, v, None, None) for n, v in metrics.items()}, reads=reads)


def against(p: float, metric: str = "accuracy", **more: Any) -> Contest:
    return Contest("3", metric, (0.9, 0.8), p, 200, deviation=0.3, **more)


def refresh(*p: float, days: float = 7) -> Refresh:
    found = [NotWorse(str(i), (0.9, 0.9), 0.01, each, 2000, "") for i, each in enumerate(p, 2)]
    return Refresh(days, tuple(found))


refreshes = st.one_of(
    st.none(),
    st.builds(lambda p, d: refresh(*p, days=d), st.lists(shares, max_size=2), st.floats(0, 30)),
    st.builds(Refresh, st.floats(0, 30), st.text(min_size=1)),
)
contests = st.builds(
    lambda p, worse, rows, kind: replace(against(p, worse=worse, refresh=kind), rows=rows),
    *(shares, shares, st.integers(0, 5000), refreshes),
)
champions = st.one_of(st.none(), st.text(min_size=1), contests)


@given(numbers, numbers, champions)
def test_a_missed_requirement_always_rejects(value: float, bound: float, champion: Any) -> None:
    for rules, broken in (
        (gate(accuracy={"min": bound}), value < bound),
        (gate(accuracy={"max": bound}), value > bound),
    ):
        decision = decide(told(accuracy=value), champion, rules)
        if broken:
            assert decision.outcome == "reject"
            assert str(decision).startswith("reject: accuracy ")
        else:
            assert decision.reasons[0].startswith("accuracy ") or decision.outcome == "reject"


@given(champions)
def test_a_value_that_is_no_number_or_not_measured_fails_its_requirement(champion: Any) -> None:
    for end in ("min", "max"):
        rules = gate(accuracy={end: 0.5})
        assert decide(told(accuracy=float("nan")), champion, rules).outcome == "reject"
        decision = decide(told(), champion, gate(latency_ms={end: 0.5}))
        assert str(decision).startswith("reject: latency_ms is required but was not measured")


def test_an_undefined_metric_fails_its_requirement_with_a_reason() -> None:
    why = "the test rows have a single class"
    candidate = CandidateFacts({"roc_auc": Metric("roc_auc", float("nan"), None, None, why)})
    rules = Gate.model_validate({"require": {"roc_auc": {"max": 0.9}}})
    made = decide(candidate, None, rules)
    assert made.outcome == "reject"
    assert made.reasons == (f"roc_auc is required but undefined: {why}",)
    assert made.record["requirements"][0]["value"] is None


def test_every_missed_requirement_is_a_reason() -> None:
    rules = gate(accuracy={"min": 0.9}, log_loss={"max": 0.1}, brier={"max": 1})
    decision = decide(told(accuracy=0.5, log_loss=0.4, brier=0.3), None, rules)
    assert decision.reasons == (
        "accuracy 0.5 is below the required 0.9",
        "log_loss 0.4 is above the required 0.1",
    )


def test_all_reasons_against_a_candidate_are_listed() -> None:
    worse = decide(told(accuracy=0.5), against(1.0, worse=0.001), gate(accuracy={"min": 0.9}))
    assert worse.reasons[0] == "accuracy 0.5 is below the required 0.9"
    assert worse.reasons[-1] == "worse than the champion, version 3: p = 0.001"
    tiny = decide(told(accuracy=0.5), against(1.0, worse=7.01e-07), gate())
    assert tiny.reasons[-1] == "worse than the champion, version 3: p < 0.001"
    gone = decide(told(accuracy=0.5), "the champion is gone", gate(accuracy={"min": 0.9}))
    assert gone.reasons[1:] == ("the champion is gone",)


def test_a_requirement_can_apply_to_the_cautious_end_of_the_interval() -> None:
    candidate = CandidateFacts({"accuracy": Metric("accuracy", 0.95, 0.92, 0.97)})
    for bound, outcome in ((0.92, "promote"), (0.93, "reject")):
        rules = gate(accuracy={"min": bound, "of": "low"})
        decision = decide(candidate, None, rules)
        assert decision.outcome == outcome
        assert decision.reasons[0].startswith("accuracy's low end 0.92 is ")
    above = decide(candidate, None, gate(accuracy={"max": 0.96, "of": "low"}))
    assert above.reasons == ("accuracy's high end 0.97 is above the required 0.96",)
    unknown = decide(told(accuracy=0.95), None, gate(accuracy={"min": 0.5, "of": "low"}))
    assert unknown.outcome == "reject"
    assert "it has no interval" in unknown.reasons[0]


@given(numbers)
def test_the_first_candidate_that_meets_the_requirements_is_promoted(value: float) -> None:
    decision = decide(told(accuracy=value), None, gate(accuracy={"min": -10, "max": 10}))
    assert (decision.outcome, decision.by) == ("promote", "first")
    assert decision.reasons == (
        f"accuracy {value:.4g} is ≥ -10 and ≤ 10",
        "there was no champion before",
    )


def baselines(better: float, worse: float, metric: str = "accuracy", **more: Any) -> Any:
    """Return comparisons with both baselines, on 200 rows."""
    made = Contest("dummy", metric, (0.6, 0.5), better, 200, deviation=0.5)
    linear = Contest("linear", metric, (0.6, 0.7), 0.9, 200, worse=worse, deviation=0.5)
    return tuple(replace(each, **more) for each in (made, linear))


@given(shares, shares, st.floats(0.51, 0.99))
def test_a_first_champion_is_better_than_the_dummy_and_not_worse_than_the_linear_model(
    better: float, worse: float, confidence: float
) -> None:
    rules = gate(confidence)
    decision = decide(replace(told(), baselines=baselines(better, worse)), None, rules)
    alpha = alpha_for(rules, 0)
    enough = better <= alpha and not worse <= alpha
    assert decision.outcome == ("promote" if enough else "hold")
    assert decision.by == ("first" if enough else "")
    assert "accuracy 0.6 against 0.5 of the dummy" in decision.reasons
    assert "accuracy 0.6 against 0.7 of the linear baseline" in decision.reasons
    assert max(map(len, decision.reasons)) <= 76
    assert not any("; " in reason for reason in decision.reasons)


def test_a_first_candidate_that_is_held_names_the_rows_that_would_be_enough() -> None:
    made = decide(replace(told(), baselines=baselines(0.2, 1.0, rows=100)), None, gate())
    assert made.reasons == (
        "accuracy 0.6 against 0.5 of the dummy",
        "not shown to be better than the dummy: p = 0.200",
        "too few rows: 153 are needed to show a gain of 0.1 (power 80 %)",
        "accuracy 0.6 against 0.7 of the linear baseline",
        "not shown to be worse than the linear baseline: p = 1.000",
    )
    assert made.record["baselines"][0]["enough"] == 153
    none = decide(replace(told(), baselines=baselines(1.0, 1.0, rows=0)), None, gate())
    assert (none.outcome, none.reasons) == ("hold", ("every test row was seen by the candidate",))
    worse = decide(replace(told(), baselines=baselines(0.001, 0.01)), None, gate())
    assert worse.reasons[-2:] == (
        "worse than the linear baseline: p = 0.010",
        "gate: {baseline: off} leaves out this comparison",
    )
    assert worse.evidence is not None
    assert Evidence.read(json.loads(json.dumps(worse.record))).baselines == worse.evidence.baselines


def test_a_first_candidate_that_misses_a_requirement_is_rejected_whatever_the_baselines() -> None:
    candidate = replace(told(accuracy=0.5), baselines=baselines(1.0, 0.0))
    decision = decide(candidate, None, gate(accuracy={"min": 0.9}))
    assert decision.outcome == "reject"
    assert decision.reasons == ("accuracy 0.5 is below the required 0.9",)


@pytest.mark.parametrize("text", ["off", "no", "false", "'off'"])
def test_the_comparison_with_the_linear_baseline_can_be_switched_off(text: str) -> None:
    assert Gate.model_validate(yaml.safe_load(f"baseline: {text}")).baseline is False
    assert Gate.model_validate(yaml.safe_load("baseline: on")).baseline is Gate().baseline is True


@given(st.text())
def test_a_champion_that_cannot_be_compared_rejects(why: str) -> None:
    decision = decide(told(accuracy=1.0), why, gate(accuracy={"min": 0.5}))
    assert (decision.outcome, decision.reasons) == ("reject", (why,))


@given(st.one_of(st.none(), contests))
def test_a_candidate_with_a_failed_lookup_is_rejected(champion: Any) -> None:
    decision = decide(replace(told(), why_not="no column shop"), champion, gate())
    assert (decision.outcome, decision.reasons[0]) == ("reject", "no column shop")


@given(shares, st.floats(0.51, 0.99))
def test_a_small_p_promotes_and_any_other_holds(p: float, confidence: float) -> None:
    decision = decide(told(), against(p), gate(confidence))
    assert decision.outcome == ("promote" if p <= 1 - confidence else "hold")
    assert decision.by == ("superiority" if p <= 1 - confidence else "")
    assert "accuracy 0.9 against 0.8 of version 3 on 200 rows" in decision.reasons


def test_a_p_that_is_no_number_holds() -> None:
    assert decide(told(), against(float("nan")), gate()).outcome == "hold"


@given(shares, shares)
def test_a_candidate_is_rejected_as_worse_only_if_that_is_significant(
    p: float, worse: float
) -> None:
    decision = decide(told(), against(p, worse=worse), gate())
    assert (decision.outcome == "reject") == (worse <= alpha_for(gate(), 0))


@given(st.lists(shares, min_size=1, max_size=2), st.floats(0, 30), st.floats(0.06, 1))
def test_the_same_recipe_is_promoted_if_it_is_not_worse_than_champion_and_anchor(
    p: list[float], days: float, better: float
) -> None:
    decision = decide(told(), against(better, refresh=refresh(*p, days=days)), gate())
    promoted = days >= 7 and max(p) <= alpha_for(gate(), 0)
    assert decision.outcome == ("promote" if promoted else "hold")
    assert decision.by == ("non-inferiority" if promoted else "")


def test_a_missing_anchor_rejects_a_refresh_but_not_a_better_model() -> None:
    gone = Refresh(7, "the anchor is gone")
    assert decide(told(), against(0.5, refresh=gone), gate()).reasons[-1] == "the anchor is gone"
    assert decide(told(), against(0.5, refresh=gone), gate()).outcome == "reject"
    assert decide(told(), against(0.01, refresh=gone), gate()).outcome == "promote"


@given(contests, st.integers(0, 100))
def test_more_reads_of_the_same_rows_never_make_a_promotion_easier(
    champion: Contest, reads: int
) -> None:
    few, many = (decide(told(reads=n), champion, gate()) for n in (reads, MANY_READS + 1))
    if many.outcome == "promote":
        assert few.outcome in ("promote", "reject")
    if reads > MANY_READS and champion.rows:
        assert f"test rows used to judge {reads} candidates" in " ".join(few.reasons)


def test_after_twenty_reads_a_tenth_of_alpha_decides() -> None:
    for reads, outcome in ((MANY_READS, "promote"), (MANY_READS + 1, "hold")):
        decision = decide(told(reads=reads), against(0.01), gate())
        assert decision.outcome == outcome
        assert decision.record["reads"] == reads
    assert decide(told(reads=99), against(0.004), gate()).outcome == "promote"


def found(p: float, name: str = "shop=a", kind: Any = "champion") -> SliceFound:
    return SliceFound(name, kind, 60, "accuracy", 0.7, 0.9, p)


def test_a_required_slice_rejects_only_if_it_is_significantly_low_after_correction() -> None:
    for p, outcome in ((0.02, "reject"), (0.03, "promote")):
        pair = (found(p), found(0.5, "shop=b", "required"))
        decision = decide(replace(told(), slices=pair), None, gate())
        assert decision.outcome == outcome, p
    decision = decide(replace(told(), slices=(found(0.001),)), against(0.001), gate())
    assert decision.reasons == (
        "accuracy 0.7 where shop=a is below the champion's 0.9: p = 0.001 on 60 rows",
    )


def test_a_hold_names_the_number_of_rows_that_would_be_enough() -> None:
    held = decide(told(), replace(against(0.2), values=(0.82, 0.8), deviation=0.1**0.5), gate())
    assert held.reasons[-1] == "too few rows: 1,544 are needed to show a gain of 0.02 (power 80 %)"
    assert held.record["contest"]["enough"] == 1544
    none = decide(told(), replace(against(1.0), rows=0), gate())
    assert none.outcome == "hold"
    assert none.reasons == (
        "every test row was seen by the candidate or the champion, version 3",
        "about 6,181 unseen rows are needed to show a gain of 0.01",
    )


def test_a_hold_on_enough_rows_asks_for_no_more() -> None:
    held = decide(told(), replace(against(0.5), values=(0.9, 0.9), rows=9000), gate())
    assert held.record["contest"]["enough"] is None
    assert held.record["contest"]["power"] > 0.8
    assert held.reasons[-1].startswith("not shown to be better")


@given(numbers, st.one_of(st.none(), numbers), champions, st.floats(0.51, 0.99))
def test_every_outcome_has_reasons_that_fit_on_a_narrow_screen_and_into_a_tag(
    value: float, bound: float | None, champion: Any, confidence: float
) -> None:
    require = {} if bound is None else {"accuracy": {"min": bound}}
    decision = decide(told(reads=21, accuracy=value), champion, gate(confidence, **require))
    assert decision.reasons
    assert all(decision.reasons)
    if isinstance(champion, Contest) and not isinstance(
        champion.refresh and champion.refresh.against, str
    ):
        assert max(map(len, decision.reasons)) <= 76
        assert not any("; " in reason for reason in decision.reasons)


@given(numbers, champions, st.integers(0, 40))
def test_a_decision_is_stored_as_json_and_depends_only_on_its_arguments(
    value: float, champion: Any, reads: int
) -> None:
    rules = gate(accuracy={"min": 0.5}, megabytes={"max": 3})
    candidate = replace(told(reads=reads, accuracy=value, megabytes=1.0), slices=(found(0.2),))
    decision = decide(candidate, champion, rules)
    assert decision == decide(candidate, champion, rules)
    again = json.loads(json.dumps(decision.record, allow_nan=False))
    assert again["reasons"] == list(decision.reasons)
    assert again["requirements"][0]["value"] == value
    assert again["slices"][0]["p"] == 0.2
    if isinstance(champion, Contest):
        assert again["contest"]["p"] == champion.p


def test_reasons_mention_if_lower_is_better() -> None:
    assert any("lower is better" in r for r in decide(told(), against(0.5, "mae"), gate()).reasons)
    plain = decide(told(), against(0.5, "accuracy"), gate()).reasons
    assert not any("is better" in reason for reason in plain)


def test_a_decision_is_shown_as_one_line() -> None:
    assert str(Decision("hold", ("one", "two"))) == "hold: one; two"


def test_evidence_of_an_undefined_metric_is_unknown_and_never_zero() -> None:
    undefined = replace(against(1.0), values=(float("nan"), 0.5), deviation=float("nan"))
    decision = decide(told(), undefined, gate())
    assert decision.outcome == "hold"
    assert decision.record["contest"]["values"][0] is None
    assert np.isnan(undefined.gain)


@pytest.mark.parametrize(("reads", "alpha"), [(0, 0.05), (20, 0.05), (21, 0.005)])
def test_alpha_depends_on_the_confidence_and_the_reads(reads: int, alpha: float) -> None:
    assert alpha_for(gate(), reads) == pytest.approx(alpha)


@given(champions, shares)
def test_a_decision_stored_by_a_run_is_read_back_unchanged(champion: Any, p: float) -> None:
    slices = (SliceFound("a=b", "champion", 9, "mae", float("nan"), 0.5, p),)
    candidate = replace(told(accuracy=float("nan"), mae=1.0), slices=slices)
    rules = gate(accuracy={"min": 0.5}, mae={"max": 2}, unknown={"min": 0})
    kept = json.loads(json.dumps(decide(candidate, champion, rules).record))
    assert {"outcome", "by", "reasons"} <= kept.keys()
    found = Evidence.read(kept)
    assert {**kept, **found.record} == kept
