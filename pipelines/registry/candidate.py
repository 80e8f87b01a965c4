"""A candidate before the gate: compared with the champion, registered, promoted or not."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.config import EnvironmentFault, Experiment, Project
from pipelines.evaluation import Evaluation, Predictions, from_answers, logged, read_predictions
from pipelines.registry import models as registry
from pipelines.registry.gate import Contest, Decision, contest, decide
from pipelines.registry.models import Version
from pipelines.registry.package import Package, make_package, package_digest, plain_types
from pipelines.registry.rehearsal import Rehearsal
from pipelines.tracking.runs import fetch_artifact
from pipelines.training import Trial

PREDICTIONS = "predictions.parquet"


@dataclass(frozen=True)
class Registered:
    """A candidate's version and what became of it."""

    model: str
    version: str
    decision: Decision
    champion: str | None


def package_candidate(
    project: Project,
    experiment: Experiment,
    trial: Trial,
    evaluation: Evaluation,
    rehearsal: Rehearsal,
) -> Package | Version:
    """A package of the winner, tried; or the version that has this very package already."""
    digest = package_digest(project, experiment.name, trial, evaluation.threshold)
    for version in registry.versions(project, experiment.name):
        if version.tags.get(registry.PACKAGE) == digest:
            return version
    return make_package(project, experiment, trial, evaluation, rehearsal)


def judge(
    project: Project,
    experiment: Experiment,
    evaluation: Evaluation,
    candidate: Package | Version,
    rehearsal: Rehearsal,
    cut: str = "",
) -> Decision:
    """Asks the gate.

    Args:
        cut: key of this run, if no run with it came to its end. A version that such a run
            registered before it was killed keeps the decision that it was registered with.
    """
    rules = experiment.document.gate
    undefined = [m for m in evaluation.metrics if m.why and m.name in rules.require]
    if undefined:
        return Decision("reject", tuple(f"{m.name} is {m}" for m in undefined))
    metrics = {metric.name: metric.value for metric in evaluation.metrics}
    against: Contest | str | None
    champion = registry.champion(project, experiment.name)
    if champion is None:
        against = None
    elif isinstance(candidate, Version) and candidate.number == champion.number:
        if cut and candidate.tags.get(registry.RUN) == cut:
            outcome: Any = candidate.tags[registry.DECISION]
            return Decision(outcome, tuple(candidate.tags[registry.REASONS].split("; ")))
        decision = decide(metrics, rules, None)
        if decision.outcome == "reject":
            return decision
        return Decision("hold", (*decision.reasons[:-1], "this version is the champion already"))
    else:
        metric = rules.champion.metric or experiment.document.test_metrics[0]
        mine = read_predictions(evaluation.predictions)
        try:
            theirs = champion_predictions(project, experiment.name, champion, mine, rehearsal)
            against = contest(champion.number, metric, mine, theirs)
        except (EnvironmentFault, ValueError) as error:
            what = error.what if isinstance(error, EnvironmentFault) else str(error)
            found = getattr(error, "found", "")
            against = f"the champion, version {champion.number}, cannot be compared: {what} {found}"
    return decide(metrics, rules, against)


def champion_predictions(
    project: Project, name: str, champion: Version, wanted: Predictions, rehearsal: Rehearsal
) -> Predictions:
    """The champion's answers for the candidate's test rows, in their order.

    Stored answers are read; only rows that the champion has not answered yet are given to its
    registered package.

    Raises:
        EnvironmentFault: its answers or its package are not there or do not work.
        ValueError: it knows other classes.
    """
    with tempfile.TemporaryDirectory() as folder:
        stored = read_predictions(
            fetch_artifact(project, champion.run_id, PREDICTIONS, Path(folder))
        )
    if stored.classes != wanted.classes:
        raise ValueError(f"it knows other classes: {', '.join(stored.classes or ('none',))}")
    known = pd.Series(np.arange(len(stored.identity)), index=stored.identity)
    known = known[~known.index.duplicated()]
    places = known.reindex(wanted.identity).to_numpy(dtype="float64", na_value=np.nan)
    new = np.isnan(places)
    outputs = np.empty(wanted.outputs.shape, dtype="float64")
    outputs[~new] = stored.outputs[places[~new].astype(int)]
    if new.any():
        rows = pd.read_parquet(
            project.build(name) / "test" / "rows.parquet", dtype_backend="numpy_nullable"
        )
        answers = rehearsal.answer(champion.address, plain_types(rows[new].reset_index(drop=True)))
        outputs[new] = from_answers(answers, wanted.rows(new)).outputs
    return replace(wanted, outputs=outputs, threshold=stored.threshold)


def register_candidate(
    project: Project,
    experiment: Experiment,
    trial: Trial,
    evaluation: Evaluation,
    candidate: Package | Version,
    decision: Decision,
    run_id: str,
    data_digest: str,
    key: str = "",
) -> Registered:
    """Registers the version with its decision, and moves `champion` if that is to promote.

    Args:
        run_id: MLflow's run that the version is of.
        data_digest: DVC's hash of the data set.
        key: of the run: all that its decision depends on.
    """
    tags = {
        registry.TRIAL: trial.key,
        registry.DECISION: decision.outcome,
        registry.REASONS: "; ".join(decision.reasons),
        registry.RUN: key,
        "gristmill.data": data_digest,
        **{
            registry.METRIC + logged(metric.name): repr(metric.value)
            for metric in evaluation.metrics
            if not metric.why
        },
    }
    if isinstance(candidate, Package):
        tags[registry.PACKAGE] = candidate.digest
        version = registry.register(project, experiment.name, candidate.address, run_id, tags)
    else:
        version = candidate
        registry.tag_version(project, version, tags)
    if decision.outcome == "promote":
        registry.promote(project, experiment.name, version.number, decision.reasons[-1])
    now = registry.champion(project, experiment.name)
    return Registered(experiment.name, version.number, decision, now.number if now else None)
