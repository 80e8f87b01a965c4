"""Earlier versions on the candidate's test rows: their answers, and the rows they have seen."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from gristmill.pipelines.base import EnvironmentFault, file_digest, first_line
from gristmill.pipelines.config import Experiment, Project
from gristmill.pipelines.evaluation import (
    FinalEvaluation,
    Predictions,
    from_answers,
    read_predictions,
)
from gristmill.pipelines.packaging import Rehearsal, plain_types, require_unchanged
from gristmill.pipelines.preparation import SeenRows, dates_of, group_of, read_seen, seen_rows
from gristmill.pipelines.registry import contests
from gristmill.pipelines.registry import promotion as moves
from gristmill.pipelines.registry import registered_models as registry
from gristmill.pipelines.registry.contests import ComparedRows, NotWorse, Refresh
from gristmill.pipelines.registry.model_records import Version
from gristmill.pipelines.tables import Flags, TableRows
from gristmill.pipelines.tracking import fetch_artifact
from gristmill.pipelines.training import shared_parts

PREDICTIONS = "predictions.parquet"
SEEN = "lineage/seen.parquet"
"""Artifact of a run and file in `build/NAME`: hashes of the rows the model has seen."""

FAULTS = (EnvironmentFault, ValueError, KeyError, OSError)
"""Errors raised by a version that is missing, damaged or of another kind."""


def fault_words(error: BaseException) -> str:
    """Return one line that describes one of `FAULTS`."""
    if isinstance(error, EnvironmentFault):
        return ": ".join(filter(None, (error.what, error.found)))
    return str(error)


@dataclass(frozen=True)
class Ground:
    """The basis of a judgement: the test rows and the candidate's answers to them.

    Attributes:
        project: the project.
        experiment: the experiment.
        evaluation: the candidate's results on the test rows.
        rehearsal: the process that runs packages.
        metric: name of the metric by which models are compared.
        mine: the candidate's answers.
        rows: the raw test rows, in the order of `mine`.
        seen: rows the candidate was trained and validated on.
        own: (n_rows,) bool, the test rows the candidate has seen.
        compared: the properties of the rows that a comparison uses.
        baselines: the answers of `dummy` and `linear`, in the order of `mine`.
    """

    project: Project
    experiment: Experiment
    evaluation: FinalEvaluation
    rehearsal: Rehearsal
    metric: str
    mine: Predictions
    rows: TableRows
    seen: SeenRows
    own: Flags
    compared: ComparedRows
    baselines: Mapping[str, Predictions] = field(default_factory=dict)


@dataclass(frozen=True)
class Earlier:
    """An earlier version's answers to the candidate's test rows.

    Attributes:
        predictions: its answers, in the order of the candidate's.
        compared: properties of the rows: seen by this version or the candidate, and new to this
            version.
        known: hashes of the rows it was trained, validated and tested on; None if unknown.
        assumed: assumptions the comparison makes, as reasons for the decision.
    """

    predictions: Predictions
    compared: ComparedRows
    known: SeenRows | None
    assumed: tuple[str, ...]


def ground_of(
    project: Project, experiment: Experiment, evaluation: FinalEvaluation, rehearsal: Rehearsal
) -> Ground:
    """Read the test rows and the candidate's answers to them.

    Args:
        project: the project.
        experiment: the experiment.
        evaluation: the candidate's results on the test rows.
        rehearsal: the process that runs packages.
    """
    document, rules = experiment.document, experiment.document.gate.champion
    mine, rows = read_predictions(evaluation.predictions), TableRows(evaluation.raw)
    seen = seen_rows(project, experiment.name, document)
    own, group = seen.marks(rows, mine.identity), group_of(project, document, rows)
    compared = ComparedRows(own, None, dates_of(project, document, rows), group, rules.newest)
    metric = rules.metric or document.test_metrics[0]
    judged = (project, experiment, evaluation, rehearsal)
    return Ground(*judged, metric, mine, rows, seen, own, compared, _baselines(evaluation, mine))


def _baselines(evaluation: FinalEvaluation, mine: Predictions) -> dict[str, Predictions]:
    if evaluation.guesses is None:
        return {}
    with np.load(evaluation.guesses) as outputs:
        return {
            name: replace(mine, outputs=outputs[name].astype("float64"), threshold=None)
            for name in outputs
        }


def earlier_on(version: Version, ground: Ground) -> Earlier:
    """Return an earlier version's answers to the candidate's test rows.

    Raises:
        EnvironmentFault, ValueError, KeyError, OSError: the version is missing, damaged or of
            another kind.
    """
    target = ground.experiment.data.target
    if version.tags.get(registry.TARGET, target) != target:
        raise ValueError(f"it predicts {version.tags[registry.TARGET]}, the candidate {target}")
    require_unchanged(ground.project, version)
    identity = ground.mine.identity
    stored = stored_answers(ground.project, version)
    predictions = champion_predictions(ground, version, stored)
    compared = replace(ground.compared, newer=~np.isin(identity, stored.identity))
    seen = _seen_by(ground.project, version)
    if seen is None:
        words = f"version {version.number} has no list of the rows that it has seen: "
        return Earlier(predictions, compared, None, (words + "the split is trusted",))
    absent = seen.absent(ground.rows)
    assumed = tuple(
        f"copies of rows that version {version.number} has seen are counted: no column {column}"
        for column in absent[:1]
    )
    compared = replace(compared, seen=ground.own | seen.marks(ground.rows, identity))
    known = SeenRows(np.union1d(seen.hashes, stored.identity), (), None)
    return Earlier(predictions, compared, known, assumed)


def _seen_by(project: Project, version: Version) -> SeenRows | None:
    """Return the rows a version has seen; None for old versions, registered without this list.

    Raises:
        EnvironmentFault: the list is missing.
        ValueError: the list is damaged.
    """
    kept = version.tags.get(registry.SEEN)
    if kept is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = fetch_artifact(project, version.run_id, SEEN, Path(folder))
        if file_digest(file) != kept:
            raise ValueError(f"the artifact {SEEN} of its run is damaged")
        return read_seen(file)


def refresh_of(champion: Version, earlier: Earlier, ground: Ground) -> Refresh | None:
    """Compare a candidate with the champion if it is the same recipe trained on newer data.

    The recipe consists of the settings that determine a model and of the training code. Data are
    newer if they have rows that the champion has neither seen nor answered.

    Args:
        champion: the version in service.
        earlier: the champion's answers.
        ground: the test rows and the candidate's answers to them.

    Returns:
        The comparison; None if the recipe differs, the data are not newer, or it is unknown which
        rows the champion has seen.
    """
    rules = ground.experiment.document.gate.champion
    known = earlier.known
    if known is None or champion.tags.get(registry.RECIPE) != recipe_digest(ground.experiment):
        return None
    if known.has(ground.seen.hashes).all() and known.has(ground.mine.identity).all():
        return None
    days = (time.time() - champion.created) / 86_400
    if days < rules.fresh_after:
        return Refresh(days, ())

    def held(version: Version, other: Earlier) -> NotWorse:
        places, group = contests.counting(ground.mine, other.compared), other.compared.group
        pair = contests.paired(ground.metric, ground.mine, other.predictions, places, group)
        return contests.not_worse(version.number, rules.margin, pair)

    found: tuple[NotWorse, ...] = (held(champion, earlier),)
    try:
        anchor = moves.anchor(ground.project, champion)
        if anchor.number != champion.number:
            found = (*found, held(anchor, earlier_on(anchor, ground)))
    except FAULTS as error:
        return Refresh(days, f"the anchor cannot be compared: {fault_words(error)}")
    return Refresh(days, found)


def recipe_digest(experiment: Experiment) -> str:
    """Return a hash of what determines a model besides the data: its settings and the code."""
    document = experiment.document
    sections = ("split", "features", "parameters", "model", "training", "search")
    settings = {name: document.model_dump(include={name}, by_alias=True) for name in sections}
    shared = shared_parts(experiment, "")
    sources = {name: digest for name, digest in shared.items() if name.endswith(".py")}
    parts = [document.data.target, document.data.task, settings, sources]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def stored_answers(project: Project, version: Version) -> Predictions:
    """Return a version's answers from its evaluation.

    Raises:
        EnvironmentFault: the answers are not in the store.
        ValueError: the answers are damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = fetch_artifact(project, version.run_id, PREDICTIONS, Path(folder))
        try:
            stored = read_predictions(file)
        except (OSError, KeyError, ValueError) as error:
            raise ValueError(
                f"the artifact {PREDICTIONS} of its run is damaged: {first_line(error)}"
            ) from error
    _require_numbers(stored)
    return stored


def _require_numbers(predictions: Predictions) -> None:
    finite = np.isfinite(predictions.outputs)
    bad = int((~(finite if finite.ndim == 1 else finite.all(axis=1))).sum())
    if bad:
        raise ValueError(f"its answers for {bad:,} rows are not finite numbers")


def champion_predictions(ground: Ground, champion: Version, stored: Predictions) -> Predictions:
    """Return the champion's answers to the candidate's test rows, in the same order.

    Stored answers are reused; only rows without one are sent to the registered package.

    Args:
        ground: the test rows and the candidate's answers to them.
        champion: the version whose answers are wanted.
        stored: its answers from its evaluation.

    Raises:
        EnvironmentFault: its package is missing or does not work.
        ValueError: it has different classes, predicts another target, or answers with NaN.
    """
    wanted = ground.mine
    if stored.classes != wanted.classes:
        raise ValueError(f"it has different classes: {', '.join(stored.classes or ('none',))}")
    known = pd.Series(np.arange(len(stored.identity)), index=stored.identity)
    known = known[~known.index.duplicated()]
    places = known.reindex(wanted.identity).to_numpy(dtype="float64", na_value=np.nan)
    new = np.isnan(places)
    there = places[~new].astype(int)
    other = int((stored.truth[there] != wanted.truth[~new]).sum())
    if other > len(there) / 2:  # newer data may correct a few
        raise ValueError(
            f"it predicts another target: {other:,} of {len(there):,} rows had another value"
        )
    outputs = np.empty(wanted.outputs.shape, dtype="float64")
    outputs[~new] = stored.outputs[there]
    if new.any():
        raw = pd.read_parquet(ground.evaluation.raw, dtype_backend="numpy_nullable")
        asked = plain_types(raw[new].reset_index(drop=True))
        answers = ground.rehearsal.answer(champion, asked)
        outputs[new] = from_answers(answers, wanted.rows(new)).outputs
    made = replace(wanted, outputs=outputs, threshold=stored.threshold)
    _require_numbers(made)
    return made
