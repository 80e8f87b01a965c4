"""What of a search is known, why a trial is new, and the new ones in the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gristmill.pipelines.config import Experiment, Project, Scalar
from gristmill.pipelines.reporting import number
from gristmill.pipelines.search.points import points_of
from gristmill.pipelines.search.trial_diff import Reasons
from gristmill.pipelines.search.trial_search import Past, TrialPlan, TrialSearch
from gristmill.pipelines.tracking import StoredRun, known_trials, search_began, tried
from gristmill.pipelines.training import Trial, TrialResult, read_result, shared_parts, trials_at
from gristmill.pipelines.workers import Done, Epoch, Scheduler, Train, raise_error


def search_of(
    project: Project, experiment: Experiment, digests: Mapping[str, str], *, force: bool = False
) -> TrialSearch:
    """The experiment's search, at its beginning.

    Args:
        digests: DVC's hashes of what the stages made.
        force: take no trial as known.
    """
    shared = shared_parts(experiment, digests[f"build/{experiment.name}/training"])

    def look(asked: Sequence[Trial]) -> list[TrialPlan]:
        return plan_each(project, experiment, asked, force=force)

    def past(key: str) -> Past:
        return earlier_points(project, experiment, shared, key)

    return TrialSearch(experiment, shared, look, past)


def earlier_points(
    project: Project, experiment: Experiment, shared: Mapping[str, str], key: str
) -> Past:
    """Points that were known before a search first began, and their objective.

    Only trials that this experiment itself would train at their values: then the data, the code
    and all other settings are the same.
    """
    known: dict[str, list[StoredRun]] = {}
    points: dict[str, Mapping[str, Scalar]] = {}
    for past in tried(project, experiment.name, search_began(project, key)):
        known.setdefault(past.key, []).append(past)
        try:
            values = {n: v.read(past.params[n]) for n, v in experiment.space.items()}
        except (KeyError, ValueError):  # tried without this parameter, or outside of its space
            continue
        points[repr(values)] = values
    found: Past = []
    for point in points.values():
        asked = trials_at(experiment, shared, point)
        satisfying = [_satisfying(trial, known.get(trial.key, [])) for trial in asked]
        results = [TrialResult(**entry.result) for entry in satisfying if entry is not None]
        if len(results) == len(asked):
            (made,) = points_of(asked, results)
            found.append((point, made.result.scores[experiment.document.objective]))
    return sorted(found, key=repr)


def plan_each(
    project: Project, experiment: Experiment, asked: Sequence[Trial], *, force: bool = False
) -> list[TrialPlan]:
    """Each of some trials: known, unfinished or new."""
    known = {} if force else known_trials(project, [trial.key for trial in asked])
    reasons = Reasons(project, experiment)
    made = []
    for trial in asked:
        found = _satisfying(trial, known.get(trial.key, []))
        if found is not None:
            result = TrialResult(**found.result)
            words = score_words(result.scores, experiment.document.objective)
            made.append(TrialPlan(trial, "known", words, result, found.run_id))
            continue
        folder = project.build(experiment.name) / "trials" / trial.key
        budgets = [entry.result["budget"] for entry in known.get(trial.key, [])]
        budget = f"epochs: {max(budgets)} → {trial.epochs}" if budgets else ""
        if (folder / "state.npz").exists() and not force:
            state = "unfinished"
            words = ", ".join(filter(None, [budget, "goes on where it ended"]))
        else:
            state, words = "new", "forced" if force else budget or reasons.of(trial)
        made.append(TrialPlan(trial, state, words, None, ""))
    return made


def score_words(scores: Mapping[str, float], objective: str) -> str:
    """The objective, or the same of the training rows where none validate."""
    name = objective if objective in scores else objective.removeprefix("val_")
    return f"{name} {number(scores.get(name, float('nan')))}"


def _satisfying(trial: Trial, known: Sequence[StoredRun]) -> StoredRun | None:
    return next((e for e in known if TrialResult(**e.result).satisfies(trial.epochs)), None)


def fed(waiting: list[Trial]) -> Callable[[], Trial | None]:
    """Gives the trials of a list one by one and takes them from it."""
    return lambda: waiting.pop(0) if waiting else None


def train_fed(
    project: Project,
    experiment: Experiment,
    feed: Callable[[], Trial | None],
    threads: int,
    pool: Scheduler[Any],
) -> Iterator[Epoch | TrialResult]:
    """Trains what a search asks for, side by side.

    Args:
        feed: asked for a trial whenever a worker has none; None for nothing now. No two trials of
            one key run at a time: it must not give a longer budget before the shorter one ended.
        threads: of each trial.

    Yields:
        Epochs while trials run, and each one's result when it ends, failed ones included.

    Raises:
        GristmillError: the file asks for something that Keras does not take.
    """
    build = project.build(experiment.name)
    running: dict[str, Trial] = {}

    def request() -> Train | None:
        trial = feed()
        if trial is None:
            return None
        running[trial.key] = trial
        folder = build / "trials" / trial.key
        return Train(trial.key, trial.recipe, build / trial.arrays, folder, project.experiments)

    workers = experiment.document.search.workers or pool.slots(threads)
    for message in pool.train(request, workers, threads):
        if isinstance(message, Epoch):
            yield message
        else:
            yield _ended(message, running.pop(message.key), build / "trials" / message.key)


def _ended(done: Done, trial: Trial, folder: Path) -> TrialResult:
    if isinstance(done.error, dict):
        raise_error(done)
    result = read_result(folder)
    if done.error is None and result is not None:
        return result
    started = folder.stat().st_mtime if folder.exists() else 0.0
    error = str(done.error)
    return TrialResult(trial.key, "failed", 0, trial.epochs, started=started, error=error)
