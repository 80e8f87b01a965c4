"""The page of a run: the decision first, one self-contained file, names escaped."""

from __future__ import annotations

import dataclasses
import html
import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import Reader
from PIL import Image
from rich.console import Console

from gristmill.flows.outcome import PAGE, Outcome, page_lines
from gristmill.flows.page.charts import ROOM
from gristmill.flows.page.facts import DataFacts, RunFacts
from gristmill.flows.page.run_page import page
from gristmill.flows.page.tables import metric_table, slice_table
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.evaluation.final_evaluation import FinalEvaluation
from gristmill.pipelines.evaluation.labels import Threshold
from gristmill.pipelines.evaluation.metrics.calibration import Calibration
from gristmill.pipelines.evaluation.metrics.measures import Metric
from gristmill.pipelines.evaluation.slices import Slice
from gristmill.pipelines.reporting.records import Table
from gristmill.pipelines.reporting.screen import Screen

EVIL = "<script>alert('\"&')</script>"
PLACE = Path("nowhere")

METRICS = (Metric("accuracy", 0.97, 0.95, 0.985), Metric("log_loss", 0.1, None, None))
CONTEST = {
    "champion": "6",
    "metric": "accuracy",
    "values": [0.97, 0.968],
    "p": 0.31,
    "worse": 0.69,
    "rows": 1234,
    "newer": 34,
    "method": "McNemar's mid-p",
    "shown_gain": 0.01,
    "power": 0.42,
    "enough": 4321,
}


def evaluation_of(*metrics: Metric) -> FinalEvaluation:
    baselines = {
        "linear": tuple(Metric(m.name, 0.9, None, None) for m in metrics),
        "dummy": tuple(Metric(m.name, 0.1, None, None) for m in metrics),
    }
    return FinalEvaluation(metrics, baselines, 1300, PLACE, PLACE, PLACE, True, seen=66)


def facts_of(decision: str = "hold", **more: Any) -> RunFacts:
    outcome = Outcome("shop", decision, ("accuracy 0.97 is ≥ 0.9", EVIL), "7", "6")
    kept: dict[str, Any] = {
        "outcome": outcome,
        "description": EVIL,
        "run_id": "0123456789abcdef",
        "began": "2026-01-31 12:00",
        "data": DataFacts("ab12.dir", EVIL, {"training": 5000, EVIL: 3}, f"2 rows in {EVIL}"),
        "evaluation": evaluation_of(*METRICS),
        "trials": Table(("trial", "val_accuracy", ""), [(f"{EVIL}=1", "0.98", "winner")]),
        "about_trials": ["The score flatters the winner."],
        "settings": {EVIL: 1, "training.seed": 4},
        "tags": {"mlflow.source.git.commit": "c0ffee", "version.keras": "3.15.1"},
        "file": f"description: {EVIL}\n",
        "overrides": {"name": EVIL},
        "warnings": [f"{EVIL}: missing"],
        "times": {"search": 2.0, "rest": 0.5},
    }
    return RunFacts(**(kept | more))


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert not [tag for tag in reader.open if tag not in ("rect", "path", "circle")]
    return reader


def words_of(text: str) -> str:
    """Return the text of a page without its tags."""
    body = text.partition("<body>")[2]
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", body)))


def test_text_from_the_data_is_escaped_and_nothing_is_fetched() -> None:
    evidence = {"contest": {**CONTEST, "champion": EVIL, "method": EVIL}, EVIL: {EVIL: [EVIL]}}
    evidence["requirements"] = [{"name": EVIL, "value": 1.0, "holds": True}]
    evidence["slices"] = [{"name": EVIL, "kind": EVIL, "rows": 3, "holds": False}]
    text = page(facts_of(evidence=evidence, champion="6", champion_metrics={"accuracy": 0.5}))
    reader = read(text)
    assert "script" not in reader.tags
    assert text.count("&lt;script&gt;") > 15
    addresses = [value or "" for name, value in reader.attributes if name in ("src", "href")]
    assert addresses
    assert all(value.startswith(("#", "data:")) for value in addresses)
    assert "http" not in text


@pytest.mark.parametrize("decision", ["promote", "hold", "reject"])
def test_the_decision_comes_first_then_the_reason_then_the_evidence(decision: str) -> None:
    reader = read(page(facts_of(decision)))
    assert reader.tags.count("h1") == 1
    text = words_of(page(facts_of(decision)))
    first = {"promote": "promoted", "hold": "held", "reject": "rejected"}[decision]
    asked = (first, "shop version 7", "accuracy 0.97 is ≥ 0.9", "ab12.dir", "val_accuracy")
    places = [
        text.index(f"{words}") for words in (*asked, "log_loss", "gristmill reproduce shop@7")
    ]
    assert places == sorted(places)


def test_the_evidence_of_the_gate_shows_values_p_rows_and_power() -> None:
    rule = {"name": "accuracy", "min": 0.9, "max": None, "of": "low", "value": 0.97, "low": 0.95}
    evidence = {"alpha": 0.05, "contest": CONTEST, "requirements": [{**rule, "holds": True}]}
    text = words_of(page(facts_of(evidence=evidence)))
    assert "0.97 against 0.968" in text
    assert "p = 0.310 that it is better (one-sided; shown below 0.05)" in text
    assert "1,234 predicted by both and seen in training by neither, 34 of them newer" in text
    assert "probability 0.42; 4,321 rows would show it with probability 0.8" in text
    assert "≥ 0.9 for the interval's low end" in text


def test_a_metric_is_shown_with_its_interval_the_baselines_and_the_champion() -> None:
    text = words_of(page(facts_of(champion="6", champion_metrics={"accuracy": 0.968})))
    assert "accuracy 0.97 0.95 – 0.985 0.968 0.9 0.1" in text
    assert "66 of 1,300 test rows left out" in text
    assert "Lower is better: log_loss" in text
    alone = words_of(page(facts_of()))
    assert "accuracy 0.97 0.95 – 0.985 0.9 0.1" in alone


def test_a_known_champion_is_shown_among_the_baselines_on_the_screen() -> None:
    evaluation = facts_of().evaluation
    first, *others = metric_table(evaluation, {"accuracy": 0.968}).rows
    assert first == ("accuracy", "0.97", "0.95 – 0.985", "0.968", "0.9", "0.1")
    assert [len(row) for row in others] == [6] * len(others)
    assert metric_table(evaluation).rows[0] == ("accuracy", "0.97", "0.95 – 0.985", "0.9", "0.1")


def test_an_undefined_metric_is_labelled_and_not_drawn() -> None:
    text = page(facts_of(evaluation=evaluation_of(Metric("roc_auc", math.nan, None, None))))
    assert "roc_auc not defined" in words_of(text)
    assert "<circle" not in text
    assert "nan" not in words_of(text)


def test_slices_calibration_and_the_threshold_are_shown() -> None:
    bad = Slice("city", EVIL, 40, Metric("accuracy", 0.75, 0.6, 0.86), 0.97, True, 0.7)
    evaluation = dataclasses.replace(
        evaluation_of(*METRICS),
        slices=(bad, dataclasses.replace(bad, value="Seoul", worse=False, validation=None)),
        calibration=Calibration(EVIL, Metric("ece", 0.041, 0.03, 0.05), ()),
        threshold=Threshold(0.25, 1, True, "least cost: false positive 1, false negative 3"),
        reads=3,
    )
    page_of = page(facts_of(evaluation=evaluation))
    assert "script" not in read(page_of).tags
    text = words_of(page_of)
    assert "slice rows accuracy interval all rows" in text
    assert f"city: {EVIL} 40 0.75 0.6 – 0.86 0.97 0.7 ✗ yes" in text
    assert "city: Seoul 40 0.75 0.6 – 0.86 0.97 no" in text
    assert f"of the class {EVIL} are off by 0.041" in text
    assert "classified as positive if its probability is at least 0.25 (least cost" in text
    assert "These test rows have been used to judge 3 candidates" in text


def test_slice_names_are_not_broken_on_eighty_columns() -> None:
    bad = Slice("a", "below 50", 40, Metric("recall:yes", 0.7512, 0.6123, 0.8634), 0.97, True, 0.7)
    table = slice_table(dataclasses.replace(evaluation_of(*METRICS), slices=(bad,)))
    file = io.StringIO()
    Screen(Console(file=file, width=80)).show(table.without("all rows"))
    said = file.getvalue()
    assert "a: below 50" in said
    assert "0.6123 – 0.8634" in said


def test_a_page_with_many_large_pictures_stays_below_two_megabytes(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    files = []
    for name in ("confusion_matrix", "gallery", "feature_maps", EVIL[:8].replace("/", "")):
        dots = random.integers(0, 255, (700, 1200, 3), dtype=np.uint8)
        files.append(tmp_path / f"{name}.png")
        Image.fromarray(dots).save(files[-1])
    files.append(tmp_path / "small.png")
    Image.new("RGB", (1200, 600)).save(files[-1])
    warnings = [f"column {place}: {'x' * 100}" for place in range(5000)]
    trials = Table(("trial", "val_loss"), [(f"units={n}", "0.1") for n in range(2000)])
    text = page(facts_of(pictures=files, warnings=warnings, trials=trials))
    assert len(text.encode()) < 2_000_000
    reader = read(text)
    told = [value for name, value in reader.attributes if name == "alt"]
    assert len(told) == len(files)
    assert all(told)
    assert any("True classes against predicted ones" in (value or "") for value in told)
    shown = re.findall(r"data:image/(\w+);base64,([^\"]+)", text)
    assert sum(len(content) for _, content in shown) <= ROOM
    assert [kind for kind, _ in shown] == ["webp"] * 4 + ["png"]
    assert "and 4,900 more" in text
    assert "1,900 more are in MLflow" in text


def test_the_page_shows_how_to_reproduce_the_model() -> None:
    tags = {**facts_of().tags, "gristmill.git.dirty": "true"}
    facts = facts_of(tags=tags, overrides={"units": 1, "name": "a b"})
    text = words_of(page(facts))
    for asked in (
        "git checkout c0ffee",
        "git apply changes.diff",
        "gristmill data use shop ab12",
        "gristmill run shop -P units=1 -P 'name=a b' --force",
        "keras 3.15.1",
        "seed 4",
    ):
        assert asked in text


def test_a_run_without_trials_pictures_or_times_has_no_empty_parts() -> None:
    text = words_of(
        page(facts_of(trials=Table((), ()), pictures=(), times={}, file="", warnings=()))
    )
    for title in ("Trials", "Package", "Pictures", "Time", "Experiment file", "Slices"):
        assert title not in text
    assert "No warnings" in text


def test_the_page_of_a_run_is_found_after_a_later_run_wrote_another(tmp_path: Path) -> None:
    project = Project(tmp_path)
    latest = project.build("shop") / PAGE
    kept = tmp_path / "mlruns" / "artifacts" / "shop" / "0123456789abcdef" / "artifacts" / PAGE
    assert page_lines(project, "shop", "0123456789abcdef") == []
    for file in (latest, kept):
        file.parent.mkdir(parents=True)
        file.write_text(page(facts_of()), encoding="utf-8")
    assert page_lines(project, "shop", "0123456789abcdef") == [f"report: build/shop/{PAGE}"]
    latest.write_text(page(facts_of(run_id="fedcba")), encoding="utf-8")
    (line,) = page_lines(project, "shop", "0123456789abcdef")
    assert (tmp_path / line.removeprefix("report: ")).samefile(kept)
