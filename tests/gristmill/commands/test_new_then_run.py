"""What `gristmill new` drafts, `gristmill run` trains."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from gristmill.commands.new import new
from gristmill.pipelines.base import read_json
from gristmill.pipelines.base.errors import GristmillError
from gristmill.pipelines.config.experiment import load_experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion import ingest
from gristmill.pipelines.preparation import scale, split_table
from gristmill.pipelines.validation import validate
from tests.conftest import Run

ROWS = 120
RNG = np.random.default_rng(0)
X = RNG.normal(size=ROWS).round(3)
NOISY = X + RNG.normal(size=ROWS).round(3)
CLASSES = np.where(NOISY > 0, "a", "b")


def some(word: str, every: int = 10) -> list[str]:
    """Return numbers with a word in every tenth row."""
    return [word if place % every == 0 else f"{x:.2f}" for place, x in enumerate(RNG.random(ROWS))]


def only(value: str, row: int) -> list[str]:
    return [value if place == row else "" for place in range(ROWS)]


ODD = {
    "inf": {"h": some("inf")},
    "minus inf": {"h": some("-inf")},
    "Infinity": {"h": some("Infinity")},
    "the levels inf and -inf": {"h": ["inf", "-inf"] * (ROWS // 2)},
    "1e308": {"h": some("1e308")},
    "all beyond": {"h": [f"{x:.3f}e307" for x in 1 + X]},
    "just within": {"h": some("9e99")},
    "beyond 2^53": {"author": RNG.integers(2**53, 2**62, ROWS)},
    "one value": {"h": only("1.5", 5)},
    "a constant with gaps": {"h": ["3" if place % 3 else "" for place in range(ROWS)]},
    "no value": {"h": [""] * ROWS},
}
"""Columns beside two usual ones."""

LEFT_OUT = ("all beyond", "one value", "no value")
ENDLESS = {**dict.fromkeys(("inf", "minus inf", "Infinity", "1e308"), 12), "all beyond": ROWS}
"""Numbers that are read as missing values."""

TARGETS: dict[str, tuple[Any, str]] = {
    "a class of one row": (np.where(np.arange(ROWS) == 7, "c", CLASSES), "c (1)"),
    "an infinite number": (some("inf"), "rows without a value of y left out: 12"),
    "a number of 1e308": (some("1e308"), "rows without a value of y left out: 12"),
    "large numbers": (NOISY * 1e25, "regression of y"),
    "ten rows of numbers": (NOISY[:10], "regression of y"),
    "ten rows of classes": (np.array(["a", "b"] * 5), "classification of y"),
    "thirty rows of numbers": (NOISY[:30], "regression of y"),
}
REFUSED: dict[str, tuple[Any, str]] = {
    "thirty classes of two rows": (np.repeat([f"k{i}" for i in range(30)], 2), "classes of 3 rows"),
    "numbers beyond float32": (NOISY * 1e40, "(?s)too large.*between -1e.30 and 1e.30"),
    "one class": (["a"] * ROWS, "constant"),
    "no value": ([""] * ROWS, "none"),
}


GOOD, BAD = ("great", "lovely", "fine", "best"), ("awful", "sad", "dull", "worst")
REVIEWS = {
    "long": [f"the film no {i}, with {(GOOD if x > 0 else BAD)[i % 4]} actors" for i, x in
             enumerate(np.resize(X, 200))],
    "short": [f"{(GOOD if x > 0 else BAD)[i % 4]} w{i}" for i, x in enumerate(np.resize(X, 200))],
}  # fmt: skip
"""200 texts, all different."""

SIDES = np.where(np.resize(X, 200) > 0, "pos", "neg")


def table(file: Path, columns: Mapping[str, Any], y: Any) -> Path:
    rows = len(y)
    usual = {"x": X[:rows], "z": RNG.normal(size=rows).round(3)}
    frame = pd.DataFrame({**usual, **{k: [*v][:rows] for k, v in columns.items()}, "y": [*y]})
    frame.to_csv(file, index=False)
    return file


def draft(
    project: Project, file: Path, capsys: pytest.CaptureFixture[str], target: str = "y"
) -> str:
    """Draft an experiment, and return what is on the screen."""
    capsys.readouterr()
    new("odd", str(file), target)
    return " ".join(capsys.readouterr().out.split())


def prepare(project: Project) -> None:
    for stage in (ingest, validate, split_table, scale):
        stage(project, "odd")


@pytest.mark.parametrize("kind", ODD)
def test_the_data_stages_accept_a_draft_with_an_odd_column(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    said = draft(project, table(tmp_path / "odd.csv", ODD[kind], CLASSES), capsys)
    prepare(project)
    (name,) = ODD[kind]
    excluded = load_experiment(project, "odd").document.features.exclude
    assert excluded == ((name,) if kind in LEFT_OUT else ())
    if kind in ENDLESS:
        count = ENDLESS[kind]
        assert f"read as missing values: {count} in h" in said
        stored = pq.read_table(project.build("odd") / "table.parquet")[name]
        assert stored.null_count == count


@pytest.mark.parametrize("kind", TARGETS)
def test_the_data_stages_accept_a_draft_with_an_odd_target(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    y, words = TARGETS[kind]
    assert words in draft(project, table(tmp_path / "odd.csv", {}, y), capsys)
    prepare(project)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_target_that_cannot_be_learnt_is_refused_before_the_draft(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    y, words = REFUSED[kind]
    with pytest.raises(GristmillError, match=words):
        draft(project, table(tmp_path / "odd.csv", {}, y), capsys)
    assert not project.experiment_file("odd").exists()


@pytest.mark.parametrize("kind", REVIEWS)
def test_a_table_of_a_text_and_a_label_learns_from_the_words(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    frame = pd.DataFrame({"id": range(7, 207), "review": REVIEWS[kind], "y": SIDES})
    frame.to_csv(tmp_path / "odd.csv", index=False)
    assert "from 1 feature" in draft(project, tmp_path / "odd.csv", capsys)
    features = load_experiment(project, "odd").document.features
    assert features.columns["review"].kind == "text"
    prepare(project)
    names = read_json(project.build("odd") / "training" / "statistics.json")["columns"][0]["words"]
    assert {*GOOD, *BAD} <= {*names}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["columns", "classes", "numbers", "texts"])
def test_a_draft_of_odd_data_becomes_a_model(
    project: Project, tmp_path: Path, gristmill: Run, kind: str
) -> None:
    columns = {
        f"{name}{place}": values
        for place, entry in enumerate(ODD.values())
        for name, values in entry.items()
    }
    classes = TARGETS["a class of one row"][0]
    y = {"classes": classes, "numbers": NOISY * 1e25}.get(kind, CLASSES)
    file = table(tmp_path / "odd.csv", columns if kind == "columns" else {}, y)
    if kind == "texts":
        pd.DataFrame({"y": SIDES, "text": REVIEWS["short"]}).to_csv(file, index=False)
    gristmill("new", "odd", "--data", str(file), "--target", "y", check=True)
    written = project.experiment_file("odd")
    text = re.sub(r"epochs: \d+", "epochs: 2", written.read_text("utf-8"))
    written.write_text(re.sub(r"patience: \d+", "patience: 2", text), "utf-8")
    assert "odd version 1 is" in gristmill("run", "odd", check=True, timeout=400).stdout
