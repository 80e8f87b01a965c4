"""Plots of a search, and the importance of its parameters."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import matplotlib.image
import pytest

from gristmill.pipelines.config.section import Scalar
from gristmill.pipelines.config.sections import Distribution
from gristmill.pipelines.evaluation.pictures.search_plots import (
    importance_bars,
    parallel_coordinates,
)
from gristmill.pipelines.search.importance import Importance, Scored, importance_of
from gristmill.pipelines.search.space import draws

SPACE = {
    "learning_rate": Distribution(log_uniform=(1e-4, 1e-1)),
    "units": Distribution(int=(16, 128, 16)),
    "activation": Distribution(choice=("relu", "tanh", "a function with quite a long name")),
    "정규화_세기": Distribution(uniform=(0.0, 0.5)),
    "batch_size": Distribution(choice=(128, 16, 32)),
    "deep": Distribution(choice=(True, False)),
}


def score_of(values: Mapping[str, Scalar], rng: random.Random) -> float:
    return float(values["units"]) / 100 + (values["activation"] == "relu") + rng.gauss(0, 0.05)


def scored(count: int, names: int = 6, failed: int = 0) -> list[Scored]:
    rng = random.Random(0)
    points = list(islice(draws(SPACE, 0), count))
    return [
        Scored(
            {name: point[name] for name in list(SPACE)[:names]},
            None if place < failed else score_of(point, rng),
        )
        for place, point in enumerate(points)
    ]


@pytest.mark.parametrize("names", [1, 2, 6])
@pytest.mark.parametrize("count", [1, 4, 200])
def test_parallel_coordinates_are_a_picture_that_grows_with_the_parameters(
    names: int, count: int, tmp_path: Path
) -> None:
    space = dict(list(SPACE.items())[:names])
    failed = 1 if count > 1 else 0
    parallel_coordinates(
        tmp_path / "p.png", scored(count, names, failed), space, "val_loss", more=False
    )
    picture = matplotlib.image.imread(tmp_path / "p.png")
    assert picture.shape[1] >= 110 * max(5, 1.7 * (names + 1))
    assert picture.std() > 0.02


def test_losses_in_the_thousands_are_drawn(tmp_path: Path) -> None:
    points = [Scored(point.values, 3000.0 + i) for i, point in enumerate(scored(4))]
    parallel_coordinates(tmp_path / "p.png", points, SPACE, "val_loss", more=False)
    assert matplotlib.image.imread(tmp_path / "p.png").std() > 0.02


def test_importance_names_the_parameters_that_affect_the_objective(tmp_path: Path) -> None:
    found = importance_of(scored(60), SPACE)
    assert isinstance(found, Importance)
    assert sum(found.shares.values()) == pytest.approx(1)
    ranked = sorted(found.shares, key=lambda name: -found.shares[name])
    assert set(ranked[:2]) == {"units", "activation"}
    assert found.shares[ranked[2]] < 0.1
    assert 0.8 < found.explained <= 1
    assert importance_of(scored(60), SPACE) == found
    importance_bars(tmp_path / "i.png", found, "val_loss")
    assert matplotlib.image.imread(tmp_path / "i.png").std() > 0.02


def test_importance_is_not_reported_if_it_would_be_chance() -> None:
    few = scored(30, failed=10)
    assert importance_of(few, SPACE) == "importance needs 24 points, and there are 20"
    one = {"units": SPACE["units"]}
    assert importance_of(scored(60), one) == "importance needs two parameters"
    same = [Scored(point.values, 0.5) for point in scored(60)]
    noise = [Scored(p.values, random.Random(i).random()) for i, p in enumerate(scored(60))]
    for points in (same, noise):
        assert importance_of(points, SPACE) == (
            "importance: the parameters do not predict the objective"
        )
