"""A separate process that loads a package without this project and predicts rows with it.

Run by path, never imported. It reads one JSON request per line from standard input and writes one
JSON reply per line. While a package is loaded and predicts, it must not write outside its own
folder and the temporary folder, use the network or start a process. Python's audit events detect
this, except for what compiled code does on its own.
"""

import gc
import importlib
import json
import logging
import math
import os
import select
import shutil
import statistics
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIBRARIES = ("tensorflow", "keras")
"""Libraries that take seconds to import; their import is not part of the measured time."""

OURS = {"gristmill"}

LONGEST = 1.0
"""Time limit in seconds for predicting a large batch of repeated rows."""

ENOUGH = 0.3
"""Seconds after which single rows are no longer predicted, once there were `FEWEST`."""

FEWEST = 4

FEW = 64
"""Largest number of rows passed through MLflow, which checks each value even of untyped columns;
for a thousand wide rows this takes a second."""

LONGEST_ERROR = 1500
"""Characters kept of an error: its end, because MLflow puts all column names first."""

NETWORK = {
    "socket.connect": "connects to",
    "socket.bind": "listens on",
    "socket.sendto": "sends to",
    "socket.sendmsg": "sends to",
    "socket.getaddrinfo": "looks up",
    "socket.gethostbyname": "looks up",
    "socket.gethostbyaddr": "looks up",
}
STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"}
CHANGES = {
    "os.rename": 2, "os.link": 2, "os.symlink": 2, "os.remove": 1, "os.rmdir": 1, "os.mkdir": 1,
    "os.truncate": 1, "os.chmod": 1, "os.chown": 1, "shutil.rmtree": 1, "sqlite3.connect": 1,
}  # fmt: skip
"""Audit events that change files, and how many of their first arguments are paths."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class AuditWatch:
    """Audit hook that, while it is on, records and refuses forbidden actions."""

    def __init__(self) -> None:
        self._strayed: list[str] = []
        self._allowed: tuple[str, ...] = ()
        self._on = False

    @contextmanager
    def over(self, *folders: str) -> Iterator[None]:
        """Allow writing only to these folders and to devices."""
        self._allowed = ("/dev/", *(f"{os.path.realpath(folder)}{os.sep}" for folder in folders))
        self._on = True
        try:
            yield
        finally:
            self.end()

    def end(self) -> None:
        """Turn the watch off."""
        self._on = False

    def taken(self) -> list[str]:
        """Return the actions recorded since the last call."""
        taken, self._strayed = self._strayed, []
        return taken

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._on and (deed := self._deed(event, arguments)):
            self._strayed.append(deed)
            raise PermissionError(f"not allowed while a package is rehearsed: it {deed}")

    def _deed(self, event: str, arguments: tuple[Any, ...]) -> str:
        if event == "open":
            place, mode, flags = arguments
            writes = flags & WRITING if mode is None else set(mode) & set("wax+")
            return f"writes {place}" if writes and self._outside(place) else ""
        if event in CHANGES:
            for place in arguments[: CHANGES[event]]:
                if self._outside(place) and not _within_a_folder(arguments):
                    return f"changes {place}"
        if event in NETWORK:
            return f"{NETWORK[event]} {_address(event, arguments)}"
        return f"starts a process: {arguments[:2]}"[:200] if event in STARTS else ""

    def _outside(self, place: Any) -> bool:
        if isinstance(place, int) or place == ":memory:":  # a file that is already open
            return False
        self._on = False  # realpath must not trigger the hook
        try:
            return not os.path.realpath(os.fsdecode(place)).startswith(self._allowed)
        finally:
            self._on = True


def _within_a_folder(arguments: tuple[Any, ...]) -> bool:
    """Return whether a path is relative to an open folder, whose own path was checked already."""
    return any(isinstance(one, int) and one >= 0 for one in arguments[-2:])


def _address(event: str, arguments: tuple[Any, ...]) -> str:
    where = arguments[0] if event.startswith("socket.get") else arguments[-1]
    return ":".join(map(str, where[:2])) if isinstance(where, tuple) else str(where)


def main() -> None:
    """Import the libraries of packages, then serve requests.

    The command-line arguments are a folder to delete at the end and further modules to import.
    """
    watch = AuditWatch()
    threading.Thread(target=_end_with_parent, args=[watch], daemon=True).start()
    warnings.simplefilter("ignore")
    replies, sys.stdout = sys.stdout, sys.stderr  # a package may print anything
    logging.disable(logging.WARNING)
    gc.disable()  # saves a fifth of the import time
    for name in ("pandas", "pyarrow.parquet", "mlflow", "mlflow.pyfunc", *sys.argv[2:]):
        importlib.import_module(name)  # before the first request, which would wait for it
    gc.freeze()
    gc.enable()
    sys.addaudithook(watch)
    for line in sys.stdin:
        reply: dict[str, Any] = {}
        try:
            _try(json.loads(line), watch, reply)
        except Exception as error:  # any exception of a package is part of the reply
            reply["error"] = _said(error)
        ours = [name for name in sys.modules if name.partition(".")[0] in OURS]
        reply |= {"imported": ours, "strayed": watch.taken()}
        for name in ours:  # to detect the import by the next package as well
            del sys.modules[name]
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _try(request: dict[str, Any], watch: AuditWatch, reply: dict[str, Any]) -> None:
    """Load a package, and predict the requested rows into `reply` and the file of answers."""
    import mlflow
    import pandas as pd

    folder = request["package"]
    reply["requirements"] = _requirements(Path(folder))
    _import_libraries(reply["requirements"])
    sys.dont_write_bytecode = True  # the package's modules are in the store
    rows = pd.read_parquet(request["rows"])
    tables: dict[str, Any] = {}
    with watch.over(folder, tempfile.gettempdir()):
        began = time.perf_counter()
        model = mlflow.pyfunc.load_model(
            folder, suppress_warnings=True
        )  # versions are compared elsewhere
        if request["single"]:
            tables["single"] = _one_by_one(model, rows.head(request["single"]), began, reply)
        reply["errors"] = _ask(model, rows, request["asks"], tables)
    if tables:
        every = [table.assign(ask=name) for name, table in tables.items()]
        pd.concat(every, ignore_index=True).to_parquet(request["answers"])


def _one_by_one(model: Any, rows: Any, began: float, reply: dict[str, Any]) -> Any:
    """Predict rows one by one; adds the time of the first and of later ones to `reply`."""
    import pandas as pd

    made, latencies = [_answers(model, rows.head(1))], []
    start = time.perf_counter() - began
    for place in range(1, len(rows)):
        before = time.perf_counter()
        made.append(_answers(model, rows.iloc[[place]]))
        latencies.append(time.perf_counter() - before)
        if sum(latencies) > ENOUGH and place >= FEWEST:
            break
    latency = statistics.median(latencies) if latencies else start
    reply["measured"] = {"start_seconds": start, "latency_ms": 1000 * latency}
    return pd.concat(made)


def _ask(
    model: Any, rows: Any, asks: Mapping[str, Mapping[str, Any]], tables: dict[str, Any]
) -> dict[str, str]:
    """Store the predictions for each question in `tables`; return the errors of the others."""
    errors, pace = {}, math.inf
    for name, ask in asks.items():
        count = ask["rows"]
        if count > len(rows):
            count = _bearable(model, rows, count, pace)
        frame = _frame(rows, count, ask)
        before = time.perf_counter()
        try:
            tables[name] = _answers(model, frame)
        except Exception as error:
            errors[name] = _said(error)
        else:
            pace = min(pace, (time.perf_counter() - before) / max(count, 1))
    return errors


def _bearable(model: Any, rows: Any, wanted: int, pace: float) -> int:
    """Return how many of the wanted rows can be predicted in `LONGEST` seconds.

    Args:
        model: the loaded package.
        rows: raw rows, repeated as needed.
        wanted: largest number of rows.
        pace: seconds per row in small batches; large batches need less.
    """
    some = int(LONGEST / pace / 4)
    if len(rows) < some < wanted:
        frame = rows.iloc[[place % len(rows) for place in range(some)]]
        before = time.perf_counter()
        _answers(model, frame)
        pace = (time.perf_counter() - before) / some
    return max(len(rows), min(wanted, int(LONGEST / pace)))


def _frame(rows: Any, count: int, ask: Mapping[str, Any]) -> Any:
    """Return the first `count` rows, repeated as needed, with the changes of a question."""
    import numpy as np

    frame = rows.iloc[np.resize(np.arange(len(rows)), count)].reset_index(drop=True)
    for name, value in ask["put"].items():  # `assign` takes no column named self
        frame[name] = value
    for place, name in enumerate(ask["gaps"]):
        frame[name] = frame[name].where(np.arange(count) != place, None)
    return frame if ask["columns"] is None else frame[ask["columns"]]


def _answers(model: Any, rows: Any) -> Any:
    """Return the predictions of a package, one row for each raw row.

    Raises:
        TypeError: the package returned anything else.
    """
    import pandas as pd

    few = len(rows) <= FEW
    made = model.predict(rows) if few else model.unwrap_python_model().predict(None, rows)
    if not isinstance(made, pd.DataFrame):
        raise TypeError(f"the answer is not a table but {type(made).__name__}")
    if len(made) != len(rows):
        raise TypeError(f"{len(made):,} answers for {len(rows):,} rows")
    return made


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[-LONGEST_ERROR:]}"


def _requirements(folder: Path) -> list[str]:
    file = folder / "requirements.txt"
    return file.read_text(encoding="utf-8").split() if file.is_file() else []


def _import_libraries(requirements: Sequence[str]) -> None:
    """Import those of `LIBRARIES` that the package requires."""
    named = {line.partition("==")[0].removesuffix("-cpu") for line in requirements}
    for name in LIBRARIES:
        if name in named:
            importlib.import_module(name)


def _end_with_parent(watch: AuditWatch) -> None:
    """End this process at any point when the other end of standard input is closed."""
    ears = select.poll()
    ears.register(sys.stdin.fileno(), 0)  # 0: report only the hang-up
    ears.poll()
    watch.end()
    for folder in sys.argv[1:2]:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(9)


if __name__ == "__main__":
    main()
