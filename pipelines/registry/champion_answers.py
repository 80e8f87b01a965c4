"""Earlier versions on the candidate's test rows: what they answered, and which they have seen."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from dataclasses import dataclass, replace
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
from gristmill.pipelines.packaging import Rehearsal, plain_types
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
"""Of a run, and in `build/NAME`: hashes of the rows that its model has seen."""

FAULTS = (EnvironmentFault, ValueError, KeyError, OSError)
"""What a version may raise that is gone, damaged or of another kind."""


def fault_words(error: BaseException) -> str:
    if isinstance(error, EnvironmentFault):
        return ": ".join(filter(None, (error.what, error.found)))
    return str(error)


@dataclass(frozen=True)
class Ground:
    """All that a candidate is judged on: the test rows, its answers, and what is known of them.

    Attributes:
        evaluation: of the candidate.
        rehearsal: answers by packages.
        metric: by which models are compared.
        mine: the candidate's answers.
        rows: as they came in, in the same order.
        seen: what the candidate was trained and validated on.
        own: (n_rows,) bool, which of the test rows it has seen.
        compared: all of this that a comparison needs.
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


@dataclass(frozen=True)
class Earlier:
    """What an earlier version answered for the same rows.

    Attributes:
        predictions: row by row.
        compared: what is known of the rows: which of them it or the candidate has seen, and which
            it had not answered before.
        known: hashes of the rows that it was made and tested with; None where that is not known.
        assumed: what had to be taken for granted.
    """

    predictions: Predictions
    compared: ComparedRows
    known: SeenRows | None
    assumed: tuple[str, ...]


def ground_of(
    project: Project, experiment: Experiment, evaluation: FinalEvaluation, rehearsal: Rehearsal
) -> Ground:
    document, rules = experiment.document, experiment.document.gate.champion
    mine, rows = read_predictions(evaluation.predictions), TableRows(evaluation.raw)
    seen = seen_rows(project, experiment.name, document)
    own, group = seen.marks(rows, mine.identity), group_of(project, document, rows)
    compared = ComparedRows(own, None, dates_of(project, document, rows), group, rules.newest)
    metric = rules.metric or document.test_metrics[0]
    judged = (project, experiment, evaluation, rehearsal)
    return Ground(*judged, metric, mine, rows, seen, own, compared)


def earlier_on(version: Version, ground: Ground) -> Earlier:
    """An earlier version on the candidate's test rows.

    Raises:
        EnvironmentFault, ValueError, KeyError, OSError: it is gone, damaged or of another kind.
    """
    target = ground.experiment.data.target
    if version.tags.get(registry.TARGET, target) != target:
        raise ValueError(f"it predicts {version.tags[registry.TARGET]}, the candidate {target}")
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
    """What a version has seen; None of one that was registered before that was kept.

    Raises:
        EnvironmentFault: its list is gone.
        ValueError: it is damaged.
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
    """The comparison that refreshes a champion, where this is its own recipe on newer data.

    The recipe is all of the experiment file that decides over a model, and the code that trains;
    data are newer where they have rows that the champion has neither seen nor answered.
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
    """What makes a model besides the data: the settings that decide over it, and the code."""
    document = experiment.document
    sections = ("split", "features", "parameters", "model", "training", "search")
    settings = {name: document.model_dump(include={name}, by_alias=True) for name in sections}
    shared = shared_parts(experiment, "")
    sources = {name: digest for name, digest in shared.items() if name.endswith(".py")}
    parts = [document.data.target, document.data.task, settings, sources]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def stored_answers(project: Project, version: Version) -> Predictions:
    """What a version answered when it was evaluated.

    Raises:
        EnvironmentFault: it is not in the store.
        ValueError: it is damaged.
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
    """The champion's answers for the candidate's test rows, in their order.

    Stored answers are read; only rows that the champion has not answered yet are given to its
    registered package.

    Args:
        stored: what it answered when it was evaluated.

    Raises:
        EnvironmentFault: its package is not there or does not work.
        ValueError: it knows other classes, predicts something else, or answers with NaN.
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
    if other > len(there) / 2:  # a few may have been mended in newer data
        raise ValueError(
            f"it predicts another target: {other:,} of {len(there):,} rows had another value"
        )
    outputs = np.empty(wanted.outputs.shape, dtype="float64")
    outputs[~new] = stored.outputs[there]
    if new.any():
        raw = pd.read_parquet(ground.evaluation.raw, dtype_backend="numpy_nullable")
        asked = plain_types(raw[new].reset_index(drop=True))
        answers = ground.rehearsal.answer(champion.address, asked)
        outputs[new] = from_answers(answers, wanted.rows(new)).outputs
    made = replace(wanted, outputs=outputs, threshold=stored.threshold)
    _require_numbers(made)
    return made
