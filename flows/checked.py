"""What a check of new rows found, as one record."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from gristmill.pipelines.evaluation import MetricChange
from gristmill.pipelines.validation import Shift


@dataclass(frozen=True)
class Checked:
    """New rows against those that a version was trained and tested on.

    Attributes:
        model: of which it is a version.
        version: its number.
        file: what was checked, as it was named.
        digest: SHA-256 of its content.
        rows: of the file.
        before: of the data that the version was trained on.
        inputs: each column against those data, the worst first.
        predictions: the version's answers against those for its test rows.
        labelled: how many rows have the target, of a class that the version knows.
        performance: each metric on the labelled rows against the test rows; empty without labels.
        breaks: what breaks the schema; listed, but no drift.
        notes: what is to be known of the comparison.
    """

    model: str
    version: str
    file: str
    digest: str
    rows: int
    before: int
    inputs: tuple[Shift, ...]
    predictions: tuple[Shift, ...]
    labelled: int
    performance: tuple[MetricChange, ...]
    breaks: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def found(self) -> dict[str, list[str]]:
        """What has drifted: columns of the inputs, of the predictions, and metrics."""
        return {
            "inputs": [one.column for one in self.inputs if one.drifted],
            "predictions": [one.column for one in self.predictions if one.drifted],
            "performance": [one.now.name for one in self.performance if one.declined],
        }

    @property
    def drifted(self) -> bool:
        return any(self.found.values())

    @property
    def verdict(self) -> str:
        """What came out, in a line."""
        parts = []
        if names := self.found["inputs"]:
            parts.append(f"{len(names)} of {len(self.inputs)} columns")
        if self.found["predictions"]:
            parts.append("the predictions")
        if names := self.found["performance"]:
            parts.append("performance (" + ", ".join(names) + ")")
        return "drifted: " + ", ".join(parts) if parts else "no drift found"

    @property
    def heading(self) -> str:
        """What was compared with what."""
        return (
            f"{self.file}, {self.rows:,} rows, against {self.model} version {self.version}, "
            f"trained on data of {self.before:,} rows"
        )

    def record(self) -> dict[str, Any]:
        """All of it, as JSON takes it: what is not defined is None."""
        known: dict[str, Any] = _finite(asdict(self) | {"drifted": self.drifted})
        return known | {"found": self.found}


def _finite(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
