"""The names that can be used in an experiment file, each list in one place."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from functools import cache

from gristmill.pipelines.base import suggest
from gristmill.pipelines.config.known_estimators import folder_of

CLASSIFICATION_METRICS = {
    "accuracy": "share of rows predicted correctly",
    "balanced_accuracy": "mean of the classes' recalls",
    "f1_macro": "mean of the classes' F1 scores",
    "f1_weighted": "mean of the classes' F1 scores, weighted by their rows",
    "precision_macro": "mean of the classes' precisions",
    "precision_weighted": "mean of the classes' precisions, weighted by their rows",
    "recall_macro": "mean of the classes' recalls, absent classes left out",
    "kappa": "Cohen's kappa: agreement with the true classes beyond chance",
    "mcc": "Matthews correlation of predicted and true classes",
    "roc_auc": "probability that a row of one class is ranked above a row of another; for more "
    "than two classes, the mean of each class against the rest",
    "average_precision": "area under the precision-recall curve of the second of two classes; for "
    "more, the mean of each class against the rest",
    "log_loss": "mean negative logarithm of the true class's probability; lower is better",
    "brier": "mean squared distance of the probabilities from the true class; lower is better",
    "ece": "expected calibration error, in ten bins with equal numbers of rows; lower is better",
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
    "precision:CLASS": "share of the rows predicted as the class that belong to it",
    "recall:CLASS": "share of the rows of the class that are predicted as it",
    "f1:CLASS": "harmonic mean of the precision and recall of the class",
    "roc_auc:CLASS": "probability that a row of the class is ranked above a row of another",
    "average_precision:CLASS": "area under the precision-recall curve of the class",
    "top_N_accuracy": "share of rows whose class is among the N most probable, such as "
    "top_3_accuracy",
    "quantile_loss:Q": "mean pinball loss of a forecast of the quantile Q, such as "
    "quantile_loss:0.9; lower is better",
}
"""Metrics with a value in their name; all but `quantile_loss` are for classification."""

OF_PROBABILITIES = frozenset({"log_loss", "brier", "ece", "roc_auc", "average_precision", "top"})
"""Kinds of metrics that need probabilities."""

CALIBRATION = "calibration"
"""The gate's name for the expected calibration error."""

PACKAGE_FIGURES = frozenset({"latency_ms", "start_seconds", "megabytes"})
"""Figures of a package for the gate: time to answer one row, time to start, size on disk."""

LOWER_IS_BETTER = frozenset(
    {"log_loss", "brier", "ece", "mae", "rmse", "mape", "median_error", "max_error"}
    | {"quantile_loss"}
)

_OF_CLASS = frozenset(form.partition(":")[0] for form in METRIC_FORMS if form.endswith(":CLASS"))
_SAME_AS_ACCURACY = ("f1_micro", "precision_micro", "recall_micro", "recall_weighted")


def metric_parts(name: str) -> tuple[str, str]:
    """Return the kind of a metric and the value in its name, if any.

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
    """Return what is wrong with the name of a test metric; empty if the name is valid.

    Args:
        name: name of the metric.
        task: `classification` or `regression`.
        classes: the classes as text, if known.
        more: names other than metrics to suggest.
    """
    kind, filled = metric_parts(name)
    of_classes = task == "classification"
    if name in (known := CLASSIFICATION_METRICS if of_classes else REGRESSION_METRICS):
        return ""
    if of_classes and name in _SAME_AS_ACCURACY:
        return f"{name} equals accuracy, because each row has one class: use accuracy"
    if of_classes and kind == "top":
        count = int(filled)
        if count < 1 or (classes is not None and count >= len(classes)):
            most = f" to {len(classes) - 1}" if classes is not None else ""
            return f"{name}: the number must be from 1{most}, less than the number of classes"
        return ""
    if of_classes and kind in _OF_CLASS:
        if not filled:
            return f"{name} needs a class, {kind}:CLASS; the mean of all is {kind}_macro"
        if classes is not None and filled not in classes:
            which = suggest(filled, classes, f"there are {_some(classes)}", mark=f"{kind}:")
            return f"{name}: there is no class {filled!r}; {which}"
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
    """Return the public names of `keras.<kind>` ("layers", "optimizers", "losses", "metrics", …).

    They are read from the installed source, so that checking a file does not import TensorFlow.
    """
    tree = ast.parse((folder_of("keras") / kind / "__init__.py").read_bytes())
    imported = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return frozenset(alias.asname or alias.name for node in imported for alias in node.names)


def keras_classes(kind: str) -> frozenset[str]:
    """Return the classes among `keras_names`, such as `Dense` or `Adam`."""
    return frozenset(name for name in keras_names(kind) if name[0].isupper())


def log_name(metric: str) -> str:
    """Return a metric's name in Keras logs: `mean_squared_error` for `MeanSquaredError`."""
    spaced = re.sub(r"(?<=.)([A-Z][a-z]+)", r"_\1", metric)
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", spaced).lower()
