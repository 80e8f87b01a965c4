"""Records of MLflow's store, the same for its client and its tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gristmill.pipelines.tracking import tags as names


@dataclass(frozen=True)
class DataInput:
    """A data set in one role, as an input of a run.

    Attributes:
        name: the data set's folder below `data/`.
        digest: DVC's hash.
        role: `training`, `validation` or `test`.
        rows: number of rows.
        source: address of the data set.
    """

    name: str
    digest: str
    role: str
    rows: int
    source: str

    @classmethod
    def read(cls, name: str, digest: str, source: str, profile: str | None) -> DataInput | None:
        """Read an input of a run; return None for one that Gristmill did not write.

        Args:
            name: `DATASET ROLE`.
            digest: DVC's hash.
            source: JSON with the key `uri`.
            profile: JSON with the key `num_rows`.
        """
        folder, _, role = name.rpartition(" ")
        rows = json.loads(profile or "{}").get("num_rows")
        if role not in names.ROLES or not isinstance(rows, int):
            return None
        return cls(folder, digest, role, rows, json.loads(source).get("uri", ""))


class _Tag:
    """The value of a run's tag; empty if the run does not have it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, run: StoredRun, owner: type) -> str:
        return run.tags.get(self._name, "")


@dataclass(frozen=True)
class StoredRun:
    """A run in the store: the run of an experiment, or of one of its trials.

    Attributes:
        kind: `run` or `trial`; empty for a run that Gristmill did not create.
        parent: MLflow's id of the run that trained a trial.
        key: key of a trial.
        version: number of the version that a run registered or found registered; else empty.
        decision, reasons: the decision on that version.
        status: MLflow's status.
        deleted: whether it is marked as deleted.
        began, ended: seconds since 1970; `ended` is 0 while it runs.
        artifacts: address of its artifacts.
        inputs: the data sets that it read.
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
        """DVC's hash of each data set that it read, by the folder below `data/`."""
        start = names.DATA_TAG
        return {k.removeprefix(start): v for k, v in self.tags.items() if k.startswith(start)}

    @property
    def tested(self) -> list[str]:
        """The names of its test metrics; empty if its winner was not evaluated on test rows."""
        return [k.removeprefix(names.TEST) for k in self.metrics if k.startswith(names.TEST)]

    @cached_property
    def result(self) -> Mapping[str, Any]:
        """The fields of a finished trial's TrialResult, without the history."""
        return dict(json.loads(self.tags[names.TRIAL_RESULT]))

    @cached_property
    def parts(self) -> Mapping[str, str]:
        """The parts of a trial's key."""
        return dict(json.loads(self.tags[names.TRIAL_PARTS]))

    @cached_property
    def recipe(self) -> Mapping[str, Any] | None:
        """A trial's resolved settings; None if they were not stored."""
        return json.loads(self.tags[names.RECIPE]) if names.RECIPE in self.tags else None


@dataclass(frozen=True)
class StoredVersion:
    """A registered version of a model; `source` is the address of the logged model."""

    model: str
    number: str
    run_id: str
    created: float
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    source: str = ""


@dataclass(frozen=True)
class StoredModel:
    """A registered model, with its versions, the newest first."""

    name: str
    tags: Mapping[str, str]
    versions: tuple[StoredVersion, ...]
