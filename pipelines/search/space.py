"""Points of a search space: proposals, grids, random draws and their identity."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gristmill.pipelines.config import Distribution, Scalar

Values = Mapping[str, Scalar]
Space = Mapping[str, Distribution]

IN_VAIN = 1000
"""Draws in a row without a new point after which a space counts as exhausted."""


@dataclass(frozen=True)
class Proposal:
    """A point proposed by a strategy.

    Attributes:
        values: values of the varied parameters.
        epochs: epoch budget; None for the file's.
    """

    values: Values
    epochs: int | None = None


def grid(space: Space) -> Iterator[Values]:
    """Yield every point of a grid: the product of the values, names sorted."""
    names = sorted(space)
    for values in itertools.product(*(space[name].choice or () for name in names)):
        yield dict(zip(names, values, strict=True))


def draws(space: Space, seed: int) -> Iterator[Values]:
    """Yield distinct random points until the space is exhausted.

    A value depends only on the seed, the number of the draw and the parameter's name. More draws
    therefore keep the first ones, and adding or removing a parameter does not change the others.
    """
    seen: set[tuple[Scalar, ...]] = set()
    size = math.prod(values.size for values in space.values())
    vain = 0
    for place in itertools.count():
        point = {name: space[name].at(_share(seed, place, name)) for name in sorted(space)}
        if identify(point) in seen:
            vain += 1
            if len(seen) >= size or vain == IN_VAIN:
                return
            continue
        vain = 0
        seen.add(identify(point))
        yield point


def identify(values: Values) -> tuple[Scalar, ...]:
    """Return a hashable identity of a point; unlike in Python, true differs from 1."""
    return tuple(repr(values[name]) for name in sorted(values))


def _share(seed: int, place: int, name: str) -> float:
    digest = hashlib.sha256(f"{seed} {place} {name}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 * (1 - 2**-53)
