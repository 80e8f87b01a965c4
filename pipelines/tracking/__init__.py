"""MLflow's tracking store: what was run, with what, and what came out.

`pipelines.tracking.runs` imports mlflow and is imported by name where runs are written; what is
here answers without it where the store is a local one.
"""

from pipelines.tracking.lookup import (
    EvaluatedRun,
    KnownRun,
    KnownTrial,
    PastTrial,
    TrainedModel,
    Tried,
    any_running,
    data_rows,
    evaluated_runs,
    known_run,
    known_trials,
    local_artifact,
    past_trials,
    reads_with,
    rows_read,
    run_tags,
    search_began,
    trained_models,
    tried,
)
from pipelines.tracking.store import is_local, local_database, relocate, tracking_uri

__all__ = [
    "EvaluatedRun",
    "KnownRun",
    "KnownTrial",
    "PastTrial",
    "TrainedModel",
    "Tried",
    "any_running",
    "data_rows",
    "evaluated_runs",
    "is_local",
    "known_run",
    "known_trials",
    "local_artifact",
    "local_database",
    "past_trials",
    "reads_with",
    "relocate",
    "rows_read",
    "run_tags",
    "search_began",
    "tracking_uri",
    "trained_models",
    "tried",
]
