"""Plan the trials of a search: known, unfinished or new; and train them in the workers."""

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
    """Return the experiment's search, not begun yet.

    Args:
        project: the project.
        experiment: the checked file with overrides.
        digests: DVC's hashes of the stages' outputs, by path.
        force: ignore known trials.
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
    """Return the points that were known before a search first began, and their objective.

    Only points whose trials have the keys that this experiment would give them now, so that data,
    code and all other settings are the same.

    Args:
        project: the project.
        experiment: the checked file with overrides.
        shared: the parts that the keys of its trials have in common.
        key: `TrialSearch.key`.
    """
    known: dict[str, list[StoredRun]] = {}
    points: dict[str, Mapping[str, Scalar]] = {}
    for past in tried(project, experiment.name, search_began(project, key)):
        known.setdefault(past.key, []).append(past)
        try:
            values = {n: v.read(past.params[n]) for n, v in experiment.space.items()}
        except (KeyError, ValueError):  # trained without this parameter, or outside of its space
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
    """Look trials up in the ledger; return for each whether it is known, unfinished or new.

    Args:
        project: the project.
        experiment: the checked file with overrides.
        asked: the trials.
        force: ignore known trials.
    """
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
            words = ", ".join(filter(None, [budget, "will be resumed"]))
        else:
            state, words = "new", "forced" if force else budget or reasons.of(trial)
        made.append(TrialPlan(trial, state, words, None, ""))
    return made


def score_words(scores: Mapping[str, float], objective: str) -> str:
    """Return the objective as text; that of the training rows if there are no validation rows."""
    name = objective if objective in scores else objective.removeprefix("val_")
    return f"{name} {number(scores.get(name, float('nan')))}"


def _satisfying(trial: Trial, known: Sequence[StoredRun]) -> StoredRun | None:
    return next((e for e in known if TrialResult(**e.result).satisfies(trial.epochs)), None)


def fed(waiting: list[Trial]) -> Callable[[], Trial | None]:
    """Return a function that removes and returns the first trial of a list; None if it is empty."""
    return lambda: waiting.pop(0) if waiting else None


def train_fed(
    project: Project,
    experiment: Experiment,
    feed: Callable[[], Trial | None],
    threads: int,
    pool: Scheduler[Any],
) -> Iterator[Epoch | TrialResult]:
    """Train the trials of a search in parallel.

    Args:
        project: the project.
        experiment: the checked file with overrides.
        feed: called for a trial whenever a worker is idle; returns None if there is none now. It
            must not return a trial while another one of the same key runs.
        threads: threads per trial.
        pool: the workers.

    Yields:
        Epochs while trials run, and the result of each trial at its end, failed ones included.

    Raises:
        GristmillError: Keras or scikit-learn rejects the experiment's settings.
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
