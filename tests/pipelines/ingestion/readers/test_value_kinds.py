"""Numbers, codes, units and words for missing values in text tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gristmill.pipelines.config.sections import Csv, Data
from gristmill.pipelines.ingestion.readers import type_inference
from gristmill.pipelines.ingestion.table import Ingested, ingest_file


def ingested(raw: Path, values: list[Any], **declared: Any) -> tuple[list[Any], Ingested]:
    """Return the column of a file with these values, and the note about it."""
    quoted = "".join(f'"{value}",{place}\n' for place, value in enumerate(values))
    raw.write_text("a,b\n" + quoted, encoding="utf-8")
    data = Data(path="data/a/a.csv", target="b", task="regression", csv=Csv(**declared))
    made = ingest_file(raw, raw.with_name("table.parquet"), data)
    return pq.read_table(raw.with_name("table.parquet"))["a"].to_pylist(), made


CODES = [
    ["1E5", "2E10", "12E3"],
    ["1e5", "204", "317"],
    ["INF", "NAN", "INF"],
    ["inf", "Infinity"],
    ["+49", "+1", "+82"],
    ["+5", "5"],
    ["(1)", "(2)", "(3)"],
    ["007", "010"],
    ["12A", "13A"],
    ["unknown", "none"],
    ["-", "*"],
]


@pytest.mark.parametrize("values", CODES, ids=" ".join)
def test_codes_that_look_like_numbers_stay_text(tmp_path: Path, values: list[str]) -> None:
    assert ingested(tmp_path / "a.csv", values * 3)[0] == values * 3


NUMBERS = [
    (["1E5", "2.5", "7"], [1e5, 2.5, 7]),
    (["1e-5", "1e5"], [1e-5, 1e5]),
    (["+1.5", "-2", "0"], [1.5, -2, 0]),
    (["+5", "-3"], [5, -3]),
    (["\u22121.5", "2.25"], [-1.5, 2.25]),
    (["\u22123", "4"], [-3, 4]),
    (["\u00a01.5", "2\u202f"], [1.5, 2]),
    (["12%", "7.5 %", "-3%"], [12, 7.5, -3]),
    (["$1,234.50", "-$5", "($7.25)", "$1,000,000.00"], [1234.5, -5, -7.25, 1e6]),
    (["€ 5", "€ 1.234,50"], [5, 1234.5]),
    (["5,50 €", "1.234 €"], [5.5, 1234]),
    (["12 kg", "3.5 kg"], [12, 3.5]),
    (["36 months", "60 months"], [36, 60]),
    (["5,000원", "12,500.5원"], [5000, 12500.5]),
    (["(3.2)", "5", "7"], [-3.2, 5, 7]),
    (["1.5", "inf", "-Infinity"], [1.5, None, None]),
]


@pytest.mark.parametrize(("values", "wanted"), NUMBERS, ids=lambda v: " ".join(map(str, v)))
def test_unambiguous_notations_of_numbers_are_read(
    tmp_path: Path, values: list[str], wanted: list[float]
) -> None:
    assert ingested(tmp_path / "a.csv", values)[0] == wanted


MIXED = [["12 kg", "3 lb"], ["12%", "0.5"], ["<5", "7", "8"], ["$5", "€5"], ["5 x", "7 x"]]


@pytest.mark.parametrize("values", MIXED, ids=" ".join)
def test_several_units_or_none_in_a_column_stay_text(tmp_path: Path, values: list[str]) -> None:
    assert ingested(tmp_path / "a.csv", values)[0] == values


def test_a_declared_unit_is_required_or_absent_in_all_values(tmp_path: Path) -> None:
    units = {"a": "widgets"}
    assert ingested(tmp_path / "a.csv", ["5 widgets", "7widgets"], units=units)[0] == [5, 7]
    assert ingested(tmp_path / "a.csv", ["5", "7"], units=units)[0] == [5, 7]
    assert ingested(tmp_path / "a.csv", ["5 kg", "7 kg"], units=units)[0] == ["5 kg", "7 kg"]


def test_a_column_declared_text_is_kept_as_written(tmp_path: Path) -> None:
    values = ["1.50", "NA", "+7", "nan"]
    assert ingested(tmp_path / "a.csv", values, text=("a",))[0] == values


@pytest.mark.parametrize("early", [["1E5"], ["INF"], ["-"], ["(1)"], ["+49"]], ids=" ".join)
def test_whether_values_are_codes_is_decided_over_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early: list[str]
) -> None:
    monkeypatch.setattr(type_inference, "SAMPLE", 200)
    monkeypatch.setattr(type_inference, "BLOCK", 200)
    assert ingested(tmp_path / "a.csv", early * 100)[0] == early * 100
    found, _ = ingested(tmp_path / "a.csv", [*early * 100, "-2.5"])
    assert found[-1] == -2.5


LEVELS = [
    ["None", "Mild", "Severe"],
    ["NA", "DE", "KR", ""],
    ["unknown", "yes", "no"],
    ["-", "+"],
    ["true", "false", "unknown"],
]


@pytest.mark.parametrize("values", LEVELS, ids=" ".join)
def test_words_beside_other_text_are_levels(tmp_path: Path, values: list[str]) -> None:
    found, made = ingested(tmp_path / "a.csv", values * 2)
    assert found == [value or None for value in values * 2]
    assert made.notes == ()


def test_a_mark_for_missing_numbers_is_one_in_text_too(tmp_path: Path) -> None:
    raw, table = tmp_path / "a.csv", tmp_path / "table.parquet"
    raw.write_text("mass,sex,home\n1.5,NA,NA\nNA,male,\n2,female,DE\n", encoding="utf-8")
    assert pq.read_table(table_of(raw, table))["sex"].to_pylist() == ["NA", "male", "female"]
    raw.write_text("mass,sex\n1.5,NA\nNA,male\n2,female\n", encoding="utf-8")
    assert pq.read_table(table_of(raw, table))["sex"].to_pylist() == [None, "male", "female"]


def table_of(raw: Path, table: Path) -> Path:
    ingest_file(raw, table)
    return table


def test_words_that_were_read_as_missing_are_reported(tmp_path: Path) -> None:
    values = [*map(str, range(100)), "#DIV/0!", "unknown", "unknown"]
    found, made = ingested(tmp_path / "a.csv", values)
    assert found[100:] == [None] * 3
    assert made.notes == ("read as missing values: unknown (2 in a), #DIV/0! (1 in a)",)
