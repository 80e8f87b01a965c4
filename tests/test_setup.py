"""Files around the code: locks, Makefile, CI, Prefect and the team's servers."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import git

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-gpu.lock")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def read_yaml(path: str) -> Any:
    return YAML(typ="safe").load(ROOT / path)


def requirements(lock: str) -> list[str]:
    """Return the entries of a lock, each with its hashes on one line."""
    return (ROOT / lock).read_text("utf-8").replace("\\\n", "").splitlines()


def pins(lock: str) -> dict[str, str]:
    return dict(re.match(r"([^=]+)==(\S+)", line).groups() for line in requirements(lock))  # type: ignore[union-attr,misc]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Copy the files that make reads into a folder with an awkward name."""
    folder = tmp_path / "방앗간 (a clone)"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", *LOCKS):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def ready_gpu_clone(clone: Path) -> Path:
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to(sys.executable)
    (clone / f".venv/installed-gpu-{VERSION}").touch()
    (clone / f".venv/ready-gpu-{VERSION}").touch()
    return clone


def dry_run(
    clone: Path, *arguments: str, python: str | None = sys.executable
) -> subprocess.CompletedProcess[str]:
    """Run `make -n` without the settings of a surrounding make or the user's shell."""
    chosen = [] if python is None else [f"PYTHON={python}"]
    return subprocess.run(
        ["make", "-n", *arguments, *chosen],
        cwd=clone,
        env={"PATH": os.environ["PATH"], "HOME": str(clone), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_contains_no_address(lock: str) -> None:
    assert not re.search(r"https?:|file:|://| @ |--index|--find-links", (ROOT / lock).read_text())


@pytest.mark.parametrize("lock", LOCKS)
def test_every_lock_entry_is_an_exact_version_with_hashes(lock: str) -> None:
    entries = requirements(lock)
    assert len(entries) > 200
    for entry in entries:
        assert re.fullmatch(r"[a-z0-9._-]+==[^ ]+( ; [^#]+?)? +(--hash=sha256:\w{64} *)+", entry)


def test_both_locks_pin_the_same_versions() -> None:
    cpu, gpu = (pins(lock) for lock in LOCKS)
    assert {name: version for name, version in gpu.items() if not name.startswith("nvidia-")} == cpu


@needs_make
def test_make_alone_lists_every_target() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony
    for target in set(" ".join(phony).split()) - {"no-venv"}:
        assert f"make {target} " in listed


@needs_make
def test_the_first_run_installs_the_lock_and_runs_doctor_before_training(clone: Path) -> None:
    steps = dry_run(clone, "run").stdout
    order = [
        "venv --relocatable",
        "pip sync --python .venv/bin/python --require-hashes --compile-bytecode",
        "requirements.lock\n",
        "-e .\n",
        f"touch .venv/installed-cpu-{VERSION}",
        ".venv/bin/gristmill doctor --fix",
        f"touch .venv/ready-cpu-{VERSION}",
        ".venv/bin/gristmill run digits",
    ]
    places = [steps.index(step) for step in order]
    assert places == sorted(places)
    assert str(clone) not in steps, "a path of this clone would tie the environment to it"


@needs_make
def test_a_second_run_installs_nothing_and_keeps_the_tensorflow_choice(
    ready_gpu_clone: Path,
) -> None:
    steps = dry_run(ready_gpu_clone, "run", python=None).stdout.splitlines()
    assert steps == ['PATH="$PWD/.venv/bin:$PATH" .venv/bin/gristmill run digits']


@needs_make
def test_a_changed_lock_installs_only_the_difference(ready_gpu_clone: Path) -> None:
    stamp = ready_gpu_clone / f".venv/ready-gpu-{VERSION}"
    os.utime(stamp, (0, 0))
    steps = dry_run(ready_gpu_clone, "setup", python=None).stdout
    assert "requirements-gpu.lock" in steps
    assert "rm -rf" not in steps


@needs_make
def test_an_interrupted_installation_starts_again(ready_gpu_clone: Path) -> None:
    for stamp in ready_gpu_clone.glob(".venv/*-gpu-*"):
        stamp.unlink()
    assert "rm -rf .venv" in dry_run(ready_gpu_clone, "setup", python=None).stdout


@needs_make
def test_tf_gpu_installs_the_gpu_lock(clone: Path) -> None:
    steps = dry_run(clone, "setup", "TF=gpu").stdout
    assert "requirements-gpu.lock" in steps
    assert "requirements.lock" not in steps


@needs_make
def test_a_wheels_folder_replaces_the_network(clone: Path) -> None:
    steps = dry_run(clone, "setup", "WHEELS=some wheels").stdout
    assert steps.count('--no-index --find-links "some wheels"') >= 2
    assert "--no-index" not in dry_run(clone, "wheels", "WHEELS=some wheels").stdout


@needs_make
def test_arguments_are_passed_to_pytest(ready_gpu_clone: Path) -> None:
    steps = dry_run(ready_gpu_clone, "test", "ARGS=-k split -x", python=None).stdout
    assert ".venv/bin/python -m pytest -k split -x" in steps


@needs_make
@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["TF=tpu"], 'TF is "tpu"; it must be cpu or gpu'), ([], "Python 3.11 3.12 3.13 will do")],
)
def test_an_impossible_installation_is_refused_at_once(
    clone: Path, arguments: list[str], message: str
) -> None:
    python = sys.executable
    if not arguments:
        old = clone / "python3"
        old.write_text("#!/bin/sh\necho 3.9\n")
        old.chmod(0o755)
        python = "./python3"
    result = dry_run(clone, "run", *arguments, python=python)
    assert result.returncode == 2
    assert message in result.stderr
    assert "pip sync" not in result.stdout


MAKE = """#!/bin/sh
# Replaces make: records its arguments and fails for the target $FAILS.
echo "$@" >> "$ASKED"
[ "$1" != "$FAILS" ]
"""


@pytest.mark.parametrize("fails", ["nothing", "setup", "lint", "test", "test-slow"])
def test_ci_runs_every_check_and_fails_if_any_check_fails(tmp_path: Path, fails: str) -> None:
    clone, bin_folder, asked = tmp_path / "clone", tmp_path / "bin", tmp_path / "asked"
    (clone / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/run", clone / ".ci/run")
    git(clone, "init", "-q")
    git(clone, "add", ".ci")
    git(clone, "commit", "-qm", "all of it")
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to(sys.executable)
    bin_folder.mkdir()
    (bin_folder / "make").write_text(MAKE)
    (bin_folder / "make").chmod(0o755)
    for other in ("3.11", "3.12", "3.13"):  # as on a machine with only this Python
        (bin_folder / f"python{other}").symlink_to("/bin/false")
    done = subprocess.run(
        [str(clone / ".ci/run")],
        env=os.environ
        | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "PYENV_ROOT": str(tmp_path)}
        | {"ASKED": str(asked), "FAILS": fails, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    steps = ["setup", "lint", "types", "check-lock", "test COVERAGE=1", "test-slow"]
    assert asked.read_text().splitlines() == (steps[:1] if fails == "setup" else steps)
    assert done.returncode == (fails != "nothing")
    assert ("FAILED" in done.stdout) == (fails != "nothing")
    if fails != "setup":
        assert done.stdout.count("is not on this machine: not tried") == 2


def test_every_deployment_names_an_existing_flow_and_experiment() -> None:
    deployments = read_yaml("prefect.yaml")["deployments"]
    names = [deployment["name"] for deployment in deployments]
    assert names == ["train-digits", "monitor-digits", "train-diabetes"]
    for deployment in deployments:
        path, _, name = deployment["entrypoint"].partition(":")
        functions = {
            node.name: {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
            for node in ast.parse((ROOT / f"{path.replace('.', '/')}.py").read_text("utf-8")).body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert set(deployment["parameters"]) <= functions[name]
        assert (ROOT / "experiments" / f"{deployment['parameters']['experiment']}.yaml").is_file()
        assert deployment["work_pool"]["name"] == "gristmill"


def test_compose_does_not_start_if_a_password_is_missing() -> None:
    text = (ROOT / "docker/compose.yaml").read_text("utf-8")
    asked = dict(re.findall(r"\$\{(\w+)([^}]*)\}", text))
    assert set(asked) == {
        "POSTGRES_PASSWORD",
        "PREFECT_PASSWORD",
        "MLFLOW_PASSWORD",
        "MLFLOW_SECRET_KEY",
    }
    assert all(how.startswith(":?") for how in asked.values())
    # nothing else that looks like a secret is written in the file
    for service in read_yaml("docker/compose.yaml")["services"].values():
        for name, value in service["environment"].items():
            if re.search("PASS|SECRET|AUTH_STRING", name):
                assert ":?" in value


def test_compose_publishes_ports_only_to_this_machine() -> None:
    services = read_yaml("docker/compose.yaml")["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_prefect_server_can_be_imported(tmp_path: Path) -> None:
    """A FastAPI version too new for this Prefect fails here, before any flow runs."""
    subprocess.run(
        [sys.executable, "-c", "from prefect.server.api.server import create_app; create_app()"],
        env={**os.environ, "PREFECT_HOME": str(tmp_path), "DO_NOT_TRACK": "1"},
        check=True,
        timeout=120,
    )
