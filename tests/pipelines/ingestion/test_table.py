"""Ingest: any file becomes a table with fixed column types, or one readable error."""

from __future__ import annotations

import bz2
import gzip
import json
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.pipelines.base.errors import ConfigError, GristmillError, InputError
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.readers import type_inference as settle
from gristmill.pipelines.ingestion.table import Ingested, ingest, ingest_file

PLAIN = b"a,b\n1,x\n2,y\n"
LONG = b"a,b\n" + b"".join(b"%d,%d\n" % (i * 7919 % 1000, i * 31 % 97) for i in range(5000))
SMALL_BLOCK = 64
MOMENT = pa.timestamp("us")


def small_blocks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settle, "SAMPLE", SMALL_BLOCK)
    patch.setattr(settle, "BLOCK", SMALL_BLOCK)


def parquet(**columns: object) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


def ingested(folder: Path, content: bytes, name: str = "raw.csv") -> pa.Table:
    raw, made = folder / name, folder / "made" / "table.parquet"
    raw.write_bytes(content)
    result = ingest_file(raw, made)
    table = pq.read_table(made)
    assert result == Ingested(table.num_rows, table.num_columns)
    return table


BAD = {
    "nothing at all": ("a.csv", b"", "an empty file"),
    "only a header": ("a.csv", b"a,b\n", "rows below the header\n.*none"),
    "a header without an end": ("a.csv", b"a,b", "cannot be read"),
    "nothing inside the gzip": ("a.csv.gz", gzip.compress(b""), "at least two column names"),
    "half a gzip": ("a.csv.gz", gzip.compress(LONG)[:9000], "Truncated"),
    "a gzip without its end": ("a.csv.gz", gzip.compress(LONG)[:-4], "Truncated"),
    "half a bzip2": ("a.csv.bz2", bz2.compress(LONG)[:4000], "Truncated"),
    "half a zstd": ("a.csv.zst", pa.compress(LONG, codec="zstd", asbytes=True)[:3000], "Truncated"),
    "plain text named gzip": ("a.csv.gz", PLAIN, "incorrect header"),
    "a picture": ("a.csv", b"\x89PNG\r\n\x1a\n\0\0\0", "UTF-8, or a .parquet.*\n.*binary data"),
    "one short row": ("a.csv", b"a,b\n1,2\n3\n", r"1 ragged row\n  line 3\n.*2 values\n.*1"),
    "ragged rows": ("a.csv", b"a,b\n1\n2,3\n4,5,6\n", r"2 ragged rows\n  line 2\n.*line 4\n"),
    "the line ends of old": ("a.csv", b"a,b\r1,2\r", "cannot be read"),
    "no encoding that can be told": (
        "a.csv",
        "名前,値\n日本語,2\n".encode("shift-jis"),
        "text in UTF-8, UTF-16, CP949 or Latin-1\n.*line 1 is in none.*csv: {encoding",
    ),
    "another encoding, late": (
        "a.csv",
        b"a,b\n\xc3\xa4,1\n" + b"1,2\n" * 300_000 + b"\xff,2\n",
        "text in UTF-8\n.*line 300003 is not in UTF-8",
    ),
    "one column": ("a.csv", b"a\n1\n", "at least two column names"),
    "an unusual delimiter": (
        "a.csv",
        b"a~b\n1~2\n",
        "separated by comma, semi.*'a~b.*delimiter: …",
    ),
    "a parquet that is none": ("a.parquet", PLAIN, "Parquet"),
    "half a parquet": ("a.parquet", parquet(a=[1, 2], b=[1, 2])[:200], "Parquet"),
    "a parquet without rows": ("a.parquet", parquet(a=pa.nulls(0, pa.int64())), "rows"),
    "nested columns": (
        "a.parquet",
        parquet(a=[[1], [2]], b=[{"x": 1}] * 2),
        "a is left out: nested values; b is left out",
    ),
}


@pytest.mark.parametrize(("name", "content", "words"), BAD.values(), ids=list(BAD))
def test_a_bad_file_is_one_error_and_leaves_nothing_behind(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    raw, made = tmp_path / name, tmp_path / "made" / "table.parquet"
    raw.write_bytes(content)
    with pytest.raises(InputError, match=f"(?s){words}") as caught:
        ingest_file(raw, made)
    assert str(caught.value).startswith(name)
    assert not made.parent.exists() or not list(made.parent.iterdir())


def test_a_bad_file_keeps_the_last_good_table(tmp_path: Path) -> None:
    before = ingested(tmp_path, PLAIN)
    with pytest.raises(InputError, match="ragged"):
        ingested(tmp_path, b"a,b\n1\n")
    assert pq.read_table(tmp_path / "made" / "table.parquet") == before


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    raw = tmp_path / "raw.csv"
    with pytest.raises(
        ConfigError, match=r"(?s)data file is missing.*raw.csv\n  found +nothing\n.*data.path"
    ):
        ingest_file(raw, tmp_path / "table.parquet")


def test_ragged_rows_are_found_in_every_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch)
    with pytest.raises(InputError, match="2 ragged rows") as caught:
        ingested(tmp_path, b"a,b\n" + b"1,2\n" * 50 + b"3\n" + b"1,2\n" * 50 + b"4,5,6\n")
    assert [problem.where for problem in caught.value.problems] == ["line 52", "line 103"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv.gz", gzip.compress(LONG)),
        ("a.csv.bz2", bz2.compress(LONG)),
        ("a.csv.zst", pa.compress(LONG, codec="zstd", asbytes=True)),
        ("a.csv", b"\xef\xbb\xbf" + LONG),
        ("a.csv", LONG.replace(b"\n", b"\r\n")),
        ("a.csv", LONG.replace(b"a,b", b'"a","b"')),
    ],
)
def test_compression_line_ends_and_quotes_do_not_change_the_table(
    tmp_path: Path, name: str, content: bytes
) -> None:
    assert ingested(tmp_path, content, name) == ingested(tmp_path, LONG)


def test_quoted_values_can_contain_commas_and_line_breaks(tmp_path: Path) -> None:
    table = ingested(tmp_path, b'a,b\n"x\ny, z",2\n"q ""r""",3\n')
    assert table.to_pydict() == {"a": ["x\ny, z", 'q "r"'], "b": [2, 3]}


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_names_and_text_are_stripped_and_in_one_unicode_form(tmp_path: Path, name: str) -> None:
    names = [" \u110b\u1168 ", "b"]
    values = [("\uc608 ", "x"), ("\u00a0\u110b\u1168", " x"), ("\t", "y"), ("\uc608", "y ")]
    if name.endswith("csv"):
        lines = [f'"{a}",{b}' for a, b in [(names[0], names[1]), *values]]
        content = "\n".join(lines).encode()
    elif name.endswith("jsonl"):
        content = "\n".join(
            json.dumps(dict(zip(names, row, strict=True))) for row in values
        ).encode()
    else:
        content = parquet(**dict(zip(names, zip(*values, strict=True), strict=True)))
    made = ingested(tmp_path, content, name).to_pydict()
    assert made == {"\uc608": ["\uc608", "\uc608", None, "\uc608"], "b": ["x", "x", "y", "y"]}


def test_names_that_differ_in_their_unicode_form_only_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)each column name once.*'\uc608'"):
        ingested(tmp_path, "\uc608,\u110b\u1168\n1,2\n".encode())


def test_a_name_in_either_form_is_read_as_text(tmp_path: Path) -> None:
    raw, table = tmp_path / "a.csv", tmp_path / "t.parquet"
    raw.write_text("\u110b\u1168,b\n1,2\n")
    ingest_file(raw, table, not_numbers=["\uc608"])
    assert pq.read_table(table).to_pydict() == {"\uc608": ["1"], "b": [2]}


def test_null_words_are_missing_values(tmp_path: Path) -> None:
    table = ingested(tmp_path, b'a,b,c\n1,NA,\nNA,x,""\nNaN,null,None\n')
    assert table.to_pydict() == {"a": [1, None, None], "b": [None, "x", None], "c": [None] * 3}


TYPES = [
    (["1", "-2"], ["3"], pa.int64()),
    (["1"], ["2.5"], pa.float64()),
    (["1"], ["1e-3"], pa.float64()),
    (["1"], ["x"], pa.string()),
    (["1.5"], ["x"], pa.string()),
    (["true"], ["False"], pa.bool_()),
    (["0"], ["true"], pa.string()),
    (["5"], ["true"], pa.string()),
    (["1.5"], ["true"], pa.string()),
    (["true"], ["5"], pa.string()),
    (["", "NA"], ["2"], pa.int64()),
    (["7"], ["", "NA"], pa.int64()),
    (["9"], ["9223372036854775808"], pa.string()),
    (["9007199254740993"], ["2"], pa.int64()),
    (["9007199254740993"], ["2.5"], pa.string()),
    (["2.5"], ["-9007199254740993"], pa.string()),
    (["2.5"], ["9007199254740992"], pa.float64()),
    (["2.5"], ["1e300"], pa.float64()),
    (["7"], ["007"], pa.string()),
    (["0"], ["-07"], pa.string()),
    (["0.5"], ["00.5"], pa.string()),
    (["16"], ["0x1F"], pa.string()),
    (["5"], ["+5"], pa.string()),
    (["5"], [" 6"], pa.int64()),
    (["yes"], ["no"], pa.string()),
    (["TRUE"], ["fAlse"], pa.bool_()),
    (["2024-01-31"], ["2024-02-29 23:59:59.5"], MOMENT),
    (["2024-01-31"], ["2024-02-30"], pa.string()),
    (["2024-01-31"], ["5"], pa.string()),
    (["2024-01-31T10:00:00Z"], ["2024-01-31 19:00:00+09:00"], MOMENT),
    (["2024-01-31T10:00:00Z"], ["2024-01-31 19:00:00"], pa.string()),
    (["31.1.2024"], ["01.02.2024 7:30"], MOMENT),
    (["2024/1/31"], ["2024.02.01"], MOMENT),
    (["03/04/2024"], ["13/04/2024"], MOMENT),
    (["03/04/2024"], ["04/13/2024"], MOMENT),
    (["13/04/2024"], ["04/13/2024"], pa.string()),
    (["03/04/2024"], ["04/05/2024"], pa.string()),
    (["10:30"], ["11:00"], pa.string()),
]


@pytest.mark.parametrize(("early", "late", "kind"), TYPES)
def test_a_column_type_is_decided_over_the_whole_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    early: list[str],
    late: list[str],
    kind: pa.DataType,
) -> None:
    small_blocks(monkeypatch)
    values = early * SMALL_BLOCK + late * SMALL_BLOCK
    first = ingested(tmp_path, "".join(f"{v},0\n" for v in ["a", *values]).encode())
    assert first.column_names == ["a", "0"]
    assert first.schema.types == [kind, pa.int64()]
    assert first.num_rows == len(values)


cells = st.sampled_from(
    [
        *("1", "0", "2.5", "true", "x", "", "007", "9007199254740993", "2024-01-31"),
        *("03/04/2024", "13/04/2024", "04/13/2024", "31.01.2024"),
    ]
)


@settings(max_examples=40)
@given(first=st.lists(cells, min_size=1, max_size=4), second=st.lists(cells, max_size=4))
def test_the_block_size_does_not_change_the_table(
    tmp_path_factory: pytest.TempPathFactory, first: list[str], second: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("blocks")
    lines = [cell for cell in first + second for _ in range(SMALL_BLOCK)]
    content = "".join(f"{v},0\n" for v in ["a", *lines]).encode()
    whole = ingested(folder, content)
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch)
        assert ingested(folder, content) == whole


def test_parquet_columns_are_converted_to_the_same_few_types(tmp_path: Path) -> None:
    content = parquet(
        i=pa.array([1, None], pa.int8()),
        f=pa.array([1.5, None], pa.float32()),
        b=[True, None],
        t=["x", None],
        c=pa.array(["u", "v"]).dictionary_encode(),
        d=pa.array([0, 1], pa.date32()),
    )
    table = ingested(tmp_path, content, "raw.parquet")
    kinds = [pa.int64(), pa.float64(), pa.bool_(), pa.string(), pa.string(), MOMENT]
    assert table.schema.types == kinds
    assert table.to_pydict()["d"] == [datetime(1970, 1, 1), datetime(1970, 1, 2)]
    assert table.to_pydict()["i"] == [1, None]


def test_the_stage_writes_the_table_of_the_experiment(project: Project) -> None:
    assert str(ingest(project, "digits")) == "1,797 rows × 65 columns"
    table = pq.read_table(project.build("digits") / "table.parquet")
    assert set(table.schema.types) == {pa.int64()}
    lines = (project.root / "data/digits/digits.csv").read_text().splitlines()
    assert ",".join(str(table.column(i)[0]) for i in range(65)) == lines[1]


def test_every_error_of_ingest_is_a_gristmill_error(tmp_path: Path) -> None:
    raw = tmp_path / "raw.csv"
    for content in (b'"', b'"a,b\n1,2\n', b'a,b\n"1,2\n', b",\n", b"\n", b"a,b\n\n"):
        raw.write_bytes(content)
        with pytest.raises(GristmillError, match=r"^raw\.csv"):
            ingest_file(raw, tmp_path / "table.parquet")
