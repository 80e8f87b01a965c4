"""A run of a scikit-learn estimator from raw data to a registered model."""

from __future__ import annotations

import re

import pytest
from aftermath import TINY, champions, edit, processes_of
from test_never_twice import trained

from gristmill.pipelines.config.project import Project
from tests.conftest import Run, git

pytestmark = pytest.mark.slow

LINEAR = (
    TINY.partition("parameters:")[0]
    + """\
parameters: {C: 1.0}
model: {sklearn: {LogisticRegression: {C: $C}}}
search: {grid: {C: [0.1, 1.0]}}
"""
)


def test_an_estimator_replaces_layers_in_every_command(tiny: Project, gristmill: Run) -> None:
    before, file = trained(tiny), tiny.experiment_file("tiny")
    file.write_text(LINEAR, encoding="utf-8")
    git(tiny.root, "commit", "-qam", "linear")
    plan = gristmill("plan", "tiny", check=True).stdout
    assert re.search(r"C=0\.1 +new: .*model: layers → LogisticRegression", plan), plan
    said = gristmill("run", "tiny").stdout
    assert trained(tiny) == before + 2
    assert "tiny version 2" in said
    assert "epoch" not in said
    report = (tiny.build("tiny") / "report.md").read_text()
    assert "| trial | val_accuracy | seconds |" in report
    assert "nothing to do" in gristmill("run", "tiny").stdout
    edit(file, "[0.1, 1.0]", "[0.1, 1.0, 10.0]")
    assert re.search(r"C=10\.0 +new: C: .* → 10", gristmill("plan", "tiny", check=True).stdout)
    gristmill("run", "tiny")
    assert trained(tiny) == before + 3
    gristmill("promote", "tiny", "--version", "2", "--reason", "to look at it", check=True)
    assert champions(tiny)["tiny"] == 2
    again = gristmill("reproduce", "tiny@champion", check=True).stdout
    assert "tiny version 2: bit for bit the same" in again
    gristmill("score", "tiny", "data/tiny/tiny.csv", "-o", "scored.csv", check=True)
    lines = (tiny.root / "scored.csv").read_text().splitlines()
    assert lines[0].endswith("prediction,probability_no,probability_yes")
    assert len(lines) == 61
    assert processes_of(tiny) == []


def test_folds_select_a_point_that_is_refitted_on_all_rows(tiny: Project, gristmill: Run) -> None:
    folded = LINEAR.replace("split: {}", "split: {folds: 3}")
    tiny.experiment_file("tiny").write_text(folded, encoding="utf-8")
    said = gristmill("run", "tiny").stdout
    assert "6 trained" in said
    assert "refit" in said
    assert "The winner was then trained on the rows of all folds." in said
    assert re.search(r"0\.\d+ ± 0?\.?\d+", said), said
