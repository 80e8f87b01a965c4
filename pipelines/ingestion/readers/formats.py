"""The one list of formats, from which errors, help and documentation are made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from gristmill.pipelines.base import InputError
from gristmill.pipelines.config import Data

if TYPE_CHECKING:
    from gristmill.pipelines.ingestion.readers.type_inference import Rows


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        name: what it is called.
        suffixes: how the names of its files end; none for a folder.
        about: one line for help and documentation.
        module: in this package, with `read(raw, data, not_numbers) -> Rows`.
        wraps: whether it may be compressed.
        folder: whether it is a folder; its module says with `takes(folder)` whether this one.
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
        "NumPy",
        (".npz",),
        "x_train, y_train, x_test, y_test as Keras has them, or x and y; no pickles",
        "array_files",
    ),
    Format(
        "IDX",
        (),
        "a folder of train-images…, train-labels… and t10k-…, as MNIST has them (also .gz)",
        "idx",
        folder=True,
    ),
    Format(
        "pictures",
        (),
        "a folder with a folder a class (below train, validation, test or not), or with a CSV of "
        "path and label",
        "picture_folders",
        folder=True,
    ),
    Format(
        "a folder of parts",
        (),
        "CSV, JSON lines or Parquet files of the same columns, read in the order of their names",
        "multipart",
        folder=True,
    ),
)
"""A format is an entry here and a module; of the folders the first that takes it, or the last."""


def find_format(raw: Path, data: Data | None = None) -> Format:
    """The format of a file by its name, or that of a folder.

    Raises:
        InputError: no format has such a name, or a broken zip archive hides it.
    """
    from gristmill.pipelines.ingestion.readers.wrapped import WRAPS, unwrapped_name

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
        expected="\n".join(described()),
        found=f"a name that ends in {inner}" if inner.startswith(".") else inner or "no ending",
        next="name the file after what it is, or save it as CSV or Parquet",
    )


def described() -> list[str]:
    """The formats in words, one line each."""
    from gristmill.pipelines.ingestion.readers.wrapped import WRAPS

    lines = [
        f"{kind.name} ({' '.join(kind.suffixes)}): {kind.about}"
        if kind.suffixes
        else f"{kind.name}: {kind.about}"
        for kind in FORMATS
    ]
    texts = " and ".join(kind.name for kind in FORMATS if kind.wraps)
    return [*lines, f"{texts} may be compressed: {' '.join(WRAPS)} (one file in a zip)"]


def read(raw: Path, data: Data | None = None, not_numbers: Collection[str] = ()) -> Rows:
    """The columns and rows of a file or folder of any format."""
    kind = find_format(raw, data)
    rows: Rows = _module(kind).read(raw, data, not_numbers)
    return rows


def _module(kind: Format) -> Any:
    return import_module(f"gristmill.pipelines.ingestion.readers.{kind.module}")
