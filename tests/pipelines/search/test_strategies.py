"""Points proposed by the strategies depend only on the results reported to them."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import make_project, write_experiment

from gristmill.pipelines.base.errors import EnvironmentFault
from gristmill.pipelines.config.experiment import Experiment
from gristmill.pipelines.config.section import Scalar
from gristmill.pipelines.config.sections import Distribution, Search
from gristmill.pipelines.search.bayesian import Bayesian
from gristmill.pipelines.search.space import Proposal, draws, identify
from gristmill.pipelines.search.strategies import Halving, Hyperband, Strategy, rungs, strategy_of
from gristmill.pipelines.training.trial import TrialResult

BASE = TrialResult("k", "finished", 3, 3, False, 2, {}, {}, 10, 0.0, 0.0)
SPACE = {
    "learning_rate": Distribution(log_uniform=(1e-4, 1e-1)),
    "units": Distribution(int=(16, 128, 16)),
    "activation": Distribution(choice=("relu", "tanh")),
}

bounds = st.tuples(st.integers(-50, 50), st.integers(1, 60)).map(lambda p: (p[0], p[0] + p[1]))
distributions = st.one_of(
    bounds.map(lambda b: Distribution(uniform=tuple(map(float, b)))),
    bounds.map(lambda b: Distribution(int=b)),
    st.tuples(bounds, st.integers(1, 9)).map(
        lambda p: Distribution(int=(p[0][0], p[0][0] + 9, p[1]))
    ),
    bounds.map(lambda b: Distribution(log_int=(b[0] + 51, b[1] + 51))),
    bounds.map(lambda b: Distribution(log_uniform=(2.0 ** b[0], 2.0 ** b[1]))),
    st.lists(st.one_of(st.integers(0, 5), st.booleans(), st.text(max_size=3)), min_size=1).map(
        lambda values: Distribution(choice=tuple({(type(v), v): v for v in values}.values()))
    ),
)
spaces = st.dictionaries(st.sampled_from("abcd"), distributions, min_size=1, max_size=4)


@given(distributions, st.floats(0, 1, exclude_max=True))
def test_a_sampled_value_is_in_its_range_and_can_be_typed_again(
    values: Distribution, share: float
) -> None:
    drawn = values.at(share)
    assert values.read(str(drawn)) == drawn
    if values.choice is not None:
        assert drawn in values.choice
        return
    low, high, *step = values.bounds
    assert isinstance(drawn, int | float)
    assert low <= drawn <= high
    assert isinstance(drawn, int) == (values.kind in ("int", "log_int"))
    if step:
        assert (drawn - low) % step[0] == 0
    if values.kind in ("uniform", "log_uniform"):
        assert values.at(min(share + 0.3, 0.999)) >= drawn  # type: ignore[operator]


@given(spaces, st.integers(0, 99), st.integers(1, 30))
def test_more_samples_keep_the_first_ones_and_no_point_occurs_twice(
    space: dict[str, Distribution], seed: int, count: int
) -> None:
    few, more = (list(islice(draws(space, seed), n)) for n in (count, 2 * count))
    assert more[: len(few)] == few
    assert len({identify(point) for point in more}) == len(more)
    size = math.prod(values.size for values in space.values())
    assert len(few) <= size
    if size < math.inf and size <= 12:
        assert len(list(draws(space, seed))) == size


@given(spaces, st.integers(0, 9))
def test_an_added_parameter_does_not_change_the_samples_of_the_others(
    space: dict[str, Distribution], seed: int
) -> None:
    wider = {**space, "z": Distribution(uniform=(0.0, 1.0))}
    with_it = [{k: v for k, v in p.items() if k != "z"} for p in islice(draws(wider, seed), 40)]
    for point in islice(draws(space, seed), 5):
        assert point in with_it or math.prod(v.size for v in space.values()) < 40


def test_another_seed_gives_other_samples() -> None:
    first, second = (list(islice(draws(SPACE, seed), 5)) for seed in (0, 1))
    assert not [point for point in first if point in second]


def ended(candidate: Proposal, score: float | None) -> TrialResult:
    """Return the result of a candidate; None as score means that it failed."""
    key = repr(identify(candidate.values))
    if score is None:
        return replace(BASE, key=key, status="failed", error="diverged")
    return replace(BASE, key=key, scores={"val_accuracy": score, "val_loss": 0.5})


def score_of(candidate: Proposal, fails: bool = True) -> float | None:
    """Return a score from the point and the budget; one in eight fails, many are equal."""
    rng = random.Random(repr(identify(candidate.values)))
    quality = rng.choice([0.1, 0.3, 0.3, 0.5, 0.7, 0.7, 0.8, None if fails else 0.9])
    epochs = candidate.epochs or 9
    return quality and round(quality * epochs / (epochs + 1), 1)


def carried_out(
    strategy: Strategy, workers: int = 1, seed: int = 0, fails: bool = True
) -> list[tuple[Proposal, TrialResult]]:
    """Run all proposals of a strategy with parallel workers that finish in random order."""
    rng = random.Random(seed)
    running: list[Proposal] = []
    done = []
    while True:
        while len(running) < workers and (candidate := strategy.ask()) is not None:
            running.append(candidate)
        if not running:
            return done
        over = running.pop(rng.randrange(len(running)))
        result = ended(over, score_of(over, fails))
        strategy.tell(over, result)
        done.append((over, result))


def asked_of(done: list[tuple[Proposal, TrialResult]]) -> Counter[tuple[Any, ...]]:
    return Counter((identify(c.values), c.epochs) for c, _ in done)


@given(st.integers(1, 200), st.integers(1, 20), st.integers(2, 5))
def test_rungs_increase_to_the_whole_budget_and_none_is_below_the_minimum(
    epochs: int, least: int, factor: int
) -> None:
    budgets = rungs(epochs, least, factor)
    assert budgets[-1] == epochs
    assert budgets == sorted(set(budgets))
    assert all(budget >= least for budget in budgets[:-1])
    assert budgets[0] / factor < least + 1 or epochs <= least


def points(count: int) -> list[Mapping[str, Scalar]]:
    return [{"x": i} for i in range(count)]


@given(st.integers(1, 40), st.integers(1, 81), st.integers(2, 4), st.integers(1, 3), st.data())
def test_the_best_share_of_each_rung_is_promoted(
    count: int, epochs: int, factor: int, workers: int, data: st.DataObject
) -> None:
    budgets = rungs(epochs, 1, factor)
    strategy = Halving(points(count), budgets, factor, "val_accuracy")
    done = carried_out(strategy, workers, data.draw(st.integers(0, 99)))
    assert len(done) <= strategy.size
    for rung, budget in enumerate(budgets):
        here = {c.values["x"]: r for c, r in done if c.epochs == budget}
        if rung + 1 == len(budgets):
            break
        going = {c.values["x"] for c, _ in done if c.epochs == budgets[rung + 1]}
        finished = [(x, r.scores["val_accuracy"], r.key) for x, r in here.items() if r.scores]
        best = sorted(finished, key=lambda e: (-e[1], e[2]))[: max(len(here) // factor, 1)]
        assert going == {x for x, *_ in best}


@pytest.mark.parametrize(
    ("budgets", "expected"),
    [
        (
            [1, 3, 9, 27, 81],
            [
                {1: 81, 3: 27, 9: 9, 27: 3, 81: 1},
                {3: 34, 9: 11, 27: 3, 81: 1},
                {9: 15, 27: 5, 81: 1},
                {27: 8, 81: 2},
                {81: 5},
            ],
        ),
        ([3, 9], [{3: 3, 9: 1}, {9: 2}]),
    ],
)
def test_the_brackets_equal_those_of_the_paper(
    budgets: list[int], expected: list[dict[int, int]]
) -> None:
    strategy = Hyperband(iter(points(999)), budgets, 3, "val_accuracy")
    done = carried_out(strategy, fails=False)
    counted = Counter(candidate.epochs for candidate, _ in done)
    assert counted == sum((Counter(bracket) for bracket in expected), Counter())
    assert strategy.size == counted.total()


def experiment_of(folder: Path, strategy: str, **search: Any) -> Experiment:
    space = {
        "learning_rate": {"log_uniform": [1e-4, 1e-1]},
        "units": {"int": [4, 32, 4]},
    }
    wanted = {"strategy": strategy, "space": space, **search}
    return write_experiment(make_project(folder), search=wanted, training={"epochs": 27})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("places")


EVERY = [
    ("random", {"max_trials": 12}),
    ("bayesian", {"max_trials": 18, "parallel": 3}),
    ("bayesian", {"max_trials": 9, "sampler": "qmc"}),
    ("halving", {"max_trials": 14, "min_epochs": 3}),
    ("hyperband", {"min_epochs": 3, "seed": 5}),
]


@pytest.mark.parametrize(("name", "settings_"), EVERY)
def test_results_do_not_depend_on_the_finishing_order_or_the_number_of_workers(
    place: Path, name: str, settings_: dict[str, Any]
) -> None:
    experiment = experiment_of(place / f"{name} {sorted(settings_)}", name, **settings_)
    alone = asked_of(carried_out(strategy_of(experiment)))
    assert max(alone.values()) == 1
    most = settings_.get("max_trials")
    if name in ("random", "bayesian"):
        assert alone.total() == most
    for workers in (2, 3, 7):
        for seed in range(3):
            assert asked_of(carried_out(strategy_of(experiment), workers, seed)) == alone


def test_the_first_proposals_stay_when_more_are_requested(place: Path) -> None:
    few, more = (
        carried_out(strategy_of(experiment_of(place / f"{n}", "bayesian", max_trials=n)))
        for n in (14, 17)
    )
    assert [c for c, _ in more][:14] == [c for c, _ in few]


def bayesian(past: list[tuple[Mapping[str, Scalar], float]] | None = None) -> Bayesian:
    search = Search(
        strategy="bayesian", space={"x": Distribution(uniform=(0.0, 1.0))}, max_trials=30
    )
    return Bayesian(search, search.varied, "val_accuracy", past or [])


def test_a_sampler_learns_from_its_results_and_from_earlier_ones() -> None:
    def found(strategy: Strategy) -> list[float]:
        values = []
        while (candidate := strategy.ask()) is not None:
            x = float(candidate.values["x"])
            values.append(abs(x - 0.7))
            strategy.tell(candidate, ended(candidate, 1 - abs(x - 0.7)))
        return values

    alone = found(bayesian())
    assert sorted(alone[15:])[7] < sorted(alone[:10])[4]
    past = [({"x": i / 40}, 1 - abs(i / 40 - 0.7)) for i in range(40)]
    taught = found(bayesian([*past, ({"x": 3.0}, 9.0), ({"y": 0.1}, 9.0)]))
    assert sorted(taught[:10])[4] < sorted(alone[:10])[4]


@given(st.integers(1, 12), st.integers(1, 5))
@settings(max_examples=10)
def test_a_small_space_is_exhausted_and_no_point_occurs_twice(most: int, parallel: int) -> None:
    search = Search(
        strategy="bayesian",
        space={"a": ("x", "y", "z"), "b": (1, 2)},
        max_trials=most,
        parallel=parallel,
    )
    done = carried_out(Bayesian(search, search.varied, "val_accuracy"), 2)
    assert len(done) == min(most, 6)
    assert max(asked_of(done).values()) == 1


@pytest.mark.parametrize(("sampler", "package"), [("gp", "torch"), ("cmaes", "cmaes")])
def test_a_missing_package_of_a_sampler_is_named(sampler: Any, package: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    search = Search(strategy="bayesian", space={"a": (1, 2)}, max_trials=3, sampler=sampler)
    with pytest.raises(EnvironmentFault, match=rf"the package {package}\n.*\n.*uv pip install"):
        Bayesian(search, search.varied, "val_accuracy")


def test_a_parameter_set_on_the_command_line_is_removed_from_the_space(place: Path) -> None:
    experiment = experiment_of(place / "fixed", "random", max_trials=5)
    fixed = replace(experiment, overrides={"units": 8})
    both, one = ([c.values for c, _ in carried_out(strategy_of(e))] for e in (experiment, fixed))
    assert [set(values) for values in one] == [{"learning_rate"}] * 5
    assert [v["learning_rate"] for v in one] == [v["learning_rate"] for v in both]
