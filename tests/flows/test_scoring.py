"""Input of `score`: the declared CSV dialect, and the column types that the model expects."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gristmill.flows.scoring import (
    Surprises,
    _beside,
    _beside_answers,
    _require_seen,
    _Scored,
    as_written,
    read_pictures,
    read_rows,
)
from gristmill.pipelines.base.errors import DataInvalid, InputError, Problem
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.sections import Csv, Data, Feature, Features
from gristmill.pipelines.ingestion.readers import picture_folders as pictures
from gristmill.pipelines.ingestion.table import ingest_file
from gristmill.pipelines.preparation.features.column_fit import _date
from gristmill.pipelines.preparation.features.transforms import EMPTY, UNSEEN, Surprise
from gristmill.pipelines.tables.table_rows import TableRows
from tests.conftest import Run


def test_a_small_file_is_read_in_the_csv_dialect_of_its_experiment(tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    file.write_bytes("name;size\nMüller;1,234\n".encode("cp1252"))
    csv = Csv(delimiter=";", decimal=",", encoding="cp1252")
    data = Data(path="data/a/a.csv", target="size", task="regression", csv=csv)
    rows = read_rows(file, data, ["name"], ["size"])[0]
    assert rows.to_dict("records") == [{"name": "Müller", "size": 1.234}]


def test_rows_without_a_target_are_scored(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("name,size\na,1\nb,\n")
    data = Data(path="data/a/a.csv", target="size", task="regression")
    assert len(read_rows(tmp_path / "new.csv", data, ["name"], [])[0]) == 2


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_get_the_types_that_the_model_expects_regardless_of_their_values(
    tmp_path: Path, suffix: str
) -> None:
    frame = pd.DataFrame({"zip": ["12345", "67890"], "size": ["007", "8"], "open": [True, False]})
    if suffix == ".csv":
        frame.to_csv(tmp_path / "new.csv", index=False)
    else:
        frame.astype({"zip": "int64"}).to_parquet(tmp_path / "new.parquet")
    rows = read_rows(tmp_path / f"new{suffix}", None, ["zip", "open"], ["size"])[0]
    assert rows["zip"].tolist() == ["12345", "67890"]
    assert rows["size"].tolist() == [7, 8]
    assert rows["open"].tolist() == [True, False]


def test_text_in_a_number_column_is_left_for_the_model_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("a,b\nx,1\n")
    assert read_rows(tmp_path / "new.csv", None, [], ["a", "b"])[0]["a"].tolist() == ["x"]


def surprise(name: str, what: str, rows: list[int], *examples: str) -> Surprise:
    return Surprise(name, what, np.array(rows, dtype=bool), list(examples))


def test_values_unseen_in_training_are_counted_and_refused_above_the_declared_share() -> None:
    made = Surprises()
    made.add(
        4, [surprise("plan", UNSEEN, [1, 1, 0, 0], "BASIC"), surprise("age", EMPTY, [0, 0, 1, 1])]
    )
    made.add(2, [surprise("plan", UNSEEN, [0, 1]), surprise("city", UNSEEN, [0, 1], "X")])
    lines = [
        "plan: 3 of 6 rows have values unseen in training: BASIC, …",
        "age: 2 of 6 rows have no value, which training always had",
        "city: 1 of 6 rows have values unseen in training: X, …",
    ]
    assert made.lines() == lines
    for most in (None, 0.5, 0.9):
        _require_seen(made, most, "experiments/a.yaml")
    for most in (0.0, 0.4):
        with pytest.raises(
            DataInvalid, match="3 of 6 rows have values unseen in training"
        ) as error:
            _require_seen(made, most, "experiments/a.yaml")
        assert error.value.exit_code == 2
        assert lines[0] in error.value.found


NAIVE, ZONED = ["2026-01-31 10:00", None], ["2026-01-31T10:00+09:00", "2026-01-31T10:00Z"]
OFFSETS = {
    "naive twice": (NAIVE, NAIVE, ""),
    "zoned twice": (ZONED, ZONED, ""),
    "zoned now": (NAIVE, ZONED, "t: converted to UTC by the offsets of the dates; training had"),
    "naive now": (ZONED, NAIVE, "t: dates without an offset read as UTC; training had offsets"),
}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("kind", OFFSETS)
def test_dates_with_an_offset_only_now_or_only_in_training_are_named(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    then, now, words = OFFSETS[kind]
    for name, dates in (("then", then), ("now", now)):
        frame = pd.DataFrame({"t": dates, "x": [1, 2]})
        if suffix == ".csv":
            frame.to_csv(tmp_path / f"{name}.csv", index=False)
        elif suffix == ".jsonl":
            frame.to_json(tmp_path / f"{name}.jsonl", orient="records", lines=True)
        else:
            frame["t"] = pd.to_datetime(frame["t"], format="ISO8601", utc=dates is ZONED)
            frame.to_parquet(tmp_path / f"{name}.parquet")
    ingest_file(tmp_path / f"then{suffix}", tmp_path / "table.parquet")
    rows = TableRows(tmp_path / "table.parquet")
    column = _date(rows, "t", Feature(kind="date"), Features())
    assert not isinstance(column, Problem)
    found = [*about_offsets_of(tmp_path / f"now{suffix}", column)]
    assert len(found) == bool(words)
    assert all(line.startswith(words) for line in found)


def about_offsets_of(file: Path, column: dict[str, Any]) -> list[str]:
    notes = read_rows(file, None, [], ["x"], [column])[1]
    return [note for note in notes if note.startswith("t: ")]


WRITTEN = """id,padded,when,code,price,flag,word,x
1925036343869802844,007,21.12.2023,1E5,"$1,200.50",TRUE,yes,0.50
,008,1.2.2024,2E10,$3.00,false,no,-1e-05
"""


@pytest.mark.parametrize("typed", [False, True])
def test_columns_are_returned_as_they_are_written(tmp_path: Path, typed: bool) -> None:
    file = tmp_path / "a.csv"
    file.write_text(WRITTEN)
    rows = read_rows(file, None, [], ["x"])[0]
    made = as_written(file, None, rows, typed=typed)
    expected = pd.read_csv(file, dtype=str)
    texts = ["padded", "when", "code", "price", "word"] + ["id", "flag", "x"] * (not typed)
    for name in texts:
        assert made[name].fillna("").tolist() == expected[name].fillna("").tolist()
    if typed:  # in Parquet
        assert made["id"].tolist() == [1925036343869802844, pd.NA]
        assert made["flag"].tolist() == [True, False]
        assert made["x"].tolist() == [0.5, -1e-05]


def scored(**columns: object) -> _Scored:
    answers = pd.DataFrame({"prediction": ["b"], "probability_a": [0.25]})
    return _Scored(pd.DataFrame(columns, index=[7]), answers, [], Surprises())


def test_a_scored_file_can_be_scored_again() -> None:
    made = scored(x=1, prediction="old", probability_a=1.0, probability_c=0.0)
    table, replaced = _beside_answers(made, ["x"])
    assert replaced == ["prediction", "probability_a"]
    assert table.to_dict("records") == [
        {"x": 1, "probability_c": 0.0, "prediction": "b", "probability_a": 0.25}
    ]
    with pytest.raises(InputError, match=r"(?s)names of its answers.*prediction.*exclude") as error:
        _beside_answers(made, ["prediction"])
    assert error.value.exit_code == 1


@pytest.mark.slow
def test_a_file_is_scored_whatever_the_form_of_its_names_and_levels(
    project: Project, gristmill: Run
) -> None:
    rng, place = np.random.default_rng(0), project.root / "in"
    place.mkdir()
    frame = pd.DataFrame({"\uc9c0\uc5ed": rng.choice(["\uc11c\uc6b8", "busan"], 400)})
    frame["x"] = rng.normal(size=400).round(3)
    frame["y"] = np.where((frame["x"] > 0) ^ (frame["\uc9c0\uc5ed"] == "busan"), "no ", "\uc608")
    frame["prediction"] = rng.normal(size=400).round(3)
    frame.to_csv(place / "nfc.csv", index=False)
    half = frame.map(lambda v: normalize("NFD", v) if isinstance(v, str) else v)
    half.to_csv(place / "half.csv", index=False)
    half.rename(columns=lambda name: normalize("NFD", name)).to_csv(place / "nfd.csv", index=False)
    upper = frame.assign(지역=frame["\uc9c0\uc5ed"].str.upper())
    upper.to_csv(place / "upper.csv", index=False)

    said = gristmill("new", "kr", "--data", "in/nfc.csv", "--target", "y", check=True).stdout
    assert "the name of an answer" in said
    file = project.experiment_file("kr")
    text = file.read_text()
    model, evaluation = text.index("parameters:"), text.index("evaluation:")
    forest = "model: {sklearn: RandomForestClassifier}\nscore: {unseen: 0.2}\n"
    file.write_text(text[:model] + forest + text[evaluation:])
    gristmill("run", "kr", check=True)
    answers = []
    for name in ("nfc", "nfd", "half"):
        done = gristmill("score", "kr", f"in/{name}.csv", "-o", f"{name}.csv", check=True)
        assert "replaced by answers: prediction" in done.stdout
        assert "unseen" not in done.stdout
        answers.append(pd.read_csv(project.root / f"{name}.csv").iloc[:, -3:])
        assert answers[-1].equals(answers[0])
    again = gristmill("score", "kr", "nfc.csv", "-o", "again.csv", check=True)
    assert "probability_no, probability_\uc608" in again.stdout
    assert (project.root / "again.csv").read_bytes() == (project.root / "nfc.csv").read_bytes()
    refused = gristmill("score", "kr", "in/upper.csv", "-o", "upper.csv")
    assert refused.returncode == 2
    assert "rows have values unseen in training: BUSAN" in refused.stderr
    assert not (project.root / "upper.csv").exists()


def model_of(**size: int) -> dict[str, Any]:
    """Return the statistics of a model of grey pictures of cats and dogs."""
    form = {"name": "picture", "channels": 1, **size}
    return {"picture": form, "target": "kind", "classes": ["cat", "dog"]}


def test_pictures_are_read_from_any_folder_and_converted_to_the_model_input(
    tmp_path: Path,
) -> None:
    form = model_of(height=2, width=3)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for place in ("a.png", "deep/er/b.png"):
        Image.new("RGB", (6, 4), "white").save(tmp_path / place)
    (rows,) = read_pictures(tmp_path, None, form, [])
    assert rows["path"].tolist() == ["a.png", "deep/er/b.png"]
    assert rows["picture"].tolist() == [b"\xff" * 6] * 2
    (alone,) = read_pictures(tmp_path / "a.png", None, form, [])
    assert alone["path"].tolist() == ["a.png"]


def test_labels_of_pictures_are_read_from_folders_or_a_csv(tmp_path: Path) -> None:
    model = model_of(height=2, width=3)
    for place in ("train/cat/a.png", "test/dog/b.png", "bird/c.png", "d.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3, 2)).save(tmp_path / place)
    (rows,) = read_pictures(tmp_path, None, model, [])
    assert dict(rows[["path", "kind"]].to_numpy()) == {
        "train/cat/a.png": "cat",
        "test/dog/b.png": "dog",
        "bird/c.png": "bird",
        "d.png": None,
    }
    (tmp_path / "other.csv").write_text("name,kind\nd.png,dog\n")
    (rows,) = read_pictures(tmp_path, None, model, [])
    assert rows["kind"].tolist() == ["bird", None, "dog", "cat"]
    (tmp_path / "other.csv").write_text("path,kind\nd.png,dog\nbird\\c.png,cat\n")
    (rows,) = read_pictures(tmp_path, None, model, [])
    assert rows["kind"].tolist() == ["cat", "dog", None, None]


def test_folders_that_are_no_classes_are_no_labels(tmp_path: Path) -> None:
    (tmp_path / "2026-01-31").mkdir()
    Image.new("L", (3, 2)).save(tmp_path / "2026-01-31" / "a.png")
    (rows,) = read_pictures(tmp_path, None, model_of(height=2, width=3), [])
    assert [*rows] == ["path", "picture"]


def test_a_table_in_place_of_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,kind\na.png,cat\n")
    with pytest.raises(InputError, match="has no pictures"):
        next(read_pictures(tmp_path / "labels.csv", None, model_of(height=2, width=3), []))


def test_picture_arrays_are_scored_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "BLOCK", 8)
    np.savez(tmp_path / "a.npz", x=np.zeros((5, 2, 2), np.uint8), y=np.arange(5))
    form = model_of(height=2, width=2)
    blocks = [*read_pictures(tmp_path / "a.npz", None, form, [])]
    assert [len(block) for block in blocks] == [2, 2, 1]


def test_scores_are_never_written_into_the_pinned_data(project: Project) -> None:
    assert _beside(project, project.root / "data" / "a" / "b.csv") == Path("b.scored.csv")
    assert _beside(project, Path("/tmp/b.csv.gz")) == Path("/tmp/b.scored.csv")
