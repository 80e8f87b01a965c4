"""Every example at reduced size, from raw data to a registered model."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from gristmill.pipelines.base.yaml_file import read_yaml
from gristmill.pipelines.config.project import Project
from tests.conftest import ROOT, Run

ROWS, TESTED = 300, 100


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return small pictures in MNIST's size, (400, 28, 28) uint8, and the digits."""
    found = load_digits()
    wide = np.kron(found.images[: ROWS + TESTED] / 16 * 255, np.ones((3, 3)))
    return np.pad(wide, ((0, 0), (2, 2), (2, 2))).astype(np.uint8), found.target[: ROWS + TESTED]


def arrays(project: Project, data: dict[str, Any]) -> None:
    x, y = digits()
    place = project.root / data["path"]
    place.parent.mkdir(parents=True, exist_ok=True)
    first, last = slice(ROWS), slice(ROWS, None)
    np.savez(place, x_train=x[first], y_train=y[first], x_test=x[last], y_test=y[last])
    data.pop("source")


def table(project: Project, data: dict[str, Any]) -> None:
    x, y = digits()
    columns = {f"pixel{i + 1}": x.reshape(len(x), -1)[:, i] for i in range(784)}
    place = project.root / data["path"]
    place.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({**columns, data["target"]: y}).to_csv(place, index=False)
    data.pop("source")


def pictures(project: Project, data: dict[str, Any]) -> None:
    """Write pictures of zeros and ones, a folder for each class."""
    x, y = digits()
    for number in (0, 1):
        folder = project.root / data["path"] / str(number)
        folder.mkdir(parents=True)
        for place, picture in enumerate(x[y == number]):
            Image.fromarray(picture).save(folder / f"{place}.png")
    data["pictures"] = {"height": 67, "width": 67, "channels": 3}


def as_it_is(project: Project, data: dict[str, Any]) -> None:
    """Write nothing: the example's own source needs no network."""


REDUCED: dict[str, tuple[Callable[[Project, dict[str, Any]], None], tuple[str, ...]]] = {
    "mnist_softmax": (table, ("epochs=2",)),
    "alexnet": (pictures, ("epochs=15", "units=32", "last_units=16")),
    "fashion_cnn": (arrays, ("epochs=2",)),
    "mnist_mlp": (table, ("epochs=2",)),
    "fashion_best": (arrays, ("epochs=2",)),
    "mnist_logreg": (table, ("max_iter=3",)),
    "mnist_fcl": (arrays, ("epochs=2",)),
    "diabetes": (as_it_is, ("epochs=2",)),
}
"""Function that writes the data, and parameters set; examples that share data come later."""


def write(project: Project, example: str) -> str:
    """Write the example with little data and no other threshold than the dummy; return its name."""
    document = read_yaml(ROOT / "examples" / f"{example}.yaml")
    make, _ = REDUCED[example]
    make(project, document["data"])
    document["gate"].pop("require")
    document["gate"]["baseline"] = False  # after a few epochs
    name = f"{example}_small"
    if shared := document["split"].get("as"):
        document["split"]["as"] = f"{shared}_small"
    project.experiment_file(name).write_text(json.dumps(document), encoding="utf-8")
    return name


def promoted(project: Project) -> set[str]:
    """Return the models that have a champion."""
    with closing(sqlite3.connect(project.store / "mlflow.db")) as store:
        rows = store.execute("select name from registered_model_aliases where alias = 'champion'")
        return {name for (name,) in rows}


def held(project: Project) -> list[str]:
    """Return the reasons why models have no champion."""
    with closing(sqlite3.connect(project.store / "mlflow.db")) as store:
        query = "select name, value from model_version_tags where key = 'gristmill.reasons'"
        return [f"{name}: {said}" for name, said in store.execute(query) if "not shown" in said]


@pytest.mark.slow
def test_every_example_runs_from_raw_data_to_a_champion(project: Project, gristmill: Run) -> None:
    assert set(REDUCED) == {file.stem for file in (ROOT / "examples").glob("*.yaml")}
    names = {example: write(project, example) for example in REDUCED}

    def run(example: str) -> None:
        by_hand = [word for value in REDUCED[example][1] for word in ("-P", value)]
        gristmill("run", names[example], *by_hand, check=True, timeout=900)

    first, *others = REDUCED
    run(first)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, others))
    assert promoted(project) == {*names.values()}, held(project)
    for name in names.values():
        done = gristmill("plan", name)
        assert "trained" not in done.stderr
