"""The same trials on the nodes of a Ray cluster, with the same results."""

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
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import gristmill
from gristmill.pipelines.base import EnvironmentFault, InputError, writing
from gristmill.pipelines.training import LOST, environment
from gristmill.pipelines.workers.pool import QUIET, Spent, metered
from gristmill.pipelines.workers.worker import Bench, Done, Epoch, Train, carry_out

LOCAL, RAY = "local", "ray"

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
"""Ray's settings; they must stand in the environment before it is imported."""

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
"""A process that waits for the end of this one, and ends what a cluster of its own leaves behind.

Without it two of Ray's processes look for their head for some minutes after a SIGKILL.
"""

MOVES = 2
"""Times that a trial is begun elsewhere when its worker is lost; then it is taken for the cause."""

STATE_EVERY = 10.0
"""Seconds between two states of a trial that are brought home: what the loss of a node may cost."""

WAIT = 1.0
"""Seconds that a worker waits for news before it says that there are none."""

ROOM = 300.0
"""Seconds in which a cluster must have room for the first worker."""

BROUGHT_HOME = ("state.npz", "weights.npz", "result.json")
"""What a trial leaves, in the order in which it is written here."""

KEPT = ".gristmill"
"""In the folder that Ray gives a job on each node: the arrays, once for all of its workers."""

LEAVE = 5.0
"""Seconds in which workers may clear up when all is done."""

Files = dict[str, bytes]


@dataclass(frozen=True)
class News:
    """What a worker says while it trains: messages about epochs, and a saved state."""

    epochs: tuple[Epoch, ...]
    state: Files


@dataclass(frozen=True)
class Answer:
    """What a worker says at the end: the files that the trial left."""

    done: Done
    files: Files


class Seat:
    """An actor on a node: it trains one trial at a time, and keeps traced programs and arrays."""

    def __init__(self, threads: int, state_every: float) -> None:
        self._state_every = state_every
        os.environ.update(QUIET)
        self._bench = Bench(threads)
        self._news: queue.SimpleQueue[Epoch] = queue.SimpleQueue()
        self._folder: Path | None = None
        self._brought = time.monotonic()
        self._written = 0  # when the state was that was brought home last

    def environment(self) -> Mapping[str, str]:
        """What results depend on besides the experiment."""
        return environment()

    def train(self, request: Train, data: Mapping[str, Any], name: str, state: Files) -> Answer:
        """Trains a trial.

        Args:
            request: with the parent's paths.
            data: the bytes of the files in its `data`, each (n,) uint8.
            name: of the folder in which this node keeps them.
            state: files of its folder that an earlier attempt left.
        """
        rows = _kept(data, name)
        with tempfile.TemporaryDirectory(prefix="gristmill-") as folder:
            _write(Path(folder), state)
            self._folder, self._brought = Path(folder), time.monotonic()
            here = replace(request, data=rows, folder=self._folder, modules=Path.cwd())
            done = carry_out(self._bench, here, self._news.put)
            self._folder = None
            return Answer(done, _read(Path(folder)))

    def news(self) -> News:
        """What is new of the running trial; returns when there is something, or after a while."""
        epochs: list[Epoch] = []
        with suppress(queue.Empty):
            epochs.append(self._news.get(timeout=WAIT))
            while True:
                epochs.append(self._news.get_nowait())
        return News(tuple(epochs), self._state())

    def leave(self) -> None:
        """Removes what this node kept."""
        shutil.rmtree(KEPT, ignore_errors=True)

    def _state(self) -> Files:
        folder, now = self._folder, time.monotonic()
        if folder is None or now - self._brought < self._state_every:
            return {}
        self._brought = now
        with suppress(FileNotFoundError):
            state = folder / "state.npz"
            earlier, self._written = self._written, state.stat().st_mtime_ns
            if self._written != earlier:
                return {"state.npz": state.read_bytes()}
        return {}


class RayPool:
    """Actors of a Ray cluster, as `Pool` has processes; the results are the same, bit for bit.

    A node whose processor, packages or code are others than here would give other results: its
    workers are left without work. A trial whose worker is lost goes to another one, from the state
    that was brought home last.

    Args:
        address: of a running cluster (`HOST:PORT`, `auto`, `ray://HOST:10001`); none: one is
            started on this machine, and ended with the pool.
        experiments: the folder of a user's own modules.
        tell: takes lines about nodes that are refused or lost.

    Attributes:
        spent: where the time of the searches went.
        state_every: seconds between two states of a trial that are brought home.
    """

    state_every = STATE_EVERY

    def __init__(
        self, address: str | None, experiments: Path, tell: Callable[[str], object]
    ) -> None:
        self.spent = Spent()
        self._address, self._experiments, self._tell = address, experiments, tell
        self._ray: Any = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._threads = 0
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}
        self._refused: list[Any] = []
        self._reasons: set[str] = set()
        self._stillborn = 0
        self._arrays: dict[Path, Any] = {}

    def slots(self, threads: int) -> int:
        """Trials that the cluster can train at the same time."""
        self._connect()
        nodes = [node["Resources"].get("CPU", 0) for node in self._ray.nodes() if node["Alive"]]
        return max(sum(int(cpus // threads) for cpus in nodes), 1)

    def train(
        self, feed: Callable[[], Train | None], workers: int, threads: int
    ) -> Iterator[Epoch | Done]:
        """Carries out requests, side by side; yields what the workers report.

        Args:
            feed: see `Pool.train`.
            workers: actors at most.
            threads: of each.

        Raises:
            EnvironmentFault: the cluster has no node that will do.
        """
        self._connect()
        if threads != self._threads:
            self.stop()
            self._threads = threads
        busy: dict[Any, Train] = {}
        try:
            yield from metered(self._share(feed, busy, workers), busy, self.spent)
        finally:
            if busy:  # cut short: what the workers still say must not reach a later request
                for seat in busy:
                    self._ray.kill(seat)
                self.stop()

    def _share(
        self, feed: Callable[[], Train | None], busy: dict[Any, Train], workers: int
    ) -> Iterator[Epoch | Done]:
        waiting: deque[Train] = deque()
        lost: Counter[str] = Counter()
        refs: dict[Any, Any] = {}  # of answers and news, to the actor that owes them
        answers: set[Any] = set()
        listening: set[Any] = set()
        room = time.monotonic() + ROOM
        while True:
            while len(busy) + len(waiting) < workers and (request := feed()) is not None:
                waiting.append(request)
            while waiting and self._idle:
                seat = self._idle.pop()
                busy[seat] = waiting.popleft()
                answer = self._begin(seat, busy[seat])
                answers.add(answer)
                refs[answer] = seat
                if seat not in listening:
                    refs[seat.news.remote()] = seat
                    listening.add(seat)
                room = time.monotonic() + ROOM
            if not busy and not waiting:
                return
            while len(self._starting) < len(waiting) and self._size(busy) < workers:
                seat = self._start()
                self._starting[seat.environment.remote()] = seat
            ready, _ = self._ray.wait([*refs, *self._starting], num_returns=1, timeout=WAIT)
            if not ready and not busy and time.monotonic() > room:
                raise self._no_room()
            for ref in ready:
                if ref in self._starting:
                    self._greet(ref)
                    continue
                seat = refs.pop(ref)
                answered = ref in answers
                answers.discard(ref)
                if not answered:
                    listening.discard(seat)
                if seat not in busy:  # it is lost, or has answered before this news came
                    continue
                request = busy[seat]
                try:
                    said = self._ray.get(ref)
                except self._ray.exceptions.RayError as error:
                    del busy[seat]
                    lost[request.key] += 1
                    if lost[request.key] > MOVES:
                        yield Done(request.key, f"{LOST}: {_first_line(error)}")
                        continue
                    self._tell(f"a worker was lost; trial {request.key[:8]} goes elsewhere")
                    waiting.appendleft(request)
                    continue
                if answered:
                    del busy[seat]
                    self._idle.append(seat)
                    _write(request.folder, said.files)
                    yield said.done
                    continue
                refs[seat.news.remote()] = seat
                listening.add(seat)
                _write(request.folder, said.state)
                yield from (epoch for epoch in said.epochs if epoch.key == request.key)

    def _begin(self, seat: Any, request: Train) -> Any:
        if request.data not in self._arrays:
            files = (file for file in sorted(request.data.iterdir()) if file.is_file())
            data = {file.name: np.fromfile(file, dtype=np.uint8) for file in files}
            name = f"{self._ray.get_runtime_context().get_job_id()}-{len(self._arrays)}"
            self._arrays[request.data] = self._ray.put(data), name
        state = _read(request.folder, only=("state.npz",))
        return seat.train.remote(request, *self._arrays[request.data], state)

    def _greet(self, ref: Any) -> None:
        """A new actor has work to do if its node is like this machine."""
        seat = self._starting.pop(ref)
        try:
            theirs: Mapping[str, str] = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            self._stillborn += 1
            if self._stillborn <= MOVES:  # its node may just have been lost
                return
            raise EnvironmentFault(
                "a node of the Ray cluster cannot train",
                expected="the packages of this environment on each node",
                found=_last_line(error),
            ) from error
        self._stillborn = 0
        ours = environment()
        other = [name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name)]
        if not other:
            self._idle.append(seat)
            return
        self._refused.append(seat)  # it keeps its place, so that the next one is put elsewhere
        reason = ", ".join(
            f"{n}: {ours.get(n, 'none')} here, {theirs.get(n, 'none')} there" for n in other
        )
        if reason not in self._reasons:
            self._tell(f"a node would give other results and gets no trials: {reason}")
        self._reasons.add(reason)
        if len(self._refused) >= self.slots(self._threads):
            raise self._no_room()

    def _no_room(self) -> EnvironmentFault:
        return EnvironmentFault(
            "the Ray cluster has no node for the trials",
            expected=f"{self._threads} free cores on a node like this machine",
            found="; ".join(sorted(self._reasons)) or "none within five minutes",
            next="ray status; or train here: leave --on out",
        )

    def _size(self, busy: Mapping[Any, Any]) -> int:
        return len(busy) + len(self._idle) + len(self._starting)

    def _start(self) -> Any:
        actor = self._ray.remote(Seat).options(
            num_cpus=self._threads, max_concurrency=2, max_restarts=0, max_task_retries=0
        )
        return actor.remote(self._threads, self.state_every)

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
            place = {
                "address": "local",
                "include_dashboard": False,
                "_temp_dir": str(scratch),
            }
        told_to_end = signal.getsignal(signal.SIGTERM)  # which Ray makes its own
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
                found=_first_line(error),
                next="ray status --address ADDRESS; RAY_AUTH_MODE=token where the cluster has one; "
                "or train here: leave --on out",
            ) from error
        finally:
            signal.signal(signal.SIGTERM, told_to_end)
        self._ray = ray
        self.spent.waiting += time.monotonic() - began

    def stop(self) -> None:
        """Ends all workers at once."""
        for seat in (*self._idle, *self._starting.values(), *self._refused):
            self._ray.kill(seat)
        self._idle.clear()
        self._starting.clear()
        self._refused.clear()

    def close(self) -> None:
        """Ends the workers for good, and the cluster if it was started here."""
        if self._ray is None:
            return
        with suppress(Exception):  # whatever state it is in, it ends
            self._ray.get([seat.leave.remote() for seat in self._idle], timeout=LEAVE)
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
    """The address in `ray:ADDRESS` or `ray://HOST:PORT`; none in `ray`.

    Raises:
        InputError: it is neither of these.
    """
    kind, _, address = on.partition(":")
    if kind != RAY or (":" in on and not address):
        raise InputError(
            f"trials cannot be trained on {on}",
            expected="local, ray (one of its own, on this machine), ray:ADDRESS or ray://HOST:10001",
        )
    return (on if address.startswith("//") else address) or None


def _kept(data: Mapping[str, Any], name: str) -> Path:
    """A folder of this node with these files; the first worker to need it writes it."""
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


def _first_line(error: BaseException) -> str:
    return _lines(error)[0]


def _last_line(error: BaseException) -> str:
    return _lines(error)[-1]


def _lines(error: BaseException) -> list[str]:
    lines = [line.strip()[:300] for line in str(error).splitlines() if line.strip()]
    return lines or [type(error).__name__]
