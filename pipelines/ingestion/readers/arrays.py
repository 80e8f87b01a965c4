"""Arrays on disk: NumPy's .npz without pickles, and folders of IDX files as MNIST has them."""

from __future__ import annotations

import gzip
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.config import Data, InputError, Pictures
from pipelines.ingestion.readers.pictures import GIVEN_ROLE, fit, picture_field, rows_in_a_block

NAMES = (
    ("training", "x_train", "y_train"),
    ("validation", "x_val", "y_val"),
    ("test", "x_test", "y_test"),
)
"""Names of arrays in a .npz with parts of its own, as Keras has them."""

PAIRS = (("x", "y"), ("X", "y"), ("images", "labels"), ("data", "target"))
"""Names of arrays in a .npz without parts."""

IDX_PARTS = {"train": "training", "t10k": "test"}
"""What the names of IDX files begin with."""

IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
"""Types of an IDX file's values by the third byte of its head."""


@dataclass(frozen=True)
class Part:
    """Rows and their labels: x (n_rows, …), y (n_rows,)."""

    role: str
    x: Any
    y: Any


def holds_idx(folder: Path) -> bool:
    """Whether a folder holds IDX files."""
    return bool(_idx_files(folder))


def read_npz(file: Path, data: Data) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The arrays of a .npz as rows; see `_rows`.

    Raises:
        InputError: damaged, with pickled objects, or with other names or shapes than expected.
    """
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except ValueError as error:
        pickled = "allow_pickle" in str(error)
        found = "Python objects, which only a pickle can hold" if pickled else str(error)[:200]
        raise _unreadable(file, "arrays of numbers or texts", found) from error
    except (OSError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise _unreadable(file, "a whole .npz file", f"{error}"[:200]) from error
    return _rows(file, _parts(file, arrays), data)


def read_idx(folder: Path, data: Data) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """A folder of IDX files (also .gz) as rows: images and labels, `train` and `t10k`.

    Source: Yann LeCun's description of the MNIST files.

    Raises:
        InputError: a file is missing or damaged.
    """
    files = _idx_files(folder)
    parts = []
    for start, role in IDX_PARTS.items():
        x, y = files.get((start, "images")), files.get((start, "labels"))
        if (x is None) != (y is None):
            missing = "images" if x is None else "labels"
            raise _unreadable(folder, f"{start}-images and {start}-labels", f"no {missing}")
        if x is not None and y is not None:
            parts.append(Part(role, _idx(x), _idx(y)))
    return _rows(folder, parts, data)


def _idx_files(folder: Path) -> dict[tuple[str, str], Path]:
    found = {}
    for file in sorted(folder.iterdir()):
        start, _, rest = file.name.partition("-")
        what = rest.partition("-")[0]
        if start in IDX_PARTS and what in ("images", "labels") and "idx" in rest:
            found[start, what] = file
    return found


def _idx(file: Path) -> Any:
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            content = stream.read()
        zero, kind, dimensions = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
        if zero or kind not in IDX_TYPES:
            raise ValueError("its head is no IDX file's")
        values = np.frombuffer(content, IDX_TYPES[kind], offset=4 + 4 * dimensions)
        return values.reshape(shape).astype(values.dtype.newbyteorder("="), copy=False)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise _unreadable(file, "a whole IDX file", f"{error}"[:200]) from error


def _parts(file: Path, arrays: Mapping[str, Any]) -> list[Part]:
    parts = [Part(r, arrays[x], arrays[y]) for r, x, y in NAMES if x in arrays and y in arrays]
    if not parts:
        parts = [Part("", arrays[x], arrays[y]) for x, y in PAIRS if x in arrays and y in arrays]
    if not parts:
        raise _unreadable(
            file,
            "arrays " + " or ".join(f"{x} and {y}" for x, y in (("x_train", "y_train"), *PAIRS)),
            ", ".join(sorted(arrays)[:12]) or "none",
        )
    return parts[:1] if not parts[0].role else parts


def _rows(place: Path, parts: list[Part], data: Data) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Parts as rows: `picture` or `x0`, `x1`, …, the target, and `given_role` for several."""
    for part in parts:
        _check(place, part)
    first = parts[0]
    form = _form(place, parts, data)
    label = pa.field(data.target, pa.array(_labels(first.y[:1])).type)
    wide = [] if form else [pa.field(f"x{i}", _number(first.x)) for i in range(first.x.shape[1])]
    fields = [*([picture_field(form)] if form else wide), label]
    if len(parts) > 1:
        fields.append(pa.field(GIVEN_ROLE, pa.string()))
    schema = pa.schema(fields)
    return schema, _batches(parts, form, schema)


def _check(place: Path, part: Part) -> None:
    named = f"of {part.role}" if part.role else "of x"
    if part.x.ndim not in (2, 3, 4) or (part.x.ndim == 4 and part.x.shape[3] not in (1, 3)):
        raise _unreadable(
            place,
            "rows × columns, or pictures: rows × height × width (× 1 or 3 channels)",
            f"an array {named} of shape {part.x.shape}",
        )
    if part.y.size != len(part.x):
        raise _unreadable(
            place, "a label a row", f"{len(part.x):,} rows and {part.y.size:,} labels {named}"
        )
    if part.x.ndim > 2 and part.x.dtype != np.uint8:
        raise _unreadable(
            place, "pixels as whole numbers from 0 to 255 (uint8)", f"{part.x.dtype} {named}"
        )
    if not np.issubdtype(part.x.dtype, np.number) and part.x.dtype != bool:
        raise _unreadable(place, "numbers", f"{part.x.dtype} {named}")


def _form(place: Path, parts: list[Part], data: Data) -> Pictures | None:
    shapes = {part.x.shape[1:] for part in parts}
    if len(shapes) > 1:
        raise _unreadable(place, "one shape in all parts", " and ".join(map(str, sorted(shapes))))
    (shape,) = shapes
    if len(shape) == 1:
        return None
    return data.pictures or Pictures(
        height=shape[0], width=shape[1], channels=3 if shape[2:] == (3,) else 1
    )


def _number(x: Any) -> pa.DataType:
    if x.dtype == bool:
        return pa.bool_()
    return pa.int64() if np.issubdtype(x.dtype, np.integer) else pa.float64()


def _labels(y: Any) -> Any:
    flat = np.asarray(y).reshape(-1)
    if flat.dtype.kind in "iu":
        return flat.astype(np.int64)
    return flat.astype(np.float64) if flat.dtype.kind == "f" else flat.astype(str)


def _batches(
    parts: list[Part], form: Pictures | None, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    step = rows_in_a_block(form) if form else 1 << 16
    for part in parts:
        for start in range(0, len(part.x), step):
            x, y = part.x[start : start + step], part.y[start : start + step]
            columns = [_pixels(x, form)] if form else list(np.ascontiguousarray(x.T))
            columns.append(_labels(y))
            if GIVEN_ROLE in schema.names:
                columns.append([part.role] * len(x))
            arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            yield pa.record_batch(arrays, schema=schema)


def _pixels(x: Any, form: Pictures) -> list[bytes]:
    if x.ndim == 4 and x.shape[3] == 1:
        x = x[..., 0]
    channels = x.shape[3] if x.ndim == 4 else 1
    if x.shape[1:3] == (form.height, form.width) and channels == form.channels:
        return [picture.tobytes() for picture in x]
    from PIL import Image

    return [fit(Image.fromarray(picture), form) for picture in x]


def _unreadable(place: Path, expected: str, found: str) -> InputError:
    return InputError(
        f"{place.name} cannot be read as arrays",
        expected=expected,
        found=found,
        next="mend the file at its source",
    )
