"""Columns and an order of the rows that are proven to reveal the target, taken out of a draft."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from gristmill.pipelines.config import PrepareSections
from gristmill.pipelines.preparation import TRAINING
from gristmill.pipelines.profiling.draft import Draft
from gristmill.pipelines.validation.leaks import ROW_ORDER, find_leaks


def without_leaks(draft: Draft, table: Path, document: PrepareSections) -> Draft:
    """Return the draft without the features for which the first run would stop.

    A leak that consists of several columns, such as a sum, is taken out one column at a time.

    Args:
        draft: the draft.
        table: Parquet file written by the stage `ingest`.
        document: the draft as an experiment file.
    """
    roles = np.full(draft.profile.rows, TRAINING)
    while draft.used:
        found = find_leaks(table, roles, document, [a.name for a in draft.used])
        proven = {
            leak.column or leak.kind: leak.words for leak in found if leak.severity == "error"
        }
        draft = replace(draft, stops=proven.pop(ROW_ORDER, ""))
        if not proven:
            break
        kept = [
            replace(a, used=False, why=proven[a.name]) if a.name in proven else a
            for a in draft.assumptions
        ]
        draft = replace(draft, assumptions=kept, leaks=(*draft.leaks, *proven))
    return draft
