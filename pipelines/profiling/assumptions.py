"""How `gristmill new` uses a column, and why. Pure: profiles in, assumptions out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from gristmill.pipelines.preparation import GIVEN_ROLE, TEST, TRAINING, WORD_PAIRS, class_name
from gristmill.pipelines.preparation import WORDS as ROLE_WORDS
from gristmill.pipelines.profiling import column_words
from gristmill.pipelines.profiling.table_profile import ColumnProfile, TableProfile, Task
from gristmill.pipelines.tables import counts_time

MOST_CLASSES = 20
"""Whole numbers with more values than this are quantities, not classes."""

FEW_LABELS, MOST_LABELS = 3, 12
"""Whole numbers of so few values are classes even with gaps; those of more values than the second
number are quantities, unless the name of the column says otherwise."""

PATH = "path"
"""The column with the file name of a picture."""

FEW_ROWS = 20
"""Rows of a class below which a role may contain almost none of it."""

RARE = 0.1
"""Share of the rarest class below which accuracy is misleading and weights are suggested."""

NEARLY = 0.95
"""Share of distinct values from which a column counts as nearly unique."""

MOST_CLASSES_OF_PICTURES = 1000
"""The same for pictures, whose integer targets are usually classes."""

MOST_LEVELS = 1000
"""Levels above which a text is not a category."""

ROWS_A_LEVEL = 3
"""Mean rows per level below which nothing can be learnt about a level."""

WORDS_OF_TEXT = 3.0
"""Mean number of words at which distinct texts are sentences, not labels."""

ROWS_A_GROUP, GROUPS = (2, 100), 30
"""A repeated identifier makes groups if they have this many rows on average and are at least this
many; otherwise it is a label."""

GAPS = 10
"""Numbers per row up to which different whole numbers count rows, some of which were removed."""

FEWEST_OWNERS = 10
"""Least number of groups of a column whose name says what rows belong to."""


@dataclass(frozen=True)
class Assumption:
    """How a column is used.

    Attributes:
        name: name of the column.
        kind: as in `features.columns`, also for a column that is left out.
        used: whether it is a feature.
        why: the reason, in a few words; empty if it follows from the type.
        levels: levels of an ordered category, lowest first.
        role: `target`, `key`, `group`, `given` (contains each row's role), or empty.
    """

    name: str
    kind: str
    used: bool
    why: str = ""
    levels: tuple[str, ...] = ()
    role: str = ""


@dataclass(frozen=True)
class TaskChoice:
    """The task and the reason for it."""

    task: Task
    why: str


def choose_task(target: ColumnProfile, pictures: bool = False) -> TaskChoice:
    """Choose classification for text, true and false and numbers that label classes.

    Args:
        target: profile of the target.
        pictures: whether the rows are pictures, whose whole numbers are classes.
    """
    if target.type in ("text", "boolean"):
        what = "text" if target.type == "text" else "true and false"
        return TaskChoice("classification", f"{what}, {target.distinct} different values")
    most = MOST_CLASSES_OF_PICTURES if pictures else MOST_CLASSES
    few = target.distinct <= most and target.distinct * 5 <= target.present
    if not few or not target.whole:
        return TaskChoice("regression", f"{target.distinct:,} different numbers")
    what = f"only {target.distinct} different whole numbers"
    if target.distinct == 2 or pictures:
        return TaskChoice("classification", what)
    if label_classes(target):
        return TaskChoice("classification", f"{what}; as a number: --task regression")
    low, high = target.quantiles[0], target.quantiles[-1]
    seen = f"{target.distinct} whole numbers from {low:.0f} to {high:.0f}"
    return TaskChoice("regression", f"{seen}; as classes: --task classification")


def label_classes(target: ColumnProfile) -> bool:
    """Return whether few whole numbers label classes, and are not spread, many or counts.

    Labels begin at 0 or 1 and have no gaps. The frequencies of a count rise to a mode and fall;
    those of m labels are in such an order by chance in 2^(m - 1) of m! cases.
    """
    numbers = sorted(target.levels)
    if column_words.names_classes(target.name):
        return True
    if column_words.names_quantity(target.name):
        return False
    if len(numbers) <= FEW_LABELS:
        return True
    low, high = numbers[0][0], numbers[-1][0]
    plain = low in (0, 1) and high - low == len(numbers) - 1 and len(numbers) <= MOST_LABELS
    return plain and (len(numbers) == 4 or not _one_mode([rows for _, rows in numbers]))


def _one_mode(rows: list[int]) -> bool:
    """Return whether frequencies rise to one mode and then fall, and differ by far."""
    top = rows.index(max(rows))
    rising = rows[: top + 1] == sorted(rows[: top + 1])
    return rising and rows[top:] == sorted(rows[top:], reverse=True) and max(rows) > 2 * min(rows)


def classes_of(target: ColumnProfile) -> Counter[Any]:
    """Count the rows of each class."""
    return Counter(dict(target.levels))


def likely_targets(profile: TableProfile) -> list[str]:
    """Return likely targets: columns with typical names, the last one, columns of two values."""
    fit = [c for c in profile.columns if _can_be_target(c)]
    named = [c.name for c in fit if column_words.names_target(c.name)]
    last = [c.name for c in fit[-1:]]
    few = [c.name for c in fit if c.distinct == 2]
    return list(dict.fromkeys([*named, *last, *few]))[:5]


def _can_be_target(column: ColumnProfile) -> bool:
    if column.distinct < 2 or column.type == "date" or column_words.names_identifier(column.name):
        return False
    return column.type != "text" or column.distinct <= MOST_CLASSES


def assume(profile: TableProfile, target: str, index: Collection[str] = ()) -> list[Assumption]:
    """Return an assumption for every column, in the table's order.

    Args:
        profile: profiles of the columns.
        target: name of the target.
        index: columns that were the index of a pandas data frame.
    """
    pictures = any(column.type == "picture" for column in profile.columns)
    made = []
    for column in profile.columns:
        if column.name == target:
            made.append(Assumption(column.name, "", False, "the target", role="target"))
        elif column.name == GIVEN_ROLE and _names_roles(column):
            why = "roles given by the data set"
            made.append(Assumption(column.name, "category", False, why, role="given"))
        elif pictures and column.type != "picture":
            why = "file name" if column.name == PATH else "models of pictures use only pictures"
            made.append(Assumption(column.name, "category", False, why))
        elif column.name in index and _index(column):
            made.append(
                Assumption(column.name, "number", False, "the index of a pandas data frame")
            )
        else:
            made.append(assume_column(column))
    taken = answer_names_of(profile.column(target))
    made = [
        replace(one, used=False, role="", why="the name of an answer; rename it to use it")
        if one.name in taken and one.used
        else one
        for one in made
    ]
    if not any(one.used for one in made):
        made = [_as_text(one, profile.column(one.name)) for one in made]
    return _one_key(made)


def _as_text(one: Assumption, column: ColumnProfile) -> Assumption:
    """Return a column of different texts as a feature, for tables that have no other one."""
    words = column.type == "text" and column.distinct > 1 and column.words > 1
    if not words or one.role:
        return one
    return Assumption(one.name, "text", True, f"{column.words:.0f} words on average")


def answer_names_of(target: ColumnProfile) -> set[str]:
    """Return the names of the columns that predictions of a target have."""
    return {"prediction", *(f"probability_{class_name(label)}" for label in classes_of(target))}


def _names_roles(column: ColumnProfile) -> bool:
    """Return whether the values are roles, including training and test."""
    words = {str(value).strip().lower() for value, _ in column.levels}
    return words <= {*ROLE_WORDS} and {TRAINING, TEST} <= {ROLE_WORDS[word] for word in words}


def assume_column(column: ColumnProfile) -> Assumption:
    """Return the assumption for one column."""
    name = column.name
    if column.type == "picture":
        return Assumption(name, "picture", True)
    if not column.present:
        return Assumption(name, "number", False, "empty")
    if column.present < FEW_ROWS and column.missing > column.present:
        return Assumption(name, "category", False, f"only {column.present} values")
    if column.distinct == 1 and not column.missing:
        return Assumption(name, "category", False, "constant")
    if (found := _identifier(column)) is not None:
        return found
    if column.type == "date":
        return Assumption(name, "date", True)
    if column.type == "boolean" or _word_pair(column):
        return Assumption(name, "boolean", True)
    if column.type == "text":
        return _text(column)
    if column.type == "integer" and (
        column_words.names_identifier(name) or column_words.names_code(name)
    ):
        return Assumption(name, "category", True, "a label, according to its name")
    return Assumption(name, "number", True)


def _identifier(column: ColumnProfile) -> Assumption | None:
    """Return the assumption for an identifier of rows or groups; None for other columns."""
    name, share = column.name, column.distinct_share
    kind = "number" if column.type in ("integer", "number") else "category"
    if column.type in ("boolean", "date"):
        return None
    if _row_number(column):
        return Assumption(name, kind, False, "row number")
    if column.type == "number":
        return None
    named = column_words.names_identifier(name)
    unique = column.distinct == column.rows
    if (
        share >= NEARLY
        and (named or column_words.may_name_identifier(name))
        and column.present > FEW_ROWS
    ):
        how = "all values differ" if unique else "almost all values differ"
        role = "key" if unique and named else ""
        return Assumption(name, kind, False, f"identifier: {how}", role=role)
    mean = column.present / column.distinct
    if _owners(column):
        why = f"identifier of groups of {mean:.1f} rows"
        return Assumption(name, kind, False, why, role="group")
    if not named or column.distinct < GROUPS or mean > ROWS_A_GROUP[1]:
        return None
    if mean >= ROWS_A_GROUP[0]:
        why = f"identifier of groups of {mean:.1f} rows"
        return Assumption(name, kind, False, why, role="" if column.missing else "group")
    return Assumption(name, kind, False, "identifier, according to its name")


def _owners(column: ColumnProfile) -> bool:
    """Return whether the values name what rows belong to, and are not counts of it."""
    if not column_words.names_owner(column.name) or column.missing:
        return False
    counts = len(column.levels) == column.distinct and column.type == "integer"
    count = counts and _one_mode([rows for _, rows in sorted(column.levels)])
    return FEWEST_OWNERS <= column.distinct < NEARLY * column.present and not count


def _row_number(column: ColumnProfile) -> bool:
    """Return whether the values number the rows; with holes only if the name says so."""
    name, whole = column.name, column.type == "integer" and bool(column.quantiles)
    if _counts_time(column):
        return False
    if column_words.names_index(name) and (whole or column.numbered):
        return True
    if column.numbered == "shuffled" and column_words.names_identifier(name):
        return False  # a key
    if column.numbered or not whole or column.distinct < column.present:
        return bool(column.numbered)
    low, high = column.quantiles[0], column.quantiles[-1]
    return column_words.names_row_number(name) and low >= 0 and high - low < GAPS * column.rows


def _index(column: ColumnProfile) -> bool:
    """Return whether a data frame's index only numbers its rows."""
    key = column_words.names_identifier(column.name) and not column_words.names_index(column.name)
    each = column.distinct == column.present
    return column.type == "integer" and each and not _counts_time(column) and not key


def _counts_time(column: ColumnProfile) -> bool:
    ends = column.quantiles or (0.0,)
    return counts_time(column.name, ends[0], ends[-1])


def _word_pair(column: ColumnProfile) -> bool:
    """Return whether the values are words for yes and no in some language."""
    words = {str(value).strip().lower() for value, _ in column.levels}
    return column.type == "text" and any(words == {*pair} for pair in WORD_PAIRS)


def _text(column: ColumnProfile) -> Assumption:
    name, levels = column.name, [str(value) for value, _ in column.levels]
    many = column.distinct > MOST_LEVELS or column.distinct * ROWS_A_LEVEL > column.present
    if column.distinct > 2 and many and column.words >= WORDS_OF_TEXT:
        return Assumption(name, "text", False, f"free text, {column.words:.0f} words on average")
    if column.distinct_share >= NEARLY and column.present > FEW_ROWS:
        return Assumption(name, "category", False, "text, almost all values differ")
    if column.distinct > 2 and many:
        why = f"text with {column.distinct:,} values, too many for the number of rows"
        return Assumption(name, "category", False, why)
    if column.distinct <= len(levels) and (order := column_words.scale_of(levels)) is not None:
        return Assumption(name, "ordered", True, " < ".join(order), levels=tuple(order))
    return Assumption(name, "category", True, f"{column.distinct:,} levels")


def _one_key(made: list[Assumption]) -> list[Assumption]:
    """Keep the first role of given, group and key that occurs, on the first column with it."""
    by_role = {a.role: a.name for a in reversed(made)}
    kept = next((by_role[role] for role in ("given", "group", "key") if role in by_role), "")
    return [a if a.role in ("", "target") or a.name == kept else replace(a, role="") for a in made]
