"""Whether a column can be predicted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from gristmill.pipelines.base import ConfigError, DataInvalid, nearest
from gristmill.pipelines.profiling.assumptions import (
    TaskChoice,
    choose_task,
    classes_of,
    likely_targets,
)
from gristmill.pipelines.profiling.table_profile import ColumnProfile, TableProfile, Task

LEAST_ROWS = 10
"""Least number of rows with which every role has some."""

LEAST_OF_A_CLASS = 3
"""Rows of a class from which a stratified split gives it a test row and a validation row."""

LARGEST = 1e30
"""Largest number of a target: predictions are float32, which ends at 3.4e38."""

PREDICTION = "prediction"
"""The column of predictions."""


def require_target(names: Sequence[str], target: str, again: str) -> str:
    """Return the target if the data have this column.

    Args:
        names: columns of the data.
        target: name of the target.
        again: the command so far; the message appends `--target COLUMN`.

    Raises:
        ConfigError: there is no such column; the message suggests the nearest. Or it has the name
            that its predictions have.
    """
    if target == PREDICTION:
        raise ConfigError(
            f"the target cannot be called {PREDICTION}",
            expected="another name, since predictions are written in a column of this name",
            found=target,
            next="rename the column in the data",
        )
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
    """Return the error for a command without a target; it names likely targets."""
    likely = likely_targets(profile)
    return ConfigError(
        "which column should be predicted?",
        expected="--target COLUMN",
        found="none; these look like targets: " + ", ".join(likely) if likely else "none",
        next=f"{again} --target {shell_word(likely[0] if likely else 'COLUMN')}",
    )


def shell_word(text: str) -> str:
    """Quote a text for a command line if necessary; letters of any script need no quotes."""
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) else shlex.quote(text)


NOT_MISSING = (
    "\nif a word such as NA is a class here, and was read as missing: --csv missing=''   declares "
    "that only empty cells are"
)


def require_task(column: ColumnProfile, asked: Task | None, pictures: bool = False) -> TaskChoice:
    """Return the task for a target.

    Args:
        column: profile of the target.
        asked: the task that was requested; None to choose it.
        pictures: whether the rows are pictures.

    Raises:
        ConfigError: the target does not fit the task.
        DataInvalid: no model can be trained on this target.
    """
    name = column.name
    if column.missing:
        raise DataInvalid(
            f"the target {name} has missing values, which cannot be used for training",
            expected="a value in every row",
            found=f"none in {column.missing:,} of {column.rows:,} rows",
            next="remove these rows from the file; `gristmill score` can predict them later"
            + NOT_MISSING * (column.type == "text"),
        )
    if column.distinct < 2:
        raise DataInvalid(
            f"the target {name} is constant: there is nothing to learn",
            expected="two different values or more",
            found=f"{column.levels[0][0]!r} in every row" if column.levels else "one",
        )
    if column.rows < LEAST_ROWS:
        raise DataInvalid(
            "too few rows for training and testing",
            expected=f"{LEAST_ROWS} or more",
            found=f"{column.rows}",
        )
    chosen = choose_task(column, pictures)
    if column.type == "date" or (asked == "regression" and column.type in ("text", "boolean")):
        raise ConfigError(
            f"the target {name} cannot be learnt as a number",
            expected="numbers",
            found=f"type {column.type}",
            next="remove --task" if column.type != "date" else "choose another --target",
        )
    task = asked or chosen.task
    few = max(classes_of(column).values(), default=1) < LEAST_OF_A_CLASS
    if task == "classification" and (few or column.distinct * 2 > column.rows):
        raise ConfigError(
            f"the target {name} has too many different values to be classes",
            expected=f"classes of {LEAST_OF_A_CLASS} rows or more",
            found=f"{column.distinct:,} different values in {column.rows:,} rows",
            next="choose another --target, or --task regression"
            if column.type in ("integer", "number")
            else "choose another --target",
        )
    if task == "regression" and max(map(abs, column.quantiles)) > LARGEST:
        raise DataInvalid(
            f"the target {name} has numbers that are too large to be learnt",
            expected=f"numbers between {-LARGEST:g} and {LARGEST:g}",
            found=f"numbers from {column.quantiles[0]:g} to {column.quantiles[-1]:g}",
            next="write the column in a larger unit",
        )
    return chosen if asked in (None, chosen.task) else TaskChoice(task, "as requested")
