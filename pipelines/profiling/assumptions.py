"""What `gristmill new` takes a column for, and why. Pure: profiles in, assumptions out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from gristmill.pipelines.preparation import GIVEN_ROLE, TEST, TRAINING, WORD_PAIRS
from gristmill.pipelines.preparation import WORDS as ROLE_WORDS
from gristmill.pipelines.profiling import column_words
from gristmill.pipelines.profiling.table_profile import ColumnProfile, TableProfile, Task

MOST_CLASSES = 20
"""Whole numbers with more values than this are quantities, not classes."""

PATH = "path"
"""The column that names the file of a picture."""

FEW_ROWS = 20
"""Rows of a class below which some role may hold next to none of it."""

RARE = 0.1
"""Share of the rarest class below which weights are suggested, and accuracy says little."""

NEARLY = 0.95
"""Share of distinct values from which a column counts as nearly unique."""

MOST_CLASSES_OF_PICTURES = 1000
"""Likewise for pictures, whose whole numbers are classes by custom."""

MOST_LEVELS = 1000
"""Levels above which text is no category."""

ROWS_A_LEVEL = 3
"""Rows that a level must have on average, or nothing can be learnt of it."""

WORDS_OF_TEXT = 3.0
"""Words in the mean from which distinct texts are sentences, not labels."""

ROWS_A_GROUP, GROUPS = (2, 100), 30
"""Rows of a group in the mean, and groups in all, between and from which a repeated identifier
makes groups; fewer or larger ones are labels."""

TELLS_ALL = 0.98
"""Relation from which a column tells the target nearly alone (an AUC of 0.99)."""


@dataclass(frozen=True)
class Assumption:
    """How a column is used.

    Attributes:
        kind: as in `features.columns`; for a column that is left out, what it would be.
        used: whether it is a feature.
        why: the reason, in a few words; empty where the type says it all.
        levels: the order, for an ordered category.
        role: `target`, `key`, `group`, `given` (it says each row's role), or nothing.
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
    """Few distinct values or text: classes. Many numbers: a quantity.

    Args:
        pictures: whether it is a target of pictures.
    """
    if target.type in ("text", "boolean"):
        what = "text" if target.type == "text" else "true and false"
        return TaskChoice("classification", f"{what}, {target.distinct} different values")
    whole = target.type == "integer" or _whole(target)
    most = MOST_CLASSES_OF_PICTURES if pictures else MOST_CLASSES
    few = target.distinct <= most and target.distinct * 5 <= target.present
    if whole and few:
        return TaskChoice("classification", f"whole numbers, only {target.distinct} different")
    return TaskChoice("regression", f"numbers, {target.distinct:,} different")


def _whole(column: ColumnProfile) -> bool:
    return bool(column.levels) and all(float(value).is_integer() for value, _ in column.levels)


def classes_of(target: ColumnProfile) -> Counter[Any]:
    """Rows by class."""
    return Counter(dict(target.levels))


def likely_targets(profile: TableProfile) -> list[str]:
    """Columns that look like targets, the likeliest first: by name, then few classes at the end."""
    fit = [c for c in profile.columns if _can_be_target(c)]
    named = [c.name for c in fit if column_words.names_target(c.name)]
    last = [c.name for c in fit[-1:]]
    few = [c.name for c in fit if c.distinct == 2]
    return list(dict.fromkeys([*named, *last, *few]))[:5]


def _can_be_target(column: ColumnProfile) -> bool:
    if column.distinct < 2 or column.type == "date" or column_words.names_identifier(column.name):
        return False
    return column.type != "text" or column.distinct <= MOST_CLASSES


def assume(profile: TableProfile, target: str) -> list[Assumption]:
    """An assumption for every column, in the table's order."""
    pictures = any(column.type == "picture" for column in profile.columns)
    made = []
    for column in profile.columns:
        if column.name == target:
            made.append(Assumption(column.name, "", False, "the target", role="target"))
        elif column.name == GIVEN_ROLE and _names_roles(column):
            why = "the data set's own parts"
            made.append(Assumption(column.name, "category", False, why, role="given"))
        elif pictures and column.type != "picture":
            why = "names the file" if column.name == PATH else "pictures are learnt from alone"
            made.append(Assumption(column.name, "category", False, why))
        else:
            made.append(assume_column(column))
    return _one_key(made)


def _names_roles(column: ColumnProfile) -> bool:
    """Whether the values are roles, with training and test among them."""
    words = {str(value).strip().lower() for value, _ in column.levels}
    return words <= {*ROLE_WORDS} and {TRAINING, TEST} <= {ROLE_WORDS[word] for word in words}


def assume_column(column: ColumnProfile) -> Assumption:
    """What one column is taken for."""
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
        return Assumption(name, "category", True, "a label, by its name")
    return Assumption(name, "number", True)


def _identifier(column: ColumnProfile) -> Assumption | None:
    """Identifiers and what makes groups of rows; None for other columns."""
    name, share = column.name, column.distinct_share
    kind = "number" if column.type in ("integer", "number") else "category"
    if column.type in ("boolean", "date", "number"):
        return None
    if column.numbered:
        return Assumption(name, kind, False, "counts the rows")
    named = column_words.names_identifier(name)
    unique = column.distinct == column.rows
    if (
        share >= NEARLY
        and (named or column_words.may_name_identifier(name))
        and column.present > FEW_ROWS
    ):
        how = "each value once" if unique else "nearly each value once"
        role = "key" if unique and named else ""
        return Assumption(name, kind, False, f"identifier: {how}", role=role)
    mean = column.present / column.distinct
    if not named or column.distinct < GROUPS or mean > ROWS_A_GROUP[1]:
        return None
    if mean >= ROWS_A_GROUP[0]:
        why = f"identifier of groups of {mean:.1f} rows"
        return Assumption(name, kind, False, why, role="" if column.missing else "group")
    return Assumption(name, kind, False, "identifier, by its name")


def _word_pair(column: ColumnProfile) -> bool:
    """Whether the values are the words of some language for yes and no."""
    words = {str(value).strip().lower() for value, _ in column.levels}
    return column.type == "text" and any(words == {*pair} for pair in WORD_PAIRS)


def _text(column: ColumnProfile) -> Assumption:
    name, levels = column.name, [str(value) for value, _ in column.levels]
    many = column.distinct > MOST_LEVELS or column.distinct * ROWS_A_LEVEL > column.present
    if column.distinct > 2 and many and column.words >= WORDS_OF_TEXT:
        return Assumption(name, "text", False, f"free text, {column.words:.0f} words in the mean")
    if column.distinct_share >= NEARLY and column.present > FEW_ROWS:
        return Assumption(name, "category", False, "text, nearly each value once")
    if column.distinct > 2 and many:
        why = f"text of {column.distinct:,} values, too many for its rows"
        return Assumption(name, "category", False, why)
    if column.distinct <= len(levels) and (order := column_words.scale_of(levels)) is not None:
        return Assumption(name, "ordered", True, " < ".join(order), levels=tuple(order))
    return Assumption(name, "category", True, f"{column.distinct:,} levels")


def _one_key(made: list[Assumption]) -> list[Assumption]:
    """At most one of given roles, group and key, in this order; of several the first."""
    by_role = {a.role: a.name for a in reversed(made)}
    kept = next((by_role[role] for role in ("given", "group", "key") if role in by_role), "")
    return [a if a.role in ("", "target") or a.name == kept else replace(a, role="") for a in made]
