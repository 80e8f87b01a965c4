"""Differences that `plan` shows between the data and those of the closest earlier trial."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from aftermath import edit, tiny_rows, write_tiny

from gristmill.pipelines.config.project import Project
from gristmill.pipelines.search.trial_diff import _table_words
from tests.conftest import Run

FRAME = pd.DataFrame({"a": range(100), "b": [i / 8 for i in range(100)], "c": ["x", "y"] * 50})
OTHER = FRAME.assign(a=FRAME["a"].where(FRAME["a"] != 3, 500))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (FRAME.iloc[::-1], "the same rows in another order"),
        (FRAME.iloc[:60], "40 rows removed"),
        (pd.concat([FRAME, FRAME.iloc[:40]]), "40 rows added"),
        (pd.concat([FRAME.iloc[3:], OTHER.iloc[3:8] + OTHER.iloc[3:8]]), "5 rows added, 3 removed"),
        (OTHER, "1 row with other values in a"),
        (OTHER.assign(b=FRAME["b"] + 1), "100 rows with other values in a, b"),
        (FRAME.assign(d=1), "column d is new"),
        (FRAME.drop(columns=["a", "b"]), "2 columns are gone"),
    ],
)
def test_a_change_of_a_table_is_shown_in_rows_and_columns(
    tmp_path: Path, frame: pd.DataFrame, words: str
) -> None:
    old, new = tmp_path / "old.parquet", tmp_path / "new.parquet"
    FRAME.to_parquet(old, index=False)
    frame.to_parquet(new, index=False)
    assert _table_words(old, new) == words


@pytest.mark.slow
def test_plan_shows_how_the_data_changed(tiny: Project, gristmill: Run) -> None:
    rows = [*tiny_rows(), *[f"{i},{i / 3},no" for i in range(60, 72)]]
    file = write_tiny(tiny, rows).rename(tiny.root / "new.csv")
    gristmill("data", "restore", "tiny", check=True)
    gristmill("data", "refresh", "tiny", "--data", str(file), check=True)
    for stage in ("ingest", "validate", "split", "scale"):
        gristmill_stage(tiny, stage)
    plan = gristmill("plan", "tiny", check=True).stdout
    assert plan.count("new: data: 12 rows added") == 2
    edit(tiny.experiment_file("tiny"), "split: {}", "split: {seed: 5}")
    gristmill_stage(tiny, "split")
    gristmill_stage(tiny, "scale")
    assert "new: data: 12 rows added" in gristmill("plan", "tiny", check=True).stdout


def gristmill_stage(project: Project, stage: str) -> None:
    from gristmill.pipelines.ingestion.versions.stages import run_stage

    run_stage(project, stage, "tiny", False)
