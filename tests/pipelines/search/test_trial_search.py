"""A search that is stopped at any point and started again proposes the same trials."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import DIGEST, make_data, make_project, run_search, write_experiment

from gristmill.pipelines.base.errors import EnvironmentFault
from gristmill.pipelines.config.experiment import Experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.search.trial_plans import train_fed
from gristmill.pipelines.search.trial_search import Past, TrialPlan, TrialSearch
from gristmill.pipelines.training.identity import Trial, shared_parts, trials_at
from gristmill.pipelines.training.trial import TrialResult
from gristmill.pipelines.workers.pool import Pool

BASE = TrialResult("k", "finished", 3, 3, False, 2, {}, {}, 10, 0.0, 0.0)
SPACE = {"learning_rate": {"log_uniform": [1e-3, 1e-1]}, "units": {"int": [4, 16, 4]}}

Ledger = dict[tuple[str, int], TrialResult]

EVERY: list[dict[str, Any]] = [
    {"strategy": "grid", "grid": {"units": [4, 6, 8], "learning_rate": [0.01, 0.1]}},
    {"strategy": "grid", "grid": {"units": [4, 6]}, "repeats": 3},
    {"strategy": "random", "space": SPACE, "max_trials": 7},
    {"strategy": "bayesian", "space": SPACE, "max_trials": 12, "parallel": 3},
    {"strategy": "bayesian", "space": SPACE, "max_trials": 6, "parallel": 2, "repeats": 2},
    {"strategy": "halving", "space": SPACE, "max_trials": 9},
    {"strategy": "halving", "grid": {"units": [4, 6, 8, 10]}, "factor": 2, "min_epochs": 4},
    {"strategy": "hyperband", "space": SPACE},
]


def experiment_of(home: Project, search: dict[str, Any], **changes: Any) -> Experiment:
    training = {"epochs": 9, **changes.pop("training", {})}
    return write_experiment(home, "tiny", search=search, training=training, **changes)


def searched(experiment: Experiment, ledger: Ledger, past: Past | None = None) -> TrialSearch:
    """Return a search whose ledger is a mapping of keys and budgets."""

    def look(asked: Sequence[Trial]) -> list[TrialPlan]:
        found = [ledger.get((trial.key, trial.epochs)) for trial in asked]
        return [
            TrialPlan(trial, "known" if known else "new", "", known, "")
            for trial, known in zip(asked, found, strict=True)
        ]

    return TrialSearch(experiment, shared_parts(experiment, DIGEST), look, lambda key: past or [])


def ended(trial: Trial, fails: bool = True) -> TrialResult:
    """Return a result that depends on a trial's settings and budget; many are equal, 1 in 8 fails.

    It does not depend on the key: that includes the code, and some keys would fail every trial.
    """
    about = sorted(trial.recipe.parameters.items()), trial.recipe.training.seed, trial.fold
    rng = random.Random(str(about))
    quality = rng.choice([0.2, 0.4, 0.4, 0.6, 0.6, 0.7, 0.8, None if fails else 0.5])
    here = replace(BASE, key=trial.key, budget=trial.epochs, epochs=trial.epochs)
    if quality is None:
        return replace(here, status="failed", error="diverged")
    scores = {"val_accuracy": quality + trial.epochs / 100, "val_loss": 0.5}
    return replace(here, scores=scores)


def carried_out(
    search: TrialSearch,
    ledger: Ledger,
    workers: int,
    seed: int,
    stop: int = 10**6,
    fails: bool = True,
) -> list[tuple[str, int]]:
    """Train at most `stop` trials in parallel, finishing in any order; return those trained."""
    rng = random.Random(seed)
    running: list[Trial] = []
    trained = []
    search.begin()
    while True:
        while len(running) < workers and (trial := search.next()) is not None:
            assert trial.key not in {other.key for other in running}
            running.append(trial)
        if not running or len(trained) == stop:
            return trained
        over = running.pop(rng.randrange(len(running)))
        result = ended(over, fails)
        if result.status == "finished":
            ledger[over.key, over.epochs] = result
        trained.append((over.key, over.epochs))
        search.take(over, result)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("searches") / "project")


@pytest.mark.parametrize("wanted", EVERY)
@given(data=st.data())
@settings(max_examples=6)
def test_a_stopped_search_continues_as_if_it_had_not_been_stopped(
    home: Project, wanted: dict[str, Any], data: st.DataObject
) -> None:
    experiment = experiment_of(home, wanted)
    whole: Ledger = {}
    search = searched(experiment, whole)
    at_once = carried_out(search, whole, 1, 0)
    assert len(set(at_once)) == len(at_once)
    ledger: Ledger = {}
    for _ in range(3):
        workers, seed, stop = (data.draw(st.integers(1, most)) for most in (3, 99, len(at_once)))
        done = carried_out(searched(experiment, ledger), ledger, workers, seed, stop)
        assert not [one for one in done if one not in at_once]
    last = searched(experiment, ledger)
    carried_out(last, ledger, 2, 7)
    assert ledger == whole
    assert last.winner.trial.key == search.winner.trial.key
    assert last.winner.result.scores == search.winner.result.scores
    again = searched(experiment, ledger)
    failed = {one for one in at_once if one not in whole}
    assert set(carried_out(again, ledger, 1, 0)) == failed
    assert again.identity == search.identity


@pytest.mark.parametrize("wanted", EVERY)
def test_only_a_sampler_receives_earlier_points(home: Project, wanted: dict[str, Any]) -> None:
    past: Past = [({"learning_rate": 0.01, "units": 8}, 0.5)]
    search = searched(experiment_of(home, wanted), {}, past)
    carried_out(search, {}, 1, 0)
    assert search.past == (past if wanted["strategy"] == "bayesian" else [])


@pytest.mark.parametrize("wanted", EVERY)
def test_if_everything_is_known_nothing_is_left_to_train(
    home: Project, wanted: dict[str, Any]
) -> None:
    experiment = experiment_of(home, wanted)
    ledger: Ledger = {}
    first = searched(experiment, ledger)
    first.advance()
    assert first.trains
    assert first.remaining > 0 or not experiment.document.search.is_adaptive
    asked_at_first = len(first.plans) + first.remaining
    carried_out(first, ledger, 2, 1, fails=False)
    assert len(ledger) == asked_at_first
    again = searched(experiment, ledger)
    again.advance()
    assert not again.trains
    assert again.remaining == 0
    assert [plan.state for plan in again.plans] == ["known"] * len(ledger)
    assert again.winner == first.winner


def test_a_larger_trial_count_trains_only_the_new_trials(home: Project) -> None:
    for wanted in (EVERY[2], EVERY[3]):
        ledger: Ledger = {}
        few = carried_out(searched(experiment_of(home, wanted), ledger), ledger, 2, 3)
        wider = experiment_of(home, {**wanted, "max_trials": wanted["max_trials"] + 4})
        more = carried_out(searched(wider, dict(ledger)), ledger, 2, 4)
        failed = [one for one in few if one not in ledger]
        assert len([one for one in more if one not in few]) == 4
        assert set(more) & set(few) <= set(failed)


def test_a_point_with_several_seeds_is_scored_by_their_mean_and_its_first_seed_is_used(
    home: Project,
) -> None:
    experiment = experiment_of(home, EVERY[1], training={"seed": 7})
    search = searched(experiment, {})
    search.advance()
    first, second = (search.plans[i : i + 3] for i in (0, 3))
    for place, plan in enumerate([*first, *second]):
        score = [0.9, 0.3, 0.3, 0.6, 0.6, 0.7][place]
        result = replace(ended(plan.trial, False), scores={"val_accuracy": score})
        search.take(plan.trial, result)
    assert [plan.trial.recipe.training.seed for plan in first] == [7, 8, 9]
    assert [plan.trial.name for plan in first] == [f"units=4 seed {s}" for s in (7, 8, 9)]
    assert search.winner.trial == second[0].trial
    assert search.winner.refit is None
    assert search.winner.shown("val_accuracy") == "0.6333 ± 0.058"
    alone = searched(experiment_of(home, {"grid": {"units": [6]}}, training={"seed": 7}), {})
    alone.advance()
    assert alone.plans[0].trial.key == second[0].trial.key


def test_repeats_and_folds_can_be_combined(home: Project) -> None:
    experiment = experiment_of(home, EVERY[1], split={"folds": 2})
    search = searched(experiment, {})
    search.advance()
    made = [plan.trial for plan in search.plans]
    assert [(t.repeat, t.fold) for t in made[:6]] == [(r, f) for r in range(3) for f in range(2)]
    for trial in made:
        search.take(trial, ended(trial, False))
    assert len(search.points) == 2
    refit = search.winner.refit
    assert refit is not None
    assert (refit.recipe.training.seed, refit.fold, refit.repeat) == (0, None, None)


def test_max_time_starts_no_new_trial_but_completes_the_first_point(home: Project) -> None:
    experiment = experiment_of(home, {**EVERY[1], "max_time": 1e-9})
    search = searched(experiment, {})
    assert len(carried_out(search, {}, 1, 0, fails=False)) == 3
    assert search.cut
    assert len(search.points) == 1
    assert search.winner.trial.varied == {"units": 4}
    patient = searched(experiment_of(home, {**EVERY[1], "max_time": "2h"}), {})
    assert len(carried_out(patient, {}, 1, 0)) == 6
    assert not patient.cut
    assert patient.identity != search.identity


def test_only_points_of_the_largest_finished_budget_can_win(home: Project) -> None:
    experiment = experiment_of(home, EVERY[5])
    search = searched(experiment, {})
    while (trial := search.next()) is not None:
        result = ended(trial, False)
        score = 0.9 if trial.epochs == 1 else 0.1
        if trial.epochs == 9:
            result = replace(result, status="failed", error="diverged")
        search.take(trial, replace(result, scores={"val_accuracy": score, "val_loss": 0.5}))
    assert search.winner.trial.epochs == 3
    assert len(search.points) == len({repr(plan.trial.varied) for plan in search.plans})
    assert {point.trial.epochs for point in search.comparable} == {1}


def test_a_search_in_which_every_trial_failed_is_an_error(home: Project) -> None:
    search = searched(experiment_of(home, EVERY[5]), {})
    while (trial := search.next()) is not None:
        failed = replace(ended(trial, False), status="failed", scores={}, error="diverged")
        search.take(trial, failed)
    assert len(search.plans) == 9
    with pytest.raises(EnvironmentFault, match="every trial failed"):
        _ = search.winner


def test_a_trial_that_stopped_early_is_promoted_without_training(home: Project) -> None:
    search = searched(experiment_of(home, EVERY[5]), {})
    trained = 0
    while (trial := search.next()) is not None:
        result = replace(ended(trial, False), stopped_early=True, epochs=1)
        search.take(trial, result)
        trained += 1
    assert trained == 9
    assert len(search.plans) == 13
    assert search.winner.trial.epochs == 9


def test_points_that_differ_only_in_unused_parameters_are_trained_once(home: Project) -> None:
    experiment = experiment_of(
        home,
        {"grid": {"unused": [1, 2], "epochs": [3, 5]}},
        parameters={"unused": 0, "epochs": 1},
        training={"epochs": "$epochs"},
    )
    search = searched(experiment, {})
    trained = carried_out(search, {}, 3, 0)
    assert sorted(epochs for _, epochs in trained) == [3, 5]
    assert len({key for key, _ in trained}) == 1
    assert len(search.points) == 4


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"max_trials": 20}, True),
        ({"workers": 5}, True),
        ({"max_time": 9.0}, True),
        ({"objective": "val_loss"}, False),
        ({"parallel": 9}, False),
        ({"seed": 1}, False),
        ({"space": {"units": [4, 6]}}, False),
    ],
)
def test_a_search_keeps_its_key_while_its_first_proposals_stay_the_same(
    home: Project, change: dict[str, Any], same: bool
) -> None:
    one = searched(experiment_of(home, EVERY[3]), {}).key
    assert (searched(experiment_of(home, {**EVERY[3], **change}), {}).key == one) is same
    other = experiment_of(home, EVERY[3], training={"batch_size": 3})
    assert searched(other, {}).key != one


@pytest.mark.slow
def test_halving_in_workers_gives_the_result_of_training_in_one_go(
    tmp_path: Path, pool: Pool
) -> None:
    home = make_project(tmp_path / "project")
    stopping = {"early_stopping": {"monitor": "val_loss", "patience": 2}, "batch_size": 8}
    wanted = {
        "strategy": "halving",
        "grid": {"learning_rate": [0.2, 0.05, 0.1, 0.01]},
        "factor": 2,
        "workers": 2,
    }
    experiment = experiment_of(home, wanted, training={**stopping, "epochs": 12})
    make_data(home, experiment)
    search, asked = searched(experiment, {}), {}

    def feed() -> Trial | None:
        if (trial := search.next()) is not None:
            asked[trial.key] = trial
        return trial

    for message in train_fed(home, experiment, feed, 1, pool):
        if isinstance(message, TrialResult):
            assert message.error == ""
            search.take(asked[message.key], message)
    winner = search.winner
    assert winner.trial.epochs == 12
    folder = home.build("tiny") / "trials" / winner.trial.key
    weights = dict(np.load(folder / "weights.npz"))
    for file in folder.iterdir():
        file.unlink()
    (at_once,) = trials_at(experiment, shared_parts(experiment, DIGEST), winner.trial.varied)
    told = list(run_search(home, experiment, [at_once], pool))
    (alone,) = [message for message in told if isinstance(message, TrialResult)]
    assert (alone.scores, alone.epochs) == (winner.result.scores, winner.result.epochs)
    assert alone.stopped_early
    with np.load(folder / "weights.npz") as kept:
        for name, value in weights.items():
            np.testing.assert_array_equal(kept[name], value)
