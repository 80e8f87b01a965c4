"""The final evaluation reads the test rows once for each model, and nothing else reads them."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import DIGEST, make_data, make_project, run_search, table, trials, write_experiment

from gristmill import pipelines
from gristmill.pipelines.base.errors import ConfigError, DataInvalid, EnvironmentFault
from gristmill.pipelines.config.experiment import Experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.evaluation.final_evaluation import check_asked, evaluate
from gristmill.pipelines.evaluation.labels import choose_threshold
from gristmill.pipelines.evaluation.metrics.measures import measure, score
from gristmill.pipelines.evaluation.predictions import read_predictions
from gristmill.pipelines.ingestion.readers.picture_folders import picture_field
from gristmill.pipelines.ingestion.readers.picture_pixels import Form
from gristmill.pipelines.preparation.features.prepare import scale
from gristmill.pipelines.preparation.split.cuts_file import TEST, TRAINING, VALIDATION
from gristmill.pipelines.training.identity import Trial
from gristmill.pipelines.training.trial import TrialResult
from gristmill.pipelines.workers.messages import Train
from gristmill.pipelines.workers.pool import Pool
from tests.conftest import ROOT, clean_environment


@pytest.fixture
def home(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def trained(project: Project, pool: Pool, **changes: Any) -> tuple[Experiment, Trial]:
    experiment = write_experiment(project, **changes)
    if not (project.build("tiny") / "test").exists():
        make_data(project, experiment)
    (trial,) = trials(experiment, DIGEST)
    *_, last = run_search(project, experiment, [trial], pool)
    assert isinstance(last, TrialResult)
    assert last.status == "finished"
    return experiment, trial


def test_a_second_evaluation_reads_the_stored_results_of_the_first(
    home: Project, pool: Pool
) -> None:
    experiment, trial = trained(home, pool)
    first = evaluate(home, experiment, trial, pool)
    stored = read_predictions(first.predictions)
    again = evaluate(home, experiment, trial, pool)
    assert (first.scored, again.scored) == (True, False)
    assert again.metrics == first.metrics
    test = home.build("tiny") / "test"
    np.testing.assert_array_equal(stored.identity, np.load(test / "identity.npy"))
    np.testing.assert_array_equal(stored.truth, np.load(test / "y.npy"))
    assert stored.classes == ("low", "middle", "top")
    assert first.rows == len(stored.truth) == 30
    assert first.value("accuracy") == score("accuracy", stored.truth, stored.outputs)
    assert [m.name for m in first.metrics] == ["accuracy", "f1_macro", "log_loss"]
    assert set(first.baselines) == {"dummy", "linear"}
    assert not (first.model.parent / "outputs.npy").exists()


def test_different_test_rows_are_scored_again(home: Project, pool: Pool) -> None:
    experiment, trial = trained(home, pool)
    first = evaluate(home, experiment, trial, pool)
    other = make_data(home, experiment, seed=1) / "test"
    shutil.copytree(other, home.root / "kept")
    make_data(home, experiment)
    shutil.rmtree(other)
    (home.root / "kept").rename(other)
    second = evaluate(home, experiment, trial, pool)
    assert second.scored
    assert second.predictions != first.predictions
    assert second.metrics != first.metrics


def test_a_longer_budget_is_evaluated_with_its_final_weights(home: Project, pool: Pool) -> None:
    _, short = trained(home, pool, training={"epochs": 1})
    first = evaluate(home, write_experiment(home), short, pool)
    experiment, longer = trained(home, pool, training={"epochs": 25})
    assert longer.key == short.key
    second = evaluate(home, experiment, longer, pool)
    assert second.scored
    assert second.value("log_loss") < first.value("log_loss")
    assert second.model != first.model
    assert second.predictions != first.predictions


def test_a_regression_is_evaluated_in_the_unit_of_the_target(home: Project, pool: Pool) -> None:
    experiment, trial = trained(
        home,
        pool,
        data={"target": "weight", "task": "regression"},
        training={"epochs": 60},
        parameters={"learning_rate": 0.05},
        gate={"champion": {"metric": "median_error"}},
    )
    made = evaluate(home, experiment, trial, pool)
    assert [m.name for m in made.metrics] == ["rmse", "mae", "r2", "median_error"]
    dummy = {metric.name: metric.value for metric in made.baselines["dummy"]}
    assert made.value("rmse") < dummy["rmse"]


BINARY: dict[str, Any] = {
    "data": {"target": "flag"},
    "evaluation": {
        "metrics": ["accuracy", "recall:1", "roc_auc", "f1_macro"],
        "threshold": {"cost": {"false_negative": 20}},
        "slices": ["colour", {"height": {"bins": [3, 6]}}, {"search": True}],
    },
}


def test_a_threshold_is_chosen_on_validation_rows_and_used_for_all_labels(
    home: Project, pool: Pool
) -> None:
    experiment, trial = trained(home, pool, **BINARY)
    make_data(home, experiment, rows=600)
    experiment, trial = trained(home, pool, **BINARY)
    made = evaluate(home, experiment, trial, pool)
    folder = home.build("tiny") / "trials" / trial.key
    (kept,) = folder.glob("validation-*.parquet")
    known = read_predictions(kept)
    np.testing.assert_array_equal(
        known.truth, np.load(home.build("tiny") / "training" / "y_validation.npy")
    )
    assert made.threshold == choose_threshold(known.truth, known.outputs, 1, false_negative=20)
    assert made.threshold.value < 0.5
    stored = read_predictions(made.predictions)
    assert stored.threshold == made.threshold
    called = stored.outputs[:, 1] >= made.threshold.value
    assert made.value("accuracy") == np.mean(called == stored.truth)
    assert made.value("recall:1") == called[stored.truth == 1].mean()
    assert made.value("accuracy") != np.mean(stored.outputs.argmax(axis=1) == stored.truth)
    again = evaluate(home, experiment, trial, pool)
    assert not again.scored
    assert (again.metrics, again.threshold) == (made.metrics, made.threshold)
    plain = write_experiment(home, data={"target": "flag"})
    without = evaluate(home, plain, trial, pool)
    assert (without.scored, without.threshold) == (False, None)
    assert without.predictions != made.predictions

    declared = [str(one) for one in made.slices if one.validation is None]
    assert [*declared][-4:] == [
        "height: below 3",
        "height: 3 to 6",
        "height: from 6",
        "height: (missing)",
    ]
    assert {"colour: red", "colour: (missing)"} < {*declared}
    assert len(made.slices) - len(declared) <= 3
    assert made.calibration is not None
    assert made.calibration.of == "1"


def test_if_the_split_has_groups_intervals_are_for_whole_groups(home: Project, pool: Pool) -> None:
    experiment, trial = trained(home, pool)
    alone = evaluate(home, experiment, trial, pool)
    grouped = write_experiment(home, split={"group": "colour"}, evaluation={"slices": ["height"]})
    made = evaluate(home, grouped, trial, pool)
    assert made.value("accuracy") == alone.value("accuracy")
    group = pd.read_parquet(made.raw)["colour"].fillna("").to_numpy()
    stored = read_predictions(made.predictions)
    expected = measure("accuracy", stored.truth, stored.outputs, group=group)
    assert made.metrics[0].low == pytest.approx(expected.low, abs=0.02)  # with four groups
    assert made.metrics[0].low != alone.metrics[0].low
    assert sum(one.rows for one in made.slices) == 30


def test_a_test_set_of_one_class_is_evaluated_where_metrics_are_defined(
    home: Project, pool: Pool
) -> None:
    metrics = ["roc_auc", "accuracy", "recall:1", "average_precision", "log_loss"]
    experiment, trial = trained(
        home, pool, data={"target": "flag"}, evaluation={"metrics": metrics}
    )
    test = home.build("tiny") / "test"
    np.save(test / "y.npy", np.zeros_like(np.load(test / "y.npy")))
    made = evaluate(home, experiment, trial, pool)
    whys = {metric.name: metric.why for metric in made.metrics}
    assert whys == {
        "roc_auc": "the test rows have a single class",
        "accuracy": "",
        "recall:1": "no test row is of class 1",
        "average_precision": "the test rows have a single class",
        "log_loss": "",
    }
    assert made.value("accuracy") > 0
    assert all(np.isnan(m.value) == bool(whys[m.name]) for m in made.baselines["linear"])


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"metrics": ["recall:lo"]}, "there is no class 'lo'; did you mean recall:low?"),
        ({"metrics": ["recall:zebra"]}, "there are low, middle, top"),
        ({"metrics": ["top_3_accuracy"]}, "from 1 to 2, less than the number of classes"),
        ({"slices": ["color"]}, r"evaluation.slices\n.*\n +found +color\n.*did you mean colour\?"),
        ({"threshold": {"precision": 0.9}}, r"(?s)two classes.*3"),
    ],
)
def test_settings_that_do_not_match_the_data_are_refused_before_training(
    home: Project, asked: Any, says: str
) -> None:
    experiment = write_experiment(home, evaluation=asked)
    make_data(home, experiment)
    with pytest.raises(ConfigError, match=says):
        check_asked(home, experiment)


def test_a_gate_on_a_slice_of_a_missing_column_is_refused_before_training(home: Project) -> None:
    experiment = write_experiment(home, gate={"slices": {"color=red": {"min": 0.5}}})
    make_data(home, experiment)
    with pytest.raises(ConfigError, match=r"gate.slices\n.*\n +found +color\n"):
        check_asked(home, experiment)


def test_a_gate_on_a_column_of_many_values_is_refused_before_training(home: Project) -> None:
    frame = table(200, "kind")
    frame["shop"] = [f"shop {i % 33}" for i in range(200)]
    few = {"slices": {"shop=shop 1": {}, "colour": {}}}
    make_data(home, experiment := write_experiment(home, gate=few), frame=frame)
    check_asked(home, experiment)
    many = write_experiment(home, gate={"slices": {"shop": {}}})
    with pytest.raises(ConfigError, match=r"gate.slices.shop\n.*at most 30 values.*\n.*found +3\d"):
        check_asked(home, many)


OUTPUT_NAN = """
import keras

class Breaks(keras.layers.Layer):
    def call(self, x, training=False):
        return x if training else keras.ops.where(x[:, :1] > 1.0, float("nan"), x)

def build(shape, outputs):
    return keras.Sequential([keras.Input(shape), Breaks(), keras.layers.Dense(outputs)])
"""


def write_pictures(project: Project) -> None:
    """Write what the data stages leave for thirty pictures of 6 × 5 pixels."""
    form = Form(height=6, width=5, channels=1)
    rng = np.random.default_rng(0)
    fields = [picture_field(form), pa.field("kind", pa.string())]
    columns = [
        pa.array([rng.bytes(30) for _ in range(30)], pa.binary(30)),
        pa.array(["cat", "dog"] * 15),
    ]
    build = project.build("tiny")
    build.mkdir(parents=True)
    pq.write_table(pa.table(columns, schema=pa.schema(fields)), build / "table.parquet")
    role = np.repeat(np.array([TRAINING, VALIDATION, TEST], np.int8), 10)
    roles = pa.table({"role": role, "identity": np.arange(30, dtype=np.uint64)})
    pq.write_table(roles, build / "roles.parquet")
    scale(project, "tiny")


@pytest.mark.parametrize("kind", ["Conv2D", "Flatten"])
def test_feature_maps_of_pictures_are_stored_with_the_predictions(
    home: Project, pool: Pool, kind: str
) -> None:
    layers: list[Any] = [{"Conv2D": {"filters": 4, "kernel_size": 3}}] * (kind == "Conv2D")
    changes: dict[str, Any] = {
        "features": {"scale": "minmax"},
        "parameters": None,
        "model": {"layers": [*layers, {"Flatten": {}}]},
        "training": {"optimizer": {"SGD": {"learning_rate": 0.1}}},
    }
    write_experiment(home, **changes)
    write_pictures(home)
    experiment, trial = trained(home, pool, **changes)
    first = evaluate(home, experiment, trial, pool)
    again = evaluate(home, experiment, trial, pool)
    assert again.maps == first.maps
    assert not again.scored
    if kind == "Flatten":
        assert first.maps is None
        return
    assert first.maps is not None
    with np.load(first.maps, allow_pickle=False) as saved:
        shapes = {name: saved[name].shape for name in saved.files}
        picture = saved[saved.files[0]]
    row = pq.read_table(first.raw)["picture"][0].as_py()
    np.testing.assert_allclose(picture.ravel() * 255, [*row], rtol=1e-5)
    assert shapes == {
        "the picture, as input of the network": (6, 5, 1),
        "1: Conv2D, 4 × 3, 4 maps": (4, 3, 4),
    }


def test_outputs_that_are_no_numbers_are_refused_and_not_stored(home: Project, pool: Pool) -> None:
    (home.experiments / "my_models.py").write_text(OUTPUT_NAN)
    experiment = write_experiment(home, model={"layers": None, "builder": "my_models:build"})
    build = make_data(home, experiment)
    # only a test row triggers the defect
    rows = np.load(build / "training" / "x_validation.npy")
    np.save(build / "training" / "x_validation.npy", np.minimum(rows, 1))
    test = np.load(build / "test" / "x.npy")
    test[:, 0] = 0
    test[:2, 0] = 5
    np.save(build / "test" / "x.npy", test)
    experiment, trial = trained(home, pool, model={"layers": None, "builder": "my_models:build"})
    with pytest.raises(EnvironmentFault, match=r"(?s)not all finite numbers.*2 rows with NaN"):
        evaluate(home, experiment, trial, pool)
    folder = build / "trials" / trial.key
    assert not list(folder.glob("predictions-*"))
    assert not (folder / "outputs.npy").exists()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_test_rows_seen_in_training_are_left_out_of_every_metric_and_counted(
    home: Project, pool: Pool, task: str
) -> None:
    target = {"classification": "kind", "regression": "weight"}[task]
    experiment, trial = trained(home, pool, data={"target": target, "task": task})
    test = home.build("tiny") / "test"
    whole = evaluate(home, experiment, trial, pool)
    assert (whole.seen, whole.measured, whole.left_out) == (0, 30, "")
    twin = np.arange(30) % 3 == 0
    np.save(test / "twin.npy", twin)
    made = evaluate(home, experiment, trial, pool)
    assert made.scored
    assert (made.rows, made.seen, made.measured) == (30, 10, 20)
    assert made.left_out == "10 of 30 test rows left out: seen in training"
    stored = read_predictions(made.predictions)
    assert len(stored.truth) == 30
    for metric in made.metrics:
        truth, outputs = stored.truth[~twin], stored.outputs[~twin]
        assert metric.value == score(metric.name, truth, outputs)
    assert made.baselines != whole.baselines
    again = evaluate(home, experiment, trial, pool)
    assert not again.scored
    assert (again.metrics, again.seen) == (made.metrics, 10)
    np.save(test / "twin.npy", np.ones(30, dtype=bool))
    with pytest.raises(DataInvalid, match=r"(?s)every test row was seen.*30 of 30"):
        evaluate(home, experiment, trial, pool)


LISTENING = """
import os, sys

def note(event, arguments, out=os.environ["OPENED"]):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].endswith(
        (".npy", ".parquet", ".json")
    ):
        file = os.open(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, (arguments[0] + chr(10)).encode())
        os.close(file)

sys.addaudithook(note)
"""


@pytest.mark.slow
def test_training_processes_open_no_test_row_before_the_final_evaluation(
    home: Project, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(LISTENING)
    code = f"""
from pathlib import Path
from gristmill.pipelines.config import Project, load_experiment
from gristmill.pipelines.evaluation.final_evaluation import evaluate
from gristmill.pipelines.search import fed, train_fed
from gristmill.pipelines.training import shared_parts, trials_at
from gristmill.pipelines.workers import Pool

if __name__ == "__main__":
    project = Project(Path({str(home.root)!r}))
    experiment = load_experiment(project, "tiny")
    (trial,) = trials_at(experiment, shared_parts(experiment, {DIGEST!r}), {{}})
    pool = Pool(project.root / "workers.log")
    pool.warm_up()
    told = train_fed(project, experiment, fed([trial]), 1, pool)
    assert [*told][-1].status == "finished"
    with Path({str(tmp_path / "opened")!r}).open("a") as file:
        file.write("— evaluation —" + chr(10))
    evaluate(project, experiment, trial, pool)
    pool.close()
"""
    make_data(home, write_experiment(home))
    (tmp_path / "both.py").write_text(code)
    environment = clean_environment() | {
        "OPENED": str(tmp_path / "opened"),
        "PYTHONPATH": os.pathsep.join(
            [str(tmp_path), str(Path(pipelines.__path__[0]).resolve().parent)]
        ),
    }
    subprocess.run(
        [sys.executable, str(tmp_path / "both.py")], env=environment, check=True, timeout=120
    )
    before, after = (tmp_path / "opened").read_text().split("— evaluation —")
    names = {role: f"x_{role}.npy" for role in ("training", "validation")}
    assert all(f"/training/{name}" in before for name in names.values())
    assert "/build/tiny/test/" not in before
    assert "/build/tiny/test/x.npy" in after


def test_a_training_request_has_paths_for_training_rows_but_none_for_test_rows() -> None:
    assert [field.name for field in fields(Train) if "Path" in str(field.type)] == [
        *("data", "folder", "modules")
    ]


def test_the_search_works_without_the_test_rows(home: Project, pool: Pool) -> None:
    experiment = write_experiment(home)
    shutil.rmtree(make_data(home, experiment) / "test")
    trained_without = run_search(home, experiment, trials(experiment, DIGEST), pool)
    *_, last = trained_without
    assert isinstance(last, TrialResult)
    assert last.status == "finished"


def test_scaling_depends_only_on_training_rows(home: Project) -> None:
    experiment = write_experiment(home)
    build = make_data(home, experiment)
    before = (build / "training" / "statistics.json").read_text()
    frame, roles = (pd.read_parquet(build / n) for n in ("table.parquet", "roles.parquet"))
    frame.loc[roles["role"] != 2, "width"] *= 100
    frame.to_parquet(build / "table.parquet", index=False)
    scale(home, "tiny")
    assert (build / "training" / "statistics.json").read_text() == before


def opens_test_rows(source: str) -> bool:
    """Check whether code names the folder of the test rows: `… / "test"` or "…/test/…"."""
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            right = node.right
            if isinstance(right, ast.Constant) and right.value == "test":
                return True
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = node.value.split("/")
            named = "test" in parts and len(parts) > 1
            if named and id(node) not in docstrings and not node.value.endswith("/test"):
                return True
    return False


@pytest.mark.parametrize("line", ['build / "test"', 'build / "test" / "x.npy"', 'f"{b}/test/x"'])
def test_the_check_for_test_rows_finds_them(line: str) -> None:
    assert opens_test_rows(f"x = {line}")
    assert not opens_test_rows('"""In build / "test"."""\nx = {"test": 1, "latest": "test"}')


def test_only_the_last_steps_name_the_folder_of_the_test_rows() -> None:
    files = [
        (ROOT / top, file)
        for top in ("pipelines", "flows", "gristmill")
        for file in (ROOT / top).rglob("*.py")
    ]
    openers = {
        f"{root.name}/{file.relative_to(root)}"
        for root, file in files
        if opens_test_rows(file.read_text(encoding="utf-8"))
    }
    assert openers == {
        "pipelines/preparation/features/prepare.py",  # the stage that writes it
        "pipelines/evaluation/final_evaluation.py",
        "gristmill/commands/compare.py",  # shows rows that all models have already predicted
    }
