"""The content of a run's page, collected at its end."""

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
from gristmill.pipelines.evaluation import FinalEvaluation, values_of
from gristmill.pipelines.preparation import ROLES, read_roles
from gristmill.pipelines.reporting import Table
from gristmill.pipelines.search import data_changes
from gristmill.pipelines.tracking import rows_read, run_tags

SHOWN = ("training", "validation", "test", "gap")
"""Order of the roles on the page."""


@dataclass(frozen=True)
class DataFacts:
    """The data of a run.

    Attributes:
        digest: DVC's hash of the data set.
        source: address or path they came from.
        rows: number of rows by role.
        since: changes since the champion's data, in words.
        drift: drift from the champion's data, in words.
    """

    digest: str
    source: str
    rows: Mapping[str, int]
    since: str
    drift: str = ""


@dataclass(frozen=True)
class RunFacts:
    """The content of the page.

    Attributes:
        description: description of the experiment.
        run_id: MLflow's id of the run.
        began: start of the run in local time.
        trials: a row per point, the winner first.
        evidence: the gate's measurements, as JSON.
        about_trials: sentences about the trials.
        settings: settings of the winner.
        champion: version of the champion at the time of the run.
        champion_metrics: its metrics on the same test rows; empty if unknown.
        package: measurements: `start_seconds`, `latency_ms` of one row, `megabytes`.
        pictures: PNG files.
        tags: MLflow tags of the run.
        file: text of the experiment file.
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
    """Collect the content of the page."""
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
    """Describe the changes since the champion's data."""
    champion = run.champion
    if champion is None:
        return "there was no champion to compare with"
    against = f"since version {champion.number}, the champion"
    now = {name.removeprefix("dvc."): digest for name, digest in tags.items()}
    theirs = run_tags(run.project, champion.run_id)
    try:
        words = data_changes(run.project, run.experiment.name, theirs, now)
    except (OSError, ValueError):  # a damaged file in DVC's cache must not fail a finished run
        words = None
    if words is None:
        before = rows_read(run.project, champion.run_id)
        words = f"{before:,} rows then, {rows:,} now; its rows are no longer stored here"
    return f"{words or 'none'} {against}"


def champion_metrics(
    run: Session, version: str, evaluation: FinalEvaluation
) -> Mapping[str, float]:
    """Return the champion's metrics, if they were measured on the same test rows.

    Args:
        run: session of the run.
        version: version registered by the run; the champion is not compared with itself.
        evaluation: names the metrics, as in the experiment file.
    """
    champion, test = run.champion, f"dvc.build/{run.experiment.name}/test"
    if champion is None or champion.number == version:
        return {}
    theirs, mine = (
        run_tags(run.project, run_id).get(test) for run_id in (champion.run_id, run.tracker.run_id)
    )
    if theirs != mine:
        return {}
    return values_of([metric.name for metric in evaluation.metrics], champion.metrics)
