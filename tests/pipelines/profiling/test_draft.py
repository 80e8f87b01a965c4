"""The draft of an experiment file from a table."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tiny import make_project

from gristmill.pipelines.base.errors import GristmillError
from gristmill.pipelines.config.document import Document
from gristmill.pipelines.config.experiment import load_experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.sections import Csv
from gristmill.pipelines.preparation.columns import declared_kinds, feature_columns
from gristmill.pipelines.profiling.assumptions import assume as take_for
from gristmill.pipelines.profiling.draft import Draft, write_draft
from gristmill.pipelines.profiling.row_order import RowOrder
from gristmill.pipelines.profiling.table_profile import Task, profile_table
from gristmill.pipelines.profiling.target_choice import require_task
from gristmill.pipelines.profiling.yaml_text import WIDTH
from gristmill.pipelines.validation.schema.rules import unmatched
from gristmill.pipelines.validation.schema.scan import scan


def draft(
    project: Project, columns: dict[str, Any], target: str, task: Task | None = None, **more: Any
) -> tuple[str, Document]:
    """Return the text of a draft and the document loaded from it."""
    table = project.root / "table.parquet"
    pq.write_table(pa.table(columns), table)
    chosen = require_task(profile_table(table, only=[target]).column(target), task)
    profile = profile_table(table, target, chosen.task)
    about = {"name": "made", "path": "data/made/raw.csv", "source": None, "csv": Csv(), **more}
    text = write_draft(
        Draft(
            **about,
            target=target,
            task=chosen,
            profile=profile,
            assumptions=take_for(profile, target),
        )
    )
    project.experiment_file("made").write_text(text, encoding="utf-8")
    return text, load_experiment(project, "made").document


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def customers(rows: int = 400) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    gone = rng.random(rows) < 0.05
    return {
        "customer": [f"C{i}" for i in range(rows)],
        "customer_id": [f"K{i:05d}" for i in rng.permutation(rows)],
        "age": rng.integers(18, 90, rows),
        "fee": pa.array(np.where(rng.random(rows) < 0.1, np.nan, rng.normal(9, 2, rows))),
        "size": rng.choice(["S", "M", "L"], rows),
        "active": rng.choice(["yes", "no"], rows),
        "joined": [datetime(2024, 1, 1 + i % 28) for i in range(rows)],
        "note": [f"this is note {i} of many" for i in range(rows)],
        "country": ["KR"] * rows,
        "churned": np.where(gone, "gone", "here"),
    }


def test_the_draft_for_a_table_of_customers_has_sensible_settings(empty: Project) -> None:
    csv = Csv(delimiter=";", decimal=",", encoding="cp949")
    text, made = draft(empty, customers(), "churned", csv=csv)
    assert made.data.csv == csv
    assert made.data.task == "classification"
    assert made.split.key == "customer_id"
    assert set(made.features.exclude) == {"customer", "customer_id", "note", "country"}
    kinds = {name: feature.kind for name, feature in made.features.columns.items()}
    assert kinds == {"size": "ordered", "active": "boolean", "joined": "date"}
    assert made.features.columns["size"].levels == ("S", "M", "L")
    assert made.features.columns["joined"].parts == ("weekday",)  # all are of one month
    assert made.schema_.columns["churned"].one_of == ("gone", "here")
    assert made.schema_.columns["churned"].missing == "never"
    assert made.schema_.columns["age"].min == 0
    assert made.schema_.columns["fee"].missing == pytest.approx(0.15, abs=0.03)
    assert made.gate.require == {}
    assert made.evaluation.metrics is not None
    assert made.evaluation.metrics[0] == "log_loss"
    assert "# class_weight: balanced" in text
    assert "# split: {test: 0.2, validation: 0.2, time: {column: joined}}" in text
    assert "    # note: text" in text
    assert max(map(len, text.splitlines())) <= WIDTH


def test_the_settings_suggested_in_comments_can_be_used_unchanged(empty: Project) -> None:
    text, _ = draft(empty, customers(), "churned")
    text = text.replace("  # class_weight: balanced", "  class_weight: balanced")
    text = text.replace("    # note: text", "    note: text").replace("    - note", "    # - note")
    text = text.replace("# schedule:", "schedule:").replace("split: {test", "_: {test", 2)
    text = text.replace("# _:", "split:").replace("\n_:", "\n#")
    empty.experiment_file("made").write_text(text, encoding="utf-8")
    made = load_experiment(empty, "made").document
    assert made.training.class_weight == "balanced"
    assert made.features.columns["note"].kind == "text"
    assert made.split.time is not None
    assert made.schedule is not None


def test_a_regression_has_a_scaled_target(empty: Project) -> None:
    rng = np.random.default_rng(0)
    _, made = draft(empty, {"x": rng.normal(size=90), "price": rng.normal(size=90) * 1e5}, "price")
    assert made.data.task == "regression"
    assert made.features.scale_target
    assert made.test_metrics[0] == "rmse"


def test_hundreds_of_numbered_columns_share_one_entry(empty: Project) -> None:
    rng = np.random.default_rng(0)
    columns = {f"pixel{i}": rng.integers(0, 256, 60) * (i > 9) for i in range(300)}
    text, made = draft(empty, {**columns, "label": [0, 1] * 30}, "label")
    assert set(made.schema_.columns) == {"pixel*", "label"}
    assert len(made.features.exclude) == 10
    assert len(text.splitlines()) < 60


def test_a_repeated_identifier_becomes_the_group(empty: Project) -> None:
    rng = np.random.default_rng(0)
    columns = {"customer_id": rng.integers(0, 50, 300), "x": rng.normal(size=300)}
    text, made = draft(empty, {**columns, "y": rng.choice(["a", "b"], 300)}, "y")
    assert made.split.group == "customer_id"
    assert "groups of 6.0 rows" in text
    assert made.schema_.columns["customer_id"].max is None


def test_rows_that_depend_on_the_ones_before_are_split_by_time(empty: Project) -> None:
    columns = {"when": [datetime(2024, 1, 1 + i // 24, i % 24) for i in range(300)]}
    columns["y"] = np.sin(np.arange(300) / 20)
    text, made = draft(empty, columns, "y", order=RowOrder("when", 0.987))
    assert made.split.time is not None
    assert made.split.time.column == "when"
    assert "explains 99% of y" in text
    owned = {**columns, "patient": [f"p{i % 20}" for i in range(300)]}
    _, made = draft(empty, owned, "y", order=RowOrder("when", 0.987))
    assert (made.split.group, made.split.time) == ("patient", None)


def test_rare_classes_are_named(empty: Project) -> None:
    y = ["few"] * 7 + ["many"] * 200
    text, _ = draft(empty, {"x": np.arange(207) % 50, "y": y}, "y")
    assert "classes with fewer than 20 rows: few: 7" in text


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6).filter(
    lambda name: bool(name.strip())
)
WORDS = st.sampled_from(["$5", "no", "null", "1.0", "a: b", "#", "예", "{x}", "'\"", "- a", "low"])


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """Columns with any names and kinds, and the name of one of them."""
    names = draw(st.lists(NAMES, min_size=2, max_size=5, unique=True))
    rows = draw(st.integers(10, 40))
    seed = np.random.default_rng(draw(st.integers(0, 99)))
    kinds = {
        "text": lambda: pa.array(seed.choice(draw(st.lists(WORDS, min_size=1)), rows), pa.string()),
        "number": lambda: pa.array(seed.normal(0, 10.0 ** draw(st.integers(-9, 9)), rows)),
        "integer": lambda: pa.array(seed.integers(-(10 ** draw(st.integers(0, 15))), 10**3, rows)),
        "gaps": lambda: pa.array(np.where(seed.random(rows) < 0.5, np.nan, seed.random(rows))),
        "boolean": lambda: pa.array(seed.random(rows) < 0.5),
        "date": lambda: pa.array(seed.integers(0, 10**15, rows), pa.timestamp("us")),
        "empty": lambda: pa.array([None] * rows, pa.string()),
    }
    columns = {name: kinds[draw(st.sampled_from(sorted(kinds)))]() for name in names}
    return columns, draw(st.sampled_from(names))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables())
def test_the_draft_of_any_small_table_loads_and_its_data_pass_the_schema(
    empty: Project, made: tuple[dict[str, Any], str]
) -> None:
    columns, target = made
    try:
        _, document = draft(empty, columns, target)
    except GristmillError:  # an unusable target
        assume(False)
    assert document.data.target == target
    assert not unmatched(document.schema_.columns, list(columns))
    left = [name for name in columns if name != target]
    excluded = len(document.features.exclude)
    if excluded < len(left):
        used = feature_columns(columns, document.features, target)
        assert len(used) == len(left) - excluded
        declared_kinds(used, document.features)
    found = scan(empty.root / "table.parquet", document)
    assert not any([*found.by_entry.values(), *found.by_rule.values(), found.target])
