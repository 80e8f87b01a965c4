"""Splits by group, time, given roles or the cuts of another experiment; twins."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import make_project, write_experiment, write_table

from gristmill.pipelines.base.errors import ConfigError, DataInvalid
from gristmill.pipelines.base.files import read_json, write_json
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.sections import Split, TimeSplit
from gristmill.pipelines.preparation.split.assignment import Assigned, assign, split_table
from gristmill.pipelines.preparation.split.cuts_file import (
    TEST,
    TRAINING,
    UNUSED,
    VALIDATION,
    Cuts,
    read_cuts,
    write_cuts,
)
from gristmill.pipelines.preparation.split.given_roles import WORDS
from gristmill.pipelines.preparation.split.groups import group_notes
from gristmill.pipelines.preparation.split.role_checks import twins
from gristmill.pipelines.tables import table_rows
from gristmill.pipelines.tables.table_rows import TableRows

seeds = st.integers(0, 2**31)
FIRST = datetime(2025, 1, 1)
NO_FEATURES = ("y", "g", "when", "given_role", "part")
RANK = {TEST: 0, VALIDATION: 1, TRAINING: 2}


def assigned(
    frame: pd.DataFrame,
    rule: Split,
    old: Cuts | None = None,
    task: Literal["classification", "regression"] = "classification",
) -> Assigned:
    rows = TableRows(pa.Table.from_pandas(frame, preserve_index=False))
    features = [column for column in frame if column not in NO_FEATURES]
    return assign(rows, "y", features, rule, task, old)


def rows(n: int, seed: int) -> pd.DataFrame:
    """Return distinct rows in groups of unequal size, with dates that may repeat."""
    rng = np.random.default_rng(seed)
    groups = rng.choice(40, n, p=rng.dirichlet(np.full(40, 2)))
    days = rng.integers(0, max(n // 3, 20), n)
    return pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "g": [f"group {group}" for group in groups],
            "when": [FIRST + timedelta(days=int(day)) for day in days],
            "y": rng.choice(["a", "b"], n, p=[0.7, 0.3]),
        }
    )


def changed(frame: pd.DataFrame, more: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Append rows, delete some and shuffle all."""
    return pd.concat([frame, more]).sample(frac=0.9, random_state=seed % 2**32)


def by_x(frame: pd.DataFrame, roles: npt.NDArray[np.int8]) -> dict[float, int]:
    return dict(zip(frame["x"].tolist(), roles.tolist(), strict=True))


def assert_nothing_moved(before: dict[float, int], after: dict[float, int]) -> None:
    both = before.keys() & after.keys()
    assert both
    assert {x: before[x] for x in both} == {x: after[x] for x in both}


WAYS = [Split(group="g"), Split(time=TimeSplit(column="when")), Split(test="given", given="part")]


@pytest.mark.parametrize("rule", WAYS, ids=["group", "time", "given"])
@settings(max_examples=20)  # each example tries a thousand seeds
@given(seed=seeds)
def test_appending_deleting_and_reordering_rows_moves_nothing(rule: Split, seed: int) -> None:
    frame, more = (
        rows(120, s).assign(part=lambda f: np.where(f["x"] > 0.8, "test", "train"))
        for s in (seed, seed + 1)
    )
    made = assigned(frame, rule)
    other = changed(frame, more, seed)
    again = assigned(other, rule, made.cuts)
    assert_nothing_moved(by_x(frame, made.roles), by_x(other, again.roles))
    assert (again.cuts.seed, again.cuts.dates) == (made.cuts.seed, made.cuts.dates)
    assert made.cuts.cuts.items() <= again.cuts.cuts.items()


@settings(max_examples=20)
@given(seed=seeds)
def test_a_group_has_one_role_and_its_rows_keep_distinct_identities(seed: int) -> None:
    frame = rows(200, seed)
    made = assigned(frame, Split(group="g"))
    assert frame.assign(role=made.roles).groupby("g")["role"].nunique().max() == 1
    assert len(set(made.identities.tolist())) == len(frame)
    assert made.cuts.columns == ("x",)
    assert made.cuts.cuts == {"all": (0.2, 0.4)}


@pytest.mark.parametrize("seed", range(3))
def test_the_best_of_a_thousand_seeds_is_close_to_the_shares_overall_and_by_class(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    sizes = np.maximum(rng.lognormal(3, 1, 30).astype(int), 1)
    n = int(sizes.sum())
    frame = pd.DataFrame({"x": np.arange(n), "g": np.repeat(np.arange(30), sizes)})
    frame["y"] = rng.choice(["a", "b"], n, p=[0.8, 0.2])
    made = assigned(frame, Split(group="g", seed=seed))
    for part in (frame["y"] != "", frame["y"] == "a", frame["y"] == "b"):
        shares = np.bincount(made.roles[part], minlength=3) / part.sum()
        assert np.abs(shares - [0.2, 0.2, 0.6]).max() < 0.05
    assert "30 groups, each whole in one role" in made.notes[0]
    other = assigned(frame, Split(group="g", seed=seed + 1)).cuts.seed
    assert made.cuts.seed != other
    assert made.cuts.seed == assigned(frame, Split(group="g", seed=seed)).cuts.seed


def test_a_group_too_big_for_the_shares_is_named_with_its_role() -> None:
    frame = rows(400, 0).assign(g=lambda f: np.where(f["x"] < 1, "the giant", f["g"]))
    made = assigned(frame, Split(group="g"))
    giant = (frame["g"] == "the giant").sum()
    assert any(
        f"too big for the shares: g the giant has {giant} rows" in note
        and note.endswith("it is training")
        for note in made.notes
    )
    assert len(set(made.roles.tolist())) == 3


def test_a_later_group_gets_its_role_from_its_hash() -> None:
    frame = rows(300, 0)
    cuts = assigned(frame, Split(group="g")).cuts
    new = pd.DataFrame({"x": np.arange(5000.0), "g": np.arange(5000), "y": "a"})
    shares = np.bincount(assigned(new, Split(group="g"), cuts).roles) / 5000
    assert np.abs(shares - [0.2, 0.2, 0.6]).max() < 0.03


def test_rows_without_a_group_are_named() -> None:
    frame = rows(50, 0)
    frame.loc[[3, 7], "g"] = None
    with pytest.raises(
        DataInvalid, match=r"(?s)without a group.*column .g.*2 of 50 rows: row 4, 8"
    ):
        assigned(frame, Split(group="g"))


@given(n=st.integers(40, 300), seed=seeds)
def test_roles_are_in_time_order_and_ties_share_the_later_role(n: int, seed: int) -> None:
    frame = rows(n, seed)
    made = assigned(frame, Split(time=TimeSplit(column="when")))
    spans = frame.assign(role=made.roles).groupby("role")["when"].agg(["min", "max"])
    assert spans.loc[TRAINING, "max"] < spans.loc[VALIDATION, "min"]
    assert spans.loc[VALIDATION, "max"] < spans.loc[TEST, "min"]
    ties = frame["when"].value_counts().max()
    assert 0 <= np.sum(made.roles == TEST) - round(0.2 * n) < ties + 1
    assert set(made.cuts.dates or {}) == {"validation_from", "test_from"}


@given(seed=seeds, days=st.integers(0, 30), gap=st.sampled_from([None, "3d", "36h"]))
def test_moving_the_dates_forward_moves_rows_only_towards_training(
    seed: int, days: int, gap: str | None
) -> None:
    frame = rows(150, seed)
    rule = Split(time=TimeSplit(column="when", gap=gap))
    made = assigned(frame, rule)
    dates = {
        name: (datetime.fromisoformat(date) + timedelta(days=days)).isoformat()
        for name, date in (made.cuts.dates or {}).items()
    }
    moved = assigned(frame, Split(time=TimeSplit(column="when", gap=gap, **dates)), made.cuts)
    used = (made.roles != UNUSED) & (moved.roles != UNUSED)
    before = [RANK[role] for role in made.roles[used].tolist()]
    after = [RANK[role] for role in moved.roles[used].tolist()]
    assert all(b <= a for b, a in zip(before, after, strict=True))


def test_moving_a_date_backward_is_refused() -> None:
    frame = rows(150, 0)
    cuts = assigned(frame, Split(time=TimeSplit(column="when"))).cuts
    early = Split(time=TimeSplit(column="when", test_from="2025-01-03"))
    with pytest.raises(ConfigError, match=r"(?s)test_from was moved backward.*or later.*forward"):
        assigned(frame, early, cuts)


@given(seed=seeds)
def test_rows_in_the_gap_before_a_date_are_unused(seed: int) -> None:
    frame = rows(150, seed)
    rule = TimeSplit(column="when", validation_from="2025-01-20", test_from="2025-02-10", gap="5d")
    roles = assigned(frame, Split(time=rule)).roles
    day = (frame["when"] - pd.Timestamp(FIRST)).dt.days.to_numpy()
    expected = np.select(
        [day >= 40, day >= 35, day >= 19, day >= 14], [TEST, UNUSED, VALIDATION, UNUSED], TRAINING
    )
    assert (roles == expected).all()


@pytest.mark.parametrize(
    "form",
    [
        lambda when: when.dt.date,
        lambda when: when.dt.strftime("%Y-%m-%d"),
        lambda when: when.dt.tz_localize("UTC").dt.tz_convert("Asia/Seoul"),
        lambda when: when.dt.as_unit("ns"),
    ],
)
def test_dates_of_every_type_give_the_same_roles(form: Any) -> None:
    frame, rule = rows(150, 0), Split(time=TimeSplit(column="when"))
    made, other = assigned(frame, rule), assigned(frame.assign(when=form(frame["when"])), rule)
    assert (made.roles == other.roles).all()
    assert made.cuts == other.cuts


def test_whole_numbers_of_four_digits_are_years() -> None:
    frame, rule = rows(150, 0), Split(time=TimeSplit(column="when"))
    years = 1900 + np.arange(150)
    made = assigned(frame.assign(when=years), rule)
    assert (years[made.roles == TEST] >= 2020).all()
    assert (assigned(frame.assign(when=years * 1.0), rule).roles == made.roles).all()
    dates = assigned(frame.assign(when=pd.to_datetime(years.astype(str) + "-01-01")), rule)
    assert (made.roles == dates.roles).all()


def test_the_stage_reads_dates_from_a_text_column(home: Project) -> None:
    frame, rule = rows(150, 0), {"time": {"column": "when"}}
    texts = frame.assign(when=frame["when"].dt.strftime("%Y-%m-%d"))
    for name, table in (("dates", frame), ("texts", texts)):
        with_table(home, name, table, split=rule, features={"exclude": ["when"]})
        split_table(home, name)
    assert read_cuts(home.cuts_file("dates")) == read_cuts(home.cuts_file("texts"))


def test_rows_without_a_date_and_columns_without_dates_are_named() -> None:
    frame, rule = rows(150, 0), Split(time=TimeSplit(column="when"))
    holes = frame.assign(when=frame["when"].mask(frame.index.isin([4, 9])))
    with pytest.raises(DataInvalid, match=r"(?s)without a date.*2 of 150 rows: row 5, 10"):
        assigned(holes, rule)
    for strange in (1.5, "31.01.2026", 7):
        with pytest.raises(ConfigError, match=r"(?s)'when' does not contain dates.*ISO 8601"):
            assigned(frame.assign(when=strange), rule)


def test_given_roles_are_kept_in_every_known_spelling() -> None:
    words = [*WORDS, *map(str.upper, WORDS), " Train "]
    frame = pd.DataFrame({"x": range(len(words)), "given_role": words, "y": "a"})
    roles = assigned(frame, Split(test="given", stratify=False)).roles
    assert roles.tolist() == [WORDS[word.strip().lower()] for word in words]


@given(seed=seeds, n=st.integers(60, 200))
def test_validation_rows_are_an_exact_share_of_the_given_training_rows_by_class(
    seed: int, n: int
) -> None:
    frame = rows(n, seed).assign(y=lambda f: np.arange(len(f)) % 2)
    frame["given_role"] = ["test" if i % 3 == 0 else "train" for i in range(n)]
    made = assigned(frame, Split(test="given", validation=0.25))
    assert ((made.roles == TEST) == (frame["given_role"] == "test")).all()
    for label in (0, 1):
        mine = made.roles[(frame["y"] == label) & (frame["given_role"] == "train")]
        assert abs(np.sum(mine == VALIDATION) - 0.25 * len(mine)) <= 0.5


def test_all_values_that_are_not_a_role_are_named() -> None:
    frame = rows(60, 0).assign(given_role=["train", "test", "tset"] * 20)
    frame.loc[:3, "given_role"] = None
    with pytest.raises(
        DataInvalid,
        match=r"(?s)are not roles.*given_role: <NA>.*4 rows.*no value.*given_role: tset",
    ):
        assigned(frame, Split(test="given"))
    with pytest.raises(DataInvalid, match=r"(?s)names no test rows.*split\.test to a share"):
        assigned(frame.assign(given_role="train"), Split(test="given"))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Split(key="ix"), r"split\.key: the data have no column 'ix'"),
        (Split(group="gg"), r"(?s)split\.group: .*no column 'gg'.*did you mean g\?"),
        (Split(time=TimeSplit(column="whem")), r"(?s)split\.time\.column: .*mean when\?"),
        (Split(test="given"), r"split\.given: the data have no column 'given_role'"),
    ],
)
def test_a_missing_column_is_refused_with_the_nearest_name(rule: Split, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        assigned(rows(60, 0), rule)


@pytest.mark.parametrize("rule", WAYS, ids=["group", "time", "given"])
def test_cuts_of_every_kind_of_split_are_read_back_unchanged(tmp_path: Path, rule: Split) -> None:
    frame = rows(150, 0).assign(part=["train", "train", "test"] * 50)
    made = assigned(frame, rule)
    write_cuts(tmp_path / "a.split.json", made.cuts)
    again = assigned(frame, rule, read_cuts(tmp_path / "a.split.json"))
    assert again.cuts == made.cuts
    assert (again.roles == made.roles).all()


@pytest.mark.parametrize("dates", [{}, {"test_from": "2025-01-01"}, ["a"], "2025"])
def test_damaged_dates_in_a_split_file_are_an_error(tmp_path: Path, dates: Any) -> None:
    bare = {"rule": {}, "identity": "content", "columns": [], "edges": [], "cuts": {}}
    write_json(tmp_path / "a.split.json", bare | {"dates": dates})
    with pytest.raises(ConfigError, match=r"(?s)cannot be read.*dates of a split by time"):
        read_cuts(tmp_path / "a.split.json")


def with_table(project: Project, name: str, frame: pd.DataFrame, **changes: Any) -> Project:
    write_experiment(project, name, data={"target": "y"}, **changes)
    folder = project.build(name)
    folder.mkdir(parents=True, exist_ok=True)
    write_table(frame, folder / "table.parquet")
    return project


@pytest.fixture
def home(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def test_cuts_of_another_experiment_give_the_same_roles(home: Project) -> None:
    frame = rows(200, 0)
    with_table(home, "owner", frame, split={"test": 0.3, "seed": 5, "group": "g"})
    with_table(home, "other", frame, split={"as": "owner"}, features={"exclude": ["when"]})
    split_table(home, "owner")
    split_table(home, "other")
    mine, theirs = (read_json(home.cuts_file(name)) for name in ("other", "owner"))
    assert mine.pop("rule") == {**theirs.pop("rule"), "as": "owner"}
    assert mine == theirs
    first, second = (
        pd.read_parquet(home.build(name) / "roles.parquet") for name in ("owner", "other")
    )
    pd.testing.assert_frame_equal(first, second)
    before = home.cuts_file("other").read_bytes()
    split_table(home, "other")
    assert home.cuts_file("other").read_bytes() == before


def test_cuts_that_cannot_be_shared_are_refused_with_the_reason(home: Project) -> None:
    frame = rows(100, 0)
    with_table(home, "other", frame, split={"as": "owner"})
    with pytest.raises(ConfigError, match="there is no experiment 'owner'"):
        split_table(home, "other")
    with_table(home, "owner", frame)
    with pytest.raises(ConfigError, match=r"(?s)no cuts of 'owner'.*dvc repro split@owner"):
        split_table(home, "other")
    split_table(home, "owner")
    with_table(home, "owner", frame, split={"seed": 3})
    with pytest.raises(ConfigError, match=r"(?s)expected +seed 3\n +found +seed 0"):
        split_table(home, "other")
    with_table(home, "owner", frame)
    home.cuts_file("owner").write_text("{")
    with pytest.raises(ConfigError, match=r"owner\.split\.json cannot be read"):
        split_table(home, "other")
    write_experiment(home, "owner", data={"path": "data/else/a.csv", "target": "y"})
    with pytest.raises(ConfigError, match=r"(?s)uses other data.*data/tiny.*data/else"):
        split_table(home, "other")
    with_table(home, "owner", frame, split={"as": "third"})
    with pytest.raises(ConfigError, match=r"(?s)shares the cuts of another.*as: third"):
        split_table(home, "other")
    with_table(home, "other", frame, split={"as": "other"})
    with pytest.raises(ConfigError, match="names the experiment itself"):
        split_table(home, "other")


def test_the_column_of_given_roles_is_not_a_feature(home: Project) -> None:
    frame = rows(100, 0).drop(columns=["g", "when"]).assign(given_role="test")
    frame.loc[:70, "given_role"] = "train"
    with_table(home, "tiny", frame, split={"test": "given"})
    split_table(home, "tiny")
    assert read_cuts(home.cuts_file("tiny")).columns == ("x",)


@given(seed=seeds, copies=st.integers(0, 8))
def test_a_test_row_with_a_twin_in_training_is_marked_and_keeps_its_role(
    seed: int, copies: int
) -> None:
    rng = np.random.default_rng(seed)
    content = np.arange(100, dtype=np.uint64)
    roles = rng.permutation(np.repeat([TEST, VALIDATION, TRAINING], [20, 20, 60])).astype(np.int8)
    test, trained = np.flatnonzero(roles == TEST)[:copies], np.flatnonzero(roles == TRAINING)
    content[test] = content[rng.choice(trained, copies)]
    marked, notes = twins(content, roles)
    assert np.flatnonzero(marked).tolist() == test.tolist()
    said = [f"{copies} of 20 test rows left out: seen in training"] if copies else []
    assert notes == said


def test_equal_rows_in_a_table_of_few_categories_are_not_twins() -> None:
    content = np.arange(100, dtype=np.uint64) % 80
    roles = np.array([TEST, TRAINING] * 50, dtype=np.int8)
    marked, (note,) = twins(content, roles)
    assert not marked.any()
    assert "80 % of the rows are distinct" in note


def test_a_split_is_refused_if_every_test_row_was_seen_in_training() -> None:
    content = np.array([*range(95), 0, 1, 2, 3, 4], dtype=np.uint64)
    roles = np.array([TRAINING] * 95 + [TEST] * 5, dtype=np.int8)
    with pytest.raises(DataInvalid, match=r"(?s)every test row was seen.*5 of 5 test rows equal"):
        twins(content, roles)


def test_the_stage_marks_twins_of_given_test_rows_and_reports_their_number(home: Project) -> None:
    frame = rows(100, 0).drop(columns=["g", "when"])
    frame = pd.concat([frame, frame.head(4)], ignore_index=True)
    frame["given_role"] = ["train"] * 80 + ["test"] * 24
    with_table(home, "tiny", frame, split={"test": "given"})
    made = split_table(home, "tiny")
    roles = pd.read_parquet(home.build("tiny") / "roles.parquet")
    trained = set(frame["x"][roles["role"] == TRAINING])
    expected = (roles["role"] == TEST) & frame["x"].isin(trained)
    assert roles["twin"].tolist() == expected.tolist()
    assert f"{expected.sum()} of 24 test rows left out: seen in training" in str(made)


def test_notes_show_the_value_of_a_group() -> None:
    table = pa.table({"g": ["a"] * 8 + ["b", "c"]})
    hashes = np.array([1] * 8 + [2, 3], dtype=np.uint64)
    roles = np.array([TRAINING] * 8 + [TEST, VALIDATION], dtype=np.int8)
    notes = group_notes(TableRows(table), "g", hashes, roles, (0.2, 0.2))
    assert notes[1:] == ["too big for the shares: g a has 8 rows, 80.0 % of all; it is training"]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"test": "given", "given": "g"}, r"are not roles\n  g: <NA>\n.*2 rows\n.*have no value"),
        ({"group": "g"}, r"without a group.*row 4, 8"),
    ],
)
def test_rows_without_a_value_in_a_text_column_are_named(
    home: Project, rule: dict[str, Any], words: str
) -> None:
    frame = rows(60, 0).assign(g=["train", "train", "test"] * 20)
    frame.loc[[3, 7], "g"] = None
    with_table(home, "tiny", frame, split=rule)
    with pytest.raises(DataInvalid, match=f"(?s){words}"):
        split_table(home, "tiny")


def test_a_missing_value_is_a_separate_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["b", None, "a", "b", None, "c"]
    by_type: dict[str, tuple[pa.DataType, list[Any]]] = {
        "text": (pa.string(), texts),
        "large": (pa.large_string(), texts),
        "coded": (pa.dictionary(pa.int8(), pa.string()), texts),
        "number": (pa.int64(), [2, None, 1, 2, None, 3]),
        "truth": (pa.bool_(), [True, None, False, True, None, True]),
        "none": (pa.string(), [None] * 6),
        "whole": (pa.string(), ["x", "y"] * 3),
    }
    columns = {name: pa.array(values * 40, kind) for name, (kind, values) in by_type.items()}
    table = pa.table(columns)
    pa.parquet.write_table(table, tmp_path / "t.parquet", row_group_size=100)
    in_batches = pa.concat_tables([table.slice(0, 99), table.slice(99)])
    for made in (TableRows(in_batches), TableRows(tmp_path / "t.parquet")):
        assert len([*made.batches(["text"], size=50)]) > 2
        for name, (_, values) in by_type.items():
            for size in (50, 1000):
                monkeypatch.setattr(table_rows, "SMALLEST", size)
                monkeypatch.setattr(table_rows, "BATCH_BYTES", 1)
                codes, labels = made.labels(name)
                expected = ["<NA>" if value is None else str(value) for value in values] * 40
                assert [labels[code] for code in codes] == expected
                assert len(set(labels)) == len(labels) == len(set(expected))


def test_a_dictionary_of_maximum_size_can_have_missing_values() -> None:
    kind = pa.dictionary(pa.int8(), pa.string())
    texts = [f"level {i}" for i in range(128)]
    codes, labels = TableRows(pa.table({"a": pa.array([*texts, None], kind)})).labels("a")
    assert [labels[code] for code in codes] == [*texts, "<NA>"]


def test_a_split_without_test_rows_is_refused_and_no_cuts_are_written(home: Project) -> None:
    late = {"column": "when", "validation_from": "2025-01-03", "test_from": "2030-01-01"}
    with_table(home, "tiny", rows(100, 0), split={"time": late})
    with pytest.raises(DataInvalid, match="a role has no rows"):
        split_table(home, "tiny")
    assert not home.cuts_file("tiny").exists()
    assert json.loads(home.experiment_file("tiny").read_text())["split"]["time"] == late


def test_batches_of_rows_are_limited_in_bytes_for_wide_columns(tmp_path: Path) -> None:
    pictures = pa.array([bytes(200_000)] * 130, pa.binary(200_000))
    pa.parquet.write_table(pa.table({"picture": pictures, "n": range(130)}), tmp_path / "t.parquet")
    table = TableRows(tmp_path / "t.parquet")
    assert [batch.num_rows for _, batch in table.pieces(["picture"])] == [64, 64, 2]
    assert [place.start for place, _ in table.pieces(["picture"])] == [0, 64, 128]
    assert len(set(table.hashes(["picture"]).tolist())) == 1
    assert len([*table.pieces(["n"])]) == 1
    assert table.value("n", 100) == 100
