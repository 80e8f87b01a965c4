"""Inputs of metrics: counts of classes, means over rows, ranks, errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gristmill.pipelines.config import metric_parts
from gristmill.pipelines.evaluation.labels import Array, Given, Labels
from gristmill.pipelines.evaluation.metrics import formulas
from gristmill.pipelines.evaluation.metrics.intervals import Sums
from gristmill.pipelines.tables import Places


def confusion(truth: Array, answers: Array, k: int) -> Places:
    """Count rows by true class (rows) and predicted class (columns), (k, k).

    Args:
        truth: (n_rows,) positions of the true classes.
        answers: (n_rows,) positions of the predicted classes.
        k: Number of classes.
    """
    return table_of(cells_of(truth, answers, k), k)


def cells_of(truth: Array, answers: Array, k: int) -> Places:
    """Return the cell of each row in the flat table of `table_of`, (n_rows,) int64.

    Args:
        truth: (n_rows,) positions of the true classes.
        answers: (n_rows,) positions of the predicted classes.
        k: Number of classes.
    """
    return np.asarray(truth.astype(np.int64) * k + answers)


def table_of(cells: Places, k: int) -> Places:
    """Count the cells of rows, (k, k) by true and predicted class."""
    return np.bincount(cells, minlength=k * k).reshape(k, k)


def by_class(table: Array) -> tuple[Array, Array, Array]:
    counts = table.astype("float64")
    return np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)


def is_of_counts(kind: str, name: str) -> bool:
    """Return whether a metric is a function of counts of classes."""
    return name in formulas.OF_COUNTS or (kind in formulas.OF_ONE_CLASS and kind != name)


def of_counts(name: str, labels: Labels) -> Callable[[Array, Array, Array], Array]:
    if name in formulas.OF_COUNTS:
        return formulas.OF_COUNTS[name]
    kind, filled = metric_parts(name)
    place = labels.place(filled)
    of_one = formulas.OF_ONE_CLASS[kind]
    return lambda *counts: of_one(*(each[..., place] for each in counts))


def summed(name: str, truth: Array, given: Sequence[Given], group: Array | None) -> Sums:
    """Return a metric as a statistic of sums; with two models, their difference.

    Args:
        name: Name as in an experiment file.
        truth: (n_rows,) classes as positions, or values.
        given: Outputs of one or two models.
        group: (n_rows,), equal for rows of one group; None if the rows are independent.
    """
    of_rows = metric_parts(name)[0] in ROWS
    of_each, parts, counts, unit = (_means if of_rows else _counts)(name, truth, given)

    def of(sums: Array) -> Array:
        values = of_each(sums)
        return values[0] if len(values) == 1 else values[0] - values[1]

    return Sums(of, parts, counts).grouped(group, unit)


Summed = tuple[Callable[[Array], list[Array]], Any, Places, Array | None]
"""Function from sums to each model's metric, and parts, counts and units as in `Sums`."""


def _means(name: str, truth: Array, given: Sequence[Given]) -> Summed:
    each = [rows_of(name, truth, one.outputs) for one in given]
    parts = np.hstack([np.ones((len(truth), 1)), *(added for added, _ in each)])
    width = each[0][0].shape[1]

    def of_each(sums: Array) -> list[Array]:
        means = np.split(sums[:, 1:] / sums[:, :1], range(width, width * len(each), width), axis=1)
        return [of(mine) for (_, of), mine in zip(each, means, strict=True)]

    return of_each, parts, np.ones(len(truth), dtype=np.int64), None


def _counts(name: str, truth: Array, given: Sequence[Given]) -> Summed:
    from scipy import sparse

    k = given[0].outputs.shape[1]
    codes = truth.astype(np.int64)
    for outputs, labels in given:
        codes = codes * k + labels.of(outputs)
    cells, unit, counts = np.unique(codes, return_inverse=True, return_counts=True)
    true = cells // k ** len(given)
    blocks, place = [], np.arange(len(cells))
    for i in range(len(given)):
        called = cells // k ** (len(given) - 1 - i) % k
        right = true == called
        rows = np.concatenate([place[right], place, place])
        columns = np.concatenate([true[right], k + true, 2 * k + called])
        shape = (len(cells), 3 * k)
        blocks.append(sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape))
    of = [of_counts(name, one.labels) for one in given]

    def of_each(sums: Array) -> list[Array]:
        by_model = sums.reshape(len(sums), len(given), 3, k)
        return [one(*(by_model[:, i, j] for j in range(3))) for i, one in enumerate(of)]

    return of_each, sparse.csr_array(sparse.hstack(blocks)), counts.astype(np.int64), unit


def beside(
    name: str, truth: Array, mine: Given, theirs: Given, group: Array | None
) -> tuple[Callable[[Array], Array], Sums]:
    """Return a metric of one model's sums, and the parts of two models side by side.

    Args:
        name: Name as in an experiment file.
        truth: (n_rows,) classes as positions, or values.
        mine: Outputs of the first model.
        theirs: Outputs of the other model.
        group: (n_rows,), equal for rows of one group; None if the rows are independent.

    Returns:
        Function from (m, d) sums to (m,) values; and the sums, with (n_units, 2d) parts.
    """
    if metric_parts(name)[0] in ROWS:
        n = len(truth)
        outputs = np.concatenate([mine.outputs, theirs.outputs])
        added, of_means = rows_of(name, np.concatenate([truth, truth]), outputs)  # shared bins
        parts, counts = np.hstack([added[:n], added[n:]]), np.ones(n, dtype=np.int64)
        unit = None

        def of(sums: Array) -> Array:
            return of_means(sums / n)

    else:
        _, parts, counts, unit = _counts(name, truth, [mine, theirs])
        of_classes = of_counts(name, mine.labels)

        def of(sums: Array) -> Array:
            return of_classes(*np.moveaxis(sums.reshape(len(sums), 3, -1), 1, 0))

    return of, Sums(of, parts, counts).grouped(group, unit)


def share_of(name: str, truth: Array, outputs: Array, labels: Labels) -> tuple[int, int] | None:
    """Return successes and rows of a metric that is a share of rows; None for other metrics.

    Args:
        name: Name as in an experiment file.
        truth: (n_rows,) classes as positions.
        outputs: (n_rows, k) probabilities.
        labels: Rules that turn probabilities into labels.
    """
    kind, filled = metric_parts(name)
    if kind == "top":
        return int(formulas.among_first(truth, outputs, int(filled)).sum()), len(truth)
    if name != "accuracy" and (kind not in ("recall", "precision") or not filled):
        return None
    answers = labels.of(outputs)
    right = answers == truth
    if name == "accuracy":
        return int(right.sum()), len(truth)
    place = labels.place(filled)
    among = (truth if kind == "recall" else answers) == place
    return int((among & right).sum()), int(among.sum())


def ranked_by(name: str, truth: Array, outputs: Array, labels: Labels) -> tuple[float, Array]:
    """Return a rank metric and each row's influence, (n_rows,); means over several classes.

    Args:
        name: `roc_auc` or `average_precision`, with or without a class.
        truth: (n_rows,) classes as positions.
        outputs: (n_rows, k) probabilities.
        labels: Class names.
    """
    kind, _ = metric_parts(name)
    places = ranked_classes(name, outputs.shape[1], labels)
    each = [RANKS[kind](truth == place, outputs[:, place]) for place in places]
    return float(np.mean([value for value, _ in each])), np.mean([m for _, m in each], axis=0)


def ranked_classes(name: str, k: int, labels: Labels) -> Sequence[int]:
    """Return the positions of the classes whose rows a rank metric ranks against the others.

    Args:
        name: As in `ranked_by`.
        k: Number of classes.
        labels: Class names.
    """
    filled = metric_parts(name)[1]
    return [labels.place(filled)] if filled else [1] if k == 2 else range(k)


def rows_of(name: str, truth: Array, outputs: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Return each row's contribution, (n_rows, d), and the function from means, (…, d), to values.

    Args:
        name: Name of a metric in `ROWS`.
        truth: (n_rows,) classes as positions, or values.
        outputs: (n_rows, k) probabilities, or (n_rows,) values.
    """
    kind, filled = metric_parts(name)
    if kind == "top":
        added = formulas.among_first(truth, outputs, int(filled))
    elif kind == "quantile_loss":
        added = formulas.pinballs(truth, outputs, float(filled))
    else:
        added = ROWS[kind](truth, outputs)
    of = OF_MEANS.get(kind, lambda means: means[..., 0])
    return added.reshape(len(truth), -1).astype("float64"), of


def _mape(truth: Array, outputs: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(truth == 0, np.nan, np.abs((truth - outputs) / truth)))


def _squares(truth: Array, outputs: Array) -> Array:
    away = truth - truth.mean()
    return np.stack([(truth - outputs) ** 2, away, away**2], axis=1)


ROWS: dict[str, Callable[..., Array]] = {
    "log_loss": formulas.log_losses,
    "brier": formulas.briers,
    "ece": formulas.gaps_by_bin,
    "top": formulas.among_first,
    "mae": lambda t, o: np.abs(t - o),
    "mape": _mape,
    "quantile_loss": formulas.pinballs,
    "rmse": lambda t, o: (t - o) ** 2,
    "r2": _squares,
}
"""Contribution of each row to means."""

OF_MEANS: dict[str, Callable[[Array], Array]] = {
    "ece": lambda means: np.abs(means).sum(axis=-1),
    "rmse": lambda means: np.sqrt(means[..., 0]),
    "r2": formulas.r2,
}
"""Functions from means to the metric, if it is not the mean itself."""

LINEAR = frozenset(ROWS) - frozenset(OF_MEANS)

RANKS: dict[str, Callable[[Array, Array], tuple[float, Array]]] = {
    "roc_auc": formulas.ranked,
    "average_precision": formulas.found_early,
}

OF_ERRORS: dict[str, Callable[[Array], Any]] = {"median_error": np.median, "max_error": np.max}
"""Metrics of the absolute errors."""


def why_undefined(name: str, truth: Array, outputs: Array, labels: Labels) -> str:
    """Return the reason why a metric is undefined on these rows, as text.

    Args:
        name: Name as in an experiment file.
        truth: (n_rows,) classes as positions, or values.
        outputs: (n_rows, k) probabilities, or (n_rows,) values.
        labels: Class names.
    """
    kind, filled = metric_parts(name)
    if kind == "mape":
        zeros = int((truth == 0).sum())
        return f"{zeros:,} of {len(truth):,} test rows have a target of 0"
    if kind == "r2":
        return "all test rows have the same target"
    if kind in ("kappa", "mcc"):
        return "the test rows or the predictions have a single class"
    if filled:
        place = labels.place(filled)
        if kind == "precision":
            return f"no test row is predicted as {filled}"
        if not (truth == place).any():
            also = " or predicted as it" if kind == "f1" else ""
            return f"no test row is of class {filled}{also}"
        return f"every test row is of class {filled}"
    present = np.unique(truth)
    if len(present) == 1:
        return "the test rows have a single class"
    absent = [i for i in range(outputs.shape[1]) if i not in present]
    named = [labels.classes[i] if labels.classes else str(i) for i in absent]
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return f"no test row is of class {', '.join(named[:5])}{more}"
