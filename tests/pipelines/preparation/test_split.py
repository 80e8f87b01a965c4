"""Split: exact shares at first, and afterwards no row changes its role."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import write_experiment

from gristmill.pipelines.base.errors import ConfigError, DataInvalid
from gristmill.pipelines.base.files import read_json
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.sections import Split
from gristmill.pipelines.ingestion.table import ingest
from gristmill.pipelines.preparation.features.prepare import scale
from gristmill.pipelines.preparation.split.assignment import Assigned, assign, split_table
from gristmill.pipelines.preparation.split.cuts_file import (
    TEST,
    TRAINING,
    VALIDATION,
    Cuts,
    read_cuts,
    write_cuts,
)
from gristmill.pipelines.preparation.split.hashed import BINS, SAFE, cut
from gristmill.pipelines.preparation.split.role_checks import class_notes, require_roles
from gristmill.pipelines.tables.table_rows import TableRows
from tests.conftest import make_project

Roles = npt.NDArray[np.int8]
FEATURES = ["x", "z"]
seeds = st.integers(0, 2**32 - 1)
shares = st.floats(0.15, 0.4).map(lambda share: round(share, 3))


def rows(n: int, seed: int, classes: int = 3) -> pd.DataFrame:
    """Return distinct rows, each with a class; `x` identifies them."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {"x": rng.normal(size=n), "z": rng.integers(0, 5, n), "y": np.arange(n) % classes}
    )


def table_of_few(n: int, seed: int) -> pd.DataFrame:
    """Return rows of which most are repeated."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {"x": rng.integers(0, 4, n), "z": rng.integers(0, 3, n), "y": ["a", "b"] * (n // 2)}
    )


def assigned(
    frame: pd.DataFrame,
    rule: Split,
    old: Cuts | None = None,
    task: Literal["classification", "regression"] = "classification",
) -> Assigned:
    rows = TableRows(pa.Table.from_pandas(frame, preserve_index=False))
    features = [column for column in frame if column not in ("y", "g", "when", "given_role")]
    return assign(rows, "y", features, rule, task, old)


def roles_of(
    frame: pd.DataFrame,
    rule: Split,
    old: Cuts | None = None,
    task: Literal["classification", "regression"] = "classification",
) -> tuple[Cuts, Roles]:
    made = assigned(frame, rule, old, task)
    return made.cuts, made.roles


def by_x(frame: pd.DataFrame, roles: Roles) -> dict[float, int]:
    return dict(zip(frame["x"].tolist(), roles.tolist(), strict=True))


def assert_exact(labels: Any, roles: Roles, rule: Split) -> None:
    """Check the shares of each class to one row."""
    for label in np.unique(labels):
        mine = roles[labels == label]
        assert abs(np.sum(mine == TEST) - rule.test * len(mine)) <= 0.5
        assert abs(np.sum(mine == VALIDATION) - rule.validation * len(mine)) <= 0.5


@given(n=st.integers(60, 300), seed=seeds, test=shares, validation=shares)
def test_the_shares_of_every_class_are_exact_to_one_row(
    n: int, seed: int, test: float, validation: float
) -> None:
    frame, rule = rows(n, seed), Split(test=test, validation=validation, seed=seed)
    _, roles = roles_of(frame, rule)
    assert_exact(frame["y"].to_numpy(), roles, rule)


@given(n=st.integers(60, 200), seed=seeds)
def test_without_stratification_the_shares_are_exact_over_all_rows(n: int, seed: int) -> None:
    frame, rule = rows(n, seed), Split(stratify=False, seed=seed)
    cuts, roles = roles_of(frame, rule)
    assert list(cuts.cuts) == ["all"]
    assert_exact(np.zeros(n), roles, rule)


@given(seed=seeds, data=st.data())
def test_appending_deleting_and_reordering_moves_no_row(seed: int, data: st.DataObject) -> None:
    frame, rule = rows(240, seed), Split(seed=data.draw(st.integers(0, 9)))
    cuts, roles = roles_of(frame, rule)
    before = by_x(frame, roles)
    more = pd.concat([frame, rows(data.draw(st.integers(0, 100)), seed + 1)])
    kept = more.sample(frac=data.draw(st.floats(0.8, 1)), random_state=seed % 2**32)
    again, roles = roles_of(kept, rule, cuts)
    after = by_x(kept, roles)
    assert again == cuts
    assert {x: role for x, role in after.items() if x in before} == {
        x: role for x, role in before.items() if x in after
    }


@given(seed=seeds)
def test_column_order_and_number_types_do_not_matter(seed: int) -> None:
    frame = rows(120, seed)
    other = frame[["y", "z", "x"]].astype({"z": "float64", "y": "int16"})
    cuts, roles = roles_of(frame, Split())
    again, others = roles_of(other, Split())
    assert (roles == others).all()
    assert again == cuts


@given(seed=seeds, copies=st.integers(1, 9))
def test_identical_rows_have_one_role_if_nine_in_ten_are_distinct(seed: int, copies: int) -> None:
    frame = rows(100, seed, classes=2)
    doubled = pd.concat([frame, frame.head(copies)], ignore_index=True)
    cuts, roles = roles_of(doubled, Split())
    assert cuts.identity == "content"
    assert cuts.columns == ("x", "z")
    assert (roles[100:] == roles[:copies]).all()


def test_the_identity_of_a_row_does_not_include_the_target() -> None:
    frame = rows(100, 0, classes=2)
    cuts, roles = roles_of(frame, Split(stratify=False))
    _, others = roles_of(frame.assign(y=1 - frame["y"]), Split(stratify=False), cuts)
    assert (roles == others).all()


@given(n=st.integers(50, 150).map(lambda half: 2 * half), seed=seeds)
def test_equal_rows_in_a_table_of_few_categories_are_split_with_exact_shares(
    n: int, seed: int
) -> None:
    frame, rule = table_of_few(n, seed), Split(seed=seed % 7)
    cuts, roles = roles_of(frame, rule)
    assert cuts.identity == "occurrence"
    assert_exact(frame["y"].to_numpy(), roles, rule)
    shuffled = frame.sample(frac=1, random_state=seed % 2**32)
    again, others = roles_of(shuffled, rule, cuts)
    assert again == cuts
    pd.testing.assert_frame_equal(  # equal counts of each row per role
        frame.assign(role=roles).value_counts(sort=False).sort_index().reset_index(),
        shuffled.assign(role=others).value_counts(sort=False).sort_index().reset_index(),
    )


@given(seed=seeds)
def test_a_key_identifies_a_row_whatever_its_values(seed: int) -> None:
    frame = rows(100, seed, classes=2).assign(id=np.arange(100))
    rule = Split(key="id")
    cuts, roles = roles_of(frame, rule)
    assert (cuts.identity, cuts.columns) == ("key", ("id",))
    changed = frame.assign(x=0.0, z=0)
    _, others = roles_of(changed, rule, cuts)
    assert (roles == others).all()


def test_another_seed_gives_other_roles() -> None:
    frame = rows(300, 0)
    _, first = roles_of(frame, Split(seed=0))
    _, second = roles_of(frame, Split(seed=1))
    both = np.mean((first == TEST) & (second == TEST))
    assert 0.01 < both < 0.08  # 0.2 × 0.2 if independent


@given(seed=seeds)
def test_a_new_class_gets_its_own_cuts_and_changes_no_other(seed: int) -> None:
    frame, rule = rows(120, seed), Split()
    cuts, roles = roles_of(frame, rule)
    new = rows(40, seed + 1).assign(y=9)
    again, others = roles_of(pd.concat([frame, new]), rule, cuts)
    assert (others[:120] == roles).all()
    assert_exact(new["y"].to_numpy(), others[120:], rule)
    assert {k: v for k, v in again.cuts.items() if k != "9"} == cuts.cuts


def test_a_removed_class_keeps_its_cuts() -> None:
    frame = rows(120, 0)
    cuts, _ = roles_of(frame, Split())
    again, _ = roles_of(frame[frame["y"] != 0], Split(), cuts)
    assert again == cuts


def checked(frame: pd.DataFrame, roles: Roles) -> list[str]:
    return class_notes(*TableRows(pa.table({"y": frame["y"].astype(str)})).labels("y"), roles)


@given(seed=seeds, sizes=st.lists(st.integers(1, 60), min_size=2, max_size=5))
def test_a_class_of_20_rows_is_in_every_role_and_incomplete_ones_are_named(
    seed: int, sizes: list[int]
) -> None:
    frame = rows(sum(sizes), seed).assign(y=np.repeat(np.arange(len(sizes)), sizes))
    rule = Split(test=0.02, validation=0.05, seed=seed % 9)
    _, roles = roles_of(frame, rule)
    said = " ".join(checked(frame, roles))
    for label, size in enumerate(sizes):
        lacking = {TEST, VALIDATION, TRAINING} - set(roles[frame["y"] == label])
        assert not lacking or size < SAFE
        assert (f"{label} ({size} row" in said) == bool(lacking)
        assert TRAINING not in lacking


def test_rare_classes_are_named_with_the_missing_roles_and_a_solution() -> None:
    frame = pd.concat([rows(60, 0, classes=2), rows(2, 1).assign(y=7), rows(1, 2).assign(y=8)])
    _, roles = roles_of(frame, Split())
    (note,) = checked(frame, roles)
    assert "7 (2 rows, none for test and validation), 8 (1 row, none for test" in note
    assert "add rows (20 of each are enough)" in note


def test_all_classes_without_training_rows_are_refused() -> None:
    frame = rows(60, 0, classes=4)
    roles = np.where(frame["y"] < 2, TEST, TRAINING).astype(np.int8)
    with pytest.raises(
        DataInvalid,
        match=r"(?s)0: 15 rows\n +expected +training rows\n +found +none for validation and train"
        r".*1: 15 rows.*20 of each are enough",
    ):
        checked(frame, roles)


@pytest.mark.parametrize("empty", [TEST, VALIDATION, TRAINING])
def test_a_role_without_rows_is_refused(empty: int) -> None:
    roles = np.array([role for role in range(4) if role != empty], dtype=np.int8)
    name = ("test", "validation", "training")[empty]
    with pytest.raises(DataInvalid, match=f"(?s)a role has no rows.*none for {name} of 3 rows"):
        require_roles(roles)


@given(n=st.integers(200, 400), seed=seeds)
def test_a_regression_target_is_stratified_by_bins_of_equal_count(n: int, seed: int) -> None:
    frame = rows(n, seed).assign(y=np.random.default_rng(seed).lognormal(size=n))
    cuts, roles = roles_of(frame, Split(), task="regression")
    assert len(cuts.edges) == BINS - 1
    assert list(cuts.cuts) == [f"bin {place}" for place in range(BINS)]
    bins = np.searchsorted(cuts.edges, frame["y"], side="right")
    assert np.bincount(bins).min() >= n // BINS - 1
    assert_exact(bins, roles, Split())
    bigger = pd.concat([frame, rows(50, seed + 1).assign(y=1000.0)])
    again, others = roles_of(bigger, Split(), cuts, task="regression")
    assert again == cuts
    assert (others[:n] == roles).all()


@pytest.mark.parametrize(
    "rule",
    [Split(test=0.3), Split(validation=0.1), Split(seed=1), Split(stratify=False), Split(key="z2")],
)
def test_a_changed_rule_gives_new_cuts(rule: Split) -> None:
    frame = rows(200, 0).assign(z2=np.arange(200))
    old, _ = roles_of(frame, Split())
    new, roles = roles_of(frame, rule, old)
    assert new != old
    fresh, expected = roles_of(frame, rule)
    assert (new, roles.tolist()) == (fresh, expected.tolist())


def test_a_new_column_moves_no_row() -> None:
    frame = rows(120, 0)
    cuts, roles = roles_of(frame, Split())
    again, others = roles_of(frame.assign(extra=1), Split(), cuts)
    assert again == cuts
    assert (roles == others).all()


@pytest.mark.parametrize("key", [None, "id"])
def test_a_column_added_later_is_a_feature_only_if_the_file_names_it(
    tmp_path: Path, key: str | None
) -> None:
    project = make_project(tmp_path / "project")
    frame = rows(300, 0).assign(id=range(300))

    def learnt(frame: pd.DataFrame, columns: dict[str, str]) -> tuple[str, set[str]]:
        write_experiment(
            project,
            data={"target": "y", "task": "classification"},
            split={"test": 0.2, "validation": 0.2, "key": key},
            features={"columns": columns},
        )
        build = project.build("tiny")
        build.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(build / "table.parquet")
        said = str(split_table(project, "tiny"))
        scale(project, "tiny")
        statistics = read_json(build / "training" / "statistics.json")
        return said, {one["name"] for one in statistics["numbers"]}

    _, first = learnt(frame, {})
    assert first == ({"x", "z"} if key else {"x", "z", "id"})
    more = frame.assign(extra=np.random.default_rng(0).normal(size=300))
    said, names = learnt(more, {})
    assert names == first
    assert "new columns are not features: extra   (features: {columns: {extra: number}}" in said
    said, names = learnt(more, {"ext*": "number"})
    assert names == {*first, "extra"}
    assert "new columns" not in said


def test_a_removed_identity_column_is_an_error_with_a_solution() -> None:
    frame = rows(120, 0)
    cuts, _ = roles_of(frame, Split())
    with pytest.raises(
        ConfigError, match=r"(?s)no longer have\n +expected +z\n.*delete the split file"
    ):
        roles_of(frame.drop(columns="z"), Split(), cuts)


@given(
    values=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=40),
    test=shares,
    validation=shares,
)
def test_cuts_are_ordered_and_as_close_to_the_shares_as_ties_allow(
    values: list[float], test: float, validation: float
) -> None:
    u = np.array(values)
    first, second = cut(u, test, validation)
    assert 0 <= first <= second <= 1
    if len(set(values)) == len(values) and np.min(np.diff(np.sort(u)), initial=1) > 1e-9:
        both = round(len(u) * test) + round(len(u) * validation)
        assert np.sum(u < second) == min(both, len(u) - 1)
        assert np.sum(u < first) == min(round(len(u) * test), len(u) - 1)


def test_cuts_are_read_back_unchanged(tmp_path: Path) -> None:
    cuts, _ = roles_of(rows(120, 0).assign(y=lambda f: f["x"]), Split(), task="regression")
    write_cuts(tmp_path / "a.split.json", cuts)
    assert read_cuts(tmp_path / "a.split.json") == cuts


GOOD = {"rule": {}, "identity": "content", "columns": [], "edges": [], "cuts": {}}
DAMAGED = [
    json.dumps(GOOD | {"cuts": {"a": [0.1]}}),
    json.dumps(GOOD | {"cuts": {"a": ["x", 1]}}),
    json.dumps(GOOD | {"cuts": None}),
    json.dumps(GOOD | {"edges": 3}),
    json.dumps({"rule": {}}),
    "[]",
    "",
    "<<<<<<< HEAD\n" + json.dumps(GOOD),
]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_split_file_is_an_error_with_a_solution(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.split.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"(?s)a\.split\.json cannot be read.*git checkout"):
        read_cuts(file)


def test_the_stage_keeps_existing_cuts(project: Project) -> None:
    ingest(project, "digits")
    file = project.cuts_file("digits")
    before = file.read_bytes()
    assert str(split_table(project, "digits")) == "1,079 training, 359 validation, 359 test"
    assert file.read_bytes() == before
    table = pd.read_parquet(project.build("digits") / "roles.parquet")
    counts = table["role"].value_counts()
    assert counts[[TRAINING, VALIDATION, TEST]].tolist() == [1079, 359, 359]
    file.unlink()
    split_table(project, "digits")
    assert file.read_bytes() == before
    assert set(read_json(file)["cuts"]) == set("0123456789")
