"""Whether a column can be predicted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from gristmill.pipelines.base import ConfigError, DataInvalid, nearest
from gristmill.pipelines.profiling.assumptions import TaskChoice, choose_task, likely_targets
from gristmill.pipelines.profiling.table_profile import ColumnProfile, TableProfile, Task

LEAST_ROWS = 10
"""Rows without which no role has anything in it."""


def require_target(names: Sequence[str], target: str, again: str) -> str:
    """The target, if the data have such a column.

    Args:
        names: of the data's columns.
        again: the command so far, to be completed by `--target COLUMN`.

    Raises:
        ConfigError: they have not; the nearest is offered.
    """
    if target in names:
        return target
    near = nearest(target, names)
    raise ConfigError(
        f"the data have no column '{target}'",
        expected="one of " + ", ".join(names[:20]) + ", …" * (len(names) > 20),
        found=target,
        next=f"{again} --target {shell_word(near or names[-1])}",
    )


def no_target(profile: TableProfile, again: str) -> ConfigError:
    """The error for a command without a target, with what looks like one."""
    likely = likely_targets(profile)
    return ConfigError(
        "which column is to be predicted?",
        expected="--target COLUMN",
        found="none; these look like targets: " + ", ".join(likely) if likely else "none",
        next=f"{again} --target {shell_word(likely[0] if likely else 'COLUMN')}",
    )


def shell_word(text: str) -> str:
    """A text as one word of a command line; letters of any script need no quotes."""
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) else shlex.quote(text)


def require_task(column: ColumnProfile, asked: Task | None, pictures: bool = False) -> TaskChoice:
    """The task for a target; of pictures or of rows.

    Raises:
        ConfigError: it cannot be learnt as asked.
        DataInvalid: it cannot be learnt at all.
    """
    name = column.name
    if column.missing:
        raise DataInvalid(
            f"the target {name} has gaps, and a row without an answer teaches nothing",
            expected="a value in every row",
            found=f"none in {column.missing:,} of {column.rows:,} rows",
            next="take these rows out of the file; `gristmill score` will predict them later",
        )
    if column.distinct < 2:
        raise DataInvalid(
            f"the target {name} is constant: there is nothing to learn",
            expected="two different values or more",
            found=f"{column.levels[0][0]!r} in every row" if column.levels else "one",
        )
    if column.rows < LEAST_ROWS:
        raise DataInvalid(
            "too few rows to train and to test on",
            expected=f"{LEAST_ROWS} or more",
            found=f"{column.rows}",
        )
    chosen = choose_task(column, pictures)
    if column.type == "date" or (asked == "regression" and column.type in ("text", "boolean")):
        raise ConfigError(
            f"the target {name} cannot be learnt as a number",
            expected="numbers",
            found=f"type {column.type}",
            next="leave --task out" if column.type != "date" else "name another --target",
        )
    task = asked or chosen.task
    if task == "classification" and column.distinct * 2 > column.rows:
        raise ConfigError(
            f"the target {name} has too many different values to be classes",
            expected="rows enough of each class",
            found=f"{column.distinct:,} different values in {column.rows:,} rows",
            next="name another --target, or --task regression"
            if column.type in ("integer", "number")
            else "name another --target",
        )
    return chosen if asked in (None, chosen.task) else TaskChoice(task, "as asked for")
