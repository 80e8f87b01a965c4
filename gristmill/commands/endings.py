"""How a command ends before its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

INTERRUPTED = 130
"""Exit code after Ctrl-C, typer's and ours."""


@contextmanager
def interrupted(words: str) -> Iterator[None]:
    """End with exit code 130 and these words on Ctrl-C; also a decorator."""
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        if not is_ctrl_c(error):
            raise
        typer.echo(words, err=True)
        leave(INTERRUPTED)


def is_ctrl_c(error: BaseException | None) -> bool:
    """Whether an error is Ctrl-C, or what a library made of it: pydantic wraps it, for example."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def leave(code: int) -> NoReturn:
    """End the process without finalising its libraries, which takes 1.5 s after a run."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
