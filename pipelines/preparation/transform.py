"""Raw rows to numbers and back, from statistics alone.

This file is also the preprocessing of every package: it is stored beside the model and loaded from
there, so it imports nothing but numpy and pandas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def feature_names(statistics: Mapping[str, Any]) -> list[str]:
    """The names of the columns that `transform` gives, in order."""
    names = [column["name"] for column in statistics["numbers"]]
    names += [
        f"{column['name']} is missing" for column in statistics["numbers"] if column["indicator"]
    ]
    for column in statistics["categories"]:
        names += [f"{column['name']}={level}" for level in column["levels"]]
    return names


def transform(frame: pd.DataFrame, statistics: Mapping[str, Any]) -> Any:
    """Features of raw rows.

    Numbers are filled where missing, shifted and scaled; categories become one column a level, and
    a level that training has not seen is all zeros.

    Args:
        frame: raw rows; columns in any order, more than needed do no harm.
        statistics: what the stage `scale` found in the training rows.

    Returns:
        (n_rows, n_features) float32.

    Raises:
        ValueError: a column is missing, or holds text where numbers belong.
    """
    absent = [
        c["name"]
        for kind in ("numbers", "categories")
        for c in statistics[kind]
        if c["name"] not in frame
    ]
    if absent:
        raise ValueError(f"columns are missing: {', '.join(absent[:10])}")
    numbers = statistics["numbers"]
    out = np.empty((len(frame), len(feature_names(statistics))), dtype=np.float32)
    if numbers:
        raw = _numbers(frame, [column["name"] for column in numbers])
        missing = np.isnan(raw)
        raw = np.where(missing, np.array([column["fill"] for column in numbers]), raw)
        offset = np.array([column["offset"] for column in numbers])
        factor = np.array([column["factor"] for column in numbers])
        out[:, : len(numbers)] = (raw - offset) * factor
        marked = [i for i, column in enumerate(numbers) if column["indicator"]]
        out[:, len(numbers) : len(numbers) + len(marked)] = missing[:, marked]
    place = len(numbers) + sum(column["indicator"] for column in numbers)
    for column in statistics["categories"]:
        texts = as_text(frame[column["name"]])
        for level in column["levels"]:
            out[:, place] = (texts == level).to_numpy(dtype=bool)
            place += 1
    return out


def as_text(column: pd.Series) -> pd.Series:
    """Values as the text that levels are compared by; a missing one is a level of its own."""
    texts = [_label(value) for value in column]
    return pd.Series(texts, index=column.index, dtype=object)


def _label(value: Any) -> str:
    if value is None or value is pd.NA or value != value:
        return "(missing)"
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return str(value)


def _numbers(frame: pd.DataFrame, names: list[str]) -> Any:
    try:
        return frame[names].to_numpy(dtype="float64", na_value=np.nan)
    except (ValueError, TypeError):
        for name in names:
            parsed = pd.to_numeric(frame[name], errors="coerce")
            wrong = parsed.isna() & frame[name].notna()
            if wrong.any():
                value = frame[name][wrong].iloc[0]
                raise ValueError(f"column {name} must hold numbers, found {value!r}") from None
        raise


def encode_target(column: pd.Series, statistics: Mapping[str, Any]) -> Any:
    """The target as the model learns it.

    Returns:
        (n_rows,) int32 places in the list of classes, −1 for a class that training has not seen;
        for regression (n_rows,) float32.
    """
    classes = statistics["classes"]
    if classes is None:
        return column.to_numpy(dtype="float32")
    places = {_label(label): place for place, label in enumerate(classes)}
    return np.array([places.get(_label(value), -1) for value in column], dtype=np.int32)


def answers(outputs: Any, statistics: Mapping[str, Any]) -> pd.DataFrame:
    """What a caller gets: the prediction in the target's own words and, for classes, probabilities.

    Args:
        outputs: (n_rows, n_outputs) of the model; one output for two classes is the second's.

    Returns:
        Columns `prediction` and, for classification, `probability_<class>`.
    """
    classes = statistics["classes"]
    if classes is None:
        return pd.DataFrame(
            {"prediction": np.asarray(outputs, dtype="float64").reshape(len(outputs))}
        )
    shares = probabilities(outputs)
    labels = np.array(classes, dtype=object)[shares.argmax(axis=1)] if len(shares) else []
    table: dict[str, Any] = {"prediction": pd.Series(list(labels), dtype=_dtype(classes))}
    for place, label in enumerate(classes):
        table[f"probability_{_label(label)}"] = shares[:, place].astype("float64")
    return pd.DataFrame(table)


def probabilities(outputs: Any) -> Any:
    """(n_rows, n_classes) from the model's outputs; two columns where it has a single one."""
    outputs = np.asarray(outputs)
    if outputs.shape[1] == 1:
        return np.concatenate([1 - outputs, outputs], axis=1)
    return outputs


def _dtype(classes: list[Any]) -> str:
    if all(isinstance(label, bool) for label in classes):
        return "bool"
    if all(isinstance(label, int) for label in classes):
        return "int64"
    return "float64" if all(isinstance(label, float) for label in classes) else "object"
