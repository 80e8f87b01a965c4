"""Outcome of a run, in words and exit codes."""

from __future__ import annotations

from registered import make_versions

from gristmill.flows.outcome import Outcome, decision_lines, done_lines
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.registry.promotion import Basis, challenge, set_aside
from gristmill.pipelines.tracking.stored import StoredRun


def test_a_held_candidate_without_a_champion_shows_what_to_type() -> None:
    lines = decision_lines(Outcome("tiny", "hold", ("no better than the dummy",), "1", None))
    assert lines[0] == "tiny version 1 is held, tiny has no champion yet"
    assert (
        lines[-1] == "next: gristmill promote tiny --version 1 makes it the champion all the same"
    )


def test_a_challenger_shows_what_to_type_and_is_no_failure(
    stored: Project,
) -> None:
    outcome = Outcome("tiny", "challenger", ("it is better",), "2", "1")
    assert outcome.exit_code == 0
    lines = decision_lines(outcome)
    assert lines[0] == "tiny version 2 is the challenger now and waits for a person"
    make_versions(stored, 2)
    challenge(stored, "tiny", "2", "it is better", Basis("superiority"))
    tags = {
        "gristmill.decision": "challenger",
        "gristmill.reasons": "it is better",
        "gristmill.model": "tiny",
        "gristmill.version": "2",
    }
    done = StoredRun("0" * 32, "FINISHED", False, 1.0, 2.0, "", tags, {}, {})
    for said in (lines, done_lines(stored, done)):
        assert any("gristmill promote tiny --version 2" in line for line in said)
        assert any("gristmill reject tiny --version 2 --reason" in line for line in said)
    set_aside(stored, "tiny", "2", "reject", "not today")
    assert not any("gristmill" in line for line in done_lines(stored, done))
