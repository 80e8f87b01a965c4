"""Weights of the classes in the training loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.base import ConfigError, suggest
from gristmill.pipelines.config import Recipe


def class_weights(
    recipe: Recipe, classes: Sequence[Any], y: npt.NDArray[np.int32]
) -> npt.NDArray[np.float32] | None:
    """Return the weight of each training row in the loss, or None if classes are not weighted.

    The same weights as those of Keras's `fit(class_weight=…)`, as an array (n_rows,).

    `balanced` is n_rows / (n_classes · rows of the class) (King, Zeng: Logistic regression in rare
    events data, 2001). A class that the experiment file does not name weighs 1.

    Args:
        recipe: read for `training.class_weight`: None, `balanced` or a weight by class name.
        classes: the labels, in order.
        y: (n_rows,) indices into `classes`.

    Raises:
        ConfigError: a weight names a class that is not in the data.
    """
    asked = recipe.training.class_weight
    if asked is None:
        return None
    if asked == "balanced":
        counts = np.bincount(y, minlength=len(classes))
        by_class = len(y) / (len(classes) * np.maximum(counts, 1))
    else:
        from gristmill.pipelines.preparation import class_name

        names = [class_name(label) for label in classes]
        weights = {_known_class(name, names): weight for name, weight in asked.items()}
        by_class = np.array([weights.get(name, 1.0) for name in names])
    return np.asarray(by_class.astype(np.float32)[y])


def _known_class(name: str, names: Sequence[str]) -> str:
    known = {each.lower(): each for each in names} | {each: each for each in names}
    found = known.get(name) or known.get(name.lower())
    if found is None:
        raise ConfigError(
            f"training.class_weight: there is no class {name!r}",
            expected="classes of the target: " + ", ".join(names[:20]) + "…" * (len(names) > 20),
            found=name,
            next=suggest(name, names, "fix training.class_weight"),
        )
    return found
