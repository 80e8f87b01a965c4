"""Draws `docs/report.png`: the beginning of the page of a run of `digits`, in a real browser.

Usage: make picture-report, with Chromium on PATH.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from mlflow_picture import BROWSER, HERE, SHADES, browse
from PIL import Image

RUNS = ([], ["-P", "dropout=0.4"])
"""What is added to `gristmill run digits`: the second meets a champion."""

SIZE = "1000,1150"


def main() -> None:
    """Runs the experiment twice in a clone, and keeps what the second page shows at first."""
    if not BROWSER:
        sys.exit("Chromium is not on PATH; on Debian: apt install chromium")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "-q", str(HERE.parent), folder], check=True)
        subprocess.run(["gristmill", "doctor", "--fix"], cwd=folder, check=True)
        for more in RUNS:
            subprocess.run(["gristmill", "run", "digits", *more], cwd=folder, check=True)
        page = Path(folder) / "build" / "digits" / "report.html"
        browse(page.as_uri(), Path(folder) / "page.png", SIZE)
        with Image.open(Path(folder) / "page.png") as shown:
            shown.convert("RGB").quantize(SHADES).save(HERE / "report.png", optimize=True)


if __name__ == "__main__":
    main()
