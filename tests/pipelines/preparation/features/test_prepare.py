"""Scaling: statistics are computed from training rows only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.pipelines.base.errors import DataInvalid
from gristmill.pipelines.base.files import read_json
from gristmill.pipelines.config.document import Document
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.preparation.features.prepare import scale
from gristmill.pipelines.preparation.features.statistics import fit_statistics
from gristmill.pipelines.preparation.features.transforms import feature_names, transform
from gristmill.pipelines.preparation.split.cuts_file import TEST, TRAINING, VALIDATION

N = 60
SECTIONS: dict[str, Any] = {
    "data": {"path": "data/a/a.csv", "target": "y", "task": "classification"},
    "schema": {},
    "split": {},
    "features": {},
    "model": {"layers": []},
}
ROLES = np.array([TRAINING, TRAINING, TRAINING, VALIDATION, TEST] * (N // 5))


def document(task: str = "classification", **features: object) -> Document:
    sections = SECTIONS | {"data": SECTIONS["data"] | {"task": task}, "features": features}
    return Document.model_validate_json(json.dumps(sections))


def rows(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "n": rng.normal(50, 10, N),
            "m": rng.integers(0, 9, N),
            "same": 3,
            "t": rng.choice(["red", "blue"], N),
            "f": rng.random(N) < 0.5,
            "y": [["no", "yes"][i % 2] for i in range(N)],
        }
    ).convert_dtypes(convert_integer=False)
    frame["m"] = frame["m"].astype("Int64")
    frame.loc[:1, "m"] = pd.NA
    frame.loc[2, "t"] = pd.NA
    return frame


def scaled(folder: Path, frame: pd.DataFrame, roles: Any = ROLES, **sections: object) -> Path:
    """Run the stage and return its build folder."""
    project = Project(folder)
    project.experiments.mkdir(parents=True)
    project.experiment_file("e").write_text(json.dumps(SECTIONS | sections))
    build = project.build("e")
    build.mkdir(parents=True)
    frame.to_parquet(build / "table.parquet", index=False)
    table = pd.DataFrame({"role": roles, "identity": np.arange(len(frame), dtype=np.uint64)})
    table.to_parquet(build / "roles.parquet", index=False)
    scale(project, "e")
    return build


def test_validation_and_test_rows_do_not_influence_the_training_files(
    tmp_path: Path,
) -> None:
    frame = rows()
    other = frame.copy()
    outside = ROLES != TRAINING
    other.loc[outside, "n"] = 1e6
    other.loc[outside, "m"] = pd.NA
    other.loc[outside, "t"] = "green"
    first, second = scaled(tmp_path / "1", frame), scaled(tmp_path / "2", other)
    for name in ("statistics.json", "x_training.npy", "y_training.npy"):
        assert (first / "training" / name).read_bytes() == (second / "training" / name).read_bytes()
    assert (first / "test" / "x.npy").read_bytes() != (second / "test" / "x.npy").read_bytes()


def test_the_arrays_contain_the_rows_of_their_role_in_order(tmp_path: Path) -> None:
    frame = rows()
    build = scaled(tmp_path, frame)
    statistics = read_json(build / "training" / "statistics.json")
    for name, role in (
        ("training/x_training", TRAINING),
        ("training/x_validation", VALIDATION),
        ("test/x", TEST),
    ):
        x = np.load(build / f"{name}.npy")
        assert x.dtype == np.float32
        assert (x == transform(frame[role == ROLES], statistics)).all()
    assert (
        np.load(build / "test" / "identity.npy").tolist() == np.flatnonzero(ROLES == TEST).tolist()
    )
    raw = pd.read_parquet(build / "test" / "rows.parquet", dtype_backend="numpy_nullable")
    assert raw["n"].tolist() == frame["n"][ROLES == TEST].tolist()
    assert np.load(build / "test" / "y.npy").tolist() == [
        ["no", "yes"].index(label) for label in frame["y"][ROLES == TEST]
    ]


def test_the_training_folder_contains_no_test_rows(tmp_path: Path) -> None:
    build = scaled(tmp_path, rows())
    assert {path.name for path in (build / "training").iterdir()} == {
        "statistics.json",
        "x_training.npy",
        "y_training.npy",
        "x_validation.npy",
        "y_validation.npy",
    }


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    first, second = scaled(tmp_path / "1", rows()), scaled(tmp_path / "2", rows())
    for path in [p for p in first.rglob("*") if p.is_file()]:
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


numbers = st.lists(
    st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda v: round(v, 3)), min_size=2, max_size=30
)


def fitted(values: list[float], scale: str) -> tuple[dict[str, Any], Any]:
    frame = pd.DataFrame({"n": values, "y": values})
    statistics = fit_statistics(frame, document("regression", scale=scale))
    return statistics, transform(frame, statistics)[:, 0]


@given(values=numbers)
def test_minmax_scales_the_training_rows_to_0_to_1(values: list[float]) -> None:
    _, x = fitted(values, "minmax")
    assert x.min() == 0
    assert x.max() == (pytest.approx(1, abs=1e-6) if len(set(values)) > 1 else 0)


@given(values=numbers.filter(lambda values: np.ptp(values) > 1))
def test_standard_scales_the_training_rows_to_mean_0_and_deviation_1(values: list[float]) -> None:
    _, x = fitted(values, "standard")
    assert x.mean(dtype="float64") == pytest.approx(0, abs=1e-4)
    assert x.std(dtype="float64") == pytest.approx(1, abs=1e-4)


@given(values=numbers)
def test_scale_none_leaves_numbers_unchanged(values: list[float]) -> None:
    statistics, x = fitted(values, "none")
    assert x.tolist() == np.float32(values).tolist()
    (column,) = statistics["numbers"]
    assert (column["offset"], column["factor"], column["indicator"]) == (0, 1, False)


@pytest.mark.parametrize("kind", ["minmax", "standard", "none"])
def test_a_column_of_one_value_stays_finite(kind: str) -> None:
    _, x = fitted([3.0, 3.0, 3.0], kind)
    assert np.isfinite(x).all()


def test_missing_numbers_are_filled_with_the_training_median_and_marked() -> None:
    training = pd.DataFrame({"n": pd.array([1, None, 5, 9], dtype="Int64"), "y": [1.0, 2, 3, 4]})
    statistics = fit_statistics(training, document("regression", scale="none"))
    assert feature_names(statistics) == ["n", "n is missing"]
    assert transform(training, statistics).tolist() == [[1, 0], [5, 1], [5, 0], [9, 0]]


def test_missing_numbers_are_not_marked_if_training_rows_have_none() -> None:
    training = pd.DataFrame({"n": [1.0, 3.0], "y": [1.0, 2.0]})
    statistics = fit_statistics(training, document("regression", scale="none"))
    assert transform(pd.DataFrame({"n": [None, 7.0]}), statistics).tolist() == [[2], [7]]


def test_texts_become_one_column_per_level_and_missing_is_a_level() -> None:
    statistics = fit_statistics(rows(), document(exclude=["n", "m", "same"]))
    assert statistics["numbers"] == []
    assert feature_names(statistics) == ["t=(missing)", "t=blue", "t=red", "f"]
    assert transform(rows(), statistics)[2, :3].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["no", "yes"], ["no", "yes"]),
        ([7, 3], [3, 7]),
        ([True, False], [False, True]),
        ([1.5, 0.5], [0.5, 1.5]),
    ],
)
def test_classes_keep_their_type_and_are_sorted(
    labels: list[object], classes: list[object]
) -> None:
    frame = pd.DataFrame({"n": [1.0, 2.0, 3.0], "y": [*labels, labels[0]]}).convert_dtypes(
        convert_floating=False
    )
    statistics = json.loads(json.dumps(fit_statistics(frame, document())))
    assert statistics["classes"] == classes
    assert [type(label) for label in statistics["classes"]] == [type(c) for c in classes]


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pd.array([None] * 300, dtype="Float64"), r"n has no values.*exclude: \[n\]"),
        (
            pd.array([1.0] * 299 + [np.inf], dtype="Float64"),
            r"column n has infinite values.*finite",
        ),
        (
            [f"name {i}" for i in range(300)],
            r"column n has too many.*most 50.*found +300 in.*exclude: \[n\].*columns: \{n: text\}",
        ),
    ],
)
def test_a_column_that_cannot_be_scaled_is_named(column: Any, words: str) -> None:
    frame = pd.DataFrame({"n": column, "m": 1, "y": [1, 2] * 150})
    with pytest.raises(DataInvalid, match=f"(?s){words}"):
        fit_statistics(frame, document())


def test_a_class_without_training_rows_is_named(tmp_path: Path) -> None:
    frame = rows()
    frame.loc[np.flatnonzero(ROLES == VALIDATION)[0], "y"] = "maybe"
    with pytest.raises(DataInvalid, match=r"(?s)no training rows.*none of maybe.*stratify: true"):
        scaled(tmp_path, frame)
    assert not (tmp_path / "build" / "e" / "training").exists()
