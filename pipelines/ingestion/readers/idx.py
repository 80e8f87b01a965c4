"""Folders of IDX files, the format of MNIST."""

from __future__ import annotations

import gzip
import hashlib
import re
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from gristmill.pipelines.config import Data
from gristmill.pipelines.ingestion.readers.array_files import Part, rows_of
from gristmill.pipelines.ingestion.readers.faults import unreadable
from gristmill.pipelines.ingestion.readers.type_inference import RowStream

IDX_PARTS = {"train": "training", "t10k": "test"}
"""Prefixes of the names of IDX files, and their roles."""

BYTE = 8
IDX_TYPES = {BYTE: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
"""Types of an IDX file's values by the third byte of its header."""


def takes(folder: Path) -> bool:
    """Return whether a folder contains IDX files."""
    return bool(_idx_files(folder))


def read(raw: Path, data: Data | None, not_numbers: Collection[str]) -> RowStream:
    """Read a folder of IDX files (also .gz) as rows: images and labels, `train` and `t10k`.

    Source: Yann LeCun's description of the MNIST files.

    Raises:
        InputError: a file is missing or damaged.
    """
    return rows_of(raw, parts_of(raw), data)


def parts_of(folder: Path) -> list[Part]:
    """Return the pictures and labels of a folder of IDX files, those for training first.

    Raises:
        InputError: a file is missing or damaged.
    """
    files = _idx_files(folder)
    parts = []
    for start, role in IDX_PARTS.items():
        x, y = files.get((start, "images")), files.get((start, "labels"))
        if (x is None) != (y is None):
            missing = "images" if x is None else "labels"
            raise unreadable(folder, f"{start}-images and {start}-labels", f"no {missing}")
        if x is not None and y is not None:
            parts.append(Part(role, _idx(x), _idx(y)))
    return parts


def idx_digest(values: Any) -> str:
    """Return the MD5 of the uncompressed IDX file that would contain an array of bytes."""
    head = struct.pack(f">HBB{values.ndim}I", 0, BYTE, values.ndim, *values.shape)
    return hashlib.md5(head + values.tobytes(), usedforsecurity=False).hexdigest()


def _idx_files(folder: Path) -> dict[tuple[str, str], Path]:
    found = {}
    for file in sorted(folder.iterdir()):
        start, _, rest = file.name.partition("-")
        what = re.split("[-.]", rest)[0]
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
            raise ValueError("it has no IDX header")
        values = np.frombuffer(content, IDX_TYPES[kind], offset=4 + 4 * dimensions)
        return values.reshape(shape).astype(values.dtype.newbyteorder("="), copy=False)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise unreadable(file, "a complete IDX file", f"{error}"[:200]) from error
