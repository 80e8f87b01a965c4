"""The names that an experiment file may use, each list in one place."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

CLASSIFICATION_METRICS = {
    "accuracy": "share of rows predicted right",
    "balanced_accuracy": "mean of the classes' recalls",
    "f1_macro": "mean of the classes' F1 scores",
    "precision_macro": "mean of the classes' precisions",
    "recall_macro": "mean of the classes' recalls, absent classes left out",
    "log_loss": "mean negative logarithm of the true class's probability; lower is better",
    "brier": "mean squared distance of the probabilities from the truth; lower is better",
}
REGRESSION_METRICS = {
    "mae": "mean absolute error, in the target's unit; lower is better",
    "rmse": "root of the mean squared error, in the target's unit; lower is better",
    "r2": "share of the target's variance that is explained",
    "median_error": "median absolute error, in the target's unit; lower is better",
}
CALIBRATION = "calibration"
"""What the gate calls the expected calibration error."""

PACKAGE_FIGURES = frozenset({"latency_ms", "start_seconds", "megabytes"})
"""What the gate may require of a package: to answer one row, to start, and on disk."""

LOWER_IS_BETTER = frozenset({"log_loss", "brier", "mae", "rmse", "median_error"})


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like `name`, or an empty text when none is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else ""


@cache
def keras_names(kind: str) -> frozenset[str]:
    """The public names of `keras.<kind>` ("layers", "optimizers", "losses", "metrics", …).

    Read from the installed package's source, so that checking a file does not import TensorFlow.
    """
    spec = importlib.util.find_spec("keras")
    if spec is None or spec.origin is None:
        return frozenset()
    face = Path(spec.origin).parent / kind / "__init__.py"
    tree = ast.parse(face.read_text(encoding="utf-8"))
    imported = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return frozenset(alias.asname or alias.name for node in imported for alias in node.names)


def keras_classes(kind: str) -> frozenset[str]:
    """The classes among `keras_names`, such as `Dense` or `Adam`."""
    return frozenset(name for name in keras_names(kind) if name[0].isupper())


def log_name(metric: str) -> str:
    """What Keras calls a metric in its logs: `mean_squared_error` for `MeanSquaredError`."""
    spaced = re.sub(r"(?<=.)([A-Z][a-z]+)", r"_\1", metric)
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", spaced).lower()
