"""Transforms, as in every package: raw rows to numbers, and outputs to predictions."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.pipelines.preparation.features import transforms
from gristmill.pipelines.preparation.features.transforms import (
    EMPTY,
    MISSING,
    NAIVE,
    UNSEEN,
    answers,
    class_places,
    encode_target,
    feature_names,
    optional_names,
    probabilities,
    surprises,
    transform,
    words_of,
)

STATISTICS: dict[str, Any] = {
    "numbers": [
        {"name": "a", "offset": 1.0, "factor": 0.5, "fill": 3.0, "indicator": True},
        {"name": "b", "offset": 0.0, "factor": 2.0, "fill": 0.0, "indicator": False},
    ],
    "columns": [{"name": "c", "kind": "category", "levels": ["(missing)", "x", "y"]}],
    "classes": ["no", "yes"],
    "target": "t",
    "task": "classification",
}
FRAME = pd.DataFrame({"a": [1.0, None, 5.0], "b": [1, 2, 3], "c": ["x", "z", None]})


def test_numbers_are_filled_shifted_and_scaled_and_levels_become_columns() -> None:
    names = ["a", "b", "a is missing", "c=(missing)", "c=x", "c=y"]
    assert feature_names(STATISTICS) == names
    x = transform(FRAME, STATISTICS)
    assert x.dtype == np.float32
    assert x.tolist() == [[0, 2, 0, 0, 1, 0], [1, 4, 1, 0, 0, 0], [2, 6, 0, 1, 0, 0]]


def test_an_unseen_category_is_all_zeros() -> None:
    assert not transform(FRAME, STATISTICS)[1, 3:].any()


@given(order=st.permutations(["a", "b", "c", "t", "more"]), rows=st.permutations(range(3)))
def test_column_order_and_additional_columns_do_not_matter(
    order: list[str], rows: list[int]
) -> None:
    wider = FRAME.assign(t="yes", more=[object()] * 3)[order].iloc[rows]
    assert (transform(wider, STATISTICS) == transform(FRAME, STATISTICS)[rows]).all()


@pytest.mark.parametrize("dtypes", [{"a": "Float64", "b": "Int64"}, {"a": "object"}, {"b": "int8"}])
def test_the_type_of_a_number_column_does_not_matter(dtypes: dict[str, str]) -> None:
    assert (transform(FRAME.astype(dtypes), STATISTICS) == transform(FRAME, STATISTICS)).all()


def test_each_row_is_transformed_independently() -> None:
    whole = transform(FRAME, STATISTICS)
    alone = [transform(FRAME.iloc[[place]], STATISTICS)[0] for place in range(3)]
    assert (whole == np.stack(alone)).all()
    assert transform(FRAME.head(0), STATISTICS).shape == (0, 6)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_a_feature_that_is_not_finite_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match="column b must hold finite numbers, found"):
        transform(FRAME.assign(b=value), STATISTICS)


def test_words_are_also_extracted_from_numbers() -> None:
    assert words_of(pd.Series(["Tea 3", 3, None, 2.5]))[1] == ["tea", "3", "3", "2", "5"]


def test_text_in_a_number_column_is_an_error_with_column_and_value() -> None:
    with pytest.raises(ValueError, match="column b must hold numbers, found 'many'"):
        transform(FRAME.assign(b=["1", "many", "3"]), STATISTICS)


def test_missing_columns_are_named() -> None:
    with pytest.raises(ValueError, match=r"columns are missing: b$"):
        transform(FRAME[["a"]], STATISTICS)


def test_a_column_with_gaps_in_training_is_optional() -> None:
    assert optional_names(STATISTICS) == ["a", "c"]
    expected = transform(FRAME.assign(a=None, c=None), STATISTICS)
    assert (transform(FRAME[["b"]], STATISTICS) == expected).all()


NUMBER_COLUMN = {"offset": 0.0, "factor": 1.0, "fill": 0.0, "indicator": False}
LABELS = [["no", "yes"], [3, 7], [False, True], [0.5, 1.5]]
DTYPES = ["object", "int64", "bool", "float64"]


@pytest.mark.parametrize(("classes", "dtype"), zip(LABELS, DTYPES, strict=True))
def test_predictions_are_labels_of_the_type_of_the_target(classes: list[Any], dtype: str) -> None:
    outputs = np.array([[0.9, 0.1], [0.2, 0.8]], dtype=np.float32)
    table = answers(outputs, STATISTICS | {"classes": classes})
    assert table["prediction"].tolist() == classes
    assert table["prediction"].dtype == dtype
    columns = [f"probability_{str(c).lower() if dtype == 'bool' else c}" for c in classes]
    assert list(table.columns) == ["prediction", *columns]
    assert table[columns].to_numpy().tolist() == outputs.astype("float64").tolist()


@pytest.mark.parametrize("classes", LABELS)
def test_a_target_is_encoded_by_the_index_of_its_class(classes: list[Any]) -> None:
    column = pd.Series([classes[1], classes[0]])
    statistics = STATISTICS | {"classes": classes}
    assert encode_target(column, statistics).tolist() == [1, 0]
    assert encode_target(column.convert_dtypes(), statistics).tolist() == [1, 0]
    assert encode_target(column, statistics).dtype == np.int32


def test_an_unknown_class_is_encoded_as_minus_one() -> None:
    assert encode_target(pd.Series(["yes", "maybe", None]), STATISTICS).tolist() == [1, -1, -1]


SAME_LABELS: list[tuple[list[Any], list[Any], list[Any]]] = [
    ([0, 1], [0, 0.0, "0", "0.0", False, "FALSE"], [1, 1.0, " 1 ", "+1", "1e0", True, "true"]),
    ([False, True], [False, "False", 0, 0.0, "0.0", "no"], [True, "TRUE", 1, 1.0, "1", "Y", "yes"]),
    (["0", "1"], [0, 0.0, False], [1, "1", "true"]),
    ([3, 7], ["3", 3.0, " 3"], [7, "7.0", np.int8(7)]),
    (["007", "008"], ["007", "7", 7.0], ["008", 8]),
    (["no", "yes"], ["no", "\u00a0no"], ["yes ", " yes"]),
    (["no", "\uc608"], ["no"], ["\u110b\u1168", " \u110b\u1168 ", "\uc608"]),
]


@pytest.mark.parametrize(("classes", "first", "second"), SAME_LABELS)
def test_a_label_is_the_same_whatever_its_type_spaces_and_unicode_form(
    classes: list[Any], first: list[Any], second: list[Any]
) -> None:
    for place, same in enumerate((first, second)):
        for label in same:
            for others in ([], ["no such class"], [None]):
                expected = [place, *[-1] * len(others)]
                assert class_places([label, *others], classes).tolist() == expected, label


@pytest.mark.parametrize(
    ("classes", "others"),
    [
        ([0, 1], [2, "kiwi", "01x", "", None, 0.5]),
        ([3, 7], [True, "yes", "3a"]),
        (["a", "1"], ["1.0", True]),
        (["1", "01"], ["1.0"]),
        (["no", "yes"], ["Yes", True, 1]),
    ],
)
def test_other_labels_are_unknown(classes: list[Any], others: list[Any]) -> None:
    for label in others:
        assert class_places([label], classes).tolist() == [-1]


def test_a_long_number_is_a_label_of_its_own() -> None:
    classes = [1925036343869802844, 1925036343869802845]
    assert class_places(["1925036343869802845"], classes).tolist() == [1]
    assert class_places(["1925036343869802846"], classes).tolist() == [-1]


def test_names_and_levels_are_compared_stripped_and_in_one_unicode_form() -> None:
    statistics = STATISTICS | {
        "numbers": [],
        "columns": [{"name": "\uc608", "kind": "category", "levels": ["\uc11c\uc6b8", MISSING]}],
    }
    levels = ["\uc11c\uc6b8", "\u1109\u1165\u110b\u116e\u11af", " \uc11c\uc6b8\u00a0", " ", None]
    for name in ("\uc608", "\u110b\u1168", " \uc608 "):
        for column in (levels, pd.Categorical(levels)):
            features = transform(pd.DataFrame({name: column}), statistics)
            assert features.tolist() == [[1, 0]] * 3 + [[0, 1]] * 2
    twice = pd.DataFrame([["a", "b"]], columns=["\u110b\u1168", " \uc608"])
    with pytest.raises(ValueError, match="two columns have the same name"):
        transform(twice, statistics)


def test_a_number_can_be_a_columns_label() -> None:
    numbers = [{**NUMBER_COLUMN, "name": name} for name in ("2", "0", "1")]
    statistics = STATISTICS | {"numbers": numbers, "columns": []}
    texts = transform(pd.DataFrame([[5.0, 6.0, 7.0]], columns=["2", "0", "1"]), statistics)
    assert texts.tolist() == [[5, 6, 7]]
    moved = pd.DataFrame([[6.0, 7.0, 5.0]], columns=[0, 1, 2])
    assert transform(moved, statistics).tolist() == texts.tolist()


def of_kind(kind: str, **settings: Any) -> dict[str, Any]:
    return STATISTICS | {"numbers": [], "columns": [{"name": "c", "kind": kind, **settings}]}


SURPRISING: list[tuple[dict[str, Any], list[Any], list[tuple[str, list[int], list[str]]]]] = [
    (
        of_kind("category", levels=["basic", "plus"]),
        ["basic", "BASIC", None, " plus", "x"],
        [(EMPTY, [2], []), (UNSEEN, [1, 4], ["BASIC", "x"])],
    ),
    (of_kind("category", levels=[MISSING, "a"]), ["a", None, " "], []),
    (of_kind("embedded", levels=["a"], size=1), ["b", "a"], [(UNSEEN, [0], ["b"])]),
    (
        of_kind("ordered", levels=["low", "high"], gaps=True, fill=0.0),
        ["high", "higher", None],
        [(UNSEEN, [1], ["higher"])],
    ),
    (
        of_kind("boolean", false=["0", "false", "no"], true=["1", "true", "yes"], gaps=False),
        ["YES", "Yep", True, None],
        [(EMPTY, [3], []), (UNSEEN, [1], ["Yep"])],
    ),
    (
        of_kind("date", parts=[], gaps=True),
        ["2026-01-31T12:00+09:00", "2026-01-31 12:00:00", "2026-01-31", None, "2026-01-31T12:00Z"],
        [(NAIVE, [1, 2], ["2026-01-31 12:00:00", "2026-01-31"])],
    ),
    (of_kind("date", parts=[], gaps=True), ["2026-01-31 12:00:00", "2026-01-31"], []),
    (of_kind("text", words=["a"], weights=[1.0], gaps=False), ["a b!", ""], [(EMPTY, [1], [])]),
    (
        of_kind("text", words=["a"], weights=[1.0], gaps=True),
        ["b a", "b", None, "b c", "A", "!?"],
        [(UNSEEN, [1, 3], ["b", "b c"])],
    ),
    (
        STATISTICS | {"numbers": [{**NUMBER_COLUMN, "name": "c"}], "columns": []},
        [1.0, None, 3],
        [(EMPTY, [1], [])],
    ),
]


@pytest.mark.parametrize(("statistics", "values", "expected"), SURPRISING)
def test_values_that_training_did_not_have_are_found(
    statistics: dict[str, Any],
    values: list[Any],
    expected: list[tuple[str, list[int], list[str]]],
) -> None:
    for dtype in (object, None):
        found = surprises(pd.DataFrame({"c": pd.Series(values, dtype=dtype)}), statistics)
        made = [(one.what, np.flatnonzero(one.rows).tolist(), one.examples) for one in found]
        assert made == expected
        assert {one.name for one in found} <= {"c"}
    assert surprises(pd.DataFrame(index=range(3)), statistics) == []


def test_blank_text_is_missing() -> None:
    numbers = [{**NUMBER_COLUMN, "name": "n", "fill": 9.0}]
    said = {"name": "s", "kind": "text", "words": ["a"], "weights": [1.0], "gaps": True}
    statistics = STATISTICS | {"numbers": numbers, "columns": [said]}
    frame = pd.DataFrame({"n": ["1", " "], "s": ["a", " "]})
    assert transform(frame, statistics).tolist() == [[1, 1, 0], [9, 0, 1]]


def test_a_single_output_is_the_probability_of_the_second_class() -> None:
    assert probabilities(np.array([[0.25], [1.0]])).tolist() == [[0.75, 0.25], [0.0, 1.0]]
    assert answers(np.array([[0.25], [1.0]]), STATISTICS)["prediction"].tolist() == ["no", "yes"]


def test_predictions_of_a_regression_are_numbers() -> None:
    statistics = STATISTICS | {"classes": None}
    table = answers(np.array([[1.5], [2.5]], dtype=np.float32), statistics)
    assert table.to_dict("list") == {"prediction": [1.5, 2.5]}
    y = encode_target(pd.Series([1, 2], dtype="Int64"), statistics)
    assert (y.tolist(), y.dtype) == ([1.0, 2.0], np.float32)


def test_no_rows_give_no_predictions() -> None:
    assert len(answers(np.empty((0, 2)), STATISTICS)) == 0
    assert len(answers(np.empty((0, 1)), STATISTICS | {"classes": None})) == 0


def test_the_file_works_alone_next_to_a_model(tmp_path: Path) -> None:
    source = Path(transforms.__file__)
    copy = tmp_path / "gristmill_transform.py"
    copy.write_bytes(source.read_bytes())
    spec = importlib.util.spec_from_file_location("gristmill_transform", copy)
    assert spec is not None
    assert spec.loader is not None
    alone = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(alone)
    assert (alone.transform(FRAME, STATISTICS) == transform(FRAME, STATISTICS)).all()
