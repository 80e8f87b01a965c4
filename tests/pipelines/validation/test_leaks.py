"""The leak check: proven leaks stop, strong columns warn, clean data pass."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.pipelines.base.errors import ConfigError, DataInvalid
from gristmill.pipelines.base.files import read_json
from gristmill.pipelines.config.document import Document
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.preparation.split.assignment import split_table
from gristmill.pipelines.preparation.split.cuts_file import TEST, TRAINING, VALIDATION
from gristmill.pipelines.validation.leaks import reading
from gristmill.pipelines.validation.leaks import role_leaks as roles
from gristmill.pipelines.validation.leaks.firewall import (
    find_leaks,
    read_warnings,
    require_no_leaks,
)
from gristmill.pipelines.validation.leaks.hints import auc
from gristmill.pipelines.validation.leaks.leak import KINDS, Leak
from gristmill.pipelines.validation.leaks.proofs import out_of_order
from tests.tiny import make_project, table, write_experiment

ROWS = 600
Roles = npt.NDArray[np.int8]


@lru_cache
def document(task: str, split: str, features: str) -> Document:
    content = {
        "data": {"path": "data/a/a.csv", "target": "y", "task": task},
        "schema": {},
        "split": json.loads(split),
        "features": json.loads(features),
        "model": {"layers": []},
    }
    return Document.model_validate_json(json.dumps(content))


def make(
    task: str = "classification",
    split: dict[str, Any] | None = None,
    features: dict[str, Any] | None = None,
) -> Document:
    return document(task, json.dumps(split or {}), json.dumps(features or {}))


def clean(task: str = "classification", rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Return numbers, a category and a target that they predict in part."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=rows),
            "b": rng.integers(0, 40, rows),
            "c": rng.choice(["red", "blue", "green"], rows),
        }
    )
    value = frame.a + frame.b / 20 + rng.normal(size=rows)
    return frame.assign(y=(value > 1).map({True: "yes", False: "no"}) if task[0] == "c" else value)


def by_chance(rows: int) -> Roles:
    places = np.random.default_rng(1).permutation(rows) / rows
    return np.select([places < 0.2, places < 0.4], [0, 1], 2).astype(np.int8)


def found(
    folder: Path, frame: pd.DataFrame, document: Document, role: Roles | None = None
) -> list[Leak]:
    file = folder / "table.parquet"
    frame.to_parquet(file, index=False)
    role = by_chance(len(frame)) if role is None else role
    return find_leaks(file, role, document, [name for name in frame if name != "y"])


def only(leaks: list[Leak]) -> tuple[str, str, str]:
    assert len(leaks) == 1, list(map(str, leaks))
    (leak,) = leaks
    return leak.kind, leak.column, leak.severity


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_clean_data_have_no_leak(tmp_path: Path, task: str) -> None:
    assert found(tmp_path, clean(task), make(task)) == []


@pytest.mark.parametrize("exceptions", [0, 3])
def test_a_recoded_target_is_an_error(tmp_path: Path, exceptions: int) -> None:
    frame = clean()
    frame["told"] = frame.y.map({"yes": 7, "no": 3})
    frame.loc[: exceptions - 1, "told"] = 10 - frame.told
    assert only(found(tmp_path, frame, make())) == ("recoding", "told", "error")


def test_a_recoding_with_gaps_is_an_error_on_the_rows_with_a_value(tmp_path: Path) -> None:
    frame = clean(rows=1200)
    frame["told"] = frame.y.str.upper().mask(np.arange(1200) % 2 == 0)
    (leak,) = found(tmp_path, frame, make())
    assert (leak.kind, leak.severity, leak.count) == ("recoding", "error", 600)
    assert "NO = no, YES = yes" in leak.words


@pytest.mark.parametrize(("rows", "severity"), [(100, "warning"), (400, "error")])
def test_a_recoding_of_two_classes_is_an_error_where_it_cannot_be_chance(
    tmp_path: Path, rows: int, severity: str
) -> None:
    frame = clean(rows=rows)
    frame["told"] = frame.y == "yes"
    assert only(found(tmp_path, frame, make())) == ("recoding", "told", severity)


def test_a_copy_of_the_classes_with_their_names_is_an_error_on_few_rows(tmp_path: Path) -> None:
    frame = clean(rows=60).assign(told=lambda f: f.y)
    assert only(found(tmp_path, frame, make())) == ("recoding", "told", "error")


def test_a_recoding_with_too_many_exceptions_is_a_warning(tmp_path: Path) -> None:
    frame = clean()
    frame["told"] = frame.y.where(np.arange(ROWS) >= 9, "yes")
    assert only(found(tmp_path, frame, make())) == ("recoding", "told", "warning")


def test_a_nearly_constant_column_is_not_a_leak_of_a_rare_class(tmp_path: Path) -> None:
    frame = clean(rows=5000)
    frame["y"] = np.where(np.arange(5000) % 250 == 0, "rare", "often")
    frame["flag"] = np.arange(5000) % 251 == 0
    assert [leak for leak in found(tmp_path, frame, make()) if leak.severity == "error"] == []


def test_a_column_missing_exactly_for_one_class_is_an_error(tmp_path: Path) -> None:
    frame = clean()
    frame["told"] = pd.Series(np.arange(ROWS) % 50 / 7).mask(frame.y == "no")
    (leak,) = found(tmp_path, frame, make())
    assert (leak.kind, leak.severity) == ("missingness", "error")
    assert "has no value exactly where y is no" in leak.words


@pytest.mark.parametrize(
    "form", [lambda y: 3 * y - 8, lambda y: -np.exp(y), lambda y: y.round(1), np.sign]
)
def test_a_monotone_function_of_a_numeric_target_is_an_error(tmp_path: Path, form: Any) -> None:
    frame = clean("regression")
    leaks = found(tmp_path, frame.assign(told=form(frame.y)), make("regression"))
    expected = [] if form is np.sign else [("copy", "told", "error")]
    assert [(leak.kind, leak.column, leak.severity) for leak in leaks] == expected


@pytest.mark.parametrize("rows", [40, 83, 2000])
@pytest.mark.parametrize(
    ("target", "words"),
    [
        (lambda f: 24 - f.a, "y is 24 − a"),
        (lambda f: f.a + f.b, "y is a + b"),
        (lambda f: f.b - f.a, "y is b − a"),
        (lambda f: f.a + 2.5 * f.b - f.d, "y is a + 2.5 × b − d"),
    ],
)
def test_an_exact_sum_or_difference_of_columns_is_an_error(
    tmp_path: Path, rows: int, target: Any, words: str
) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(9, 3, size=(rows, 5)).round(1), columns=list("abcde"))
    frame["b"] = rng.integers(0, 90, rows)
    leaks = found(tmp_path, frame.assign(y=target(frame)), make("regression"))
    errors = [leak for leak in leaks if leak.severity == "error"]
    assert len(errors) == 1
    assert errors[0].kind == "copy" or words in errors[0].words


def test_a_sum_with_noise_or_of_many_columns_is_not_an_exact_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 6)), columns=list("abcdef"))
    for y in (frame.a + frame.b + rng.normal(0, 0.01, 300), frame.sum(axis=1)):
        leaks = found(tmp_path, frame.assign(y=y), make("regression"))
        assert not [leak for leak in leaks if leak.severity == "error"]


def test_the_whole_table_is_checked_for_a_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_ROWS", 320)
    monkeypatch.setattr(reading, "LEAST_ROWS", 320)
    frame = clean("regression", 4000).assign(y=lambda f: f.a + f.b)
    leaks = found(tmp_path, frame, make("regression"))
    assert [leak.count for leak in leaks if leak.kind == "formula"] == [4000]


def test_a_copy_without_exception_is_proven_by_its_values_not_its_rows(tmp_path: Path) -> None:
    frame = clean("regression", 60).assign(told=lambda f: np.exp(f.y / 5))
    assert only(found(tmp_path, frame, make("regression"))) == ("copy", "told", "error")


def test_years_and_a_trend_are_neither_identifier_nor_copy(tmp_path: Path) -> None:
    years = np.arange(1900, 2020)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"year": years, "y": np.cumsum(rng.random(120))})
    leaks = found(tmp_path, frame, make("regression"))
    assert not [leak for leak in leaks if leak.severity == "error" and leak.column]
    frame["y"] = np.repeat(["old", "new"], 60)
    assert not [leak for leak in found(tmp_path, frame, make()) if leak.kind == "identifier"]


def test_columns_and_targets_of_few_distinct_numbers_are_not_copies(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = clean("regression").assign(y=rng.integers(0, 6, ROWS).astype(float))
    frame["near"] = (frame.y > 2).astype(int)
    leaks = found(tmp_path, frame, make("regression"))
    assert [leak for leak in leaks if leak.severity == "error"] == []


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("form", ["mean", "rounded", "drawn"])
def test_the_target_mean_by_level_is_an_error(tmp_path: Path, task: str, form: str) -> None:
    frame = clean(task)
    y = frame.y if task == "regression" else (frame.y == "yes").astype(float)
    mean, n = y.groupby(frame.b).transform("mean"), y.groupby(frame.b).transform("size")
    forms = {"mean": mean, "rounded": mean.round(4), "drawn": (mean * n + 5 * y.mean()) / (n + 5)}
    leaks = found(tmp_path, frame.assign(told=forms[form]).drop(columns="b"), make(task))
    assert only(leaks) == ("target mean", "told", "error")


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_target_mean_of_the_other_rows_is_an_error(tmp_path: Path, task: str) -> None:
    frame = clean(task)
    y = frame.y if task == "regression" else (frame.y == "yes").astype(float)
    by_level = y.groupby(frame.c)
    told = (by_level.transform("sum") - y) / (by_level.transform("size") - 1)
    (leak,) = found(tmp_path, frame.assign(told=told), make(task))
    assert (leak.kind, leak.column, leak.severity) == ("target mean", "told", "error")
    assert leak.words.endswith("over the other rows with the same c")


def test_the_mean_of_another_column_by_level_is_clean(tmp_path: Path) -> None:
    frame = clean()
    frame["mean"] = frame.a.groupby(frame.b).transform("mean")
    frame["often"] = frame.b.map(frame.b.value_counts()) / ROWS
    assert found(tmp_path, frame, make()) == []


@pytest.mark.parametrize("text", [False, True])
def test_an_identifier_in_the_order_of_the_classes_is_an_error(tmp_path: Path, text: bool) -> None:
    frame = clean().sort_values("y", ignore_index=True)
    frame["id"] = [f"C-{i}" for i in range(ROWS)] if text else np.arange(ROWS)
    leaks = found(tmp_path, frame.sample(frac=1, random_state=0), make())
    assert only(leaks) == ("identifier", "id", "error")


def test_a_random_identifier_and_an_ordered_measurement_are_not_errors(tmp_path: Path) -> None:
    frame = clean().assign(id=np.random.default_rng(3).permutation(ROWS))
    frame["size"] = np.where(frame.y == "yes", 3.0, 1.0) + frame.a.rank() / ROWS
    leaks = found(tmp_path, frame, make())
    assert only(leaks) == ("strength", "size", "warning")


@pytest.mark.parametrize("what", ["key", "group"])
def test_a_key_or_group_in_two_roles_is_an_error(tmp_path: Path, what: str) -> None:
    frame = clean().assign(who=np.random.default_rng(2).permutation(ROWS) + 10)
    role = by_chance(ROWS)
    test, training = np.flatnonzero(role == 0)[4], np.flatnonzero(role == 2)[2]
    assert found(tmp_path, frame, make(split={what: "who"}), role) == []
    frame.loc[test, "who"] = frame.who[training]
    (leak,) = found(tmp_path, frame, make(split={what: "who"}), role)
    assert (leak.kind, leak.severity, leak.count) == ("twice", "error", 2)
    assert leak.rows == tuple(sorted((test + 1, training + 1)))


@pytest.mark.parametrize("form", ["text", "time"])
def test_rows_from_the_future_are_an_error(tmp_path: Path, form: str) -> None:
    days = pd.date_range("2026-01-01", periods=ROWS)
    frame = clean().assign(day=days.strftime("%Y-%m-%d") if form == "text" else days)
    role = np.repeat([2, 1, 0], [400, 100, 100]).astype(np.int8)
    split = {"time": {"column": "day"}}
    assert found(tmp_path, frame, make(split=split), role) == []
    role[550] = 2
    (leak,) = found(tmp_path, frame, make(split=split), role)
    assert (leak.kind, leak.column, leak.severity) == ("future", "day", "error")
    assert leak.rows == (551,)


def test_unused_rows_do_not_count_as_a_role(tmp_path: Path) -> None:
    frame = clean().assign(who=np.arange(ROWS) // 2)
    role = np.where(np.arange(ROWS) % 2, by_chance(ROWS), 3).astype(np.int8)
    assert found(tmp_path, frame, make(split={"group": "who"}), role) == []


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_column_that_predicts_too_well_is_a_warning(tmp_path: Path, task: str) -> None:
    frame = clean(task)
    y = frame.y if task == "regression" else (frame.y == "yes").astype(float)
    frame["told"] = y + np.random.default_rng(1).normal(0, 0.08, ROWS)
    assert only(found(tmp_path, frame, make(task))) == ("strength", "told", "warning")


def test_levels_with_one_class_each_are_a_warning(tmp_path: Path) -> None:
    frame = clean()
    frame["told"] = frame.y + frame.b.mod(3).astype(str)
    assert only(found(tmp_path, frame, make())) == ("strength", "told", "warning")


def test_equal_rows_in_two_roles_are_a_warning(tmp_path: Path) -> None:
    frame = clean()
    twice = pd.concat([frame, frame[:200]], ignore_index=True)
    (leak,) = found(tmp_path, twice, make())
    assert (leak.kind, leak.severity) == ("duplicates", "warning")
    assert 20 <= leak.count <= 120


def test_almost_equal_rows_in_two_roles_are_a_warning(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(ROWS, 8))).add_prefix("x")
    frame["y"] = clean().y
    again = frame[:200].copy()
    again.iloc[:, :8] += 1e-4
    leaks = found(tmp_path, pd.concat([frame, again], ignore_index=True), make())
    assert only(leaks) == ("near duplicates", "", "warning")


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_sorted_file_is_a_warning(tmp_path: Path, task: str) -> None:
    leaks = found(tmp_path, clean(task).sort_values("y"), make(task))
    assert only(leaks) == ("row order", "", "warning")


def walk(rows: int = 300) -> pd.DataFrame:
    """Return rows in the order of their date, with a target close to that of the row before."""
    rng = np.random.default_rng(0)
    y = np.cumsum(rng.normal(size=rows))
    date = pd.date_range("2025-01-01", periods=rows)
    return pd.DataFrame({"date": date, "x": y + rng.normal(size=rows), "y": y})


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_rows_that_are_a_sequence_stop_a_run_that_cuts_them_by_chance(
    tmp_path: Path, task: str
) -> None:
    frame = walk()
    if task == "classification":
        frame["y"] = np.where(np.arange(300) // 20 % 2, "sit", "walk")
    leaks = found(tmp_path, frame, make(task))
    assert only([leak for leak in leaks if not leak.column]) == ("row order", "", "error")
    with pytest.raises(DataInvalid, match="1 leak") as error:
        require_no_leaks(
            tmp_path / "table.parquet", by_chance(300), make(task), ["x"], tmp_path / "leaks.json"
        )
    assert "split: {time: {column: COLUMN}}" in (error.value.next or "")
    assert "features: {allow_leaks: [row order]}" in (error.value.next or "")


@pytest.mark.parametrize(
    ("split", "features"), [({}, {"allow_leaks": ["row order"]}), ({"test": "given"}, {})]
)
def test_a_sequence_with_given_roles_or_allowed_is_a_warning(
    tmp_path: Path, split: dict[str, Any], features: dict[str, Any]
) -> None:
    leaks = found(tmp_path, walk(), make("regression", split, features))
    assert [leak.severity for leak in leaks if leak.kind == "row order"] == ["warning"]


def test_a_sequence_in_groups_is_no_leak(tmp_path: Path) -> None:
    frame = walk().assign(g=np.arange(300) // 15)
    leaks = found(tmp_path, frame, make("regression", {"group": "g"}), by_chance(20)[frame.g])
    assert not [leak for leak in leaks if leak.kind == "row order"]


def test_a_sorted_table_of_few_categories_is_a_warning(tmp_path: Path) -> None:
    columns = {"a": np.repeat(np.arange(6), 100), "b": np.repeat(np.arange(12) % 2, 50)}
    frame = pd.DataFrame({**columns, "y": np.where(np.arange(600) % 50 < 30, "no", "yes")})
    leaks = found(tmp_path, frame, make())
    assert [leak.severity for leak in leaks if leak.kind == "row order"] == ["warning"]


def test_blocks_of_alike_rows_are_a_warning(tmp_path: Path) -> None:
    level = np.repeat([1.0, 9.0, 4.0], 60) + np.random.default_rng(0).normal(0, 0.5, 180)
    leaks = found(tmp_path, pd.DataFrame({"x": level[::-1], "y": level}), make("regression"))
    assert ("row order", "warning") in [(leak.kind, leak.severity) for leak in leaks]


def test_rows_in_the_order_of_a_measurement_are_a_warning(tmp_path: Path) -> None:
    dose = np.sort(np.random.default_rng(0).random(300))
    frame = pd.DataFrame({"dose": dose, "y": np.sin(6 * dose)})
    leaks = found(tmp_path, frame, make("regression"))
    assert ("row order", "warning") in [(leak.kind, leak.severity) for leak in leaks]


def test_a_large_table_is_sampled_and_findings_counted_on_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_ROWS", 1600)
    monkeypatch.setattr(reading, "LEAST_ROWS", 0)
    monkeypatch.setattr(reading, "MOST_HASHES", 2000)
    frame = clean(rows=8000)
    y = (frame.y == "yes").astype(float)
    frame["mean"] = y.groupby(frame.b).transform("mean")
    total, n = y.groupby(frame.c).transform("sum"), y.groupby(frame.c).transform("size")
    frame["others"], frame["told"] = (total - y) / (n - 1), frame.y.str.upper()
    leaks = found(tmp_path, pd.concat([frame, frame[:4000]], ignore_index=True), make())
    kinds = {leak.column: (leak.kind, leak.severity) for leak in leaks}
    assert kinds[""] == ("duplicates", "warning")
    assert kinds["told"] == ("recoding", "error")
    (twins,) = (leak for leak in leaks if leak.kind == "duplicates")
    assert twins.share == pytest.approx(0.55, abs=0.1)
    (told,) = (leak for leak in leaks if leak.column == "told")
    assert told.count == 12_000
    leaks = found(tmp_path, frame, make())
    assert [leak.column for leak in leaks if leak.kind == "target mean"] == ["mean", "others"]
    assert leaks == found(tmp_path, frame, make())


def test_all_errors_are_raised_together_with_the_setting_that_allows_them(tmp_path: Path) -> None:
    frame = clean().assign(told=lambda f: f.y.str.upper())
    frame["gone"] = frame.a.mask(frame.y == "no")
    file, report = tmp_path / "table.parquet", tmp_path / "leaks.json"
    frame.to_parquet(file, index=False)
    role, columns = by_chance(ROWS), [name for name in frame if name != "y"]
    with pytest.raises(DataInvalid, match="2 leaks") as error:
        require_no_leaks(file, role, make(), columns, report)
    assert error.value.exit_code == 2
    assert {problem.where for problem in error.value.problems} == {"told", "gone"}
    assert "features: {allow_leaks: [told]}" in str(error.value)
    assert [leak["column"] for leak in read_json(report)["leaks"]] == ["told", "gone"]

    allowed = make(features={"allow_leaks": ["to*", "gone"]})
    assert require_no_leaks(file, role, allowed, columns, report) == []
    assert read_json(report) == {"leaks": []}


def test_an_allowed_leak_that_matches_no_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean a"):
        found(tmp_path, clean(), make(features={"allow_leaks": ["aa"]}))


def test_a_column_that_is_not_a_feature_is_not_checked(tmp_path: Path) -> None:
    file = tmp_path / "table.parquet"
    clean().assign(told=lambda f: f.y).to_parquet(file, index=False)
    assert find_leaks(file, by_chance(ROWS), make(), ["a", "b"]) == []


def test_the_split_stage_stops_at_a_leak_and_writes_no_roles(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    write_experiment(project)
    build = project.build("tiny")
    build.mkdir(parents=True)
    frame = table(700, "kind")
    frame.to_parquet(build / "table.parquet", index=False)
    split_table(project, "tiny")
    before = (build / "roles.parquet").read_bytes()
    assert read_warnings(build / "leaks.json") == []
    frame.assign(told=frame.kind.str.upper()).to_parquet(build / "table.parquet", index=False)
    write_experiment(project, features={"columns": {"told": "category"}})
    with pytest.raises(DataInvalid, match="allow_leaks"):
        split_table(project, "tiny")
    assert (build / "roles.parquet").read_bytes() == before
    allowed = {"columns": {"told": "category"}, "allow_leaks": ["told"]}
    write_experiment(project, features=allowed)
    split_table(project, "tiny")


def test_warnings_are_read_back_from_the_report(tmp_path: Path) -> None:
    file, report = tmp_path / "table.parquet", tmp_path / "leaks.json"
    clean().sort_values("y").to_parquet(file, index=False)
    warnings = require_no_leaks(file, by_chance(ROWS), make(), ["a", "b", "c"], report)
    assert read_warnings(report) == [str(leak) for leak in warnings]
    assert "the previous row explains 100% of y" in read_warnings(report)[0]
    assert read_warnings(tmp_path / "none.json") == []


def test_role_codes_are_those_of_the_split() -> None:
    assert (roles.TEST, roles.VALIDATION, roles.TRAINING) == (TEST, VALIDATION, TRAINING)


def test_every_kind_of_leak_is_an_error_or_a_warning() -> None:
    assert {severity for severity, _ in KINDS.values()} == {"error", "warning"}


numbers = st.lists(st.integers(0, 6), min_size=1, max_size=9)


@given(numbers, st.data())
@settings(max_examples=60, deadline=None)
def test_out_of_order_counts_the_fewest_rows_to_remove(first: list[int], data: Any) -> None:
    second = data.draw(st.lists(st.integers(0, 6), min_size=len(first), max_size=len(first)))
    pairs = list(zip(first, second, strict=True))
    best = 0
    for chosen in range(1 << len(pairs)):
        kept = [pair for place, pair in enumerate(pairs) if chosen >> place & 1]
        ordered = all(
            (a[0] != b[0] or a[1] == b[1]) and (a[0] >= b[0] or a[1] <= b[1])
            for a in kept
            for b in kept
        )
        best = max(best, len(kept) * ordered)
    fewest = out_of_order(np.array(first), np.array(second))
    assert fewest in (len(pairs) - best, len(pairs))


@given(st.lists(st.tuples(st.integers(-1, 5), st.integers(0, 1)), min_size=2, max_size=30))
@settings(max_examples=60, deadline=None)
def test_auc_is_the_share_of_ordered_pairs(
    rows: list[tuple[int, int]],
) -> None:
    ones, zeros = ([x for x, y in rows if y == of] for of in (1, 0))
    wins = [(a > b) + (a == b) / 2 for a in ones for b in zeros]
    expected = float(np.mean(wins)) if wins else 0.5
    x, y = (np.array(part) for part in zip(*rows, strict=True))
    assert auc(x, y) == pytest.approx(expected)


def test_the_report_is_written_next_to_the_roles(reproduced: Project) -> None:
    assert read_json(reproduced.build("digits") / "leaks.json")["leaks"] == []
