"""A run with slices, a threshold and metrics of one class, from data to package."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from aftermath import TINY, rows_of

from gristmill.pipelines.config.project import Project
from tests.conftest import gristmill_in

pytestmark = pytest.mark.slow

ASKED = (
    TINY.partition("search:")[0].replace("data/tiny/tiny", "data/asked/asked")
    + """\
evaluation:
  metrics: [accuracy, "recall:yes", roc_auc, kappa]
  slices: [c, {a: {bins: [50]}}, {search: true}]
  threshold: {cost: {false_positive: 1, false_negative: 10}}
gate: {require: {"recall:yes": {min: 0.5}, calibration: {max: 1}}}
"""
)


@pytest.fixture(scope="module")
def asked_once(tiny_once: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """Return a project in which such a run has finished, and the output of the run."""
    target = tmp_path_factory.mktemp("asked") / "project"
    shutil.copytree(tiny_once.root, target, symlinks=True)
    project = Project(target)
    project.experiment_file("asked").write_text(ASKED, encoding="utf-8")
    rng = np.random.default_rng(0)
    a = rng.integers(0, 100, 600)
    label = np.where(rng.random(600) < 1 / (1 + np.exp((50 - a) / 15)), "yes", "no")
    rows = zip(a, rng.random(600).round(3), label, rng.choice([*"xyz"], 600), strict=True)
    file = target / "data" / "asked" / "asked.csv"
    file.parent.mkdir()
    file.write_text("\n".join(["a,b,label,c", *(",".join(map(str, row)) for row in rows)]) + "\n")
    return project, gristmill_in(target)("run", "asked", check=True).stdout


@pytest.fixture
def asked(asked_once: tuple[Project, str], tmp_path: Path) -> tuple[Project, str]:
    """Return a moved copy of the project, and the output of the run."""
    project, said = asked_once
    target = tmp_path / "내 project"
    shutil.copytree(project.root, target, symlinks=True)
    return Project(target), said


def test_the_screen_and_the_report_show_slices_and_threshold(asked: tuple[Project, str]) -> None:
    project, said = asked
    report = (project.build("asked") / "report.md").read_text(encoding="utf-8")
    for text in (said, report):
        assert "A row is classified as positive from 0." in text
        assert "least cost: false positive 1, false negative 10" in text
        assert "c: x" in text
        assert "a: below 50" in text
        assert "recall:yes" in text
    assert "| slice" in report
    kept = json.loads((project.build("asked") / "slices.json").read_text())
    declared = [one["slice"] for one in kept if one["validation"] is None]
    assert sorted(declared) == ["below 50", "from 50", "x", "y", "z"]
    plots = {file.name for file in (project.build("asked") / "plots").iterdir()}
    assert {"calibration.png", "roc_pr.png", "confusion_matrix.png"} <= plots


def test_mlflow_stores_the_metrics_by_name_and_the_files(asked: tuple[Project, str]) -> None:
    project, _ = asked
    query = (
        "SELECT key, value, is_nan FROM latest_metrics WHERE run_uuid IN "
        "(SELECT run_uuid FROM latest_metrics WHERE key = 'test_kappa')"
    )
    found = {key: value for key, value, _ in rows_of(project.store / "mlflow.db", query)}
    assert {"test_recall:yes", "test_recall:yes_low", "linear_recall:yes", "threshold"} <= {*found}
    assert 0 < found["threshold"] < 0.5
    assert not any(nan for _, _, nan in rows_of(project.store / "mlflow.db", query))


def test_a_package_predicts_the_positive_class_by_the_threshold(
    asked: tuple[Project, str],
) -> None:
    project, _ = asked
    stored = pd.read_parquet(project.build("asked") / "predictions.parquet")
    threshold = stored.attrs["threshold"]["value"]
    new = pd.DataFrame({"a": range(100), "b": 0.5, "c": "x"})
    new.to_csv(project.root / "new.csv", index=False)
    gristmill_in(project.root)("score", "asked", "new.csv", "-o", "scored.csv", check=True)
    scored = pd.read_csv(project.root / "scored.csv")
    called = scored["prediction"] == "yes"
    np.testing.assert_array_equal(called, scored["probability_yes"] >= threshold)
    assert (called != (scored["probability_yes"] >= 0.5)).any()


def test_another_threshold_makes_a_new_decision_and_package_from_the_same_trial(
    asked: tuple[Project, str],
) -> None:
    project, _ = asked
    file = project.experiment_file("asked")
    file.write_text(ASKED.replace("false_negative: 10", "false_negative: 1"), encoding="utf-8")
    said = gristmill_in(project.root)("run", "asked", check=True).stdout
    assert "trials are known" in said
    assert "false negative 1." in said
    assert "version 2" in said


def test_classes_with_names_beyond_mlflows_limit_are_measured_required_and_shown_in_full(
    tiny_once: Project, tmp_path: Path
) -> None:
    target = tmp_path / "project"
    shutil.copytree(tiny_once.root, target, symlinks=True)
    same = "b" * 250
    names = [("a <" * 100).strip(), f"{same} one", f"{same} two"]
    recalls = json.dumps([f"recall:{name}" for name in names])
    required = json.dumps({f"recall:{name}": {"min": 0.1} for name in names})
    document = TINY.partition("search:")[0].replace("data/tiny/tiny", "data/long/long")
    document = document.replace(
        "label: {one_of: [no, yes]}", f"label: {{one_of: {json.dumps(names)}}}"
    )
    document += f"evaluation: {{metrics: {recalls}}}\ngate: {{require: {required}}}\n"
    Project(target).experiment_file("long").write_text(document, encoding="utf-8")
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 3, 600)
    table = pd.DataFrame({"a": 30 * kinds + rng.integers(0, 20, 600), "b": rng.random(600)})
    file = target / "data" / "long" / "long.csv"
    file.parent.mkdir()
    table.assign(label=[names[kind] for kind in kinds]).to_csv(file, index=False)
    gristmill = gristmill_in(target)
    said = gristmill("run", "long", check=True).stdout
    report = (Project(target).build("long") / "report.md").read_text(encoding="utf-8")
    shown = gristmill("models", "long", "--version", "1", check=True).stdout
    checked = gristmill("check", "long@1", str(file)).stdout
    for name in names:
        for text in (said, report, shown, checked):
            assert f"recall:{name}" in text.replace("\\", "")
