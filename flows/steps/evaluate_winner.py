"""The winner on the test rows."""

from __future__ import annotations

import math
from dataclasses import replace

from gristmill.flows.background import Work
from gristmill.flows.results import Searched, trial_parameters
from gristmill.flows.session import Session, current
from gristmill.flows.steps.describe_run import keep_keys, keep_winner
from gristmill.pipelines.base import file_digest
from gristmill.pipelines.evaluation import (
    FinalEvaluation,
    evaluate,
    logged,
    read_predictions,
    write_slices,
)
from gristmill.pipelines.registry import MANY_READS
from gristmill.pipelines.search import Point, plan_each
from gristmill.pipelines.tracking import fetch_artifact, reads_with
from gristmill.pipelines.tracking import tags as names
from gristmill.pipelines.training import read_result

MANY_READ = (
    "these test rows have been used to judge {reads} candidates: part of the best score is luck. "
    "Add new rows, and report the score on rows that were never used for promotion"
)


def final_evaluation(searched: Searched) -> FinalEvaluation:
    """Evaluate the winner on the test rows and record the results on the run."""
    run = current()
    with run.screen.step("evaluate") as words:
        keep_keys(run, [*(plan.trial.key for plan in searched.asked.plans), searched.winner.key])
        keep_winner(run, searched.winner)
        folder = run.build / "trials" / searched.winner.key
        kept = read_result(folder)  # a trial's folder is shared by all its budgets
        if kept is None or kept.epochs != searched.best.epochs:
            known = plan_each(run.project, run.experiment, [searched.winner])[0]
            for name in ("weights.npz", "result.json"):
                fetch_artifact(run.project, searched.plan.run_id or known.run_id, name, folder)
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
        if (threshold := made.threshold) is not None:
            run.tracker.log(metrics={"threshold": threshold.value})
            if not threshold.reached:
                run.warn(f"no threshold has {threshold.rule} on the validation rows")
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
        run.warn(MANY_READ.format(reads=made.reads))
    return made


def _test_metrics(evaluation: FinalEvaluation) -> dict[str, float]:
    """Return the metrics for MLflow, without undefined ones."""
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


def _count_read(run: Session, made: FinalEvaluation) -> int:
    """Count the candidates judged on these test rows, and record the count on the run."""
    test_set, answers = read_predictions(made.predictions).digest, file_digest(made.predictions)
    reads = reads_with(run.project, test_set, answers)
    kept = {names.TEST_SET: test_set, names.ANSWERS: answers, names.READS: str(reads)}
    run.tracker.log(tags=kept)
    return reads


def _over_folds(point: Point) -> dict[str, float]:
    """Return means and deviations of the scores; empty without folds and repeats."""
    means = {f"{name}_mean": point.result.scores[name] for name in point.deviations}
    return means | {f"{name}_deviation": value for name, value in point.deviations.items()}
