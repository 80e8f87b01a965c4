"""Stage scale: compute statistics of training rows, and write arrays for training and testing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from gristmill.pipelines.base import DataInvalid, side_by_side, write_json, writing
from gristmill.pipelines.config import PrepareSections, Project, load_sections
from gristmill.pipelines.preparation.features.frames import to_frame
from gristmill.pipelines.preparation.features.picture_arrays import pictures_at_a_time, pixels_of
from gristmill.pipelines.preparation.features.statistics import fit
from gristmill.pipelines.preparation.features.transforms import (
    Statistics,
    encode_target,
    feature_shape,
    input_names,
    labels,
    transform,
)
from gristmill.pipelines.preparation.split import (
    TEST,
    TRAINING,
    UNUSED,
    VALIDATION,
    RoleCodes,
    read_folds,
    read_left_out,
    read_roles,
    read_twins,
)
from gristmill.pipelines.tables import BATCH, TableRows, read_column

MOST_VALUES = 1 << 23
"""Largest number of values transformed at a time: 64 MiB as float64."""

GROUP = 1 << 17
"""Largest number of test rows in a row group."""

GROUP_BYTES = 64 << 20
"""Largest size in bytes of test rows buffered for a row group."""


Arrays = tuple[npt.NDArray[Any], npt.NDArray[Any]]
"""Features and target of the same rows."""

Append = Callable[[npt.NDArray[Any]], object]


@dataclass(frozen=True)
class Scaled:
    """The result of the stage `scale`.

    Attributes:
        shape: shape of one row's features.
        classes: number of classes; None for regression.
    """

    shape: tuple[int, ...]
    classes: int | None

    def __str__(self) -> str:
        features = "×".join(map(str, self.shape))
        return f"{features} features" + (f", {self.classes} classes" if self.classes else "")


def scale(project: Project, name: str) -> Scaled:
    """Run the stage `scale`: table and roles → `build/NAME/training/` and `build/NAME/test/`.

    `training/` contains features and target of training and validation rows as `.npy`, and
    `statistics.json`. `test/` contains the same arrays of the test rows, their identities, their
    raw rows, and a mark for those seen in training; only the final evaluation reads it. The target
    of test rows is in its original unit. Pictures are stored as uint8, and scaled on reading by
    `scaled`. Rows are read and written in batches; a numeric column is held in memory to find its
    median.

    With folds all rows but the test rows are training rows, and there are no validation rows.
    `training/fold-0/` etc. contain the same arrays with that fold as validation rows, and the
    statistics of the other folds.

    Args:
        project: the project.
        name: name of the experiment.
    """
    document = load_sections(project, name, PrepareSections)
    build = project.build(name)
    table = build / "table.parquet"
    roles = build / "roles.parquet"
    role, fold, left_out = read_roles(roles), read_folds(roles), read_left_out(roles)
    with ThreadPoolExecutor(1) as aside:  # while the first rows are read
        aside.submit(import_module, "sklearn.preprocessing")
        statistics = fit(TableRows(table, role == TRAINING), document, left_out)
    with writing(build / "training") as folder, writing(build / "test") as test_folder:
        test_folder.mkdir()
        _write_arrays(table, role, statistics, folder, test_folder)
        identities = read_column(roles, "identity").to_numpy()
        np.save(test_folder / "identity.npy", identities[role == TEST])
        np.save(test_folder / "twin.npy", read_twins(roles))
        folds = [] if fold is None else [roles_in(fold, n) for n in range(int(fold.max()) + 1)]
        for number, mine in enumerate(folds):
            learnt = fit(TableRows(table, mine == TRAINING), document, left_out)
            _write_arrays(table, mine, learnt, folder / f"fold-{number}")
    classes = statistics["classes"]
    return Scaled(feature_shape(statistics), len(classes) if classes else None)


def roles_in(fold: RoleCodes, number: int) -> RoleCodes:
    """Return the role of each row with one fold for validation: (n_rows,) int8.

    Args:
        fold: (n_rows,) int8, −1 for test rows.
        number: number of the validation fold.
    """
    kinds = [fold == number, fold >= 0]
    return np.select(kinds, [VALIDATION, TRAINING], UNUSED).astype(np.int8)


def _write_arrays(
    table: Path,
    role: RoleCodes,
    statistics: Statistics,
    folder: Path,
    test_folder: Path | None = None,
) -> None:
    folder.mkdir()
    write_json(folder / "statistics.json", statistics)
    rows, target, picture = TableRows(table), statistics["target"], statistics["picture"]
    shape, classes = feature_shape(statistics), statistics["classes"]
    places = {TRAINING: (folder, "_training"), VALIDATION: (folder, "_validation")}
    if test_folder is not None:
        places[TEST] = (test_folder, "")
    kinds = np.uint8 if picture else np.float32, np.float32 if classes is None else np.int32
    needed = [*input_names(statistics), target]
    texts = [c["name"] for c in statistics["columns"] if c["kind"] == "text"]
    plain = [*texts, *(name for name in rows.names if name not in needed)]
    size = max(16, min(BATCH, MOST_VALUES // math.prod(shape)))
    if picture:
        size = pictures_at_a_time(rows.schema.field(picture["name"]).type)
    unseen: set[str] = set()

    def work(piece: tuple[slice, pa.RecordBatch]) -> tuple[dict[int, Arrays], pa.RecordBatch]:
        place, batch = piece
        frame = to_frame(batch.select([target] if picture else needed))
        made = _features(batch, frame, statistics)
        parts = {}
        for of in places:
            here = role[place] == of
            how = {**statistics, "target_scale": None} if of == TEST else statistics
            encoded = encode_target(frame[target][here], how)
            if classes is not None and (encoded < 0).any():
                unseen.update(labels(frame[target][here][encoded < 0].unique()))
            parts[of] = made[here], encoded
        return parts, batch.filter(pa.array(role[place] == TEST))

    with ExitStack() as opened:
        appends: dict[int, tuple[Append, Append]] = {}
        for of, (where, part) in places.items():
            count = int((role == of).sum())
            x = npy(where / f"x{part}.npy", (count, *shape), np.dtype(kinds[0]))
            y = npy(where / f"y{part}.npy", (count,), np.dtype(kinds[1]))
            appends[of] = opened.enter_context(x), opened.enter_context(y)
        test_rows = None
        if test_folder is not None:
            test_rows = opened.enter_context(_raw_rows(test_folder / "rows.parquet", rows.schema))
        pieces = rows.pieces(rows.names, plain=plain, size=size)
        for _, (parts, tested) in side_by_side(pieces, work):
            for of, arrays in parts.items():
                for append, array in zip(appends[of], arrays, strict=True):
                    append(array)
            if test_rows is not None:
                test_rows(tested)
    _require_known(unseen)


def _require_known(unseen: set[str]) -> None:
    if unseen:
        raise DataInvalid(
            "some classes have no training rows",
            expected="training rows of every class",
            found="none of " + ", ".join(sorted(unseen)[:10]),
            next="set split.stratify: true, or remove these classes from the data",
        )


def _features(
    batch: pa.RecordBatch, frame: pd.DataFrame, statistics: Statistics
) -> npt.NDArray[Any]:
    """Return the features to store: unscaled pixels, or the result of `transform`."""
    picture = statistics["picture"]
    try:
        if picture:
            made = pixels_of(batch.column(picture["name"]))
            return made.reshape(-1, *feature_shape(statistics))
        return transform(frame, statistics)
    except ValueError as error:  # in validation or test rows; training rows were checked by `fit`
        raise DataInvalid(
            "validation or test rows have values that cannot be converted to numbers",
            expected="values like those of the training rows",
            found=str(error),
            next="fix the source, or exclude the column: features: {exclude: [...]}",
        ) from error


@contextmanager
def npy(target: Path, shape: tuple[int, ...], kind: np.dtype[Any]) -> Iterator[Append]:
    """Open a `.npy` file for writing in parts; yield a function that appends rows.

    The file is written, not mapped, so that memory does not grow with it.

    Args:
        target: the file.
        shape: shape of the whole array.
        kind: dtype of the array.
    """
    about = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    with target.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, about)
        yield lambda part: file.write(np.ascontiguousarray(part, dtype=kind).data)


@contextmanager
def _raw_rows(target: Path, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """Open a Parquet file for writing in batches; yield a function that appends a batch."""
    waiting: list[pa.RecordBatch] = []
    with pa.parquet.ParquetWriter(target, schema, compression="snappy") as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_batches(waiting).cast(schema), GROUP)
            waiting.clear()

        def append(batch: pa.RecordBatch) -> None:
            waiting.append(batch)
            full = sum(each.num_rows for each in waiting) >= GROUP
            if full or sum(each.nbytes for each in waiting) >= GROUP_BYTES:
                flush()

        yield append
        if waiting:
            flush()
