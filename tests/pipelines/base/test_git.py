"""Calls of git: unquoted file names, failures, standard input."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.pipelines.base import EnvironmentFault, ask_git, run_git


def test_file_names_are_printed_unquoted(tmp_path: Path) -> None:
    ask_git(tmp_path, "init", "-q", check=True)
    (tmp_path / "밀 가루.txt").touch()
    assert ask_git(tmp_path, "ls-files", "--others") == "밀 가루.txt\n"


def test_a_failed_command_returns_nothing_or_raises_with_check(tmp_path: Path) -> None:
    assert ask_git(tmp_path, "rev-parse", "HEAD") == ""
    assert run_git(tmp_path, "rev-parse", "HEAD").returncode != 0
    with pytest.raises(EnvironmentFault, match=r"(?s)git rev-parse failed.*not a git repository"):
        ask_git(tmp_path, "rev-parse", "HEAD", check=True)


def test_standard_input_is_passed_to_git(tmp_path: Path) -> None:
    ask_git(tmp_path, "init", "-q", check=True)
    done = run_git(tmp_path, "hash-object", "--stdin", given=b"grain\n")
    assert len(done.stdout.strip()) in (40, 64)
