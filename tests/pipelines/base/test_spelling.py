"""The nearest name is suggested, and nothing where none is near."""

from __future__ import annotations

from gristmill.pipelines.base import nearest, suggest

METRICS = ("accuracy", "f1_macro", "log_loss")


def test_the_nearest_name_is_found_whatever_its_case() -> None:
    assert nearest("Acuracy", METRICS) == "accuracy"
    assert nearest("zz", METRICS) == ""


def test_a_suggestion_joins_a_sentence_and_gives_way_to_the_list() -> None:
    assert suggest("acuracy", METRICS) == "did you mean accuracy?"
    assert suggest("acuracy", METRICS, before="; ", mark="$") == "; did you mean $accuracy?"
    assert suggest("zz", METRICS, ": there are three", before="; ") == ": there are three"
