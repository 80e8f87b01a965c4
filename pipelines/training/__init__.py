"""Models, trials and the search among them. Importing this room does not import TensorFlow."""

from pipelines.training.identity import ALL_FOLDS, Trial, changed, cores, trials
from pipelines.training.points import Point, points_of
from pipelines.training.pool import Pool, Trains
from pipelines.training.pool_on_ray import LOCAL, RayPool, address_of
from pipelines.training.search import choose, more_is_better, run_search
from pipelines.training.trial import TrialResult, read_result
from pipelines.training.worker import Epoch, Export

__all__ = [
    "ALL_FOLDS",
    "LOCAL",
    "Epoch",
    "Export",
    "Point",
    "Pool",
    "RayPool",
    "Trains",
    "Trial",
    "TrialResult",
    "address_of",
    "changed",
    "choose",
    "cores",
    "more_is_better",
    "points_of",
    "read_result",
    "run_search",
    "trials",
]
