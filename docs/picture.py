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

CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|[\r\n]")


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
    return left(b"".join(parts).decode())


def left(text: str) -> str:
    """The lines that stand there at the end, with their colours, of what went to a terminal."""
    lines, row, place = [""], 0, 0
    for found in CONTROL.finditer(text):
        lines[row] += text[place : found.start()]
        place = found.end()
        count, does = found.groups()
        if found[0] == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif does == "A":
            row = max(0, row - int(count or 1))
        elif does == "K":
            lines[row] = ""
        elif does == "m":
            lines[row] += found[0]
    lines[row] += text[place:]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


if __name__ == "__main__":
    main()
