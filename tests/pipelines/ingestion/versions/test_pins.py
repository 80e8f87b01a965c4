"""Pins: the state of data on disk, and pinning one data set."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from versioned import add_folder, digits_csv, edit_digits, forget_bytes, remove

from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.versions.moves import restore_from_cache
from gristmill.pipelines.ingestion.versions.pin_file import entries_in
from gristmill.pipelines.ingestion.versions.pins import (
    DataState,
    data_digest,
    data_state,
    keep,
    pin_data,
)
from tests.conftest import BIN, clean_environment

CHANGES: dict[DataState, Callable[[Project], object]] = {
    DataState.PINNED: lambda project: None,
    DataState.EDITED: edit_digits,
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
    assert data_state(project, "digits") is state  # reading the state changes nothing


def test_an_unpinned_data_set_is_new_or_absent(project: Project) -> None:
    assert data_state(project, "churn") is DataState.ABSENT
    add_folder(project, "churn")
    assert data_state(project, "churn") is DataState.NEW


def test_without_a_pin_file_all_data_are_new(project: Project) -> None:
    (project.root / "data.dvc").unlink()
    assert data_state(project, "digits") is DataState.NEW
    assert pin_data(project, "digits")
    assert data_state(project, "digits") is DataState.PINNED


def test_an_empty_data_folder_counts_as_missing(project: Project) -> None:
    digits_csv(project).unlink()
    assert data_state(project, "digits") is DataState.MISSING


def test_an_additional_file_is_an_edit(project: Project) -> None:
    (digits_csv(project).parent / "more.csv").write_text("a,b\n1,2\n")
    assert data_state(project, "digits") is DataState.EDITED
    assert data_state(project, "diabetes") is DataState.PINNED


def test_pinning_one_data_set_keeps_the_pins_of_those_not_on_disk(project: Project) -> None:
    before = data_digest(project, "diabetes")
    remove(project, "diabetes")
    add_folder(project, "churn")
    assert pin_data(project, "churn") == data_digest(project, "churn")
    assert data_state(project, "churn") is DataState.PINNED
    assert data_state(project, "digits") is DataState.PINNED
    assert data_state(project, "diabetes") is DataState.MISSING
    assert restore_from_cache(project, "diabetes")
    assert data_digest(project, "diabetes") == before


def test_pinning_does_not_include_edits_of_others_if_one_is_not_on_disk(project: Project) -> None:
    remove(project, "diabetes")
    edit_digits(project)
    add_folder(project, "churn")
    pin_data(project, "churn")
    assert data_state(project, "digits") is DataState.EDITED


def test_pinning_one_data_set_does_not_include_edits_of_others(project: Project) -> None:
    add_folder(project, "churn")
    edit_digits(project)
    pin_data(project, "churn")
    assert data_state(project, "churn") is DataState.PINNED
    assert data_state(project, "digits") is DataState.EDITED


def test_the_cache_is_rebuilt_from_the_pinned_bytes_on_disk(project: Project) -> None:
    pinned = (project.root / "data.dvc").read_bytes()
    forget_bytes(project)
    keep(project, "digits")
    assert (project.root / "data.dvc").read_bytes() == pinned
    remove(project, "digits")
    assert restore_from_cache(project, "digits")


def test_a_clone_without_cache_can_pin_new_data_while_others_are_not_on_disk(
    project: Project,
) -> None:
    forget_bytes(project)
    remove(project, "digits")
    add_folder(project, "churn")
    assert pin_data(project, "churn") == data_digest(project, "churn")
    assert data_state(project, "digits") is DataState.MISSING
    assert data_state(project, "diabetes") is DataState.PINNED


def test_the_pin_file_is_written_as_dvc_writes_it(project: Project) -> None:
    """Each data set is one entry, sorted, with the fields that DVC writes."""
    add_folder(project, "churn")
    pin_data(project, "churn")
    text = (project.root / "data.dvc").read_text()
    assert list(entries_in(text)) == ["data/churn", "data/diabetes", "data/digits"]
    for words in (("commit", "-q", "-f", "data.dvc"), ("add", "-q", "data/churn")):
        subprocess.run([BIN / "dvc", *words], cwd=project.root, env=clean_environment(), check=True)
        assert (project.root / "data.dvc").read_text() == text
