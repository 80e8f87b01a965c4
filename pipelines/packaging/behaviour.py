"""Questions to a package before registration, and the checks of its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.base import Problem
from gristmill.pipelines.evaluation import Predictions, from_answers
from gristmill.pipelines.packaging.rehearsal import Answered, Ask
from gristmill.pipelines.preparation import class_name, input_names, optional_names

TOLERANCE = {"cpu": 2e-5, "gpu": 2e-3}
"""Largest difference between two predictions of a row, relative to the size of all predictions: in
float32 the last bits depend on the thread count and the batch, and a GPU multiplies in TF32."""

SINGLE = 12
"""Number of rows predicted one by one."""

PART = 64
"""Number of rows predicted again in other forms."""

MANY = 10_000

EXTRA = "a column that training has not seen"
UNSEEN = "a level that training has not seen"
NOTHING = "neither a number nor a date nor a picture"

SAME = {
    "single": "single rows are answered differently",
    "part": "small batches are answered differently",
    "many": "large batches are answered differently",
    "turned": "columns in another order change the answers",
    "extra": "an extra column changes the answers",
    "again": "the same rows are answered differently later",
}
"""Questions whose predictions must equal the evaluation's, with the problem if they do not."""

Values = npt.NDArray[np.float64]


def questions(
    statistics: Mapping[str, Any], columns: Sequence[str], rows: int, many: int = MANY
) -> dict[str, Ask]:
    """Return the questions to a package, except for the rows predicted one by one.

    Args:
        statistics: training statistics of the stage `scale`.
        columns: names of the columns of the raw rows.
        rows: number of raw rows.
        many: size of a large batch; smaller for large rows.
    """
    names, optional = input_names(statistics), optional_names(statistics)
    required = [name for name in names if name not in optional]
    spared = optional if required else optional[1:]
    part = min(PART, rows)

    def without(missing: Sequence[str]) -> list[str]:
        return [name for name in columns if name not in missing]

    asks = {
        "rows": Ask(rows),
        "part": Ask(part),
        "turned": Ask(part, list(columns)[::-1]),
        "extra": Ask(part, [EXTRA, *columns], {EXTRA: 1.0}),
        "empty": Ask(1, put=dict.fromkeys(names)),
    }
    if not statistics.get("picture"):
        asks["gaps"] = Ask(len(names), gaps=names)
    if required:
        asks["incomplete"] = Ask(part, without(required[:1]))
    if spared:
        asks["absent"] = Ask(part, without(spared))
        asks["as gaps"] = Ask(part, put=dict.fromkeys(spared))
    if levelled := [c["name"] for c in statistics["columns"] if c["kind"] != "date"]:
        asks["unseen"] = Ask(part, put=dict.fromkeys(levelled, UNSEEN))
    if typed := _typed(statistics):
        asks["wrong type"] = Ask(part, put={typed: NOTHING})
    if many > rows:
        asks["many"] = Ask(many)
    asks["again"] = Ask(part)
    return asks


def _typed(statistics: Mapping[str, Any]) -> str:
    """Return a column that does not accept arbitrary text; empty if there is none."""
    if picture := statistics.get("picture"):
        return str(picture["name"])
    dates = [c for c in statistics["columns"] if c["kind"] == "date"]
    return next((str(c["name"]) for c in [*statistics["numbers"], *dates]), "")


def problems(
    answered: Answered,
    expected: Predictions,
    statistics: Mapping[str, Any],
    tolerance: float = TOLERANCE["cpu"],
) -> list[Problem]:
    """Return all problems of a package.

    Args:
        answered: its answers to `questions` and its side effects.
        expected: predictions of the evaluation for the same rows.
        statistics: training statistics of the stage `scale`.
        tolerance: largest difference, relative to the size of all predictions.
    """
    deeds = list(_deeds(answered))
    if error := answered.error or answered.errors.get("rows", ""):
        where = "it does not work in a fresh process"
        return [*deeds, Problem(where, "it loads and answers the test rows", error)]
    checks = _Checks(answered, expected, tolerance)
    if other := checks.same("rows", "its predictions differ from the evaluation's"):
        return [*deeds, other]
    required = [n for n in input_names(statistics) if n not in optional_names(statistics)]
    found = [
        checks.labels(),
        *(checks.same(ask, where) for ask, where in SAME.items()),
        checks.same("absent", "an absent column is not treated as missing values", "as gaps"),
        checks.finite("unseen", "an unseen level has no answer"),
        checks.refused("incomplete", "a missing column is not reported", required[:1]),
        checks.refused(
            "wrong type", "a value of the wrong type is not reported", [_typed(statistics)]
        ),
    ]
    if statistics.get("picture"):
        found.append(checks.refused("empty", "a missing picture is not reported", ["picture"]))
    else:
        found += [checks.finite(ask, "a missing value has no answer") for ask in ("gaps", "empty")]
    return [*deeds, *filter(None, found)]


def _deeds(answered: Answered) -> Iterator[Problem]:
    if answered.imported:
        where = "it depends on this project, and would break with it"
        found = "it imports " + ", ".join(answered.imported)
        yield Problem(where, "a package that imports none of its modules", found)
    if answered.strayed:
        where = "it does more than answer"
        expected = "no network, no process, and writes only to its own and the temporary folder"
        yield Problem(where, expected, "\n".join(f"it {deed}" for deed in answered.strayed[:3]))


class _Checks:
    """Single checks; each returns a problem or None. Questions that were not asked pass."""

    def __init__(self, answered: Answered, expected: Predictions, tolerance: float) -> None:
        self._answered, self._expected, self._tolerance = answered, expected, tolerance
        self._size = _size(expected)

    def same(self, ask: str, where: str, other: str = "") -> Problem | None:
        """Check that the answers equal those to another question, or the evaluation's."""
        if problem := self._failed(ask, where) or self._failed(other, where):
            return problem
        if ask not in self._answered.tables:
            return None
        try:
            given = self._outputs(ask)
            wanted = self._outputs(other) if other else self._expected.outputs
        except (KeyError, ValueError) as error:  # other columns than the evaluation's
            names = ", ".join(map(str, self._answered.tables[ask].columns))
            return Problem(where, "the evaluation's columns", f"{names}: {error}"[:300])
        wanted = wanted[np.resize(np.arange(len(wanted)), len(given))]
        apart = np.abs(given - wanted).reshape(len(given), -1) / self._size
        if bool((apart <= self._tolerance).all()):
            return None
        apart[np.isnan(apart)] = np.inf
        row, place = np.unravel_index(apart.argmax(), apart.shape)
        given, wanted = given.reshape(apart.shape), wanted.reshape(apart.shape)
        of = f" for {self._expected.classes[place]}" if self._expected.classes else ""
        return Problem(
            where,
            f"{wanted[row, place]:.6g}{of} in row {row + 1}, within {self._tolerance:g}",
            f"{given[row, place]:.6g}, a relative difference of {apart[row, place]:.3g}",
        )

    def labels(self) -> Problem | None:
        """Check that predicted classes follow from the probabilities and the threshold, if any."""
        classes = self._expected.classes
        if classes is None:
            return None
        table = self._answered.tables["rows"]
        told = [class_name(label) for label in table["prediction"].tolist()]
        meant = [classes[place] for place in self._expected.labels.of(self._outputs("rows"))]
        wrong = [
            row for row, pair in enumerate(zip(told, meant, strict=True)) if pair[0] != pair[1]
        ]
        if not wrong:
            return None
        return Problem(
            "its predictions do not match its probabilities",
            f"{meant[wrong[0]]} in row {wrong[0] + 1}",
            f"{told[wrong[0]]}; {len(wrong):,} of {len(told):,} rows differ",
        )

    def finite(self, ask: str, where: str) -> Problem | None:
        """Check that all answers are finite numbers."""
        if problem := self._failed(ask, where):
            return problem
        if ask not in self._answered.tables:
            return None
        rows = np.isfinite(self._outputs(ask)).reshape(len(self._answered.tables[ask]), -1)
        wrong = np.flatnonzero(~rows.all(axis=1))
        if not len(wrong):
            return None
        return Problem(
            where, "finite numbers", f"NaN or infinity in {len(wrong)} of {len(rows)} rows"
        )

    def refused(self, ask: str, where: str, names: Sequence[str]) -> Problem | None:
        """Check that there is an error and that it names the columns."""
        expected = "an error that names " + ", ".join(names)
        if ask in self._answered.tables:
            return Problem(where, expected, "an answer")
        error = self._answered.errors.get(ask, "")
        if not error or all(name in error for name in names):
            return None
        return Problem(where, expected, error[:300])

    def _failed(self, ask: str, where: str) -> Problem | None:
        error = self._answered.errors.get(ask)
        return Problem(where, "an answer", error[:300]) if error else None

    def _outputs(self, ask: str) -> Values:
        """Return (n_rows, n_classes) probabilities or (n_rows,) values."""
        outputs: Values = from_answers(self._answered.tables[ask], self._expected).outputs
        return outputs


def _size(expected: Predictions) -> float:
    """Return the reference size of differences: 1 for probabilities; for values their range, but
    not less than a hundredth of the largest one, which float32 can resolve."""
    if expected.classes is not None:
        return 1.0
    values = np.abs(expected.outputs)
    return max(float(np.ptp(expected.outputs)), float(values.max()) / 100, 1e-12)
