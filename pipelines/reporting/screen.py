"""What a person sees of a run: a line a step and a trial; plain lines without a terminal."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.status import Status
from rich.text import Text

from gristmill.pipelines.reporting.records import Block
from gristmill.pipelines.reporting.terminal import print_blocks

NAME_WIDTH = 10

UNLIMITED = 1000
"""Columns where lines go to a file or a program, unless COLUMNS is set."""


def _console() -> Console:
    made = Console(highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = UNLIMITED
    return made


@dataclass
class Screen:
    """Lines on a console and, in a flow run, in its log.

    Attributes:
        times: seconds of each part of the run, one after the other.
        began: when the run was asked for, by the monotonic clock.
        interrupted: whether Ctrl-C was typed.
    """

    console: Console = field(default_factory=lambda: _console())
    log: Callable[[str], object] | None = None
    times: dict[str, float] = field(default_factory=dict)
    interrupted: bool = False
    began: float = field(default_factory=time.monotonic)
    _status: Status | None = None
    _inside: list[float] = field(default_factory=list)

    def say(self, text: str, style: str = "", *, whole: bool = False) -> None:
        """One line; a terminal breaks it at words unless it stays `whole`, to be copied."""
        whole = whole or not self.console.is_terminal
        self.console.print(Text(text), style=style or None, soft_wrap=whole)
        if self.log is not None:
            self.log(text.strip())

    def show(self, *blocks: Block) -> None:
        """Tables, lists and the like."""
        print_blocks(self.console, *blocks)

    def judge(self, good: bool, text: str) -> None:
        """One line that says first whether what it is about is good."""
        sign = Text("ok  ", style="green") if good else Text("bad ", style="red")
        self.console.print(sign + Text(text), soft_wrap=True)

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """A step; what is put into the list that it gives stands behind its name at the end."""
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
        """A part of the run's time; what is spent in parts inside of it is theirs alone.

        So the parts of a thread follow one another, and their sum is not above the wall clock.
        Other threads than the main one work beside it, and take none of its time.
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
        """Parts of the present part, known by another clock than this one."""
        for name, spent in seconds.items():
            self.times[name] = self.times.get(name, 0.0) + spent
        if self._inside:
            self._inside[-1] += sum(seconds.values())

    def parts(self) -> dict[str, float]:
        """Seconds of each part so far, the longest first, and of the `rest`; their sum is all."""
        longest = dict(sorted(self.times.items(), key=lambda part: -part[1]))
        rest = time.monotonic() - self.began - sum(longest.values())
        return longest | {"rest": max(rest, 0.0)}

    def _check(self) -> None:
        """Raises KeyboardInterrupt when Ctrl-C was lost: libraries swallow it at some places."""
        if self.interrupted:
            raise KeyboardInterrupt

    @contextmanager
    def ctrl_c(self) -> Iterator[None]:
        """Ctrl-C stays Ctrl-C, whatever a library that it hit in its midst made of it."""
        try:
            yield
        except Exception as error:
            if self.interrupted:
                raise KeyboardInterrupt from error
            raise

    def skipped(self, name: str, why: str) -> None:
        """A step that had nothing to do."""
        self.say(f"  · {name:{NAME_WIDTH}s}          {why}", style="dim")

    def now(self, *lines: str) -> None:
        """What happens at this moment; shown on a terminal only."""
        if self._status is not None:
            width = max(self.console.width - 4, 20)
            self._status.update(Text("\n".join(line[:width] for line in lines)))

    def arriving(self, done: int, total: int | None) -> None:
        """How far a download is, as sources tell it."""
        of = f" of {total / 1e6:,.1f}" if total else ""
        self.now(f"fetching {done / 1e6:,.1f}{of} MB …")

    @contextmanager
    def turning(self, text: str) -> Iterator[None]:
        if not self.console.is_terminal or self._status is not None:
            yield
            return
        with self.console.status(Text(text)) as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None
