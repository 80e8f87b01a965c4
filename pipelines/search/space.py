"""Points of a search: how they are asked for, listed, drawn and told apart."""

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
"""Draws in a row that gave no new point, after which a space is taken as used up."""


@dataclass(frozen=True)
class Proposal:
    """A point that a strategy asks for.

    Attributes:
        values: of the varied parameters.
        epochs: the budget; None for the file's.
    """

    values: Values
    epochs: int | None = None


def grid(space: Space) -> Iterator[Values]:
    """Every point of choices: sorted names, `itertools.product` of their values."""
    names = sorted(space)
    for values in itertools.product(*(space[name].choice or () for name in names)):
        yield dict(zip(names, values, strict=True))


def draws(space: Space, seed: int) -> Iterator[Values]:
    """Points drawn at random, none of them twice; they end when the space is used up.

    A value follows from the seed, its place and its name alone: more draws keep the first ones,
    and a parameter that joins or leaves the space moves no other one.
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
    """Return what tells points of a space apart; true is not 1 here."""
    return tuple(repr(values[name]) for name in sorted(values))


def _share(seed: int, place: int, name: str) -> float:
    digest = hashlib.sha256(f"{seed} {place} {name}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 * (1 - 2**-53)
