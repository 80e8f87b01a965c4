"""What the gate found of a candidate, check by check; a run keeps it in `decision.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gristmill.pipelines.registry.contests import Contest, Figure, SliceFound


@dataclass(frozen=True)
class RequirementCheck:
    """An absolute requirement.

    Attributes:
        of: which end of the interval is held to the bounds, `low`, or the `value`.
        holds: whether the candidate holds it.
        words: that, as a reason.
        value, low, high: of the candidate; None where it is not known.
    """

    name: str
    min: float | None
    max: float | None
    of: str
    holds: bool
    words: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SliceCheck(SliceFound):
    """A required slice; it is broken only where it is significantly below (Holm 1979).

    Attributes:
        adjusted_p: for the number of slices.
    """

    adjusted_p: float | None
    holds: bool
    words: str


@dataclass(frozen=True)
class ContestCheck(Contest):
    """The contest, with the rows that a gain needs: the one that was found, or the margin.

    Attributes:
        margin: in the metric's own unit.
        shown_gain, power: a gain, and how probably so many rows show it.
        enough: rows that show it 4 times in 5; None where the rows are enough for it and it was not
            shown all the same, or where nothing can be said.
    """

    margin: Figure = math.nan
    shown_gain: float | None = None
    power: float | None = None
    enough: int | None = None


@dataclass(frozen=True)
class Evidence:
    """All that a decision rests on.

    Attributes:
        alpha: the size of the tests.
        reads: how many candidates the test rows have had.
    """

    alpha: float
    reads: int
    requirements: tuple[RequirementCheck, ...]
    slices: tuple[SliceCheck, ...]
    contest: ContestCheck | None = None

    @property
    def record(self) -> dict[str, Any]:
        """The same for JSON, which knows no NaN."""
        found = asdict(self)
        if self.contest is None:
            del found["contest"]
        else:
            found["contest"]["gain"] = self.contest.gain
        return dict(_plain(found))

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Evidence:
        """What `record` gave."""
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python(record)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
