"""Assumptions about columns: kind, role, task and target."""

from __future__ import annotations

from typing import Any

import pytest

from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.profiling.assumptions import (
    assume,
    assume_column,
    choose_task,
    likely_targets,
)
from gristmill.pipelines.profiling.table_profile import ColumnProfile, TableProfile
from gristmill.pipelines.profiling.target_choice import require_target

ROWS = 1000


def column(name: str, type: str = "text", distinct: int = 3, **more: Any) -> ColumnProfile:
    """Return a column profile of `ROWS` rows; the `levels` listed are equally frequent."""
    levels = more.pop("levels", None)
    if levels is not None:
        distinct = len(levels)
        more["levels"] = tuple((level, ROWS // distinct) for level in levels)
    return ColumnProfile(name, type, ROWS, more.pop("missing", 0), distinct, **more)  # type: ignore[arg-type]


def counted(name: str, *rows: int, first: int = 0, step: int = 1) -> ColumnProfile:
    """Return the profile of whole numbers with these numbers of rows, from the first number."""
    levels = sorted(((first + step * i, n) for i, n in enumerate(rows)), key=lambda pair: -pair[1])
    ends = (first, first + step * (len(rows) - 1))
    return ColumnProfile(
        name, "integer", sum(rows), 0, len(rows), levels=tuple(levels), quantiles=ends
    )


CASES = [
    (column("age", "integer", 70), "number", True),
    (column("height", "number", 900), "number", True),
    (column("joined", "date", 900), "date", True),
    (column("active", "boolean", 2), "boolean", True),
    (column("active", levels=["Yes", "No"]), "boolean", True),
    (column("자동이체", levels=["예", "아니오"]), "boolean", True),
    (column("plan", levels=["basic", "pro"]), "category", True),
    (column("city", distinct=120), "category", True),
    (column("size", levels=["S", "L", "M"]), "ordered", True),
    (column("grade", levels=["Very High", "low", "medium"]), "ordered", True),
    (column("colour", levels=["low", "red", "high"]), "category", True),
    (column("store_id", "integer", 12), "category", True),
    (column("zip", "integer", 40), "category", True),
    (column("note", distinct=700, words=6.0), "text", False),
    (column("signature", distinct=999, words=1.0), "category", False),
    (column("nickname", distinct=600, words=1.0), "category", False),
    (column("empty", distinct=0, missing=ROWS), "number", False),
    (column("nearly", "number", 5, missing=ROWS - 5), "category", False),
    (column("country", levels=["KR"]), "category", False),
    (column("country", levels=["KR"], missing=300), "category", True),
    (column("id", "integer", ROWS), "number", False),
    (column("customerId", distinct=ROWS), "category", False),
    (column("row", "integer", ROWS, numbered="in order"), "number", False),
    (column("a", "integer", ROWS, numbered="shuffled"), "number", False),
    (column("a", "number", ROWS, numbered="shuffled"), "number", False),
    (column("rownames", "integer", ROWS, quantiles=(3, 700, 1900)), "number", False),
    (column("X", "integer", ROWS, quantiles=(1, 700, 1500)), "number", False),
    (column("X", "integer", ROWS, quantiles=(1, 70_000, 150_000)), "number", True),
    (column("x", "integer", ROWS, quantiles=(1, 700, 1500)), "number", True),
    (column("Unnamed: 0", "integer", 300, quantiles=(0, 150, 299)), "number", False),
    (column("__index_level_0__", "integer", 300, quantiles=(0, 150, 299)), "number", False),
    (column("year", "integer", ROWS, numbered="in order"), "number", True),
    (column("a", "integer", ROWS, numbered="in order", quantiles=(1600, 2599)), "number", False),
    (column("a", "integer", ROWS, numbered="in order", quantiles=(1100, 2099)), "number", False),
    (column("day", "integer", ROWS, numbered="in order"), "number", True),
    (column("order no", "integer", ROWS), "number", False),
    (column("house_number", "integer", 200), "number", True),
    (column("income", "integer", ROWS), "number", True),
    (column("customer_id", "integer", 200), "number", False),
]


@pytest.mark.parametrize(("profile", "kind", "used"), CASES, ids=lambda v: getattr(v, "name", ""))
def test_the_kind_of_a_column_is_recognised(profile: ColumnProfile, kind: str, used: bool) -> None:
    found = assume_column(profile)
    assert (found.kind, found.used) == (kind, used)
    assert used or found.why


def test_the_levels_of_a_scale_are_ordered_and_spelt_as_in_the_data() -> None:
    assert assume_column(column("g", levels=["HIGH", "low", "Medium"])).levels == (
        "low",
        "Medium",
        "HIGH",
    )


def roles(*columns: ColumnProfile) -> dict[str, str]:
    found = assume(TableProfile(ROWS, (*columns, column("y", levels=["a", "b"]))), "y")
    return {a.name: a.role for a in found if a.role}


def test_an_identifier_with_a_value_per_row_is_the_key() -> None:
    assert roles(column("customer_id", distinct=ROWS)) == {"customer_id": "key", "y": "target"}


def test_columns_with_the_names_of_answers_are_left_out() -> None:
    names = ["prediction", "probability_a", "probability_of_rain"]
    columns = (*map(column, names), column("y", levels=["a", "b"]))
    found = assume(TableProfile(ROWS, columns), "y")
    assert [one.name for one in found if one.used] == ["probability_of_rain"]
    assert found[0].why == "the name of an answer; rename it to use it"
    with pytest.raises(ConfigError, match="the target cannot be called prediction"):
        require_target(names, "prediction", "gristmill new a")


def test_a_running_row_number_is_not_a_key() -> None:
    assert roles(column("id", "integer", ROWS, numbered="in order")) == {"y": "target"}


def test_a_shuffled_identifier_is_a_key() -> None:
    found = roles(column("customer_id", "integer", ROWS, numbered="shuffled"))
    assert found == {"customer_id": "key", "y": "target"}


def test_a_column_of_one_year_a_row_is_a_feature() -> None:
    years = ColumnProfile("a", "integer", 60, 0, 60, quantiles=(1950, 2009), numbered="in order")
    assert assume_column(years).used


@pytest.mark.parametrize(
    ("name", "type", "used"),
    [("when", "date", True), ("year", "integer", True), ("a", "integer", False)],
)
def test_the_index_of_a_data_frame_is_left_out_unless_it_has_a_meaning(
    name: str, type: str, used: bool
) -> None:
    profile = TableProfile(ROWS, (column(name, type, ROWS), column("y", levels=["a", "b"])))
    assert assume(profile, "y", [name])[0].used == used


def test_a_repeated_identifier_is_the_group_and_takes_precedence_over_a_key() -> None:
    found = roles(column("visit_id", distinct=ROWS), column("customer_id", distinct=200))
    assert found == {"customer_id": "group", "y": "target"}


@pytest.mark.parametrize(
    ("owner", "role"),
    [
        (column("Individual ID", distinct=550), "group"),
        (column("patient", "integer", 40), "group"),
        (column("firm", distinct=11), "group"),
        (column("firm", distinct=3), ""),
        (column("subject", distinct=200, missing=5), ""),
        (column("patient_status", distinct=40), ""),
        (counted("member", *[90 // (1 + i) for i in range(12)]), ""),  # a number of members
    ],
)
def test_what_rows_belong_to_makes_groups(owner: ColumnProfile, role: str) -> None:
    assert roles(owner).get(owner.name, "") == role


def test_an_identifier_with_missing_values_is_not_a_group() -> None:
    assert roles(column("customer_id", distinct=200, missing=10)) == {"y": "target"}


@pytest.mark.parametrize(
    ("target", "task"),
    [
        (column("y", levels=["a", "b"]), "classification"),
        (column("y", "boolean", 2), "classification"),
        (column("y", "integer", levels=[0, 1]), "classification"),
        (column("y", "number", levels=[0.0, 1.0]), "classification"),
        (column("y", "number", levels=[0.5, 1.5]), "regression"),
        (column("y", "integer", 300), "regression"),
        (ColumnProfile("y", "integer", 15, 0, 15), "regression"),
        (counted("y", 50, 50, 50), "classification"),
        (counted("y", 50, 40, 60, first=4, step=2), "classification"),
        (counted("y", 18, 18, 17, 18, 18, 18, 18, 17, 17, 18), "classification"),
        (counted("y", 200, 180, 108, 37, 94, 150, 175), "classification"),
        (counted("type", 70, 76, 17, 29, first=1, step=2), "classification"),
        (counted("price class", 90, 60, 30, 10, 9), "classification"),
        (counted("y", 184, 184, 92, 31, 8, 5), "regression"),  # a count
        (counted("y", 40, 60, 50, 70, first=3), "regression"),
        (counted("y", 40, 60, 50, 70, step=10), "regression"),
        (counted("y", *[30] * 13), "regression"),
        (counted("n_kids", 90, 60, 30), "regression"),
        (counted("height (inches)", 40, 60, 50, first=1), "regression"),
        (counted("unemployment rate", 40, 60, 50, 20, 30, 10, first=4), "regression"),
    ],
)
def test_the_task_is_chosen_from_the_target_with_a_reason(target: ColumnProfile, task: str) -> None:
    chosen = choose_task(target)
    assert chosen.task == task
    assert str(target.distinct) in chosen.why


@pytest.mark.parametrize(
    ("target", "other"),
    [
        (counted("y", 50, 50, 50), "as a number: --task regression"),
        (counted("y", 50, 80, 40, 20, first=3), "as classes: --task classification"),
    ],
)
def test_where_both_tasks_make_sense_the_reason_has_the_option_for_the_other(
    target: ColumnProfile, other: str
) -> None:
    assert choose_task(target).why.endswith(other)


def test_numbers_of_pictures_are_classes() -> None:
    assert choose_task(counted("n", 9, 9, 9, 9, first=5), pictures=True).task == "classification"


def test_likely_targets_are_columns_with_a_target_name_and_the_last_one() -> None:
    columns = (
        column("customer_id", distinct=200),
        column("churned", levels=["yes", "no"]),
        column("note", distinct=700),
        column("spent", "number", 900),
    )
    assert likely_targets(TableProfile(ROWS, columns)) == ["churned", "spent"]


@pytest.mark.parametrize(("note", "kind"), [(6.0, "text"), (1.6, "text"), (1.0, "")])
def test_a_text_is_a_feature_only_if_there_is_no_other_one(note: float, kind: str) -> None:
    target = column("y", levels=["a", "b"])
    text = column("name", distinct=ROWS, words=note)
    number = column("age", "integer", 70)
    key = column("id", distinct=ROWS, words=2.0)
    alone = assume(TableProfile(ROWS, (key, text, target)), "y")
    assert [one.kind for one in alone if one.used] == [kind] * bool(kind)
    assert alone[0].role == "key"
    others = assume(TableProfile(ROWS, (text, number, target)), "y")
    assert [one.name for one in others if one.used] == ["age"]
