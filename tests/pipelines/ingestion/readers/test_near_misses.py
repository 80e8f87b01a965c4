"""Text columns that are almost numbers or dates are named, with the setting that reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from gristmill.pipelines.config.sections import Csv, Data
from gristmill.pipelines.ingestion.table import Ingested, ingest_file


def ingested(raw: Path, name: str, values: list[str], **declared: Any) -> Ingested:
    quoted = "".join(f'"{value}",{place / 2}\n' for place, value in enumerate(values))
    raw.write_text(f"{name},b\n" + quoted, encoding="utf-8")
    data = Data(path="data/a/a.csv", target="b", task="regression", csv=Csv(**declared))
    return ingest_file(raw, raw.with_name("table.parquet"), data)


NUMBERS = [f"{number / 4}" for number in range(99)]
NAMED = [
    ([*NUMBERS, "n.d."], "99% of its values are numbers, but not n.d."),
    ([*NUMBERS, "<5", "tbd"], "98% of its values are numbers, but not <5, tbd"),
    ([f"{number} widgets" for number in NUMBERS], "all its values are numbers in widgets"),
    ([*(f"{n}%" for n in NUMBERS), "tbd"], "99% of its values are numbers in %, but not tbd"),
    (["12/21/2023 08:00 AM", "01/02/2024 11:30 PM"], "look like dates"),
    (["21 Dec 2023", "2 Jan 2024"], "look like dates"),
    (["Thu, 21 Dec 2023 08:00:00 +0100", "Tue, 02 Jan 2024 23:30:00 -0000"], "look like dates"),
    (["2024-01-31T10:00:00Z", "2024-01-31T19:00:00"], "look like dates"),
    (["03/04/2024", "05/06/2024"], "look like dates"),
    (["20240131", "20240201", "20240202", "20240203", "20240204"], "is a date with"),
]


@pytest.mark.parametrize(("values", "words"), NAMED, ids=lambda v: str(v[-1]))
def test_a_near_miss_is_named_and_the_setting_that_is_shown_reads_it(
    tmp_path: Path, values: list[str], words: str
) -> None:
    raw = tmp_path / "a.csv"
    (note,) = ingested(raw, "a", values).notes
    assert note.startswith("a ")
    assert words in note
    shown = yaml.safe_load("{" + note.partition("csv: {")[2].rpartition("}")[0] + "}")
    ingested(raw, "a", values, **{k: v if k == "units" else tuple(v) for k, v in shown.items()})
    kind = pq.read_schema(tmp_path / "table.parquet").field("a").type
    assert str(kind) in ("double", "timestamp[us]")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([*NUMBERS[:70], *["<5"] * 29], "70.7% of its values are numbers, but not <5"),
        ([*NUMBERS[1:50], *(f"{n}-" for n in NUMBERS[1:50])], "are numbers, but not 0.25-"),
        ([f"{n} {('kg', 'g')[i % 2]}" for i, n in enumerate(NUMBERS)], "numbers in kg, g"),
        (["1'000.5", "2'000.5", "3'000"], "have another form"),
    ],
    ids=lambda v: str(v[-1]),
)
def test_bounds_several_units_and_other_marks_are_named(
    tmp_path: Path, values: list[str], words: str
) -> None:
    raw = tmp_path / "a.csv"
    raw.write_text("a,b\n" + "".join(f'"{v}","{i},{i:03}"\n' for i, v in enumerate(values, 200)))
    data = Data(path="data/a/a.csv", target="b", task="regression")
    notes = ingest_file(raw, raw.with_name("table.parquet"), data).notes
    assert words in "".join(notes)


QUIET = [
    ["Rome", "Oslo"],
    ["5:00", "6:00"],
    ["007", "010"],
    [*NUMBERS[:3], "x"],
    ["a 1", "b 2"],
    ["2023Q1", "2024Q1"],
]


@pytest.mark.parametrize("values", QUIET, ids=" ".join)
def test_text_that_is_neither_is_not_named(tmp_path: Path, values: list[str]) -> None:
    assert ingested(tmp_path / "a.csv", "a", values).notes == ()


def test_seconds_since_1970_are_named_if_the_column_is_called_a_date(tmp_path: Path) -> None:
    values = ["1672657200", "1672682400", "1704067200"]
    assert "seconds since 1970" in ingested(tmp_path / "a.csv", "date", values).notes[0]
    assert ingested(tmp_path / "a.csv", "amount", values).notes == ()


def test_a_column_declared_text_is_not_named(tmp_path: Path) -> None:
    assert ingested(tmp_path / "a.csv", "a", [*NUMBERS, "n.d."], text=("a",)).notes == ()
