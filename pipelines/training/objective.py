"""The direction of an objective."""

from __future__ import annotations

HIGHER_IS_BETTER = (
    *("accuracy", "auc", "correlation", "iou", "precision", "recall", "score", "sensitivity"),
    *("similarity", "specificity", "true"),
)
"""What the name of a metric holds when more of it is better; all else is a loss or an error."""


def more_is_better(metric: str) -> bool:
    """The direction of a metric that Keras computes."""
    return any(word in metric.lower() for word in HIGHER_IS_BETTER)
