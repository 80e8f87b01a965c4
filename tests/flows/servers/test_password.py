"""The password file of a project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import make_project

from gristmill.commands import doctor
from gristmill.flows.servers.password import (
    credentials,
    mend_password,
    password,
    password_fault,
    password_file,
)
from gristmill.pipelines.base.errors import EnvironmentFault
from gristmill.pipelines.config.project import Project
from tests.conftest import ROOT, clean_environment, git

ASK = """\
from gristmill.flows.servers.password import password
from gristmill.pipelines.config import Project
print(password(Project.find()))
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def test_a_project_keeps_one_long_random_password_for_its_owner(
    project: Project, tmp_path: Path
) -> None:
    old = os.umask(0)
    try:
        made = password(project)
    finally:
        os.umask(old)
    assert len(made) >= 32
    assert password(project) == made
    assert credentials(project) == f"gristmill:{made}"
    assert password_file(project).stat().st_mode & 0o777 == 0o600
    assert password(make_project(tmp_path / "other")) != made


def test_processes_that_start_together_agree_on_the_password(project: Project) -> None:
    several = [
        subprocess.Popen(
            [sys.executable, "-c", ASK],
            cwd=project.root,
            env=clean_environment() | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    said = {one.communicate()[0].strip() for one in several}
    assert said == {password(project)}
    assert sorted(path.name for path in project.prefect_home.iterdir()) == [
        "password",
        "password.lock",
    ]


@pytest.mark.parametrize("content", ["", "\n", "short", "two words of many characters", "é" * 20])
def test_a_password_that_protects_nothing_is_refused_with_the_command_for_another(
    project: Project, content: str
) -> None:
    password(project)
    password_file(project).write_text(content, encoding="utf-8")
    with pytest.raises(EnvironmentFault, match=r"(?s)cannot be used.*rm \.prefect/password"):
        password(project)
    assert password_fault(project)
    mend_password(project)
    assert len(password(project)) >= 32


def test_a_file_that_others_can_read_is_found_and_repaired(project: Project) -> None:
    assert password_fault(project) == ""
    mend_password(project)
    assert not password_file(project).exists()
    made = password(project)
    assert password_fault(project) == ""
    password_file(project).chmod(0o644)
    ((good, text),) = doctor._password(project)
    assert not good
    assert text == (".prefect/password has mode 0644 instead of 0600: gristmill doctor --fix")
    mend_password(project)
    ((good, text),) = doctor._password(project)
    assert good
    assert password(project) == made


def test_git_and_images_leave_the_password_out() -> None:
    assert git(ROOT, "check-ignore", ".prefect/password").strip() == ".prefect/password"
    assert ".prefect" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
