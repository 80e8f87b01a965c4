"""Plots of probabilities: calibration, ROC and precision-recall curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from gristmill.pipelines.evaluation.labels import Array
from gristmill.pipelines.evaluation.metrics import Calibration, measure
from gristmill.pipelines.evaluation.pictures import plots
from gristmill.pipelines.evaluation.predictions import Predictions

GREY = "#666666"
POINTS = 400
"""Number of points of a mean curve."""


@plots.legible()
def calibration_curve(file: Path, made: Calibration) -> None:
    """Plot observed shares against predicted probabilities, with 95 % intervals.

    All bins have about the same number of rows, so they are narrow where rows are dense.
    """
    figure = Figure(figsize=(plots.WIDTH * 0.62, plots.WIDTH * 0.62), layout="constrained")
    axes = figure.add_subplot()
    sure = np.array([one.confidence for one in made.bins])
    share = np.array([one.share for one in made.bins])
    ends = np.array([[one.share - one.low, one.high - one.share] for one in made.bins]).T
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="perfect")
    axes.errorbar(
        sure, share, np.maximum(ends, 0), color=plots.COLOURS[0], marker="o", ms=5, lw=1.4,
        elinewidth=1, capsize=2, label="this model",
    )  # fmt: skip
    low = min(0.9, float(min(sure.min(), (share - ends[0]).min()))) if not made.of else 0.0
    axes.set_xlim(low - 0.02 * (1 - low), 1 + 0.02 * (1 - low))
    axes.set_ylim(low - 0.02 * (1 - low), 1 + 0.02 * (1 - low))
    axes.set_aspect("equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0 if low < 0.9 else None))
    of = f"of {plots.shortened(made.of)}" if made.of else "of the most probable class"
    axes.set_xlabel(f"predicted probability {of}")
    axes.set_ylabel("observed share" if made.of else "share predicted correctly")
    rows = sum(one.rows for one in made.bins)
    axes.set_title(f"{rows:,} test rows, calibration error {made.ece}", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="best")
    plots.clean(axes)
    plots.save(figure, file)


@plots.legible()
def roc_pr_curves(file: Path, predictions: Predictions) -> None:
    """Plot the ROC curve at the left and the precision-recall curve at the right.

    For two classes, each has the curve of the positive class with a mark at the threshold. For
    more, each has the mean over classes against the rest, and single classes, those with the
    smallest areas if there are many. Classes without test rows are omitted.
    """
    classes, truth = predictions.classes or (), predictions.truth
    figure = Figure(figsize=(plots.WIDTH, plots.WIDTH * 0.56), layout="constrained")
    left, right = figure.subplots(1, 2)
    present = [i for i in range(len(classes)) if 0 < (truth == i).sum() < len(truth)]
    positive = predictions.threshold.place if predictions.threshold else 1
    several = len(classes) > 2
    for axes, kind, of in ((left, "roc_auc", _roc), (right, "average_precision", _pr)):
        shown = present if several else [i for i in present if i == positive]
        measured = {
            i: measure(f"{kind}:{classes[i]}", truth, predictions.outputs, predictions.labels)
            for i in shown
        }
        curves = {i: of(truth == i, predictions.outputs[:, i]) for i in shown}
        shown.sort(key=lambda i: measured[i].value)
        for colour, i in zip(plots.COLOURS, shown[: plots.MOST_CURVES - several], strict=False):
            of_class = f"{plots.shortened(classes[i])} {measured[i].value:.3f}"
            name, width = (of_class, 1.1) if several else ("this model", 1.8)
            axes.plot(*curves[i], color=colour, lw=width, label=name)
        if several and shown:
            at = np.linspace(0, 1, POINTS)
            mean = np.mean([np.interp(at, *_rising(*curve)) for curve in curves.values()], axis=0)
            area = np.mean([one.value for one in measured.values()])
            axes.plot(at, mean, color="black", lw=2, label=f"mean of {len(shown)} {area:.3f}")
        elif shown:
            _mark(axes, predictions, shown[0], kind)
            axes.set_title(f"{kind.replace('_', ' ')} {measured[shown[0]]}", fontsize=10)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        plots.clean(axes)
    left.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", zorder=0)
    one = f" of {plots.shortened(classes[positive], plots.LONGEST_LABEL)}" if not several else ""
    left.set_xlabel("false positive rate")
    left.set_ylabel(f"recall{one}")
    right.set_xlabel(f"recall{one}")
    right.set_ylabel("precision")
    if not several and positive in present:
        right.axhline(float((truth == positive).mean()), color=GREY, lw=1, ls="--", zorder=0)
    rest, most, missing = "", plots.MOST_CURVES - 1, len(classes) - len(present)
    if several and len(present) > most:
        rest = f"; the {most} worst of {len(present)} classes"
    if several and missing:
        rest += f"; {missing} without a curve"
    figure.suptitle(f"{len(truth):,} test rows{rest}", fontsize=11)
    for axes, where in ((left, "lower right"), (right, "lower left")):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8, loc=where)
        else:
            axes.text(0.5, 0.5, "the test rows have a single class", ha="center", va="center")
    plots.save(figure, file)


def _mark(axes: Axes, predictions: Predictions, place: int, kind: str) -> None:
    """Mark the point of the model's predictions on its curve."""
    positive, called = predictions.truth == place, predictions.answers == place
    hits = int((positive & called).sum())
    recall = hits / positive.sum()
    x, y = (int((called & ~positive).sum()) / (~positive).sum(), recall)
    if kind != "roc_auc":
        if not called.any():
            return
        x, y = recall, hits / called.sum()
    threshold = predictions.threshold.value if predictions.threshold else 0.5
    axes.plot([x], [y], "o", color=plots.COLOURS[1], ms=7, label=f"threshold {threshold:.3g}")


def _roc(positive: Array, scores: Array) -> tuple[Array, Array]:
    from sklearn.metrics import roc_curve

    others, found, _ = roc_curve(positive, scores, drop_intermediate=False)
    return others, found


def _pr(positive: Array, scores: Array) -> tuple[Array, Array]:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(positive, scores)
    precision, recall = precision[-2::-1], recall[-2::-1]  # in order of falling scores
    whole = int(np.searchsorted(recall, 1)) + 1  # all positive rows are found here
    return np.append(0, recall[:whole]), np.append(precision[0], precision[:whole])


def _rising(x: Array, y: Array) -> tuple[Array, Array]:
    """Return the highest point at each x, for interpolation."""
    places, first = np.unique(x, return_index=True)
    return places, np.maximum.reduceat(y, first)
