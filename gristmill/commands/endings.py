"""Interrupts and the exit of a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer


def echo(text: object, *, err: bool = False) -> None:
    """Print text as it is, but for control characters; to standard error if `err` is set."""
    from gristmill.pipelines.base import printable

    typer.echo(printable(text), err=err)


INTERRUPTED = 130
"""Exit code after Ctrl-C, the same as typer's."""


@contextmanager
def interrupted(words: str) -> Iterator[None]:
    """Exit with code 130 and this message on Ctrl-C; usable as a decorator."""
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        if not is_ctrl_c(error):
            raise
        echo(words, err=True)
        leave(INTERRUPTED)


def is_ctrl_c(error: BaseException | None) -> bool:
    """Return whether an error is Ctrl-C or was caused by it: pydantic wraps it, for example."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def leave(code: int) -> NoReturn:
    """Exit without finalising the libraries, which takes 1.5 s after a run."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
