"""What a search strategy is: it proposes points, and is told what they came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gristmill.pipelines.search.space import Values
from gristmill.pipelines.training import TrialResult


@dataclass(frozen=True)
class Proposal:
    """A point that a strategy asks for.

    Attributes:
        values: of the varied parameters.
        epochs: the budget; None for the file's.
    """

    values: Values
    epochs: int | None = None


class Strategy(Protocol):
    """Proposes points, never one twice.

    What it proposes follows from its settings and from what its proposals came to, not from the
    order in which they ended: asked again and told the same, it proposes the same.
    """

    @property
    def size(self) -> int:
        """Proposals at most."""

    def ask(self) -> Proposal | None:
        """The next proposal; None when it waits for a result, or has no more."""

    def tell(self, proposal: Proposal, result: TrialResult) -> None:
        """What a proposal came to; failed ones are told as well."""
