"""State shared by the tasks of a flow run, so that they pass only names and records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.flows.background import Work
from gristmill.flows.outcome import Outcome
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
"""Lock file in `build/NAME`; it names the process that works on the experiment."""


@dataclass
class Session:
    """A run of an experiment in this process.

    Attributes:
        force: repeat every step, even if its result is known.
        boards: folder of TensorBoard event files; None: write none.
        on: where to train: `local`, or a Ray cluster as `address_of` accepts it.
        flow_run: id of Prefect's flow run.
        warnings: warnings of all steps, for the report.
        champion: the champion at the time of the drift check.
        drift: result of the drift check, in words.
        outcome: outcome of the run, once it is recorded.
        hurry: entered contexts that end with the run.
        begun: work that was started before its step, by the step's name.
        pool: workers for the evaluation, always on this machine.
        artist: worker that draws pictures in parallel.
        trainer: workers that train the trials.
        rehearsal: process that tests the package before it is registered.
        tracker: records the run; set when the data are ready.
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
    outcome: Outcome | None = None
    hurry: ExitStack = field(default_factory=ExitStack)
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
        """The parameters that replace those of the file, as text; empty if there are none."""
        return " ".join(f"{name}={value}" for name, value in self.experiment.overrides.items())

    def warn(self, *lines: str) -> None:
        """Print warnings and keep them for the report."""
        self.warnings += lines
        for line in lines[: GristmillError.SHOWN]:
            self.screen.say(f"    ! {line}")
        if len(lines) > GristmillError.SHOWN:
            self.screen.say(f"    ! and {len(lines) - GristmillError.SHOWN} more")

    def stop(self) -> None:
        """End all processes of the run."""
        Work.end(self.begun.values())
        self.trainer.close()
        self.pool.close()
        self.artist.close()
        self.rehearsal.stop()


_CURRENT: ContextVar[Session] = ContextVar("session")


def current() -> Session:
    """Return the session of the flow run that the calling task belongs to."""
    return _CURRENT.get()


@contextmanager
def open_session(made: Session) -> Iterator[Session]:
    """Make a session current and lock its experiment; end its processes at the end."""
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
    """Return the `process_tags` of the process that works on an experiment, or None."""
    return lock_holder(project.build(experiment) / LOCK)
