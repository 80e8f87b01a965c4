"""The dialect of a text table is detected; declared settings take precedence."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.pipelines.config.sections import Csv, Data
from gristmill.pipelines.ingestion.readers import type_inference as settle
from gristmill.pipelines.ingestion.readers.dialect import sniff_csv
from gristmill.pipelines.ingestion.table import ingest_file

Rows = dict[str, list[Any]]
APRIL = datetime(2024, 4, 3)


def read(raw: Path, content: str, written: str = "utf-8", **declared: Any) -> Rows:
    raw.write_bytes(content.encode(written))
    data = Data(path="data/a/a.csv", target="b", task="regression", csv=Csv(**declared))
    ingest_file(raw, raw.with_name("table.parquet"), data)
    rows: Rows = pq.read_table(raw.with_name("table.parquet")).to_pydict()
    return rows


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_splits_all_rows_alike(tmp_path: Path, mark: str) -> None:
    others = [m for m in ",;\t|" if m != mark]
    lines = [f"name{mark}note{mark}size"]
    lines += [f"a{mark}x{m}y{m * i}{mark}{i}" for i, m in enumerate(others)]
    rows = read(tmp_path / "a.csv", "\n".join(lines))
    assert list(rows) == ["name", "note", "size"]
    assert rows["size"] == [0, 1, 2]


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("cp949", "cp949"),
        ("euc-kr", "cp949"),
    ],
)
def test_korean_text_is_read_in_every_common_encoding(
    tmp_path: Path, encoding: str, found: str
) -> None:
    raw = tmp_path / "a.csv"
    rows = read(raw, "이름,도시,값\n홍길동,서울,1\n김철수,부산,2\n", encoding)
    assert rows == {"이름": ["홍길동", "김철수"], "도시": ["서울", "부산"], "값": [1, 2]}
    assert sniff_csv(raw).encoding == found


@pytest.mark.parametrize(
    "words",
    [
        ["Müller", "Göß", "Jäger"],
        ["São Paulo", "Ação", "coração"],
        ["Élève", "cœur", "naïf"],
        ["it’s", "“quoted”", "5 €"],
        ["20 °C", "3 m²", "½"],
        ["Ångström", "blåbær", "smörgås"],
    ],
)
def test_western_text_is_read_as_windows_1252(tmp_path: Path, words: list[str]) -> None:
    lines = "".join(f"{word};{i}\n" for i, word in enumerate(words))
    assert read(tmp_path / "a.csv", "a;b\n" + lines, "cp1252")["a"] == words
    assert sniff_csv(tmp_path / "a.csv").encoding == "cp1252"


def test_the_encoding_is_found_if_the_first_non_ascii_letter_is_late(tmp_path: Path) -> None:
    content = "a,b\n" + "x,1\n" * 400_000 + "Müller,2\n"
    assert read(tmp_path / "a.csv", content, "latin-1")["a"][-1] == "Müller"
    assert sniff_csv(tmp_path / "a.csv").encoding == "cp1252"


NUMBERS = [
    ("1.5;2", ["1.5", "-2", "1e3"], [1.5, -2, 1000]),
    ("decimal comma", ["1,5", "-0,25", "3"], [1.5, -0.25, 3]),
    ("grouped by points", ["1.234,5", "12.345.678,25", "7"], [1234.5, 12345678.25, 7]),
    ("grouped by commas", ["1,234.5", "12,345,678.25", "7"], [1234.5, 12345678.25, 7]),
    ("grouped by blanks", ["1 234,5", "12\u00a0345\u202f678,25", "7"], [1234.5, 12345678.25, 7]),
    ("grouped by apostrophes", ["1'234.5", "7.25", "12'345"], [1234.5, 7.25, 12345]),
    ("whole and grouped", ["1,234,567", "890", "-1,000"], [1234567, 890, -1000]),
    ("points of thousands", ["1.234.567", "890", "12.000"], [1234567, 890, 12000]),
    ("a thousand or one and a bit", ["1,234", "5,678", "9,012"], ["1,234", "5,678", "9,012"]),
    ("wrong groups", ["1,23,456.5", "1", "2"], ["1,23,456.5", "1", "2"]),
    ("two decimal marks", ["1,5", "1.5", "2"], ["1,5", "1.5", "2"]),
    ("addresses", ["10.0.0.1", "192.168.1.1", "8.8.8.8"], ["10.0.0.1", "192.168.1.1", "8.8.8.8"]),
    ("codes", ["007", "010", "123"], ["007", "010", "123"]),
]


@pytest.mark.parametrize(
    ("values", "wanted"), [case[1:] for case in NUMBERS], ids=[c[0] for c in NUMBERS]
)
@pytest.mark.parametrize("delimiter", [";", ","])
def test_numbers_are_read_with_their_decimal_and_thousands_marks(
    tmp_path: Path, values: list[str], wanted: list[Any], delimiter: str
) -> None:
    lines = "".join(f'"{value}"{delimiter}x\n' for value in values)
    assert read(tmp_path / "a.csv", f"a{delimiter}b\n{lines}")["a"] == wanted


def test_marks_that_are_clear_in_one_column_apply_to_all(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.csv", "a;b\n1,5;1.234\n2,75;12.345\n")
    assert rows == {"a": [1.5, 2.75], "b": [1234, 12345]}


def test_a_late_value_with_another_decimal_mark_makes_the_column_text(tmp_path: Path) -> None:
    content = "a;b\n" + "1,5;1\n" * 300_000 + "1.5;1\n"
    assert read(tmp_path / "a.csv", content)["a"][-1] == "1.5"


@pytest.mark.parametrize("word", ["?", "-", "n/a", "\\N", "#N/A", ".", " ?"])
def test_a_placeholder_word_in_a_number_column_is_missing(tmp_path: Path, word: str) -> None:
    rows = read(tmp_path / "a.csv", f"a,b,c\n1,0,x\n{word},0,y\n3,0,{word}\n")
    assert rows["a"] == [1, None, 3]


def test_plus_and_minus_as_labels_are_not_missing_values(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", "a,b\n+,1\n-,2\n") == {"a": ["+", "-"], "b": [1, 2]}


@pytest.mark.parametrize(
    "words",
    [["yes", "no"], ["ja", "nein"], ["예", "아니오"], ["Y", "N"], ["t", "f"], ["on", "off"]],
)
def test_labels_are_read_back_unchanged(tmp_path: Path, words: list[str]) -> None:
    assert read(tmp_path / "a.csv", "a,b\n" + "".join(f"{w},1\n" for w in words))["a"] == words


def test_apostrophes_are_read_as_quotes(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.csv", "'a','b'\n'x, y','1'\n'it''s','2'\n")
    assert rows == {"a": ["x, y", "it's"], "b": [1, 2]}


def test_a_quote_inside_a_value_is_an_ordinary_character(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.csv", 'a,b\n5" pipe,1\n6" pipe,2\n7" pipe,"x\ny"\n')
    assert rows == {"a": ['5" pipe', '6" pipe', '7" pipe'], "b": ["1", "2", "x\ny"]}


def test_declared_settings_override_detected_ones(tmp_path: Path) -> None:
    raw = tmp_path / "a.csv"
    assert read(raw, "a;b\n1,234;x\n2,345;y\n", decimal=",")["a"] == [1.234, 2.345]
    assert read(raw, "a;b\n1,234;x\n2,345;y\n", thousands=",")["a"] == [1234, 2345]
    assert read(raw, "a,b;c\nx,2;3\n", delimiter=";")["a,b"] == ["x,2"]
    assert read(raw, "a,b\n?,1\nNA,2\n", missing=("?",))["a"] == [None, "NA"]
    assert read(raw, "a^b\n1^2\n", delimiter="^") == {"a": [1], "b": [2]}
    assert read(raw, "a,b\nлес,1\n", "cp1251", encoding="cp1251")["a"] == ["лес"]


@pytest.mark.parametrize(
    ("layouts", "values", "wanted"),
    [
        (("%d/%m/%Y",), ["03/04/2024", "05/06/2024"], [datetime(2024, 4, 3), datetime(2024, 6, 5)]),
        (("%m/%d/%Y",), ["03/04/2024", ""], [datetime(2024, 3, 4), None]),
        (("%Y%m%d",), ["20240131", "20240201"], [datetime(2024, 1, 31), datetime(2024, 2, 1)]),
        (("%Y%m%d",), ["20240131", "5"], [20240131, 5]),
        (("%d %b %Y", "%Y-%m"), ["3 Apr 2024", "2024-05"], [APRIL, datetime(2024, 5, 1)]),
        (("%d.%m.%y %H:%M %z",), ["01.02.24 09:00 +0900"], [datetime(2024, 2, 1)]),
        (("%d/%m/%Y",), ["03/04/2024", "soon"], ["03/04/2024", "soon"]),
    ],
)  # fmt: skip
def test_dates_are_read_in_the_declared_format(
    tmp_path: Path, layouts: tuple[str, ...], values: list[str], wanted: list[Any]
) -> None:
    lines = "".join(f"{value},x\n" for value in values)
    assert read(tmp_path / "a.csv", "a,b\n" + lines, dates=layouts)["a"] == wanted


def test_times_with_a_zone_become_utc_and_fractions_are_kept(tmp_path: Path) -> None:
    rows = read(
        tmp_path / "a.csv",
        "a,b\n2024-01-31T09:00:00.123456789+09:00,2024-01-31 00:00:00.5\n"
        "2024-01-31T00:00Z,2024-02-01\n",
    )
    assert rows["a"] == [datetime(2024, 1, 31, 0, 0, 0, 123456), datetime(2024, 1, 31)]
    assert rows["b"] == [datetime(2024, 1, 31, 0, 0, 0, 500000), datetime(2024, 2, 1)]


letters = st.text(st.sampled_from("ab ,;|\t\"'\n가ä1"), min_size=1, max_size=6)


@settings(max_examples=100)
@given(
    values=st.lists(st.tuples(letters, letters), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    written=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    block=st.sampled_from([8, 40, 8 << 20]),
)
def test_csv_written_by_python_is_read_back_in_blocks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[tuple[str, str]],
    delimiter: str,
    written: str,
    line_end: str,
    quoting: Any,
    block: int,
) -> None:
    made = io.StringIO(newline="")
    writer = csv.writer(made, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writerows([("one", "two"), *((f"x{a}", f"{b}x") for a, b in values)])
    raw = tmp_path_factory.mktemp("csv") / "a.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settle, "BLOCK", block)
        patch.setattr(settle, "SAMPLE", block)
        rows = read(raw, made.getvalue(), written, delimiter=delimiter, quote='"')
    expected = {"one": [f"x{a}" for a, _ in values], "two": [f"{b}x" for _, b in values]}
    assert rows == {name: [text.strip() for text in texts] for name, texts in expected.items()}


@settings(max_examples=100)
@given(
    values=st.lists(
        st.sampled_from(['5" pipe', '"', '"x\ny"', '"a ""b"", c"', "plain", 'a "b" c']), min_size=1
    ),
    block=st.sampled_from([8, 40]),
)
def test_quotes_inside_values_do_not_change_where_rows_end(
    tmp_path_factory: pytest.TempPathFactory, values: list[str], block: int
) -> None:
    values = [value for value in values if value != '"']
    raw = tmp_path_factory.mktemp("csv") / "a.csv"
    content = "a,b\n" + "".join(f"x{i},{value}\n" for i, value in enumerate(values)) + "x,y\n"
    whole = read(raw, content, delimiter=",", quote='"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settle, "BLOCK", block)
        patch.setattr(settle, "SAMPLE", block)
        assert read(raw, content, delimiter=",", quote='"') == whole
    assert len(whole["a"]) == len(values) + 1
