"""Validation compared with one Great Expectations expectation for each column, in a loop.

    python benchmarks/validation.py [--rows 70000] [--columns 785] [--long 2000000] [--skip-loop]

Each way runs in a separate process; imports are measured separately and do not count.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WAYS = ("gristmill", "loop", "long")


def write_pictures(file: Path, rows: int, columns: int) -> None:
    """Write pixels from 0 to 255, more than half of them black, and a label, like MNIST."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    names = [*(f"pixel{i}" for i in range(columns - 1)), "digit"]
    schema = pa.schema([(name, pa.int64()) for name in names])
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for start in range(0, rows, 5000):
            count = min(5000, rows - start)
            light = rng.random((columns - 1, count)) < 0.4
            pixels = rng.integers(0, 256, light.shape) * light
            writer.write_table(pa.table([*pixels, rng.integers(0, 10, count)], schema=schema))


def write_long(file: Path, rows: int) -> None:
    """Write twenty columns of all types."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    levels = np.array([f"level {i}" for i in range(40)])
    writer = None
    for start in range(0, rows, 100_000):
        count = min(100_000, rows - start)
        columns: dict[str, Any] = {f"number{i}": rng.normal(size=count) for i in range(9)}
        columns |= {f"count{i}": rng.integers(0, 1000, count) for i in range(4)}
        columns |= {f"kind{i}": levels[rng.integers(0, 40, count)] for i in range(3)}
        columns["id"] = np.arange(start, start + count)
        columns["code"] = [f"customer-{n:09d}" for n in range(start, start + count)]
        columns["day"] = np.datetime64("2020-01-01") + rng.integers(0, 2000, count)
        columns["flag"] = rng.random(count) < 0.5
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()


PICTURES = {
    "rows": {"min": 10},
    "columns": {
        "pixel*": {"type": "integer", "min": 0, "max": 255, "missing": "never"},
        "digit": {"one_of": list(range(10)), "missing": "never"},
    },
}
LONG = {
    "columns": {
        "number*": {"type": "number", "min": -10, "max": 10, "missing": "never"},
        "count*": {"type": "integer", "min": 0, "max": 999},
        "kind*": {"type": "text", "one_of": [f"level {i}" for i in range(40)]},
        "id": {"type": "integer", "unique": True},
        "code": {"type": "text", "unique": True, "matches": "customer-[0-9]{9}"},
        "day": {"type": "date", "min": "2019-01-01"},
        "flag": {"type": "boolean"},
    },
    "rules": [{"check": "number0 + number1 <= count0 + 100 or missing(day)"}],
    "fresh": {"column": "day", "within": "7d"},
}


def ours(file: Path, schema: object, target: str) -> None:
    from gristmill.pipelines.config.document import Document
    from gristmill.pipelines.validation.schema.validation import validate_table

    content = {
        "data": {"path": "data/a/a.csv", "target": target, "task": "classification"},
        "schema": schema,
        "split": {},
        "features": {},
        "model": {"layers": []},
    }
    document = Document.model_validate_json(json.dumps(content))
    validate_table(file, document, file.parent / "report", "report")


def obvious(file: Path) -> None:
    """Validate as in the introduction of Great Expectations."""
    import great_expectations as gx
    import pandas as pd

    frame = pd.read_parquet(file)
    context = gx.get_context(mode="ephemeral")
    source = context.data_sources.add_pandas("pandas")
    asset = source.add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(gx.ExpectationSuite("suite"))
    for name in frame.columns:
        suite.add_expectation(
            gx.expectations.ExpectColumnValuesToBeBetween(column=name, min_value=0, max_value=255)
        )
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name="all", data=batch, suite=suite)
    )
    if not definition.run(batch_parameters={"dataframe": frame}).success:
        raise SystemExit("the table is clean, but was found not to be")


def measure(way: str, file: Path) -> None:
    """Run one way in this process, and print seconds and memory as JSON."""
    began = time.perf_counter()
    import great_expectations  # noqa: F401

    import gristmill.pipelines.validation.schema.expectations  # noqa: F401

    imported = time.perf_counter()
    if way == "loop":
        obvious(file)
    else:
        ours(file, LONG if way == "long" else PICTURES, "flag" if way == "long" else "digit")
    made = {
        "import": imported - began,
        "seconds": time.perf_counter() - imported,
        "cpu": time.process_time(),
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    sys.stdout.write(json.dumps(made) + "\n")


def in_a_process(way: str, file: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--way", way, "--file", str(file)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=70_000)
    parser.add_argument("--columns", type=int, default=785)
    parser.add_argument("--long", type=int, default=2_000_000, help="rows of the table of 20")
    parser.add_argument("--skip-loop", action="store_true", help="leave out the slow way")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        measure(asked.way, asked.file)
        return
    say = sys.stdout.write
    say(f"{'':46s} {'seconds':>8s} {'import':>8s} {'peak MiB':>9s}\n")
    with tempfile.TemporaryDirectory() as folder:
        wide, long = Path(folder) / "wide.parquet", Path(folder) / "long.parquet"
        write_pictures(wide, asked.rows, asked.columns)
        write_long(long, asked.long)
        shape = f"{asked.rows:,} × {asked.columns}"
        cases = {
            "gristmill": (f"{shape}, gristmill", wide),
            "loop": (f"{shape}, one expectation a column", wide),
            "long": (f"{asked.long:,} × 20, gristmill, all kinds of rules", long),
        }
        if asked.skip_loop:
            del cases["loop"]
        found = {}
        for way, (words, file) in cases.items():
            one = found[way] = in_a_process(way, file)
            say(f"{words:46s} {one['seconds']:8.2f} {one['import']:8.2f} {one['mib']:9,.0f}\n")
    if "loop" in found:
        ratio = found["loop"]["seconds"] / found["gristmill"]["seconds"]
        say(f"validation: {ratio:.0f} times as fast as one expectation a column in a loop\n")


if __name__ == "__main__":
    main()
