"""Write a table of mixed columns as CSV and as Parquet, for benchmarks.

    python benchmarks/table.py FOLDER --rows 1000000

The table has 20 columns: integers, floats (some with gaps), categories, booleans, a date and a
timestamp, a code with leading zeros, free text and a binary target that depends on them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

BLOCK = 250_000
CITIES = np.array([f"city {i}" for i in range(300)])
COLOURS = np.array(["red", "green", "blue", "black"])
WORDS = np.array(["late", "as agreed", "call back", "damaged, sent again", 'said "no"'])


def block(start: int, rows: int) -> pa.Table:
    """Return rows `start` to `start + rows`, always the same for the same arguments."""
    rng = np.random.default_rng([7, start])
    numbers = rng.normal(size=(rows, 6))
    age = rng.integers(18, 95, rows)
    moments = np.datetime64("2024-01-01T00:00:00") + (start + np.arange(rows)) * np.timedelta64(60)
    columns = {
        "id": pa.array(start + np.arange(rows)),
        "age": pa.array(age),
        "visits": pa.array(rng.poisson(3, rows)),
        "clicks": pa.array(rng.integers(0, 100_000, rows), mask=rng.random(rows) < 0.05),
        "year": pa.array(rng.integers(1990, 2025, rows)),
        "city": pa.array(CITIES[rng.integers(0, len(CITIES), rows)]),
        "colour": pa.array(COLOURS[rng.integers(0, len(COLOURS), rows)]),
        "grade": pa.array(np.array(list("ABCDE"))[rng.integers(0, 5, rows)]),
        "member": pa.array(rng.random(rows) < 0.3),
        "abroad": pa.array(rng.random(rows) < 0.1),
        "born": pa.array(
            (np.datetime64("2006-01-01") - age * 365 - (start + np.arange(rows)) % 365).astype(
                "datetime64[D]"
            )
        ),
        "seen": pa.array(moments.astype("datetime64[s]")),
        "code": pa.array(np.char.zfill(rng.integers(0, 10**5, rows).astype(str), 5)),
        "note": pa.array(WORDS[rng.integers(0, len(WORDS), rows)]),
    }
    for place, name in enumerate(("income", "spent", "score", "rate", "ratio")):
        gaps = rng.random(rows) < (0.1 if place % 2 else 0.0)
        columns[name] = pa.array(np.round(numbers[:, place] * 100, 4), mask=gaps)
    columns["bought"] = pa.array((numbers[:, 0] + (age > 50) + numbers[:, 5] > 1).astype(int))
    return pa.table(columns)


def write(folder: Path, rows: int) -> None:
    """Write the same table as CSV and as Parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    schema = block(0, 1).schema
    with (
        pa.csv.CSVWriter(folder / "table.csv", schema) as text,
        pa.parquet.ParquetWriter(folder / "table.parquet", schema) as parquet,
    ):
        for start in range(0, rows, BLOCK):
            part = block(start, min(BLOCK, rows - start))
            text.write_table(part)
            parquet.write_table(part)


def main() -> None:
    """Write the table from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    typed = parser.parse_args()
    write(typed.folder, typed.rows)


if __name__ == "__main__":
    main()
