"""The format of a file by its name, or of a folder by its content, and its reader."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from pathlib import Path, PurePath
from typing import Any

from gristmill.pipelines.base import InputError
from gristmill.pipelines.config import Data
from gristmill.pipelines.ingestion.readers.formats import FORMATS, WRAPS, Format, describe_formats
from gristmill.pipelines.ingestion.readers.type_inference import RowStream
from gristmill.pipelines.ingestion.readers.wrapped import unwrapped_name


def find_format(raw: Path) -> Format:
    """Return the format of a file by its name, or of a folder by its content.

    Raises:
        InputError: the name has no known suffix, or is inside a damaged zip archive.
    """
    if raw.is_dir():
        folders = [kind for kind in FORMATS if kind.folder]
        return next((kind for kind in folders[:-1] if _module(kind).takes(raw)), folders[-1])
    wrapped = raw.suffix.lower() in WRAPS
    suffix = PurePath(unwrapped_name(raw)).suffix.lower()
    for kind in FORMATS:
        if suffix in kind.suffixes and (kind.wraps or not wrapped):
            return kind
    inner = suffix if suffix or not wrapped else f"no suffix before {raw.suffix}"
    raise InputError(
        f"{raw.name} has no known format",
        expected="\n".join(describe_formats()),
        found=f"a name that ends in {inner}" if inner.startswith(".") else inner or "no suffix",
        next="rename the file with the suffix of its format, or save it as CSV or Parquet",
    )


def read(raw: Path, data: Data | None = None, not_numbers: Collection[str] = ()) -> RowStream:
    """Read the columns and rows of a file or folder of any format.

    Args:
        raw: the file or folder.
        data: the experiment's section; None to detect everything.
        not_numbers: columns that are not numbers even if all their values look like numbers.
    """
    rows: RowStream = _module(find_format(raw)).read(raw, data, not_numbers)
    return rows


def _module(kind: Format) -> Any:
    return import_module(f"gristmill.pipelines.ingestion.readers.{kind.module}")
