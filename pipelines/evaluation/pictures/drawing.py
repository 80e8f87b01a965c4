"""All pictures of a run, drawn from its files: in a process of its own, beside the other steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gristmill.pipelines.base import read_json
from gristmill.pipelines.config import Distribution
from gristmill.pipelines.evaluation.final_evaluation import FinalEvaluation
from gristmill.pipelines.evaluation.predictions import read_predictions
from gristmill.pipelines.search import Importance, Scored


@dataclass(frozen=True)
class SearchDrawing:
    """What the pictures of a search show.

    Attributes:
        histories: metrics by epoch of the trials that learnt by epochs, the best first.
        points: all that were asked for.
        importance: of the parameters, or why there is none; empty where none is asked for.
        space: the parameters that vary.
        objective: what points are compared by.
        more: whether more of it is better.
    """

    histories: Mapping[str, Mapping[str, Sequence[float]]]
    points: Sequence[Scored]
    importance: Importance | str
    space: Mapping[str, Distribution]
    objective: str
    more: bool


def draw_search(folder: Path, search: SearchDrawing) -> list[Path]:
    """Learning curves; parallel coordinates and importance where several parameters vary."""
    from gristmill.pipelines.evaluation.pictures import plots, search_plots

    made, space, objective = [], search.space, search.objective
    if search.histories:
        made.append(folder / "learning_curves.png")
        plots.learning_curves(made[-1], search.histories, objective)
    if len(space) < 2:
        return made
    made.append(folder / "parallel_coordinates.png")
    search_plots.parallel_coordinates(made[-1], search.points, space, objective, search.more)
    if not isinstance(search.importance, str):
        made.append(folder / "importance.png")
        search_plots.importance_bars(made[-1], search.importance, objective)
    return made


def draw_answers(
    folder: Path, answers: FinalEvaluation, statistics: Path, target: str
) -> list[Path]:
    """The confusion matrix and curves or the residuals, a gallery, and feature maps if any.

    Args:
        answers: of the winner, to the test rows.
        statistics: of the training rows.
        target: the column that was predicted.
    """
    from gristmill.pipelines.evaluation.pictures import curves, plots
    from gristmill.pipelines.evaluation.pictures.galleries import gallery, table_gallery

    every = read_predictions(answers.predictions)
    predictions = every.unseen()
    if predictions.classes is None:
        made = [folder / "residuals.png"]
        plots.residuals(made[0], predictions, target)
    else:
        made = [folder / "confusion_matrix.png"]
        plots.confusion_matrix(made[0], predictions)
        if answers.calibration is not None:
            made += [folder / "calibration.png", folder / "roc_pr.png"]
            curves.calibration_curve(made[1], answers.calibration)
            curves.roc_pr_curves(made[2], predictions)
    made.append(folder / "gallery.png")
    picture = read_json(statistics).get("picture")
    if picture:
        gallery(made[-1], answers.raw, every, picture)
    else:
        table_gallery(made[-1], answers.raw, every, target)
        made.append(folder / "gallery.csv")
    if answers.maps is not None:
        made.append(folder / "feature_maps.png")
        plots.feature_maps(made[-1], answers.maps)
    return made
