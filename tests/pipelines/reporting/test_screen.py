"""The time of a run by part."""

from __future__ import annotations

import io
import threading
import time

import pytest
from rich.console import Console

from gristmill.flows.page.report import time_line
from gristmill.pipelines.reporting.records import Table
from gristmill.pipelines.reporting.screen import Screen


@pytest.fixture
def screen() -> Screen:
    return Screen(Console(file=io.StringIO()))


def test_parts_follow_one_another_and_sum_to_the_wall_clock(screen: Screen) -> None:
    with screen.step("outer"), screen.part("inner"):
        time.sleep(0.02)
        with screen.part("inmost"):
            time.sleep(0.01)
    with screen.part("inner"):
        time.sleep(0.01)
    first = time.monotonic() - screen.began
    parts = screen.parts()
    assert first <= sum(parts.values()) <= time.monotonic() - screen.began
    assert parts["inner"] >= 0.03
    assert parts["inmost"] >= 0.01
    assert [*parts][-1] == "rest"
    assert [*parts.values()][:-1] == sorted([*parts.values()][:-1], reverse=True)


def test_time_measured_by_another_clock_is_not_counted_twice(screen: Screen) -> None:
    with screen.step("search"):
        time.sleep(0.03)
        screen.spend({"training": 0.02, "waiting": 0.005})
    assert screen.times["training"] == 0.02
    assert screen.times["search"] >= 0.005
    assert sum(screen.parts().values()) <= time.monotonic() - screen.began


def test_a_parallel_thread_adds_no_time_to_the_run(screen: Screen) -> None:
    def beside() -> None:
        with screen.part("beside"):
            pass

    thread = threading.Thread(target=beside)
    thread.start()
    thread.join()
    assert screen.times == {}


def test_the_log_has_the_lines_of_tables_and_no_blank_ones() -> None:
    logged: list[str] = []
    screen = Screen(Console(file=io.StringIO()), log=logged.append)
    screen.say("first")
    screen.say("")
    screen.show(Table(("trial", "score"), [("single", "0.96")]))
    assert [line.split() for line in (logged[0], logged[1], logged[-1])] == [
        ["first"],
        ["trial", "score"],
        ["single", "0.96"],
    ]
    assert all(line.strip() for line in logged)


def test_the_line_names_the_long_parts_and_sums_up_the_short_ones() -> None:
    parts = {"training": 90.0, "waiting": 8.0, "gate": 1.0, "rest": 1.0}
    assert time_line(parts) == "time  100.0 s: training 90.0, waiting 8.0, rest 2.0"


def test_a_long_line_of_a_step_is_broken_at_words_and_keeps_its_indent() -> None:
    written = io.StringIO()
    screen = Screen(Console(file=written, width=30, force_terminal=True, color_system=None))
    screen.say("  ✓ pictures 2.1 s  confusion_matrix, calibration")
    lines = [line.rstrip() for line in written.getvalue().splitlines()]
    assert lines == ["  ✓ pictures 2.1 s", "  confusion_matrix,", "  calibration"]


def test_a_long_judgement_is_broken_at_words_and_keeps_its_indent() -> None:
    written = io.StringIO()
    screen = Screen(Console(file=written, width=30, force_terminal=True, color_system=None))
    screen.judge(False, "mlflow is older than expected; update it")
    lines = [line.rstrip() for line in written.getvalue().splitlines()]
    assert lines == ["bad mlflow is older than", "    expected; update it"]
