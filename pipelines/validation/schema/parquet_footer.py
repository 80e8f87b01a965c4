"""Rules proven by the statistics of a Parquet file, so that their columns need not be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from gristmill.pipelines.config import Column


def unproven(table: Path, asked: Mapping[Column, Sequence[str]]) -> dict[Column, list[str]]:
    """Return the columns that have to be read, by rule, because the footer does not prove the rule.

    The footer contains minimum, maximum and number of missing values for each row group, and was
    written by the stage `ingest` together with the values. It is used only for whole numbers,
    because its range of floats ignores NaN.

    Args:
        table: Parquet file written by the stage `ingest`.
        asked: columns by their rule in the schema.
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
    """Return whether the rule is only about the range and missing values of numbers."""
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
