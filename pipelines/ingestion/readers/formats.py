"""The list of formats; errors, help and documentation are generated from it."""

from __future__ import annotations

from dataclasses import dataclass

WRAPS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}
"""Suffixes of compressed files, and the compression of each."""


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: its name in messages.
        suffixes: suffixes of its files' names; none for a folder.
        about: one line for help and documentation.
        module: module in this package with `read(raw, data, not_numbers) -> RowStream`.
        wraps: whether its files can be compressed.
        folder: whether it is a folder; `takes(folder)` in its module recognises one.
    """

    name: str
    suffixes: tuple[str, ...]
    about: str
    module: str
    wraps: bool = False
    folder: bool = False


_TEXTS = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data")
_PICTURES = (
    "a folder with one folder per class (also below train, validation, test), or with a CSV of "
    "path and label"
)
_IDX = "a folder of train-images…, train-labels… and t10k-…, as for MNIST (also .gz)"
_PARTS = "CSV, JSON lines or Parquet files with the same columns, read in the order of their names"
_ARRAYS = "x_train, y_train, x_test, y_test as in Keras, or x and y; no pickles"
_MARKED = "text with a header: any delimiter, quote, encoding, decimal and thousands mark"
_FLAT = "flat columns; decimals become floats, nested and binary columns are left out"
_LINES = "one JSON object per line, or an array of them; nested columns are left out"

FORMATS = (
    Format("CSV", _TEXTS, _MARKED, "delimited", wraps=True),
    Format("JSON lines", (".jsonl", ".ndjson", ".json"), _LINES, "json_lines", wraps=True),
    Format("Parquet", (".parquet", ".pq"), _FLAT, "parquet_file"),
    Format("Arrow", (".feather", ".arrow"), "as Parquet", "arrow_file"),
    Format("SQLite", (".db", ".sqlite", ".sqlite3"), "a database of one table", "converted_tables"),
    Format("Excel", (".xlsx",), "one sheet with a header; needs openpyxl", "converted_tables"),
    Format("NumPy", (".npz",), _ARRAYS, "array_files"),
    Format("IDX", (), _IDX, "idx", folder=True),
    Format("pictures", (), _PICTURES, "picture_folders", folder=True),
    Format("a folder of parts", (), _PARTS, "multipart", folder=True),
)
"""Each format has an entry here and a module. A folder has the first format whose module accepts
it, or the last one."""


def describe_formats() -> list[str]:
    """Return one line of text per format, and one about compression."""
    suffixes = [f" ({' '.join(kind.suffixes)})" if kind.suffixes else "" for kind in FORMATS]
    lines = [
        f"{kind.name}{named}: {kind.about}" for kind, named in zip(FORMATS, suffixes, strict=True)
    ]
    texts = " and ".join(kind.name for kind in FORMATS if kind.wraps)
    return [*lines, f"{texts} can be compressed: {' '.join(WRAPS)} (one file in a zip)"]
