from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from aftermath import edit, mlflow_runs, processes_of, read_tree

from gristmill.flows.run_plan import make_plan
from gristmill.pipelines.base import ConfigError
from gristmill.pipelines.config.experiment import load_experiment
from gristmill.pipelines.config.project import Project
from tests.conftest import BIN, Run, clean_environment, git

HEAVY = {"great_expectations", "keras", "mlflow", "pandas", "prefect", "sklearn", "tensorflow"}
STAGES = [f"{stage}@digits" for stage in ("ingest", "validate", "split", "scale")]
AFTER_VALIDATE = ["validate", "split", "scale", "search", "evaluate"]

Edit = Callable[[Project], object]


def imported(
    project: Project, program: str, *words: str
) -> tuple[set[str], subprocess.CompletedProcess[str]]:
    """Return the packages that a program of the environment imports, and its result."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(BIN / program), *words],
        cwd=project.root,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = re.findall(r"^import time:.*\|\s+(\S+)$", done.stderr, re.MULTILINE)
    return {name.partition(".")[0] for name in lines}, done


def to_do(plan: str) -> list[str]:
    """Return the steps that a plan would run."""
    return re.findall(r"^  run  (\w+)", plan, re.MULTILINE)


def in_file(old: str, new: str) -> Edit:
    return lambda project: edit(project.experiment_file("digits"), old, new)


def test_a_run_with_nothing_to_do_reports_it_loads_nothing_heavy_and_starts_nothing(
    finished: Project,
) -> None:
    before, runs = read_tree(finished), mlflow_runs(finished, "FINISHED")
    log = finished.prefect_home / "server.log"
    written = log.stat().st_mtime_ns
    packages, done = imported(finished, "gristmill", "run", "digits")
    assert done.returncode == 0
    assert "digits: nothing to do, nothing changed since run" in done.stdout
    assert "version 1 was promoted" in done.stdout
    assert "dvc" in packages, "the list of imports is no list"
    assert packages & HEAVY == set()
    assert log.stat().st_mtime_ns == written
    assert processes_of(finished) == []
    assert read_tree(finished) == before
    assert mlflow_runs(finished, "FINISHED") == runs


def test_help_loads_nothing_heavy(finished: Project) -> None:
    packages, done = imported(finished, "gristmill", "--help")
    assert "From a data set and one YAML file" in done.stdout
    assert "typer" in packages
    assert packages & {*HEAVY, "dvc", "numpy", "pyarrow"} == set()


def test_after_a_run_dvc_itself_finds_nothing_to_do(finished: Project) -> None:
    packages, done = imported(finished, "dvc", "repro", *STAGES)
    assert done.returncode == 0
    for stage in STAGES:
        assert f"Stage '{stage}' didn't change, skipping" in done.stdout
    assert packages & HEAVY == set()


@pytest.mark.parametrize(
    ("change", "steps", "why"),
    [
        pytest.param(
            in_file("max: 16,", "max: 17,"),
            AFTER_VALIDATE,
            "schema in experiments/digits.yaml modified",
            id="a line of the schema",
        ),
        pytest.param(
            in_file("stratify: true, seed: 0", "stratify: true, seed: 1"),
            AFTER_VALIDATE[1:],
            "split in experiments/digits.yaml modified",
            id="the seed of the split",
        ),
        pytest.param(
            in_file("scale: minmax", "scale: standard"),
            AFTER_VALIDATE[1:],
            "features in experiments/digits.yaml modified",
            id="the scaling",
        ),
        pytest.param(
            lambda project: edit(project.params_file, "pandas: ", "pandas: 1."),
            ["ingest", *AFTER_VALIDATE],
            "pandas 1.",
            id="the version of a library",
        ),
        pytest.param(
            in_file("dropout: 0.2", "dropout: 0.3"),
            ["search", "evaluate"],
            "4 of 4 trials to train",
            id="a parameter",
        ),
        pytest.param(
            in_file("  epochs: 100", "  epochs: 100\n  seed: 1"),
            ["search", "evaluate"],
            "seed: 0 → 1",
            id="the seed of training",
        ),
        pytest.param(
            in_file("units: [32, 64]", "units: [16, 32, 64]"),
            ["search", "evaluate"],
            "2 of 6 trials to train",
            id="a wider grid",
        ),
        pytest.param(
            in_file("min: 0.95", "min: 0.94"),
            ["evaluate"],
            "0 of 4 trials to train",
            id="the gate",
        ),
        pytest.param(
            in_file("accuracy, f1_macro", "f1_macro, accuracy"),
            ["evaluate"],
            "0 of 4 trials to train",
            id="a metric of the evaluation",
        ),
        pytest.param(
            in_file("# schedule:", "# another comment\n# schedule:"),
            [],
            "nothing to do",
            id="a comment",
        ),
        pytest.param(in_file("64 columns", "64 pixels"), [], "nothing to do", id="the description"),
        pytest.param(
            in_file("units: [32, 64]", "units: [64, 32]"),
            [],
            "nothing to do",
            id="the order of the grid",
        ),
    ],
)
def test_a_change_runs_the_right_steps(
    change: Edit, steps: list[str], why: str, finished: Project, gristmill: Run
) -> None:
    change(finished)
    plan = gristmill("plan", "digits", check=True).stdout
    assert to_do(plan) == steps, plan
    assert why in plan


def test_a_grid_parameter_set_on_the_command_line_needs_no_training(
    finished: Project, gristmill: Run
) -> None:
    plan = gristmill("plan", "digits", "-P", "units=32", check=True).stdout
    assert to_do(plan) == ["evaluate"]
    assert "0 of 2 trials to train" in plan


def test_a_forced_plan_shows_that_every_step_and_trial_runs_again(
    finished: Project, gristmill: Run
) -> None:
    plan = gristmill("plan", "digits", "--force", check=True).stdout
    assert to_do(plan) == ["ingest", *AFTER_VALIDATE]
    assert "4 of 4 trials to train" in plan
    assert "forced" in plan.split("search")[1]


@pytest.mark.slow
def test_a_changed_row_runs_everything_and_restored_bytes_run_nothing(
    finished: Project, gristmill: Run
) -> None:
    raw = finished.root / "data" / "digits" / "digits.csv"
    lines = raw.read_text().splitlines(keepends=True)
    new = finished.root / "new.csv"
    new.write_text("".join([*lines[:-2], lines[-1]]))
    said = gristmill("data", "refresh", "digits", "--data", str(new), check=True).stdout
    assert "new data pinned, 1,796 rows × 65 columns" in said
    assert "rows: 0 added, 1 removed" in said
    plan = gristmill("plan", "digits", check=True).stdout
    assert to_do(plan) == ["ingest", *AFTER_VALIDATE]
    assert "data/digits modified" in plan
    git(finished.root, "checkout", "data.dvc")
    gristmill("data", "restore", "digits", check=True)
    assert to_do(gristmill("plan", "digits", check=True).stdout) == []


@pytest.mark.slow
def test_a_comment_in_the_code_of_a_stage_trains_nothing(tiny: Project, gristmill: Run) -> None:
    trained = mlflow_runs(tiny, "FINISHED")
    with (tiny.root / "pipelines" / "preparation" / "split" / "assignment.py").open("a") as file:
        file.write("# a comment\n")
    plan = gristmill("plan", "tiny", check=True).stdout
    assert to_do(plan) == AFTER_VALIDATE[1:]
    done = gristmill("run", "tiny", check=True).stdout
    assert "✓ split" in done
    assert "tiny: nothing to do, nothing changed since run" in done
    assert mlflow_runs(tiny, "FINISHED") == trained


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("split: {}", "split: {as: tiny}", "there are no cuts of 'tiny' yet"),
        ("split: {}", "split: {as: nobody}", "there is no experiment 'nobody'"),
        ("data/tiny/tiny.csv", "data/far/far.csv", "cannot be shared: it uses other data"),
    ],
)
def test_a_plan_refuses_cuts_that_the_split_would_refuse(
    versioned: Project, old: str, new: str, says: str
) -> None:
    text = versioned.experiment_file("tiny").read_text()
    shared = text.replace(old, new).replace("split: {}", "split: {as: tiny}")
    versioned.experiment_file("other").write_text(shared)
    with pytest.raises(ConfigError, match=says):
        make_plan(versioned, load_experiment(versioned, "other"))
