"""The format of a file by its name, or that of a folder by what is in it, and its reader."""

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
    """The format of a file by its name, or that of a folder.

    Raises:
        InputError: no format has such a name, or a broken zip archive hides it.
    """
    if raw.is_dir():
        folders = [kind for kind in FORMATS if kind.folder]
        return next((kind for kind in folders[:-1] if _module(kind).takes(raw)), folders[-1])
    wrapped = raw.suffix.lower() in WRAPS
    suffix = PurePath(unwrapped_name(raw)).suffix.lower()
    for kind in FORMATS:
        if suffix in kind.suffixes and (kind.wraps or not wrapped):
            return kind
    inner = suffix if suffix or not wrapped else f"no known name inside of {raw.suffix}"
    raise InputError(
        f"{raw.name} has no known format",
        expected="\n".join(describe_formats()),
        found=f"a name that ends in {inner}" if inner.startswith(".") else inner or "no ending",
        next="name the file after what it is, or save it as CSV or Parquet",
    )


def read(raw: Path, data: Data | None = None, not_numbers: Collection[str] = ()) -> RowStream:
    """The columns and rows of a file or folder of any format."""
    rows: RowStream = _module(find_format(raw)).read(raw, data, not_numbers)
    return rows


def _module(kind: Format) -> Any:
    return import_module(f"gristmill.pipelines.ingestion.readers.{kind.module}")
