"""The section `split`: the dates of a split by time."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gristmill.pipelines.config.sections import Split


@pytest.mark.parametrize(
    "dates",
    [
        {},
        {"validation_from": "2026-02-01"},
        {"test_from": "2026-02-01"},
        {"validation_from": "2026-01-31", "test_from": "2026-02-01"},
    ],
)
def test_dates_in_order_are_accepted(dates: dict[str, Any]) -> None:
    time = Split.model_validate({"time": {"column": "when", **dates}}).time
    assert time is not None
    assert time.model_dump(include={*dates}) == dates


@pytest.mark.parametrize("second", ["2026-01-31", "2026-01-30"])
def test_validation_must_begin_before_the_test(second: str) -> None:
    dates = {"validation_from": "2026-01-31", "test_from": second}
    with pytest.raises(ValidationError, match="validation_from must be before test_from"):
        Split.model_validate({"time": {"column": "when", **dates}})
