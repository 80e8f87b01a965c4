"""The one list of formats, from which errors, help and documentation are made."""

from __future__ import annotations

from dataclasses import dataclass

WRAPS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}
"""Suffixes of compressed files, and what they are."""


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        name: what it is called.
        suffixes: how the names of its files end; none for a folder.
        about: one line for help and documentation.
        module: in this package, with `read(raw, data, not_numbers) -> RowStream`.
        wraps: whether it may be compressed.
        folder: whether it is a folder; its module says with `takes(folder)` whether this one.
    """

    name: str
    suffixes: tuple[str, ...]
    about: str
    module: str
    wraps: bool = False
    folder: bool = False


_TEXTS = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data")
_PICTURES = (
    "a folder with a folder a class (below train, validation, test or not), or with a CSV of path "
    "and label"
)
_IDX = "a folder of train-images…, train-labels… and t10k-…, as MNIST has them (also .gz)"
_PARTS = "CSV, JSON lines or Parquet files of the same columns, read in the order of their names"
_ARRAYS = "x_train, y_train, x_test, y_test as Keras has them, or x and y; no pickles"
_MARKED = "text with a header: any delimiter, quote, encoding, decimal and thousands mark"
_LINES = "one flat JSON object a line"

FORMATS = (
    Format("CSV", _TEXTS, _MARKED, "delimited", wraps=True),
    Format("JSON lines", (".jsonl", ".ndjson", ".json"), _LINES, "json_lines", wraps=True),
    Format("Parquet", (".parquet", ".pq"), "flat columns; decimals become floats", "parquet_file"),
    Format("NumPy", (".npz",), _ARRAYS, "array_files"),
    Format("IDX", (), _IDX, "idx", folder=True),
    Format("pictures", (), _PICTURES, "picture_folders", folder=True),
    Format("a folder of parts", (), _PARTS, "multipart", folder=True),
)
"""A format is an entry here and a module; of the folders the first that takes it, or the last."""


def describe_formats() -> list[str]:
    """The formats in words, one line each."""
    suffixes = [f" ({' '.join(kind.suffixes)})" if kind.suffixes else "" for kind in FORMATS]
    lines = [
        f"{kind.name}{named}: {kind.about}" for kind, named in zip(FORMATS, suffixes, strict=True)
    ]
    texts = " and ".join(kind.name for kind in FORMATS if kind.wraps)
    return [*lines, f"{texts} may be compressed: {' '.join(WRAPS)} (one file in a zip)"]
