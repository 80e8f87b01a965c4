"""The packaged code with a model of pictures: the sum of their pixels."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gristmill.pipelines.packaging.package import PICTURES, PREDICTOR, PREPARATION
from gristmill.pipelines.training.predictor import save

# raised inside mlflow when mlflow.pyfunc is imported, where mlflow's own filter hides it
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")

PICTURE = {"name": "picture", "height": 2, "width": 3, "channels": 1, "offset": [0], "factor": [1]}


def model_of(folder: Path, **settings: Any) -> Any:
    from gristmill.pipelines.packaging.package_code import PackagedModel

    statistics = {"picture": PICTURE | settings, "numbers": [], "columns": [], "embedded": []}
    (folder / "statistics.json").write_text(json.dumps(statistics | {"classes": None}))
    for file, name in ((PREPARATION, "transform.py"), (PICTURES, "pictures.py")):
        shutil.copyfile(file, folder / name)
    shutil.copyfile(PREDICTOR, folder / "predictor.py")
    arrays = {"coefficients": np.ones((1, 6)), "intercepts": np.zeros(1)}
    save(folder / "model.npz", {"family": "linear", "link": "identity", "codes": []}, arrays)
    model = PackagedModel()
    model.load_context(SimpleNamespace(artifacts={"package": str(folder)}))
    return model


def sums(model: Any, *values: object) -> list[float]:
    found: list[float] = model.predict(None, pd.DataFrame({"picture": values}))[
        "prediction"
    ].tolist()
    return found


def sent(values: Any, format: str = "PNG", **arguments: Any) -> str:
    out = io.BytesIO()
    Image.fromarray(values).save(out, format, **arguments)
    return base64.b64encode(out.getvalue()).decode()


def test_a_package_decodes_pictures_as_ingest_does(tmp_path: Path) -> None:
    deep = np.array([[0, 257, 514], [771, 1028, 65535]], np.uint16)
    clear = np.zeros((2, 3, 2), np.uint8)
    turned = Image.Exif()
    turned[274] = 6
    values = [
        *(sent(deep), f"data:image/png;base64,{sent(deep)}", sent(clear)),
        sent(np.ones((3, 2), np.uint8), exif=turned),
        base64.b64encode(bytes([1, 2, 3, 4, 5, 6])).decode(),
    ]
    assert sums(model_of(tmp_path), *values) == [265, 265, 6 * 255, 6, 21]


def test_declared_background_and_range_are_part_of_the_package(tmp_path: Path) -> None:
    model = model_of(tmp_path, background="black", range=[0, 2])
    floats = np.array([[0, 1, 2], [0, 0, 9]], np.float32)
    assert sums(model, sent(np.zeros((2, 3, 2), np.uint8)), sent(floats, "TIFF")) == [0, 638]


def test_a_refused_picture_is_an_invalid_parameter_and_the_model_answers_on(tmp_path: Path) -> None:
    from mlflow.exceptions import MlflowException

    model = model_of(tmp_path)
    with pytest.raises(MlflowException, match="a picture cannot be read: floats, values 0 to 0"):
        sums(model, sent(np.zeros((2, 3), np.float32), "TIFF"))
    assert sums(model, sent(np.ones((2, 3), np.uint8))) == [6]
