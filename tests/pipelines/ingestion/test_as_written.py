"""The rows of a file with their own names and values, in every format that has rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.pipelines.config.sections import Csv, Data
from gristmill.pipelines.ingestion.as_written import read_as_written

ROWS: dict[str, list[Any]] = {
    "id": ["1925036343869802844", None, "19250363438698028440"],
    " when": ["21.12.2023", "1.2.2024", None],
    "code": ["1E5", "NA", " x "],
    "\u110b\u1168": ["\u110b\u1168", "TRUE", "007"],
}
DECLARED = Data(
    path="data/a/a.csv",
    target="code",
    task="classification",
    csv=Csv(missing=("NA",), dates=("%d.%m.%Y",)),
)


@pytest.mark.parametrize("data", [None, DECLARED])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_text_table_is_read_as_text(tmp_path: Path, data: Data | None, delimiter: str) -> None:
    pd.DataFrame(ROWS).to_csv(tmp_path / "a.csv", index=False, sep=delimiter)
    made = read_as_written(tmp_path / "a.csv", data, [])
    assert made is not None
    assert {name.strip(): values for name, values in made.to_pydict().items()} == {
        name.strip(): values for name, values in ROWS.items()
    }


def test_parts_are_read_in_their_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.csv").write_text(f"x,y\n1E5,{name}\n")
    made = read_as_written(tmp_path, None, [])
    assert made is not None
    assert made.to_pydict() == {"x": ["1E5", "1E5"], "y": ["a", "b"]}


def test_json_keeps_its_numbers_and_the_text_of_dates(tmp_path: Path) -> None:
    rows = [
        {"id": 1925036343869802844, "x": 0.5, "when": "2024-01-01T00:00:00+09:00"},
        {"id": None, "x": 1.5, "when": "2024-01-02T00:00:00+09:00"},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made = read_as_written(tmp_path / "a.jsonl", None, ["when"])
    assert made is not None
    assert made.to_pylist() == rows


def test_a_parquet_file_keeps_its_types(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([2**63 - 1, None], pa.int64()),
            "when": pa.array([0, 1], pa.timestamp("ms", "Asia/Seoul")),
            "day": pa.array([0, 1], pa.date32()),
            "kind": pa.array(["a ", "b"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_as_written(tmp_path / "a.parquet", None, ["when"]) == table
