from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.base.files import read_json
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.readers.picture_folders import picture_field
from gristmill.pipelines.ingestion.readers.picture_pixels import Form
from gristmill.pipelines.preparation.features.prepare import scale
from gristmill.pipelines.preparation.features.transforms import (
    feature_shape,
    scaled,
    transform,
)
from gristmill.pipelines.preparation.split.cuts_file import TEST, TRAINING, VALIDATION
from tests.tiny import make_project, write_experiment

FORM = Form(height=3, width=4, channels=3)
SHAPE = (3, 4, 3)


def stored(tmp_path: Path, scaling: str = "minmax", **extra: Any) -> tuple[Project, Any]:
    """A project with a table of twelve pictures."""
    project = make_project(tmp_path / "project")
    features = {"scale": scaling, "exclude": ["path"], **extra}
    write_experiment(project, features=features)
    shades = np.random.default_rng(0).integers(0, 256, (12, *SHAPE)).astype(np.uint8)
    columns = {
        "path": pa.array([f"{i}.png" for i in range(12)]),
        "picture": pa.array([one.tobytes() for one in shades], pa.binary(36)),
        "kind": pa.array(["cat", "dog"] * 6),
    }
    fields = [pa.field("path", pa.string()), picture_field(FORM), pa.field("kind", pa.string())]
    build = project.build("tiny")
    build.mkdir(parents=True)
    table = pa.table(columns, schema=pa.schema(fields))
    pa.parquet.write_table(table, build / "table.parquet")
    role = np.array([TRAINING] * 6 + [VALIDATION] * 3 + [TEST] * 3, np.int8)
    roles = pa.table({"role": role, "identity": np.arange(12, dtype=np.uint64)})
    pa.parquet.write_table(roles, build / "roles.parquet")
    return project, shades


def test_pictures_are_stored_as_bytes_and_scaled_to_0_to_1(tmp_path: Path) -> None:
    project, shades = stored(tmp_path)
    assert str(scale(project, "tiny")) == "3×4×3 features, 2 classes"
    build = project.build("tiny")
    for place, rows in (
        ("training/x_training", slice(0, 6)),
        ("training/x_validation", slice(6, 9)),
        ("test/x", slice(9, 12)),
    ):
        found = np.load(build / f"{place}.npy")
        np.testing.assert_array_equal(found, shades[rows])
        assert found.dtype == np.uint8
        statistics = read_json(build / "training" / "statistics.json")
        np.testing.assert_allclose(scaled(found, statistics), shades[rows] / 255, rtol=1e-6)


def test_standard_scaling_uses_channel_moments_of_training_rows_only(
    tmp_path: Path,
) -> None:
    project, shades = stored(tmp_path, "standard")
    scale(project, "tiny")
    picture = read_json(project.build("tiny") / "training" / "statistics.json")["picture"]
    training = shades[:6].reshape(-1, 3)
    np.testing.assert_allclose(picture["offset"], training.mean(axis=0))
    np.testing.assert_allclose(picture["factor"], 1 / training.std(axis=0))
    pixels_of_training = np.load(project.build("tiny") / "training" / "x_training.npy")
    found = scaled(pixels_of_training, {"picture": picture})
    np.testing.assert_allclose(found.reshape(-1, 3).mean(axis=0), 0, atol=1e-6)


@pytest.mark.parametrize("scaling", ["minmax", "standard"])
def test_the_arrays_do_not_depend_on_the_number_of_pictures_in_memory(
    scaling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(name: str) -> tuple[Path, list[bytes]]:
        project, _ = stored(tmp_path / name, scaling)
        scale(project, "tiny")
        build = project.build("tiny")
        arrays = sorted([*build.rglob("*.npy"), *build.rglob("*.json")])
        return build / "test" / "rows.parquet", [file.read_bytes() for file in arrays]

    rows, whole = made("whole")
    monkeypatch.setattr("gristmill.pipelines.preparation.features.picture_arrays.PIXELS", 72)
    monkeypatch.setattr(
        import_module("gristmill.pipelines.preparation.features.prepare"), "GROUP_BYTES", 1
    )
    parts, pieces = made("pieces")
    assert pieces == whole
    assert pa.parquet.read_table(parts).equals(pa.parquet.read_table(rows))
    assert pa.parquet.read_metadata(parts).num_row_groups > 1


def test_other_features_next_to_a_picture_are_refused(tmp_path: Path) -> None:
    project, _ = stored(tmp_path, exclude=[])
    with pytest.raises(ConfigError, match=r"(?s)cannot be combined.*path.*exclude: \[path\]"):
        scale(project, "tiny")


def test_transform_returns_one_array_per_picture() -> None:
    import pandas as pd

    picture = {"name": "p", "height": 3, "width": 4, "channels": 3}
    none: dict[str, Any] = {"numbers": [], "columns": []}
    statistics = none | {"picture": {**picture, "offset": [1, 2, 3], "factor": [1, 10, 100]}}
    frame = pd.DataFrame({"p": [np.full(SHAPE, 5, np.uint8)]})
    found = transform(frame, statistics)
    assert found.shape == (1, *feature_shape(statistics))
    np.testing.assert_array_equal(found[0, 0, 0], [4, 30, 200])
