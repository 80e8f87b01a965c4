"""What the tasks of a run do, step by step, without Prefect."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from gristmill.flows.background import Work
from gristmill.flows.outcome import Outcome, done_lines, page_lines
from gristmill.flows.run_plan import make_plan, run_key
from gristmill.flows.session import Session, current
from gristmill.flows.steps.champion_drift import DISTRIBUTIONS, DRIFT, FOLDER, check_drift
from gristmill.flows.steps.watch import Watch, trial_parameters
from gristmill.pipelines.base import GristmillError, file_digest, read_json, redact, write_json
from gristmill.pipelines.evaluation import (
    Evaluation,
    check_asked,
    evaluate,
    logged,
    read_predictions,
    write_slices,
)
from gristmill.pipelines.ingestion import Snapshot, snapshot
from gristmill.pipelines.ingestion.versions import repository as versions
from gristmill.pipelines.packaging import Package
from gristmill.pipelines.preparation import ROLES
from gristmill.pipelines.profiling import current_page
from gristmill.pipelines.registry import (
    MANY_READS,
    Decision,
    Registered,
    Version,
    ground_of,
    package_candidate,
    register_candidate,
)
from gristmill.pipelines.registry import judge as ask_gate
from gristmill.pipelines.search import (
    Point,
    Search,
    TrialPlan,
    choose,
    fed,
    plan_each,
    search_of,
    train_fed,
)
from gristmill.pipelines.tracking import DataInput, fetch_artifact, git_state, known_run, reads_with
from gristmill.pipelines.tracking import tags as names
from gristmill.pipelines.training import Trial, TrialResult, read_result, recipe_record
from gristmill.pipelines.validation import check_fresh

GROUND, PACKAGE = "ground", "package"
"""Work that is begun before its step."""

KEYS, RECIPE = "trials.json", "winner.json"
"""Artifacts of a run, in `lineage`."""

MANY_READ = (
    "these test rows have judged {reads} candidates: the best of so many is good by luck, too. "
    "Bring new rows, and report the score on rows that promoted nothing"
)

OPTIMISTIC = (
    "The winner was chosen by its validation score, which therefore flatters it (best_…); "
    "report the test metrics (test_…)."
)


@dataclass(frozen=True)
class Searched:
    """The outcome of a search.

    Attributes:
        plans: all trials that were asked for, known ones included.
        points: the whole points, each with its largest budget.
        comparable: the points of the budget that most points were trained with.
        point: the best one.
        winner: its trial; of repeats the first, which has the file's own seed; with folds the one
            that was trained again on the rows of all of them.
        best: what the winner came to.
        run_id: MLflow's run of the winner, where an earlier run of the experiment trained it.
        run_key: what the decision depends on.
        cut: whether `max_time` ended it.
    """

    plans: tuple[TrialPlan, ...]
    points: tuple[Point, ...]
    comparable: tuple[Point, ...]
    point: Point
    winner: Trial
    best: TrialResult
    run_id: str
    run_key: str
    cut: bool = False


def take_snapshot() -> Snapshot:
    """The pinned data are on disk, and `params.yaml` knows the experiment."""
    run = current()
    with run.screen.step("snapshot") as words:
        found = snapshot(run.project, run.experiment.name, run.screen.arriving)
        run.project.register(run.experiment.name, run.experiment.data.folder)
        words.append(str(found))
    return found


def take_new_data() -> bool:
    """Fetches the source; a new version is taken when it differs and is valid."""
    from gristmill.flows.steps.new_data import described, take_new_version

    run = current()
    with run.screen.step("refresh") as words:
        done = take_new_version(run.project, run.experiment.name, None, run.screen.arriving)
        words.append("; ".join(line.strip() for line in described(done)))
    return done.changed


def begin_stages() -> None:
    """Begins the data stages, one after the other; `carry_out` waits for each."""
    run = current()
    run.project.register(run.experiment.name, run.experiment.data.folder)
    before = None
    for stage in versions.STAGES:
        run.begun[stage] = before = _through_dvc(run, stage, before)


def _through_dvc(run: Session, stage: str, after: Work[bool] | None) -> Work[bool]:
    name, cuts_of = run.experiment.name, run.experiment.document.split.as_

    def work() -> bool:
        stale = stage == "split" and run.project.stale_cuts(name, cuts_of)
        return versions.run_stage(run.project, stage, name, run.force or stale)

    return Work(work, lambda: versions.stop_stage(stage, name), after)


def carry_out(stage: str) -> bool:
    """One data stage, through DVC; returns whether there was anything to do."""
    run = current()
    if not run.begun.keys() & {*versions.STAGES}:
        begin_stages()
    with run.screen.step(stage) as words:
        ran: bool = run.begun[stage].result()
        note = run.build / "logs" / f"{stage}.txt"
        said = note.read_text(encoding="utf-8").strip() if ran and note.exists() else ""
        words.append(said if ran else "nothing changed")
    if stage == "validate":
        warn(run, warnings_in(run.build / "validation.json"))
        warn(run, check_fresh(run.project, run.experiment))
    if stage == "split":
        from gristmill.pipelines.validation import read_warnings

        warn(run, read_warnings(run.build / "leaks.json"))
    return ran


def warnings_in(file: Path) -> list[str]:
    """The warnings that the stage `validate` kept, in words."""
    from gristmill.pipelines.validation import Finding

    found = [Finding(**entry) for entry in read_json(file)["warnings"]]
    return [f"{one.column}: {one.rule}; found {one}" for one in found]


def warn(run: Session, lines: Sequence[str]) -> None:
    """Shows warnings, and keeps them for the report."""
    run.warnings += lines
    for line in lines[: GristmillError.SHOWN]:
        run.screen.say(f"    ! {line}")
    if len(lines) > GristmillError.SHOWN:
        run.screen.say(f"    ! and {len(lines) - GristmillError.SHOWN} more")


def compare_with_accepted() -> None:
    """The data's distributions against those that the champion was trained on."""
    run = current()
    with run.screen.step("drift") as words:
        said, lines = check_drift(run)
        words.append(said)
    warn(run, lines)


def earlier_run() -> Outcome | None:
    """What an earlier run came to that had the very same data and settings, if there is one."""
    run = current()
    if run.force:
        return None
    done = make_plan(run.project, run.experiment).done
    if done is None:
        return None
    for line in [
        *done_lines(run.project, done),
        *page_lines(run.project, run.experiment.name, done.run_id),
    ]:
        run.screen.say(line)
    return Outcome(done.model, done.decision, tuple(done.reasons.split("; ")), done.version, None)


def search() -> Searched:
    """Trains the trials that are asked for and not known, and chooses."""
    run = current()
    document = run.experiment.document
    check_asked(run.project, run.experiment)
    digests = versions.digests(run.project, run.experiment.name)
    asked = search_of(run.project, run.experiment, digests, force=run.force)
    asked.advance()
    describe_run(run, digests, asked)
    if asked.trains:
        with run.screen.step("search") as words:
            trained = _search(run, asked)
            known = sum(result is not None for _, result in asked.results()) - trained
            words.append(f"{trained} trained, {known} known")
            if asked.cut:
                words.append(f"(max_time {document.search.max_time} ended it)")
    else:
        run.screen.skipped("search", f"all {len(asked.plans)} trials are known")
    note_search(run, asked)
    point = asked.winner
    if point.refit is None:
        best = next(result for plan, result in asked.results() if plan.trial == point.trial)
        plan = next(plan for plan in asked.plans if plan.trial == point.trial)
    else:
        (plan,) = plan_each(run.project, run.experiment, [point.refit], force=run.force)
        best = _refit(run, plan)
    run_id = plan.run_id
    if best is None:
        raise LookupError(point.trial.key)
    lost = sum(result is not None and result.lost for _, result in asked.results())
    if lost:
        warn(run, [f"trials whose process was lost: {lost}; the next run trains them again"])
    key = "" if lost else run_key(run.experiment, asked, digests)
    points, comparable = tuple(asked.points), tuple(asked.comparable)
    return Searched(
        tuple(asked.plans), points, comparable, point, plan.trial, best, run_id, key, asked.cut
    )


def _search(run: Session, asked: Search) -> int:
    """Trains what the search asks for; returns how many trials that were."""
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
    """The best point on the rows of all folds."""
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
    """Trains what is fed; each result is recorded, then handed on."""
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


def note_search(run: Session, asked: Search) -> None:
    """What became of the search, and what of it may come out differently another time."""
    known = sum(result is not None for _, result in asked.results())
    reasons = []
    if asked.cut:
        reasons.append(f"max_time ended the search after {known} trials")
    if asked.past:
        reasons.append(f"{len(asked.past)} points of earlier searches fed the sampler")
    told = {names.TRIALS: str(known), names.POINTS: str(len(asked.points))}
    run.tracker.log(tags=told | ({names.NOT_REPEATABLE: "; ".join(reasons)} if reasons else {}))
    for reason in reasons:
        warn(run, [f"the file alone does not repeat this search: {reason}"])


def describe_run(run: Session, digests: Mapping[str, str], asked: Search) -> None:
    """Everything that the parent run must carry before anything can fail."""
    experiment, tracker = run.experiment, run.tracker
    git = git_state(run.project)
    first, search = asked.first, experiment.document.search
    tags = {
        "mlflow.source.git.commit": git.commit,
        "gristmill.git.dirty": str(git.dirty).lower(),
        **({names.DIFF: git.kept} if git.diff else {}),
        names.FLOW: run.flow_run,
        **{f"gristmill.{name}": first.parts[name] for name in ("device", "instructions")},
        "mlflow.note.content": f"{experiment.document.description}\n\n{OPTIMISTIC}".strip(),
        names.SELECTION: OPTIMISTIC,
        **({names.OVERRIDES: run.overridden} if run.overridden else {}),
        **({names.SEARCH: asked.key} if search.is_adaptive else {}),
        **{f"dvc.{path}": digest for path, digest in digests.items()},
        **{
            f"version.{name}": first.parts[name]
            for name in (
                *("python", "keras", "numpy", "tensorflow", "tensorflow-cpu"),
                *("scikit-learn", "scipy"),
            )
            if name in first.parts
        },
    }
    params = {
        "search.strategy": search.strategy,
        **{
            f"search.{name}": getattr(search, name)
            for name in ("max_trials", "max_time", "seed", "sampler", "repeats")
            if name in search.model_fields_set
        },
        "search.objective": experiment.document.objective,
        "split.seed": experiment.document.split.seed,
        **({"split.folds": folds} if (folds := experiment.document.split.folds) else {}),
    }
    tracker.log(params=params, tags=tags)
    tracker.log_data(data_inputs(run, ("training", "validation", "test")))
    folder = run.build / "lineage"
    folder.mkdir(exist_ok=True)
    keep_keys(run, [plan.trial.key for plan in asked.plans])
    (folder / experiment.file.name).write_text(
        redact(experiment.file.read_text(encoding="utf-8")), encoding="utf-8"
    )
    (folder / "changes.diff").write_text(git.diff, encoding="utf-8")
    tracker.log_file(folder / experiment.file.name, "lineage")
    if git.diff:
        tracker.log_file(folder / "changes.diff", "lineage")
    lock = run.project.root / "dvc.lock"  # holds data.source as it stands in the file
    (folder / lock.name).write_text(redact(lock.read_text(encoding="utf-8")), encoding="utf-8")
    for file in (folder / lock.name, run.project.cuts_file(experiment.name)):
        tracker.log_file(file, "lineage")
    kept = ("validation.json", "validation/result.json", "leaks.json", DISTRIBUTIONS, DRIFT)
    for file in (run.build / name for name in kept):
        if file.exists():
            tracker.log_file(file, FOLDER)
    page = current_page(run.project, experiment.name, digests[f"data/{experiment.data.folder}"])
    if page is not None:
        tracker.log_file(page)


def keep_keys(run: Session, keys: Sequence[str]) -> None:
    """Writes on the run which trials it needs, known ones included, so that none is removed."""
    file = run.build / "lineage" / KEYS
    write_json(file, sorted(keys))
    run.tracker.log_file(file, "lineage")


def keep_winner(run: Session, winner: Trial) -> None:
    """Writes on the run all that `gristmill reproduce` needs to train the winner again."""
    file = run.build / "lineage" / RECIPE
    about = {"key": winner.key, "threads": winner.threads, "arrays": winner.arrays}
    parts = dict(winner.parts)
    write_json(file, {**about, "parts": parts, "recipe": recipe_record(winner.recipe)})
    run.tracker.log_file(file, "lineage")


def data_inputs(run: Session, roles: Sequence[str]) -> list[DataInput]:
    """The data set's roles, with DVC's hash of the raw data and the number of rows of each."""
    from gristmill.pipelines.preparation import read_roles

    role = read_roles(run.build / "roles.parquet")
    return _data_inputs(run, {name: int((role == ROLES.index(name)).sum()) for name in roles})


def trial_inputs(run: Session, fold: int | None) -> list[DataInput]:
    """The rows that a trial learns from and is validated on."""
    import pandas as pd

    if fold is None:
        return data_inputs(run, ("training", "validation"))
    folds = pd.read_parquet(run.build / "roles.parquet", columns=["fold"])["fold"]
    mine, others = int((folds == fold).sum()), int(((folds >= 0) & (folds != fold)).sum())
    return _data_inputs(
        run, {f"training without fold {fold}": others, f"validation on fold {fold}": mine}
    )


def _data_inputs(run: Session, rows: Mapping[str, int]) -> list[DataInput]:
    data = run.experiment.data
    digest = versions.data_digest(run.project, data.folder)
    source = redact(data.source or data.path)
    return [DataInput(data.folder, digest, role, count, source) for role, count in rows.items()]


def final_evaluation(searched: Searched) -> Evaluation:
    """The winner on the test rows."""
    run = current()
    with run.screen.step("evaluate") as words:
        keep_keys(run, [*(plan.trial.key for plan in searched.plans), searched.winner.key])
        keep_winner(run, searched.winner)
        folder = run.build / "trials" / searched.winner.key
        kept = read_result(folder)  # a trial's folder is one for all its budgets
        if kept is None or kept.epochs != searched.best.epochs:
            known = plan_each(run.project, run.experiment, [searched.winner])[0]
            for name in ("weights.npz", "result.json"):
                fetch_artifact(run.project, searched.run_id or known.run_id, name, folder)
        made = Work(
            lambda: evaluate(run.project, run.experiment, searched.winner, run.pool)
        ).result()
        run.tracker.log(
            metrics=_test_metrics(made)
            | {f"best_{name}": value for name, value in searched.best.scores.items()}
            | _over_folds(searched.point)
            | {"test_rows": made.measured, "test_rows_seen": made.seen},
            params=trial_parameters(searched.winner),
            tags={names.WINNER: searched.winner.key},
        )
        if made.threshold is not None:
            run.tracker.log(metrics={"threshold": made.threshold.value})
        if made.threshold is not None and not made.threshold.reached:
            warn(run, [f"no threshold has {made.threshold.rule} on the validation rows"])
        if made.slices:
            slices = run.build / "slices.json"
            write_slices(slices, made.slices)
            for file in (slices, slices.with_suffix(".csv")):
                run.tracker.log_file(file)
        predictions = run.build / "predictions.parquet"
        predictions.write_bytes(made.predictions.read_bytes())
        run.tracker.log_file(predictions)
        made = replace(made, reads=_count_read(run, made))
        words.append(", ".join(f"{m.name} {m.shown}" for m in made.metrics))
        if made.left_out:
            words.append(f"({made.left_out})")
    if made.reads > MANY_READS:
        warn(run, [MANY_READ.format(reads=made.reads)])
    return made


def _test_metrics(evaluation: Evaluation) -> dict[str, float]:
    """What MLflow keeps: an undefined metric has no number, and is left out."""
    known = [(logged(metric.name), metric) for metric in evaluation.metrics if not metric.why]
    return (
        {f"test_{name}": metric.value for name, metric in known}
        | {f"test_{name}_low": metric.low for name, metric in known if metric.low is not None}
        | {f"test_{name}_high": metric.high for name, metric in known if metric.high is not None}
        | {
            f"{who}_{logged(metric.name)}": metric.value
            for who, metrics in evaluation.baselines.items()
            for metric in metrics
            if not math.isnan(metric.value)
        }
    )


def _count_read(run: Session, made: Evaluation) -> int:
    """How many candidates these test rows have had; written on the run, so that it is kept."""
    test_set, answers = read_predictions(made.predictions).digest, file_digest(made.predictions)
    reads = reads_with(run.project, test_set, answers)
    kept = {names.TEST_SET: test_set, names.ANSWERS: answers, names.READS: str(reads)}
    run.tracker.log(tags=kept)
    return reads


def _over_folds(point: Point) -> dict[str, float]:
    """The means and deviations of the scores; none without folds and repeats."""
    means = {f"{name}_mean": point.result.scores[name] for name in point.deviations}
    return means | {f"{name}_deviation": value for name, value in point.deviations.items()}


def begin_package(searched: Searched, evaluation: Evaluation) -> None:
    """Begins the package; `make_package` waits for it."""
    run = current()
    run.begun[PACKAGE] = Work(
        lambda: package_candidate(
            run.project, run.experiment, searched.winner, evaluation, run.rehearsal
        )
    )


def make_package(searched: Searched, evaluation: Evaluation) -> Package | Version:
    """The winner as a package that has been tried in a fresh process."""
    run = current()
    if PACKAGE not in run.begun:
        begin_package(searched, evaluation)
    with run.screen.step("package") as words:
        made: Package | Version = run.begun.pop(PACKAGE).result()
        if isinstance(made, Package):
            words.append(f"tried in a fresh process on {evaluation.rows:,} raw rows")
            words.append(f"({made.measured['latency_ms']:.2g} ms for one)")
        else:
            words.append(f"version {made.number} is this very package")
        measured = {f"package_{name}": value for name, value in made.measured.items()}
        run.tracker.log(metrics=measured)
    return made


def begin_ground(evaluation: Evaluation) -> None:
    """Begins to look at which rows were seen; the gate waits for it."""
    run = current()
    run.begun[GROUND] = Work(lambda: ground_of(run.project, run.experiment, evaluation))


def judge(searched: Searched, evaluation: Evaluation, candidate: Package | Version) -> Decision:
    """Promote, hold or reject."""
    run = current()
    with run.screen.step("gate") as words:
        key = searched.run_key
        cut = key if key and known_run(run.project, key) is None else ""
        ground = run.begun[GROUND].result()
        decision = ask_gate(
            run.project, run.experiment, evaluation, candidate, run.rehearsal, ground, cut
        )
        words.append(decision.outcome)
    warn(run, run.rehearsal.warnings)
    return decision


def register(
    searched: Searched, evaluation: Evaluation, candidate: Package | Version, decision: Decision
) -> Registered:
    """The version, its tags, and the alias where it was won; the run remembers all of it."""
    from gristmill.flows.steps.model_card import keep_card

    run = current()
    name = run.experiment.name
    with run.screen.step("register") as words:
        digests = versions.digests(run.project, name)
        made = register_candidate(
            run.project,
            run.experiment,
            searched.winner,
            evaluation,
            candidate,
            decision,
            run.tracker.run_id,
            digests.get(f"data/{run.experiment.data.folder}", ""),
            searched.run_key,
            lambda: ask_gate(
                *(run.project, run.experiment, evaluation, candidate, run.rehearsal),
                run.begun[GROUND].result(),
            ),
        )
        key = "" if made.overtaken else searched.run_key
        run.tracker.log(
            tags={
                **({names.RUN_KEY: key} if key else {}),
                names.DECISION: made.decision.outcome,
                names.REASONS: "; ".join(made.decision.reasons),
                names.MODEL: made.model,
                names.VERSION: made.version,
            }
        )
        keep_card(run, evaluation, made, digests)
        words.append(f"{made.model} version {made.version}")
    return made
