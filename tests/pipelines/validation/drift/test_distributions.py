"""Drift: alarms for shifts that matter, and very few false alarms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from gristmill.pipelines.validation.drift.distributions import (
    BINS,
    MATTERS,
    advanced,
    compare,
    compare_tables,
    drifted,
    psi,
    rows_needed,
    shifts,
    summarise,
)

RNG = np.random.default_rng


def stored(folder: Path, name: str, columns: Any) -> Path:
    file = folder / f"{name}.parquet"
    pd.DataFrame(columns).to_parquet(file)
    return file


def test_without_drift_the_index_follows_its_chance_distribution() -> None:
    n, m = 4_000, 1_000
    rng = RNG(0)
    draws = [
        psi(rng.multinomial(n, [1 / BINS] * BINS), rng.multinomial(m, [1 / BINS] * BINS))
        for _ in range(4_000)
    ]
    assert np.mean(draws) == pytest.approx((BINS - 1) * (1 / n + 1 / m), rel=0.05)
    for level in (0.1, 0.01):
        bound = (1 / n + 1 / m) * chi2.isf(level, BINS - 1)
        assert np.mean(np.array(draws) > bound) == pytest.approx(level, rel=0.4)


@pytest.mark.parametrize("delta", [0.2, 0.4, 0.6])
def test_the_index_of_a_shift_is_about_its_square(tmp_path: Path, delta: float) -> None:
    rng = RNG(1)
    old = stored(tmp_path, "old", {"a": rng.normal(size=40_000)})
    new = stored(tmp_path, "new", {"a": rng.normal(size=40_000) + delta})
    reference = summarise(old)
    current = summarise(new, like=reference)
    counts = [
        [*s["columns"]["a"]["counts"], s["columns"]["a"]["missing"]] for s in (reference, current)
    ]
    assert psi(*counts) == pytest.approx(delta**2, rel=0.15)
    assert [d.column for d in drifted(reference, current)] == (["a"] if delta > 0.35 else [])


def test_few_rows_give_fewer_false_alarms_than_a_fixed_threshold(tmp_path: Path) -> None:
    rng = RNG(2)
    bare = alarms = 0
    for number in range(40):
        frames = [pd.DataFrame(rng.normal(size=(100, 5)), columns=list("abcde")) for _ in range(2)]
        old, new = (stored(tmp_path, f"{number}{w}", f) for w, f in zip("on", frames, strict=True))
        reference = summarise(old)
        current = summarise(new, like=reference)
        bare += sum(
            psi(reference["columns"][c]["counts"], current["columns"][c]["counts"]) > 0.1
            for c in "abcde"
        )
        alarms += len(drifted(reference, current))
    assert bare > 100
    assert alarms <= 2


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ([1.5] * 500, [None] * 100 + [1.5] * 400, "missing: 0.0% of the rows before, 20.0% now"),
        ([5] * 500, [3] * 500, "5: 100.0% of the rows before, 0.0% now"),
        (["a", "b"] * 250, ["a", "c"] * 250, "b: 50.0% of the rows before, 0.0% now"),
        ([True, False] * 250, [True] * 500, "False: 50.0% of the rows before, 0.0% now"),
        ([0] * 400 + [*range(100)], [0] * 100 + [*range(400)], "up to 0: 80.2% of the rows before"),
        (
            list(pd.date_range("2020-01-01", periods=500)),
            [*pd.date_range("2022-01-01", periods=400), *[None] * 100],
            "missing: 0.0% of the rows before, 20.0% now",
        ),
        ([1.5] * 500, ["1.5"] * 500, "was number, is text"),
    ],
)
def test_the_change_in_a_column_of_any_kind_is_found_and_described(
    tmp_path: Path, old: list[Any], new: list[Any], words: str
) -> None:
    tables = stored(tmp_path, "old", {"a": old}), stored(tmp_path, "new", {"a": new})
    (found,) = compare_tables(*tables).drifted
    assert words in str(found)
    assert compare_tables(tables[0], tables[0]).drifted == ()
    assert compare_tables(*tables, exclude=["a*"]).drifted == ()


def calendar(start: str, **how: Any) -> dict[str, Any]:
    moments = pd.date_range(start, **({"periods": 800, "freq": "12min"} | how))
    return {"at": moments, "x": RNG(4).normal(size=len(moments))}


@pytest.mark.parametrize(
    "later",
    [
        calendar("2026-01-12"),
        calendar("2026-01-12", periods=100),
        calendar("2026-01-14 09:00", periods=1_100),
        calendar("2027-06-03", freq="1h"),
    ],
    ids=["next week", "less than a day", "nine days from a Wednesday", "five weeks"],
)
def test_that_time_has_passed_is_no_drift(tmp_path: Path, later: dict[str, Any]) -> None:
    old, new = (
        stored(tmp_path, n, c) for n, c in (("old", calendar("2026-01-05")), ("new", later))
    )
    reference = summarise(old)
    current = summarise(new, like=reference)
    assert drifted(reference, current) == []
    (line,) = advanced(reference, current)
    assert line.startswith("at advances by itself (2026-01-05 to 2026-01-11 before, 202")
    assert advanced(reference, summarise(old, like=reference)) == []


def test_another_weekday_or_hour_is_drift(tmp_path: Path) -> None:
    old = summarise(stored(tmp_path, "old", calendar("2026-01-05", periods=4_000)))
    at = pd.Series(calendar("2026-03-02", periods=4_000)["at"])
    for name, kept in (("weekday", at.dt.weekday < 5), ("hour", at.dt.hour >= 9)):
        new = stored(tmp_path, name, {"at": at[kept], "x": RNG(5).normal(size=kept.sum())})
        found = drifted(old, summarise(new, like=old))
        assert [one.column for one in found] == [f"at ({name})"]
        assert compare_tables(tmp_path / "old.parquet", new, [f"* ({name})"]).drifted == ()
    assert "00:00 to 02:59: 12.5% of the rows before, 0.0% now" in str(found[0])


@pytest.mark.parametrize("order", ["rising", "falling", "any"])
def test_a_running_number_is_no_drift_but_a_repeated_one_is(tmp_path: Path, order: str) -> None:
    numbers = np.arange(500)
    given = {"rising": numbers * 3, "falling": -numbers, "any": RNG(0).permutation(numbers)}[order]
    old = summarise(stored(tmp_path, "old", {"n": given}))
    later = RNG(1).permutation(np.arange(10_000, 10_900, 2))
    new = summarise(stored(tmp_path, "new", {"n": later}), like=old)
    assert drifted(old, new) == []
    assert advanced(old, new) == [
        f"n advances by itself ({given.min()} to {given.max()} before, 10000 to 10898 now): "
        "not compared"
    ]
    repeated = summarise(stored(tmp_path, "new", {"n": later // 2 * 4}), like=old)
    assert advanced(old, repeated)
    repeated = summarise(stored(tmp_path, "new", {"n": later // 100}), like=old)
    assert [one.column for one in drifted(old, repeated)] == ["n"]


def test_a_comparison_reports_rows_and_added_removed_and_retyped_columns(tmp_path: Path) -> None:
    old = stored(tmp_path, "old", {"a": [1, 2], "b": [1, 2], "c": ["x", "y"]})
    new = stored(tmp_path, "new", {"a": [1, 2, 3], "c": [1, 2, 3], "d": [1, 2, 3]})
    found = compare_tables(old, new)
    assert (found.rows, found.added, found.removed) == ((2, 3), ("d",), ("b",))
    assert found.retyped == (("c", "text", "number"),)


def test_a_summary_survives_json_and_is_deterministic(tmp_path: Path) -> None:
    rng = RNG(3)
    columns = {
        "number": np.where(rng.random(300) < 0.1, np.nan, rng.normal(size=300)),
        "date": pd.to_datetime("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**9, 300), "s"),
        "text": rng.choice(list("abcdefghijklmnop"), 300),
        "flag": rng.random(300) < 0.5,
        "endless": np.append(rng.normal(size=299), np.inf),
        "nothing": pd.array([None] * 300, dtype="Float64"),
    }
    table = stored(tmp_path, "table", columns)
    made = summarise(table)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert summarise(table, like=made) == made == summarise(table)
    assert compare(made, made).drifted == ()
    for column in made["columns"].values():
        assert sum(column["counts"]) + column["missing"] == made["sampled"] == 300


def test_the_sample_of_a_long_table_is_not_biased_by_periodic_rows(tmp_path: Path) -> None:
    rows = 400_000
    days = np.arange(rows) % 8
    table = stored(tmp_path, "long", {"day": days, "order": np.arange(rows), "x": days * 1.5})
    made = summarise(table)
    assert made["rows"] == rows
    assert made["sampled"] == pytest.approx(50_000, rel=0.02)
    shares = np.array(made["columns"]["day"]["counts"][:8]) / made["sampled"]
    assert shares == pytest.approx([1 / 8] * 8, abs=0.01)
    assert made["columns"]["order"]["range"][1].startswith("399")
    assert made["columns"]["order"]["cuts"] == pytest.approx(np.arange(1, 10) * rows / 10, rel=0.02)


def test_an_empty_column_is_reported_as_missing_values_not_as_another_type(tmp_path: Path) -> None:
    for values in ([1.5, 2.5, 9] * 100, ["a", "b", "c"] * 100, [*range(300)]):
        old = summarise(stored(tmp_path, "old", {"a": values}))
        nothing = pd.array([None] * 300, dtype="Int64")
        new = summarise(stored(tmp_path, "new", {"a": nothing}), like=old)
        (found,) = shifts(old, new)
        assert found.drifted
        assert found.change == "missing: 0.0% of the rows before, 100.0% now"


def test_with_the_needed_rows_an_index_that_matters_cannot_be_chance(tmp_path: Path) -> None:
    rng = RNG(4)
    old = stored(tmp_path, "old", {name: rng.normal(size=5_000) for name in "ab"})
    reference = summarise(old)
    needed = rows_needed(reference, ["a", "b"])
    assert needed is not None
    for rows, enough in ((needed, True), (needed - 5, False)):
        new = stored(tmp_path, "new", {name: rng.normal(size=rows) for name in "ab"})
        found = shifts(reference, summarise(new, like=reference))
        assert (max(one.bound for one in found) == MATTERS) is enough
    few = summarise(stored(tmp_path, "few", {"a": rng.normal(size=100)}))
    assert rows_needed(few, ["a"]) is None


def test_every_column_is_reported_with_its_bins(tmp_path: Path) -> None:
    old = summarise(stored(tmp_path, "old", {"a": [0.99991, 0.99992, *range(98)], "b": [1] * 100}))
    new = summarise(stored(tmp_path, "new", {"a": [5.0] * 100, "b": [1] * 100}), like=old)
    first, second = shifts(old, new)
    assert (first.column, first.drifted, second.drifted) == ("a", True, False)
    for one in (first, second):
        assert sum(before for _, before, _ in one.bins) == pytest.approx(1)
        assert sum(now for _, _, now in one.bins) == pytest.approx(1)
    cuts = [0.999911, 0.999912, 0.999913]
    made = {"rows": 9, "columns": {"c": {"type": "number", "cuts": cuts, "missing": 0}}}
    made["columns"]["c"]["counts"] = [3, 2, 2, 2]
    (one,) = shifts(made, made)
    assert [label for label, *_ in one.bins][1] == "above 0.999911 up to 0.999912"
