"""Distribution of requests to workers, some of which are lost on demand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from gristmill.pipelines.workers.messages import Call, Done, Epoch, Request
from gristmill.pipelines.workers.scheduler import Lost, Ready, Scheduler


def named(key: str) -> Request:
    request = Call(len, ("",))
    object.__setattr__(request, "key", key)
    return request


class Numbered(Scheduler[int]):
    """A scheduler of numbered workers that answer at once; `losses` counts lost workers by key."""

    def __init__(self, losses: dict[str, int] | None = None, slow: bool = False) -> None:
        self.lines: list[str] = []
        super().__init__(self.lines.append)
        self.losses, self.slow = Counter(losses or {}), slow
        self.sent: list[tuple[int, str]] = []
        self.dead: set[int] = set()
        self.ended: list[int] = []
        self.most = self.started = 0
        self.coming: list[int] = []

    def slots(self, threads: int) -> int:
        return 2

    @property
    def _starting(self) -> int:
        return len(self.coming)

    def _start(self) -> None:
        self.started += 1
        (self.coming if self.slow else self._idle).append(self.started)

    def _send(self, worker: int, request: Request) -> None:
        self.sent.append((worker, request.key))
        self.most = max(self.most, len(self._busy))

    def _hear(self) -> Iterator[tuple[int, Epoch | Done | Ready | Lost]]:
        while self.coming:
            yield self.coming.pop(0), Ready()
        for worker, request in list(self._busy.items()):
            if self.losses[request.key]:
                self.losses[request.key] -= 1
                yield worker, Lost("gone")
            else:
                yield worker, Done(request.key)

    def _lives(self, worker: int) -> bool:
        return worker not in self.dead

    def _end(self, workers: Sequence[int]) -> None:
        self.ended += workers


def carried_out(scheduler: Numbered, keys: str, workers: int = 2) -> dict[str, object]:
    asked = iter([named(key) for key in keys])
    told = scheduler.train(lambda: next(asked, None), workers, 1)
    return {done.key: done.error for done in told if isinstance(done, Done)}


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_each_request_is_carried_out_once_by_the_given_number_of_workers(
    workers: int, slow: bool
) -> None:
    scheduler = Numbered(slow=slow)
    assert carried_out(scheduler, "abcde", workers) == dict.fromkeys("abcde")
    assert sorted(key for _, key in scheduler.sent) == list("abcde")
    assert scheduler.most == scheduler.started == workers


def test_the_request_of_a_lost_worker_is_repeated_before_others_start() -> None:
    scheduler = Numbered({"a": 1})
    assert carried_out(scheduler, "abc", 1) == {"a": None, "b": None, "c": None}
    assert scheduler.sent == [(1, "a"), (2, "a"), (2, "b"), (2, "c")]
    assert scheduler.lines == ["a worker was lost; trial a moves to another one"]


@pytest.mark.parametrize(("moves", "words"), [(1, "twice"), (2, "3 times")])
def test_a_request_that_loses_too_many_workers_fails(moves: int, words: str) -> None:
    scheduler = Numbered({"a": 9})
    scheduler.moves = moves
    assert carried_out(scheduler, "ab") == {"a": f"its process ended {words}: gone", "b": None}


def test_a_dead_idle_worker_receives_no_request() -> None:
    scheduler = Numbered()
    carried_out(scheduler, "a", 1)
    scheduler.dead.add(1)
    carried_out(scheduler, "b", 1)
    assert scheduler.sent == [(1, "a"), (2, "b")]


def test_workers_end_when_a_search_is_cut_short_or_needs_another_thread_count() -> None:
    scheduler = Numbered()
    asked = iter([named(key) for key in "abc"])
    told = scheduler.train(lambda: next(asked, None), 2, 1)
    next(told)
    told.close()  # type: ignore[attr-defined]
    assert sorted(scheduler.ended) == [1, 2]
    carried_out(scheduler, "d", 1)
    list(scheduler.train(lambda: None, 1, threads=4))
    assert scheduler.ended[2:] == [3]
