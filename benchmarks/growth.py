"""How the cost of a search grows with its trials, each of which takes one second.

A trial sleeps for one second while its model is built, so that the rest of the time is overhead:
workers, epochs of a tiny model, MLflow, the ledger, the plan. Four workers sleep in parallel.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path

import psutil
from rich import box
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
SLEEP = 1.0
WORKERS = 4

BUILDER = f"""\
import time

import keras


def build(shape, outputs):
    time.sleep({SLEEP})
    out = keras.layers.Dense(outputs, activation="softmax")
    return keras.Sequential([keras.Input(shape), out])
"""

EXPERIMENT = """\
data: {{path: data/growth/growth.csv, target: label, task: classification}}
schema: {{}}
split: {{}}
features: {{}}
parameters: {{learning_rate: 0.001}}
model: {{builder: "growing:build"}}
training:
  optimizer: {{Adam: {{learning_rate: $learning_rate}}}}
  epochs: 10
search: {{grid: {{learning_rate: [{rates}]}}}}
"""


@dataclass(frozen=True)
class Grown:
    """Cost of a search with `trials` trials: seconds, milliseconds a trial, MiB."""

    trials: int
    run: str
    search: str
    beyond: str
    memory: str
    store: str
    plan: str
    again: str


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[16, 64, 256, 1024])
    asked = parser.parse_args()
    table = Table(box=box.SIMPLE_HEAD, title=f"trials of {SLEEP:.0f} s on {WORKERS} workers")
    for heading in (
        "trials",
        "run, s",
        "search, s",
        "ms more",
        "MiB",
        "store, MiB",
        "plan, s",
        "again, s",
    ):
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        prepare(base)
        for count in asked.trials:
            project = Path(folder) / f"with {count}"
            shutil.copytree(base, project, symlinks=True)
            table.add_row(*(str(value) for value in astuple(grow(project, count))))
            shutil.rmtree(project)
    console = Console()
    console.print(table)
    console.print(
        "ms more: of the search, a trial, beyond the sleep; MiB: of the parent; store: mlflow.db; "
        "again: a run with nothing to do"
    )


def prepare(project: Path) -> None:
    """Create a clone with a data set of 200 rows."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, project / name)
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *words], cwd=project, check=True)
    gristmill(project, "doctor", "--fix")
    data = project / "data" / "growth" / "growth.csv"
    data.parent.mkdir(parents=True)
    rows = (f"{i},{i * 7 % 60},{'yes' if i % 3 else 'no'}" for i in range(200))
    data.write_text("\n".join(["a,b,label", *rows]) + "\n")
    (project / "experiments" / "growing.py").write_text(BUILDER)


def grow(project: Path, count: int) -> Grown:
    """Run a search with `count` trials, plan it and run it again."""
    rates = ", ".join(f"{(i + 1) / 1e5:.5f}" for i in range(count))
    experiment = project / "experiments" / "growth.yaml"
    experiment.write_text(EXPERIMENT.format(rates=rates))
    run, memory, said = gristmill(project, "run", "growth", "--workers", str(WORKERS))
    search = next(float(line.split()[2]) for line in said.splitlines() if "✓ search" in line)
    beyond = (search - SLEEP * count / WORKERS) / count
    plan, _, _ = gristmill(project, "plan", "growth")
    again, _, said = gristmill(project, "run", "growth")
    if "nothing to do" not in said:
        raise SystemExit(f"the second run did something:\n{said}")
    size = (project / "mlruns" / "mlflow.db").stat().st_size
    return Grown(
        count,
        f"{run:.1f}",
        f"{search:.1f}",
        f"{beyond * 1000:.0f}",
        f"{memory / 2**20:.0f}",
        f"{size / 2**20:.1f}",
        f"{plan:.2f}",
        f"{again:.2f}",
    )


def gristmill(project: Path, *words: str) -> tuple[float, int, str]:
    """Return the seconds, peak memory in bytes (without children) and output of a command."""
    began, most = time.monotonic(), 0
    log = project.parent / "said.txt"
    with log.open("w") as file:
        process = subprocess.Popen(
            [str(BIN / "gristmill"), *words],
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                most = max(most, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.05)
    seconds = time.monotonic() - began
    said = log.read_text()
    if process.wait():
        raise SystemExit(f"gristmill {' '.join(words)} failed:\n{said}")
    return seconds, most, said


if __name__ == "__main__":
    main()
