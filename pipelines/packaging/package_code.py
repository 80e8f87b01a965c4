"""The code of every registered package: raw rows in, labelled predictions out.

MLflow stores this file beside the model and runs it from there. It imports nothing of this
project, so that old packages keep working and several packages can be loaded in one process.
"""

import csv
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
    """Preprocessing and model in one.

    Attributes:
        statistics: statistics of the training rows.
        noted: called with the number of rows and their surprises after each answer, if set.
    """

    noted: Callable[[int, list[Any]], None] | None = None

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
            params: parameters of MLflow; with `warnings`, the column `warnings` says what values of
                a row training did not have.
        """
        try:
            answers = self._answers(model_input)
            if self.noted is not None or (params or {}).get("warnings"):
                found = self.surprises(model_input)
                if self.noted is not None:
                    self.noted(len(answers), found)
                if (params or {}).get("warnings"):
                    answers["warnings"] = _sentences(found, len(answers))
            return answers
        except ValueError as error:  # MLflow's scoring server passes this message to the client
            raise MlflowException.invalid_parameter_value(str(error)) from error

    def surprises(self, rows: pd.DataFrame) -> list[Any]:
        """Return the values that training did not have; see `surprises` in `transform.py`."""
        found: list[Any] = self._preparation.surprises(self._typed(rows), self.statistics)
        return found

    def renamed(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return raw rows with the names of columns that training had."""
        frame: pd.DataFrame = self._preparation.with_plain_names(rows, self.statistics)
        return frame

    def _typed(self, rows: pd.DataFrame) -> pd.DataFrame:
        rows = self.renamed(rows)
        numbered = [name for name in self._numbered if name in rows]  # 1.0 and "1" are level 1
        typed = rows.copy(deep=False)  # `assign` takes no column named self
        for name in numbered:
            typed[name] = rows[name].map(_number)
        return typed

    def _answers(self, rows: pd.DataFrame) -> pd.DataFrame:
        rows = self._typed(rows)
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
        decoded = frame.copy(deep=False)
        decoded[name] = pd.Series(pixels, frame.index, dtype=object)
        return decoded


def _sentences(found: list[Any], rows: int) -> list[str]:
    """Return what is surprising about each row, in words; empty text for nothing."""
    return [
        "; ".join(f"{one.name}: {one.what}" for one in found if one.rows[row])
        for row in range(rows)
    ]


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


class _AnyNames:
    """A model for MLflow's scoring server that takes names of columns in another form.

    MLflow refuses them before the package sees them: 2 for "2", or another form of Unicode.
    """

    def __init__(self, model: Any) -> None:
        self._model, self.metadata = model, model.metadata

    def predict(self, data: Any, params: Any = None) -> Any:
        names = {*self.metadata.get_input_schema().input_names()}
        if isinstance(data, pd.DataFrame | dict) and not names <= {*data}:
            try:
                data = self._model.unwrap_python_model().renamed(pd.DataFrame(data))
            except ValueError as error:
                raise MlflowException.invalid_parameter_value(str(error)) from error
        return self._model.predict(data, params=params)


def _adapt_server() -> None:
    """Make MLflow's scoring server, if it runs in this process, read what a package reads.

    It refuses CSV for untyped columns by default. They are read as unchanged text: `transform`
    converts numbers and dates, and a level such as 007 keeps its zeros. Names of columns can have
    any form. Other processes are not affected.
    """
    server = sys.modules.get("mlflow.pyfunc.scoring_server")
    if server is None or server.parse_csv_input.__module__ != server.__name__:  # or patched already
        return
    parse, invoke = server.parse_csv_input, server.invocations

    def parse_csv_input(csv_input: Any, schema: Schema | None = None) -> Any:
        if schema is not None and AnyType() in schema.input_types():
            names = dict.fromkeys([*schema.input_names(), *next(csv.reader(csv_input), [])])
            csv_input.seek(0)
            schema = Schema([ColSpec(DataType.string, name) for name in names])
        return parse(csv_input, schema)

    def invocations(data: Any, content_type: Any, model: Any, input_schema: Any) -> Any:
        known = input_schema is not None and AnyType() in input_schema.input_types()
        return invoke(data, content_type, _AnyNames(model) if known else model, input_schema)

    server.parse_csv_input = parse_csv_input  # type: ignore[attr-defined]
    server.invocations = invocations  # type: ignore[attr-defined]


_adapt_server()
mlflow.models.set_model(PackagedModel())
