"""Cross-column rules: a subset of Python expressions, parsed and never executed."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

QUOTED = re.compile(r""""[^"]*"|'[^']*'|`([^`]+)`""")
"""String literals, which stay as they are, and column names in backticks."""

COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
LONGEST = 1000
"""Largest number of characters in a check."""

DEEPEST = 50
"""Largest depth of nested brackets and signs."""


@dataclass(frozen=True)
class Condition:
    """A check as a syntax tree.

    Attributes:
        tree: contains only kinds of nodes that `read_condition` accepts.
        columns: column names by the identifier that represents each in the tree.
    """

    tree: ast.expr
    columns: dict[str, str]


def read_condition(check: str) -> Condition:
    """Parse a check such as `end >= start and not missing(price)`.

    It consists of column names (in backticks if they are not Python names), numbers, texts, + - * /
    %, comparisons, `and`, `or`, `not`, and `missing(x)`.

    Raises:
        ValueError: the check contains anything else, or is not an expression.
    """
    if len(check) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    quoted: dict[str, str] = {}

    def stand_in(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]
        identifier = f"_quoted_{len(quoted)}"
        quoted[identifier] = found[1]
        return identifier

    try:
        tree = ast.parse(QUOTED.sub(stand_in, check).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"cannot be read: {getattr(error, 'msg', error)}") from error
    names: list[str] = []
    _check(tree, names)
    if not names:
        raise ValueError("names no column")
    negative = isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub)
    if isinstance(tree, ast.BinOp | ast.Constant) or negative:
        raise ValueError("must compare something: it is a value, neither true nor false")
    return Condition(tree, {name: quoted.get(name, name) for name in names})


def _check(node: ast.expr, names: list[str], depth: int = 0) -> None:
    if depth > DEEPEST:
        raise ValueError(f"is nested more than {DEEPEST} levels deep")
    inner: list[ast.expr] = []
    match node:
        case ast.Name(name):
            names.append(name)
        case ast.Constant(bool() | int() | float() | str()):
            pass
        case ast.BinOp(left, ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.Mod(), right):
            inner = [left, right]
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            inner = [operand]
        case ast.BoolOp(_, inner):
            pass
        case ast.Compare(left, ops, right) if all(isinstance(op, COMPARISONS) for op in ops):
            inner = [left, *right]
        case ast.Call(ast.Name("missing"), [column], []):
            inner = [column]
        case _:
            raise ValueError(
                f"must not contain {ast.unparse(node)[:60]!r}: only columns, numbers, texts, "
                "+ - * / %, comparisons, and, or, not, missing(column)"
            )
    for part in inner:
        _check(part, names, depth + 1)
