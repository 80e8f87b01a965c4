"""What the page of a run shows, gathered at its end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gristmill.flows.outcome import Outcome
from gristmill.flows.page.report import fold_lines
from gristmill.flows.page.tables import trial_table
from gristmill.flows.results import OPTIMISTIC, Finished, trial_parameters
from gristmill.flows.session import Session
from gristmill.pipelines.base import redact
from gristmill.pipelines.evaluation import FinalEvaluation, logged
from gristmill.pipelines.preparation import ROLES, read_roles
from gristmill.pipelines.reporting import Table
from gristmill.pipelines.search import data_changes
from gristmill.pipelines.tracking import rows_read, run_tags

SHOWN = ("training", "validation", "test", "gap")
"""The order of the roles on the page."""


@dataclass(frozen=True)
class DataFacts:
    """The data of a run.

    Attributes:
        digest: DVC's hash of the data set.
        source: where they came from.
        rows: by role.
        since: what is different since the champion's data, in words.
        drift: whether columns drifted from the champion's data, in words.
    """

    digest: str
    source: str
    rows: Mapping[str, int]
    since: str
    drift: str = ""


@dataclass(frozen=True)
class RunFacts:
    """All that the page shows.

    Attributes:
        description: of the experiment.
        run_id: MLflow's.
        began: when, in local time.
        evidence: what the gate measured; JSON.
        trials: a row a point, the winner first.
        about_trials: sentences on them.
        settings: of the winner.
        champion: version that the run met.
        champion_metrics: on the very same test rows; none where they are not known.
        package: what was measured of it: `start_seconds`, `latency_ms` of one row, `megabytes`.
        pictures: PNG files.
        tags: of the run in MLflow.
        file: the experiment file.
        overrides: parameters that replaced those of the file.
        times: seconds by part.
    """

    outcome: Outcome
    description: str
    run_id: str
    began: str
    data: DataFacts
    evaluation: FinalEvaluation
    trials: Table
    evidence: Mapping[str, Any] = field(default_factory=dict)
    about_trials: Sequence[str] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    champion: str = ""
    champion_metrics: Mapping[str, float] = field(default_factory=dict)
    package: Mapping[str, float] = field(default_factory=dict)
    pictures: Sequence[Path] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    overrides: Mapping[str, object] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    times: Mapping[str, float] = field(default_factory=dict)


def gather(run: Session, made: Finished) -> RunFacts:
    """All that the page shows."""
    searched, document = made.searched, run.experiment.document
    tags = run_tags(run.project, run.tracker.run_id)
    began = time.localtime(time.time() - sum(made.times.values()))
    return RunFacts(
        outcome=made.outcome,
        evidence=made.registered.decision.record,
        description=document.description,
        run_id=run.tracker.run_id,
        began=time.strftime("%Y-%m-%d %H:%M %Z", began),
        data=_data(run, tags),
        evaluation=made.evaluation,
        trials=trial_table(document, searched),
        about_trials=[OPTIMISTIC, *fold_lines(document, searched)],
        settings=trial_parameters(searched.winner),
        champion=run.champion.number if run.champion else "",
        champion_metrics=made.champion,
        package=made.candidate.measured,
        pictures=[file for file in made.pictures if file.suffix == ".png"],
        tags=tags,
        file=redact(run.experiment.file.read_text(encoding="utf-8")),
        overrides=run.experiment.overrides,
        warnings=run.warnings,
        times=made.times,
    )


def _data(run: Session, tags: Mapping[str, str]) -> DataFacts:
    data = run.experiment.data
    role = read_roles(run.build / "roles.parquet")
    rows = {name: int((role == ROLES.index(name)).sum()) for name in SHOWN}
    rows = {name: count for name, count in rows.items() if count}
    return DataFacts(
        digest=tags[f"dvc.data/{data.folder}"],
        source=redact(data.source or data.path),
        rows=rows,
        since=_since(run, tags, sum(rows.values())),
        drift=run.drift,
    )


def _since(run: Session, tags: Mapping[str, str], rows: int) -> str:
    """What is different since the data of the champion that the run met."""
    champion = run.champion
    if champion is None:
        return "there was no champion to compare with"
    against = f"since version {champion.number}, the champion"
    now = {name.removeprefix("dvc."): digest for name, digest in tags.items()}
    theirs = run_tags(run.project, champion.run_id)
    try:
        words = data_changes(run.project, run.experiment.name, theirs, now)
    except (OSError, ValueError):  # a damaged file in DVC's cache; the run is done without it
        words = None
    if words is None:
        before = rows_read(run.project, champion.run_id)
        words = f"{before:,} rows then, {rows:,} now; its rows are not kept here any more"
    return f"{words or 'none'} {against}"


def champion_metrics(
    run: Session, version: str, evaluation: FinalEvaluation
) -> Mapping[str, float]:
    """Metrics of the champion that a run met, if they are of the very same test rows.

    Args:
        version: of the run; a champion is not beside itself.
        evaluation: whose metrics are wanted, by their names in the experiment file.
    """
    champion, test = run.champion, f"dvc.build/{run.experiment.name}/test"
    if champion is None or champion.number == version:
        return {}
    theirs, mine = (
        run_tags(run.project, run_id).get(test) for run_id in (champion.run_id, run.tracker.run_id)
    )
    if theirs != mine:
        return {}
    kept, names = champion.metrics, [metric.name for metric in evaluation.metrics]
    return {name: kept[logged(name)] for name in names if logged(name) in kept}
