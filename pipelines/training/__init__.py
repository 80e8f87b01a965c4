"""Models, trials and the search among them. Importing this room does not import TensorFlow."""

from pipelines.training.choice import choose
from pipelines.training.identity import (
    ALL_FOLDS,
    FOLD,
    MODEL_FILES,
    Trial,
    changed,
    changed_parts,
    cores,
    environment,
    kind_of,
    shared_parts,
    surroundings,
    trials,
    trials_at,
)
from pipelines.training.objective import more_is_better
from pipelines.training.points import Point, points_of
from pipelines.training.pool import Pool, Trains
from pipelines.training.pool_on_ray import LOCAL, RayPool, address_of
from pipelines.training.record import read_recipe, recipe_record
from pipelines.training.search import fed, run_search, train_fed
from pipelines.training.strategies import Candidate, Strategy, strategy_of
from pipelines.training.trial import TrialResult, read_result
from pipelines.training.worker import Epoch, Export, Train

__all__ = [
    "ALL_FOLDS",
    "FOLD",
    "LOCAL",
    "MODEL_FILES",
    "Candidate",
    "Epoch",
    "Export",
    "Point",
    "Pool",
    "RayPool",
    "Strategy",
    "Train",
    "Trains",
    "Trial",
    "TrialResult",
    "address_of",
    "changed",
    "changed_parts",
    "choose",
    "cores",
    "environment",
    "fed",
    "kind_of",
    "more_is_better",
    "points_of",
    "read_recipe",
    "read_result",
    "recipe_record",
    "run_search",
    "shared_parts",
    "strategy_of",
    "surroundings",
    "train_fed",
    "trials",
    "trials_at",
]
