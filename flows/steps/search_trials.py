"""The search: train the unknown trials and choose the best."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from gristmill.flows.outcome import Outcome, done_lines
from gristmill.flows.results import Searched
from gristmill.flows.run_plan import make_plan, run_key
from gristmill.flows.session import Session, current
from gristmill.flows.steps.describe_run import describe_run, trial_inputs
from gristmill.flows.steps.watch import Watch
from gristmill.pipelines.evaluation import check_asked
from gristmill.pipelines.ingestion import stage_digests
from gristmill.pipelines.search import (
    TrialPlan,
    TrialSearch,
    choose,
    fed,
    plan_each,
    search_of,
    train_fed,
)
from gristmill.pipelines.tracking import tags as names
from gristmill.pipelines.training import Trial, TrialResult


def earlier_run() -> Outcome | None:
    """Return the outcome of an earlier run with the same data and settings, or None."""
    run = current()
    if run.force:
        return None
    done = make_plan(run.project, run.experiment).done
    if done is None:
        return None
    for line in done_lines(run.project, done):
        run.screen.say(line)
    return Outcome(done.model, done.decision, tuple(done.reasons.split("; ")), done.version, None)


def search() -> Searched:
    """Train the requested trials that are not known, and choose the winner."""
    run = current()
    document = run.experiment.document
    check_asked(run.project, run.experiment)
    digests = stage_digests(run.project, run.experiment.name)
    asked = search_of(run.project, run.experiment, digests, force=run.force)
    asked.advance()
    describe_run(run, digests, asked)
    if asked.trains:
        with run.screen.step("search") as words:
            trained = _search(run, asked)
            known = sum(result is not None for _, result in asked.results()) - trained
            words.append(f"{trained} trained, {known} known")
            if asked.cut:
                words.append(f"(stopped by max_time {document.search.max_time})")
    else:
        run.screen.skipped("search", f"all {len(asked.plans)} trials are known")
    note_search(run, asked)
    point = asked.winner
    if point.refit is None:
        plan, best = next(
            (plan, result)
            for plan, result in asked.results()
            if plan.trial == point.trial and result is not None
        )
    else:
        (plan,) = plan_each(run.project, run.experiment, [point.refit], force=run.force)
        best = _refit(run, plan)
    lost = sum(result is not None and result.lost for _, result in asked.results())
    if lost:
        run.warn(f"trials whose process was lost: {lost}; the next run trains them again")
    key = "" if lost else run_key(run.experiment, asked, digests)
    return Searched(asked, point, plan, best, key)


def _search(run: Session, asked: TrialSearch) -> int:
    """Train the trials that the search requests; return their number."""
    fresh: set[str] = set()

    def feed() -> Trial | None:
        trial = asked.next()
        if trial is not None and run.force and trial.key not in fresh:
            _forget(run, trial)
        fresh.update([trial.key] if trial else [])
        return trial

    asked.begin()
    waiting = sum(plan.known is None for plan in asked.plans)
    watch = Watch(
        run,
        waiting + asked.remaining,
        cache(partial(trial_inputs, run)),
        [(plan.trial, plan.known) for plan in asked.plans if plan.known is not None],
    )
    return len(_train(run, feed, asked.first.threads, watch, asked.take))


def _refit(run: Session, plan: TrialPlan) -> TrialResult:
    """Train the best point on the rows of all folds."""
    if plan.known is not None:
        run.screen.skipped("refit", "known")
        return plan.known
    with run.screen.step("refit") as words:
        if run.force:
            _forget(run, plan.trial)
        watch = Watch(run, 1, partial(trial_inputs, run), tells=False)
        (result,) = _train(run, fed([plan.trial]), plan.trial.threads, watch, lambda *_: None)
        words.append("on the rows of all folds")
        if plan.trial.recipe.model.library == "keras":
            words.append(f"for {plan.trial.epochs} epochs")
    return choose([result], "loss")


def _forget(run: Session, trial: Trial) -> None:
    (run.build / "trials" / trial.key / "state.npz").unlink(missing_ok=True)


def _train(
    run: Session,
    feed: Callable[[], Trial | None],
    threads: int,
    watch: Watch,
    take: Callable[[Trial, TrialResult], None],
) -> list[TrialResult]:
    """Train the trials that `feed` returns; record each result, then pass it to `take`."""
    running: dict[str, Trial] = {}
    results: list[TrialResult] = []

    def fed_one() -> Trial | None:
        trial = feed()
        return None if trial is None else running.setdefault(trial.key, trial)

    with watch:
        for message in train_fed(run.project, run.experiment, fed_one, threads, run.trainer):
            trial = running[message.key]
            watch.take(trial, message)
            if isinstance(message, TrialResult):
                del running[message.key]
                results.append(message)
                take(trial, message)
    return results


def note_search(run: Session, asked: TrialSearch) -> None:
    """Record the size of the search, and why it is not repeatable, if so."""
    known = sum(result is not None for _, result in asked.results())
    reasons = []
    if asked.cut:
        reasons.append(f"max_time ended the search after {known} trials")
    if asked.past:
        reasons.append(f"{len(asked.past)} points of earlier searches fed the sampler")
    tags = {names.TRIALS: str(known), names.POINTS: str(len(asked.points))}
    run.tracker.log(tags=tags | ({names.NOT_REPEATABLE: "; ".join(reasons)} if reasons else {}))
    for reason in reasons:
        run.warn(f"the experiment file alone does not reproduce this search: {reason}")
