"""Judge a candidate: compare it with the champion, register it, and promote it if it wins."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gristmill.pipelines.base import EnvironmentFault, file_digest, write_json, writing
from gristmill.pipelines.config import CALIBRATION, Experiment, Project
from gristmill.pipelines.evaluation import FinalEvaluation, Metric
from gristmill.pipelines.packaging import (
    FILES,
    LIST,
    Package,
    Rehearsal,
    list_digest,
    make_package,
    package_digest,
    require_unchanged,
    training_examples,
)
from gristmill.pipelines.preparation import write_seen
from gristmill.pipelines.registry import champion_answers as answers
from gristmill.pipelines.registry import model_records as records
from gristmill.pipelines.registry import promotion as moves
from gristmill.pipelines.registry import registered_models as registry
from gristmill.pipelines.registry.champion_answers import SEEN, Earlier, Ground
from gristmill.pipelines.registry.contests import Contest, contest, counting, slice_masks, sliced
from gristmill.pipelines.registry.gate import DUMMY, LINEAR, CandidateFacts, Decision, decide
from gristmill.pipelines.registry.model_records import ChampionSeen, RegisteredModel, Version
from gristmill.pipelines.tracking import DATA, keep_artifact
from gristmill.pipelines.training import Trial

DECISION = "decision.json"
"""Artifact of a run: the gate's decision with its evidence."""


@dataclass(frozen=True)
class Registered:
    """A candidate's version and its decision.

    Attributes:
        model: name of the registered model.
        version: number of the candidate's version.
        decision: the gate's decision.
        champion: number of the version in service now; None without a champion.
        overtaken: whether a person moved the champion while the candidate was judged; the
            candidate is then held, and the next run judges it again.
    """

    model: str
    version: str
    decision: Decision
    champion: str | None
    overtaken: bool = False


def package_candidate(
    project: Project,
    experiment: Experiment,
    trial: Trial,
    evaluation: FinalEvaluation,
    rehearsal: Rehearsal,
) -> Package | Version:
    """Return a tested package of the winning trial, or the version that has the same package.

    Args:
        project: the project.
        experiment: the experiment.
        trial: the winning trial.
        evaluation: the trial's results on the test rows.
        rehearsal: the process that tests the package.

    Raises:
        EnvironmentFault: the package does not load or does not repeat the evaluation's answers.
    """
    digest = package_digest(project, experiment.name, trial, evaluation.threshold)
    for version in _packaged(project, experiment.name, digest):
        with suppress(EnvironmentFault):  # changed or lost: a new version is made
            require_unchanged(project, version)
            return version
    return make_package(project, experiment, trial, evaluation, rehearsal)


def _packaged(project: Project, model: str, digest: str) -> list[Version]:
    """Return the versions with this package, newest first."""
    every = registry.versions(project, model)
    return [version for version in every if version.tags.get(registry.PACKAGE) == digest]


def judge(ground: Ground, candidate: Package | Version, cut: str = "") -> Decision:
    """Return the gate's decision, and write the rows the candidate has seen to `SEEN`.

    Args:
        ground: the test rows and the candidate's answers to them.
        candidate: the candidate's package, or the version that has the same package.
        cut: this run's key if no run with this key was completed, else empty. A version that a
            killed run with this key has registered keeps its decision.
    """
    model = registry.read_model(ground.project, ground.experiment.name)
    decision = _judge(ground, candidate, model, cut)
    decision = replace(decision, seen=model.seen if model else ChampionSeen())
    if decision.outcome != "promote":
        return decision
    if model and isinstance(candidate, Version) and candidate.standing:
        said = [entry for entry in model.history if entry["version"] == candidate.number]
        return _held(decision, f"{said[-1]['who']} has {candidate.standing} it: {said[-1]['why']}")
    if ground.experiment.document.gate.approve == "manual":
        return replace(decision, outcome="challenger")
    return decision


def _held(decision: Decision, why: str) -> Decision:
    return replace(decision, outcome="hold", reasons=(*decision.reasons, why), by="")


def _judge(
    ground: Ground, candidate: Package | Version, model: RegisteredModel | None, cut: str
) -> Decision:
    rules, name = ground.experiment.document.gate, ground.experiment.name
    build = ground.project.build(name)
    write_seen(build / SEEN, ground.seen)
    facts = CandidateFacts(_figures(ground.evaluation, candidate), reads=ground.evaluation.reads)
    champion = model.alias(records.CHAMPION) if model else None
    if champion is None:
        facts, gone = _with_slices(facts, ground, None), None
        facts = replace(facts, baselines=_against_baselines(ground))
        if model and model.moves:
            lost = f"the champion, version {model.moves[-1]['version']}, no longer exists"
            gone = f"{lost}: choose another with gristmill promote {name}"
        return decide(facts, gone, rules)
    if isinstance(candidate, Version) and candidate.number == champion.number:
        if cut and candidate.tags.get(registry.RUN) == cut:
            outcome: Any = candidate.tags[registry.DECISION]
            by: Any = candidate.tags.get(records.BY, "")
            return Decision(outcome, tuple(candidate.tags[registry.REASONS].split("; ")), by)
        decision = decide(facts, None, rules)
        if decision.outcome == "reject":
            return decision
        reasons = (*decision.reasons[:-1], "this version is already the champion")
        return Decision("hold", reasons, "", decision.evidence)
    try:
        ground.rehearsal.answer(champion, training_examples(build, ground.experiment))
        earlier = answers.earlier_on(champion, ground)
        refresh = answers.refresh_of(champion, earlier, ground)
    except answers.FAULTS as error:
        which, words = f"the champion, version {champion.number}", answers.fault_words(error)
        why = f"{which}, cannot be compared: {words}"
        return decide(facts, why, rules)
    facts = _with_slices(facts, ground, earlier)
    both = (ground.mine, earlier.predictions)
    made = contest(champion.number, ground.metric, *both, earlier.compared)
    return decide(facts, replace(made, assumed=earlier.assumed, refresh=refresh), rules)


def _figures(evaluation: FinalEvaluation, candidate: Package | Version) -> dict[str, Metric]:
    """Return the values `gate.require` can name: metrics, calibration error, package figures."""
    figures = {metric.name: metric for metric in evaluation.metrics}
    if evaluation.calibration is not None:
        figures[CALIBRATION] = replace(evaluation.calibration.ece, name=CALIBRATION)
    for name, value in candidate.measured.items():
        figures[name] = Metric(name, value, None, None)
    return figures


def _against_baselines(ground: Ground) -> tuple[Contest, ...]:
    """Compare the candidate with the baselines that the rules ask for."""
    names = (DUMMY, LINEAR) if ground.experiment.document.gate.baseline else (DUMMY,)
    return tuple(
        contest(name, ground.metric, ground.mine, ground.baselines[name], ground.compared)
        for name in names
        if name in ground.baselines
    )


def _with_slices(facts: CandidateFacts, ground: Ground, earlier: Earlier | None) -> CandidateFacts:
    """Add the required slices, or the reason why they cannot be computed."""
    wanted = {n: rule.min for n, rule in ground.experiment.document.gate.slices.items()}
    if not wanted:
        return facts
    columns = {}
    for name in {name.partition("=")[0] for name in wanted} & {*ground.rows.names}:
        codes, texts = ground.rows.labels(name)
        columns[name] = np.asarray(texts, dtype=object)[codes]
    try:
        masks = slice_masks(wanted, columns)
    except ValueError as error:
        return replace(facts, why_not=str(error))
    rows, champion = ground.compared, None
    if earlier is not None:
        rows, champion = earlier.compared, earlier.predictions
    places = counting(ground.mine, rows)
    found = sliced(ground.metric, masks, ground.mine, champion, places, rows.group)
    return replace(facts, slices=found)


@dataclass(frozen=True)
class CandidateRun:
    """The run that produced a candidate.

    Attributes:
        run_id: MLflow's id of the run.
        trial: the winning trial.
        data: DVC's hash of the data set.
        key: hash of everything the run's decision depends on; empty if unknown.
    """

    run_id: str
    trial: Trial
    data: str
    key: str = ""


def register_candidate(
    ground: Ground,
    candidate: Package | Version,
    decision: Decision,
    run: CandidateRun,
    again: Callable[[], Decision] | None = None,
) -> Registered:
    """Register the candidate with its decision, and move the alias it has won.

    Args:
        ground: the test rows and the candidate's answers to them.
        candidate: the candidate's package, or the version that has the same package.
        decision: the gate's decision.
        run: the run that produced the candidate.
        again: judges the candidate again if another run has moved the champion in the meantime;
            None holds the candidate instead.
    """
    project, name = ground.project, ground.experiment.name
    version = _version(ground, candidate, decision, run)
    overtaken = False
    while True:
        try:
            _move(project, version, decision, run.run_id)
            break
        except moves.ChampionMoved as moved:
            if moved.by_person or again is None:
                overtaken = True
                decision = _held(decision, f"{moved.what}, to {moved.found}")
            else:
                overtaken, decision = False, again()
            registry.tag_version(project, version, _kept(ground, decision, run.run_id))
    now = registry.champion(project, name)
    champion = now.number if now else None
    return Registered(name, version.number, decision, champion, overtaken)


def _version(
    ground: Ground, candidate: Package | Version, decision: Decision, run: CandidateRun
) -> Version:
    """Return the candidate's version with its tags set; register it if it is a package."""
    project, name = ground.project, ground.experiment.name
    decided = {**_kept(ground, decision, run.run_id), registry.RUN: run.key}
    tags = {
        registry.TRIAL: run.trial.key,
        **decided,
        DATA: run.data,
        **records.metric_tags({m.name: m.value for m in ground.evaluation.metrics if not m.why}),
    }
    if isinstance(candidate, Version):
        serves = records.CHAMPION in candidate.aliases
        served = not serves and candidate.tags.get(registry.DECISION) == "promote"
        if (serves and decision.outcome == "hold") or (served and decision.outcome != "promote"):
            tags = {tag: tags[tag] for tag in tags if tag not in decided}  # keep its promotion
        registry.tag_version(project, candidate, tags)
        return candidate
    seen = project.build(name) / SEEN
    keep_artifact(project, run.run_id, seen, "lineage")
    files = project.build(name) / LIST
    with writing(files) as aside:
        aside.write_text(candidate.files, encoding="utf-8")
    keep_artifact(project, run.run_id, files, "lineage")
    tags |= {
        registry.PACKAGE: candidate.digest,
        FILES: list_digest(candidate.files),
        registry.TARGET: ground.experiment.data.target,
        registry.RECIPE: answers.recipe_digest(ground.experiment),
        registry.SEEN: file_digest(seen),
        **{records.MEASURED + figure: repr(value) for figure, value in candidate.measured.items()},
    }
    for version in _packaged(project, name, candidate.digest):
        if version.run_id == run.run_id:  # by an earlier attempt of this run
            return version
    return registry.register(project, name, candidate.address, run.run_id, tags)


def _kept(ground: Ground, decision: Decision, run_id: str) -> dict[str, str]:
    """Return the tags of a decision, and store its evidence with the run."""
    reasons = "; ".join(decision.reasons)
    tags = {registry.DECISION: decision.outcome, registry.REASONS: reasons}
    if decision.evidence is None:
        return tags
    file = ground.project.build(ground.experiment.name) / DECISION
    write_json(file, decision.record)
    keep_artifact(ground.project, run_id, file)
    return {**tags, registry.DECIDED: run_id}


def _move(project: Project, version: Version, decision: Decision, run_id: str) -> None:
    why, by = decision.reasons[-1], decision.by or "superiority"
    evidence = {"run": run_id, "reasons": list(decision.reasons)}
    basis = moves.Basis(by, evidence, decision.seen)
    if decision.outcome == "promote":
        moves.promote(project, version.model, version.number, why, basis)
    elif decision.outcome == "challenger":
        moves.challenge(project, version.model, version.number, why, basis)
