"""What metrics are made of: counts of classes, means over rows, ranks, errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.config import metric_parts
from gristmill.pipelines.evaluation.labels import Labels
from gristmill.pipelines.evaluation.metrics import formulas
from gristmill.pipelines.evaluation.metrics.intervals import Sums

Array = npt.NDArray[Any]


def confusion(truth: Array, answers: Array, k: int) -> npt.NDArray[np.int64]:
    """(k, k) counts: truth by row, prediction by column, of (n_rows,) places of classes each."""
    return table_of(cells_of(truth, answers, k), k)


def cells_of(truth: Array, answers: Array, k: int) -> npt.NDArray[np.int64]:
    return np.asarray(truth.astype(np.int64) * k + answers)


def table_of(cells: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
    return np.bincount(cells, minlength=k * k).reshape(k, k)


def by_class(table: Array) -> tuple[Array, Array, Array]:
    counts = table.astype("float64")
    return np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)


def is_of_counts(kind: str, name: str) -> bool:
    """Whether a metric is a function of counts of classes."""
    return name in formulas.OF_COUNTS or (kind in formulas.OF_ONE_CLASS and kind != name)


def of_counts(name: str, labels: Labels) -> Callable[[Array, Array, Array], Array]:
    if name in formulas.OF_COUNTS:
        return formulas.OF_COUNTS[name]
    kind, filled = metric_parts(name)
    place = labels.place(filled)
    of_one = formulas.OF_ONE_CLASS[kind]
    return lambda *counts: of_one(*(each[..., place] for each in counts))


def summed(
    name: str,
    truth: Array,
    outputs: Sequence[Array],
    labels: Sequence[Labels],
    group: Array | None,
) -> Sums:
    """A metric of one model as a statistic of sums; of two models their difference."""
    if metric_parts(name)[0] not in ROWS:
        return _summed_counts(name, truth, outputs, labels, group)
    each = [rows_of(name, truth, given) for given in outputs]
    parts = np.hstack([np.ones((len(truth), 1)), *(added for added, _ in each)])
    width = each[0][0].shape[1]

    def of(sums: Array) -> Array:
        means = sums[:, 1:] / sums[:, :1]
        values = [of_means(means[:, i * width : (i + 1) * width]) for i, (_, of_means) in
                  enumerate(each)]  # fmt: skip
        return values[0] if len(values) == 1 else values[0] - values[1]

    return Sums(of, parts, np.ones(len(truth), dtype=np.int64)).grouped(group)


def _summed_counts(
    name: str,
    truth: Array,
    outputs: Sequence[Array],
    labels: Sequence[Labels],
    group: Array | None,
) -> Sums:
    from scipy import sparse

    k = outputs[0].shape[1]
    codes = truth.astype(np.int64)
    for given, read in zip(outputs, labels, strict=True):
        codes = codes * k + read.of(given)
    cells, unit, counts = np.unique(codes, return_inverse=True, return_counts=True)
    true = cells // k ** len(outputs)
    formulas_of = [of_counts(name, read) for read in labels]
    blocks, place = [], np.arange(len(cells))
    for i in range(len(outputs)):
        called = cells // k ** (len(outputs) - 1 - i) % k
        right = true == called
        rows = np.concatenate([place[right], place, place])
        columns = np.concatenate([true[right], k + true, 2 * k + called])
        shape = (len(cells), 3 * k)
        blocks.append(sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape))

    def of(sums: Array) -> Array:
        by_model = sums.reshape(len(sums), len(outputs), 3, k)
        values = [one(*(by_model[:, i, j] for j in range(3))) for i, one in enumerate(formulas_of)]
        return values[0] if len(values) == 1 else values[0] - values[1]

    parts = sparse.csr_array(sparse.hstack(blocks))
    return Sums(of, parts, counts.astype(np.int64)).grouped(group, unit)


def share_of(name: str, truth: Array, outputs: Array, labels: Labels) -> tuple[int, int] | None:
    """Rows that count and rows in all, of metrics that are a share of independent rows."""
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
    """The value and how far each row moves it; of several classes their means."""
    kind, filled = metric_parts(name)
    k = outputs.shape[1]
    places = [labels.place(filled)] if filled else [1] if k == 2 else range(k)
    each = [RANKS[kind](truth == place, outputs[:, place]) for place in places]
    return float(np.mean([value for value, _ in each])), np.mean([m for _, m in each], axis=0)


def rows_of(name: str, truth: Array, outputs: Array) -> tuple[Array, Callable[[Array], Array]]:
    """What each row adds, (n_rows, d), and the metric of the means (…, d)."""
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
"""What each row adds to means."""

OF_MEANS: dict[str, Callable[[Array], Array]] = {
    "ece": lambda means: np.abs(means).sum(axis=-1),
    "rmse": lambda means: np.sqrt(means[..., 0]),
    "r2": formulas.r2,
}
"""The metric of the means, where it is not the mean itself."""

LINEAR = frozenset(ROWS) - frozenset(OF_MEANS)

RANKS: dict[str, Callable[[Array, Array], tuple[float, Array]]] = {
    "roc_auc": formulas.ranked,
    "average_precision": formulas.found_early,
}

OF_ERRORS: dict[str, Callable[[Array], Any]] = {"median_error": np.median, "max_error": np.max}
"""Of the absolute errors."""


def why_undefined(name: str, truth: Array, outputs: Array, labels: Labels) -> str:
    """In words, why a metric is undefined on these rows."""
    kind, filled = metric_parts(name)
    if kind == "mape":
        zeros = int((truth == 0).sum())
        return f"{zeros:,} of {len(truth):,} test rows have a target of 0"
    if kind == "r2":
        return "all test rows have the same target"
    if kind in ("kappa", "mcc"):
        return "the test rows or the predictions are of a single class"
    if filled:
        place = labels.place(filled)
        if kind == "precision":
            return f"no test row was called {filled}"
        if not (truth == place).any():
            also = " or was called it" if kind == "f1" else ""
            return f"no test row is of class {filled}{also}"
        return f"every test row is of class {filled}"
    present = np.unique(truth)
    if len(present) == 1:
        return "the test rows are of a single class"
    absent = [i for i in range(outputs.shape[1]) if i not in present]
    named = [labels.classes[i] if labels.classes else str(i) for i in absent]
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return f"no test row is of class {', '.join(named[:5])}{more}"
