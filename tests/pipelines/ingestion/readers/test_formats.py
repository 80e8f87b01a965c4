"""The same rows in every format give the same table."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest

from gristmill.pipelines.config.sections.data import Data
from gristmill.pipelines.ingestion.as_written import read_as_written
from gristmill.pipelines.ingestion.readers import type_inference as settle
from gristmill.pipelines.ingestion.readers.formats import FORMATS, WRAPS, describe_formats
from gristmill.pipelines.ingestion.table import ROW_GROUP, ingest_file

ROWS = pa.table(
    {
        "id": pa.array(range(3000)),
        "size": pa.array([None if i % 7 == 0 else i / 8 for i in range(3000)]),
        "name": pa.array([f"한글 {i % 13}" for i in range(3000)]),
        "code": pa.array([f"{i % 50:04d}" for i in range(3000)]),
        "open": pa.array([i % 3 == 0 for i in range(3000)]),
        "day": pa.array([datetime(2024, 1, 1 + i % 30) for i in range(3000)], pa.timestamp("us")),
    }
)


def as_csv(rows: pa.Table = ROWS) -> bytes:
    made = io.BytesIO()
    arrow_csv.write_csv(rows, made)
    return made.getvalue()


def as_json(rows: pa.Table = ROWS) -> bytes:
    return "".join(json.dumps(row, default=str) + "\n" for row in rows.to_pylist()).encode()


def as_parquet(rows: pa.Table = ROWS) -> bytes:
    made = io.BytesIO()
    pq.write_table(rows, made, row_group_size=700)
    return made.getvalue()


def as_arrow(writer: Any) -> bytes:
    made = io.BytesIO()
    with writer(made, ROWS.schema) as file:
        file.write_table(ROWS, max_chunksize=100)
    return made.getvalue()


def as_zip(content: bytes, name: str = "inside.csv") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/", "")
        archive.writestr(f"folder/{name}", content)
        archive.writestr("__MACOSX/._inside.csv", "of no use")
    return made.getvalue()


FILES: Mapping[str, Callable[[], bytes]] = {
    "a.csv": as_csv,
    "a.CSV": as_csv,
    "a.txt": lambda: as_csv().replace(b",", b"\t"),
    "a.csv.gz": lambda: gzip.compress(as_csv()),
    "two.csv.gz": lambda: gzip.compress(as_csv()[:9999]) + gzip.compress(as_csv()[9999:]),
    "a.csv.bz2": lambda: bz2.compress(as_csv()),
    "a.csv.xz": lambda: lzma.compress(as_csv()),
    "a.csv.zst": lambda: pa.compress(as_csv(), "zstd", asbytes=True),
    "a.csv.zip": lambda: as_zip(as_csv()),
    "a.zip": lambda: as_zip(as_csv()),
    "b.zip": lambda: as_zip(as_json(), "inside.jsonl"),
    "a.jsonl": as_json,
    "a.jsonl.gz": lambda: gzip.compress(as_json()),
    "a.json": lambda: b"\xef\xbb\xbf" + as_json(),
    "b.json": lambda: b"[" + b",\n".join(as_json().splitlines()) + b"]\n",
    "c.json": lambda: json.dumps(list(map(json.loads, as_json().splitlines())), indent=2).encode(),
    "a.parquet": as_parquet,
    "a.feather": lambda: as_arrow(pa.ipc.new_file),
    "a.arrow": lambda: as_arrow(pa.ipc.new_stream),
}


def ingested(raw: Path) -> pa.Table:
    ingest_file(raw, raw.with_name("table.parquet"))
    return pq.read_table(raw.with_name("table.parquet"))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("block", [None, 5000])
def test_the_same_rows_in_every_format_give_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, block: int | None
) -> None:
    if block:
        monkeypatch.setattr(settle, "BLOCK", block)
        monkeypatch.setattr(settle, "SAMPLE", block)
    (tmp_path / name).write_bytes(FILES[name]())
    assert ingested(tmp_path / name) == ROWS


@pytest.mark.parametrize(
    ("suffix", "write"), [(".csv", as_csv), (".jsonl", as_json), (".parquet", as_parquet)]
)
def test_parts_are_read_in_name_order(
    tmp_path: Path, suffix: str, write: Callable[[pa.Table], bytes]
) -> None:
    raw = tmp_path / "parts"
    raw.mkdir()
    for place in (2, 0, 1):
        (raw / f"part-{place}{suffix}").write_bytes(write(ROWS.slice(place * 1000, 1000)))
    (raw / "_SUCCESS").touch()
    (raw / ".part-0.crc").write_bytes(b"\0")
    assert ingested(raw) == ROWS


def test_parts_can_have_their_columns_in_another_order(tmp_path: Path) -> None:
    for suffix, write in ((".csv", as_csv), (".parquet", as_parquet)):
        raw = tmp_path / suffix[1:]
        raw.mkdir()
        (raw / f"1{suffix}").write_bytes(write(ROWS.slice(0, 10)))
        (raw / f"2{suffix}").write_bytes(write(ROWS.slice(10).select(ROWS.column_names[::-1])))
        assert ingested(raw) == ROWS


def test_column_types_are_decided_over_all_parts(tmp_path: Path) -> None:
    raw = tmp_path / "parts"
    raw.mkdir()
    (raw / "1.csv").write_text("a,b\n1,1\n2,03/04/2024\n")
    (raw / "2.csv").write_text("a;b\n1,5;x\n")
    (raw / "2.csv").write_text("a,b\n2.5,x\n")
    assert ingested(raw).to_pydict() == {"a": [1.0, 2.0, 2.5], "b": ["1", "03/04/2024", "x"]}


def test_json_values_keep_their_types(tmp_path: Path) -> None:
    raw = tmp_path / "a.jsonl"
    raw.write_text(
        '{"n": 1, "text": "7", "mixed": 1, "late": null, "na": "NA", "big": 12345678901234567890}\n'
        '{"n": 2.5, "text": "8", "mixed": "x", "when": "2024-01-31T09:00:00+09:00", "big": 1}\n'
        '{"mixed": 1.50, "late": true, "na": "", "when": null}\n'
    )
    assert ingested(raw).to_pydict() == {
        "n": [1.0, 2.5, None],
        "text": ["7", "8", None],
        "mixed": ["1", "x", "1.50"],
        "late": [None, None, True],
        "na": ["NA", None, None],
        "big": ["12345678901234567890", "1", None],
        "when": [None, datetime(2024, 1, 31), None],
    }


def test_keys_that_appear_late_in_json_become_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "SAMPLE", 64)
    monkeypatch.setattr(settle, "BLOCK", 64)
    raw = tmp_path / "a.jsonl"
    raw.write_text('{"a": 1}\n' * 50 + '{"b": 2, "a": 0.5}\n' + '{"c": "x"}\n' * 50)
    table = ingested(raw)
    assert table.schema.types == [pa.float64(), pa.int64(), pa.string()]
    assert [table[name].null_count for name in "abc"] == [50, 100, 51]


def test_every_flat_parquet_type_is_converted_to_one_of_a_few(tmp_path: Path) -> None:
    moment = pa.timestamp("us")
    first, second = datetime(1970, 1, 1), datetime(1970, 1, 2)
    nanos = pa.array([1001, None], pa.timestamp("ns"))
    zoned = pa.array([0, None], pa.timestamp("ms", "Asia/Seoul"))
    columns = {
        "decimal": (pa.array([Decimal("1.25"), None]), [1.25, None], pa.float64()),
        "levels": (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"], pa.string()),
        "codes": (pa.array([5, 6]).dictionary_encode(), [5, 6], pa.int64()),
        "large": (pa.array(["x", "y"], pa.large_string()), ["x", "y"], pa.string()),
        "nothing": (pa.nulls(2), [None, None], pa.int64()),
        "short": (pa.array([1, 2], pa.uint8()), [1, 2], pa.int64()),
        "date": (pa.array([0, 1], pa.date32()), [first, second], moment),
        "nano": (nanos, [datetime(1970, 1, 1, 0, 0, 0, 1), None], moment),
        "zoned": (zoned, [first, None], moment),
    }
    raw = tmp_path / "a.parquet"
    pq.write_table(pa.table({name: column[0] for name, column in columns.items()}), raw)
    table = ingested(raw)
    assert table.to_pydict() == {name: column[1] for name, column in columns.items()}
    assert table.schema.types == [column[2] for column in columns.values()]


@pytest.mark.parametrize("form", ["lines", "array"])
@pytest.mark.parametrize("late", [False, True])
def test_nested_columns_of_json_are_left_out_by_name(tmp_path: Path, form: str, late: bool) -> None:
    nested = {"tags": ["p", 1], "place": {"lat": 1.5}}
    plain = {"tags": 1, "place": None, "x": 1.5, "pad": "z" * 9000}
    rows = [plain | (nested if not late or place == 239 else {}) for place in range(240)]
    raw = tmp_path / "a.json"
    lines = "\n".join(json.dumps(row) for row in rows)
    raw.write_text(lines if form == "lines" else json.dumps(rows, indent=1))
    made = ingest_file(raw, tmp_path / "table.parquet")
    assert made.notes == ("columns of nested values left out: tags, place",)
    table = pq.read_table(tmp_path / "table.parquet")
    assert table.column_names == ["x", "pad"]
    assert table["x"].to_pylist() == [1.5] * 240
    assert read_as_written(raw, None, []).column_names == ["x", "pad"]


def test_columns_of_other_types_do_not_spoil_a_file(tmp_path: Path) -> None:
    columns = {
        "x": [1, 2],
        "nested": [["p"], ["q"]],
        "bytes": [b"\xff", b"\x01"],
        "words": [b"a", b"b"],
        "large": pa.array([2**64 - 1, 1], pa.uint64()),
        "small": pa.array([2**63 - 1, 1], pa.uint64()),
    }
    raw = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), raw)
    made = ingest_file(raw, tmp_path / "table.parquet")
    assert made.notes == (
        "nested is left out: nested values",
        "bytes is left out: bytes that are not text",
        "large is text: whole numbers beyond 2^63",
    )
    assert pq.read_table(tmp_path / "table.parquet").to_pydict() == {
        "x": [1, 2],
        "words": ["a", "b"],
        "large": ["18446744073709551615", "1"],
        "small": [2**63 - 1, 1],
    }


def test_texts_that_are_all_dates_are_dates_in_parquet_as_in_csv(tmp_path: Path) -> None:
    columns = {
        "day": ["2024-01-31", None, " 2024-02-01"],
        "coded": pa.array(["2024-01-31", "", "2024-02-01 10:30:00"]).dictionary_encode(),
        "zoned": pa.array(["2024-01-31T12:00:00+09:00", None, None], pa.large_string()),
        "almost": ["2024-01-31", "soon", None],
        "kept": ["2024-01-31", "2024-02-01", None],
        "none": pa.array([None, None, ""], pa.string()),
    }
    raw, made = tmp_path / "a.parquet", tmp_path / "table.parquet"
    pq.write_table(pa.table(columns), raw)
    data = Data.model_validate(
        {"path": "data/a/b", "target": "y", "task": "regression", "csv": {"text": ("kept",)}}
    )
    assert ingest_file(raw, made, data).notes == tuple(
        f"{name} is read as dates, since all its texts are" for name in ("day", "coded", "zoned")
    )
    first = datetime(2024, 1, 31)
    assert pq.read_table(made).to_pydict() == {
        "day": [first, None, datetime(2024, 2, 1)],
        "coded": [first, None, datetime(2024, 2, 1, 10, 30)],
        "zoned": [datetime(2024, 1, 31, 3), None, None],
        "almost": ["2024-01-31", "soon", None],
        "kept": ["2024-01-31", "2024-02-01", None],
        "none": [None] * 3,
    }
    assert ingest_file(raw, made, not_numbers=["day"]).notes[0].startswith("coded")


def test_texts_that_are_dates_in_some_parts_are_text(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for place, day in enumerate(("2024-01-31", "unknown")):
        table = pa.table({"day": [day], "x": [1]})
        pq.write_table(table, tmp_path / "parts" / f"{place}.parquet")
    assert ingested(tmp_path / "parts")["day"].to_pylist() == ["2024-01-31", "unknown"]


def test_columns_declared_as_not_numbers_keep_their_text(tmp_path: Path) -> None:
    made = tmp_path / "table.parquet"
    (tmp_path / "a.csv").write_text("zip,n,day,open\n12345,1,2024-01-31,True\n")
    ingest_file(tmp_path / "a.csv", made, not_numbers=["zip", "day", "open"])
    (row,) = pq.read_table(made).to_pylist()
    assert row == {"zip": "12345", "n": 1, "day": datetime(2024, 1, 31), "open": True}
    pq.write_table(pa.table({"zip": [12345], "n": [1]}), tmp_path / "a.parquet")
    ingest_file(tmp_path / "a.parquet", made, not_numbers=["zip"])
    assert pq.read_table(made).to_pylist() == [{"zip": "12345", "n": 1}]


def test_row_groups_have_one_size_whatever_the_block_size(tmp_path: Path) -> None:
    raw = tmp_path / "a.csv"
    raw.write_bytes(b"a,b\n" + b"1,2\n" * (ROW_GROUP * 2 + 5))
    ingested(raw)
    meta = pq.ParquetFile(tmp_path / "table.parquet").metadata
    assert [meta.row_group(i).num_rows for i in range(3)] == [ROW_GROUP, ROW_GROUP, 5]


def test_the_description_lists_every_format_and_compression() -> None:
    words = "\n".join(describe_formats())
    for kind in FORMATS:
        assert kind.about in words
        assert all(suffix in words for suffix in kind.suffixes)
    assert all(suffix in words for suffix in WRAPS)
