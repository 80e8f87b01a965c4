"""Records of a run that make it reproducible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gristmill.flows.results import OPTIMISTIC
from gristmill.flows.session import Session
from gristmill.flows.steps.champion_drift import DISTRIBUTIONS, DRIFT, FOLDER
from gristmill.pipelines.base import redact, write_json
from gristmill.pipelines.config import Experiment, Project
from gristmill.pipelines.ingestion import data_digest
from gristmill.pipelines.preparation import ROLES, read_folds, read_roles
from gristmill.pipelines.profiling import current_page
from gristmill.pipelines.search import TrialSearch
from gristmill.pipelines.tracking import DataInput, git_state
from gristmill.pipelines.tracking import tags as names
from gristmill.pipelines.training import Trial, recipe_record, user_sources

LONGEST = 500
"""Characters of a tag that lists files."""

KEYS, RECIPE = "trials.json", "winner.json"
"""Artifacts of a run in `lineage`."""


def describe_run(run: Session, digests: Mapping[str, str], asked: TrialSearch) -> None:
    """Record tags, parameters, data and files on the parent run before training starts.

    Args:
        run: session of the run.
        digests: DVC's hashes of the stages' inputs and outputs, by path.
        asked: the search with its first trials.
    """
    experiment, tracker = run.experiment, run.tracker
    git = git_state(run.project, used_files(run.project, experiment))
    first, search = asked.first, experiment.document.search
    tags = {
        "mlflow.source.git.commit": git.commit,
        "gristmill.git.dirty": str(git.dirty).lower(),
        **({names.DIFF: git.kept} if git.diff else {}),
        **({names.LEFT_OUT: ", ".join(git.left_out)[:LONGEST]} if git.left_out else {}),
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
    (run.build / "lineage").mkdir(exist_ok=True)
    keep_keys(run, [plan.trial.key for plan in asked.plans])
    _keep(run, experiment.file.name, redact(experiment.file.read_text(encoding="utf-8")))
    _keep(run, "changes.diff", git.diff)
    lock = run.project.root / "dvc.lock"  # contains data.source verbatim
    _keep(run, lock.name, redact(lock.read_text(encoding="utf-8")))
    tracker.log_file(run.project.cuts_file(experiment.name), "lineage")
    kept = ("validation.json", "validation/result.json", "leaks.json", DISTRIBUTIONS, DRIFT)
    for file in (run.build / name for name in kept):
        if file.exists():
            tracker.log_file(file, FOLDER)
    page = current_page(run.project, experiment.name, digests[f"data/{experiment.data.folder}"])
    if page is not None:
        tracker.log_file(page)


def used_files(project: Project, experiment: Experiment) -> list[str]:
    """Return the files in `experiments/` that an experiment uses, as paths in the project."""
    document = experiment.document
    names = [experiment.name, *filter(None, [document.split.as_])]
    files = [f(name) for name in names for f in (project.experiment_file, project.cuts_file)]
    if document.schema_.suite is not None:
        files.append(project.experiments / document.schema_.suite)
    builder = document.model.builder
    modules = user_sources(project.experiments, builder) if builder is not None else {}
    return [*map(project.relative, files), *modules]


def _keep(run: Session, name: str, text: str) -> None:
    """Write a text into the run's lineage; an empty text becomes no artifact."""
    file = run.build / "lineage" / name
    file.write_text(text, encoding="utf-8")
    if text:
        run.tracker.log_file(file, "lineage")


def keep_keys(run: Session, keys: Sequence[str]) -> None:
    """Record which trials the run needs, known ones included, so that none is removed."""
    file = run.build / "lineage" / KEYS
    write_json(file, sorted(keys))
    run.tracker.log_file(file, "lineage")


def keep_winner(run: Session, winner: Trial) -> None:
    """Record what `gristmill reproduce` needs to train the winner again."""
    file = run.build / "lineage" / RECIPE
    about = {"key": winner.key, "threads": winner.threads, "arrays": winner.arrays}
    parts = dict(winner.parts)
    write_json(file, {**about, "parts": parts, "recipe": recipe_record(winner.recipe)})
    run.tracker.log_file(file, "lineage")


def data_inputs(run: Session, roles: Sequence[str]) -> list[DataInput]:
    """Return an input per role, with DVC's hash of the raw data and the number of rows."""
    role = read_roles(run.build / "roles.parquet")
    return _data_inputs(run, {name: int((role == ROLES.index(name)).sum()) for name in roles})


def trial_inputs(run: Session, fold: int | None) -> list[DataInput]:
    """Return the training and validation rows of a trial as inputs."""
    folds = read_folds(run.build / "roles.parquet")
    if fold is None or folds is None:
        return data_inputs(run, ("training", "validation"))
    mine, others = int((folds == fold).sum()), int(((folds >= 0) & (folds != fold)).sum())
    return _data_inputs(
        run, {f"training without fold {fold}": others, f"validation on fold {fold}": mine}
    )


def _data_inputs(run: Session, rows: Mapping[str, int]) -> list[DataInput]:
    data = run.experiment.data
    digest = data_digest(run.project, data.folder)
    source = redact(data.source or data.path)
    return [DataInput(data.folder, digest, role, count, source) for role, count in rows.items()]
