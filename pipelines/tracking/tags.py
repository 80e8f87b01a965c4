"""The tags by which runs in the store are found again."""

from __future__ import annotations

from collections.abc import Mapping

TRIAL_KEY = "gristmill.trial"
TRIAL_RESULT = "gristmill.result"
TRIAL_PARTS = "gristmill.parts"
RUN_KEY = "gristmill.run"
EXPERIMENT = "gristmill.experiment"
DECISION = "gristmill.decision"
REASONS = "gristmill.reasons"
VERSION = "gristmill.version"
MODEL = "gristmill.model"
WINNER = "gristmill.winner"

Run = tuple[str, str, Mapping[str, str]]
