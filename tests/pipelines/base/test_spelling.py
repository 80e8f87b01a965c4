"""Suggestions of the nearest name."""

from __future__ import annotations

from gristmill.pipelines.base import nearest, suggest

METRICS = ("accuracy", "f1_macro", "log_loss")


def test_the_nearest_name_is_found_regardless_of_case() -> None:
    assert nearest("Acuracy", METRICS) == "accuracy"
    assert nearest("zz", METRICS) == ""


def test_without_a_near_name_the_fallback_text_is_returned() -> None:
    assert suggest("acuracy", METRICS) == "did you mean accuracy?"
    assert suggest("acuracy", METRICS, before="; ", mark="$") == "; did you mean $accuracy?"
    assert suggest("zz", METRICS, ": there are three", before="; ") == ": there are three"
