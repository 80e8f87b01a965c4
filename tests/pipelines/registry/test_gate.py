"""The gate: a pure function of a candidate, a champion and the rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config import Gate
from pipelines.evaluation import Predictions
from pipelines.registry import Contest, contest, decide

numbers = st.floats(-10, 10)
shares = st.floats(0, 1)


def gate(confidence: float = 0.95, **require: Any) -> Gate:
    return Gate.model_validate({"require": require, "champion": {"confidence": confidence}})


def against(p: float, metric: str = "accuracy") -> Contest:
    return Contest("3", metric, (0.9, 0.8), p, 200)


champions = st.one_of(st.none(), st.text(min_size=1), st.builds(against, p=shares))


@given(numbers, numbers, champions)
def test_a_broken_requirement_always_rejects(value: float, bound: float, champion: Any) -> None:
    for rules, broken in (
        (gate(accuracy={"min": bound}), value < bound),
        (gate(accuracy={"max": bound}), value > bound),
    ):
        decision = decide({"accuracy": value}, rules, champion)
        if broken:
            assert decision.outcome == "reject"
            assert str(decision).startswith("reject: accuracy ")
        elif not isinstance(champion, str):
            assert decision.outcome != "reject"


@given(champions)
def test_a_metric_that_is_no_number_breaks_its_requirement(champion: Any) -> None:
    for end in ("min", "max"):
        decision = decide({"accuracy": float("nan")}, gate(accuracy={end: 0.5}), champion)
        assert decision.outcome == "reject"


def test_every_broken_requirement_is_a_reason() -> None:
    rules = gate(accuracy={"min": 0.9}, log_loss={"max": 0.1}, brier={"max": 1})
    decision = decide({"accuracy": 0.5, "log_loss": 0.4, "brier": 0.3}, rules, None)
    assert decision.reasons == (
        "accuracy 0.5 is below the required 0.9",
        "log_loss 0.4 is above the required 0.1",
    )


@given(numbers)
def test_the_first_candidate_that_holds_the_requirements_is_promoted(value: float) -> None:
    decision = decide({"accuracy": value}, gate(accuracy={"min": -10, "max": 10}), None)
    assert decision.outcome == "promote"
    assert decision.reasons == (
        f"accuracy {value:.4g} is ≥ -10 and ≤ 10",
        "there is no champion yet",
    )


@given(st.text())
def test_a_champion_that_cannot_be_compared_rejects(why: str) -> None:
    decision = decide({"accuracy": 1.0}, gate(accuracy={"min": 0.5}), why)
    assert (decision.outcome, decision.reasons) == ("reject", (why,))


@given(shares, st.floats(0.51, 0.99))
def test_a_small_p_promotes_and_any_other_holds(p: float, confidence: float) -> None:
    decision = decide({}, gate(confidence), against(p))
    assert decision.outcome == ("promote" if p <= 1 - confidence else "hold")
    assert "accuracy 0.9 against 0.8 of version 3 on 200 rows" in decision.reasons[-1]


def test_a_p_that_is_no_number_holds() -> None:
    assert decide({}, gate(), against(float("nan"))).outcome == "hold"


@given(numbers, st.one_of(st.none(), numbers), champions, st.floats(0.51, 0.99))
def test_every_outcome_has_a_reason(
    value: float, bound: float | None, champion: Any, confidence: float
) -> None:
    require = {} if bound is None else {"accuracy": {"min": bound}}
    decision = decide({"accuracy": value}, gate(confidence, **require), champion)
    assert decision.reasons
    assert all(decision.reasons)


@pytest.mark.parametrize(
    ("metric", "better"), [("accuracy", "higher is better"), ("log_loss", "lower is better")]
)
def test_reasons_say_which_way_is_better(metric: str, better: str) -> None:
    assert better in decide({}, gate(), against(0.5, metric)).reasons[-1]


def predictions(right: list[int]) -> Predictions:
    """Of two classes; the truth is always the first one."""
    outputs = np.array([[0.9, 0.1] if r else [0.1, 0.9] for r in right])
    rows = len(right)
    return Predictions(np.arange(rows), np.zeros(rows, dtype=int), outputs, ("a", "b"))


def test_a_contest_compares_the_same_rows_in_the_same_order() -> None:
    candidate, champion = predictions([1] * 10 + [0] * 2), predictions([0] * 10 + [1] * 2)
    made = contest("4", "accuracy", candidate, champion)
    assert (made.champion, made.metric, made.rows) == ("4", "accuracy", 12)
    assert made.values == pytest.approx((10 / 12, 2 / 12))
    assert made.p == pytest.approx((1 + 12 + 66 / 2) / 4096)
    back = contest("4", "accuracy", champion, candidate)
    assert made.p + back.p == pytest.approx(1)


def test_a_contest_of_equals_holds() -> None:
    same = predictions([1, 0, 1, 1] * 20)
    for metric in ("accuracy", "log_loss", "f1_macro"):
        decision = decide({}, gate(), contest("1", metric, same, same))
        assert decision.outcome == "hold"


def test_a_contest_of_values_goes_by_its_error() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=80)
    near, far = (
        Predictions(np.arange(80), truth, truth + rng.normal(0, s, 80), None) for s in (0.1, 1)
    )
    assert decide({}, gate(), contest("1", "rmse", near, far)).outcome == "promote"
    assert decide({}, gate(), contest("1", "rmse", far, near)).outcome == "hold"


def test_rows_that_the_candidate_was_trained_on_decide_nothing() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 60)
    twin = np.arange(60) < 20
    identity = np.arange(60, dtype=np.uint64)
    mine, theirs = (np.eye(2)[rng.integers(0, 2, 60)] for _ in range(2))
    mine[twin] = np.eye(2)[truth[twin]]  # it knows them by heart
    candidate = Predictions(identity, truth, mine, ("no", "yes"), twin)
    champion = Predictions(identity, truth, theirs, ("no", "yes"))
    whole, kept = (p.rows(~twin) for p in (candidate, champion))
    assert contest("1", "accuracy", candidate, champion) == contest("1", "accuracy", whole, kept)
    assert contest("1", "accuracy", candidate, champion).rows == 40
