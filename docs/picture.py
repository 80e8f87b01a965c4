"""Draws `docs/run.svg`: the screen of `gristmill run digits`, 80 columns wide.

Usage: make picture
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.ansi import AnsiDecoder
from rich.console import Console

HERE = Path(__file__).parent
WIDTH = 80
FONTS = re.compile(r"@font-face \{.*?\}\n", re.DOTALL)
"""The template fetches its fonts from the network; the reader's own will do."""


TURNING = re.compile("[\u2800-\u28ff]")
"""A line with one of these turns, and is taken back when its step ends."""


def main() -> None:
    """Runs the experiment in a clone and keeps what stands on its terminal at the end."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "-q", str(HERE.parent), folder], check=True)
        subprocess.run(["gristmill", "doctor", "--fix"], cwd=folder, check=True)
        text = screen(["gristmill", "run", "digits"], folder)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor")
    console.print("$ gristmill run digits")
    for line in AnsiDecoder().decode(text):
        console.print(line, soft_wrap=True)
    picture = console.export_svg(title="gristmill", unique_id="gristmill")
    (HERE / "run.svg").write_text(FONTS.sub("", picture), encoding="utf-8")


def screen(command: list[str], folder: str) -> str:
    """What a command leaves on a terminal; lines that it took back are gone."""
    master, slave = pty.openpty()
    environment = os.environ | {"COLUMNS": str(WIDTH), "LINES": "60", "TERM": "xterm-256color"}
    with subprocess.Popen(
        command, stdout=slave, stderr=slave, env=environment, cwd=folder
    ) as process:
        os.close(slave)
        parts = []
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            parts.append(part)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    text = b"".join(parts).decode().replace("\r\n", "\n")
    lines = [line.rpartition("\r")[2] for line in text.split("\n")]
    bare = [re.sub(r"\x1b\[[0-9?]*[A-HJKhl]", "", line) for line in lines]
    kept = [line for line in bare if not TURNING.search(line)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


if __name__ == "__main__":
    main()
