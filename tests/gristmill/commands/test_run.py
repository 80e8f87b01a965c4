from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from aftermath import (
    champions,
    flow_states,
    left_aside,
    mlflow_runs,
    processes_of,
    read_tree,
    rows_of,
)

from gristmill.flows.scoring import score
from gristmill.pipelines.base.errors import InputError
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.tracking import tags as names
from tests.conftest import Run, git, gristmill_in

TRIALS = 4
STEPS = {
    *("snapshot", "ingest", "validate", "drift", "split", "scale", "search"),
    *("evaluate", "pictures", "package", "gate", "register"),
}


def mlflow(project: Project, query: str, *values: Any) -> list[tuple[Any, ...]]:
    return rows_of(project.store / "mlflow.db", query, *values)


def runs(project: Project) -> dict[str, dict[str, str]]:
    """Return the tags of the MLflow runs, by id."""
    made: dict[str, dict[str, str]] = {}
    for run, key, value in mlflow(project, "SELECT run_uuid, key, value FROM tags"):
        made.setdefault(run, {})[key] = value
    return made


def parent(project: Project) -> str:
    (run,) = (run for run, tags in runs(project).items() if tags["gristmill.kind"] == "run")
    return run


def artifacts(project: Project, run: str) -> set[str]:
    ((place,),) = mlflow(project, "SELECT artifact_uri FROM runs WHERE run_uuid = ?", run)
    folder = project.store / "artifacts" / "digits" / run / "artifacts"
    assert str(place).endswith(f"/mlruns/artifacts/digits/{run}/artifacts")
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def prefect(project: Project, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(project.prefect_home / "prefect.db")) as database:
        return database.execute(query).fetchall()


@pytest.fixture(scope="module")
def table(run_once: Project) -> pd.DataFrame:
    return pd.read_csv(run_once.root / "data" / "digits" / "digits.csv").head(50)


def test_a_run_reproduces_the_pins_in_git_and_leaves_nothing_unfinished(
    finished: Project,
) -> None:
    assert git(finished.root, "status", "--porcelain") == ""
    assert champions(finished) == {"digits": 1}
    assert left_aside(finished) == []
    assert processes_of(finished) == []


def test_the_parent_run_records_its_origin(finished: Project) -> None:
    assert mlflow(finished, "SELECT DISTINCT status FROM runs") == [("FINISHED",)]
    run = parent(finished)
    tags = runs(finished)[run]
    assert tags["mlflow.source.git.commit"] == git(finished.root, "rev-parse", "HEAD").strip()
    assert tags["gristmill.git.dirty"] in ("true", "false")
    lock = (finished.root / "dvc.lock").read_text()
    for path in ("data/digits", "build/digits/training", "build/digits/test"):
        assert tags[f"dvc.{path}"] in lock
    assert (tags[names.DECISION], tags[names.VERSION]) == ("promote", "1")
    kept = artifacts(finished, run)
    assert {
        "plots/learning_curves.png",
        "plots/confusion_matrix.png",
        "report.md",
        "model_card.md",
        "report.html",
        "predictions.parquet",
        "lineage/digits.yaml",
        "lineage/dvc.lock",
        "lineage/digits.split.json",
        "validation/validation.json",
        "validation/result.json",
    } <= kept


def test_every_run_records_its_data_by_role_and_digest(finished: Project) -> None:
    query = (
        "SELECT i.destination_id, t.value, d.digest FROM inputs i "
        "JOIN datasets d ON d.dataset_uuid = i.source_id "
        "JOIN input_tags t ON t.input_uuid = i.input_uuid WHERE t.name = 'mlflow.data.context'"
    )
    read: dict[str, set[str]] = {}
    digests = set()
    for run, role, digest in mlflow(finished, query):
        read.setdefault(run, set()).add(role)
        digests.add(digest)
    assert len(digests) == 1
    assert digests.pop() in (finished.root / "dvc.lock").read_text()
    assert read.pop(parent(finished)) == {"training", "validation", "test"}
    assert list(read.values()) == [{"training", "validation"}] * TRIALS


def test_trials_are_child_runs_with_a_value_for_each_epoch(finished: Project) -> None:
    run = parent(finished)
    trials = {key: tags for key, tags in runs(finished).items() if key != run}
    assert len(trials) == TRIALS
    for key, tags in trials.items():
        assert tags["mlflow.parentRunId"] == run
        result = json.loads(tags[names.TRIAL_RESULT])
        steps = mlflow(
            finished,
            "SELECT step FROM metrics WHERE run_uuid = ? AND key = 'val_accuracy' ORDER BY step",
            key,
        )
        assert [step for (step,) in steps] == list(range(1, result["epochs"] + 1))
        assert {"weights.npz", "result.json"} <= artifacts(finished, key)


def test_prefect_has_the_flow_its_twelve_tasks_and_three_artifacts(finished: Project) -> None:
    assert flow_states(finished) == ["COMPLETED"]
    tasks = prefect(finished, "SELECT name, state_type FROM task_run")
    names = Counter(name.rpartition("-")[0] or name for name, _ in tasks)
    assert {state for _, state in tasks} == {"COMPLETED"}
    assert names == Counter(STEPS)
    made = dict(prefect(finished, "SELECT key, type FROM artifact WHERE key IS NOT NULL"))
    assert made == {
        "report-digits": "markdown",
        "trials-digits": "table",
        "page-digits": "markdown",  # a link artifact
    }
    ((link,),) = prefect(finished, "SELECT data FROM artifact WHERE key = 'page-digits'")
    assert f"runs/{parent(finished)}/artifacts/report.html)" in link


def test_the_page_of_a_run_is_in_the_build_folder_and_in_mlflow(finished: Project) -> None:
    run = parent(finished)
    page = (finished.build("digits") / "report.html").read_text(encoding="utf-8")
    kept = finished.store / "artifacts" / "digits" / run / "artifacts" / "report.html"
    assert kept.read_text(encoding="utf-8") == page
    assert len(page.encode()) < 2_000_000
    lock = (finished.root / "dvc.lock").read_text()
    for asked in ("digits version 1 is the champion now", "there was no champion to compare with"):
        assert asked in page
    (digest,) = re.findall(r"gristmill data use digits (\w+)", page)
    assert digest in lock
    assert "1,797: 1,079 training, 359 validation, 359 test" in page
    assert page.count("<img ") == len(list((finished.build("digits") / "plots").glob("*.png")))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")  # in mlflow's import
def test_a_moved_package_scores_csv_and_parquet_with_and_without_target_equally(
    finished: Project, gristmill: Run, table: pd.DataFrame
) -> None:
    table.to_csv("whole.csv", index=False)
    table.drop(columns="digit").to_csv("bare.csv", index=False)
    table.to_parquet("whole.parquet", index=False)
    done = gristmill("score", "digits", "whole.csv", check=True)
    assert "50 rows scored with digits version 1: whole.scored.csv" in done.stdout
    score("digits", Path("bare.csv"), Path("bare.scored.csv"), None)
    score("digits", Path("whole.parquet"), Path("whole.scored.parquet"), "1")
    whole, bare = pd.read_csv("whole.scored.csv"), pd.read_csv("bare.scored.csv")
    answers = [name for name in whole if name not in table]
    assert {"prediction", "digit"} <= set(whole)
    assert "digit" not in bare
    pd.testing.assert_frame_equal(whole[answers], bare[answers])
    parquet = pd.read_parquet("whole.scored.parquet")
    assert (parquet["prediction"].astype(int) == whole["prediction"]).all()
    assert (whole["prediction"] == whole["digit"]).mean() > 0.9
    assert left_aside(finished) == []
    Path("bare.scored.csv").write_text("an earlier result")
    table.drop(columns=["pixel_0_0", "digit"]).to_csv("bare.csv", index=False)
    with pytest.raises(InputError, match="lacks columns"):
        score("digits", Path("bare.csv"), Path("bare.scored.csv"), None)
    assert Path("bare.scored.csv").read_text() == "an earlier result"
    with pytest.raises(InputError, match="lacks columns"):
        score("digits", Path("bare.csv"), Path("new.csv"), None)
    assert not Path("new.csv").exists()


def test_models_are_listed_with_versions_aliases_and_scores(
    finished: Project, gristmill: Run
) -> None:
    listed = gristmill("models", check=True).stdout
    assert "digits" in listed
    assert "accuracy 0.9" in listed
    versions = gristmill("models", "digits", check=True).stdout
    assert "champion" in versions
    assert "promote" in versions
    one = gristmill("models", "digits", "--version", "1", check=True).stdout
    assert "digits version 1" in one
    assert "there was no champion before" in one
    assert 'mlflow.pyfunc.load_model("models:/digits/1")' in one
    assert parent(finished) in one


@pytest.fixture(scope="module")
def run_twice(run_once: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Any]:
    """Run a second time with a network too small to be good; return project and result."""
    target = tmp_path_factory.mktemp("twice") / "project"
    shutil.copytree(run_once.root, target, symlinks=True)
    done = gristmill_in(target)("run", "digits", "-P", "units=1", "-P", "learning_rate=0.01")
    return Project(target), done


@pytest.mark.slow
def test_a_candidate_that_fails_the_gate_is_rejected_and_the_champion_stays(
    run_twice: tuple[Project, Any],
) -> None:
    project, done = run_twice
    assert done.returncode == 3, done.stdout + done.stderr
    assert "digits version 2 is rejected" in done.stdout
    assert "is below the required 0.95" in done.stdout
    assert "report: build/digits/report.html" in done.stdout
    assert champions(project) == {"digits": 1}
    assert mlflow_runs(project, "FINISHED") == 1 + TRIALS + 1 + 1
    before = read_tree(project)
    again = gristmill_in(project.root)("run", "digits", "-P", "units=1", "-P", "learning_rate=0.01")
    assert again.returncode == 3
    assert "nothing to do" in again.stdout
    assert "version 2 was rejected" in again.stdout
    assert "report: build/digits/report.html" in again.stdout
    assert read_tree(project) == before
    first = gristmill_in(project.root)("run", "digits", check=True).stdout
    assert re.search(r"report: mlruns/artifacts/digits/\w+/artifacts/report.html\n", first)
    assert processes_of(project) == []


def test_promote_and_rollback_move_the_alias_and_report_it(
    run_twice: tuple[Project, Any], tmp_path: Path
) -> None:
    root = tmp_path / "project"
    shutil.copytree(run_twice[0].root, root, symlinks=True)
    project, run = Project(root), gristmill_in(root)
    refused = run("promote", "digits")
    assert refused.returncode == 1
    assert "promoting it requires a reason" in refused.stderr
    up = run("promote", "digits", "--reason", "for show", check=True).stdout
    assert "digits version 2 is the champion now, it was version 1" in up
    assert "the gate had rejected it" in up
    assert champions(project) == {"digits": 2}
    again = run("promote", "digits", "--version", "2", check=True).stdout
    assert "digits version 2 is the champion already" in again
    back = run("rollback", "digits", check=True).stdout
    assert "digits version 1 is the champion again, it was version 2" in back
    assert champions(project) == {"digits": 1}
    assert run("rollback", "digits").returncode == 1
    refused = run("reject", "digits", "--version", "1", "--reason", "old")
    assert refused.returncode == 1
    assert "gristmill rollback digits" in refused.stderr
    gone = run("archive", "digits", "--version", "2", "--reason", "too slow", check=True).stdout
    assert "digits version 2 is archived" in gone
    told = run("models", "digits", "--history", check=True, env={"COLUMNS": "120"}).stdout
    entries = [line.split() for line in told.splitlines()[2:]]
    assert [(line[2], line[-1]) for line in entries] == [
        ("2", "slow"),
        ("1", "2"),
        ("2", "show"),
        ("1", "before"),
    ]


def test_a_version_has_a_page_on_its_run_and_in_the_registry(finished: Project) -> None:
    ((described,),) = mlflow(finished, "SELECT description FROM model_versions")
    ((of_model,),) = mlflow(finished, "SELECT description FROM registered_models")
    folder = next((finished.store / "artifacts" / "digits").rglob("model_card.md"))
    assert folder.read_text() == described
    for words in (
        "# digits, version 1",
        "## Intended use\n\nNot stated",
        "## Decision: promoted\n\n- accuracy",
        "- in: ",
        "(64 columns)",
        "| accuracy | 0.9",
        "data/digits version ",
    ):
        assert words in described
    assert of_model.startswith("Handwritten") or "## Limits" in of_model


@pytest.mark.slow
def test_a_candidate_that_is_not_better_is_held(tiny: Project, gristmill: Run) -> None:
    done = gristmill("run", "tiny", "-P", "learning_rate=0.02")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tiny version 2 is held, 1 stays the champion" in done.stdout
    assert "not shown to be better than the champion" in done.stdout
    assert done.stderr == ""
    page = (tiny.build("tiny") / "report.html").read_text(encoding="utf-8")
    assert "<dd>none since version 1, the champion</dd>" in page
    assert "no column drifted from the data of version 1" in page
    assert ">champion</th>" in page
    assert champions(tiny) == {"digits": 1, "tiny": 1}
    again = gristmill("run", "tiny", "-P", "learning_rate=0.02", check=True).stdout
    assert "nothing to do" in again
    assert "version 2 was held" in again


def test_the_time_of_a_run_is_shown_by_part_and_sums_to_the_wall_clock(finished: Project) -> None:
    query = (
        "SELECT substr(key, 13), value FROM metrics WHERE run_uuid = ? AND key LIKE 'system/time_%'"
    )
    parts = dict(mlflow(finished, query, parent(finished)))
    assert parts.keys() >= {"start", "tracing", "training", "waiting", "tracking", "rest"}
    assert parts.keys() >= STEPS - {"snapshot"}
    ((began, ended),) = mlflow(
        finished, "SELECT start_time, end_time FROM runs WHERE run_uuid = ?", parent(finished)
    )
    before = {"start", "snapshot", "ingest", "validate", "drift", "split", "scale"}
    within = sum(seconds for name, seconds in parts.items() if name not in before)
    assert within >= 0.8 * (ended - began) / 1000 - 1
    report = (finished.build("digits") / "report.md").read_text(encoding="utf-8")
    assert f"## {sum(parts.values()):.1f} seconds" in report
    assert f"| training | {parts['training']:.1f} |" in report


def test_each_epoch_of_a_trial_is_stored_once_and_the_best_so_far_on_the_run(
    finished: Project,
) -> None:
    for run, tags in runs(finished).items():
        if tags["gristmill.kind"] != "trial":
            continue
        steps = mlflow(
            finished,
            "SELECT step FROM metrics WHERE run_uuid = ? AND key = 'val_loss' ORDER BY timestamp",
            run,
        )
        epochs = json.loads(tags["gristmill.result"])["epochs"]
        assert [step for (step,) in steps] == [*range(1, epochs + 1)]
    latest = dict(
        mlflow(
            finished, "SELECT key, value FROM latest_metrics WHERE run_uuid = ?", parent(finished)
        )
    )
    assert latest["trials_done"] == TRIALS
    best = max(
        json.loads(tags["gristmill.result"])["scores"]["val_accuracy"]
        for tags in runs(finished).values()
        if tags["gristmill.kind"] == "trial"
    )
    assert latest["best_val_accuracy"] == best
