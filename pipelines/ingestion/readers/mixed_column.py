"""Columns whose values have several types, such as numbers and `n/a`: read as in a text table."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from gristmill.pipelines.ingestion.readers.type_inference import words_taken
from gristmill.pipelines.ingestion.readers.value_kinds import (
    ANY,
    Kind,
    Reading,
    arrow_type,
    chosen,
    words_lost,
)

READING = Reading(words=True)


class MixedColumn:
    """A column that is read as the type that all its values fit, missing words apart.

    Args:
        name: name of the column.
        pieces: all its values as text, piece by piece.

    Attributes:
        type: its type.
    """

    def __init__(self, name: str, pieces: Iterable[pa.Array]) -> None:
        found = (READING.fits(_without_blanks(texts)) for texts in pieces)
        self._name, self._taken = name, list[tuple[str, str, int]]()
        self._kind = chosen(reduce(Kind.__and__, found, ANY))
        self.type = arrow_type(self._kind)

    def read(self, texts: pa.Array) -> pa.Array:
        """Return the values of a piece."""
        if self._kind is Kind.TEXT:
            return texts
        bare = _without_blanks(texts)
        values = READING.read(bare, self._kind)
        self._taken += ((word, self._name, count) for word, count in words_lost(bare, values))
        return values

    def note(self) -> str:
        """Return what was done with the column, once all pieces have been read."""
        if self._kind is Kind.TEXT:
            return f"{self._name} is text: its values have several types"
        return "; ".join([f"{self._name} is {self.type}", *words_taken(self._taken)])


def _without_blanks(texts: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), None, texts)
