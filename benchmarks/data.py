"""The four data stages compared with the same work in pandas and scikit-learn by hand.

    python benchmarks/data.py [--rows 2000000] [--format csv parquet] [--only gristmill]

Every stage is the real command in a separate project; the script by hand is one process. Imports
and start-up count in both. Memory is the peak of any single process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STAGES = ("ingest", "validate", "split", "scale")
WAYS = ("gristmill", "pandas")
LEVELS = {"colour": ["red", "green", "blue", "black"], "grade": list("ABCDE")}
EXPERIMENT: dict[str, Any] = {
    "data": {"target": "bought", "task": "classification"},
    "schema": {
        "rows": {"min": 1000},
        "columns": {
            "id": {"type": "integer", "unique": True, "missing": "never"},
            "age": {"type": "integer", "min": 18, "max": 120, "missing": "never"},
            "visits": {"type": "integer", "min": 0, "missing": "never"},
            "clicks": {"type": "integer", "min": 0, "missing": 0.1},
            "year": {"type": "integer", "min": 1900, "max": 2100, "missing": "never"},
            "seen": {"type": "date", "missing": "never"},
            "born": {"type": "date", "missing": "never"},
            "code": {"type": "text", "matches": "[0-9]{5}"},
            **{name: {"one_of": levels} for name, levels in LEVELS.items()},
            **{name: {"type": "number", "min": -1e4, "max": 1e4} for name in ("income", "score")},
            **{name: {"type": "number", "missing": 0.2} for name in ("spent", "rate", "ratio")},
            "bought": {"one_of": [0, 1], "missing": "never"},
        },
    },
    "split": {"test": 0.2, "validation": 0.2, "stratify": True, "seed": 0},
    "features": {"exclude": ["id", "code"]},
    "model": {"layers": []},
}


@dataclass(frozen=True)
class Cost:
    """Resources of a process: wall-clock seconds, CPU seconds of all cores, and peak MiB."""

    seconds: float
    busy: float
    mib: float


def cost_of(command: list[str], folder: Path) -> Cost:
    """Run a command to its end, and measure it with its children."""
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    seconds = time.perf_counter() - began
    kib = 1 if sys.platform == "linux" else 1024
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / kib / 1024)


def gristmill(file: Path, folder: Path) -> dict[str, Cost]:
    """Return the costs of the stages in a new project with the file as its data set."""
    data = folder / "data" / "bench"
    for made in (data, folder / "experiments"):
        made.mkdir(parents=True)
    (folder / "dvc.yaml").touch()
    (data / file.name).hardlink_to(file)
    experiment = {**EXPERIMENT, "data": {**EXPERIMENT["data"], "path": f"data/bench/{file.name}"}}
    (folder / "experiments" / "bench.yaml").write_text(json.dumps(experiment))
    command = str(Path(sys.executable).parent / "gristmill")
    return {stage: cost_of([command, "stage", stage, "bench"], folder) for stage in STAGES}


def pandas(file: Path, folder: Path) -> dict[str, Cost]:
    """Run the script by hand as one process; return its cost."""
    command = [sys.executable, str(HERE / Path(__file__).name), "--by-hand", str(file)]
    return {"all": cost_of(command, folder)}


def by_hand(file: Path) -> None:
    """Do what a careful user of pandas and scikit-learn writes; save arrays in this folder."""
    import numpy as np
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    if file.suffix == ".csv":
        frame = pd.read_csv(file, dtype={"code": str}, parse_dates=["born", "seen"])
    else:
        frame = pd.read_parquet(file)
        frame["born"] = pd.to_datetime(frame["born"])
    holds = [len(frame) >= 1000, frame["id"].is_unique]
    for name, rule in EXPERIMENT["schema"]["columns"].items():
        column = frame[name]
        missing = rule.get("missing", 1.0)
        holds.append(column.isna().mean() <= (0.0 if missing == "never" else missing))
        if "min" in rule:
            holds.append(not (column < rule["min"]).any())
        if "max" in rule:
            holds.append(not (column > rule["max"]).any())
        if "one_of" in rule:
            holds.append((column.isin(rule["one_of"]) | column.isna()).all())
        if "matches" in rule:
            holds.append(column.str.fullmatch(rule["matches"]).all())
    if not all(holds):
        raise SystemExit("the table is clean, but was found not to be")

    y = frame["bought"].to_numpy(np.int32)
    x = frame.drop(columns=["bought", "id", "code"])
    for name in ("born", "seen"):
        dates = x.pop(name).dt
        x[f"{name} days"] = dates.floor("D").astype("int64")
        x[f"{name} year"] = dates.year
        circles = {"month": (dates.month - 1, 12), "weekday": (dates.day_of_week, 7)}
        if name == "seen":
            circles["hour"] = (dates.hour + dates.minute / 60 + dates.second / 3600, 24)
        for part, (value, period) in circles.items():
            x[f"{name} {part} sine"] = np.sin(2 * np.pi * value / period)
            x[f"{name} {part} cosine"] = np.cos(2 * np.pi * value / period)
    rest, x_test, y_rest, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    x_train, x_val, y_train, y_val = train_test_split(
        rest, y_rest, test_size=0.25, stratify=y_rest, random_state=0
    )
    kinds = ["colour", "grade", "note"]
    numbers = [*("age", "visits", "clicks", "year", "income", "spent", "score", "rate", "ratio")]
    numbers += [f"{name} {part}" for name in ("born", "seen") for part in ("days", "year")]
    scaled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    ready = ColumnTransformer(
        [
            ("numbers", scaled, numbers),
            ("kinds", OneHotEncoder(sparse_output=False, dtype=np.float32), kinds),
            ("city", OrdinalEncoder(dtype=np.float32), ["city"]),
        ],
        remainder="passthrough",
    )
    arrays = {
        "x_training": ready.fit_transform(x_train),
        "x_validation": ready.transform(x_val),
        "x_test": ready.transform(x_test),
    }
    for name, array in arrays.items():
        np.save(f"{name}.npy", array.astype(np.float32))
    for name, target in (("training", y_train), ("validation", y_val), ("test", y_test)):
        np.save(f"y_{name}.npy", target)


def shape_of(folder: Path) -> tuple[int, ...]:
    """Return the shape of the training rows written below a folder."""
    import ast

    (file,) = folder.rglob("x_training.npy")
    with file.open("rb") as opened:
        header = opened.read(128).partition(b"{")[2].partition(b"}")[0]
    return tuple(ast.literal_eval("{" + header.decode() + "}")["shape"])


def compare(file: Path, ways: list[str], home: Path) -> tuple[dict[str, Cost], str]:
    """Measure each way, print its total cost, and return the costs and a summary."""
    whole, shapes = {}, {}
    for way in ways:
        with tempfile.TemporaryDirectory(dir=home) as folder:
            parts = (gristmill if way == "gristmill" else pandas)(file, Path(folder))
            shapes[way] = shape_of(Path(folder))
        if len(parts) > 1:
            for stage, cost in parts.items():
                say(f"    {stage}", cost)
        every = parts.values()
        whole[way] = Cost(
            sum(c.seconds for c in every), sum(c.busy for c in every), max(c.mib for c in every)
        )
        named = "pandas and scikit-learn" if way == "pandas" else way
        say(f"{file.suffix[1:]}, {named}", whole[way], f"{shapes[way][0]:,} × {shapes[way][1]}")
    return whole, file.suffix[1:]


def say(words: str, cost: Cost, more: str = "") -> None:
    line = f"{words:32s} {cost.seconds:8.1f} {cost.busy:8.1f} {cost.mib:9,.0f}   {more}"
    sys.stdout.write(line.rstrip() + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument(
        "--format", nargs="+", choices=("csv", "parquet"), default=["csv", "parquet"]
    )
    parser.add_argument("--only", choices=WAYS, help="one way: pandas needs much memory")
    parser.add_argument("--folder", type=Path, help="where to write; by default in /tmp")
    parser.add_argument("--by-hand", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.by_hand:
        by_hand(asked.by_hand)
        return
    ratios = []
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        # a separate process, because the memory of this one would count for its children
        table = [sys.executable, str(HERE / "table.py"), folder, "--rows", str(asked.rows)]
        subprocess.run(table, check=True)
        os.sync()
        sys.stdout.write(
            f"{f'{asked.rows:,} rows × 20 columns':32s}  seconds  of cores  peak MiB   training\n"
        )
        for form in asked.format:
            file = Path(folder) / f"table.{form}"
            whole, name = compare(file, [asked.only] if asked.only else list(WAYS), Path(folder))
            if not asked.only:
                ratio = whole["pandas"].seconds / whole["gristmill"].seconds
                memory = whole["gristmill"].mib / whole["pandas"].mib
                ratios.append(f"{name} {ratio:.1f} times as fast with {memory:.0%} of the memory")
    if ratios:
        sys.stdout.write(f"data stages against pandas and scikit-learn: {', '.join(ratios)}\n")


if __name__ == "__main__":
    main()
