"""Models, trials and the search among them. Importing this room does not import TensorFlow."""

from pipelines.training.choice import choose, more_is_better
from pipelines.training.identity import (
    ALL_FOLDS,
    Trial,
    changed,
    cores,
    shared_parts,
    trials,
    trials_at,
)
from pipelines.training.points import Point, points_of
from pipelines.training.pool import Pool, Trains
from pipelines.training.pool_on_ray import LOCAL, RayPool, address_of
from pipelines.training.search import fed, run_search, train_fed
from pipelines.training.strategies import Candidate, Strategy, strategy_of
from pipelines.training.trial import TrialResult, read_result
from pipelines.training.worker import Epoch, Export

__all__ = [
    "ALL_FOLDS",
    "LOCAL",
    "Candidate",
    "Epoch",
    "Export",
    "Point",
    "Pool",
    "RayPool",
    "Strategy",
    "Trains",
    "Trial",
    "TrialResult",
    "address_of",
    "changed",
    "choose",
    "cores",
    "fed",
    "more_is_better",
    "points_of",
    "read_result",
    "run_search",
    "shared_parts",
    "strategy_of",
    "train_fed",
    "trials",
    "trials_at",
]
