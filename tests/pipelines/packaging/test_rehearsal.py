"""The process in which packages are tried."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import psutil
import pytest

from gristmill.pipelines.base.errors import EnvironmentFault
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.packaging.rehearsal import PROCESS, Rehearsal


def test_a_stopped_rehearsal_starts_no_process_for_a_thread_that_still_asks(tmp_path: Path) -> None:
    made = Rehearsal(Project(tmp_path))
    made.stop()
    before = psutil.Process().children()
    with pytest.raises(EnvironmentFault, match="stopped"):
        made.answer("models:/none/1", pd.DataFrame({"a": [1]}))
    assert psutil.Process().children() == before


def test_the_process_ends_with_its_parent_even_during_its_imports() -> None:
    process = subprocess.Popen([sys.executable, "-I", str(PROCESS)], stdin=subprocess.PIPE)
    process.communicate()
    assert process.returncode == 9  # 0 would be the end of its input, read after all imports
