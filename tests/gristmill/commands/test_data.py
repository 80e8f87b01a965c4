"""`gristmill data`: output about versions, and the commands it suggests."""

from __future__ import annotations

import pytest
from aftermath import edit
from versioned import ROWS, raw, write

from gristmill.flows.schedules import schedules_of
from gristmill.flows.steps.new_data import _row_lines
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.source_kinds import SOURCES
from gristmill.pipelines.ingestion.readers.formats import FORMATS
from gristmill.pipelines.ingestion.versions.merge_driver import registered_driver
from gristmill.pipelines.tables.row_changes import Changes
from tests.conftest import ROOT, Run, git, gristmill_in


def test_the_documentation_and_the_command_line_list_every_format_and_source() -> None:
    shown = gristmill_in(ROOT)("data", "formats", env={"COLUMNS": "200"}, check=True).stdout
    page = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    for kind in FORMATS:
        assert f"| {kind.name} |" in page
        assert kind.name in shown
        assert " ".join(kind.suffixes) in shown
        assert " ".join(kind.suffixes) in page
    for source in SOURCES:
        assert source.form in shown
        assert source.form.split("@")[0] in page


@pytest.mark.slow
def test_a_refresh_shows_what_changed_and_what_to_type(versioned: Project, gristmill: Run) -> None:
    write(versioned.root.parent / "new.csv", [*ROWS[1:40], "0.5,1,no"], "a,b,label")
    said = gristmill("data", "refresh", "tiny", "--data", "../new.csv", check=True).stdout
    lines = said.splitlines()
    assert lines[0].startswith("tiny: new data pinned, 40 rows × 3 columns, version ")
    assert lines[1:3] == [
        "tiny:   rows: 1 added, 19 removed",
        "tiny:   other types: a int64 → double",
    ]
    assert lines[3] == "next: git commit -m 'New data for tiny' data.dvc && gristmill run tiny"
    assert lines[4].endswith(" undoes this")
    again = gristmill("data", "refresh", "tiny", "--data", "../new.csv", check=True).stdout
    assert "tiny: the source has no new data, version " in again
    back = gristmill(*lines[4].split()[1:-2], check=True).stdout  # the suggested command
    assert "is now on disk and pinned, it was" in back
    assert len(raw(versioned).read_text().splitlines()) == 59


def test_the_log_lists_versions_and_use_restores_one_from_any_folder(versioned: Project) -> None:
    gristmill = gristmill_in(versioned.experiments)
    commit = git(versioned.root, "rev-parse", "first").strip()
    listed = gristmill("data", "log", "tiny", check=True).stdout.splitlines()
    shown = [
        line.split() for line in listed if commit[:8] in line or line.lstrip().startswith("*  ")
    ]
    assert shown[0][0] == "*"
    assert shown[1][0] == commit[:8]
    assert [line[-2] for line in shown] == ["?", "?"]  # the rows have not been counted yet
    digest = shown[1][-1]
    first = gristmill("data", "use", "tiny", "first", check=True).stdout
    assert first.splitlines() == [
        f"tiny: version {digest} is now on disk and pinned, it was {shown[0][-1]}",
        "next: gristmill run tiny",
        "      git commit -m 'Data of tiny as of first' data.dvc",
        f"      gristmill data use tiny {shown[0][-1]} undoes this",
    ]
    again = gristmill("data", "use", "tiny", digest, check=True).stdout
    assert again == f"tiny: version {digest} is on disk already, nothing to do\n"
    assert "matches the pin" in gristmill("data", "status", check=True).stdout


def test_switching_to_another_version_loses_no_edit(versioned: Project, gristmill: Run) -> None:
    write(raw(versioned), ROWS[:9])
    done = gristmill("data", "use", "tiny", "first")
    assert done.returncode == 1
    assert "data/tiny was edited by hand" in done.stderr
    assert "gristmill data restore tiny   discards the edit" in done.stderr
    assert len(raw(versioned).read_text().splitlines()) == 10


def test_an_invalid_experiment_is_named_after_the_data_sets_of_the_others(
    versioned: Project, gristmill: Run
) -> None:
    for name in ("also", "bad"):
        file = versioned.experiment_file(name)
        file.write_text(versioned.experiment_file("tiny").read_text())
    edit(versioned.experiment_file("bad"), "model:", "modle:")
    status = gristmill("data", "status")
    assert status.returncode == 1
    assert "also, tiny" in status.stdout
    assert "experiments/bad.yaml is not valid" in status.stderr
    assert {*schedules_of(versioned)} == set()
    edit(versioned.experiment_file("also"), "split", "schedule: {interval: 60}\nsplit")
    assert {*schedules_of(versioned)} == {"also"}
    checked = gristmill("doctor").stdout
    assert "bad.yaml is not valid" in checked
    assert checked.count("data/tiny") == 1


@pytest.mark.slow
def test_doctor_finds_and_fixes_a_missing_merge_driver(versioned: Project, gristmill: Run) -> None:
    before = gristmill("doctor")
    assert before.returncode == 4
    assert "bad repository   git does not know how to merge data.dvc" in before.stdout
    assert "gristmill doctor --fix" in before.stdout
    after = gristmill("doctor", "--fix", check=True)
    assert "git merges data.dvc, dvc.lock and params.yaml by name" in after.stdout
    assert '"$g" data merge %O %A %B %P' in registered_driver(versioned)


def test_a_comparison_of_rows_by_fewer_columns_is_reported_only_when_it_happened() -> None:
    whole = Changes(2, 3, 1, 0, ("a", "b"), (), (), (("b", "int64", "double"),))
    assert _row_lines(whole) == ["rows: 1 added, 0 removed", "other types: b int64 → double"]
    part = Changes(2, 3, 1, 0, ("a",), tuple(f"c{i}" for i in range(10)), (), ())
    assert _row_lines(part) == [
        "rows: 1 added, 0 removed, compared by 1 of the columns that both versions have",
        "new columns: c0, c1, c2, c3, c4, c5, c6, c7 … and 2 more",
    ]
