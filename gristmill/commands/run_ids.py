"""Runs by the beginnings of their ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol, TypeVar

from gristmill.pipelines.base import ConfigError


class HasId(Protocol):
    """A run of any kind."""

    @property
    def run_id(self) -> str: ...


Run = TypeVar("Run", bound=HasId)


def run_of_id(runs: Sequence[Run], text: str) -> Run | None:
    """The run whose id begins like this; None where there is none.

    Raises:
        ConfigError: there are several.
    """
    is_id = re.fullmatch(r"[0-9a-f]{4,32}", text) is not None
    alike = [run for run in runs if is_id and run.run_id.startswith(text)]
    if len(alike) > 1:
        raise ConfigError(
            f"several runs begin with {text}",
            expected="more of the id",
            found=", ".join(run.run_id[:12] for run in alike[:8]),
        )
    return alike[0] if alike else None
