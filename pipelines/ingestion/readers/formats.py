"""The one list of formats, from which errors, help and documentation are made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from pipelines.config import Data, InputError

if TYPE_CHECKING:
    from pipelines.ingestion.readers.settle import Rows


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        name: what it is called.
        suffixes: how the names of its files end; none for a folder.
        about: one line for help and documentation.
        module: in this package, with `read(raw, data, as_text) -> Rows`.
        wraps: whether it may be compressed.
        folder: whether it is a folder.
    """

    name: str
    suffixes: tuple[str, ...]
    about: str
    module: str
    wraps: bool = False
    folder: bool = False


FORMATS = (
    Format(
        "CSV",
        (".csv", ".tsv", ".tab", ".txt", ".dat", ".data"),
        "text with a header: any delimiter, quote, encoding, decimal and thousands mark",
        "delimited",
        wraps=True,
    ),
    Format(
        "JSON lines",
        (".jsonl", ".ndjson", ".json"),
        "one flat JSON object a line",
        "json_lines",
        wraps=True,
    ),
    Format("Parquet", (".parquet", ".pq"), "flat columns; decimals become floats", "parquet_file"),
    Format(
        "a folder of parts",
        (),
        "CSV, JSON lines or Parquet files of the same columns, read in the order of their names",
        "parts",
        folder=True,
    ),
)
"""A format is an entry here and a module; for folders the first entry that takes it is used."""


def find_format(raw: Path, data: Data | None = None) -> Format:
    """The format of a file by its name, or that of a folder.

    Raises:
        InputError: no format has such a name, or a broken zip archive hides it.
    """
    from pipelines.ingestion.readers.wrapped import WRAPS, unwrapped_name

    if raw.is_dir():
        return next(kind for kind in FORMATS if kind.folder)
    wrapped = raw.suffix.lower() in WRAPS
    suffix = PurePath(unwrapped_name(raw)).suffix.lower()
    for kind in FORMATS:
        if suffix in kind.suffixes and (kind.wraps or not wrapped):
            return kind
    inner = suffix if suffix or not wrapped else f"no known name inside of {raw.suffix}"
    raise InputError(
        f"{raw.name} has no known format",
        expected="\n".join(described()),
        found=f"a name that ends in {inner}" if inner.startswith(".") else inner or "no ending",
        next="name the file after what it is, or save it as CSV or Parquet",
    )


def described() -> list[str]:
    """The formats in words, one line each."""
    from pipelines.ingestion.readers.wrapped import WRAPS

    lines = [
        f"{kind.name} ({' '.join(kind.suffixes)}): {kind.about}"
        if kind.suffixes
        else f"{kind.name}: {kind.about}"
        for kind in FORMATS
    ]
    texts = " and ".join(kind.name for kind in FORMATS if kind.wraps)
    return [*lines, f"{texts} may be compressed: {' '.join(WRAPS)} (one file in a zip)"]


def read(raw: Path, data: Data | None = None, as_text: Collection[str] = ()) -> Rows:
    """The columns and rows of a file or folder of any format."""
    kind = find_format(raw, data)
    module = import_module(f"pipelines.ingestion.readers.{kind.module}")
    rows: Rows = module.read(raw, data, as_text)
    return rows
