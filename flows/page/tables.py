"""The tables of a run, shared by the screen, the Markdown report and the page."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gristmill.flows.results import Searched
from gristmill.pipelines.config import Document
from gristmill.pipelines.evaluation import FinalEvaluation, lower_is_better
from gristmill.pipelines.reporting import Table, number
from gristmill.pipelines.search import Point
from gristmill.pipelines.training import more_is_better


def trial_table(document: Document, searched: Searched) -> Table:
    """Return a row per point: the winner, then larger budgets first, then better scores first."""
    objective = document.objective
    known = {plan.trial.point for plan in searched.asked.plans}
    known -= {plan.trial.point for plan in searched.asked.plans if not plan.known}
    sign = -1 if more_is_better(objective) else 1
    epochs = document.model.library == "keras"
    winner = searched.point.trial.point

    def order(point: Point) -> tuple[bool, bool, int, float]:
        finished = point.result.status == "finished"
        score = sign * point.result.scores[objective] if finished else 0.0
        return point.trial.point != winner, not finished, -point.trial.epochs, score

    def remark(name: str) -> str:
        return "winner" if name == winner else "known" * (name in known)

    heading = ("trial", objective, *["epochs"] * epochs, "seconds", "")
    rows = [
        (
            point.trial.point,
            point.shown(objective),
            *[point.result.epochs] * epochs,
            f"{point.result.seconds:.1f}",
            remark(point.trial.point),
        )
        for point in sorted(searched.asked.points, key=order)
    ]
    return Table(heading, rows, heading[1:-1])


def metric_table(evaluation: FinalEvaluation, champion: Mapping[str, float] | None = None) -> Table:
    """Return a row per metric: value, interval, the champion's value if known, the baselines."""
    others: dict[str, Mapping[str, float]] = {
        str(who): {metric.name: metric.value for metric in metrics}
        for who, metrics in evaluation.baselines.items()
    }
    if champion:
        others = {"champion": champion, **others}
    order = sorted(others, key=("champion", "linear", "dummy").index)
    rows = [
        (
            metric.name,
            cell(metric.value),
            interval(metric.low, metric.high),
            *(cell(others[who].get(metric.name)) for who in order),
        )
        for metric in evaluation.metrics
    ]
    heading = ("metric", "value", "95 % interval", *order)
    return Table(heading, rows, heading[1:])


def slice_table(evaluation: FinalEvaluation, most: int | None = None) -> Table:
    """Return a row per slice, in order; of more than `most` the worst ones."""
    slices = list(evaluation.slices)
    metric = words(slices[0].metric.name) if slices else ""
    if most is not None and len(slices) > most:
        sign = -1 if lower_is_better(slices[0].metric.name) else 1
        slices = sorted(slices, key=lambda one: (not one.worse, sign * one.metric.value))[:most]
    rows = [
        (
            *(str(one), f"{one.rows:,}", cell(one.metric.value)),
            interval(one.metric.low, one.metric.high),
            *(cell(one.overall), cell(one.validation)),
            "✗ yes" if one.worse else "no",
        )
        for one in slices
    ]
    heading = ("slice", "rows", metric, "interval", "all rows", "validation", "worse")
    return Table(heading, rows, heading[1:6])


def time_table(times: Mapping[str, float]) -> Table:
    """Return a row per part of the run, and their sum."""
    rows = [(part, f"{seconds:.1f}") for part, seconds in times.items()]
    if rows:
        rows.append(("all", f"{sum(times.values()):.1f}"))
    return Table(("part", "seconds"), rows, ("seconds",))


def cell(value: object) -> str:
    """Return the text of a cell: "" for None, "not defined" for NaN."""
    if isinstance(value, float):
        return number(value) if math.isfinite(value) else "not defined"
    return "" if value is None else str(value)


def interval(low: object, high: object) -> str:
    return "" if low is None or high is None else f"{cell(low)} – {cell(high)}"


def words(name: object) -> str:
    return str(name).replace("_", " ")
