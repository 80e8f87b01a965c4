"""Output of a check: on the screen, as a page and as JSON."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gristmill.flows.check_page import Checked, markdown, show, table_rows, write_page
from gristmill.pipelines.evaluation.metrics.measures import Metric
from gristmill.pipelines.evaluation.performance_decline import MetricChange
from gristmill.pipelines.validation.drift.distributions import Shift

BINS = (("up to 1", 0.5, 0.1), ("above 1 up to 2", 0.3, 0.1), ("above 2", 0.2, 0.8))
CALM = Shift("calm", 0.01, 0.1, "above 2: 20.0% of the rows before, 21.0% now", BINS)
WILD = Shift("<b>이름</b>", 1.25, 0.1, "above 2: 20.0% of the rows before, 80.0% now", BINS)
NAN = float("nan")
LOST = MetricChange(
    Metric("accuracy", 0.9, 0.8, 0.95), Metric("accuracy", 0.5, 0.4, 0.6), 0.4, 0.01, 1e-6, 0.01
)
UNDEFINED = MetricChange(
    Metric("r2", 0.5, 0.4, 0.6), Metric("r2", NAN, None, None), NAN, 0.01, None, 0.01
)


def checked(**changes: Any) -> Checked:
    made = {
        "model": "churn", "version": "3", "file": "new.csv", "digest": "ab", "rows": 120,
        "before": 900, "inputs": (WILD, CALM), "predictions": (CALM,), "labelled": 100,
        "performance": (LOST, UNDEFINED), "breaks": ("age: 0 or more; found 1 row",), "notes": (),
    }  # fmt: skip
    return Checked(**(made | changes))


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_verdict_names_drifted_columns_but_not_schema_violations() -> None:
    assert checked().verdict == "drifted: 1 of 2 columns, performance (accuracy)"
    calm = checked(inputs=(CALM,), performance=(UNDEFINED,))
    assert calm.verdict == "no drift found"
    assert calm.breaks
    assert not calm.drifted


def test_the_page_escapes_names_from_the_data_and_fetches_nothing(tmp_path: Path) -> None:
    write_page(tmp_path / "check.html", checked())
    reader, page = Reader(), (tmp_path / "check.html").read_text(encoding="utf-8")
    assert "<b>이름" not in page
    reader.feed(page)
    assert "<b>이름</b>" in reader.text
    assert reader.addresses == []
    assert reader.tags.isdisjoint({"script", "link", "img", "iframe"})
    assert "not defined" in reader.text
    assert "age: 0 or more; found 1 row" in reader.text
    assert "≤ 2" in reader.text


@pytest.mark.parametrize("width", [60, 80])
def test_no_number_is_cut_off_on_a_narrow_screen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    show(checked(), "build/check/churn/new-ab/check.html")
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= width for line in lines)
    said = " ".join(lines)
    assert "…" not in said
    for word in ("1.2", "not defined", "drifted: 1 of 2 columns"):
        assert word in said


def test_json_has_null_for_an_undefined_number(capsys: pytest.CaptureFixture[str]) -> None:
    show(checked(), "", as_json=True)
    read = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert read["drifted"] is True
    assert read["found"] == {
        "inputs": ["<b>이름</b>"],
        "predictions": [],
        "performance": ["accuracy"],
    }
    assert read["performance"][1]["now"]["value"] is None
    assert read["inputs"][0]["bins"][0] == ["up to 1", 0.5, 0.1]


def test_the_table_lists_drifted_columns_first() -> None:
    assert [row["drifted"] for row in table_rows(checked())] == ["yes", "yes", "", "", ""]
    assert markdown(checked()).startswith("**drifted: 1 of 2 columns")
