"""Statistics and arrays of pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gristmill.pipelines.base import ConfigError
from gristmill.pipelines.config import Features
from gristmill.pipelines.tables import Floats, TableRows

FORM = ("height", "width", "channels", "background", "range")
"""What the reader of pictures notes in the column's metadata, where it is not the default."""

PIXELS = 1 << 23
"""Bytes of pictures per batch."""


def fit_picture(
    rows: TableRows, names: Sequence[str], name: str, features: Features
) -> dict[str, Any]:
    """Return the statistics of a column of pictures: their shape, and offset and factor by channel.

    `minmax` maps 0–255 to 0–1; `standard` uses mean and standard deviation of the training rows.

    Args:
        rows: raw training rows.
        names: all feature columns.
        name: the column of pictures.
        features: the section `features` of the experiment file.

    Returns:
        The statistics that `transform` needs.

    Raises:
        ConfigError: there are other features.
    """
    rest = [other for other in names if other != name]
    if rest:
        raise ConfigError(
            "pictures cannot be combined with other features",
            expected=f"{name} as the only feature",
            found=", ".join(rest[:10]) + "…" * (len(rest) > 10),
            next="features: {exclude: [" + ", ".join(rest[:10]) + "]}",
        )
    about = rows.schema.field(name).metadata or {}
    form = {key: json.loads(about[key.encode()]) for key in FORM if key.encode() in about}
    offset, factor = np.zeros(form["channels"]), np.ones(form["channels"])
    if features.scale == "minmax":
        factor /= 255
    if features.scale == "standard":
        offset, deviation = _moments(rows, name, form["channels"])
        factor = 1 / np.where(deviation > 0, deviation, 1)
    picture = {"name": name, **form, "offset": offset.tolist(), "factor": factor.tolist()}
    return {"picture": picture, "numbers": [], "columns": [], "embedded": []}


def pixels_of(column: pa.Array) -> npt.NDArray[np.uint8]:
    """View a column of pictures as (n_rows, bytes per picture) uint8, without a copy.

    Raises:
        ValueError: pictures are missing.
    """
    if column.null_count:
        raise ValueError(f"{column.null_count:,} rows have no picture")
    size = column.type.byte_width
    memory = np.frombuffer(column.buffers()[1], np.uint8, len(column) * size, column.offset * size)
    return memory.reshape(len(column), size)


def pictures_at_a_time(kind: pa.DataType) -> int:
    """Return the number of rows per batch for a column of pictures."""
    return max(1, PIXELS // int(kind.byte_width))


def _moments(rows: TableRows, name: str, channels: int) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each channel, (channels,) float64.

    They are computed from integer counts and therefore do not depend on the batches.
    """
    counts = np.zeros((channels, 256), dtype=np.int64)
    size = pictures_at_a_time(rows.schema.field(name).type)
    for batch in rows.batches([name], size=size):
        flat = pixels_of(batch.column(0)).reshape(-1)
        for channel in range(channels):
            counts[channel] += np.bincount(flat[channel::channels], minlength=256)
    shades = np.arange(256)
    mean = counts @ shades / counts.sum(axis=1)
    return mean, np.sqrt(counts @ shades**2 / counts.sum(axis=1) - mean**2)
