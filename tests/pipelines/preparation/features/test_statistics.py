"""Every kind of column: its statistics from training rows, and its features."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import KINDS, mixed

from gristmill.pipelines.base.errors import ConfigError, DataInvalid
from gristmill.pipelines.base.files import read_json
from gristmill.pipelines.config.document import Document
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.preparation.features.column_fit import embedding_size
from gristmill.pipelines.preparation.features.prepare import scale
from gristmill.pipelines.preparation.features.statistics import fit_statistics
from gristmill.pipelines.preparation.features.transforms import (
    feature_names,
    input_names,
    optional_names,
    transform,
)
from gristmill.pipelines.preparation.split.cuts_file import TEST, TRAINING, VALIDATION

SECTIONS: dict[str, Any] = {
    "data": {"path": "data/a/a.csv", "target": "y", "task": "regression"},
    "schema": {},
    "split": {},
    "features": {},
    "model": {"layers": []},
}


def document(task: str = "regression", **features: object) -> Document:
    sections = SECTIONS | {"data": SECTIONS["data"] | {"task": task}, "features": features}
    return Document.model_validate_json(json.dumps(sections))


def fitted(values: Any, kind: object = None, **features: object) -> dict[str, Any]:
    """Return the statistics of one column `c`."""
    frame = pd.DataFrame({"c": values})
    frame["y"] = np.arange(float(len(frame)))
    columns = {} if kind is None else {"c": kind}
    found = fit_statistics(frame, document(columns=columns, **{"scale": "none", **features}))
    return dict(json.loads(json.dumps(found)))  # as stored


def encoded(values: Any, statistics: Mapping[str, Any]) -> Any:
    return transform(pd.DataFrame({"c": values}), statistics)


MIXED = document(**KINDS)


def test_every_kind_has_its_feature_columns_and_codes_are_last() -> None:
    statistics = fit_statistics(mixed(200), MIXED)
    names = feature_names(statistics)
    assert names[:3] == ["number", "whole", "number is missing"]
    assert names[3:7] == ["colour=(missing)", "colour=blue", "colour=green", "colour=red"]
    assert names[7:13] == [
        f"{c}{m}" for c in ("size", "member", "flag") for m in ("", " is missing")
    ]
    assert names[13:22] == [
        *("when: days", "when: year", "when: month, sine", "when: month, cosine"),
        *("when: weekday, sine", "when: weekday, cosine", "when: hour, sine", "when: hour, cosine"),
        "when is missing",
    ]
    assert {*names[22:25]} < {"said: a", "said: b", "said: ça", "said: d"}
    assert names[25:] == ["said is missing", "shop, code"]
    assert statistics["embedded"] == [[9, embedding_size(8)]]
    assert set(input_names(statistics)) - set(optional_names(statistics)) == {"whole"}
    assert transform(mixed(200), statistics).shape == (200, len(names))


@settings(max_examples=20)
@given(st.integers(0, 2**20), st.integers(0, 60), st.permutations(list(mixed(1).columns)))
def test_a_frame_gives_the_same_features_in_parts_and_in_any_column_order(
    seed: int, cut: int, order: list[str]
) -> None:
    statistics = fit_statistics(mixed(80), MIXED)
    frame = mixed(60, seed)
    whole = transform(frame, statistics)
    parts = [transform(part[order], statistics) for part in (frame[:cut], frame[cut:])]
    assert np.isfinite(whole).all()
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@settings(max_examples=20)
@given(st.permutations(range(80)), st.permutations(list(mixed(1).columns)))
def test_statistics_do_not_depend_on_the_order_of_rows_or_columns(
    rows: list[int], order: list[str]
) -> None:
    def by_name(statistics: dict[str, Any]) -> dict[str, Any]:
        return {c["name"]: c for kind in ("numbers", "columns") for c in statistics[kind]}

    first = by_name(fit_statistics(mixed(80), MIXED))
    other = by_name(fit_statistics(mixed(80).iloc[rows][order].reset_index(drop=True), MIXED))
    assert first.keys() == other.keys()
    for name, column in first.items():  # the order of summation changes the last bits
        for key in ("parts", "weights"):
            values = [pytest.approx(value) for value in column.pop(key, [])]
            assert other[name].pop(key, []) == values
        for key, value in column.items():
            expected = pytest.approx(value) if isinstance(value, float) else value
            assert other[name][key] == expected


def test_rows_sent_to_a_served_model_give_the_same_features() -> None:
    statistics = fit_statistics(mixed(200), MIXED)
    frame = mixed(30, seed=4)
    served = pd.DataFrame(json.loads(frame.to_json(orient="records", date_format="iso")))
    np.testing.assert_array_equal(transform(served, statistics), transform(frame, statistics))


@pytest.fixture
def scaled(tmp_path: Path) -> tuple[pd.DataFrame, Any, Path]:
    """A table with several row groups after the stage."""
    project = Project(tmp_path)
    project.experiments.mkdir(parents=True)
    project.experiment_file("e").write_text(json.dumps(SECTIONS | {"features": KINDS}))
    build = project.build("e")
    build.mkdir(parents=True)
    frame = mixed(500)
    frame.to_parquet(build / "table.parquet", index=False, row_group_size=120)
    role = np.random.default_rng(1).choice([TEST, VALIDATION, TRAINING, 3], 500).astype(np.int8)
    identity = np.arange(500, dtype=np.uint64)
    roles = pd.DataFrame({"role": role, "identity": identity})
    roles.to_parquet(build / "roles.parquet", index=False)
    scale(project, "e")
    return frame, role, build


def test_scaling_in_pieces_equals_scaling_at_once(
    scaled: tuple[pd.DataFrame, Any, Path],
) -> None:
    frame, role, build = scaled
    statistics = read_json(build / "training" / "statistics.json")
    assert statistics == json.loads(json.dumps(fit_statistics(frame[role == TRAINING], MIXED)))
    for name, of in (("training/x_training", TRAINING), ("training/x_validation", VALIDATION)):
        x = np.load(build / f"{name}.npy")
        np.testing.assert_array_equal(x, transform(frame[role == of], statistics))
    test = pa.parquet.read_table(build / "test" / "rows.parquet")
    assert test.schema.equals(pa.parquet.read_schema(build / "table.parquet"))
    assert test.to_pandas()["colour"].fillna("").tolist() == (
        frame["colour"][role == TEST].fillna("").tolist()
    )
    np.testing.assert_array_equal(
        np.load(build / "test" / "x.npy"), transform(test.to_pandas(), statistics)
    )
    assert (
        np.load(build / "test" / "identity.npy").tolist() == np.flatnonzero(role == TEST).tolist()
    )


def test_many_levels_are_codes_from_1_and_unseen_ones_are_0() -> None:
    levels = [f"l{i:04d}" for i in range(3000)]
    statistics = fitted(levels * 3)
    assert statistics["embedded"] == [[3001, 50]]
    assert encoded(["l0000", "l2999", "new", None], statistics).tolist() == [[1], [3000], [0], [0]]


def test_an_embedding_can_be_declared_with_its_size() -> None:
    statistics = fitted(["a", None, "b"], {"kind": "category", "size": 2})
    assert statistics["embedded"] == [[4, 2]]
    assert encoded(["a", None, "c"], statistics).tolist() == [[2], [1], [0]]


def test_integers_of_any_type_are_the_same_levels() -> None:
    statistics = fitted(pd.array([3, 1, None, 3], dtype="Int64"), "category")
    assert feature_names(statistics) == ["c=(missing)", "c=1", "c=3"]
    expected = [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    for values in ([3, 1, None], ["3", "1", None], pd.array([3, 1, None], dtype="Int64")):
        assert encoded(values, statistics).tolist() == expected


def test_an_ordered_category_becomes_its_position_between_0_and_1() -> None:
    statistics = fitted(["large", None, "small", "small"], KINDS["columns"]["size"])
    assert feature_names(statistics) == ["c", "c is missing"]
    made = encoded(["small", "middle", "large", None, "huge"], statistics)
    assert made.tolist() == [[0, 0], [0.5, 0], [1, 0], [0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["no", "yes", "no"], None),
        (["Nein", "JA", "nein"], None),
        (["아니오", "예", "아니오"], None),
        (["no", "si", "no"], "boolean"),
        ([False, True, False], None),
        ([0, 1, 0], "boolean"),
        (["cat", "dog", "cat"], "boolean"),
    ],
)
def test_a_boolean_becomes_0_or_1(values: list[Any], kind: str | None) -> None:
    statistics = fitted(values, kind)
    assert feature_names(statistics) == ["c"]
    assert encoded(values, statistics).tolist() == [[0], [1], [0]]
    assert encoded([True, False, 1, 0], statistics).tolist() == [[1], [0], [1], [0]]
    assert encoded([None, "what"], statistics).tolist() == [[0], [0]]  # training majority


def test_missing_values_of_a_boolean_are_marked() -> None:
    statistics = fitted(pd.array([True, None, True, False], dtype="boolean"))
    assert encoded([True, None, False], statistics).tolist() == [[1, 0], [1, 1], [0, 0]]


def test_a_date_becomes_days_and_cyclic_calendar_features() -> None:
    days = pd.to_datetime(["2024-01-01T00:00", "2024-04-01T12:00", "2025-07-06T18:00"])
    statistics = fitted(days)
    made = encoded(["2024-04-01 12:00:00", "2024-04-01T14:00:00+02:00"], statistics)
    by_name = dict(zip(feature_names(statistics), made[0].tolist(), strict=True))
    assert by_name == pytest.approx(
        {
            "c: days": 19814.5,
            "c: year": 2024,
            "c: month, sine": 1,  # April begins after a quarter of the year
            "c: month, cosine": 0,
            "c: weekday, sine": 0,  # Monday
            "c: weekday, cosine": 1,
            "c: hour, sine": 0,
            "c: hour, cosine": -1,
        },
        abs=1e-6,
    )
    np.testing.assert_array_equal(made[0], made[1])  # the same instant in another time zone


def test_constant_parts_of_a_date_are_omitted_and_missing_dates_marked() -> None:
    statistics = fitted(["2024-05-01", None, "2024-05-03"], "date")
    assert feature_names(statistics) == [
        *("c: days", "c: weekday, sine", "c: weekday, cosine", "c is missing"),
    ]
    assert encoded([None], statistics).tolist() == [[19845, 0, 0, 1]]


def test_only_the_declared_parts_of_a_date_are_used_in_the_order_of_all() -> None:
    days = ["2024-05-01 06:00", "2024-06-03 00:00"]
    statistics = fitted(days, {"kind": "date", "parts": ["hour", "weekday"]})
    assert feature_names(statistics) == [
        *("c: weekday, sine", "c: weekday, cosine", "c: hour, sine", "c: hour, cosine"),
    ]


def test_a_text_becomes_the_tfidf_weights_of_scikit_learn_for_its_frequent_words() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["Gute Mühle, gute Arbeit", "방앗간 mühle 2024", "die Mühle mahlt", "", "Arbeit Mühle"]
    theirs = TfidfVectorizer(token_pattern=r"\w+", max_features=3)
    expected = theirs.fit_transform(texts).toarray()
    statistics = fitted(texts, {"kind": "text", "words": 3})
    assert feature_names(statistics) == ["c: mühle", "c: arbeit", "c: gute"]
    order = [theirs.vocabulary_[word] for word in ("mühle", "arbeit", "gute")]
    np.testing.assert_allclose(encoded(texts, statistics), expected[:, order], rtol=1e-6)
    assert not encoded(["", "nothing known", None], statistics).any()


def test_the_same_word_in_every_row_has_the_least_weight() -> None:
    assert fitted(["gut"] * 5, {"kind": "text"})["columns"][0]["weights"] == [1.0]


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        (["a", "b"], {"kind": "ordered", "levels": ["A", "b"]}, r"not among its levels.*found +a"),
        (["a", "b", "c"], "boolean", r"declared as boolean.*two different.*3: a, b, c"),
        (["2024-01-01", "soon"], "date", r"declared as date.*found +'soon'"),
        (["1", "two"], "number", r"declared as number.*found +'two'"),
        ([None, None], "text", r"has no values"),
        ([f"id {i}" for i in range(60)], "category", r"too many different.*60 in 60"),
        ([None, None], "date", r"has no values"),
        (["..", "--"], "text", r"has no values"),
        (
            ["2024-01-01"] * 2,
            {"kind": "date", "parts": ["hour"]},
            r"same date in these parts",
        ),
    ],
)
def test_a_column_that_does_not_fit_its_declared_kind_is_an_error(
    values: list[Any], kind: Any, words: str
) -> None:
    with pytest.raises(DataInvalid, match=f"(?s){words}"):
        fitted(values, kind)


def test_all_unusable_columns_are_named_together() -> None:
    ids = [f"id {i}" for i in range(99)]
    frame = pd.DataFrame({"a": ids, "b": ids, "n": np.full(99, np.nan), "y": np.arange(99.0)})
    with pytest.raises(DataInvalid, match="3 columns cannot") as caught:
        fit_statistics(frame, document())
    assert [p.where.split()[1] for p in caught.value.problems] == ["n", "a", "b"]


def test_a_date_declared_a_number_is_refused_and_a_boolean_is_accepted() -> None:
    with pytest.raises(ConfigError, match="c is declared as number but contains dates"):
        fitted(pd.to_datetime(["2024-01-01", "2024-01-02"]), "number")
    assert encoded(["true", False], fitted([True, False], "number")).tolist() == [[1], [0]]


def test_numbers_written_as_text_are_read_if_declared() -> None:
    statistics = fitted(["1", "2.5", None], "number")
    assert encoded(["4", 5, None], statistics)[:, 0].tolist() == [4, 5, 1.75]


def test_a_scaled_target_is_standardised_by_training_rows_and_converted_back() -> None:
    from gristmill.pipelines.preparation.features.transforms import answers, encode_target

    frame = pd.DataFrame({"c": [1.0, 2, 3, 4], "y": [100.0, 300, 500, 900]})
    statistics = fit_statistics(frame, document(scale_target=True))
    y = encode_target(frame["y"], statistics)
    assert (y.mean(), y.std()) == (pytest.approx(0, abs=1e-6), pytest.approx(1))
    back = answers(y.reshape(-1, 1), statistics)["prediction"]
    assert back.tolist() == pytest.approx(frame["y"].tolist(), rel=1e-6)


def test_dates_as_classes_are_predicted_as_text() -> None:
    from gristmill.pipelines.preparation.features.transforms import answers, encode_target

    frame = pd.DataFrame({"c": [1.0, 2], "y": pd.to_datetime(["2025-01-02", "2024-01-02"])})
    statistics = json.loads(json.dumps(fit_statistics(frame, document("classification"))))
    assert encode_target(frame["y"], statistics).tolist() == [1, 0]
    made = answers(np.eye(2), statistics)
    assert made["prediction"].tolist() == ["2024-01-02", "2025-01-02"]


@pytest.mark.parametrize("entry", ["colours", "size*"])
def test_an_entry_for_a_column_that_is_not_a_feature_is_refused(entry: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)no feature.*features\.columns\.{entry[:4]}"):
        fit_statistics(
            pd.DataFrame({"colour": ["a", "b"], "y": [1.0, 2]}),
            document(columns={entry: "category"}),
        )


def test_a_name_overrides_patterns_and_the_first_pattern_the_next() -> None:
    frame = pd.DataFrame({"a1": ["1", "2"], "a2": [1, 2], "b2": [3, 4], "y": [1.0, 2]})
    columns = {"a*": "category", "a1": "number", "*2": "boolean"}
    statistics = fit_statistics(frame, document(columns=columns))
    assert [c["name"] for c in statistics["numbers"]] == ["a1"]
    kinds = {c["name"]: c["kind"] for c in statistics["columns"]}
    assert kinds == {"a2": "category", "b2": "boolean"}


def test_the_size_of_an_embedding_grows_slowly_with_its_levels() -> None:
    assert [embedding_size(n) for n in (51, 500, 5000)] == [14, 50, 50]


@pytest.mark.parametrize(
    ("name", "task", "said"),
    [
        ("prediction", "regression", "features: {exclude: [prediction]}"),
        ("probability_yes", "classification", "features: {exclude: [probability_yes]}"),
        ("probability_yes", "regression", ""),
        ("probability_of_rain", "classification", ""),
    ],
)
def test_a_feature_with_the_name_of_an_answer_is_refused(name: str, task: str, said: str) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], name: [0.1, 0.2], "y": ["no", "yes"]})
    if task == "regression":
        frame["y"] = [1.0, 2.0]
    if not said:
        assert name in input_names(fit_statistics(frame, document(task)))
        return
    with pytest.raises(ConfigError, match="name of a column of the model's answers") as error:
        fit_statistics(frame, document(task))
    assert said in error.value.next
    excluded = fit_statistics(frame, document(task, exclude=[name]))
    assert input_names(excluded) == ["a"]
