"""Text tables in unusual forms are read right, or refused with the setting to declare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from gristmill.pipelines.base.errors import InputError
from gristmill.pipelines.config.sections import Csv, Data
from gristmill.pipelines.ingestion.readers import type_inference
from gristmill.pipelines.ingestion.readers.dialect import sniff_csv
from gristmill.pipelines.ingestion.table import ingest_file

Read = Callable[..., tuple[dict[str, list[Any]], str]]
PLAIN = ["a;b;y", *(f"{i};{i % 7};{'uv'[i % 2]}" for i in range(60))]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Ingest lines of text with declared settings; return the columns and the summary."""

    def read(lines: Sequence[str], written: str = "utf-8", **declared: Any) -> Any:
        raw = tmp_path / "a.csv"
        raw.write_bytes(("\n".join(lines) + "\n").encode(written))
        data = Data(path="data/a/a.csv", target="y", task="regression", csv=Csv(**declared))
        made = ingest_file(raw, tmp_path / "table.parquet", data, unlabelled=True)
        return pq.read_table(tmp_path / "table.parquet").to_pydict(), str(made)

    return read


def films(titles: dict[int, str], rows: int = 400) -> list[str]:
    lines = [f"{i}\t{titles.get(i, f'Title {i % 17}')}\t{i % 31}\thit" for i in range(rows)]
    return ["id\ttitle\tyears\ty", *lines]


@pytest.mark.parametrize(
    "titles",
    [
        {60: '"Giliap', 61: "Carmencita", 150: '"Rome'},
        {60: '"Giliap', 150: 'Rome"'},
        {60: '"Giliap', 61: '"Rome', 62: 'a "b" c', 150: '"'},
    ],
)
def test_lone_quotes_swallow_no_rows(read: Read, titles: dict[int, str]) -> None:
    rows, said = read(films(titles))
    assert rows["id"] == [*range(400)]
    assert [rows["title"][i] for i in titles] == [*titles.values()]
    assert "quotes are ordinary characters" in said


def test_lone_quotes_beyond_the_sample_are_refused_by_line(read: Read) -> None:
    lines = films({80_000: '"Giliap', 90_000: 'Rome"'}, 100_000)
    with pytest.raises(InputError, match=r"(?s)line 80002 to 90002.*--csv quote=none"):
        read(lines)
    assert len(read(lines, quote="none")[0]["id"]) == 100_000


def test_texts_of_several_lines_with_delimiters_stay_one_value(read: Read) -> None:
    texts = ["Dear all,\nthanks, and\nbye", "a, b\nc, d", "one\n\ntwo, three"]
    lines = [f'{i},"{texts[i % 3]}",{i % 2}' for i in range(90)]
    rows, _ = read(["id,text,y", *lines])
    assert rows["text"] == texts * 30


def test_a_pair_of_quotes_that_can_be_either_is_refused(read: Read) -> None:
    lines = ["text,y", "p,1", '"a, b', 'c",2', *["q,3"] * 9]
    with pytest.raises(InputError, match=r"(?s)lines 3 to 4.*--csv quote='\"'.*--csv quote=none"):
        read(lines)
    assert len(read(lines, quote='"')[0]["y"]) == 11
    assert len(read(lines, quote="none")[0]["y"]) == 12


@pytest.mark.parametrize("block", [64, 8 << 20])
def test_quotes_after_a_backslash_do_not_end_a_value(
    read: Read, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(type_inference, "BLOCK", block)
    texts = ['He said \\"no, thanks\\" 1', '5\\" pipe', "two\nlines", "C:\\\\x", "\\N"]
    lines = [f'{i},"{texts[i % 4]}",{i % 2}' for i in range(200)] + ["\\N,\\N,1"]
    rows, said = read(["id,text,y", *lines])
    assert rows["id"] == [*range(200), None]
    assert rows["text"][:4] == ['He said "no, thanks" 1', '5" pipe', "two\nlines", "C:\\x"]
    assert rows["text"][-1] is None
    assert "\\ escapes quotes" in said


def test_a_path_of_windows_in_quotes_has_no_escapes(read: Read) -> None:
    rows, _ = read(["path,y", *[f'"C:\\dir {i}\\",{i}' for i in range(30)]])
    assert rows["path"][3] == "C:\\dir 3\\"


ABOVE = {
    "sep= of Excel": ["sep=;"],
    "a title": ["Report of 2026-01-01", ""],
    "a comment": ["# made by lab"],
    "a comment with delimiters": ["# made; by; lab"],
    "comments and a title": ["## version 1", "#source: x;y", "Report"],
    "blank lines": ["", ""],
}


@pytest.mark.parametrize("above", ABOVE.values(), ids=list(ABOVE))
def test_lines_above_the_table_are_left_out(read: Read, above: list[str]) -> None:
    plain, _ = read(PLAIN)
    rows, said = read([*above, *PLAIN])
    assert rows == plain
    assert ("lines left out above the table" in said) == any(above)


def test_a_decimal_comma_does_not_make_the_header_a_title(read: Read) -> None:
    assert read(["a;y", "1,5;2", "2,5;3"])[0] == {"a": [1.5, 2.5], "y": [2, 3]}


def test_lines_above_the_table_with_delimiters_are_refused_with_their_number(read: Read) -> None:
    lines = ["Report;2026", "of;all", *PLAIN[:1], *[f"{row};1" for row in PLAIN[1:]]]
    lines[2] += ";z"
    with pytest.raises(InputError, match=r"(?s)begin in line 3.*--csv skip=2"):
        read(lines)
    assert len(read(lines, skip=2)[0]["z"]) == 60


def test_lines_of_almost_as_many_values_above_the_table_are_refused_too(read: Read) -> None:
    lines = ["Report;2026", "Unit;all", *PLAIN]
    with pytest.raises(InputError, match=r"(?s)begin in line 3.*--csv skip=2"):
        read(lines)


def test_declared_comments_are_left_out_everywhere(read: Read) -> None:
    lines = [*PLAIN[:5], '# a "quote', *PLAIN[5:], "# the end"]
    assert read(lines, comment="#")[0] == read(PLAIN)[0]


@pytest.mark.parametrize("end", [";", ";;"])
def test_columns_without_name_and_values_are_left_out(read: Read, end: str) -> None:
    plain, _ = read(PLAIN)
    rows, said = read([line + end for line in PLAIN])
    assert rows == plain
    assert f"empty columns without a name left out: {len(end)}" in said
    assert read([PLAIN[0], *[f"{line};" for line in PLAIN[1:]]])[0] == plain


def test_a_late_value_without_a_name_is_refused_by_line(read: Read) -> None:
    lines = [f"{line};" for line in PLAIN] + ["1;2;u;"] * 3000 + ["1;2;v;9"]
    with pytest.raises(InputError, match=r"line 3062\n.*no value below an empty name"):
        read(lines)


def test_row_numbers_without_a_name_are_named_as_in_pandas(read: Read, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": range(90), "y": ["p", "q", "r"] * 30}, index=[*range(1, 91)])
    rows, said = read(frame.to_csv().splitlines())
    assert rows["Unnamed: 0"] == [*range(1, 91)]
    assert "column 1 has no name: Unnamed: 0" in said
    written = ['"a","y"', *[f'"{i + 1}",{i},"{"pqr"[i % 3]}"' for i in range(90)]]
    assert read(written)[0] == rows  # write.table of R


def test_names_are_unique_and_of_one_line(read: Read) -> None:
    rows, said = read(['a,a,"size\n(cm)",a.1, y,b,', "1,2,3,4,5,6,7", "8,9,1,2,3,4,5"])
    assert [*rows] == ["a", "a.2", "size (cm)", "a.1", "y", "b", "Unnamed: 6"]
    assert "a occurs twice: a.2" in said
    assert "size (cm)" in said
    assert "column 7 has no name" in said


@pytest.mark.parametrize("total", ["Total;;", "Total;99;", "합계;;", "End of report;;"])
def test_a_last_row_of_totals_is_left_out(read: Read, total: str) -> None:
    plain, _ = read(PLAIN)
    rows, said = read([*PLAIN, total, ""])
    assert rows == plain
    assert "the last row left out" in said


def test_a_last_row_with_an_identifier_alone_is_kept(read: Read) -> None:
    rows, _ = read(["name;b;y", *[f"K{i};{i};u" for i in range(30)], "K30;;"])
    assert rows["name"][-1] == "K30"


def test_headers_that_are_repeated_below_are_left_out(read: Read) -> None:
    plain, _ = read(PLAIN)
    rows, said = read([*PLAIN[:9], PLAIN[0], *PLAIN[9:], PLAIN[0]])
    assert rows == plain
    assert "rows that repeat the header left out" in said


@pytest.mark.parametrize("rule", ["---;---;---", "=;==;=", "- ; -- ; -"])
def test_a_line_drawn_below_the_header_is_left_out(read: Read, rule: str) -> None:
    plain, _ = read(PLAIN)
    rows, said = read([PLAIN[0], rule, *PLAIN[1:]])
    assert rows == plain
    assert "ruled line below the header left out" in said


def test_a_first_row_of_missing_values_is_kept(read: Read) -> None:
    plain, _ = read(PLAIN)
    rows, _ = read([PLAIN[0], "-;-;-", *PLAIN[1:]])
    assert len(rows["a"]) == len(plain["a"]) + 1


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["<!DOCTYPE html>", "<p>a,b,c</p>", "<p>1,2,3</p>"], "a web page"),
        (["version https://git-lfs.github.com/spec/v1", "oid sha256:1", "size 3"], "Git LFS"),
    ],
)
def test_what_is_no_table_is_refused_by_what_it_is(
    read: Read, lines: list[str], found: str
) -> None:
    with pytest.raises(InputError, match=found):
        read(lines)


def adult(rows: int = 200) -> list[str]:
    rng = np.random.default_rng(0)
    return [
        f"{rng.integers(18, 80)}, {rng.choice(['Private', 'State-gov', '?'])}, "
        f"{rng.integers(1, 99)}, {rng.choice(['>50K', '<=50K'])}"
        for _ in range(rows)
    ]


NO_HEADER = {
    "adult": adult(),
    "iris": [f"{5.1 + i / 10:.1f},{3 + i % 4},1.{i % 9},Iris-setosa" for i in range(30)],
    "numbers": [f"{i * 37 % 50},{i * 3 % 7},{i / 7:.2f}" for i in range(30)],
    "unique names too": [
        f"{i % 2},Name {i},{i * 7 % 60},male,{i * 3.5 % 9:.1f}" for i in range(30)
    ],
}


@pytest.mark.parametrize("lines", NO_HEADER.values(), ids=list(NO_HEADER))
def test_a_first_row_of_values_is_not_a_header(read: Read, lines: list[str]) -> None:
    with pytest.raises(InputError, match=r"(?s)names in the first row.*--csv header=none"):
        read(lines)
    rows, said = read(lines, header="none")
    assert [*rows][:2] == ["column_1", "column_2"]
    assert len(rows["column_1"]) == len(lines)
    assert "column_1" in said
    assert len(read(lines, header="first")[0].popitem()[1]) == len(lines) - 1


@pytest.mark.parametrize(
    "names",
    ["0,1,2", "1990,1991,1992", "country,1990,2000", "country,2020,2010", "a,b,y", "x,5,y"],
)
def test_numbers_can_be_names(read: Read, names: str) -> None:
    rows, _ = read([names, *[f"{i},{i * 5 % 7},{i % 3}" for i in range(30)]])
    assert [*rows] == names.split(",")


def test_blanks_after_delimiters_are_left_out(read: Read) -> None:
    header = "age, work, hours, y"
    rows, said = read([header, *adult()])
    bare, _ = read([header.replace(", ", ","), *(line.replace(", ", ",") for line in adult())])
    assert rows == bare
    assert "blanks after delimiters left out" in said
    assert read(["a,b", 'x, "p, q"', 'y, "r"'], blanks="stripped")[0]["b"] == ["p, q", "r"]


def test_japanese_is_refused_with_its_encodings(read: Read) -> None:
    for words in (["東京", "カタカナ"], ["ひらがな", "あいう"], ["漢字", "日本語"]):
        lines = ["a,y", *[f"{word},{i}" for i, word in enumerate(words)]]
        with pytest.raises(InputError, match="cp932"):
            read(lines, "cp932")
        assert read(lines, "cp932", encoding="cp932")[0]["a"] == words


def test_a_cell_of_any_length_is_read(read: Read) -> None:
    long = "lorem ipsum,x" * 12_000
    lines = ["a;text;y", *[f"{i};{long if i in (0, 50) else 'short'};u" for i in range(100)]]
    assert read(lines)[0]["text"][50] == long
    with pytest.raises(InputError, match="1 ragged row\n  line 102"):
        read([*lines, "100;x"])


def test_a_header_longer_than_the_sample_is_read(read: Read, tmp_path: Path) -> None:
    names = [f"a rather long name of a column {i:02000d}" for i in range(600)]
    rows, _ = read([",".join(names), *[",".join(["1"] * 600)] * 3])
    assert [*rows] == names
    assert sniff_csv(tmp_path / "a.csv").delimiter == ","
