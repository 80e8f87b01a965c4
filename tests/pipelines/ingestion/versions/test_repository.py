"""The repository: locked, and put right after a kill."""

from __future__ import annotations

import shutil

import pytest

from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.versions.pins import DataState, data_state


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


def test_outside_git_the_error_says_what_to_type(project: Project) -> None:
    shutil.rmtree(project.root / ".git")
    with pytest.raises(ConfigError, match="not in a git repository"):
        data_state(project, "digits")
