"""A project of a few rows: experiment files, and what the data stages would have written."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.pipelines.config.experiment import Experiment, load_experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.section import Scalar
from gristmill.pipelines.preparation.features.prepare import scale
from gristmill.pipelines.preparation.split.cuts_file import TEST, TRAINING, VALIDATION
from gristmill.pipelines.search import fed, train_fed
from gristmill.pipelines.search.space import grid
from gristmill.pipelines.training import Trial, TrialResult, shared_parts, trials_at
from gristmill.pipelines.workers import Epoch, Scheduler

DIGEST = "a" * 32
"""Replaces DVC's hash of the training arrays."""

DOCUMENT: dict[str, Any] = {
    "data": {"path": "data/tiny/tiny.csv", "target": "kind", "task": "classification"},
    "schema": {},
    "split": {},
    "features": {"scale": "standard"},
    "parameters": {"units": 6, "learning_rate": 0.02},
    "model": {"layers": [{"Dense": {"units": "$units", "activation": "relu"}}]},
    "training": {
        "optimizer": {"Adam": {"learning_rate": "$learning_rate"}},
        "batch_size": 16,
        "epochs": 4,
    },
}


def make_project(root: Path) -> Project:
    """Create an empty project."""
    (root / "experiments").mkdir(parents=True)
    (root / "dvc.yaml").write_text("stages: {}\n")
    return Project(root)


def write_experiment(project: Project, name: str = "tiny", **changes: Any) -> Experiment:
    """Write `DOCUMENT` with changes, section by section; None removes a key. Load and check it."""
    document = copy.deepcopy(DOCUMENT)
    merge(document, changes)
    project.experiment_file(name).write_text(json.dumps(document))  # JSON is valid YAML
    return load_experiment(project, name)


def merge(into: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict) and key != "optimizer":
            merge(into[key], value)
        else:
            into[key] = value


def grid_points(experiment: Experiment) -> list[dict[str, Scalar]]:
    """The parameters of each point of the grid."""
    return [experiment.at(varied) for varied in grid(experiment.space)]


def trials(experiment: Experiment, data_digest: str) -> list[Trial]:
    """Return the trials of an experiment in the order of its grid."""
    shared = shared_parts(experiment, data_digest)
    every = grid(experiment.space)
    return [trial for values in every for trial in trials_at(experiment, shared, values)]


def run_search(
    project: Project, experiment: Experiment, asked: Sequence[Trial], pool: Scheduler[Any]
) -> Iterator[Epoch | TrialResult]:
    """Train trials, those of one fold together; see `train_fed`."""
    waiting = sorted(dict.fromkeys(asked), key=lambda trial: trial.fold or 0)
    threads = max((trial.threads for trial in asked), default=1)
    return train_fed(project, experiment, fed(waiting), threads, pool)


def table(rows: int, target: str, seed: int = 0) -> pd.DataFrame:
    """Return raw rows: a number, integers with gaps, a text column with gaps, and the target.

    Args:
        target: `kind` (three texts), `flag` (two integers) or `weight` (a number).
    """
    rng = np.random.default_rng(seed)
    width, height = rng.normal(5, 2, rows), rng.integers(0, 9, rows)
    colour = rng.choice(["red", "blue", "green"], rows)
    value = width + height / 3 + 2 * (colour == "red") + rng.normal(0, 0.4, rows)
    made = {
        "kind": np.array(["low", "middle", "top"])[np.digitize(value, [6, 8])],
        "flag": (value > 7).astype(int),
        "weight": value,
    }
    frame = pd.DataFrame({"width": width, "height": height, "colour": colour, target: made[target]})
    frame["height"] = frame["height"].astype("Int64").mask(rng.random(rows) < 0.1)
    frame["colour"] = frame["colour"].mask(rng.random(rows) < 0.1)
    return frame


KINDS: dict[str, Any] = {
    "columns": {
        "size": {"kind": "ordered", "levels": ["small", "middle", "large"]},
        "said": {"kind": "text", "words": 3},
    },
    "embed_above": 5,
}
"""The section `features` for `mixed`."""


def mixed(rows: int, seed: int = 0) -> pd.DataFrame:
    """Return raw rows with a column of every kind; all but `whole` and the target `y` have gaps."""
    rng = np.random.default_rng(seed)
    day = np.datetime64("2024-01-01", "s")
    frame = pd.DataFrame(
        {
            "number": pd.Series(rng.integers(0, 9, rows), dtype="Int64"),
            "colour": rng.choice(["red", "green", "blue"], rows),
            "shop": [f"shop {i}" for i in rng.integers(0, 7, rows)],
            "size": rng.choice(["small", "middle", "large"], rows),
            "member": rng.choice(["Yes", "no"], rows),
            "flag": pd.Series(rng.random(rows) < 0.5, dtype="boolean"),
            "when": pd.Series(day + rng.integers(0, 10**8, rows)),
            "said": [" ".join(words) for words in rng.choice(["a", "b", "ça", "d"], (rows, 4))],
        }
    )
    shop = frame["shop"].str[-1].astype(int)
    frame = frame.mask(rng.random(frame.shape) < 0.1)
    whole = rng.normal(size=rows)
    return frame.assign(whole=whole, y=1000 + 100 * whole + 50 * (shop % 3))


def write_table(frame: pd.DataFrame, file: Path) -> None:
    """Write a table as the stage `ingest` does: with `string`, not pandas' `large_string`."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    fields = [
        field.with_type(pa.string()) if pa.types.is_large_string(field.type) else field
        for field in table.schema
    ]
    pq.write_table(table.cast(pa.schema(fields)), file)


def make_data(
    project: Project,
    experiment: Experiment,
    rows: int = 150,
    seed: int = 0,
    frame: pd.DataFrame | None = None,
) -> Path:
    """Write what the data stages leave: table, roles, and the folders `training` and `test`."""
    build = project.build(experiment.name)
    build.mkdir(parents=True, exist_ok=True)
    if frame is None:
        frame = table(rows, experiment.data.target, seed)
    rows = len(frame)
    write_table(frame, build / "table.parquet")
    places = np.random.default_rng(1).permutation(rows)
    role = np.select([places < rows // 5, places < rows // 3], [TEST, VALIDATION], TRAINING)
    identity = np.arange(rows, dtype=np.uint64) + np.uint64(1000 * seed)
    roles = pd.DataFrame({"role": role.astype(np.int8), "identity": identity})
    roles.to_parquet(build / "roles.parquet", index=False)
    scale(project, experiment.name)
    return build
