"""Digests of source code: they change with the code, not with comments or layout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gristmill.pipelines.base.source_code import normalised_source

SOURCE = '''\
"""What this is."""
import math


class Mill:
    """A mill."""

    size: int = 3

    def grind(self, grain: float, *, fine: bool = True) -> float:
        """Grinds."""
        # harder than it looks
        rest = grain * 0.5 + math.sqrt(self.size)
        return rest if fine and rest > 1 else -rest
'''


def digest(folder: Path, text: str) -> str:
    path = folder / "a.py"
    path.write_text(text, encoding="utf-8")
    return normalised_source(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# harder than it looks", "# easier"),
        ("        # harder than it looks\n", ""),
        ('"""What this is."""\n', ""),
        ('"""A mill."""', '"""Another\n\n    mill."""'),
        ('        """Grinds."""\n', ""),
        ("grain * 0.5 + math", "(\n            grain*0.5\n            + math"),
        ("\n\n\nclass", "\nclass"),
        ("0.5", "0.50"),
        ("grain: float, *,", "grain: float,\n        *,"),
    ],
)
def test_comments_docstrings_and_layout_keep_the_digest(tmp_path: Path, old: str, new: str) -> None:
    changed = SOURCE.replace(old, new)
    if "(\n" in new:
        changed = changed.replace("sqrt(self.size)", "sqrt(self.size))")
    assert changed != SOURCE
    assert digest(tmp_path, changed) == digest(tmp_path, SOURCE)


CHANGES = [
    ("0.5", "0.25"),
    ("= 3", "= 4"),
    ("= True", "= False"),
    (r" \* ", " / "),
    (r" \+ ", " - "),
    (" > ", " >= "),
    (" and ", " or "),
    ("-rest", "+rest"),
    ("grind", "mill"),
    (r"\brest\b", "remnant"),
    ("Mill", "Stone"),
    ("sqrt", "cbrt"),
    ("import math", "import cmath as math"),
    ("float,", "int,"),
    (r"\*, ", ""),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_literals_operators_and_names_change_the_digest(tmp_path: Path, old: str, new: str) -> None:
    changed = re.sub(old, new, SOURCE)
    assert changed != SOURCE
    assert digest(tmp_path, changed) != digest(tmp_path, SOURCE)


def test_a_string_that_is_not_a_docstring_changes_the_digest(tmp_path: Path) -> None:
    assert digest(tmp_path, 'a = "x"\n') != digest(tmp_path, 'a = "y"\n')


def test_quotes_and_line_breaks_of_a_string_do_not_change_the_digest(tmp_path: Path) -> None:
    assert digest(tmp_path, 'a = "xy"\n') == digest(tmp_path, "a = ('x'\n     'y')\n")


def test_a_body_of_only_a_docstring_has_the_digest_of_an_empty_body(tmp_path: Path) -> None:
    only = digest(tmp_path, 'def f():\n    """Does nothing."""\n')
    assert only == digest(tmp_path, 'def f():\n    """Still nothing."""\n')
    assert only != digest(tmp_path, "def f():\n    return 1\n")


def test_a_file_with_a_syntax_error_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SyntaxError, match="expected ':'"):
        digest(tmp_path, "def f()\n    pass\n")
