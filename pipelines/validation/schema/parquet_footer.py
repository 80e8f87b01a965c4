"""What a Parquet file's own statistics prove: whole numbers in their range need not be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from gristmill.pipelines.config import Column


def unproven(table: Path, asked: Mapping[Column, Sequence[str]]) -> dict[Column, list[str]]:
    """The columns by rule that have to be read, because the footer does not prove the rule.

    The footer holds the least and the greatest value and the number of missing ones for each group
    of rows; it was written by the ingest stage from the very values. For fractions it is not asked:
    it passes over NaN.

    Args:
        table: what ingest made.
        asked: the columns by what the schema says of them.
    """
    footer = pa.parquet.read_metadata(table)
    schema = footer.schema.to_arrow_schema()
    place = {name: number for number, name in enumerate(schema.names)}
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    return {
        rule: [
            name
            for name in names
            if not _fits(rule)
            or not pa.types.is_integer(schema.field(name).type)
            or not all(_holds(group.column(place[name]).statistics, rule) for group in groups)
        ]
        for rule, names in asked.items()
    }


def _fits(rule: Column) -> bool:
    """Whether the rule speaks of nothing but range and missing values of numbers."""
    return rule.type in (None, "integer", "number") and rule.one_of is None and rule.matches is None


def _holds(statistics: Any, rule: Column) -> bool:
    if statistics is None or not statistics.has_null_count or not statistics.has_min_max:
        return False
    if rule.missing != "allowed" and statistics.null_count:
        return False
    low, high = rule.min, rule.max
    if low is not None and (isinstance(low, str) or statistics.min < low):
        return False
    return high is None or not (isinstance(high, str) or statistics.max > high)
