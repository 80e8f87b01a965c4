"""A fresh clone to run experiments in, and the results."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
REJECTED = 3


def clone(project: Path) -> None:
    """Clone the last commit, create the databases and restore the data."""
    project.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "-q", str(ROOT), str(project)], check=True)
    gristmill(project, "doctor", "--fix")


def gristmill(project: Path, *words: str) -> None:
    """Run a command in a project; a rejected model counts as a result too."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        ["gristmill", *words], cwd=project, env=environment, capture_output=True, text=True
    )
    if done.returncode not in (0, REJECTED):
        said = f"{done.stdout}{done.stderr}"
        raise SystemExit(f"gristmill {' '.join(words)}: exit {done.returncode}\n{said}")


def begin(project: Path, name: str, example: str, *more: str) -> None:
    """Run `gristmill new --example`."""
    gristmill(project, "new", name, "--example", example, *more)


def latest(project: Path, name: str) -> dict[str, float]:
    """Return the metrics of an experiment's last run."""
    with closing(sqlite3.connect(project / "mlruns" / "mlflow.db")) as store:
        rows = store.execute(
            "SELECT key, value FROM latest_metrics WHERE run_uuid = (SELECT r.run_uuid FROM runs r "
            "JOIN experiments e USING (experiment_id) JOIN latest_metrics m USING (run_uuid) "
            "WHERE e.name = ? AND m.key = 'test_rows' ORDER BY r.start_time DESC LIMIT 1)",
            (name,),
        )
        return dict(rows)


def trial_of(project: Path, name: str) -> tuple[Path, dict[str, Any]]:
    """Return the folder and the result of the trial that ended last."""
    results = (project / "build" / name / "trials").glob("*/result.json")
    file = max(results, key=lambda file: file.stat().st_mtime)
    return file.parent, json.loads(file.read_text(encoding="utf-8"))


def machine() -> str:
    """Return the processor and its number of cores."""
    about = Path("/proc/cpuinfo")
    text = about.read_text(encoding="utf-8") if about.exists() else ""
    name = re.search(r"model name\s*: (.+)", text)
    return f"{len(os.sched_getaffinity(0))} cores of {name[1] if name else os.uname().machine}"


def between(text: str, start: str, end: str) -> str:
    """Return the text between the first `start` and the next `end`."""
    return text.partition(start)[2].partition(end)[0]


def put_table(page: Path, table: str, mark: str = "figures") -> None:
    """Write a table into a page in place of the one between its marks."""
    text = page.read_text(encoding="utf-8")
    start, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    old = between(text, start, end)
    made = text.replace(f"{start}{old}{end}", f"{start}\n{table}\n{end}")
    page.write_text(made, encoding="utf-8")
