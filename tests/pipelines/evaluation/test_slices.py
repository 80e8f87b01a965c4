"""Slices: rows by the values of a column, declared or searched, and confirmed on other rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gristmill.pipelines.config.sections import Bins
from gristmill.pipelines.evaluation.metrics.intervals import clopper_pearson
from gristmill.pipelines.evaluation.predictions import Predictions
from gristmill.pipelines.evaluation.slices import (
    Slice,
    confirmed_slices,
    cuts_of,
    declared_slices,
    masks_of,
    worst_slices,
    write_slices,
)


def right_or_wrong(right: Any) -> Predictions:
    truth = np.arange(len(right)) % 2
    answers = np.where(right, truth, 1 - truth)
    return Predictions(np.arange(len(right)), truth, np.eye(2)[answers], ("a", "b"))


def rows_by_cut(values: pd.Series[Any], edges: tuple[float, ...] | None = None) -> dict[str, int]:
    cuts = [*cuts_of(values, edges)]
    masks = [*masks_of(cuts, values)]
    assert np.sum(masks, axis=0).tolist() == [1] * len(values)  # each row is in one slice
    return {cut.value: int(mask.sum()) for cut, mask in zip(cuts, masks, strict=True)}


def test_a_text_column_is_sliced_by_value_with_one_slice_for_rare_values() -> None:
    values = pd.Series([*"aaabbc", None], name="x")
    assert rows_by_cut(values) == {"a": 3, "b": 2, "c": 1, "(missing)": 1}
    many = pd.Series([f"v{i}" for i in range(20)] * 2 + ["v0"], name="x")
    found = rows_by_cut(many)
    assert len(found) == 13
    assert found["(others)"] == 16


def test_a_number_column_is_sliced_by_edges_or_quartiles_and_by_value_if_few() -> None:
    ages = pd.Series([17, 18, 39, 40, 64, 65, np.nan], name="age")
    by_edge = {"below 18": 1, "18 to 40": 2, "40 to 65": 2, "from 65": 1, "(missing)": 1}
    assert rows_by_cut(ages, (18, 40, 65)) == by_edge
    assert [*rows_by_cut(pd.Series(np.arange(100.0), name="x")).values()] == [25] * 4
    assert rows_by_cut(pd.Series([0.0, 1, 1, 0, 1], name="x")) == {"1": 3, "0": 2}
    mostly = pd.Series([0.0] * 90 + [*map(float, range(1, 11))], name="x")
    assert rows_by_cut(mostly) == {"below 1": 90, "from 1": 10}


def test_a_date_column_is_sliced_by_quartiles_that_are_dates() -> None:
    values = pd.Series(pd.date_range("2024-01-01", periods=40, freq="D"), name="when")
    values[3] = pd.NaT
    found = rows_by_cut(values)
    assert next(iter(found)) == "below 2024-01-11"
    assert found["(missing)"] == 1


def test_a_declared_slice_has_its_share_and_a_simultaneous_interval() -> None:
    region = pd.Series(["north"] * 60 + ["south"] * 40, name="region")
    right = np.array([True] * 57 + [False] * 3 + [True] * 24 + [False] * 16)
    columns = {"region": Bins(), "age": Bins(bins=(5.0,))}
    values = {"region": region, "age": pd.Series(np.arange(100.0), name="age")}
    made = {str(one): one for one in declared_slices(columns, values, right_or_wrong(right))}
    assert [*made] == ["region: north", "region: south", "age: below 5", "age: from 5"]
    south = made["region: south"]
    assert (south.rows, south.metric.value, south.overall) == (40, 0.6, 0.81)
    assert (south.metric.low, south.metric.high) == clopper_pearson(24, 40, 1 - 2 * 0.05 / 4)
    assert [name for name, one in made.items() if one.worse] == ["region: south"]


def test_slices_of_a_regression_use_the_mean_absolute_error() -> None:
    rng = np.random.default_rng(0)
    shop = pd.Series(rng.choice(["x", "y", "z"], 300), name="shop")
    away = rng.normal(0, np.where(shop == "y", 5, 1))
    predictions = Predictions(np.arange(300), np.zeros(300), away, None)
    made = {s.value: s for s in declared_slices({"shop": Bins()}, {"shop": shop}, predictions)}
    assert made["y"].metric.name == "mae"
    assert made["y"].metric.value == pytest.approx(np.abs(away[shop == "y"]).mean())
    assert [name for name, one in made.items() if one.worse] == ["y"]
    ((worst, found),) = worst_slices([shop], predictions)
    assert (worst.value, found) == ("y", pytest.approx(made["y"].metric.value))


@pytest.mark.parametrize("rows", [3, 8, 20])
def test_few_rows_of_a_regression_rarely_seem_worse(rows: int) -> None:
    rng, worse = np.random.default_rng(0), 0
    for _ in range(200):
        shop = pd.Series(["few"] * rows + ["many"] * 200, name="shop")
        away = rng.standard_t(3, len(shop))
        predictions = Predictions(np.arange(len(shop)), np.zeros(len(shop)), away, None)
        made = declared_slices({"shop": Bins()}, {"shop": shop}, predictions)
        worse += next(one.worse for one in made if one.value == "few")
    assert worse <= 10  # 2.5 % of 200 are 5


@pytest.mark.parametrize(("rows", "found"), [(3, False), (12, True)])
def test_a_few_bad_rows_are_shown_to_be_worse_if_they_are_enough(rows: int, found: bool) -> None:
    away = np.concatenate([np.linspace(50, 60, rows), np.linspace(-1, 1, 200)])
    shop = pd.Series(["few"] * rows + ["many"] * 200, name="shop")
    predictions = Predictions(np.arange(len(shop)), np.zeros(len(shop)), away, None)
    made = declared_slices({"shop": Bins()}, {"shop": shop}, predictions)
    assert next(one.worse for one in made if one.value == "few") is found
    group = np.arange(len(shop), dtype=np.uint64)
    group[:rows] %= 3  # three groups of rows
    made = declared_slices({"shop": Bins()}, {"shop": shop}, predictions, group)
    assert not any(one.worse for one in made)


def test_the_clopper_pearson_interval_equals_scipys() -> None:
    for successes, n in ((0, 20), (3, 40), (31, 40), (40, 40)):
        exact = stats.binomtest(successes, n).proportion_ci(0.9, method="exact")
        assert clopper_pearson(successes, n, 0.9) == pytest.approx((exact.low, exact.high))


def test_the_search_finds_the_worst_slice_and_not_the_same_rows_twice() -> None:
    rng = np.random.default_rng(1)
    region = pd.Series(rng.choice(["n", "s", "e", "w"], 800), name="region")
    code = region.map({"n": 10, "s": 20, "e": 30, "w": 40}).rename("code")
    name = pd.Series([f"person {i}" for i in range(800)], name="name")
    noise = pd.Series(rng.normal(size=800), name="noise")
    right = rng.random(800) < np.where(region == "s", 0.6, 0.95)
    (first, found), *others = worst_slices([name, code, region, noise], right_or_wrong(right))
    assert (first.column, first.value) == ("code", "20")
    assert found == pytest.approx(right[region == "s"].mean())
    assert all(cut.column in ("noise", "region", "code") for cut, _ in others)
    assert ("region", "s") not in [(cut.column, cut.value) for cut, _ in others]


def simulated(rng: np.random.Generator, planted: float) -> tuple[bool, bool]:
    """Return whether any of 50 slices of 40 rows is called worse, and whether the first one is."""
    place = np.repeat(np.arange(50), 40)
    values = pd.Series(place, name="x").map("s{}".format)
    share = np.where(place == 0, planted, 0.9)
    both = [right_or_wrong(rng.random(2000) < share) for _ in range(2)]
    found = confirmed_slices(worst_slices([values], both[0]), {"x": values}, both[1])
    worse = [one.value for one in found if one.worse]
    return bool(worse), "s0" in worse


def test_a_search_flags_a_sound_model_in_one_case_of_twenty_and_finds_a_bad_slice() -> None:
    rng = np.random.default_rng(0)
    sound = sum(simulated(rng, 0.9)[0] for _ in range(60))
    assert sound <= stats.binom.ppf(0.999, 60, 0.05)
    found = sum(simulated(rng, 0.75)[1] for _ in range(60))
    assert found >= stats.binom.ppf(0.001, 60, 0.6)


def test_slices_are_stored_as_json_and_as_csv(tmp_path: Path) -> None:
    region = pd.Series(["north", "south"] * 10, name="region")
    made = declared_slices(
        {"region": Bins()}, {"region": region}, right_or_wrong(np.arange(20) > 4)
    )
    assert isinstance(made[0], Slice)
    write_slices(tmp_path / "slices.json", made)
    kept = json.loads((tmp_path / "slices.json").read_text())
    assert [(one["column"], one["slice"], one["rows"]) for one in kept] == [
        ("region", "north", 10),
        ("region", "south", 10),
    ]
    assert pd.read_csv(tmp_path / "slices.csv")["value"].tolist() == [one["value"] for one in kept]
