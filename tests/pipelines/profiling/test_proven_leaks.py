"""Drafts leave out what is proven to repeat the target, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gristmill.commands.new import new
from gristmill.pipelines.config.experiment import load_experiment
from gristmill.pipelines.config.project import Project

ROWS = 300
RNG = np.random.default_rng(0)
A, B, NOISE = RNG.normal(size=(3, ROWS)).round(3)
KIND = RNG.integers(0, 3, ROWS)
WALK = np.cumsum(RNG.normal(size=ROWS)).round(3)
TOTAL = (10 + 3 * A - B).round(6)

Draft = Callable[..., tuple[list[str], str]]


@pytest.fixture
def draft(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Draft:
    """Return a function that drafts a table: what is excluded, and the screen."""

    def drafted(target: str, **columns: object) -> tuple[list[str], str]:
        file = tmp_path / "made.csv"
        pd.DataFrame(columns).to_csv(file, index=False)
        new("made", str(file), target)
        said = " ".join(capsys.readouterr().out.split())
        return list(load_experiment(project, "made").document.features.exclude), said

    return drafted


@pytest.mark.parametrize(
    ("leak", "words"),
    [
        (2 * TOTAL + 1, "increases with total row by row"),
        (np.exp(-TOTAL), "decreases with total row by row"),
        (TOTAL.round(1), "increases with total in steps"),
    ],
)
def test_a_copy_of_the_target_is_left_out_with_what_to_type_to_keep_it(
    draft: Draft, leak: object, words: str
) -> None:
    excluded, said = draft("total", a=A, noise=NOISE, twice=leak, total=TOTAL)
    assert excluded == ["twice"]
    assert f"and is left out: {words}" in said
    assert "features: {allow_leaks: [twice]} instead of its line in exclude" in said
    assert "next: gristmill run made" in said


def test_a_sum_that_is_the_target_loses_one_of_its_columns(draft: Draft) -> None:
    excluded, said = draft("total", a=A, b=B, noise=NOISE, total=TOTAL)
    assert excluded == ["a"]
    assert (
        "a reveals total and is left out: total is 10 + 3 × a − b, without exception in 300 rows"
        in said
    )


def test_recoded_classes_are_left_out(draft: Draft) -> None:
    names = np.array(["cat", "dog", "owl"])[KIND]
    codes = np.array(["x", "y", "z"])[KIND]
    excluded, said = draft("kind", a=A + KIND, number=10 * KIND, code=codes, kind=names)
    assert excluded == ["number", "code"]
    assert (
        "code reveals kind and is left out: is a recoding of the classes of kind (x = cat" in said
    )


def test_columns_that_predict_well_without_proof_stay(draft: Draft) -> None:
    excluded, said = draft("y", close=A + 0.02 * NOISE, other=B, y=A)
    assert not excluded
    assert "close predicts the target almost alone" in said


def test_a_sequence_without_dates_is_announced_with_what_to_type(draft: Draft) -> None:
    excluded, said = draft("y", a=A, b=B, y=WALK)
    assert not excluded
    assert "the run will stop: the previous row explains" in said
    assert "next: edit experiments/made.yaml, then gristmill run made" in said
    for line in ("split: {time:", "split: {group:", "features: {allow_leaks: [row order]}"):
        assert line in said


def test_a_sequence_with_dates_is_split_by_them(draft: Draft, project: Project) -> None:
    days = pd.date_range("2020-01-01", periods=ROWS).strftime("%Y-%m-%d")
    _, said = draft("y", a=A, day=days, y=WALK)
    assert "will stop" not in said
    assert load_experiment(project, "made").document.split.time is not None


def test_rows_in_any_order_are_no_sequence(draft: Draft) -> None:
    _, said = draft("y", a=A, b=B, y=RNG.permutation(WALK))
    assert "will stop" not in said
