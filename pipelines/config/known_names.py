"""The names that an experiment file may use, each list in one place."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from functools import cache

from gristmill.pipelines.base import suggest
from gristmill.pipelines.config.known_estimators import folder_of

CLASSIFICATION_METRICS = {
    "accuracy": "share of rows predicted right",
    "balanced_accuracy": "mean of the classes' recalls",
    "f1_macro": "mean of the classes' F1 scores",
    "f1_weighted": "mean of the classes' F1 scores, weighted by their rows",
    "precision_macro": "mean of the classes' precisions",
    "precision_weighted": "mean of the classes' precisions, weighted by their rows",
    "recall_macro": "mean of the classes' recalls, absent classes left out",
    "kappa": "Cohen's kappa: agreement with the truth beyond that of chance",
    "mcc": "Matthews's correlation of prediction and truth",
    "roc_auc": "chance that a row of a class is ranked above one of another; of more than two "
    "classes the mean of each against the rest",
    "average_precision": "area under the precision-recall curve of the second of two classes; of "
    "more the mean of each against the rest",
    "log_loss": "mean negative logarithm of the true class's probability; lower is better",
    "brier": "mean squared distance of the probabilities from the truth; lower is better",
    "ece": "expected calibration error, in ten bins of equally many rows; lower is better",
}
REGRESSION_METRICS = {
    "mae": "mean absolute error, in the target's unit; lower is better",
    "rmse": "root of the mean squared error, in the target's unit; lower is better",
    "mape": "mean absolute error as a share of the true value; lower is better",
    "r2": "share of the target's variance that is explained",
    "median_error": "median absolute error, in the target's unit; lower is better",
    "max_error": "largest absolute error, in the target's unit; lower is better",
}
METRIC_FORMS = {
    "precision:CLASS": "share of the rows called a class that are of it",
    "recall:CLASS": "share of a class's rows that are called it",
    "f1:CLASS": "harmonic mean of a class's precision and recall",
    "roc_auc:CLASS": "chance that a row of a class is ranked above one of another",
    "average_precision:CLASS": "area under the precision-recall curve of a class",
    "top_N_accuracy": "share of rows whose class is among the N most probable, such as "
    "top_3_accuracy",
    "quantile_loss:Q": "mean pinball loss of a forecast of the quantile Q, such as "
    "quantile_loss:0.9; lower is better",
}
"""Metrics with something to fill in: all of classification, but for `quantile_loss`."""

OF_PROBABILITIES = frozenset({"log_loss", "brier", "ece", "roc_auc", "average_precision", "top"})
"""Kinds of metrics that a model must tell probabilities for."""

CALIBRATION = "calibration"
"""What the gate calls the expected calibration error."""

PACKAGE_FIGURES = frozenset({"latency_ms", "start_seconds", "megabytes"})
"""What the gate may require of a package: to answer one row, to start, and on disk."""

LOWER_IS_BETTER = frozenset(
    {"log_loss", "brier", "ece", "mae", "rmse", "mape", "median_error", "max_error"}
    | {"quantile_loss"}
)

_OF_CLASS = frozenset(form.partition(":")[0] for form in METRIC_FORMS if form.endswith(":CLASS"))
_SAME_AS_ACCURACY = ("f1_micro", "precision_micro", "recall_micro", "recall_weighted")


def metric_parts(name: str) -> tuple[str, str]:
    """The kind of a metric and what is filled in, if anything.

    `recall:fraud` is (recall, fraud), `quantile_loss:0.9` (quantile_loss, 0.9), `top_3_accuracy`
    (top, 3), `accuracy` (accuracy, "").
    """
    if found := re.fullmatch(r"top_(\d+)_accuracy", name):
        return "top", found[1]
    kind, _, filled = name.partition(":")
    return kind, filled


def metric_fault(
    name: str, task: str, classes: Collection[str] | None = None, more: Collection[str] = ()
) -> str:
    """What is wrong with the name of a metric of the test rows, empty if nothing is.

    Args:
        task: `classification` or `regression`.
        classes: as text, where they are known.
        more: names that are no metrics, and could be meant too.
    """
    kind, filled = metric_parts(name)
    of_classes = task == "classification"
    if name in (known := CLASSIFICATION_METRICS if of_classes else REGRESSION_METRICS):
        return ""
    if of_classes and name in _SAME_AS_ACCURACY:
        return f"{name} is accuracy where a row has one class: take accuracy"
    if of_classes and kind == "top":
        count = int(filled)
        if count < 1 or (classes is not None and count >= len(classes)):
            most = f" to {len(classes) - 1}" if classes is not None else ""
            return f"{name}: the number must be from 1{most}, below that of the classes"
        return ""
    if of_classes and kind in _OF_CLASS:
        if not filled:
            return f"{name} is of one class: {kind}:CLASS, or of all: {kind}_macro"
        if classes is not None and filled not in classes:
            which = suggest(filled, classes, f"there are {_some(classes)}", mark=f"{kind}:")
            return f"{name}: no class is called {filled!r}; {which}"
        return ""
    if not of_classes and kind == "quantile_loss":
        is_share = re.fullmatch(r"0?\.\d+", filled) and float(filled) > 0
        return "" if is_share else f"{name}: it needs a quantile, such as quantile_loss:0.9"
    forms = [f for f in METRIC_FORMS if f.startswith("quantile") != of_classes]
    could = [*known, *sorted(more)]
    otherwise = f": it has {', '.join([*could, *forms])}"
    return f"{task} has no metric {name!r}" + suggest(name, could, otherwise, before="; ")


def _some(names: Collection[str], most: int = 12) -> str:
    return ", ".join([*list(names)[:most], *["…"] * (len(names) > most)])


@cache
def keras_names(kind: str) -> frozenset[str]:
    """The public names of `keras.<kind>` ("layers", "optimizers", "losses", "metrics", …).

    Read from the installed package's source, so that checking a file does not import TensorFlow.
    """
    tree = ast.parse((folder_of("keras") / kind / "__init__.py").read_bytes())
    imported = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return frozenset(alias.asname or alias.name for node in imported for alias in node.names)


def keras_classes(kind: str) -> frozenset[str]:
    """The classes among `keras_names`, such as `Dense` or `Adam`."""
    return frozenset(name for name in keras_names(kind) if name[0].isupper())


def log_name(metric: str) -> str:
    """What Keras calls a metric in its logs: `mean_squared_error` for `MeanSquaredError`."""
    spaced = re.sub(r"(?<=.)([A-Z][a-z]+)", r"_\1", metric)
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", spaced).lower()
