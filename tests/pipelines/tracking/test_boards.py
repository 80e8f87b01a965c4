"""Event files, read by TensorBoard itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gristmill.pipelines.tracking.boards import Board

HISTORY = {"loss": [3.0, 2.0, 1.0], "val_loss": [4.0, 2.5, 3.5], "accuracy": [0.5, 0.6, 0.75]}
LOGS = [{name: values[step] for name, values in HISTORY.items()} for step in range(3)]


def curves(folder: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Return steps and values, by run and tag."""
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    read: Any = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
    return {
        run: {
            tag: [(e.step, round(e.value, 6)) for e in read.Scalars(run, tag)]
            for tag in tags["scalars"]
        }
        for run, tags in read.Runs().items()
    }


WHOLE = {
    "units=3 kkkkkkkk/train": {
        "loss": [(1, 3.0), (2, 2.0), (3, 1.0)],
        "accuracy": [(1, 0.5), (2, 0.6), (3, 0.75)],
    },
    "units=3 kkkkkkkk/validation": {"loss": [(1, 4.0), (2, 2.5), (3, 3.5)]},
}


def board(folder: Path) -> Board:
    return Board(folder, "k" * 32, "units=3")


def test_curves_exist_while_the_trial_runs_and_are_complete_at_its_end(tmp_path: Path) -> None:
    one = board(tmp_path)
    one.add(2, LOGS[:2], now=5.0)
    half = curves(tmp_path)["units=3 kkkkkkkk/validation"]
    assert half == {"loss": [(1, 4.0), (2, 2.5)]}
    one.close(HISTORY, now=6.0)
    assert curves(tmp_path) == WHOLE


def test_a_resumed_or_repeated_trial_has_each_epoch_once(tmp_path: Path) -> None:
    killed = board(tmp_path)
    killed.add(1, LOGS[:1], now=5.0)
    resumed = board(tmp_path)
    resumed.add(2, LOGS[1:2], now=15.0)
    resumed.close(HISTORY, now=16.0)
    assert curves(tmp_path) == WHOLE
    again = board(tmp_path)
    again.add(1, LOGS[:1], now=25.0)
    again.close(HISTORY, now=26.0)
    assert curves(tmp_path) == WHOLE


def test_epochs_missing_before_a_resume_are_drawn_at_the_end(tmp_path: Path) -> None:
    one = board(tmp_path)
    one.add(3, LOGS[2:], now=5.0)
    assert curves(tmp_path) == {}
    one.close(HISTORY, now=6.0)
    assert curves(tmp_path) == WHOLE


@pytest.mark.parametrize("name", ["path=a/b", "x" * 300, "..", "a:b*?"])
def test_any_name_gives_a_valid_folder(tmp_path: Path, name: str) -> None:
    Board(tmp_path, "k" * 32, name).close(HISTORY, now=6.0)
    assert len(curves(tmp_path)) == 2


def test_event_files_are_written_without_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from gristmill.pipelines.tracking.boards import Board; "
        f"Board(Path({str(tmp_path)!r}), 'k', 'a').add(1, [{{'loss': 1.0}}], 5.0); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert [*tmp_path.rglob("events.out.*")]
