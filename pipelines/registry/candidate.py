"""A candidate before the gate: compared with the champion, registered, promoted or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gristmill.pipelines.base import file_digest, write_json
from gristmill.pipelines.config import CALIBRATION, Experiment, Project
from gristmill.pipelines.evaluation import FinalEvaluation, Metric, logged
from gristmill.pipelines.packaging import (
    Package,
    Rehearsal,
    make_package,
    package_digest,
    training_examples,
)
from gristmill.pipelines.preparation import write_seen
from gristmill.pipelines.registry import promotion as moves
from gristmill.pipelines.registry import registered_models as registry
from gristmill.pipelines.registry.champion_answers import (
    FAULTS,
    SEEN,
    Earlier,
    Ground,
    earlier_on,
    fault_words,
    recipe_digest,
    refresh_of,
)
from gristmill.pipelines.registry.contests import contest, counting, slice_masks, sliced
from gristmill.pipelines.registry.gate import CandidateFacts, Decision, decide
from gristmill.pipelines.registry.model_records import (
    BY,
    CHAMPION,
    MEASURED,
    METRIC,
    ChampionSeen,
    Version,
)
from gristmill.pipelines.registry.promotion import Basis, ChampionMoved
from gristmill.pipelines.tracking import DATA, keep_artifact
from gristmill.pipelines.training import Trial

DECISION = "decision.json"
"""Of a run: the gate's decision with all that it rests on."""


@dataclass(frozen=True)
class Registered:
    """A candidate's version and what became of it.

    Attributes:
        champion: the version in service now.
        overtaken: whether a person moved the champion while the candidate was judged; then it is
            held, and the next run judges it anew.
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
    """A package of the winner, tried; or the version that has this very package already."""
    digest = package_digest(project, experiment.name, trial, evaluation.threshold)
    for version in registry.versions(project, experiment.name):
        if version.tags.get(registry.PACKAGE) == digest:
            return version
    return make_package(project, experiment, trial, evaluation, rehearsal)


def judge(
    project: Project,
    ground: Ground,
    candidate: Package | Version,
    rehearsal: Rehearsal,
    cut: str = "",
) -> Decision:
    """Asks the gate, and leaves in `SEEN` which rows the candidate has seen.

    Args:
        cut: key of this run, if no run with it came to its end. A version that such a run
            registered before it was killed keeps the decision that it was registered with.
    """
    name = ground.experiment.name
    model = registry.read_model(project, name)
    decision = _judge(project, ground, candidate, rehearsal, cut)
    decision = replace(decision, seen=model.seen if model else ChampionSeen())
    if decision.outcome != "promote":
        return decision
    if isinstance(candidate, Version) and candidate.standing:
        said = [e for e in moves.history(project, name) if e["version"] == candidate.number]
        return _held(decision, f"{said[-1]['who']} has {candidate.standing} it: {said[-1]['why']}")
    if ground.experiment.document.gate.approve == "manual":
        return replace(decision, outcome="challenger")
    return decision


def _held(decision: Decision, why: str) -> Decision:
    return replace(decision, outcome="hold", reasons=(*decision.reasons, why), by="")


def _judge(
    project: Project, ground: Ground, candidate: Package | Version, rehearsal: Rehearsal, cut: str
) -> Decision:
    experiment, evaluation = ground.experiment, ground.evaluation
    rules, name = experiment.document.gate, experiment.name
    write_seen(project.build(name) / SEEN, ground.seen)
    facts = CandidateFacts(_figures(evaluation, candidate), reads=evaluation.reads)
    champion = registry.champion(project, name)
    if champion is None:
        facts = _with_slices(facts, ground, None)
        lost = registry.lost_champion(project, name)
        gone = f"the champion, version {lost}, is gone: gristmill promote {name} names another"
        return decide(facts, gone if lost else None, rules)
    if isinstance(candidate, Version) and candidate.number == champion.number:
        if cut and candidate.tags.get(registry.RUN) == cut:
            outcome: Any = candidate.tags[registry.DECISION]
            by: Any = candidate.tags.get(BY, "")
            return Decision(outcome, tuple(candidate.tags[registry.REASONS].split("; ")), by)
        decision = decide(facts, None, rules)
        if decision.outcome == "reject":
            return decision
        reasons = (*decision.reasons[:-1], "this version is the champion already")
        return Decision("hold", reasons, "", decision.evidence)
    try:
        rehearsal.answer(champion.address, training_examples(project.build(name), experiment))
        earlier = earlier_on(project, champion, ground, rehearsal)
        refresh = refresh_of(project, champion, earlier, ground, rehearsal)
    except FAULTS as error:
        why = f"the champion, version {champion.number}, cannot be compared: {fault_words(error)}"
        return decide(facts, why, rules)
    facts = _with_slices(facts, ground, earlier)
    rows = ground.facts(earlier)
    made = contest(champion.number, ground.metric, ground.mine, earlier.predictions, rows)
    return decide(facts, replace(made, assumed=earlier.assumed, refresh=refresh), rules)


def _figures(evaluation: FinalEvaluation, candidate: Package | Version) -> dict[str, Metric]:
    """All that may be required: metrics, the calibration error, and the package's figures."""
    figures = {metric.name: metric for metric in evaluation.metrics}
    if evaluation.calibration is not None:
        figures[CALIBRATION] = replace(evaluation.calibration.ece, name=CALIBRATION)
    for name, value in candidate.measured.items():
        figures[name] = Metric(name, value, None, None)
    return figures


def _with_slices(facts: CandidateFacts, ground: Ground, earlier: Earlier | None) -> CandidateFacts:
    """The candidate with its required slices; or with why they cannot be told."""
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
    places = counting(ground.mine, ground.facts(earlier))
    champion = earlier.predictions if earlier else None
    found = sliced(ground.metric, masks, ground.mine, champion, places, ground.group)
    return replace(facts, slices=found)


@dataclass(frozen=True)
class CandidateRun:
    """The run that a candidate comes from.

    Attributes:
        run_id: in MLflow.
        trial: the winner.
        data: DVC's hash of the data set.
        key: all that the run's decision depends on.
    """

    run_id: str
    trial: Trial
    data: str
    key: str = ""


def register_candidate(
    project: Project,
    ground: Ground,
    candidate: Package | Version,
    decision: Decision,
    run: CandidateRun,
    again: Callable[[], Decision] | None = None,
) -> Registered:
    """Registers the version with its decision, and moves the alias that it won.

    Args:
        run: that the version is of.
        again: judges the candidate anew, when another run has moved the champion since.
    """
    name = ground.experiment.name
    version = _version(project, ground, candidate, decision, run)
    overtaken = False
    while True:
        try:
            _move(project, version, decision, run.run_id)
            break
        except ChampionMoved as moved:
            overtaken = moved.by_person or again is None
            if moved.by_person or again is None:
                decision = _held(decision, f"{moved.what}, to {moved.found}")
            else:
                decision = again()
            kept = _kept(project, project.build(name), decision, run.run_id)
            registry.tag_version(project, version, kept)
    now = registry.champion(project, name)
    champion = now.number if now else None
    return Registered(name, version.number, decision, champion, overtaken)


def _version(
    project: Project,
    ground: Ground,
    candidate: Package | Version,
    decision: Decision,
    run: CandidateRun,
) -> Version:
    """The candidate's version with its tags, registered now where it is a package."""
    name, build = ground.experiment.name, project.build(ground.experiment.name)
    decided = {**_kept(project, build, decision, run.run_id), registry.RUN: run.key}
    tags = {
        registry.TRIAL: run.trial.key,
        **decided,
        DATA: run.data,
        **{
            METRIC + logged(metric.name): repr(metric.value)
            for metric in ground.evaluation.metrics
            if not metric.why
        },
    }
    if isinstance(candidate, Version):
        if CHAMPION in candidate.aliases and decision.outcome == "hold":
            tags = {tag: tags[tag] for tag in tags if tag not in decided}  # what made it stays
        registry.tag_version(project, candidate, tags)
        return candidate
    keep_artifact(project, run.run_id, build / SEEN, "lineage")
    tags |= {
        registry.PACKAGE: candidate.digest,
        registry.TARGET: ground.experiment.data.target,
        registry.RECIPE: recipe_digest(ground.experiment),
        registry.SEEN: file_digest(build / SEEN),
        **{MEASURED + figure: repr(value) for figure, value in candidate.measured.items()},
    }
    return _registered(project, name, candidate, run.run_id) or registry.register(
        project, name, candidate.address, run.run_id, tags
    )


def _registered(project: Project, model: str, package: Package, run_id: str) -> Version | None:
    """The version that this run has made already, when it is tried again."""
    for version in registry.versions(project, model):
        if version.run_id == run_id and version.tags.get(registry.PACKAGE) == package.digest:
            return version
    return None


def _kept(project: Project, build: Path, decision: Decision, run_id: str) -> dict[str, str]:
    """The tags that say what was decided; all that it rests on is kept with the run."""
    reasons = "; ".join(decision.reasons)
    tags = {registry.DECISION: decision.outcome, registry.REASONS: reasons}
    if decision.evidence is None:
        return tags
    write_json(build / DECISION, decision.record)
    keep_artifact(project, run_id, build / DECISION)
    return {**tags, registry.DECIDED: run_id}


def _move(project: Project, version: Version, decision: Decision, run_id: str) -> None:
    why, by = decision.reasons[-1], decision.by or "superiority"
    evidence = {"run": run_id, "reasons": list(decision.reasons)}
    basis = Basis(by, evidence, decision.seen)
    if decision.outcome == "promote":
        moves.promote(project, version.model, version.number, why, basis)
    elif decision.outcome == "challenger":
        moves.challenge(project, version.model, version.number, why, basis)
