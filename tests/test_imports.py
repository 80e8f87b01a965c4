"""Import costs, and which libraries may be imported where.

import-linter checks the order of the folders (`make lint`).
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, clean_environment

TOPS = ("gristmill", "flows", "pipelines")
SOURCES = sorted(
    path
    for top in TOPS
    for path in (ROOT / top).rglob("*.py")
    if top != "gristmill" or path.relative_to(ROOT / top).parts[0] not in TOPS
)
FOLDERS = sorted(
    ".".join(("gristmill", *folder.relative_to(ROOT).parts))
    for top in ("flows", "pipelines")
    for folder in {path.parent for path in (ROOT / top).rglob("*.py")}
)
HEAVY = ("tensorflow", "keras", "mlflow", "prefect", "great_expectations", "dvc", "sklearn")


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports anywhere, and the names imported from it."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(package: str) -> set[str]:
    """Return the files of the project that import a package."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        if any(name.split(".")[0] == package for name in imports(path))
    }


def test_every_folder_has_a_docstring() -> None:
    for folder in {path.parent for path in SOURCES}:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_bytes())), folder


def test_dvc_is_imported_only_for_versions_and_its_lower_layers_in_one_module() -> None:
    home = "pipelines/ingestion/versions"
    assert {path.rpartition("/")[0] for path in importers("dvc")} == {home}
    below = importers("dvc_data") | importers("dvc_objects")
    assert below == {f"{home}/cache.py"}


def test_no_source_can_load_a_pickle() -> None:
    for package in ("pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"):
        assert importers(package) == set(), package
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call):
                assert "read_pickle" not in ast.unparse(node.func), path
                loose = [
                    word for word in node.keywords if word.arg in ("allow_pickle", "safe_mode")
                ]
                for word in loose:
                    safe = word.arg == "safe_mode"
                    assert ast.unparse(word.value) == str(safe), f"{path}:{node.lineno}"


@pytest.mark.parametrize(
    ("file", "needed"),
    [
        ("preparation/features/transforms.py", {"numpy", "pandas"}),
        ("ingestion/readers/picture_pixels.py", {"numpy", "PIL"}),
    ],
)
def test_the_preprocessing_of_a_package_needs_only_few_libraries(
    file: str, needed: set[str]
) -> None:
    found = {name.split(".")[0] for name in imports(ROOT / "pipelines" / file)}
    assert found - sys.stdlib_module_names == needed


def test_only_the_command_line_prints() -> None:
    for path in (ROOT / "pipelines").rglob("*.py"):
        calls = [n for n in ast.walk(ast.parse(path.read_bytes())) if isinstance(n, ast.Call)]
        assert "print" not in {ast.unparse(call.func) for call in calls}, path


IMPORTED = """
import logging, os, sys
before = dict(os.environ), os.getcwd(), list(logging.root.handlers), logging.root.level
import {module}
assert (dict(os.environ), os.getcwd(), list(logging.root.handlers), logging.root.level) == before
print(*sorted(set(sys.modules) & set(sys.argv[1:])))
"""


def import_alone(module: str, folder: Path, unwanted: tuple[str, ...]) -> str:
    """Import a module in a new process and in an empty folder.

    Returns:
        The unwanted modules that it imported.
    """
    code = IMPORTED.format(module=module)
    done = subprocess.run(
        [sys.executable, "-c", code, *unwanted],
        cwd=folder,
        env=clean_environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    assert not done.stderr
    assert not list(folder.iterdir())
    return done.stdout.strip()


def test_importing_the_command_line_loads_nothing_heavy_and_changes_nothing(
    tmp_path: Path,
) -> None:
    unwanted = (*HEAVY, "pandas", "numpy", "pyarrow", "pydantic", "gristmill.pipelines.config")
    assert import_alone("gristmill.app", tmp_path, unwanted) == ""


@pytest.mark.parametrize("folder", FOLDERS)
def test_importing_a_folder_loads_nothing_heavy_and_changes_nothing(
    tmp_path: Path, folder: str
) -> None:
    unwanted = (*HEAVY, "numpy", "pandas", "pyarrow", "pydantic")
    assert import_alone(folder, tmp_path, unwanted) == ""


def test_finding_that_there_is_nothing_to_do_loads_nothing_heavier_than_dvc() -> None:
    code = (
        "import sys, gristmill.flows.run_plan; print(*sorted(set(sys.modules) & set(sys.argv[1:])))"
    )
    unwanted = {*HEAVY, "pandas", "pyarrow"} - {"dvc"}
    done = subprocess.run(
        [sys.executable, "-c", code, *unwanted], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == ""
