"""The data stages: which ones DVC runs or skips, and why."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from versioned import digits_csv

from gristmill.pipelines.base.errors import DataInvalid, EnvironmentFault, InputError
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.versions import repository
from gristmill.pipelines.ingestion.versions.pins import DataState, data_digest, pin_data
from gristmill.pipelines.ingestion.versions.stages import (
    STAGES,
    data_plan,
    run_stage,
    stage_digests,
)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def test_a_stage_runs_once_and_is_then_skipped(project: Project) -> None:
    table = project.build("digits") / "table.parquet"
    assert run_stage(project, "ingest", "digits", force=False)
    made = table.read_bytes()
    assert not run_stage(project, "ingest", "digits", force=False)
    assert run_stage(project, "ingest", "digits", force=True)
    assert table.read_bytes() == made


def test_a_failing_stage_keeps_the_last_good_output_and_raises_its_own_error(
    project: Project,
) -> None:
    run_stage(project, "ingest", "digits", force=False)
    made = (project.build("digits") / "table.parquet").read_bytes()
    with digits_csv(project).open("a") as file:
        file.write("1,2\n")
    pin_data(project, "digits")
    for _ in range(2):  # a failed stage is not skipped
        with pytest.raises(InputError, match=r"(?s)1 ragged row\n  line 1799\n.*65 values"):
            run_stage(project, "ingest", "digits", force=False)
        assert (project.build("digits") / "table.parquet").read_bytes() == made


def changes(project: Project) -> dict[str, tuple[str, ...]]:
    plan = data_plan(project, "digits", "digits")
    assert plan.data is DataState.PINNED
    assert tuple(stage.name for stage in plan.stages) == STAGES
    return {stage.name: stage.changes for stage in plan.stages if stage.changes}


def test_a_plan_waits_for_the_stage_of_another_process(
    reproduced: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"]) as other:
        table = str(reproduced.build("digits") / "table.parquet")
        user = {"pid": other.pid, "cmd": "gristmill run digits"}
        lock = reproduced.root / ".dvc" / "tmp" / "rwlock"
        lock.write_text(json.dumps({"write": {table: user}, "read": {}}))
        with monkeypatch.context() as patch:
            patch.setattr(repository, "PATIENCE", 0.0)
            with pytest.raises(EnvironmentFault, match=r"DVC's lock(\n.*)*wait for it") as caught:
                data_plan(reproduced, "digits", "digits")
            assert "remove" not in str(caught.value)

        def end() -> None:
            other.kill()
            other.wait()

        threading.Timer(1, end).start()
        assert changes(reproduced) == {}
        assert other.returncode


def test_finished_stages_have_no_changes_and_known_digests(reproduced: Project) -> None:
    assert changes(reproduced) == {}
    known = stage_digests(reproduced, "digits")
    assert known == data_plan(reproduced, "digits", "digits").digests
    assert known["data/digits"] == data_digest(reproduced, "digits")
    assert set(known) >= {"build/digits/table.parquet", "build/digits/training"}
    assert not [name for name in known if "diabetes" in name]


@pytest.mark.parametrize(
    ("library", "stages"),
    [
        ("great-expectations", {"validate"}),
        ("scikit-learn", {"scale"}),
        ("numpy", {"validate", "split", "scale"}),
        ("pandas", {"validate", "split", "scale"}),
        ("pyarrow", {"ingest", "validate", "split", "scale"}),
    ],
)
def test_another_version_of_a_library_re_runs_the_stages_that_use_it(
    reproduced: Project, library: str, stages: set[str]
) -> None:
    lines = reproduced.params_file.read_text().splitlines()
    changed = [
        f"  {library}: 0.0.1" if line.startswith(f"  {library}:") else line for line in lines
    ]
    reproduced.params_file.write_text("\n".join(changed) + "\n")
    found = changes(reproduced)
    assert set(found) == stages
    assert all(f"libraries.{library} in params.yaml" in words[0] for words in found.values())


@pytest.mark.parametrize(
    ("old", "new", "stages"),
    [
        ("rows: {min: 1000}", "rows: {min: 999}", {"validate"}),
        ("validation: 0.2, stratify", "validation: 0.1, stratify", {"split", "scale"}),
        ("scale: minmax", "scale: standard", {"split", "scale"}),
        ("units: 64", "units: 65", set()),
        ("epochs: 100", "epochs: 101", set()),
    ],
)
def test_a_changed_setting_of_the_experiment_re_runs_the_stages_that_read_it(
    reproduced: Project, old: str, new: str, stages: set[str]
) -> None:
    replace(reproduced.experiment_file("digits"), old, new)
    assert set(changes(reproduced)) == stages


def test_a_changed_schema_re_runs_only_validate_and_a_violation_changes_nothing(
    reproduced: Project,
) -> None:
    file = reproduced.experiment_file("digits")
    passed = reproduced.build("digits") / "validation.json"
    before = passed.read_bytes()
    replace(file, "min: 0, max: 16", "min: 0, max: 15")
    assert not run_stage(reproduced, "ingest", "digits", force=False)
    with pytest.raises(
        DataInvalid, match=r"(?s)pixel.*15 or less.*build/digits/validation/"
    ) as caught:
        run_stage(reproduced, "validate", "digits", force=False)
    assert caught.value.exit_code == 2
    assert passed.read_bytes() == before
    assert set(changes(reproduced)) == {"validate"}
