"""Evaluation of cross-column rules such as `end >= start` on blocks. Pure."""

from __future__ import annotations

import ast
from functools import reduce
from itertools import pairwise
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from gristmill.pipelines.config import Condition, Rule, read_condition
from gristmill.pipelines.tables import storage
from gristmill.pipelines.validation.schema.cell_values import Array, as_text, moment, plain
from gristmill.pipelines.validation.schema.rules import LONGEST_VALUE, SHOWN, Finding

Operand: TypeAlias = Array | pa.Scalar

MISFITS = (pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowInvalid)
"""Exceptions of Arrow for incompatible types."""

COMPARE = {
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
}
COMPUTE = {
    ast.Add: (pc.add_checked, pc.add),
    ast.Sub: (pc.subtract_checked, pc.subtract),
    ast.Mult: (pc.multiply_checked, pc.multiply),
}
DAY = 86_400_000_000
"""Microseconds of a day, because the difference of two dates is in days."""


def check_rule(block: pa.RecordBatch, rule: Rule, before: int = 0) -> list[Finding]:
    """Find the rows of a block that break a cross-column rule.

    A row passes if a missing value leaves the result unknown (`missing(x)` is always known).
    Arithmetic on whole numbers is exact if the result fits in 64 bits, otherwise in float64;
    division by zero results in infinity or NaN, as in IEEE 754, and NaN is not equal to NaN.

    Args:
        block: a pyarrow RecordBatch or Table.
        rule: the rule.
        before: number of rows of the table before the block.
    """
    condition = read_condition(rule.check)
    names = sorted(set(condition.columns.values()))
    where = ", ".join(names)
    try:
        broken = pc.invert(_holds(condition, block))
    except MISFITS:
        kinds = ", ".join(f"{name} is {storage(block[name].type)}" for name in names)
        words = f"{rule.check}: columns of compatible types, but {kinds}"
        return [Finding(where, words, len(block), 1.0, (), (), rule.severity)]
    if not pc.any(broken).as_py():
        return []
    first = pc.indices_nonzero(broken)[:SHOWN]
    taken = [plain(block[name]).take(first).to_pylist() for name in names]
    values = tuple(
        " ".join(f"{n}={as_text(v)[:LONGEST_VALUE]}" for n, v in zip(names, row, strict=True))
        for row in zip(*taken, strict=True)
    )
    rows = tuple(before + place + 1 for place in first.to_pylist())
    count = pc.sum(broken).as_py()
    return [Finding(where, rule.check, count, count / len(block), rows, values, rule.severity)]


def _holds(condition: Condition, block: pa.RecordBatch) -> Array:
    """Return whether the condition is true for each row; null if unknown."""
    columns = {key: _column(block[name]) for key, name in condition.columns.items()}
    found = _value(condition.tree, columns)
    if not pa.types.is_boolean(found.type):
        raise pa.ArrowTypeError("neither true nor false")
    return found


def _column(column: Array) -> Array:
    column = plain(column)
    return column.cast(moment("2000-01-01").type) if storage(column.type) == "date" else column


def _value(node: ast.expr, columns: dict[str, Array]) -> Operand:
    if isinstance(node, ast.Name):
        return columns[node.id]
    if isinstance(node, ast.Constant):
        return pa.scalar(node.value)
    if isinstance(node, ast.BoolOp):
        join = pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene
        return reduce(join, [_value(part, columns) for part in node.values])
    if isinstance(node, ast.UnaryOp):
        inner = _value(node.operand, columns)
        return pc.invert(inner) if isinstance(node.op, ast.Not) else pc.negate(inner)
    if isinstance(node, ast.BinOp):
        return _compute(node.op, _value(node.left, columns), _value(node.right, columns))
    if isinstance(node, ast.Compare):
        sides = [_value(side, columns) for side in (node.left, *node.comparators)]
        links = zip(node.ops, pairwise(sides), strict=True)
        return reduce(pc.and_kleene, [_compare(op, *pair) for op, pair in links])
    if isinstance(node, ast.Call):
        return pc.is_null(_value(node.args[0], columns))
    raise pa.ArrowTypeError(ast.unparse(node))


def _compare(op: ast.cmpop, left: Operand, right: Operand) -> Operand:
    left, right = _dated(left, right), _dated(right, left)
    return COMPARE[type(op)](left, right)


def _dated(value: Operand, other: Operand) -> Operand:
    """Return a text of the rule as a moment if it is compared with dates."""
    if isinstance(value, pa.StringScalar) and pa.types.is_timestamp(other.type):
        try:
            return moment(value.as_py())
        except ValueError as error:
            raise pa.ArrowTypeError(str(error)) from error
    return value


def _compute(op: ast.operator, left: Operand, right: Operand) -> Operand:
    if isinstance(op, ast.Div):
        return pc.divide(left.cast(pa.float64(), safe=False), right.cast(pa.float64(), safe=False))
    if isinstance(op, ast.Mod):
        return _remainder(left, right)
    if isinstance(op, ast.Sub) and pa.types.is_timestamp(left.type):
        apart = pc.subtract(left, _dated(right, left))
        return pc.divide(apart.cast(pa.int64()).cast(pa.float64(), safe=False), float(DAY))
    exact, free = COMPUTE[type(op)]
    try:
        return exact(left, right)
    except pa.ArrowInvalid:  # whole numbers beyond 64 bits
        return free(left.cast(pa.float64(), safe=False), right.cast(pa.float64(), safe=False))


def _remainder(left: Operand, right: Operand) -> Operand:
    """Return the remainder, with the sign of the divisor as in Python; exact below 2⁵³."""
    left, right = left.cast(pa.float64(), safe=False), right.cast(pa.float64(), safe=False)
    return pc.subtract(left, pc.multiply(pc.floor(pc.divide(left, right)), right))
