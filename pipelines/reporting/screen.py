"""Progress of a run: one line per step and trial, plain lines where there is no terminal."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO

from rich.console import Console
from rich.padding import Padding
from rich.status import Status
from rich.table import Table
from rich.text import Text

from gristmill.pipelines.base import printable
from gristmill.pipelines.reporting.records import Block
from gristmill.pipelines.reporting.terminal import print_blocks, styled

NAME_WIDTH = 10

UNLIMITED = 1000
"""Width of lines that go to a file or a program, unless COLUMNS is set."""


def _console() -> Console:
    made = Console(highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = UNLIMITED
    return made


@dataclass
class Screen:
    """Lines on a console and, in a flow run, in its log.

    Attributes:
        console: where lines are printed.
        log: also called with each line that is not blank, without surrounding spaces, also with
            those of tables.
        times: seconds spent in each part of the run; parts do not overlap.
        began: start of the run on the monotonic clock, in seconds.
        interrupted: whether Ctrl-C was pressed.
    """

    console: Console = field(default_factory=lambda: _console())
    log: Callable[[str], object] | None = None
    times: dict[str, float] = field(default_factory=dict)
    interrupted: bool = False
    began: float = field(default_factory=time.monotonic)
    _status: Status | None = None
    _inside: list[float] = field(default_factory=list)

    def say(self, text: str, style: str = "", *, whole: bool = False) -> None:
        """Print one line.

        A terminal breaks it at words, and indents what follows like its beginning, unless it is
        `whole`, for example to be copied.
        """
        text = printable(text)
        if whole or not self.console.is_terminal:
            self.console.print(Text(text), style=style or None, soft_wrap=True)
        else:
            indent = len(text) - len(text.lstrip())
            line = Padding(Text(text.lstrip()), (0, 0, 0, indent), expand=False)
            self.console.print(line, style=style or None)
        if self.log is not None and text.strip():
            self.log(text.strip())

    def show(self, *blocks: Block) -> None:
        """Print blocks such as tables and lists."""
        print_blocks(self.console, *blocks)
        if self.log is not None:
            text = Console(file=StringIO(), width=UNLIMITED, highlight=False)
            with text.capture() as shown:
                print_blocks(text, *blocks)
            for line in filter(None, map(str.rstrip, shown.get().splitlines())):
                self.log(line)

    def judge(self, good: bool, text: str) -> None:
        """Print one line that starts with ok or bad."""
        sign = Text("ok  ", style="green") if good else Text("bad ", style="red")
        if self.console.is_terminal:
            columns = Table.grid()
            columns.add_row(sign, styled(text))
            self.console.print(columns)
        else:
            self.console.print(sign + styled(text), soft_wrap=True)

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Run one step.

        Yields a list; strings appended to it are printed after the step's name when it ends.
        """
        words: list[str] = []
        began = time.monotonic()
        self._check()
        try:
            with self.turning(f"{name} …"), self.part(name):
                yield words
        except BaseException:
            self.say(f"  ✗ {name:{NAME_WIDTH}s} {time.monotonic() - began:5.1f} s")
            raise
        self._check()
        seconds = time.monotonic() - began
        self.say(f"  ✓ {name:{NAME_WIDTH}s} {seconds:5.1f} s  {' '.join(words)}".rstrip())

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure one part of the run; the time of nested parts counts only for those.

        So the sum of all parts does not exceed the wall clock. Time in other threads than the main
        one is not counted, because they run in parallel with it.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        began = time.monotonic()
        self._inside.append(0.0)
        try:
            yield
        finally:
            seconds = time.monotonic() - began
            own = seconds - self._inside.pop()
            self.times[name] = self.times.get(name, 0.0) + own
            if self._inside:
                self._inside[-1] += seconds

    def spend(self, seconds: Mapping[str, float]) -> None:
        """Add the seconds of parts measured elsewhere; deduct them from the current part."""
        for name, spent in seconds.items():
            self.times[name] = self.times.get(name, 0.0) + spent
        if self._inside:
            self._inside[-1] += sum(seconds.values())

    def parts(self) -> dict[str, float]:
        """Return the seconds of each part so far, longest first, and the unmeasured `rest`."""
        longest = dict(sorted(self.times.items(), key=lambda part: -part[1]))
        rest = time.monotonic() - self.began - sum(longest.values())
        return longest | {"rest": max(rest, 0.0)}

    def _check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed; some libraries swallow the exception."""
        if self.interrupted:
            raise KeyboardInterrupt

    @contextmanager
    def ctrl_c(self) -> Iterator[None]:
        """Raise KeyboardInterrupt again where a library turned it into another exception."""
        try:
            yield
        except Exception as error:
            if self.interrupted:
                raise KeyboardInterrupt from error
            raise

    def skipped(self, name: str, why: str) -> None:
        """Print the line of a skipped step and the reason."""
        self.say(f"  · {name:{NAME_WIDTH}s}          {why}", style="dim")

    def now(self, *lines: str) -> None:
        """Show the current activity; only on a terminal."""
        if self._status is not None:
            width = max(self.console.width - 4, 20)
            self._status.update(styled("\n".join(line[:width] for line in lines)))

    def arriving(self, done: int, total: int | None) -> None:
        """Show the progress of a download, in bytes; `total` is None if it is unknown."""
        of = f" of {total / 1e6:,.1f}" if total else ""
        self.now(f"fetching {done / 1e6:,.1f}{of} MB …")

    @contextmanager
    def turning(self, text: str) -> Iterator[None]:
        """Show a spinner with a text; only on a terminal, and only one at a time."""
        if not self.console.is_terminal or self._status is not None:
            yield
            return
        with self.console.status(styled(text)) as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None
