"""What MLflow's store has, as records: the same whether its client or its tables are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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


class _Tag:
    """What a tag of a run says; empty where the run does not have it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, run: StoredRun, owner: type) -> str:
        return run.tags.get(self._name, "")


@dataclass(frozen=True)
class StoredRun:
    """A run in the store, of an experiment or of one trial.

    Attributes:
        kind: `run` or `trial`; empty for a run that was made with MLflow alone.
        parent: the run that trained a trial.
        key: of a trial.
        version: that a run made or came to again; empty where it came to none.
        decision, reasons: over that version.
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

    kind, experiment = _Tag(names.KIND), _Tag(names.EXPERIMENT)
    parent, key = _Tag(names.PARENT), _Tag(names.TRIAL_KEY)
    model, version = _Tag(names.MODEL), _Tag(names.VERSION)
    decision, reasons = _Tag(names.DECISION), _Tag(names.REASONS)

    @property
    def data(self) -> Mapping[str, str]:
        """DVC's hash of each data set that it read, by the set's folder below `data/`."""
        start = names.DATA_TAG
        return {k.removeprefix(start): v for k, v in self.tags.items() if k.startswith(start)}

    @property
    def tested(self) -> list[str]:
        """The names of its test metrics; none where its winner has not answered the test rows."""
        return [k.removeprefix(names.TEST) for k in self.metrics if k.startswith(names.TEST)]

    @cached_property
    def result(self) -> Mapping[str, Any]:
        """Of a finished trial: its TrialResult without the history."""
        return dict(json.loads(self.tags[names.TRIAL_RESULT]))

    @cached_property
    def parts(self) -> Mapping[str, str]:
        """What a trial's key was made of."""
        return dict(json.loads(self.tags[names.TRIAL_PARTS]))

    @cached_property
    def recipe(self) -> Mapping[str, Any] | None:
        """A trial's resolved settings; None where they were not kept."""
        return json.loads(self.tags[names.RECIPE]) if names.RECIPE in self.tags else None


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
