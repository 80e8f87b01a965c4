"""Draws `docs/mlflow.png`: the trials of `digits`, compared in MLflow's UI, by a real browser.

Usage: make picture-mlflow, with Chromium on PATH.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote

from PIL import Image

HERE = Path(__file__).parent
RUNS = ([], ["-P", "dropout=0.4"], ["-P", "learning_rate=0.003"], ["-P", "units=16"])
"""What is added to `gristmill run digits`, one run each."""

SERVER = "http://127.0.0.1:5057"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), "")
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--virtual-time-budget=60000"),
)
SHOWN = (199, 14, 1153, 600)
"""Pixels, left to right and top to bottom: the comparison alone, without menus."""

SHADES = 64


def main() -> None:
    """Runs the experiment four times in a clone, serves its store, and keeps what a page shows."""
    if not BROWSER:
        sys.exit("Chromium is not on PATH; on Debian: apt install chromium")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "-q", str(HERE.parent), folder], check=True)
        subprocess.run(["gristmill", "doctor", "--fix"], cwd=folder, check=True)
        for more in RUNS:
            subprocess.run(["gristmill", "run", "digits", *more], cwd=folder, check=False)
        database = Path(folder) / "mlruns" / "mlflow.db"
        store = ["--backend-store-uri", f"sqlite:///{database}", "--workers", "1"]
        where = ["--host", "127.0.0.1", "--port", SERVER.rpartition(":")[2]]
        with subprocess.Popen(["mlflow", "server", *store, *where]) as server:
            try:
                wait()
                browse(address(database), Path(folder) / "page.png", "1560,760")
            finally:
                server.terminate()
        with Image.open(Path(folder) / "page.png") as page:
            small = page.crop(SHOWN).convert("RGB").quantize(SHADES)
            small.save(HERE / "mlflow.png", optimize=True)


def address(database: Path) -> str:
    """Of the page that compares all trials in a store."""
    with closing(sqlite3.connect(database)) as store:
        found = store.execute(
            "SELECT r.run_uuid, r.experiment_id FROM runs r JOIN tags t USING (run_uuid) "
            "WHERE t.key = 'gristmill.kind' AND t.value = 'trial' ORDER BY r.start_time"
        ).fetchall()
    runs, experiments = [run for run, _ in found], sorted({str(name) for _, name in found})
    asked = [quote(json.dumps(names, separators=(",", ":"))) for names in (runs, experiments)]
    return f"{SERVER}/#/compare-runs?runs={asked[0]}&experiments={asked[1]}"


def wait() -> None:
    """Until the server answers."""
    for _ in range(300):
        try:
            urllib.request.urlopen(SERVER, timeout=5).close()
        except (URLError, TimeoutError, ConnectionError):
            time.sleep(0.5)
        else:
            return
    sys.exit("the MLflow server does not answer")


def browse(page: str, file: Path, size: str) -> None:
    """Writes what a browser with a new profile, and a window of this size, shows of a page."""
    with tempfile.TemporaryDirectory() as profile:
        kept = [f"--user-data-dir={profile}", f"--screenshot={file}", f"--window-size={size}"]
        subprocess.run(
            [BROWSER, *OPTIONS, *kept, page], check=True, stderr=subprocess.DEVNULL, timeout=180
        )


if __name__ == "__main__":
    main()
