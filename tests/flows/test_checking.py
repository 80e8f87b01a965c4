"""`gristmill check`: new rows of digits against the champion."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
import pytest

from gristmill.flows.checking import (
    DRIFTED,
    Checked,
    _about_labels,
    _labelled,
    _Seen,
    _shifted,
    check,
    examine,
)
from gristmill.pipelines.base.errors import ConfigError, EnvironmentFault, InputError
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.evaluation.labels import Threshold
from gristmill.pipelines.evaluation.predictions import Predictions
from gristmill.pipelines.registry.registered_models import require_champion
from gristmill.pipelines.tracking import client
from tests.conftest import Run

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")


@pytest.fixture
def digits(finished: Project) -> pd.DataFrame:
    return pd.read_csv(finished.root / "data" / "digits" / "digits.csv")


def shifted(table: pd.DataFrame) -> pd.DataFrame:
    """Return digits shifted one pixel to the right."""
    pixels = [name for name in table if name.startswith("pixel")]
    moved = table.copy()
    moved[pixels] = np.roll(table[pixels].to_numpy(), 1, axis=1)
    return moved


def examined(project: Project, rows: pd.DataFrame) -> Checked:
    rows.to_csv("rows.csv", index=False)
    return examine(project, require_champion(project, "digits"), Path("rows.csv"), "rows.csv")


def test_invalid_input_is_named_before_anything_is_loaded(finished: Project) -> None:
    (finished.root / "new.csv").write_text("a\n1\n")
    for model, file, said in (
        ("digits", "nowhere.csv", "the file to check does not exist"),
        ("digts", "new.csv", "there is no registered model 'digts'"),
        ("digits@7", "new.csv", "digits has no version 7"),
    ):
        with pytest.raises(ConfigError, match=said):
            check(model, Path(file))


def test_new_rows_are_classified_by_the_threshold_of_the_test_rows(
    tmp_path: Path,
) -> None:
    shares = np.linspace(0.05, 0.95, 200)
    outputs = np.stack([1 - shares, shares], axis=1)
    rows, truth = np.arange(200, dtype=np.uint64), (shares > 0.5).astype(int)
    tested = Predictions(rows, truth, outputs, ("no", "yes"), threshold=Threshold(0.2, 1))
    answers = pd.DataFrame({"probability_no": 1 - shares, "probability_yes": shares})
    assert [one.drifted for one in _shifted(tested, answers, tmp_path)] == [False, False]
    told = pd.read_parquet(tmp_path / "now.parquet")
    assert (told["prediction"] == np.where(shares >= 0.2, "yes", "no")).all()


@pytest.mark.parametrize(
    ("labels", "known", "unknown", "notes"),
    [
        ([0.0, "1", True, 2], 3, {"2": 1}, ["left out of the metrics: 1 (2)"]),
        (["0", None], 1, {}, []),
        ([None, None], 0, {}, ["no labels: performance was not measured"]),
        (
            ["2", "3", "3"],
            0,
            {"3": 2, "2": 1},
            ["none of the 3 labels is a class of the model: 3, 2", "classes of the model: 0, 1"],
        ),
    ],
)
def test_labels_are_known_by_their_value_and_others_are_counted(
    labels: list[object], known: int, unknown: dict[str, int], notes: list[str]
) -> None:
    rows = np.arange(len(labels), dtype=np.uint64)
    shares = np.full((len(labels), 2), 0.5)
    tested = Predictions(rows, np.zeros(len(labels)), shares, ("0", "1"))
    answers = pd.DataFrame({"probability_0": shares[:, 0], "probability_1": shares[:, 1]})
    given, found = _labelled(_Seen(answers, pd.Series(labels, dtype=object)), tested)
    assert (len(given.truth), dict(found)) == (known, unknown)
    said = list(_about_labels(known, found, tested.classes))
    assert [note in line for note, line in zip(notes, said, strict=True)] == [True] * len(notes)


def test_labels_that_resemble_a_class_are_named() -> None:
    said = list(_about_labels(0, Counter({"<=50K.": 140, ">50K.": 60}), ("<=50K", ">50K")))
    assert said[0].endswith("none of the 200 labels is a class of the model: <=50K., >50K.")
    assert said[1].endswith("<=50K. ~ <=50K, >50K. ~ >50K")


@pytest.mark.slow
def test_drift_is_found_in_a_shifted_file_but_not_in_an_equal_one_with_or_without_labels(
    finished: Project, digits: pd.DataFrame, gristmill: Run
) -> None:
    shifted(digits.sample(300, random_state=0)).to_csv("moved.csv", index=False)
    done = gristmill("check", "digits@champion", "moved.csv", env={"COLUMNS": "200"})
    assert done.returncode == DRIFTED, done.stderr
    assert "drifted: 4" in done.stdout
    assert "the predictions, performance (accuracy, f1_macro, log_loss)" in done.stdout
    (page,) = (finished.root / "build" / "check" / "digits").glob("moved-*/check.html")
    assert f"full report: {finished.relative(page)}" in done.stdout

    same = digits.sample(400, random_state=1)
    assert examined(finished, same).found == {"inputs": [], "predictions": [], "performance": []}
    bare = examined(finished, shifted(same).drop(columns="digit"))
    assert bare.found["inputs"]
    assert bare.found["predictions"] == ["prediction", "probability of the prediction"]
    assert (bare.performance, bare.labelled) == ((), 0)
    assert "no labels: performance was not measured" in bare.notes
    wrong = same.assign(digit=(same["digit"] + (np.arange(400) % 2)) % 10)  # every second label
    labels = examined(finished, wrong)
    assert labels.found["inputs"] == labels.found["predictions"] == []
    assert labels.found["performance"] == ["accuracy", "f1_macro", "log_loss"]


@pytest.mark.slow
def test_random_halves_of_the_data_and_the_test_rows_show_no_drift(
    finished: Project, digits: pd.DataFrame
) -> None:
    test = pd.read_parquet(finished.build("digits") / "test" / "rows.parquet")
    assert not examined(finished, test).drifted
    for seed in range(20):
        found = examined(finished, digits.sample(frac=0.5, random_state=seed))
        assert not found.drifted, (seed, found.found)


@pytest.mark.slow
def test_few_broken_or_odd_rows_are_listed_but_are_no_drift(
    finished: Project, digits: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    few = examined(finished, digits.sample(30, random_state=0))
    assert not few.drifted
    note = few.notes[0]
    assert note.startswith("30 rows: a PSI below ")
    assert note.endswith("to detect one of 0.1, 399 rows are enough")

    odd = digits.sample(400, random_state=1).assign(more="x").astype({"digit": "object"})
    odd.iloc[0, 0], odd.iloc[1, 0] = 99, -1  # outside the range in the schema
    odd.iloc[5, odd.columns.get_loc("digit")] = "kiwi"
    odd.iloc[6, odd.columns.get_loc("digit")] = None
    found = examined(finished, odd)
    assert not found.drifted
    assert found.labelled == 398
    listed = "\n".join(found.breaks)
    assert "more: not a column of the champion's data; left out" in listed
    assert "pixel_0_0: 16 or less; found 1 of the rows" in listed
    assert "digit: was number, is text; not compared" in listed
    unknown = "labels of classes unknown to the model, left out of the metrics: 1 (kiwi)"
    assert unknown in found.notes

    empty = examined(finished, digits.sample(400, random_state=1).assign(pixel_2_2=None))
    assert "pixel_2_2: no missing value; found 400 of the rows" in "\n".join(empty.breaks)
    assert empty.found["inputs"] == ["pixel_2_2"]

    odd.drop(columns="pixel_3_3").to_csv("lacks.csv", index=False)
    with pytest.raises(InputError, match=r"(?s)columns that the model was trained on.*pixel_3_3"):
        check("digits", Path("lacks.csv"))
    odd.assign(pixel_3_3="high").to_csv("text.csv", index=False)
    with pytest.raises(InputError, match=r"(?s)refuses these rows.*pixel_3_3.*high"):
        check("digits", Path("text.csv"))
    Path("broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="broken"):
        check("digits", Path("broken.parquet"))
    assert not list((finished.root / "build").glob("check/digits/*"))
    capsys.readouterr()
    digits.sample(400, random_state=1).to_parquet("same.parquet")
    assert check("digits@1", Path("same.parquet"), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["version"] == "1"


@pytest.mark.slow
def test_a_champion_with_missing_distributions_or_predictions_is_an_error(
    finished: Project, digits: pd.DataFrame
) -> None:
    run = require_champion(finished, "digits").run_id
    kept = Path(unquote(urlsplit(client(finished).get_run(run).info.artifact_uri).path))
    (kept / "predictions.parquet").unlink()
    with pytest.raises(EnvironmentFault, match=r"predictions.parquet .* is not in the store"):
        examined(finished, digits)
    shutil.rmtree(kept / "validation")
    with pytest.raises(EnvironmentFault, match=r"(?s)no stored distributions.*drift: \{severity"):
        examined(finished, digits)
