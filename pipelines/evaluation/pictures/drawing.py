"""All plots of a run, drawn from its files in a separate process, parallel to other steps."""

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
    """Data for the plots of a search.

    Attributes:
        histories: metrics by epoch of trials trained by epochs, the best trial first.
        points: all requested points.
        importance: importance of the parameters, or the reason why it is missing; an empty text
            if it was not requested.
        space: distributions of the varied parameters by name.
        objective: metric by which points are compared.
        more: whether a higher objective is better.
    """

    histories: Mapping[str, Mapping[str, Sequence[float]]]
    points: Sequence[Scored]
    importance: Importance | str
    space: Mapping[str, Distribution]
    objective: str
    more: bool


def draw_search(folder: Path, search: SearchDrawing) -> list[Path]:
    """Plot learning curves, and parallel coordinates and importance if several parameters vary."""
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
    """Plot the confusion matrix and curves or the residuals, a gallery, and feature maps if any.

    Args:
        folder: folder of the files to write.
        answers: evaluation of the winner on the test rows.
        statistics: file with the statistics of the training rows.
        target: name of the target column.
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
