"""Workers on the nodes of a Ray cluster, with the same results as on this machine."""

from __future__ import annotations

import importlib.util
import logging
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import gristmill
from gristmill.pipelines.base import EnvironmentFault, InputError, first_line, writing
from gristmill.pipelines.training import environment
from gristmill.pipelines.workers.bench import Bench
from gristmill.pipelines.workers.messages import Done, Epoch, Request, Train
from gristmill.pipelines.workers.pool import QUIET
from gristmill.pipelines.workers.scheduler import Lost, Ready, Scheduler
from gristmill.pipelines.workers.worker import carry_out

LOCAL, RAY = "local", "ray"

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
"""Environment variables for Ray; they must be set before it is imported."""

GUARD = """
import shutil, signal, sys, psutil
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdin.read()
me = psutil.Process()
for process in psutil.process_iter():
    try:
        if process != me and ("ray" in process.name() or "gcs" in process.name()):
            names = [*process.cmdline(), *(file.path for file in process.open_files())]
            if any(sys.argv[1] in name for name in names):
                process.kill()
    except psutil.Error:
        pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""
"""Program of a process that waits for the end of this one, and then cleans up a local cluster.

Without it two of Ray's processes would keep looking for their head node for minutes after a
SIGKILL.
"""

MOVES = 2
"""How often a trial is moved after the loss of its worker, before it is assumed to be the cause."""

STATE_EVERY = 10.0
"""Seconds between copies of a trial's state to this machine; a lost node costs at most that."""

WAIT = 1.0
"""Seconds that a worker waits for news before it reports that there is none."""

ROOM = 300.0
"""Seconds to wait for free cores for the first worker."""

BROUGHT_HOME = ("state.npz", "weights.npz", "result.json")
"""Output files of a trial, in the order in which they are written here."""

KEPT = ".gristmill"
"""Folder of the arrays in Ray's working folder of a job, shared by the workers of a node."""

LEAVE = 5.0
"""Seconds for the workers to clean up at the end."""

Files = dict[str, bytes]


@dataclass(frozen=True)
class News:
    """News of a trial from a worker.

    Attributes:
        key: key of the trial; empty if none is running.
        epochs: reports since the last news.
        files: a saved state during training, or the output files at the end, by name.
        done: the report at the end.
    """

    key: str
    epochs: tuple[Epoch, ...]
    files: Files
    done: Done | None = None


class Seat:
    """An actor on a node, which trains one trial at a time and caches programs and arrays."""

    def __init__(self, threads: int, state_every: float) -> None:
        self._state_every = state_every
        os.environ.update(QUIET)
        self._bench = Bench(threads)
        self._news: queue.SimpleQueue[Epoch] = queue.SimpleQueue()
        self._key, self._folder = "", Path()
        self._brought = time.monotonic()
        self._written = 0  # modification time of the last state that was sent

    def environment(self) -> Mapping[str, str]:
        """Return what results depend on besides the experiment."""
        return environment()

    def train(self, request: Train, data: Mapping[str, Any], name: str, state: Files) -> News:
        """Train a trial.

        Args:
            request: the request, with the parent's paths.
            data: the bytes of the files in the request's folder `data`, each (n,) uint8.
            name: name of the folder for them on this node.
            state: output files of an earlier attempt.
        """
        rows = _kept(data, name)
        with tempfile.TemporaryDirectory(prefix="gristmill-") as folder:
            _write(Path(folder), state)
            self._folder, self._brought = Path(folder), time.monotonic()
            self._key = request.key
            here = replace(request, data=rows, folder=self._folder, modules=Path.cwd())
            done = carry_out(self._bench, here, self._news.put)
            self._key = ""
            return News(done.key, (), _read(Path(folder)), done)

    def news(self) -> News:
        """Return news of the running trial as soon as there is any, or after `WAIT` seconds."""
        epochs: list[Epoch] = []
        with suppress(queue.Empty):
            epochs.append(self._news.get(timeout=WAIT))
            while True:
                epochs.append(self._news.get_nowait())
        key, folder = self._key, self._folder
        return News(key, tuple(epochs), self._state(folder) if key else {})

    def leave(self) -> None:
        """Remove the arrays on this node."""
        shutil.rmtree(KEPT, ignore_errors=True)

    def _state(self, folder: Path) -> Files:
        now = time.monotonic()
        if now - self._brought < self._state_every:
            return {}
        self._brought = now
        with suppress(FileNotFoundError):
            state = folder / "state.npz"
            earlier, self._written = self._written, state.stat().st_mtime_ns
            if self._written != earlier:
                return {"state.npz": state.read_bytes()}
        return {}


@dataclass(eq=False)
class Actor:
    """A `Seat` on a node, as seen from this process.

    Attributes:
        handle: Ray's handle of the actor.
        folder: output folder of the trial that it trains.
        owed: Ray's references to pending answers, by kind of question.
    """

    handle: Any
    folder: Path = Path()
    owed: dict[str, Any] = field(default_factory=dict)


class RayPool(Scheduler[Actor]):
    """Actors of a Ray cluster; the results are those of `Pool`, bit for bit.

    A node with another processor, other packages or other code would give other results: its
    workers get no work. A trial whose worker is lost is moved to another one, and resumed from the
    last state that was copied to this machine.

    Args:
        address: address of a running cluster (`HOST:PORT`, `auto`, `ray://HOST:10001`); if None, a
            local cluster is started, and ended with the pool.
        experiments: folder of a user's own modules.
        tell: called with lines for the user about refused or lost nodes.

    Attributes:
        state_every: seconds between copies of a trial's state to this machine.
    """

    moves = MOVES
    state_every = STATE_EVERY

    def __init__(
        self, address: str | None, experiments: Path, tell: Callable[[str], object]
    ) -> None:
        super().__init__(tell)
        self._address, self._experiments = address, experiments
        self._ray: Any = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._greeting: list[Actor] = []
        self._refused: list[Actor] = []
        self._reasons: set[str] = set()
        self._stillborn = 0
        self._room = 0.0  # deadline for a worker to start
        self._arrays: dict[Path, Any] = {}

    def slots(self, threads: int) -> int:
        """Return how many trials with this number of threads the cluster can run."""
        self._connect()
        nodes = [node["Resources"].get("CPU", 0) for node in self._ray.nodes() if node["Alive"]]
        return max(sum(int(cpus // threads) for cpus in nodes), 1)

    def _prepare(self) -> None:
        self._connect()
        self._room = time.monotonic() + ROOM

    @property
    def _starting(self) -> int:
        return len(self._greeting)

    def _start(self) -> None:
        options = {"max_concurrency": 2, "max_restarts": 0, "max_task_retries": 0}
        remote = self._ray.remote(Seat).options(num_cpus=self._threads, **options)
        actor = Actor(remote.remote(self._threads, self.state_every))
        actor.owed["environment"] = actor.handle.environment.remote()
        self._greeting.append(actor)

    def _send(self, worker: Actor, request: Request) -> None:
        if not isinstance(request, Train):
            raise TypeError("Ray workers accept only training requests")
        if request.data not in self._arrays:
            files = (file for file in sorted(request.data.iterdir()) if file.is_file())
            data = {file.name: np.fromfile(file, dtype=np.uint8) for file in files}
            name = f"{self._ray.get_runtime_context().get_job_id()}-{len(self._arrays)}"
            self._arrays[request.data] = self._ray.put(data), name
        worker.folder = request.folder
        state = _read(request.folder, only=("state.npz",))
        train = worker.handle.train
        worker.owed["answer"] = train.remote(request, *self._arrays[request.data], state)
        self._ask_for_news(worker)
        self._room = time.monotonic() + ROOM

    def _ask_for_news(self, worker: Actor) -> None:
        if "news" not in worker.owed:
            worker.owed["news"] = worker.handle.news.remote()

    def _hear(self) -> Iterator[tuple[Actor, Epoch | Done | Ready | Lost]]:
        owed = {
            ref: (worker, what)
            for worker in (*self._busy, *self._greeting)
            for what, ref in worker.owed.items()
        }
        ready, _ = self._ray.wait([*owed], num_returns=1, timeout=WAIT)
        if not ready and not self._busy and time.monotonic() > self._room:
            raise self._no_room()
        if ready:  # take all that are ready, so that none waits for long
            ready, _ = self._ray.wait([*owed], num_returns=len(owed), timeout=0)
        for ref in ready:
            worker, what = owed[ref]
            del worker.owed[what]
            if what == "environment":
                yield from self._greet(worker, ref)
            elif worker in self._busy:  # else it was lost, or finished before this news
                yield from self._take_in(worker, ref)

    def _take_in(self, worker: Actor, ref: Any) -> Iterator[tuple[Actor, Epoch | Done | Lost]]:
        """Yield a busy worker's reports, and write the files that came with them."""
        key = self._busy[worker].key
        try:
            said: News = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            yield worker, Lost(first_line(error))
            return
        if said.key == key:
            _write(worker.folder, said.files)
        if said.done is not None:
            yield worker, said.done
            return
        self._ask_for_news(worker)
        yield from ((worker, epoch) for epoch in said.epochs if epoch.key == key)

    def _greet(self, worker: Actor, ref: Any) -> Iterator[tuple[Actor, Ready]]:
        """Accept a new actor if its node is like this machine; else refuse it."""
        self._greeting.remove(worker)
        try:
            theirs: Mapping[str, str] = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            self._stillborn += 1
            if self._stillborn <= MOVES:  # perhaps only its node was lost
                return
            raise EnvironmentFault(
                "a node of the Ray cluster cannot train",
                expected="the packages of this environment on each node",
                found=str(error).strip().splitlines()[-1].strip()[:300],
            ) from error
        self._stillborn = 0
        ours = environment()
        other = [name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name)]
        if not other:
            yield worker, Ready()
            return
        self._refused.append(worker)  # occupies its cores, so that the next starts on another node
        reason = ", ".join(
            f"{n}: {ours.get(n, 'none')} here, {theirs.get(n, 'none')} there" for n in other
        )
        if reason not in self._reasons:
            self._tell(f"a node gets no trials, because its results would differ: {reason}")
        self._reasons.add(reason)
        if len(self._refused) >= self.slots(self._threads):
            raise self._no_room()

    def _no_room(self) -> EnvironmentFault:
        return EnvironmentFault(
            "the Ray cluster has no node for the trials",
            expected=f"{self._threads} free cores on a node like this machine",
            found="; ".join(sorted(self._reasons)) or "none within five minutes",
            next="ray status; or omit --on to train on this machine",
        )

    def _connect(self) -> None:
        if self._ray is not None:
            return
        began = time.monotonic()
        os.environ.update(SETTINGS)
        if self._address is None:
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        if importlib.util.find_spec("ray") is None:
            raise EnvironmentFault(
                "Ray is not installed",
                expected="the package ray, for --on ray",
                next=".venv/bin/uv pip install --python .venv 'ray>=2.50,<3'",
            )
        import ray

        logging.getLogger("ray").setLevel(logging.ERROR)
        place: dict[str, Any] = {"address": self._address}
        if self._address is None:
            scratch = Path(tempfile.mkdtemp(prefix="gristmill-ray-"))
            self._guard = subprocess.Popen(
                [sys.executable, "-c", GUARD, str(scratch)],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
            place = {"address": "local", "include_dashboard": False, "_temp_dir": str(scratch)}
        told_to_end = signal.getsignal(signal.SIGTERM)  # Ray replaces the handler
        try:
            ray.init(
                **place,
                runtime_env={
                    "py_modules": [gristmill.__path__[0]],
                    "working_dir": str(self._experiments),
                    "env_vars": QUIET,
                    "excludes": ["__pycache__"],
                },
                configure_logging=False,
                log_to_driver=False,
                namespace="gristmill",
            )
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            self._clear_up()
            raise EnvironmentFault(
                "the Ray cluster does not answer" if self._address else "Ray does not start",
                expected=f"a cluster at {self._address}" if self._address else "",
                found=first_line(error),
                next="ray status --address ADDRESS; RAY_AUTH_MODE=token if the cluster uses one; "
                "or omit --on to train on this machine",
            ) from error
        finally:
            signal.signal(signal.SIGTERM, told_to_end)
        self._ray = ray
        self.spent["waiting"] += time.monotonic() - began

    def stop(self) -> None:
        """End all workers at once."""
        self._end([*self._greeting, *self._refused])
        self._greeting.clear()
        self._refused.clear()
        super().stop()

    def _end(self, workers: Sequence[Actor]) -> None:
        for worker in workers:
            self._ray.kill(worker.handle)

    def close(self) -> None:
        """End the workers for good, and the cluster if it was started here."""
        if self._ray is None:
            return
        with suppress(Exception):  # the cluster must end whatever its state
            self._ray.get([actor.handle.leave.remote() for actor in self._idle], timeout=LEAVE)
        with suppress(Exception):
            self.stop()
        self._ray.shutdown()
        self._ray = None
        self._clear_up()

    def _clear_up(self) -> None:
        if self._guard is not None:
            self._guard.communicate()
            self._guard = None


def address_of(on: str) -> str | None:
    """Return the address in `ray:ADDRESS` or `ray://HOST:PORT`; None for `ray`.

    Raises:
        InputError: the text has another form.
    """
    kind, _, address = on.partition(":")
    if kind != RAY or (":" in on and not address):
        raise InputError(
            f"trials cannot be trained on {on}",
            expected="local, ray (a new cluster on this machine), ray:ADDRESS or ray://HOST:10001",
        )
    return (on if address.startswith("//") else address) or None


def _kept(data: Mapping[str, Any], name: str) -> Path:
    """Return this node's folder with these files; the first worker that needs it writes it."""
    folder = Path.cwd() / KEPT / name
    if not folder.exists():
        aside = folder.with_name(f"{name}.{os.getpid()}")
        aside.mkdir(parents=True)
        for file, content in data.items():
            content.tofile(aside / file)
        try:
            aside.rename(folder)
        except OSError:  # another worker was first
            shutil.rmtree(aside)
    return folder


def _read(folder: Path, only: tuple[str, ...] = BROUGHT_HOME) -> Files:
    files = ((name, folder / name) for name in only)
    return {name: file.read_bytes() for name, file in files if file.is_file()}


def _write(folder: Path, files: Files) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with writing(folder / name) as aside:
            aside.write_bytes(content)
