"""The rows that a model has seen, as hashes that can be kept without the data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from gristmill.pipelines.base import writing
from gristmill.pipelines.config import Document, Project, Split, load_experiment
from gristmill.pipelines.preparation.columns import features_of
from gristmill.pipelines.preparation.split import (
    DISTINCT,
    TRAINING,
    VALIDATION,
    Moments,
    moments,
    read_left_out,
    read_roles,
)
from gristmill.pipelines.tables import Flags, Hashes, TableRows, distinct_share, read_column

ABOUT = b"gristmill"


@dataclass(frozen=True, eq=False)
class SeenRows:
    """The training and validation rows of a model.

    Attributes:
        hashes: (n,) uint64, sorted and distinct: hashes of the rows' identities, features and
            groups.
        features: the columns in which twins are equal; () if fewer than `DISTINCT` of the rows are
            distinct, because equal rows are no leak then.
        group: the column whose groups stay together in one role; None without groups.
    """

    hashes: Hashes
    features: tuple[str, ...]
    group: str | None

    def marks(self, rows: TableRows, identity: Hashes) -> Flags:
        """Return which rows the model has seen, themselves, as twins or by group: (n_rows,) bool.

        Args:
            rows: raw rows.
            identity: (n_rows,) uint64 hashes of the rows' identities.
        """
        marked = self.has(identity)
        if self.features and not self.absent(rows):
            marked |= self.has(rows.hashes(self.features))
        if self.group is not None and self.group in rows.names:
            marked |= self.has(rows.hashes([self.group]))
        return marked

    def absent(self, rows: TableRows) -> list[str]:
        """Return the missing columns that are needed to compare rows with those seen."""
        return [c for c in (*self.features, *filter(None, [self.group])) if c not in rows.names]

    def has(self, hashes: Hashes) -> Flags:
        """Return which hashes are among those of the model: (n,) bool."""
        if not len(self.hashes):
            return np.zeros(len(hashes), dtype=np.bool_)
        place = np.searchsorted(self.hashes, hashes)
        place[place == len(self.hashes)] = 0
        return np.asarray(self.hashes[place] == hashes)


def seen_rows(project: Project, name: str, document: Document) -> SeenRows:
    """Return the rows that models of an experiment see, from its present table and roles.

    Args:
        project: the project.
        name: name of the experiment.
        document: its experiment file.
    """
    build = project.build(name)
    roles = build / "roles.parquet"
    used = np.isin(read_roles(roles), (TRAINING, VALIDATION))
    rows = TableRows(build / "table.parquet")
    left_out = read_left_out(roles)
    features = [name for name in features_of(rows.names, document) if name not in left_out]
    content, group = rows.hashes(features), group_column(project, document)
    parts = [read_column(roles, "identity").to_numpy()[used]]
    if distinct_share(content) < DISTINCT:
        features = []
    else:
        parts.append(content[used])
    if group is not None:
        parts.append(rows.hashes([group])[used])
    return SeenRows(np.unique(np.concatenate(parts)), tuple(features), group)


def write_seen(file: Path, seen: SeenRows) -> None:
    """Write a Parquet file of one column, with 8 bytes for each distinct hash."""
    about = json.dumps({"features": seen.features, "group": seen.group})
    table = pa.table({"hash": seen.hashes}).replace_schema_metadata({ABOUT: about})
    with writing(file) as aside:
        pa.parquet.write_table(table, aside, compression="none", use_dictionary=False)


def read_seen(file: Path) -> SeenRows:
    """Read a file of `write_seen`.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        table = pa.parquet.read_table(file)
        about: dict[str, Any] = json.loads(table.schema.metadata[ABOUT])
        hashes = table["hash"].to_numpy()
        return SeenRows(hashes, tuple(about["features"]), about["group"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file.name} is damaged: {str(error).splitlines()[0][:120]}") from error


def group_column(project: Project, document: Document) -> str | None:
    """Return the group column of an experiment's split; None without groups."""
    return _split(project, document).group


def group_of(project: Project, document: Document, rows: TableRows) -> Hashes | None:
    """Return the hash of each row's group, (n_rows,) uint64; None without groups.

    Args:
        project: the project.
        document: the experiment file, whose section `split` is read.
        rows: rows with the group column.
    """
    column = group_column(project, document)
    return None if column is None else rows.hashes([column])


def dates_of(project: Project, document: Document, rows: TableRows) -> Moments | None:
    """Return each row's time, (n_rows,) int64 microseconds since 1970; None without a time split.

    Args:
        project: the project.
        document: the experiment file, whose section `split` is read.
        rows: rows with the time column.
    """
    time = _split(project, document).time
    return None if time is None else moments(rows, time.column)


def _split(project: Project, document: Document) -> Split:
    other = document.split.as_
    return document.split if other is None else load_experiment(project, other).document.split
