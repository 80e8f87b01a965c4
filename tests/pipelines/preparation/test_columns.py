"""Selection of the feature columns."""

from __future__ import annotations

import pytest

from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.config.sections import Features
from gristmill.pipelines.preparation.columns import feature_columns

PRESENT = ["b", "y", "a1", "a2"]


@pytest.mark.parametrize(
    ("exclude", "left"),
    [((), ["b", "a1", "a2"]), (("a*",), ["b"]), (("a1", "b"), ["a2"]), (("y",), ["b", "a1", "a2"])],
)
def test_features_are_all_columns_except_the_target_and_excluded_ones(
    exclude: tuple[str, ...], left: list[str]
) -> None:
    assert feature_columns(PRESENT, Features(exclude=exclude), "y") == left


def test_an_excluded_name_that_matches_no_column_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"(?s)columns that the data do not have.*found +c, d\*"):
        feature_columns(PRESENT, Features(exclude=("a1", "c", "d*")), "y")


def test_a_table_without_features_is_refused() -> None:
    with pytest.raises(ConfigError, match="no column is left"):
        feature_columns(PRESENT, Features(exclude=("a?", "b")), "y")
