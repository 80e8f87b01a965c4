"""Versions: what DVC knows of the data, and the stages that it skips or carries out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gristmill.pipelines.base.errors import ConfigError, DataInvalid, InputError
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.versions.repository import (
    STAGES,
    DataState,
    data_digest,
    data_plan,
    data_state,
    digests,
    matches_pin,
    pin,
    restore_from_cache,
    run_stage,
)

ANYTHING = "a,b\n1,2\n"


def csv(project: Project) -> Path:
    return project.root / "data" / "digits" / "digits.csv"


def edit(project: Project) -> None:
    with csv(project).open("a") as file:
        file.write(csv(project).read_text().splitlines()[-1] + "\n")


def add(project: Project, folder: str) -> None:
    place = project.root / "data" / folder
    place.mkdir()
    (place / "a.csv").write_text(ANYTHING)


def forget_bytes(project: Project) -> None:
    """What a fresh clone without cache or remote knows."""
    shutil.rmtree(project.root / ".dvc" / "cache")


def remove(project: Project, folder: str) -> None:
    shutil.rmtree(project.root / "data" / folder)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


CHANGES: dict[DataState, Callable[[Project], object]] = {
    DataState.PINNED: lambda project: None,
    DataState.EDITED: edit,
    DataState.MISSING: lambda project: remove(project, "digits"),
}


@pytest.mark.parametrize("cache", ["with a cache", "without a cache"])
@pytest.mark.parametrize("state", CHANGES)
def test_a_pinned_data_set_is_as_pinned_edited_or_missing(
    project: Project, state: DataState, cache: str
) -> None:
    CHANGES[state](project)
    if cache == "without a cache":
        forget_bytes(project)
    assert data_state(project, "digits") is state
    assert data_state(project, "digits") is state  # asking changes nothing


@pytest.mark.parametrize("left", [b"", b'{"read": {'])
def test_what_a_kill_left_of_dvcs_list_of_users_is_dropped(project: Project, left: bytes) -> None:
    users = project.root / ".dvc" / "tmp" / "rwlock"
    users.parent.mkdir(exist_ok=True)
    users.write_bytes(left)
    assert data_state(project, "digits") is DataState.PINNED
    assert not users.exists()
    users.write_text('{"read": {}, "write": {}}')
    assert data_state(project, "digits") is DataState.PINNED
    assert users.exists()


def test_a_data_set_that_no_pin_knows_is_new_or_absent(project: Project) -> None:
    assert data_state(project, "churn") is DataState.ABSENT
    add(project, "churn")
    assert data_state(project, "churn") is DataState.NEW


def test_without_any_pin_all_data_are_new(project: Project) -> None:
    (project.root / "data.dvc").unlink()
    assert data_state(project, "digits") is DataState.NEW
    assert pin(project, "digits")
    assert data_state(project, "digits") is DataState.PINNED


def test_an_empty_folder_holds_no_data(project: Project) -> None:
    csv(project).unlink()
    assert data_state(project, "digits") is DataState.MISSING


def test_a_file_beside_the_pinned_ones_is_an_edit(project: Project) -> None:
    (csv(project).parent / "more.csv").write_text(ANYTHING)
    assert data_state(project, "digits") is DataState.EDITED
    assert data_state(project, "diabetes") is DataState.PINNED


@pytest.mark.parametrize("state", [DataState.EDITED, DataState.MISSING])
def test_the_cache_brings_the_pinned_bytes_back(project: Project, state: DataState) -> None:
    before = csv(project).read_bytes()
    CHANGES[state](project)
    assert restore_from_cache(project, "digits")
    assert csv(project).read_bytes() == before


def test_a_remote_brings_the_pinned_bytes_to_a_clone_without_cache(
    project: Project, tmp_path: Path
) -> None:
    shutil.copytree(project.root / ".dvc" / "cache", tmp_path / "remote")
    settings = project.root / ".dvc" / "config"
    settings.write_text(
        settings.read_text().replace("[core]", "[core]\n    remote = here")
        + f'[remote "here"]\n    url = {tmp_path / "remote"}\n'
    )
    before = csv(project).read_bytes()
    forget_bytes(project)
    remove(project, "digits")
    assert restore_from_cache(project, "digits")
    assert csv(project).read_bytes() == before


def test_without_a_cache_nothing_can_be_restored_from_it(project: Project) -> None:
    forget_bytes(project)
    remove(project, "digits")
    assert not restore_from_cache(project, "digits")


def test_the_right_bytes_give_a_clone_its_cache_back(project: Project) -> None:
    pinned = (project.root / "data.dvc").read_bytes()
    forget_bytes(project)
    assert matches_pin(project)
    assert (project.root / "data.dvc").read_bytes() == pinned
    remove(project, "digits")
    assert not matches_pin(project)
    assert restore_from_cache(project, "digits")


def test_pinning_one_data_set_keeps_those_that_are_not_on_disk(project: Project) -> None:
    before = data_digest(project, "diabetes")
    remove(project, "diabetes")
    add(project, "churn")
    assert pin(project, "churn") == data_digest(project, "churn")
    assert data_state(project, "churn") is DataState.PINNED
    assert data_state(project, "digits") is DataState.PINNED
    assert data_state(project, "diabetes") is DataState.MISSING
    assert restore_from_cache(project, "diabetes")
    assert data_digest(project, "diabetes") == before


def test_pinning_keeps_the_edits_of_others_out_where_one_is_not_on_disk(project: Project) -> None:
    remove(project, "diabetes")
    edit(project)
    add(project, "churn")
    pin(project, "churn")
    assert data_state(project, "digits") is DataState.EDITED


def test_nothing_new_is_pinned_where_the_list_of_the_old_is_unknown(project: Project) -> None:
    forget_bytes(project)
    add(project, "churn")
    before = (project.root / "data.dvc").read_bytes()
    with pytest.raises(ConfigError, match=r"(?s)must be restored before.*gristmill data restore"):
        pin(project, "churn")
    assert (project.root / "data.dvc").read_bytes() == before


def test_outside_git_the_error_says_what_to_type(project: Project) -> None:
    shutil.rmtree(project.root / ".git")
    with pytest.raises(ConfigError, match="not in a git repository"):
        data_state(project, "digits")


def test_a_stage_runs_and_then_skips(project: Project) -> None:
    table = project.build("digits") / "table.parquet"
    assert run_stage(project, "ingest", "digits", force=False)
    made = table.read_bytes()
    assert not run_stage(project, "ingest", "digits", force=False)
    assert run_stage(project, "ingest", "digits", force=True)
    assert table.read_bytes() == made


def test_a_failing_stage_leaves_the_last_good_output_and_gives_its_own_error(
    project: Project,
) -> None:
    run_stage(project, "ingest", "digits", force=False)
    made = (project.build("digits") / "table.parquet").read_bytes()
    with csv(project).open("a") as file:
        file.write("1,2\n")
    pin(project, "digits")
    for _ in range(2):  # a failure is not taken for done
        with pytest.raises(InputError, match=r"(?s)1 ragged row\n  line 1799\n.*65 values"):
            run_stage(project, "ingest", "digits", force=False)
        assert (project.build("digits") / "table.parquet").read_bytes() == made


def changes(project: Project) -> dict[str, tuple[str, ...]]:
    plan = data_plan(project, "digits", "digits")
    assert plan.data is DataState.PINNED
    assert tuple(stage.name for stage in plan.stages) == STAGES
    return {stage.name: stage.changes for stage in plan.stages if stage.changes}


def test_done_stages_have_nothing_to_do_and_known_digests(reproduced: Project) -> None:
    assert changes(reproduced) == {}
    known = digests(reproduced, "digits")
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
def test_another_version_of_a_library_re_runs_what_uses_it(
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
def test_a_changed_line_of_the_experiment_re_runs_the_stages_that_read_it(
    reproduced: Project, old: str, new: str, stages: set[str]
) -> None:
    replace(reproduced.experiment_file("digits"), old, new)
    assert set(changes(reproduced)) == stages


def test_a_changed_schema_re_runs_validate_alone_and_data_that_break_it_change_nothing(
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


def test_pinning_one_data_set_takes_no_edit_of_another_one(project: Project) -> None:
    add(project, "churn")
    edit(project)
    pin(project, "churn")
    assert data_state(project, "churn") is DataState.PINNED
    assert data_state(project, "digits") is DataState.EDITED


def test_the_pinned_data_are_known_among_others_that_are_not_pinned_yet(project: Project) -> None:
    forget_bytes(project)
    add(project, "churn")
    assert matches_pin(project)
    assert data_state(project, "digits") is DataState.PINNED
    assert data_state(project, "churn") is DataState.NEW
