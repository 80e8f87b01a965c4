"""NumPy's .npz files, without pickles, and conversion of arrays to rows."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gristmill.pipelines.base import side_by_side
from gristmill.pipelines.config import Data
from gristmill.pipelines.ingestion.readers.faults import unreadable
from gristmill.pipelines.ingestion.readers.picture_folders import (
    GIVEN_ROLE,
    picture_field,
    rows_in_a_block,
    target_of,
)
from gristmill.pipelines.ingestion.readers.picture_pixels import Form, fitted
from gristmill.pipelines.ingestion.readers.picture_sizes import form_of
from gristmill.pipelines.ingestion.readers.type_inference import Batches, RowStream

Array = npt.NDArray[Any]

NAMES = (
    *(("training", "x_train", "y_train"), ("validation", "x_val", "y_val")),
    *(("test", "x_test", "y_test"), ("", "x", "y"), ("", "X", "y")),
    *(("", "images", "labels"), ("", "data", "target")),
)
"""Roles and names of arrays in a .npz: split into parts, as in Keras, or not."""


@dataclass(frozen=True)
class Part:
    """Rows and their labels: x (n_rows, …), y (n_rows,)."""

    role: str
    x: Array
    y: Array


def read(raw: Path, data: Data | None, not_numbers: Collection[str]) -> RowStream:
    """Read the arrays of a .npz as rows; see `rows_of`.

    Raises:
        InputError: the file is damaged, or contains pickled objects or other names or shapes than
            expected.
    """
    return rows_of(raw, _parts(raw, load_arrays(raw)), data)


def load_arrays(raw: Path) -> dict[str, Array]:
    """Return the arrays of a .npz by name.

    Raises:
        InputError: the file is damaged, or contains pickled objects.
    """
    try:
        with raw.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except ValueError as error:
        pickled = "allow_pickle" in str(error)
        found = "Python objects, which require pickle" if pickled else str(error)[:200]
        raise unreadable(raw, "arrays of numbers or texts", found) from error
    except (OSError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise unreadable(raw, "a complete .npz file", f"{error}"[:200]) from error


def _parts(file: Path, arrays: Mapping[str, Array]) -> list[Part]:
    parts = [Part(r, arrays[x], arrays[y]) for r, x, y in NAMES if x in arrays and y in arrays]
    if not parts:
        wanted = " or ".join(f"{x} and {y}" for role, x, y in NAMES if role in ("training", ""))
        raise unreadable(file, f"arrays {wanted}", ", ".join(sorted(arrays)[:12]) or "none")
    return [part for part in parts if part.role] or parts[:1]


def rows_of(place: Path, parts: list[Part], data: Data | None) -> RowStream:
    """Convert parts to rows.

    The columns are `picture` or `x0`, `x1`, …, the target, and `given_role` if there are several
    parts.

    Args:
        place: the file or folder, to be named in errors.
        parts: one or more; all with the same shape of a row.
        data: the experiment's section, for the name of the target and the size of pictures.

    Raises:
        InputError: shapes or types do not fit.
    """
    for part in parts:
        _check(place, part)
    x, y = parts[0].x, parts[0].y
    form = _form(place, parts, data)
    wide = [] if form else [pa.field(f"x{i}", _number(x)) for i in range(x.shape[1])]
    fields = [picture_field(form)] if form else wide
    fields.append(pa.field(target_of(data), pa.array(_labels(y[:1])).type))
    if len(parts) > 1:
        fields.append(pa.field(GIVEN_ROLE, pa.string()))
    schema = pa.schema(fields)
    return RowStream(schema, _batches(parts, form, schema))


def _check(place: Path, part: Part) -> None:
    x, named = part.x, f"of {part.role}" if part.role else "of x"
    wanted = found = ""
    if x.ndim not in (2, 3, 4) or (x.ndim == 4 and x.shape[3] not in (1, 3)):
        wanted = "rows × columns, or pictures: rows × height × width (× 1 or 3 channels)"
        found = f"an array {named} of shape {x.shape}"
    elif part.y.size != len(x):
        wanted, found = "one label per row", f"{len(x):,} rows and {part.y.size:,} labels {named}"
    elif x.ndim > 2 and x.dtype != np.uint8:
        wanted, found = "pixels as integers from 0 to 255 (uint8)", f"{x.dtype} {named}"
    elif not np.issubdtype(x.dtype, np.number) and x.dtype != bool:
        wanted, found = "numbers", f"{x.dtype} {named}"
    if wanted:
        raise unreadable(place, wanted, found)


def _form(place: Path, parts: list[Part], data: Data | None) -> Form | None:
    shapes = {part.x.shape[1:] for part in parts}
    if len(shapes) > 1:
        raise unreadable(
            place, "the same shape in all parts", " and ".join(map(str, sorted(shapes)))
        )
    (shape,) = shapes
    if len(shape) == 1:
        return None
    declared = data.pictures if data is not None else None
    return form_of(declared, shape[0], shape[1], 3 if shape[2:] == (3,) else 1)


def _number(x: Array) -> pa.DataType:
    if x.dtype == bool:
        return pa.bool_()
    return pa.int64() if np.issubdtype(x.dtype, np.integer) else pa.float64()


def _labels(y: Array) -> Array:
    flat = np.asarray(y).reshape(-1)
    if flat.dtype.kind in "iu":
        return flat.astype(np.int64)
    return flat.astype(np.float64) if flat.dtype.kind == "f" else flat.astype(str)


def _batches(parts: list[Part], form: Form | None, schema: pa.Schema) -> Batches:
    step = rows_in_a_block(form) // 4 or 1 if form else 1 << 16
    pieces = ((part, start) for part in parts for start in range(0, len(part.x), step))

    def batch(piece: tuple[Part, int]) -> pa.RecordBatch:
        part, start = piece
        x, y = part.x[start : start + step], part.y[start : start + step]
        columns = [_pixels(x, form)] if form else list(np.ascontiguousarray(x.T))
        columns.append(_labels(y))
        if GIVEN_ROLE in schema.names:
            columns.append([part.role] * len(x))
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
        return pa.record_batch(arrays, schema=schema)

    return (made for _, made in side_by_side(pieces, batch))


def _pixels(x: Array, form: Form) -> list[bytes]:
    if x.ndim == 4 and x.shape[3] == 1:
        x = x[..., 0]
    channels = x.shape[3] if x.ndim == 4 else 1
    if x.shape[1:3] == (form.height, form.width) and channels == form.channels:
        return [picture.tobytes() for picture in x]
    from PIL import Image

    return [fitted(Image.fromarray(picture), form) for picture in x]
