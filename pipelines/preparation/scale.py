"""Scale: statistics from training rows only, and arrays that are ready to train on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.config import (
    DataInvalid,
    Document,
    Features,
    Project,
    load_experiment,
    write_json,
    writing,
)
from pipelines.preparation.columns import feature_columns
from pipelines.preparation.split import TEST, TRAINING, VALIDATION, test_twins
from pipelines.preparation.transform import as_text, encode_target, feature_names, transform

MOST_LEVELS = 200
"""Levels above which a text column is no category."""


@dataclass(frozen=True)
class Scaled:
    """What the arrays look like."""

    features: int
    classes: int | None

    def __str__(self) -> str:
        return f"{self.features} features" + (f", {self.classes} classes" if self.classes else "")


def scale(project: Project, name: str) -> Scaled:
    """The stage `scale`: table and roles → `build/NAME/training/` and `build/NAME/test/`.

    `training/` holds x_ and y_ of training and validation rows as .npy, and `statistics.json`;
    `test/` holds those of the test rows, their identities, their raw rows and which of them were
    seen in training, and is opened by the final evaluation alone.
    """
    document = load_experiment(project, name).document
    build = project.build(name)
    frame = pd.read_parquet(build / "table.parquet", dtype_backend="numpy_nullable")
    roles = pd.read_parquet(build / "roles.parquet")
    role = roles["role"].to_numpy()
    statistics = fit_statistics(frame[role == TRAINING], document)
    target = document.data.target
    with writing(build / "training") as folder, writing(build / "test") as test_folder:
        folder.mkdir()
        for part, of in (("training", TRAINING), ("validation", VALIDATION)):
            _write(folder, f"_{part}", frame[role == of], target, statistics)
        write_json(folder / "statistics.json", statistics)
        test_folder.mkdir()
        test = frame[role == TEST]
        _write(test_folder, "", test, target, statistics)
        np.save(test_folder / "identity.npy", roles["identity"].to_numpy()[role == TEST])
        np.save(test_folder / "twin.npy", test_twins(build / "roles.parquet"))
        test.to_parquet(test_folder / "rows.parquet", index=False)
    classes = statistics["classes"]
    return Scaled(len(feature_names(statistics)), len(classes) if classes else None)


def _write(
    folder: Path, part: str, rows: pd.DataFrame, target: str, statistics: dict[str, Any]
) -> None:
    y = encode_target(rows[target], statistics)
    if statistics["classes"] is not None and (y < 0).any():
        unseen = sorted({str(label) for label in rows[target][y < 0]})
        raise DataInvalid(
            "some classes have no training rows",
            expected="training rows of every class",
            found="none of " + ", ".join(unseen[:10]),
            next="set split.stratify: true, or leave these classes out of the data",
        )
    np.save(folder / f"x{part}.npy", transform(rows, statistics))
    np.save(folder / f"y{part}.npy", y)


def fit_statistics(training: pd.DataFrame, document: Document) -> dict[str, Any]:
    """Everything that `transform` has to know, from training rows alone.

    Args:
        training: raw training rows.
        document: the experiment file.

    Returns:
        `numbers` (name, offset, factor, fill, indicator), `categories` (name, levels), `classes`
        (labels in order, or None), `target` and `task`.

    Raises:
        DataInvalid: a text column has too many levels to be a category.
    """
    features, target = document.features, document.data.target
    columns = feature_columns(training.columns, features, target, document.split)
    numeric = [c for c in columns if _is_number(training[c])]
    texts = [c for c in columns if c not in numeric]
    classes = None
    if document.data.task == "classification":
        classes = [_plain(label) for label in sorted(training[target].unique().tolist())]
    return {
        "numbers": _numbers(training[numeric], features) if numeric else [],
        "categories": [_levels(training[c]) for c in texts],
        "classes": classes,
        "target": target,
        "task": document.data.task,
    }


def _is_number(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _numbers(block: pd.DataFrame, features: Features) -> list[dict[str, Any]]:
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    values = block.to_numpy(dtype="float64", na_value=np.nan)
    missing = np.isnan(values).any(axis=0)
    offset, factor = np.zeros(values.shape[1]), np.ones(values.shape[1])
    empty = np.isnan(values).all(axis=0)
    if empty.any():
        raise DataInvalid(
            "columns without a single value in the training rows",
            expected="values",
            found=", ".join(block.columns[empty][:10]),
            next="leave them out: features: {exclude: ["
            + ", ".join(block.columns[empty][:10])
            + "]}",
        )
    endless = np.isinf(values).any(axis=0)
    if endless.any():
        raise DataInvalid(
            "columns with infinite values in the training rows",
            expected="finite numbers",
            found=", ".join(block.columns[endless][:10]),
            next="mend the source; `type: number` in the schema finds such rows",
        )
    if features.scale == "minmax":
        minmax = MinMaxScaler().fit(values)
        offset, factor = minmax.data_min_, minmax.scale_
    elif features.scale == "standard":
        standard = StandardScaler().fit(values)
        offset, factor = standard.mean_, 1 / standard.scale_
    fill = np.nanmedian(values, axis=0)
    return [
        {
            "name": str(name),
            "offset": float(offset[i]),
            "factor": float(factor[i]),
            "fill": float(fill[i]),
            "indicator": bool(missing[i]),
        }
        for i, name in enumerate(block.columns)
    ]


def _levels(column: pd.Series[Any]) -> dict[str, Any]:
    levels = sorted(set(as_text(column)))
    if len(levels) > MOST_LEVELS:
        raise DataInvalid(
            f"the text column '{column.name}' has too many different values to be a category",
            expected=f"{MOST_LEVELS} or fewer",
            found=f"{len(levels):,} in {len(column):,} training rows",
            next=f"leave it out: features: {{exclude: [{column.name}]}}",
        )
    return {"name": str(column.name), "levels": levels}


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label
