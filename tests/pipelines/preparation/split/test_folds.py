"""Folds: assignment of rows, scaling, and refused settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import make_project, table, write_experiment

from gristmill.pipelines.base.errors import ConfigError, DataInvalid
from gristmill.pipelines.base.files import read_json
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.sections import Split
from gristmill.pipelines.preparation.features.prepare import scale
from gristmill.pipelines.preparation.features.statistics import fit_statistics
from gristmill.pipelines.preparation.split.assignment import Assigned, assign, split_table
from gristmill.pipelines.preparation.split.cuts_file import (
    TEST,
    TRAINING,
    Cuts,
    read_cuts,
    write_cuts,
)
from gristmill.pipelines.preparation.split.hashed import fold_cuts
from gristmill.pipelines.preparation.split.role_checks import fold_notes, require_folds
from gristmill.pipelines.tables.table_rows import TableRows

seeds = st.integers(0, 2**31)
counts = st.integers(2, 20)


def rows(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return pd.DataFrame(
        {
            "x": x,
            "g": rng.choice([f"group {i}" for i in range(30)], n),
            "part": np.where(x > 0.8, "test", np.where(x > 0.5, "valid", "train")),
            "y": rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1]),
        }
    )


def assigned(frame: pd.DataFrame, rule: Split, old: Cuts | None = None) -> Assigned:
    made = assign(TableRows(pa.Table.from_pandas(frame)), "y", ["x"], rule, "classification", old)
    assert (made.folds is None) == (rule.folds is None)
    return made


def folds_in(made: Assigned) -> npt.NDArray[np.int8]:
    assert made.folds is not None
    return made.folds


@given(st.integers(0, 300), counts, st.floats(0.01, 0.9), seeds)
def test_the_fold_sizes_of_a_stratum_differ_by_at_most_one_row(
    n: int, folds: int, test: float, seed: int
) -> None:
    u = np.random.default_rng(seed).random(n)
    cuts = fold_cuts(u, test, folds)
    assert len(cuts) == folds
    assert list(cuts) == sorted(cuts)
    sizes = np.bincount(np.searchsorted(cuts, u, side="right"), minlength=folds + 1)
    assert sizes.sum() == n
    assert np.ptp(sizes[1:]) <= 1


@given(seed=seeds, folds=counts, stratify=st.booleans())
def test_each_row_is_in_one_fold_or_in_the_same_test_set_as_without_folds(
    seed: int, folds: int, stratify: bool
) -> None:
    frame = rows(250, seed)
    made = assigned(frame, Split(folds=folds, stratify=stratify))
    plain = assigned(frame, Split(stratify=stratify))
    fold = folds_in(made)
    assert ((made.roles == TEST) == (plain.roles == TEST)).all()
    assert set(made.roles) == {TEST, TRAINING}
    assert ((fold == -1) == (made.roles == TEST)).all()
    assert fold.max() < folds
    for label in set(frame["y"]) if stratify else ():
        mine = fold[(frame["y"] == label) & (fold >= 0)]
        assert np.ptp(np.bincount(mine, minlength=folds)) <= 1


WAYS = [Split(folds=4), Split(folds=4, group="g"), Split(folds=4, test="given", given="part")]


@pytest.mark.parametrize("rule", WAYS, ids=["hash", "group", "given"])
@settings(max_examples=15)  # each example tries a thousand seeds
@given(seed=seeds)
def test_appending_deleting_and_reordering_rows_moves_no_row_to_another_fold(
    rule: Split, seed: int
) -> None:
    frame, more = rows(120, seed), rows(60, seed + 1)
    made = assigned(frame, rule)
    other = pd.concat([frame, more]).sample(frac=0.9, random_state=seed)
    again = assigned(other, rule, made.cuts)
    before, after = (
        dict(zip(of["x"], folds_in(a), strict=True)) for of, a in ((frame, made), (other, again))
    )
    both = before.keys() & after.keys()
    assert both
    assert {x: before[x] for x in both} == {x: after[x] for x in both}


@settings(max_examples=15)
@given(seed=seeds)
def test_all_rows_of_a_group_are_in_one_fold(seed: int) -> None:
    frame = rows(200, seed)
    made = assigned(frame, Split(folds=3, group="g"))
    assert frame.assign(fold=made.folds).groupby("g")["fold"].nunique().max() == 1
    assert set(folds_in(made)) == {-1, 0, 1, 2}
    assert made.notes[0].startswith(f"{frame['g'].nunique()} groups, each whole in one fold: ")


def test_given_test_rows_are_kept_and_all_others_are_in_folds() -> None:
    frame = rows(200, 1)
    made = assigned(frame, Split(folds=5, test="given", given="part"))
    assert ((made.roles == TEST) == (frame["part"] == "test")).all()
    assert np.bincount(folds_in(made)[made.roles != TEST]).min() > 20


def test_the_cuts_of_folds_are_read_back_unchanged(tmp_path: Path) -> None:
    made = assigned(rows(100, 2), Split(folds=7))
    file = tmp_path / "tiny.split.json"
    write_cuts(file, made.cuts)
    assert read_cuts(file) == made.cuts
    assert "validation" not in made.cuts.rule
    content = read_json(file)
    content["cuts"]["a"].pop()
    file.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="6 cuts of a stratum instead of 7"):
        read_cuts(file)


def test_another_number_of_folds_gives_new_cuts() -> None:
    frame = rows(100, 2)
    made = assigned(frame, Split(folds=3))
    again = assigned(frame, Split(folds=5), made.cuts)
    assert (again.folds == assigned(frame, Split(folds=5)).folds).all()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"folds": 5, "validation": 0.2},
            "remove validation: each fold is used once for validation",
        ),
        ({"folds": 5, "time": {"column": "when"}}, "folds and time cannot be combined"),
        ({"folds": 1}, "split.folds"),
        ({"folds": 21}, "split.folds"),
    ],
)
def test_invalid_fold_settings_are_refused(
    tmp_path: Path, section: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        write_experiment(make_project(tmp_path / "project"), split=section)


def test_a_fold_without_rows_is_refused() -> None:
    with pytest.raises(DataInvalid, match="none for fold 1 of 3 rows"):
        require_folds(np.array([-1, 0, 2], np.int8), 3)


def test_a_class_in_only_one_fold_is_refused_and_one_missing_in_a_fold_is_named() -> None:
    folds = np.array([-1, 0, 1, -1, 0, 1, 2, 0, 2, 2], np.int8)
    codes = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 2], np.int32)
    assert fold_notes(codes, ("a", "b", "c"), folds, 3) == [
        "classes that are not in test and every fold: a, c"
    ]
    folds[2] = 0
    with pytest.raises(DataInvalid, match=r"(?s)train on.*a: 3 rows.*rows in 1 fold"):
        fold_notes(codes, ("a", "b", "c"), folds, 3)


@pytest.fixture
def home(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def laid(home: Project, name: str, **changes: Any) -> Path:
    """Write the table of an experiment and return its build folder."""
    experiment = write_experiment(home, name, **changes)
    build = home.build(name)
    build.mkdir(parents=True, exist_ok=True)
    table(90, experiment.data.target).to_parquet(build / "table.parquet", index=False)
    return build


def test_cuts_are_shared_only_with_an_experiment_of_the_same_folds(home: Project) -> None:
    builds = [laid(home, "owner", split={"folds": 3})]
    builds.append(laid(home, "other", split={"folds": 3, "as": "owner"}))
    said = [str(split_table(home, name)) for name in ("owner", "other")]
    assert said[0].startswith("71 in 3 folds (")
    mine, theirs = (pd.read_parquet(build / "roles.parquet") for build in builds)
    pd.testing.assert_frame_equal(mine, theirs)
    laid(home, "other", split={"folds": None, "as": "owner"})
    with pytest.raises(ConfigError, match=r"(?s)folds: 3.*folds: none.*as: owner, folds: 3"):
        split_table(home, "other")


def test_a_fold_is_scaled_by_the_rows_of_the_other_folds_only(home: Project) -> None:
    build = laid(home, "tiny", split={"folds": 3})
    split_table(home, "tiny")
    scale(home, "tiny")
    roles = pd.read_parquet(build / "roles.parquet")
    frame = pd.read_parquet(build / "table.parquet")
    document = write_experiment(home, split={"folds": 3}).document
    for fold in range(3):
        folder = build / "training" / f"fold-{fold}"
        others = frame[(roles["fold"] >= 0) & (roles["fold"] != fold)]
        assert read_json(folder / "statistics.json") == fit_statistics(others, document)
        x = np.load(folder / "x_training.npy")
        assert len(x) == len(others)
        assert len(np.load(folder / "y_validation.npy")) == (roles["fold"] == fold).sum()
        np.testing.assert_allclose(x[:, 0].mean(), 0, atol=1e-6)
    whole = read_json(build / "training" / "statistics.json")
    assert whole == fit_statistics(frame[roles["fold"] >= 0], document)
    shapes = {
        file.name: len(np.load(file)) for file in sorted((build / "training").glob("[xy]_*.npy"))
    }
    learnt = int((roles["fold"] >= 0).sum())
    assert shapes == {
        "x_training.npy": learnt,
        "x_validation.npy": 0,
        "y_training.npy": learnt,
        "y_validation.npy": 0,
    }
    assert len(np.load(build / "test" / "x.npy")) == 90 - learnt
