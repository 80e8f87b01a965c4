"""Models, trials and the search among them. Importing this room does not import TensorFlow."""

from pipelines.training.identity import (
    ALL_FOLDS,
    FOLD,
    Trial,
    changed,
    changed_parts,
    cores,
    environment,
    kind_of,
    surroundings,
    trials,
)
from pipelines.training.points import Point, points_of
from pipelines.training.pool import Pool
from pipelines.training.record import read_recipe, recipe_record
from pipelines.training.search import choose, more_is_better, run_search
from pipelines.training.trial import TrialResult, read_result
from pipelines.training.worker import Epoch, Export, Train

__all__ = [
    "ALL_FOLDS",
    "FOLD",
    "Epoch",
    "Export",
    "Point",
    "Pool",
    "Train",
    "Trial",
    "TrialResult",
    "changed",
    "changed_parts",
    "choose",
    "cores",
    "environment",
    "kind_of",
    "more_is_better",
    "points_of",
    "read_recipe",
    "read_result",
    "recipe_record",
    "run_search",
    "surroundings",
    "trials",
]
