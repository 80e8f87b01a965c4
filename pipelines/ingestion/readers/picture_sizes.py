"""The sizes of pictures, from the heads of their files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Literal

from gristmill.pipelines.config import Pictures

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
"""Files that count as pictures."""

SHOWN = 5
"""Sizes that are named."""

LOOKED_AT = 5_000
"""Pictures whose heads are read to find a size that suits all."""

MOST_SIDE = 128
"""The longest side that is suggested: a larger picture costs much and seldom tells more."""


def is_picture(file: Path) -> bool:
    """Whether a file's name says that it is a picture."""
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".")


def pictures_below(folder: Path) -> list[Path]:
    """All pictures of a folder, however deep they are in it, sorted."""
    return sorted(file for file in folder.rglob("*") if is_picture(file))


@dataclass(frozen=True)
class Sizes:
    """The sizes that were seen.

    Attributes:
        counts: pictures by (height, width).
        channels: 3 where any is more than grey.
    """

    counts: Counter[tuple[int, int]]
    channels: Literal[1, 3]

    def __str__(self) -> str:
        some = [f"{h}×{w} ({n:,})" for (h, w), n in self.counts.most_common(SHOWN)]
        return ", ".join(some) + (" …" if len(self.counts) > SHOWN else "")


def sizes_of(files: Iterable[Path]) -> Sizes:
    """Reads the heads of pictures; files that are none are passed over, the reader names them."""
    from PIL import Image, UnidentifiedImageError

    counts: Counter[tuple[int, int]] = Counter()
    channels: Literal[1, 3] = 1
    for file in files:
        try:
            with Image.open(file) as image:
                counts[image.height, image.width] += 1
                if image.mode not in ("1", "L", "I", "I;16"):
                    channels = 3
        except (UnidentifiedImageError, OSError):
            continue
    return Sizes(counts, channels)


def fitting_form(folder: Path) -> tuple[Pictures, str] | None:
    """A form for all pictures of a folder, and in words where it is from.

    The median of the heights and of the widths, made smaller where a side is above `MOST_SIDE`.

    Returns:
        None where no picture can be read.
    """
    files = pictures_below(folder)
    sizes = sizes_of(files[:: -(-len(files) // LOOKED_AT) or 1])
    if not sizes.counts:
        return None
    middle = [median_low(sorted(side)) for side in zip(*sizes.counts.elements(), strict=True)]
    factor = min(1.0, MOST_SIDE / max(middle))
    height, width = (max(1, round(side * factor)) for side in middle)
    one = len(sizes.counts) == 1
    why = "the size of all" if one else f"the median of {len(sizes.counts):,} sizes: {sizes}"
    if [height, width] != middle:
        why += f"; {middle[0]} × {middle[1]} made smaller, larger costs more"
    return Pictures(height=height, width=width, channels=sizes.channels), why
