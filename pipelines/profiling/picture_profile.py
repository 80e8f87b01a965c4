"""The form of a column of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow.parquet

Form = tuple[int, int, int]
"""Height, width, channels."""


def form_of(field: Any) -> Form | None:
    """The form of a column's pictures; None for a column of anything else."""
    about: Mapping[bytes, bytes] = field.metadata or {}
    if not pyarrow.types.is_fixed_size_binary(field.type) or b"height" not in about:
        return None
    return int(about[b"height"]), int(about[b"width"]), int(about[b"channels"])


def in_words(form: Form) -> str:
    """`32 × 32, colour`: height first."""
    height, width, channels = form
    return f"{height} × {width}, {'grey' if channels == 1 else 'colour'}"


def gaps_of(file: Any, name: str) -> int:
    """Rows without a picture, by the file's own count."""
    about = file.metadata
    place = file.schema_arrow.names.index(name)
    columns = [about.row_group(group).column(place) for group in range(about.num_row_groups)]
    return sum(column.statistics.null_count for column in columns if column.is_stats_set)
