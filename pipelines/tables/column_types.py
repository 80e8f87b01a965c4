"""What the values of an Arrow type are."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

Storage = Literal["number", "boolean", "date", "text", "picture", "other"]


def storage(kind: pa.DataType) -> Storage:
    """What values of an Arrow type are."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_boolean(kind):
        return "boolean"
    if any(is_it(kind) for is_it in (types.is_integer, types.is_floating, types.is_decimal)):
        return "number"
    if types.is_null(kind):
        return "number"  # no value in any row, which is said when it is scaled
    if types.is_timestamp(kind) or types.is_date(kind):
        return "date"
    if types.is_fixed_size_binary(kind):
        return "picture"
    return "text" if types.is_string(kind) or types.is_large_string(kind) else "other"
