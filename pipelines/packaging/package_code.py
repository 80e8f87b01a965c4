"""The code of every registered package: raw rows in, labelled predictions out.

MLflow stores this file beside the model and runs it from there. It imports nothing of this
project, so that old packages keep working and several packages can be loaded in one process.
"""

import importlib
import importlib.util
import json
import math
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType

BATCH = 1024
"""Rows that go through the model at a time, at most."""

VALUES = 1 << 22
"""Values of features among them, at most."""

BLOCKS = 64
"""Batches of a table's rows that are prepared at a time."""


class PackagedModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Preprocessing and model in one."""

    def load_context(self, context):  # type: ignore[no-untyped-def]
        """Read the package's files; called by MLflow once, when the model is loaded."""
        folder = Path(context.artifacts["package"])
        self._preparation = _load_module(folder / "transform.py")
        self.statistics = json.loads((folder / "statistics.json").read_text(encoding="utf-8"))
        self._numbered = _numbered(self.statistics, self._preparation)
        values = math.prod(self._preparation.feature_shape(self.statistics))
        self._batch = min(BATCH, max(1, VALUES // max(1, values)))
        is_keras = (folder / "model.keras").exists()
        self._call = _keras_model(folder) if is_keras else _estimator(folder)
        if picture := self.statistics.get("picture"):
            self._pictures = _load_module(folder / "pictures.py")
            known = self._pictures.Form.__dataclass_fields__
            self._form = self._pictures.Form(**{k: v for k, v in picture.items() if k in known})

    def predict(self, context, model_input: pd.DataFrame, params=None):  # type: ignore[no-untyped-def]
        """Return the column `prediction` and, for classes, `probability_<class>` columns.

        Args:
            context: context of MLflow; not used.
            model_input: raw rows, one column per input; optional columns may be missing.
            params: parameters of MLflow; not used.
        """
        try:
            return self._answers(model_input)
        except ValueError as error:  # MLflow's scoring server passes this message to the client
            raise MlflowException.invalid_parameter_value(str(error)) from error

    def _answers(self, rows: pd.DataFrame) -> pd.DataFrame:
        numbered = [name for name in self._numbered if name in rows]  # 1.0 and "1" are level 1
        rows = rows.assign(**{name: rows[name].map(_number) for name in numbered})
        block = self._batch * (1 if self.statistics.get("picture") else BLOCKS)
        made = []
        for first in range(0, max(len(rows), 1), block):
            frame = rows.iloc[first : first + block]
            features = self._preparation.transform(self._decoded(frame), self.statistics)
            for start in range(0, max(len(features), 1), self._batch):
                made.append(np.asarray(self._call(features[start : start + self._batch])))
        table: pd.DataFrame = self._preparation.answers(np.concatenate(made), self.statistics)
        table.index = rows.index
        return table

    def _decoded(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with the pixels of their pictures, if the model reads pictures."""
        picture = self.statistics.get("picture")
        if not picture or picture["name"] not in frame:
            return frame
        name = picture["name"]
        pixels = [self._pictures.pixels(value, self._form) for value in frame[name]]
        return frame.assign(**{name: pd.Series(pixels, frame.index, dtype=object)})


def _numbered(statistics: dict[str, Any], preparation: ModuleType) -> list[str]:
    """Return the columns whose levels are all numbers."""
    names = []
    for column in statistics["columns"]:
        known = [level for level in column.get("levels", ()) if level != preparation.MISSING]
        if known and preparation.labels([_number(level) for level in known]) == known:
            names.append(column["name"])
    return names


def _number(value: Any) -> Any:
    """Return text as a number if it is one; anything else unchanged."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _keras_model(folder: Path) -> Callable[[Any], Any]:
    import keras
    import tensorflow as tf

    _import_modules(folder / "modules")
    model = keras.models.load_model(folder / "model.keras", compile=False, safe_mode=True)
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]
    call: Callable[[Any], Any] = tf.function(
        lambda rows: model(rows, training=False), input_signature=signature, autograph=False
    )
    return call


def _estimator(folder: Path) -> Callable[[Any], Any]:
    predictor = _load_module(folder / "predictor.py")
    model = predictor.load(folder / "model.npz")
    return lambda rows: predictor.predict(model, rows)


def _import_modules(folder: Path) -> None:
    """Import a builder's modules and packages, which may import one another in any order."""
    files = [file.relative_to(folder).with_suffix("") for file in sorted(folder.rglob("*.py"))]
    names = [".".join(file.parts).removesuffix(".__init__") for file in files]
    for name in names:
        sys.modules.pop(name, None)  # another package may have a module of this name
    sys.path.insert(0, str(folder))
    try:
        for name in names:
            importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


def _load_module(file: Path) -> ModuleType:
    name = f"{file.stem}_{uuid.uuid4().hex}"  # another package may have a module of this name
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _take_csv() -> None:
    """Make MLflow's scoring server, if it runs in this process, read CSV for untyped columns.

    It refuses them by default. They are read as unchanged text: `transform` converts numbers and
    dates, and a level such as 007 keeps its zeros. Other processes are not affected.
    """
    server = sys.modules.get("mlflow.pyfunc.scoring_server")
    if server is None or server.parse_csv_input.__module__ != server.__name__:  # or patched already
        return
    parse = server.parse_csv_input

    def parse_csv_input(csv_input: Any, schema: Schema | None = None) -> Any:
        if schema is not None and AnyType() in schema.input_types():
            schema = Schema([ColSpec(DataType.string, name) for name in schema.input_names()])
        return parse(csv_input, schema)

    server.parse_csv_input = parse_csv_input  # type: ignore[attr-defined]


_take_csv()
mlflow.models.set_model(PackagedModel())
