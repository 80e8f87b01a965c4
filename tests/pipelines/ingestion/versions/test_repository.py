"""The DVC repository: repaired after a kill, refused outside git."""

from __future__ import annotations

import shutil

import pytest

from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.versions.pins import DataState, data_state


@pytest.mark.parametrize("left", [b"", b'{"read": {'])
def test_a_damaged_rwlock_of_dvc_is_removed(project: Project, left: bytes) -> None:
    users = project.root / ".dvc" / "tmp" / "rwlock"
    users.parent.mkdir(exist_ok=True)
    users.write_bytes(left)
    assert data_state(project, "digits") is DataState.PINNED
    assert not users.exists()
    users.write_text('{"read": {}, "write": {}}')
    assert data_state(project, "digits") is DataState.PINNED
    assert users.exists()


def test_outside_a_git_repository_the_command_is_refused(project: Project) -> None:
    shutil.rmtree(project.root / ".git")
    with pytest.raises(ConfigError, match="not in a git repository"):
        data_state(project, "digits")
