"""A wheel and a clone install the same single top-level package."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import BIN, ROOT, clean_environment, clone

SAY = """
import gristmill.app, gristmill.flows.run_plan, gristmill.pipelines.config as config
from gristmill.pipelines.config import Project
print(gristmill.app.__file__, gristmill.flows.run_plan.__file__, config.__file__, sep="\\n")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of the checked-out sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = clone(folder / "source").root
    command = [str(BIN / "uv"), "build", "-q", "--wheel", "--no-build-isolation"]
    command += ["--python", sys.executable, "--offline", "-o", str(folder), str(source)]
    subprocess.run(command, env=clean_environment(), check=True)
    (made,) = folder.glob("*.whl")
    return made


def ours() -> set[str]:
    """Return the path in the package of every source file that belongs there."""
    return {
        str(
            Path(
                "gristmill",
                path.relative_to(ROOT / top)
                if top == "gristmill"
                else Path(top, path.relative_to(ROOT / top)),
            )
        )
        for top in ("gristmill", "flows", "pipelines")
        for path in (ROOT / top).rglob("*")
        if path.suffix in (".py", ".pyi", ".j2", ".css") and "__pycache__" not in path.parts
    }


def test_a_wheel_contains_the_whole_package_and_no_other_top_level_name(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"gristmill"}
    assert ours() <= set(names)


def test_an_installed_wheel_is_imported_from_its_own_folder(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "installed"
    command = [str(BIN / "uv"), "pip", "install", "-q", "--no-deps", "--offline"]
    subprocess.run([*command, "--target", str(place), str(wheel)], check=True)
    (tmp_path / "empty").mkdir()
    said = subprocess.run(
        [sys.executable, "-P", "-c", SAY],
        cwd=tmp_path / "empty",
        env=clean_environment() | {"PYTHONPATH": os.fspath(place)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert all(Path(line).is_relative_to(place) for line in said.stdout.splitlines())


def test_a_clone_is_imported_as_one_package() -> None:
    said = subprocess.run(
        [sys.executable, "-P", "-c", SAY],
        env=clean_environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    assert [Path(line).resolve() for line in said.stdout.splitlines()] == [
        ROOT / "gristmill" / "app.py",
        ROOT / "flows" / "run_plan.py",
        ROOT / "pipelines" / "config" / "__init__.py",
    ]
