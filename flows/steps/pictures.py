"""The pictures of a run, drawn in a separate process while other steps continue."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from gristmill.flows.background import Work
from gristmill.flows.results import Searched
from gristmill.flows.session import Session, current
from gristmill.pipelines.evaluation import FinalEvaluation, SearchDrawing, draw_answers, draw_search
from gristmill.pipelines.search import Point, Scored, importance_of
from gristmill.pipelines.training import more_is_better, read_result

SEARCH, ANSWERS = "pictures of the search", "pictures of the answers"


def begin_search_pictures(searched: Searched) -> None:
    """Start drawing the pictures of the search; `take_pictures` waits for them."""
    run = current()
    objective, space = run.experiment.document.objective, run.experiment.space

    def scored(points: Sequence[Point]) -> list[Scored]:
        return [Scored(p.trial.varied, p.result.scores.get(objective)) for p in points]

    def draw() -> tuple[list[Path], str]:
        several = len(space) > 1
        importance = importance_of(scored(searched.asked.comparable), space) if several else ""
        drawing = SearchDrawing(
            histories=_histories(run, searched),
            points=scored(searched.asked.points),
            importance=importance,
            space=space,
            objective=objective,
            more=more_is_better(objective),
        )
        made = run.artist.call(draw_search, run.build / "plots", drawing)
        return made, importance if isinstance(importance, str) else ""

    run.begun[SEARCH] = Work(draw)


def begin_answer_pictures(evaluation: FinalEvaluation) -> None:
    """Start drawing the pictures of the winner's predictions, after those of the search."""
    run = current()
    shown = (evaluation, run.build / "training" / "statistics.json", run.experiment.data.target)
    run.begun[ANSWERS] = Work(
        lambda: run.artist.call(draw_answers, run.build / "plots", *shown), after=run.begun[SEARCH]
    )


def take_pictures() -> list[Path]:
    """Wait for the pictures and store them with the run; return those of predictions first."""
    run = current()
    with run.screen.step("pictures") as words:
        of_search, why_not = run.begun.pop(SEARCH).result()
        made: list[Path] = [*run.begun.pop(ANSWERS).result(), *of_search]
        run.artist.stop()
        for file in made:
            run.tracker.log_file(file, "plots")
        words.append(", ".join(dict.fromkeys(file.stem for file in made)))
        words.append(f"({why_not})" if why_not else "")
    return made


def _histories(run: Session, searched: Searched) -> dict[str, Mapping[str, Sequence[float]]]:
    """Return metrics by epoch of trials trained in epochs: the winner, then the best first."""
    objective = run.experiment.document.objective
    sign = -1 if more_is_better(objective) else 1
    curves = []
    for plan in searched.asked.plans:
        known = read_result(run.build / "trials" / plan.trial.key)
        if known is not None and known.history and known.loop:
            after = plan.trial.point != searched.winner.point
            rank = sign * known.scores.get(objective, sign * math.inf)
            curves.append((after, rank, plan.trial.name, known.history))
    return {name: history for _, _, name, history in sorted(curves, key=lambda c: c[:3])}
