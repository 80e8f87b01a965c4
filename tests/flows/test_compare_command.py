"""`gristmill compare`: models by name, differences on the screen and in files, refusals."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from aftermath import rows_of

from gristmill.pipelines.config.project import Project
from tests.conftest import Run, gristmill_in, said_by


@pytest.fixture(scope="module")
def twice_once(tiny_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with two versions of `tiny`; the first is the champion."""
    target = tmp_path_factory.mktemp("twice") / "project"
    shutil.copytree(tiny_once.root, target, symlinks=True)
    gristmill_in(target)("run", "tiny", "-P", "units=1", check=True)
    return Project(target)


@pytest.fixture
def twice(twice_once: Project, tmp_path: Path) -> Project:
    """Return a moved copy of the project with two versions."""
    target = tmp_path / "내 project"
    shutil.copytree(twice_once.root, target, symlinks=True)
    return Project(target)


def runs_of(project: Project, experiment: str) -> list[str]:
    """Return the experiment's runs, oldest first."""
    query = (
        "SELECT r.run_uuid FROM runs r JOIN tags k USING (run_uuid) JOIN tags e USING (run_uuid) "
        "WHERE k.key = 'gristmill.kind' AND k.value = 'run' AND e.key = 'gristmill.experiment' "
        "AND e.value = ? ORDER BY r.start_time"
    )
    return [run for (run,) in rows_of(project.store / "mlflow.db", query, experiment)]


def test_two_versions_are_compared_in_eighty_columns_and_in_files(
    twice: Project, gristmill: Run
) -> None:
    said = gristmill("compare", "tiny", "tiny@2", check=True, env={"COLUMNS": "80"}).stdout
    assert all(len(line) <= 80 for line in said.splitlines() if "written to" not in line)
    assert "12 test rows" in said
    for words in ("accuracy", "log_loss ↓", "tiny@2: ", "same answer", "only tiny@1"):
        assert words in said
    folder = twice.root / "build" / "compare" / "tiny@1-tiny@2"
    assert {file.name for file in folder.iterdir()} == {"report.md", "comparison.png", "rows.csv"}
    rows = pd.read_csv(folder / "rows.csv")
    assert [*rows][:6] == [
        *("row", "truth", "tiny@1", "tiny@1 probability", "tiny@2", "tiny@2 probability")
    ]
    assert {"a", "b", "label"} < {*rows}
    assert (rows["truth"] == rows["label"]).all()
    assert (rows["tiny@1"] != rows["tiny@2"]).all()
    assert f"{len(rows)} rows on which they differ" in said or not len(rows)
    assert "| accuracy |" in (folder / "report.md").read_text()


def test_a_model_can_be_named_by_version_alias_or_prefix_of_a_run_id(
    twice: Project, gristmill: Run
) -> None:
    _, second = runs_of(twice, "tiny")
    said = {
        gristmill("compare", *names, check=True).stdout
        for names in (("tiny", "tiny@2"), ("tiny@champion", second[:12]))
    }
    assert len(said) == 1


def test_comparing_reads_stored_results_and_imports_nothing_that_could_score(
    twice: Project,
) -> None:
    code = (
        "import sys; from gristmill.commands.compare import compare; "
        "compare(['tiny@1', 'tiny@2']); "
        "print('brought', *{'tensorflow', 'keras', 'mlflow', 'prefect'} & {*sys.modules})"
    )
    assert said_by(code, twice.root).splitlines()[-1] == "brought"


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("tiny",), ("needs two models", "gristmill models")),
        (("tiny", "tiny@1"), ("tiny@1 is named twice",)),
        (("tiny", "tinny"), ("no model or evaluated run 'tinny'", "did you mean tiny?")),
        (("tiny", "diabetes"), ("'diabetes'", "next      gristmill run diabetes")),
        (("tiny", "tiny@7"), ("tiny has no version '7'", "one of champion, 2, 1")),
        (("tiny", "0000"), ("no model or evaluated run '0000'",)),
        (
            ("digits", "tiny"),
            ("tested on different rows", "12 rows, 0 of them the same", "split: {as: digits} in"),
        ),
    ],
)
def test_an_invalid_comparison_is_refused_with_the_command_to_type(
    twice: Project, gristmill: Run, names: tuple[str, ...], says: tuple[str, ...]
) -> None:
    done = gristmill("compare", *names)
    assert done.returncode == 1
    assert not (twice.root / "build" / "compare").exists()
    for words in says:
        assert words in done.stderr


def test_missing_predictions_are_reported_with_the_way_to_restore_them(
    twice: Project, gristmill: Run
) -> None:
    run = runs_of(twice, "tiny")[1]
    (twice.store / "artifacts" / "tiny" / run / "artifacts" / "predictions.parquet").unlink()
    done = gristmill("compare", "tiny", "tiny@2")
    assert done.returncode == 4
    assert "the predictions of tiny@2 are gone" in done.stderr
    assert "gristmill run tiny --force" in done.stderr


def test_runs_of_an_experiment_have_the_same_parameters_and_metrics_in_mlflow(
    twice: Project,
) -> None:
    first, second = runs_of(twice, "tiny")
    for table in ("params", "latest_metrics"):
        query = f"SELECT key, value FROM {table} WHERE run_uuid = ?"
        mine, other = (dict(rows_of(twice.store / "mlflow.db", query, r)) for r in (first, second))
        assert mine.keys() == other.keys()
        if table == "params":
            assert {"units", "learning_rate", "training.batch_size"} < mine.keys()
            assert [one["units"] for one in (mine, other)] == ["4", "1"]
    query = "SELECT name FROM runs WHERE run_uuid = ?"
    ((name,),) = rows_of(twice.store / "mlflow.db", query, second)
    assert name.endswith(" units=1")
    ((began_with,),) = rows_of(
        twice.store / "mlflow.db",
        "SELECT key FROM latest_metrics WHERE run_uuid = ? ORDER BY rowid LIMIT 1",
        first,
    )
    assert began_with == "best_val_accuracy"
