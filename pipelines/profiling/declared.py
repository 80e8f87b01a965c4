"""The profile page of an existing experiment, with the use of columns in its file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow.parquet

from gristmill.pipelines.config import Document, Project, load_experiment
from gristmill.pipelines.preparation import declared_kinds, feature_columns, read_left_out
from gristmill.pipelines.profiling.assumptions import Assumption
from gristmill.pipelines.profiling.profile_page import Profiled, page_digest, write_page
from gristmill.pipelines.profiling.table_profile import TableProfile, profile_table

MOST_VALUES = 20_000_000
"""Values of a table above which a run skips the page, because profiling needs some seconds."""


def current_page(project: Project, name: str, digest: str) -> Path | None:
    """Return `build/NAME/profile.html`, written again if it is of other data.

    Args:
        project: the project.
        name: name of the experiment.
        digest: DVC's hash of the data.

    Returns:
        None if there is no table, or if it has more than `MOST_VALUES` values.
    """
    build = project.build(name)
    page, table = build / "profile.html", build / "table.parquet"
    if page_digest(page) == digest:
        return page
    if not table.is_file():
        return None
    about = pyarrow.parquet.read_metadata(table)
    if about.num_rows * about.num_columns > MOST_VALUES:
        return None
    document = load_experiment(project, name).document
    target, task = document.data.target, document.data.task
    profile = profile_table(table, target, task)
    roles = build / "roles.parquet"
    used = as_declared(profile, document, read_left_out(roles) if roles.is_file() else ())
    write_page(page, Profiled(name, table, profile, target, task, used, digest))
    return page


def as_declared(
    profile: TableProfile, document: Document, left_out: Collection[str] = ()
) -> list[Assumption]:
    """Return how the experiment file uses each column.

    Args:
        profile: profiles of the columns.
        document: the experiment file.
        left_out: columns that are not features, because they came after the first split.
    """
    target = document.data.target
    present = [name for name in profile.names if name not in left_out]
    features = feature_columns(present, document.features, target)
    kinds = declared_kinds(features, document.features)
    made = []
    for column in profile.columns:
        by_type = "category" if column.type == "text" else column.type
        kind = kinds[column.name].kind if column.name in kinds else by_type
        used = column.name in features
        why = "" if used else "the target" if column.name == target else "excluded by the file"
        if column.name in left_out:
            why = "came after the first split"
        role = "target" if column.name == target else ""
        made.append(Assumption(column.name, kind.replace("integer", "number"), used, why, (), role))
    return made
