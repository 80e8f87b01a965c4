"""What the tasks of one flow run share, so that only names and records pass between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.flows.background import Work
from gristmill.pipelines.base import GristmillError, lock_holder, locked
from gristmill.pipelines.config import Experiment, Project
from gristmill.pipelines.packaging import Rehearsal
from gristmill.pipelines.registry import Version
from gristmill.pipelines.reporting import Screen
from gristmill.pipelines.tracking import process_tags
from gristmill.pipelines.workers import LOCAL, Pool, RayPool, address_of

if TYPE_CHECKING:
    from gristmill.pipelines.tracking import Tracker

LOCK = ".lock"
"""In `build/NAME`: held by the process that works on the experiment, which it names."""


@dataclass
class Session:
    """One run of an experiment in this process.

    Attributes:
        boards: the folder of event files for TensorBoard, where they were asked for.
        on: where trials are trained: `local`, or a Ray cluster as `address_of` takes it.
        champion: the version in service when the run's data were compared with its own.
        drift: what came out of that, in words.
        trainer: what trains them.
        tracker: what records the run, once the data are ready.
        begun: work that is under way before its step has come, by the step's name.
        pool: what evaluates, always on this machine.
        artist: what draws beside it.
    """

    project: Project
    experiment: Experiment
    screen: Screen
    force: bool = False
    boards: Path | None = None
    on: str = LOCAL
    flow_run: str = ""
    warnings: list[str] = field(default_factory=list)
    champion: Version | None = None
    drift: str = ""
    begun: dict[str, Work[Any]] = field(default_factory=dict)
    pool: Pool = field(init=False)
    artist: Pool = field(init=False)
    trainer: Pool | RayPool = field(init=False)
    rehearsal: Rehearsal = field(init=False)
    tracker: Tracker = field(init=False)

    def __post_init__(self) -> None:
        library = self.experiment.document.model.library
        self.pool = Pool(self.project.root / "build" / "workers.log", library)
        self.artist = Pool(self.project.root / "build" / "workers.log", "none")
        self.trainer = self.pool
        if self.on != LOCAL:
            place = address_of(self.on)
            self.trainer = RayPool(place, self.project.experiments, self.warn)
        self.rehearsal = Rehearsal(self.project, library)

    @property
    def build(self) -> Path:
        return self.project.build(self.experiment.name)

    @property
    def overridden(self) -> str:
        """The parameters that replace those of the file, in words; empty if none does."""
        return " ".join(f"{name}={value}" for name, value in self.experiment.overrides.items())

    def warn(self, *lines: str) -> None:
        """Shows warnings, and keeps them for the report."""
        self.warnings += lines
        for line in lines[: GristmillError.SHOWN]:
            self.screen.say(f"    ! {line}")
        if len(lines) > GristmillError.SHOWN:
            self.screen.say(f"    ! and {len(lines) - GristmillError.SHOWN} more")

    def stop(self) -> None:
        """Ends all processes of the run."""
        Work.end(self.begun.values())
        self.trainer.close()
        self.pool.close()
        self.artist.close()
        self.rehearsal.stop()


_CURRENT: ContextVar[Session] = ContextVar("session")


def current() -> Session:
    """The session of the flow run that the calling task belongs to."""
    return _CURRENT.get()


@contextmanager
def open_session(made: Session) -> Iterator[Session]:
    """Makes a session the current one, alone on its experiment, and ends its processes after."""
    token = _CURRENT.set(made)
    try:
        with alone(made):
            yield made
    finally:
        made.stop()
        _CURRENT.reset(token)


def alone(made: Session) -> AbstractContextManager[None]:
    """Wait until no other process works on the experiment; the lock ends with the process."""
    waiting = f"waiting for another run of {made.experiment.name} to end"
    return locked(made.build / LOCK, lambda: made.screen.say(waiting), process_tags())


def holder(project: Project, experiment: str) -> Mapping[str, str] | None:
    """The process that works on an experiment on this machine, as `process_tags` has it."""
    return lock_holder(project.build(experiment) / LOCK)
