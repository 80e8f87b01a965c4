"""The data stages as steps of a run."""

from __future__ import annotations

import pytest
from tiny import write_experiment

from gristmill.flows.background import Work
from gristmill.flows.session import Session, open_session
from gristmill.flows.steps.prepare_data import carry_out
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.table import Ingested
from gristmill.pipelines.reporting.screen import Screen


@pytest.mark.parametrize("count", [0, 1, 7])
def test_what_ingest_did_to_the_data_is_printed_line_by_line(
    stored: Project, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    notes = tuple(f"note {place}" for place in range(count))
    with open_session(Session(stored, write_experiment(stored), Screen())) as run:
        log = run.build / "logs" / "ingest.txt"
        log.parent.mkdir(parents=True)
        log.write_text(f"{Ingested(300, 3, notes)}\n", "utf-8")
        run.begun["ingest"] = Work(lambda: True)
        assert carry_out("ingest")
        first, *others = capsys.readouterr().out.rstrip("\n").split("\n")
        assert first.endswith("300 rows × 3 columns")
        shown = [f"    ! {note}" for note in notes[:5]]
        rest = ["    ! and 2 more: build/tiny/logs/ingest.txt"]
        assert others == shown + rest * (count > 5)
        assert run.warnings == [*notes]
        run.begun["ingest"] = Work(lambda: False)
        carry_out("ingest")
        assert capsys.readouterr().out.endswith("nothing changed\n")
