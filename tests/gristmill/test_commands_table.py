from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from gristmill.app import COMMANDS, HIDDEN, _help
from gristmill.pipelines.config import Project
from tests.conftest import Run, clean_environment


@pytest.mark.parametrize("words", COMMANDS)
def test_the_help_of_a_command_is_its_docstring(words: str) -> None:
    module, name = COMMANDS[words].split(":")
    function = getattr(import_module(f"gristmill.commands.{module}"), name)
    text = inspect.cleandoc(function.__doc__).partition("\f")[0].strip()
    assert text
    assert _help(COMMANDS[words]) == text


@pytest.mark.parametrize("words", [["--help"], ["data", "--help"], ["runs", "-h"]])
def test_help_imports_no_command_module(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gristmill.app", *words],
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    assert "Usage: " in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {name for name in loaded if name.startswith("gristmill.commands.")} == {
        "gristmill.commands.endings"
    }
    assert not loaded & {"rich", "numpy", "gristmill.pipelines.config"}


def test_a_hidden_command_can_be_called_and_is_not_listed(project: Project, gristmill: Run) -> None:
    listed = gristmill("--help", check=True).stdout
    for words in HIDDEN:
        *group, name = words.split()
        where = gristmill(*group, "--help", check=True).stdout
        assert f"  {name} " not in where + listed
        shown = gristmill(*words.split(), "--help", check=True).stdout
        assert _help(COMMANDS[words]) in " ".join(shown.split())
