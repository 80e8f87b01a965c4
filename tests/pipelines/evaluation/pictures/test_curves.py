"""Curves of probabilities: the lines of ROC and of precision by recall."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gristmill.pipelines.evaluation.pictures import plots
from gristmill.pipelines.evaluation.pictures.curves import roc_pr_curves
from gristmill.pipelines.evaluation.predictions import Predictions


def drawn(
    classes: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Predictions, Axes, Axes]:
    """Return predictions and the two axes of their picture, which is also written."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, 90)
    outputs = rng.dirichlet(np.ones(classes), 90) + 0.3 * np.eye(classes)[truth]
    names = tuple("abcdef"[:classes])
    made = Predictions(np.arange(90), truth, outputs / outputs.sum(axis=1, keepdims=True), names)
    figures: list[Figure] = []
    save = plots.save

    def kept(figure: Figure, file: Path) -> None:
        figures.append(figure)
        save(figure, file)

    monkeypatch.setattr(plots, "save", kept)
    roc_pr_curves(folder / "c.png", made)
    assert (folder / "c.png").stat().st_size > 1000
    (figure,) = figures
    left, right = figure.axes
    return made, left, right


def test_precision_of_two_classes_has_a_line_at_the_share_of_the_positive_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, left, right = drawn(2, tmp_path, monkeypatch)
    (line,) = (line for line in right.lines if line.get_linestyle() == "--")
    assert {*line.get_ydata()} == {(made.truth == 1).mean()}
    assert "recall of b" in left.get_ylabel()


def test_the_mean_curve_of_several_classes_spans_the_axes_and_has_no_such_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, left, right = drawn(4, tmp_path, monkeypatch)
    assert not [line for line in right.lines if line.get_linestyle() == "--"]
    for axes in (left, right):
        (mean,) = (line for line in axes.lines if str(line.get_label()).startswith("mean of 4"))
        at, value = np.asarray(mean.get_xdata()), np.asarray(mean.get_ydata())
        assert (at[0], at[-1]) == (0, 1)
        assert (np.diff(at) > 0).all()
        assert ((value >= 0) & (value <= 1)).all()
