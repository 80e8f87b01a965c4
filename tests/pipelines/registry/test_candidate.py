"""From a trained trial to a registered version: packages, the champion, and failures."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny import (
    DIGEST,
    KINDS,
    make_data,
    make_project,
    mixed,
    run_search,
    table,
    trials,
    write_experiment,
)

from gristmill.commands import models as screen
from gristmill.pipelines.base.errors import EnvironmentFault, InputError
from gristmill.pipelines.base.files import file_digest
from gristmill.pipelines.config.experiment import Experiment, load_experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.evaluation.final_evaluation import FinalEvaluation, evaluate
from gristmill.pipelines.evaluation.predictions import (
    Predictions,
    read_predictions,
    write_predictions,
)
from gristmill.pipelines.packaging.package import Package, _signature, plain_types
from gristmill.pipelines.packaging.rehearsal import Rehearsal
from gristmill.pipelines.packaging.stored_files import PackageChanged, require_unchanged
from gristmill.pipelines.preparation.seen import read_seen, write_seen
from gristmill.pipelines.registry.candidate import (
    CandidateRun,
    Registered,
    judge,
    package_candidate,
    register_candidate,
)
from gristmill.pipelines.registry.champion_answers import (
    champion_predictions,
    ground_of,
    recipe_digest,
    stored_answers,
)
from gristmill.pipelines.registry.gate import Decision
from gristmill.pipelines.registry.loading import loaded_version
from gristmill.pipelines.registry.promotion import (
    Basis,
    anchor,
    history,
    promote,
    rollback,
    set_aside,
)
from gristmill.pipelines.registry.registered_models import champion, register, tag_version, versions
from gristmill.pipelines.tracking import Tracker, client, local_database, package_folder
from gristmill.pipelines.training.identity import Trial
from gristmill.pipelines.training.trial import TrialResult
from gristmill.pipelines.workers.pool import Pool

# raised inside mlflow when mlflow.pyfunc is imported, where mlflow's own filter hides it
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")

VALUES = {
    "data": {"target": "weight", "task": "regression"},
    "training": {"epochs": 40},
    "features": {"scale": "minmax"},
}

OF_ALL_KINDS = {
    "data": {"target": "y", "task": "regression"},
    "training": {"epochs": 30, "optimizer": {"Adam": {"learning_rate": 0.03}}},
    "features": {**KINDS, "scale_target": True},
}

BY_HAND = {
    "data": {"target": "flag"},
    "model": {"layers": None, "builder": "a_models:build"},
}

FOREST = {
    **OF_ALL_KINDS,
    "training": None,
    "model": {"layers": None, "sklearn": {"RandomForestRegressor": {"n_estimators": 20}}},
}

MODELS: dict[str, dict[str, Any]] = {
    "tiny": {}, "weights": VALUES, "by_hand": BY_HAND, "kinds": OF_ALL_KINDS, "forest": FOREST,
}  # fmt: skip

A_MODELS = """
import keras
from z_layers import Twice

print("a module that says something when it is imported")

def build(shape, outputs):
    return keras.Sequential([
        keras.Input(shape), Twice(3), keras.layers.Dense(1, activation="sigmoid"),
    ])
"""

Z_LAYERS = """
import keras

@keras.saving.register_keras_serializable("tiny")
class Twice(keras.layers.Layer):
    def __init__(self, times, **kwargs):
        super().__init__(**kwargs)
        self.times = times

    def call(self, x):
        return self.times * x

    def get_config(self):
        return {**super().get_config(), "times": self.times}
"""


@dataclass(frozen=True)
class Mill:
    """A project and the processes that all tests here share."""

    project: Project
    pool: Pool
    rehearsal: Rehearsal

    def train(self, name: str, **changes: Any) -> tuple[Experiment, Trial]:
        experiment = write_experiment(self.project, name, **changes)
        (trial,) = trials(experiment, DIGEST)
        *_, last = run_search(self.project, experiment, [trial], self.pool)
        assert isinstance(last, TrialResult)
        assert last.status == "finished"
        return experiment, trial

    def evaluate(self, name: str) -> tuple[Experiment, Trial, FinalEvaluation]:
        experiment = load_experiment(self.project, name)
        (trial,) = trials(experiment, DIGEST)
        return experiment, trial, evaluate(self.project, experiment, trial, self.pool)

    def register(
        self,
        name: str,
        key: str = "",
        cut: str = "",
        meanwhile: Callable[[], object] = lambda: None,
    ) -> Registered:
        """Register as the flow does after a search; `meanwhile` runs between gate and registry."""
        experiment, trial, evaluation = self.evaluate(name)
        with Tracker(self.project, name) as tracker:
            predictions = self.project.build(name) / "predictions.parquet"
            shutil.copyfile(evaluation.predictions, predictions)
            tracker.log_file(predictions)
            candidate = package_candidate(
                self.project, experiment, trial, evaluation, self.rehearsal
            )
            ground = ground_of(self.project, experiment, evaluation, self.rehearsal)
            decision = judge(ground, candidate, cut)
            meanwhile()
            run = CandidateRun(tracker.run_id, trial, DIGEST, key)
            return register_candidate(
                ground, candidate, decision, run, lambda: judge(ground, candidate)
            )


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    made = Rehearsal(make_project(tmp_path_factory.mktemp("rehearsal") / "project"))
    made.warm_up()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def milled(
    store_once: Path, tmp_path_factory: pytest.TempPathFactory, pool: Pool, rehearsal: Rehearsal
) -> Project:
    """Return a project with five registered models; tests copy it."""
    project = make_project(tmp_path_factory.mktemp("milled") / "project")
    shutil.copytree(store_once, project.store)
    (project.experiments / "a_models.py").write_text(A_MODELS)
    (project.experiments / "z_layers.py").write_text(Z_LAYERS)
    rehearsal._project = project
    mill = Mill(project, pool, rehearsal)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for name, changes in MODELS.items():
            frame = mixed(300) if name in ("kinds", "forest") else None
            changes = {"gate": {"baseline": False}, **changes}  # a linear model is often better
            make_data(project, write_experiment(project, name, **changes), frame=frame)
            mill.train(name, **changes)
            mill.register(name)
    return project


@pytest.fixture
def mill(milled: Project, tmp_path: Path, pool: Pool, rehearsal: Rehearsal) -> Mill:
    """Return a moved copy with a champion of each model."""
    project = Project(tmp_path / "내 project")
    shutil.copytree(milled.root, project.root)
    rehearsal._project = project
    return Mill(project, pool, rehearsal)


@pytest.mark.parametrize("name", MODELS)
def test_the_first_candidate_becomes_champion_and_its_version_stores_the_reason(
    mill: Mill, name: str
) -> None:
    (version,) = versions(mill.project, name)
    assert version.aliases == ("champion",)
    assert version.tags["gristmill.decision"] == "promote"
    *_, dummy, reason = version.tags["gristmill.reasons"].split("; ")
    assert dummy.startswith("better than the dummy: p ")
    assert reason == "there was no champion before"
    assert version.tags["gristmill.data"] == DIGEST
    _, trial, evaluation = mill.evaluate(name)
    assert version.tags["gristmill.trial"] == trial.key
    assert version.metrics == {m.name: m.value for m in evaluation.metrics}
    assert not evaluation.scored


def test_a_model_without_a_champion_is_held_if_it_is_no_better_than_the_baselines(
    mill: Mill,
) -> None:
    project = mill.project
    frame = table(150, "kind")
    frame["kind"] = frame["kind"].sample(frac=1, random_state=0).to_numpy()  # nothing to learn
    make_data(project, write_experiment(project, "noise"), frame=frame)
    mill.train("noise")
    noise = mill.register("noise")
    assert (noise.decision.outcome, noise.champion) == ("hold", None)
    assert "not shown to be better than the dummy" in str(noise.decision)
    assert any(reason.startswith("too few rows: ") for reason in noise.decision.reasons)

    make_data(project, write_experiment(project, "trees", **FOREST), frame=mixed(300))
    mill.train("trees", **FOREST)
    trees = mill.register("trees")
    assert (trees.decision.outcome, trees.champion) == ("hold", None)
    assert "better than the dummy: p " in str(trees.decision)
    assert trees.decision.reasons[-2].startswith("worse than the linear baseline: p ")
    write_experiment(project, "trees", **FOREST, gate={"baseline": False})
    again = mill.register("trees")
    assert (again.decision.outcome, again.champion) == ("promote", again.version)
    assert not any("linear" in reason for reason in again.decision.reasons)


def test_no_package_contains_a_pickle(mill: Mill) -> None:
    kept = [p for p in (mill.project.store / "artifacts").rglob("*") if p.is_file()]
    suffixes = {path.suffix for path in kept}
    assert ".keras" in suffixes
    assert not suffixes & {".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pt", ".h5"}
    for path in kept:
        assert not path.read_bytes().startswith((b"\x80\x04", b"\x80\x05")), path


STRANGER = """
import json, sys, warnings
import mlflow, pandas as pd
from fastapi.testclient import TestClient
from mlflow.pyfunc import scoring_server
store, rows, mixed = sys.argv[1:]
mlflow.set_tracking_uri(store)
load = lambda name: mlflow.pyfunc.load_model(f"models:/{name}@champion")
tiny, weights, by_hand = load("tiny"), load("weights"), load("by_hand")
rows = pd.read_parquet(rows)
kinds, mixed = load("kinds"), pd.read_json(mixed, dtype=False, convert_dates=False)
said = {
    "kinds": kinds.predict(mixed),
    "kinds without a column": kinds.predict(mixed.drop(columns=["when", "shop"])),
    "kinds with gaps": kinds.predict(mixed.assign(when=None, shop=None)),
    "a kind unseen": kinds.predict(mixed.assign(shop="shop 99", colour="grey")),
    "tiny": tiny.predict(rows),
    "weights": weights.predict(rows),
    "by_hand": by_hand.predict(rows),
    "turned": tiny.predict(rows[rows.columns[::-1]]),
    "more columns": tiny.predict(rows.assign(more=1.0)),
    "one row": tiny.predict(rows.head(1)),
    "no rows": tiny.predict(rows.head(0)),
    "whole numbers": tiny.predict(rows.dropna().astype({"height": "int32"})),
    "whole numbers as numbers": tiny.predict(rows.dropna()),
}
served = TestClient(scoring_server.init(tiny))
columns = {"width": [5, 6.5], "height": [3, None], "colour": ["red", None]}
one = json.loads(mixed.head(2).drop(columns="colour").to_json(orient="records"))
kind_served = TestClient(scoring_server.init(kinds)).post(
    "/invocations", json={"dataframe_records": one})
answer = served.post("/invocations", json={"dataframe_split": {
    "columns": list(columns), "data": list(zip(*columns.values()))}})
said["served"] = pd.DataFrame(answer.json()["predictions"])
said["kinds served"] = pd.DataFrame(kind_served.json()["predictions"])
said["kinds asked"] = kinds.predict(mixed.head(2).assign(colour=None))
said["asked"] = tiny.predict(pd.DataFrame(columns))
said = {name: json.loads(frame.to_json(orient="split")) for name, frame in said.items()}
try:
    tiny.predict(rows.drop(columns="width"))
except Exception as error:
    said["without width"] = str(error)
try:
    tiny.predict(rows.assign(width="wide"))
except Exception as error:
    said["text for width"] = str(error)
ours = {"gristmill"} & {name.partition(".")[0] for name in sys.modules}
print("\\n" + json.dumps(said | {"ours": sorted(ours)}))
"""


@pytest.fixture(scope="module")
def said(milled: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the answers of the packages in a process without this project."""
    folder = tmp_path_factory.mktemp("stranger")
    rows = plain_types(table(40, "kind", seed=5).drop(columns="kind"))
    rows.to_parquet(folder / "rows.parquet", index=False)
    environment = {
        **os.environ,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    store = f"sqlite:///{milled.store / 'mlflow.db'}"
    files = [str(folder / "rows.parquet"), str(folder / "mixed.json")]
    mixed(60, seed=5).to_json(files[1], orient="records", date_format="iso")
    command = [sys.executable, "-I", "-c", STRANGER, store, *files]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def frame_of(answers: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(answers["data"], columns=answers["columns"])


def test_packages_load_together_without_this_project(said: dict[str, Any]) -> None:
    assert said["ours"] == []
    tiny, weights, by_hand = (frame_of(said[n]) for n in ("tiny", "weights", "by_hand"))
    shares = [f"probability_{name}" for name in ("low", "middle", "top")]
    assert list(tiny.columns) == ["prediction", *shares]
    np.testing.assert_allclose(tiny[shares].sum(axis=1), 1, rtol=1e-5)
    assert list(tiny["prediction"]) == [
        name.removeprefix("probability_") for name in tiny[shares].idxmax(axis=1)
    ]
    assert list(weights.columns) == ["prediction"]
    truth = table(40, "weight", seed=5)["weight"]
    assert np.corrcoef(weights["prediction"], truth)[0, 1] > 0.8
    assert set(by_hand["prediction"]) <= {0, 1}
    assert list(by_hand.columns) == ["prediction", "probability_0", "probability_1"]


def test_answers_do_not_depend_on_the_order_or_the_number_of_columns_or_rows(
    said: dict[str, Any],
) -> None:
    assert said["turned"]["data"] == said["tiny"]["data"]
    assert said["more columns"]["data"] == said["tiny"]["data"]
    assert said["one row"]["data"][0][1:] == pytest.approx(said["tiny"]["data"][0][1:], rel=1e-5)
    assert said["no rows"]["data"] == []
    assert said["no rows"]["columns"] == said["tiny"]["columns"]


def test_integers_are_accepted_as_numbers(said: dict[str, Any]) -> None:
    assert said["whole numbers"]["data"] == said["whole numbers as numbers"]["data"]


def test_mlflows_scoring_protocol_accepts_integers_and_gaps_in_json(
    said: dict[str, Any],
) -> None:
    served, asked = frame_of(said["served"]), frame_of(said["asked"])
    pd.testing.assert_frame_equal(served[asked.columns], asked, rtol=1e-6)


def test_a_missing_column_and_text_in_a_number_column_are_errors(said: dict[str, Any]) -> None:
    assert "width" in said["without width"]
    assert "missing" in said["without width"]
    assert "width" in said["text for width"]


def test_rows_of_every_kind_are_predicted_in_the_unit_of_the_target(said: dict[str, Any]) -> None:
    answers = frame_of(said["kinds"])["prediction"]
    truth = mixed(60, seed=5)["y"]
    assert np.corrcoef(answers, truth)[0, 1] > 0.6
    assert abs(answers.mean() - truth.mean()) < 100
    assert np.isfinite(frame_of(said["a kind unseen"])["prediction"]).all()


BY_ARRAYS = """
import json, sys
import mlflow, pandas as pd
store, rows = sys.argv[1:]
mlflow.set_tracking_uri(store)
forest = mlflow.pyfunc.load_model("models:/forest@champion")
answers = forest.predict(pd.read_json(rows, dtype=False, convert_dates=False))
heavy = {"sklearn", "keras", "tensorflow", "gristmill"} & set(sys.modules)
print("\\n" + json.dumps([answers["prediction"].tolist(), sorted(heavy)]))
"""


def test_the_package_of_an_estimator_predicts_without_scikit_learn(
    milled: Project, tmp_path: Path
) -> None:
    frame = mixed(60, seed=5)
    frame.to_json(tmp_path / "mixed.json", orient="records", date_format="iso")
    store = f"sqlite:///{milled.store / 'mlflow.db'}"
    done = subprocess.run(
        [sys.executable, "-I", "-c", BY_ARRAYS, store, str(tmp_path / "mixed.json")],
        env={**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answers, heavy = json.loads(done.stdout.splitlines()[-1])
    assert heavy == []
    assert np.corrcoef(answers, frame["y"])[0, 1] > 0.8
    assert abs(np.mean(answers) - frame["y"].mean()) < 100
    (info,) = milled.store.glob("artifacts/forest/models/*/artifacts")
    needed = (info / "requirements.txt").read_text().split()
    assert {line.partition("==")[0] for line in needed} == {"mlflow", "numpy", "pandas", "pillow"}


def test_metrics_and_baselines_of_a_scaled_target_are_in_its_original_unit(mill: Mill) -> None:
    _, _, evaluation = mill.evaluate("kinds")
    deviation = mixed(300)["y"].std()
    assert deviation / 10 < evaluation.value("rmse") < deviation
    dummy = {metric.name: metric.value for metric in evaluation.baselines["dummy"]}
    assert dummy["rmse"] == pytest.approx(deviation, rel=0.3)
    assert dummy["r2"] == pytest.approx(0, abs=0.2)


def test_a_column_that_had_gaps_in_training_can_be_absent_also_when_served(
    said: dict[str, Any],
) -> None:
    assert said["kinds without a column"]["data"] == said["kinds with gaps"]["data"]
    served, asked = frame_of(said["kinds served"]), frame_of(said["kinds asked"])
    pd.testing.assert_frame_equal(served, asked, rtol=1e-6)


def test_score_names_absent_columns_read_as_missing_and_refuses_if_a_required_one_is_absent(
    mill: Mill, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gristmill.flows.scoring import score

    monkeypatch.chdir(mill.project.root)
    rows = mixed(40, seed=7).drop(columns="y")
    rows.drop(columns=["when", "shop"]).to_csv("part.csv", index=False)
    rows.assign(when=None, shop=None).to_csv("gaps.csv", index=False)
    for name in ("part", "gaps"):
        score("kinds", Path(f"{name}.csv"), None, None)
    assert "missing in every row: when, shop\n" in capsys.readouterr().out
    part, gaps = (pd.read_csv(f"{name}.scored.csv")["prediction"] for name in ("part", "gaps"))
    np.testing.assert_array_equal(part, gaps)
    rows.drop(columns="whole").to_csv("whole.csv", index=False)
    with pytest.raises(InputError, match=r"(?s)lacks columns.*without whole"):
        score("kinds", Path("whole.csv"), None, None)


def tampered(mill: Mill, name: str) -> None:
    file = mill.project.build(name) / "training" / "statistics.json"
    statistics = json.loads(file.read_text())
    statistics["numbers"][0]["offset"] += 1
    file.write_text(json.dumps(statistics))


def test_a_package_whose_predictions_differ_from_the_evaluation_is_not_registered(
    mill: Mill,
) -> None:
    tampered(mill, "tiny")
    with pytest.raises(
        EnvironmentFault, match=r"(?s)its predictions differ from the evaluation's.*nothing was"
    ):
        mill.register("tiny")
    assert [v.number for v in versions(mill.project, "tiny")] == ["1"]


def test_a_package_that_cannot_be_loaded_is_not_registered(mill: Mill) -> None:
    experiment, trial, evaluation = mill.evaluate("tiny")
    tampered(mill, "tiny")
    broken = mill.project.root / "broken.keras"
    broken.write_bytes(b"no model")
    with (
        Tracker(mill.project, "tiny"),
        pytest.raises(EnvironmentFault, match=r"(?s)does not work in a fresh process.*keras"),
    ):
        package_candidate(
            mill.project, experiment, trial, replace(evaluation, model=broken), mill.rehearsal
        )
    assert len(versions(mill.project, "tiny")) == 1


def test_a_champion_whose_run_was_killed_keeps_the_decision_that_promoted_it(
    mill: Mill,
) -> None:
    old = champion_of(mill, "tiny")
    first = {"gristmill.decision": "promote", "gristmill.reasons": "it is better; by far"}
    tag_version(mill.project, old, {**first, "gristmill.run": "k"})
    again = mill.register("tiny", key="k", cut="k")
    assert (again.version, again.decision.outcome) == (old.number, "promote")
    assert again.decision.reasons == ("it is better", "by far")
    assert champion_of(mill, "tiny").tags["gristmill.decision"] == "promote"
    other = mill.register("tiny", key="k", cut="another")
    assert other.decision.reasons == ("this version is already the champion",)


def test_a_known_package_is_not_registered_again(mill: Mill) -> None:
    made = mill.register("tiny")
    assert (made.version, made.champion, made.decision.outcome) == ("1", "1", "hold")
    assert made.decision.reasons == ("this version is already the champion",)
    assert len(versions(mill.project, "tiny")) == 1
    assert champion_of(mill, "tiny").tags["gristmill.decision"] == "promote"


def test_a_longer_budget_gives_another_package(mill: Mill) -> None:
    mill.train("tiny", training={"epochs": 60})
    made = mill.register("tiny")
    assert made.version == "2"
    assert "of version 1 on 30 rows" in str(made.decision)
    again = mill.register("tiny")
    assert again.version == "2"


def test_a_champion_that_no_longer_meets_a_requirement_is_rejected(mill: Mill) -> None:
    write_experiment(mill.project, "tiny", gate={"require": {"accuracy": {"min": 1.1}}})
    made = mill.register("tiny")
    assert made.decision.outcome == "reject"
    assert made.champion == "1"  # the alias does not move


def test_a_candidate_that_wins_the_comparison_becomes_champion(mill: Mill) -> None:
    gate = {"champion": {"metric": "log_loss", "confidence": 0.7}}
    mill.train("tiny", training={"epochs": 60}, gate=gate)
    made = mill.register("tiny")
    assert made.decision.outcome == "promote", made.decision
    assert made.champion == made.version == "2"
    now = champion(mill.project, "tiny")
    assert now is not None
    assert now.number == "2"


def test_an_earlier_champion_that_is_judged_again_keeps_its_promotion(
    mill: Mill, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = {"champion": {"metric": "log_loss", "confidence": 0.7}}
    mill.train("tiny", training={"epochs": 60}, gate=gate)
    assert mill.register("tiny").champion == "2"
    mill.train("tiny", gate={"require": {"accuracy": {"min": 1.1}}, "baseline": False})
    again = mill.register("tiny")
    assert (again.version, again.champion, again.decision.outcome) == ("1", "2", "reject")
    assert versions(mill.project, "tiny")[1].tags["gristmill.decision"] == "promote"
    monkeypatch.chdir(mill.project.root)
    screen.show_history("tiny", "2")
    shown = capsys.readouterr().out
    assert "champion" in shown
    assert len(re.findall(r"(?m)^20\d\d-", shown)) == 1
    tag_version(mill.project, versions(mill.project, "tiny")[1], {"gristmill.decision": "reject"})
    screen.rollback("tiny")
    assert "the gate had rejected it" in capsys.readouterr().out


BETTER = {
    "training": {"epochs": 60},
    "gate": {"champion": {"metric": "log_loss", "confidence": 0.7}},
}


def registered_like(mill: Mill, version: Any) -> str:
    """Register another version of the same package, from another run; return its number."""
    tags = {key: text for key, text in version.tags.items() if key != "gristmill.package"}
    made = register(mill.project, "tiny", version.source, version.run_id, tags)
    return made.number


def test_a_candidate_is_held_if_the_champion_moved_while_it_was_judged(
    mill: Mill,
) -> None:
    mill.train("tiny", **BETTER)
    other = registered_like(mill, champion_of(mill, "tiny"))
    aside = lambda: client(mill.project).set_registered_model_alias("tiny", "champion", other)  # noqa: E731
    made = mill.register("tiny", meanwhile=aside)
    assert (made.decision.outcome, made.champion, made.overtaken) == ("hold", other, True)
    assert "moved in the meantime" in made.decision.reasons[-1]
    assert versions(mill.project, "tiny")[0].tags["gristmill.decision"] == "hold"
    assert mill.register("tiny").champion == made.version  # the next run judges it again


def test_of_two_simultaneous_promotions_the_second_is_judged_against_the_first(
    mill: Mill,
) -> None:
    mill.train("tiny", **BETTER)
    same = registered_like(mill, champion_of(mill, "tiny"))
    mill.register(
        "tiny",
        meanwhile=lambda: promote(mill.project, "tiny", same, "better", Basis("superiority")),
    )
    moves = history(mill.project, "tiny")
    assert [(m["version"], m["by"]) for m in moves] == [
        ("1", "first"),
        (same, "superiority"),
        ("3", "superiority"),
    ]
    best = registered_like(mill, champion_of(mill, "tiny"))
    rollback(mill.project, "tiny")
    made = mill.register(
        "tiny",
        meanwhile=lambda: promote(mill.project, "tiny", best, "better", Basis("superiority")),
    )
    assert (made.decision.outcome, made.champion) == ("hold", best)
    assert f"version {best}" in " ".join(made.decision.reasons)


def test_a_winning_candidate_waits_as_challenger_if_a_person_approves(mill: Mill) -> None:
    mill.train("tiny", **{**BETTER, "gate": {**BETTER["gate"], "approve": "manual"}})
    made = mill.register("tiny")
    assert (made.decision.outcome, made.champion) == ("challenger", "1")
    assert versions(mill.project, "tiny")[0].aliases == ("challenger",)
    last = history(mill.project, "tiny")[-1]
    assert (last["kind"], last["version"]) == ("challenger", "2")
    assert last["evidence"]["reasons"] == list(made.decision.reasons)


def test_the_gate_does_not_promote_a_version_rejected_by_a_person(mill: Mill) -> None:
    mill.train("tiny", **BETTER)
    mill.register("tiny")
    rollback(mill.project, "tiny")
    set_aside(mill.project, "tiny", "2", "reject", "unfair to the young")
    made = mill.register("tiny")
    assert (made.decision.outcome, made.champion) == ("hold", "1")
    assert "has rejected it: unfair to the young" in made.decision.reasons[-1]


def test_a_registry_that_fails_at_the_last_moment_leaves_nothing_unfinished(mill: Mill) -> None:
    mill.train("tiny", **BETTER)
    database = local_database(mill.project)

    def down() -> None:
        with closing(sqlite3.connect(database)) as opened:
            opened.execute("ALTER TABLE model_versions RENAME TO gone")

    with pytest.raises(EnvironmentFault, match=r"(?s)cannot be read.*model_versions"):
        mill.register("tiny", meanwhile=down)
    with closing(sqlite3.connect(database)) as opened:
        opened.execute("ALTER TABLE gone RENAME TO model_versions")
    assert champion_of(mill, "tiny").number == "1"
    assert len(history(mill.project, "tiny")) == 1
    made = mill.register("tiny")
    assert (made.decision.outcome, made.champion) == ("promote", made.version)


def test_a_rejected_candidate_is_registered_and_the_champion_stays(mill: Mill) -> None:
    changes = {"training": {"seed": 4}, "gate": {"require": {"accuracy": {"min": 1.1}}}}
    mill.train("tiny", **changes)
    made = mill.register("tiny")
    assert (made.version, made.champion, made.decision.outcome) == ("2", "1", "reject")
    assert versions(mill.project, "tiny")[0].tags["gristmill.decision"] == "reject"


def change(file: Path) -> Path:
    file.write_bytes(file.read_bytes() + b" ")
    return file


def inner_folder(mill: Mill, name: str) -> Path:
    return model_folder(mill, name) / "artifacts" / "artifacts" / "package"


def test_a_version_stores_the_digest_of_the_files_that_were_tested(mill: Mill) -> None:
    for name in MODELS:
        version = champion_of(mill, name)
        files = run_folder(mill, name) / "artifacts" / "lineage" / "package.sha256"
        assert version.tags["gristmill.files"] == file_digest(files)
        folder = model_folder(mill, name) / "artifacts"
        done = subprocess.run(
            ["sha256sum", "--check", "--strict", str(files)], cwd=folder, capture_output=True
        )
        assert done.returncode == 0, done.stdout
        require_unchanged(mill.project, version)


def test_a_changed_package_is_neither_loaded_nor_promoted_and_its_files_are_named(
    mill: Mill,
) -> None:
    now = champion_of(mill, "by_hand")
    folder = inner_folder(mill, "by_hand")
    (folder / "modules" / "a_models.py").write_text("raise SystemExit('executed')")
    (folder / "model.keras").unlink()
    (folder / "modules" / "more.py").symlink_to("/etc/passwd")
    words = (
        r"package of by_hand version 1 was changed after it was registered\n"
        r".*\n.*found .*/model.keras missing, .*/a_models.py changed, .*/more.py added\n"
        r".*gristmill promote by_hand --version N"
    )
    with (
        pytest.raises(PackageChanged, match=words),
        loaded_version(mill.project, now),
    ):
        pytest.fail("loaded")
    with pytest.raises(PackageChanged, match="was changed"):
        mill.rehearsal.answer(now, pd.DataFrame())
    tag_version(mill.project, champion_of(mill, "tiny"), {"gristmill.by": "non-inferiority"})
    change(inner_folder(mill, "tiny") / "statistics.json")
    with pytest.raises(PackageChanged, match=r"statistics\.json changed"):
        promote(mill.project, "tiny", "1", "vouched for")
    assert len(history(mill.project, "tiny")) == 1


def test_what_python_and_mlflow_write_into_a_package_is_no_change_and_is_not_executed(
    mill: Mill,
) -> None:
    folder = inner_folder(mill, "by_hand")
    cache = folder / "modules" / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "a_models.cpython-311.pyc").write_bytes(b"anything")
    (folder.parent.parent / "registered_model_meta").write_text("model_name: another")
    with loaded_version(mill.project, champion_of(mill, "by_hand")) as (model, notes):
        assert notes == []
        assert model.unwrap_python_model().statistics["target"] == "flag"


def test_a_rollback_to_a_changed_package_is_refused(mill: Mill) -> None:
    mill.train("tiny", training={"seed": 4})
    second = mill.register("tiny").version
    promote(mill.project, "tiny", second)
    (first,) = (v for v in versions(mill.project, "tiny") if v.number == "1")
    folder = package_folder(mill.project, first)
    assert folder is not None
    change(folder / "package_code.py")
    with pytest.raises(PackageChanged, match=r"package_code\.py changed"):
        rollback(mill.project, "tiny")
    assert champion_of(mill, "tiny").number == second != first.number


def test_a_changed_champion_is_not_compared_and_its_package_is_registered_anew(
    mill: Mill,
) -> None:
    change(inner_folder(mill, "tiny") / "transform.py")
    made = mill.register("tiny")
    assert (made.version, made.champion, made.decision.outcome) == ("2", "1", "reject")
    assert "version 1, cannot be compared: the package of tiny version 1 was changed" in str(
        made.decision
    )
    promote(mill.project, "tiny", "2", "the same recipe")
    assert mill.register("tiny").version == "2"


def test_a_version_of_an_earlier_release_is_used_and_said_to_have_no_digest(mill: Mill) -> None:
    client(mill.project).delete_model_version_tag("tiny", "1", "gristmill.files")
    change(inner_folder(mill, "tiny") / "transform.py")
    with loaded_version(mill.project, champion_of(mill, "tiny")) as (_, notes):
        words = "was registered without a digest of its files: changes cannot be noticed"
        assert notes == [f"tiny version 1 {words}"]


def champion_of(mill: Mill, name: str) -> Any:
    found = champion(mill.project, name)
    assert found is not None
    return found


def test_the_champions_predictions_are_read_from_the_store(mill: Mill) -> None:
    experiment, _, evaluation = mill.evaluate("tiny")
    wanted = read_predictions(evaluation.predictions)
    turned = wanted.rows(np.arange(len(wanted.identity))[::-1])
    nobody = Rehearsal(mill.project)  # never started
    champion_now = champion_of(mill, "tiny")
    shutil.rmtree(model_folder(mill, "tiny"))
    ground = replace(ground_of(mill.project, experiment, evaluation, nobody), mine=turned)
    made = champion_predictions(ground, champion_now, stored_answers(mill.project, champion_now))
    np.testing.assert_array_equal(made.outputs, turned.outputs)
    np.testing.assert_array_equal(made.identity, turned.identity)
    assert nobody._process is None


def test_only_rows_without_stored_predictions_are_sent_to_the_champions_package(
    mill: Mill,
) -> None:
    experiment, _, evaluation = mill.evaluate("tiny")
    first = read_predictions(evaluation.predictions)
    known = first.rows(np.arange(20))
    marked = replace(known, outputs=np.full((20, 3), 1 / 3))  # predictions of no package
    now = champion_of(mill, "tiny")
    write_predictions(next(run_folder(mill, "tiny").rglob("predictions.parquet")), marked)
    ground = ground_of(mill.project, experiment, evaluation, mill.rehearsal)
    made = champion_predictions(ground, now, stored_answers(mill.project, now))
    np.testing.assert_array_equal(made.outputs[:20], marked.outputs)
    np.testing.assert_allclose(made.outputs[20:], first.outputs[20:], rtol=1e-4)
    assert made.classes == first.classes
    np.testing.assert_array_equal(made.truth, first.truth)


def model_folder(mill: Mill, name: str) -> Path:
    (folder,) = (mill.project.store / "artifacts" / name / "models").iterdir()
    return folder


def run_folder(mill: Mill, name: str) -> Path:
    return mill.project.store / "artifacts" / name / champion_of(mill, name).run_id


def other_classes(mill: Mill) -> None:
    stored = next(run_folder(mill, "tiny").rglob("predictions.parquet"))
    frame = pd.read_parquet(stored).rename(columns={"probability_low": "probability_tiny"})
    frame.to_parquet(stored)


def broken_answers(mill: Mill) -> None:
    next(run_folder(mill, "tiny").rglob("predictions.parquet")).write_bytes(b"no table")


def no_answers(mill: Mill) -> None:
    shutil.rmtree(run_folder(mill, "tiny"))


def broken_package(mill: Mill) -> None:
    """All test rows have stored predictions; the package must work nevertheless."""
    next(model_folder(mill, "tiny").rglob("model.keras")).write_bytes(b"no model")


def broken_package_without_digest(mill: Mill) -> None:
    client(mill.project).delete_model_version_tag("tiny", "1", "gristmill.files")
    broken_package(mill)


def no_package_for_new_rows(mill: Mill) -> None:
    shutil.rmtree(model_folder(mill, "tiny"))
    make_data(mill.project, load_experiment(mill.project, "tiny"), seed=3)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (no_answers, "predictions.parquet of run .* is not in the store"),
        (broken_answers, "cannot be compared"),
        (other_classes, "it has different classes: .*tiny"),
        (broken_package, "was changed after it was registered: .*model.keras changed"),
        (broken_package_without_digest, "does not work in a fresh process"),
        (no_package_for_new_rows, "the package of tiny version 1 is not in the store"),
    ],
)
def test_if_the_champion_cannot_be_compared_it_stays_and_the_candidate_is_rejected(
    mill: Mill, harm: Any, reason: str
) -> None:
    harm(mill)
    mill.train("tiny", training={"seed": 7})
    made = mill.register("tiny")
    assert (made.decision.outcome, made.champion, made.version) == ("reject", "1", "2")
    assert str(made.decision).startswith("reject: the champion, version 1, cannot be compared: ")
    assert re.search(reason, str(made.decision))


def test_a_champion_is_compared_on_newer_rows_through_its_package(mill: Mill) -> None:
    make_data(mill.project, load_experiment(mill.project, "tiny"), rows=240, seed=3)
    mill.train("tiny", training={"seed": 7})
    made = mill.register("tiny")
    assert "of version 1 on 48 rows" in str(made.decision)


def test_a_package_accepts_columns_of_any_type_and_never_the_target(mill: Mill) -> None:
    import mlflow

    example = mlflow.models.Model.load(str(model_folder(mill, "tiny") / "artifacts"))
    inputs = {spec.name: spec for spec in example.signature.inputs}
    assert {name: str(spec.type) for name, spec in inputs.items()} == {
        "width": "Any",
        "height": "Any",
        "colour": "Any",
    }


@pytest.mark.parametrize(
    ("classes", "kinds"),
    [
        (["no", "yes"], {"prediction": "string", "probability_no": "double"}),
        ([3, 4, 5], {"prediction": "long", "probability_3": "double"}),
        ([False, True], {"prediction": "boolean", "probability_false": "double"}),
        ([0.5, 1.5], {"prediction": "double", "probability_0.5": "double"}),
        (None, {"prediction": "double"}),
    ],
)
def test_a_signature_names_the_columns_of_the_packages_answers(
    classes: list[Any] | None, kinds: dict[str, str]
) -> None:
    from gristmill.pipelines.preparation.features.transforms import answers

    number = {"name": "width", "offset": 0.0, "factor": 1.0, "fill": 0.0, "indicator": False}
    statistics = {"numbers": [number], "columns": [], "classes": classes}
    made = {c.name: c.type.name for c in _signature(statistics).outputs}
    shown = answers(np.full((1, len(classes or [0])), 0.5), statistics)
    assert list(made) == list(shown.columns)
    assert kinds.items() <= made.items()


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.Series([1, None], dtype="Int64"), [1.0, np.nan]),
        (pd.Series([1, 2], dtype="int32"), [1.0, 2.0]),
        (pd.Series([True, None], dtype="boolean"), ["true", None]),
        (pd.Series(["a", None], dtype="string"), ["a", None]),
        (pd.Series([0.5, None], dtype="Float64"), [0.5, np.nan]),
    ],
)
def test_raw_rows_have_the_types_of_the_signature(column: Any, expected: list[Any]) -> None:
    made = plain_types(pd.DataFrame({"x": column}))["x"]
    assert made.dtype == ("float64" if isinstance(expected[0], float) else "object")
    pd.testing.assert_series_equal(made, pd.Series(expected, name="x", dtype=made.dtype))


def test_a_package_is_identified_by_its_address(mill: Mill) -> None:
    mill.train("tiny", training={"seed": 9})
    experiment, trial, evaluation = mill.evaluate("tiny")
    with Tracker(mill.project, "tiny"):
        made = package_candidate(mill.project, experiment, trial, evaluation, mill.rehearsal)
    assert isinstance(made, Package)
    assert made.address.startswith("models:/m-")
    rows = pd.read_parquet(mill.project.build("tiny") / "test" / "rows.parquet")
    answers = mill.rehearsal.answer(made.address, plain_types(rows))
    stored: Predictions = read_predictions(evaluation.predictions)
    np.testing.assert_allclose(
        answers.filter(like="probability_"), stored.outputs, rtol=1e-4, atol=1e-5
    )


def judged(mill: Mill, **gate: Any) -> Decision:
    """Run the gate on a package that answers as the champion does but counts as another one."""
    experiment, _, evaluation = mill.evaluate("tiny")
    if gate:
        experiment = write_experiment(mill.project, "tiny", gate=gate)
    other = Package("models:/m-other", "another")
    return judge(ground_of(mill.project, experiment, evaluation, mill.rehearsal), other)


def stored_file(mill: Mill, name: str) -> Path:
    return next(run_folder(mill, "tiny").rglob(name))


def delete_champion(mill: Mill) -> None:
    from gristmill.pipelines.tracking import client

    client(mill.project).delete_model_version("tiny", "1")


def remove_alias(mill: Mill) -> None:
    from gristmill.pipelines.tracking import client

    client(mill.project).delete_registered_model_alias("tiny", "champion")


def other_target(mill: Mill) -> None:
    tag_version(mill.project, champion_of(mill, "tiny"), {"gristmill.target": "colour"})


def other_truth(mill: Mill) -> None:
    frame = pd.read_parquet(stored_file(mill, "predictions.parquet"))
    frame.assign(truth=(frame["truth"] + 1) % 3).to_parquet(
        stored_file(mill, "predictions.parquet")
    )


def not_numbers(mill: Mill) -> None:
    frame = pd.read_parquet(stored_file(mill, "predictions.parquet"))
    frame.loc[:1, "probability_low"] = np.nan
    frame.to_parquet(stored_file(mill, "predictions.parquet"))


def truncated_answers(mill: Mill) -> None:
    content = stored_file(mill, "predictions.parquet").read_bytes()
    stored_file(mill, "predictions.parquet").write_bytes(content[:-20])


def no_seen(mill: Mill) -> None:
    stored_file(mill, "seen.parquet").unlink()


def damaged_seen(mill: Mill) -> None:
    stored_file(mill, "seen.parquet").write_bytes(b"no table")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (
            delete_champion,
            "the champion, version 1, no longer exists: choose another with gristmill promote tiny",
        ),
        (remove_alias, "the champion, version 1, no longer exists"),
        (other_target, "it predicts colour, the candidate kind"),
        (other_truth, "it predicts another target: 30 of 30 rows"),
        (not_numbers, "its answers for 2 rows are not finite numbers"),
        (truncated_answers, "predictions.parquet of its run is damaged"),
        (no_seen, "seen.parquet of run .* is not in the store"),
        (damaged_seen, "seen.parquet of its run is damaged"),
    ],
)
def test_a_champion_that_cannot_be_read_is_not_treated_as_no_champion(
    mill: Mill, harm: Any, reason: str
) -> None:
    harm(mill)
    decision = judged(mill)
    assert decision.outcome == "reject"
    assert re.search(reason, str(decision)), decision


def test_the_split_of_an_old_champion_without_a_list_of_seen_rows_is_trusted_with_a_note(
    mill: Mill,
) -> None:
    from gristmill.pipelines.tracking import client

    client(mill.project).delete_model_version_tag("tiny", "1", "gristmill.seen")
    decision = judged(mill)
    assert decision.outcome == "hold"
    assert "version 1 has no list of the rows that it has seen" in str(decision)


def test_rows_that_the_champion_was_trained_on_do_not_count(mill: Mill) -> None:
    roles = mill.project.build("tiny") / "roles.parquet"
    frame = pd.read_parquet(roles)
    _, _, evaluation = mill.evaluate("tiny")
    tested = read_predictions(evaluation.predictions)
    assert "on 30 rows" in str(judged(mill))
    seen = read_seen(stored_file(mill, "seen.parquet"))
    more = replace(seen, hashes=np.unique([*seen.hashes, *tested.identity[:7]]).astype("uint64"))
    write_seen(stored_file(mill, "seen.parquet"), more)
    tags = {"gristmill.seen": file_digest(stored_file(mill, "seen.parquet"))}
    tag_version(mill.project, champion_of(mill, "tiny"), tags)
    assert "on 23 rows" in str(judged(mill))
    assert set(frame.loc[frame["role"] > 0, "identity"]) <= {*seen.hashes.tolist()}


def test_required_slices_and_unmeasurable_values_reject(mill: Mill) -> None:
    decision = judged(mill, slices={"colour": {}, "colour=red": {"min": 0.999}})
    assert decision.outcome in ("hold", "reject")
    assert {c["name"] for c in decision.record["slices"]} == {
        "colour=red", "colour=green", "colour=blue", "colour=<NA>",
    }  # fmt: skip
    decision = judged(mill, require={"latency_ms": {"max": 50}})
    assert str(decision) == "reject: latency_ms is required but was not measured"
    decision = judged(mill, slices={"color": {}})
    assert str(decision) == "reject: gate.slices: the data have no column 'color'"


def test_the_same_recipe_on_newer_data_is_promoted_if_it_is_not_worse(mill: Mill) -> None:
    """The version promoted before it stays the anchor of all such promotions."""
    fresh = {"champion": {"fresh_after": 0, "margin": 0.4}}
    for rows in (180, 210):
        experiment = write_experiment(mill.project, "tiny", gate=fresh)
        make_data(mill.project, experiment, rows=rows)
        mill.train("tiny", gate=fresh)
        made = mill.register("tiny")
        assert made.decision.by == "non-inferiority", made.decision
        assert made.champion == made.version
    now = champion_of(mill, "tiny")
    assert now.number == "3"
    assert "non-inferior to version 1 by a margin of 0.4" in str(made.decision)
    assert "non-inferior to version 2 by a margin of 0.4" in str(made.decision)
    assert [move["by"] for move in history(mill.project, "tiny")] == [
        "first", "non-inferiority", "non-inferiority",
    ]  # fmt: skip
    assert anchor(mill.project, now).number == "1"
    promote(mill.project, "tiny", None, "by hand")
    assert anchor(mill.project, champion_of(mill, "tiny")).number == "3"


def test_another_recipe_or_the_same_data_must_be_better(mill: Mill) -> None:
    fresh = {"champion": {"fresh_after": 0, "margin": 0.4}}
    assert "refresh" in str(judged(mill, **fresh).record["contest"])
    assert judged(mill, **fresh).record["contest"]["refresh"] is None  # the same rows
    experiment = write_experiment(mill.project, "tiny", gate=fresh, training={"seed": 5})
    make_data(mill.project, experiment, rows=180)
    assert recipe_digest(experiment) != champion_of(mill, "tiny").tags["gristmill.recipe"]


def test_a_stored_decision_is_shown_again(
    mill: Mill, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gristmill.commands.models import show

    monkeypatch.chdir(mill.project.root)
    gate = {"require": {"accuracy": {"min": 0.1, "of": "low"}}, "slices": {"colour=red": {}}}
    mill.train("tiny", training={"seed": 7}, gate=gate)
    made = mill.register("tiny")
    shutil.rmtree(mill.project.root / "build")
    show("tiny", made.version)
    said = capsys.readouterr().out
    contest = made.decision.record["contest"]
    for words in (
        *made.decision.reasons,
        "checks of the gate at α = 0.05",
        "colour=red",
        "accuracy: better",
        f"{contest['p']:.3f}",
        "by McNemar's mid-p on 30 rows",
        "power for a gain of",
    ):
        assert words in said, said
    show("tiny", "1")
    assert "there was no champion before" in capsys.readouterr().out
