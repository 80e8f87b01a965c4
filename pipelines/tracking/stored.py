"""What MLflow's store has, as records: the same whether its client or its tables are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from gristmill.pipelines.tracking import tags as names


@dataclass(frozen=True)
class DataInput:
    """One role of a data set, as MLflow shows it: name, DVC's hash, rows."""

    name: str
    digest: str
    role: str
    rows: int
    source: str

    @classmethod
    def read(cls, name: str, digest: str, source: str, profile: str | None) -> DataInput | None:
        """An input of a run; None for one that Gristmill did not write."""
        folder, _, role = name.rpartition(" ")
        rows = json.loads(profile or "{}").get("num_rows")
        if role not in names.ROLES or not isinstance(rows, int):
            return None
        return cls(folder, digest, role, rows, json.loads(source).get("uri", ""))


@dataclass(frozen=True)
class StoredRun:
    """A run in the store, of an experiment or of one trial.

    Attributes:
        status: as MLflow has it.
        deleted: whether it is in MLflow's bin.
        began, ended: seconds since 1970; `ended` is 0 while it runs.
        artifacts: their address.
        inputs: the data that it read.
    """

    run_id: str
    status: str
    deleted: bool
    began: float
    ended: float
    artifacts: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    inputs: tuple[DataInput, ...] = ()

    @property
    def kind(self) -> str:
        """`run` or `trial`; empty for a run that was made with MLflow alone."""
        return self.tags.get(names.KIND, "")

    @property
    def experiment(self) -> str:
        return self.tags.get(names.EXPERIMENT, "")

    @property
    def parent(self) -> str:
        """The run that trained a trial."""
        return self.tags.get(names.PARENT, "")

    @property
    def key(self) -> str:
        """Of a trial."""
        return self.tags.get(names.TRIAL_KEY, "")


@dataclass(frozen=True)
class StoredVersion:
    """One registered version of a model; `source` is the address of the logged one."""

    model: str
    number: str
    run_id: str
    created: float
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    source: str = ""


@dataclass(frozen=True)
class StoredModel:
    """A registered model; its versions the newest first."""

    name: str
    tags: Mapping[str, str]
    versions: tuple[StoredVersion, ...]
