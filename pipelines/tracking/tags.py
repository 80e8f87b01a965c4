"""The names by which runs in the store, and what they came to, are found again."""

from __future__ import annotations

from collections.abc import Mapping

TRIAL_KEY = "gristmill.trial"
TRIAL_RESULT = "gristmill.result"
TRIAL_PARTS = "gristmill.parts"
SEARCH = "gristmill.search"
"""Of a run: what an adaptive search proposes depends on this."""
SELECTION = "gristmill.selection"
"""Of a run: that its best validation scores are optimistic."""
TRIALS, POINTS = "search.trials", "search.points"
"""Of a run: how many trials its search took, and of how many points they were."""
OVERRIDES = "gristmill.overrides"
"""Of a run: the parameters that stood on the command line."""
NOT_REPEATABLE = "gristmill.not_repeatable"
"""Of a run: what of its search may come out differently another time."""
RECIPE = "gristmill.recipe"
"""Of a trial: its resolved settings, as JSON; left out where a tag has no room for them."""
PARENT = "mlflow.parentRunId"
KIND = "gristmill.kind"
FLOW = "gristmill.flow"
"""Of a run: Prefect's flow run."""
RUN_KEY = "gristmill.run"
EXPERIMENT = "gristmill.experiment"
DECISION = "gristmill.decision"
REASONS = "gristmill.reasons"
VERSION = "gristmill.version"
MODEL = "gristmill.model"
DIFF = "gristmill.git.diff"
"""Of a run from a tree with changes: whether the diff in its artifacts is whole."""
WINNER = "gristmill.winner"
DATA = "gristmill.data"
"""Of a registered version: DVC's hash of the data set that it was trained on."""

TEST_SET = "gristmill.test"
"""Of a run: a digest of the test rows that its winner has answered."""
ANSWERS = "gristmill.answers"
"""Of a run: a digest of what it answered; an equal one is no further read of the test rows."""
READS = "gristmill.reads"
"""Of a run: how many candidates these test rows had had by then."""

TEST = "test_"
"""How the metrics on the test rows begin."""

ROLES = ("training", "validation", "test")
"""What a run's data sets are called after the data set's own name."""

Run = tuple[str, str, Mapping[str, str]]
