"""Sizes of pictures, from the headers of their files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Literal

from gristmill.pipelines.config import Pictures
from gristmill.pipelines.ingestion.readers.picture_files import pictures_below
from gristmill.pipelines.ingestion.readers.picture_pixels import Form, header_of

SHOWN = 5
"""Maximum number of sizes in a message."""

LOOKED_AT = 5_000
"""Maximum number of pictures whose headers are read to suggest a size."""

MOST_SIDE = 128
"""The longest side that is suggested: larger pictures cost much and seldom improve a model."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of pictures.

    Attributes:
        counts: numbers of pictures by (height, width).
        channels: 3 if any picture has colours, else 1.
    """

    counts: Counter[tuple[int, int]]
    channels: Literal[1, 3]

    def __str__(self) -> str:
        some = [f"{h}×{w} ({n:,})" for (h, w), n in self.counts.most_common(SHOWN)]
        return ", ".join(some) + (" …" if len(self.counts) > SHOWN else "")


def sizes_of(files: Iterable[Path]) -> Sizes:
    """Read the sizes of pictures; unreadable files are skipped, since the reader reports them."""
    counts: Counter[tuple[int, int]] = Counter()
    colours: Literal[1, 3] = 1
    for file in files:
        with suppress(ValueError, OSError):
            height, width, channels = header_of(file)
            counts[height, width] += 1
            if channels == 3:
                colours = 3
    return Sizes(counts, colours)


def form_of(declared: Pictures | None, height: int = 1, width: int = 1, channels: int = 1) -> Form:
    """Return the form of an experiment's pictures, with what was found for what is not declared."""
    asked = declared or Pictures()
    return Form(
        asked.height or height,
        asked.width or width,
        asked.channels or (3 if asked.height else channels),
        asked.background,
        asked.range,
    )


ONE_SIZE = "the size of all pictures"
"""The reason for a suggested size if no picture has to be resized."""


def fitting_form(
    folder: Path,
    declared: Pictures = Pictures(),  # noqa: B008 - it is frozen
) -> tuple[Pictures, str] | None:
    """Suggest a common size for the pictures of a folder.

    It is the median of the heights and of the widths, scaled down if a side exceeds `MOST_SIDE`.
    Height and width are those of the turned pictures, if an EXIF orientation turns them.

    Args:
        folder: the folder of pictures.
        declared: settings that are kept.

    Returns:
        The size, and the reason for it in words; None if no picture can be read.
    """
    files = pictures_below(folder)
    sizes = sizes_of(files[:: -(-len(files) // LOOKED_AT) or 1])
    if not sizes.counts:
        return None
    middle = [median_low(sorted(side)) for side in zip(*sizes.counts.elements(), strict=True)]
    factor = min(1.0, MOST_SIDE / max(middle))
    height, width = (max(1, round(side * factor)) for side in middle)
    one = len(sizes.counts) == 1
    why = ONE_SIZE if one else f"the median of {len(sizes.counts):,} sizes: {sizes}"
    if [height, width] != middle:
        why += f"; {middle[0]} × {middle[1]} scaled down, since larger pictures cost more"
    found = {"height": height, "width": width, "channels": sizes.channels}
    kept = declared.model_dump(exclude_defaults=True)
    return Pictures(**found | kept), "declared" if "height" in kept else why
