"""Progress of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gristmill.flows.steps.progress import Progress
from gristmill.flows.steps.watch import trial_line
from gristmill.pipelines.config.document import Document
from gristmill.pipelines.config.experiment import Recipe
from gristmill.pipelines.training.identity import Trial
from gristmill.pipelines.training.trial import TrialResult
from gristmill.pipelines.workers.messages import Epoch


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def trial(name: str, epochs: int = 10, fold: int | None = None) -> Trial:
    document = Document.model_validate(
        {
            "data": {"path": "data/a/a.csv", "target": "y", "task": "classification"},
            "schema": {},
            "split": {},
            "features": {},
            "model": {"layers": ({"Dense": {"units": 3}},)},
            "training": {"epochs": epochs},
        }
    )
    recipe = Recipe({}, document.features, document.model, document.training, "task", ())
    parts = {} if fold is None else {"fold": str(fold)}
    return Trial(f"{name} {fold}", parts, recipe, {"units": name}, 1, fold)


def result(of: Trial, score: float | None, epochs: int = 10) -> TrialResult:
    status = "failed" if score is None else "finished"
    scores = {} if score is None else {"val_accuracy": score, "val_loss": score}
    return TrialResult(of.key, status, epochs, 10, False, 0, {}, scores, 1, 1.0, 0.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_the_best_so_far_is_the_highest_accuracy_or_the_lowest_loss(scores: list[float]) -> None:
    for objective, best in (("val_accuracy", max(scores)), ("val_loss", min(scores))):
        progress = Progress(len(scores), objective)
        told = [
            progress.finish(trial(str(i)), result(trial(str(i)), score))
            for i, score in enumerate(scores)
        ]
        assert progress.best == best
        assert told[0]
        assert progress.leader == f"units={scores.index(best)}"


def test_the_best_can_be_a_result_of_an_earlier_run() -> None:
    progress = Progress(1, "val_accuracy")
    assert progress.know(trial("known"), result(trial("known"), 0.9))
    assert not progress.finish(trial("new"), result(trial("new"), 0.8))
    assert (progress.best, progress.leader, progress.done) == (0.9, "units=known", 1)


def test_with_folds_a_point_counts_only_when_all_its_folds_are_done() -> None:
    progress = Progress(4, "val_accuracy", parts=2)
    for name, fold, score, best in (
        ("a", 0, 0.9, None),
        ("b", 0, 0.7, None),
        ("b", 1, 0.8, 0.75),
        ("a", 1, 0.5, 0.75),
    ):
        one = trial(name, fold=fold)
        progress.finish(one, result(one, score))
        assert progress.best == best


@given(st.integers(2, 20), st.integers(1, 19), st.floats(2, 500))
def test_the_remaining_time_of_equal_trials_follows_the_time_of_the_first_ones(
    asked: int, done: int, seconds: float
) -> None:
    done = min(done, asked - 1)
    clock = Clock()
    progress = Progress(asked, "val_loss", clock=clock)
    one = trial("a")
    progress.epoch(one, Epoch(one.key, 1, ({"val_loss": 1.0},)))
    clock.now -= seconds / 10  # as if it had started with the trial
    progress._start = clock.now, 0.0
    for _ in range(done):
        clock.now += seconds
        progress.finish(one, result(one, 0.5))
    left = progress.remaining()
    assert left is not None
    assert abs(left - seconds * (asked - done)) < 1e-6 * seconds * asked


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_the_remaining_time_is_never_negative(numbers: Sequence[int]) -> None:
    clock = Clock()
    progress = Progress(3, "val_loss", clock=clock)
    for number in numbers:
        clock.now += 1.5
        one = trial(str(number % 3), epochs=5)  # beyond the budget, as when resumed by a longer run
        progress.epoch(one, Epoch(one.key, number, ({"val_loss": 1.0},)))
        assert (progress.remaining() or 0) >= 0
        if number % 4 == 0 and progress.done < 3:
            progress.finish(one, result(one, None if number % 8 else 0.1))
    progress.head()


def test_the_lines_show_running_trials_progress_and_failures() -> None:
    clock = Clock()
    progress = Progress(16, "val_accuracy", clock=clock)
    one, two, three = (trial(name) for name in "abc")
    progress.epoch(one, Epoch(one.key, 5, ({"val_accuracy": 0.5},)))
    clock.now = 75.0
    progress.finish(one, result(one, 0.9712))
    progress.finish(two, result(two, None))
    progress.epoch(three, Epoch(three.key, 3, ({"val_accuracy": 0.8}, {"val_accuracy": 0.81})))
    head, *running = progress.lines()
    assert head.startswith("2/16 trials  1 failed  ")
    assert head.endswith(" left  best val_accuracy 0.9712")
    assert len(head) <= 76
    assert running == ["epoch 3/10  val_accuracy 0.81  units=c"]


def test_a_trial_trained_by_fit_shows_the_reason() -> None:
    done = result(trial("a"), 0.5)
    assert trial_line("a", done, "val_accuracy").endswith("10 epochs   1.0 s")
    left = replace(done, loop="fit: the model runs eagerly")
    assert trial_line("a", left, "val_accuracy").endswith("1.0 s  by fit: the model runs eagerly")
