"""dvc.yaml: the dependencies of the stages, and committed outputs that match the stages."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gristmill.pipelines.config.project import Project
from tests.conftest import BIN, clean_environment, git

ROOT = Path(__file__).parents[1]
STAGES: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
MODULES = {
    "ingest": "ingestion/table.py",
    "validate": "validation/schema/validation.py",
    "split": "preparation/split/assignment.py",
    "scale": "preparation/features/prepare.py",
}

WATCHED = """
import json, sys
from pathlib import Path
import gristmill.commands.stage
from gristmill.pipelines.config import Project
ran = set()
def note(frame, event, _):
    if event == "call" and frame.f_code.co_name != "<module>":
        ran.add(frame.f_code.co_filename)
stage, out = sys.argv[1:]
carry_out = gristmill.commands.stage._stage(stage, "digits")
sys.setprofile(note)
carry_out(Project.find(), "digits")
sys.setprofile(None)
Path(out).write_text(json.dumps(sorted(ran)))
"""


def depends_on(stage: str, module: str) -> bool:
    """Check whether the stage lists the module or a folder that contains it."""
    path = Path("pipelines") / module
    return any(str(place) in STAGES[stage]["do"]["deps"] for place in (path, *path.parents))


@pytest.mark.slow
@pytest.mark.parametrize("stage", MODULES)
def test_a_stage_depends_on_every_module_whose_functions_it_runs(
    reproduced: Project, tmp_path: Path, stage: str
) -> None:
    out = tmp_path / "ran.json"
    subprocess.run(
        [sys.executable, "-P", "-c", WATCHED, stage, str(out)], env=clean_environment(), check=True
    )
    files = [Path(name).resolve() for name in json.loads(out.read_text())]
    ours = [
        str(f.relative_to(ROOT / "pipelines")) for f in files if ROOT / "pipelines" in f.parents
    ]
    assert MODULES[stage] in ours
    assert [module for module in ours if not depends_on(stage, module)] == []


def defined_in(module: str, name: str) -> str:
    """Return the module below `pipelines` that defines a name, following the interface files."""
    folder = module.removeprefix("gristmill.pipelines.").replace(".", "/")
    face = ROOT / "pipelines" / folder / "__init__.pyi"
    if not face.is_file():
        return f"{folder}.py"
    for node in ast.parse(face.read_bytes()).body:
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            return defined_in(f"{module}.{node.module}", name)
    return f"{folder}/{name}.py"


def imported_by(module: str) -> set[str]:
    """Return the modules below `pipelines` that a module imports names from."""
    return {
        defined_in(str(node.module), alias.name)
        for node in ast.walk(ast.parse((ROOT / "pipelines" / module).read_bytes()))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("gristmill.pipelines.")
        for alias in node.names
    }


@pytest.mark.parametrize("stage", MODULES)
def test_a_stage_depends_on_every_imported_module_and_on_no_unused_config_section(
    stage: str,
) -> None:
    seen: set[str] = set()
    waiting = {MODULES[stage]}
    while waiting:
        seen |= waiting
        waiting = {each for module in waiting for each in imported_by(module)} - seen
    assert [module for module in sorted(seen) if not depends_on(stage, module)] == []
    listed = {str(dep).removeprefix("pipelines/") for dep in STAGES[stage]["do"]["deps"]}
    ground = ("base/", "config/")
    assert {m for m in listed if m.startswith(ground)} == {m for m in seen if m.startswith(ground)}
    assert "config/project.py" in listed


def stale(project: Project) -> set[str]:
    """Return the stages of `digits` that `dvc repro` would run now."""
    done = subprocess.run(
        [str(BIN / "dvc"), "status", "--json"],
        cwd=project.root,
        env=clean_environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    return {name for name, _, key in (s.partition("@") for s in json.loads(done.stdout)) if key}


def test_a_new_gate_option_re_runs_no_data_stage_but_a_new_split_default_does(
    reproduced: Project,
) -> None:
    assert stale(reproduced) == set()
    sections = reproduced.root / "pipelines" / "config" / "sections"
    with (sections / "gate.py").open("a") as file:
        file.write("\n\nclass Appeal(Section):\n    days: int = 7\n")
    assert stale(reproduced) == set()
    split = (sections / "split.py").read_text()
    assert "validation: Share = 0.2" in split
    (sections / "split.py").write_text(split.replace("Share = 0.2", "Share = 0.25"))
    assert stale(reproduced) == {"validate", "split", "scale"}


def test_what_a_fresh_clone_makes_is_what_is_committed(reproduced: Project) -> None:
    assert git(reproduced.root, "status", "--porcelain") == ""
    listed = git(reproduced.root, "ls-files").splitlines()
    assert {"dvc.lock", "data.dvc", "experiments/digits.split.json"} <= set(listed)
