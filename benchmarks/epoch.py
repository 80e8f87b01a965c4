"""One epoch with validation: `fit` on arrays, `fit` on tf.data and the loop of a trial.

    python benchmarks/epoch.py [--rounds 5] [--only cnn]

Fashion-MNIST's 60,000 pictures: 48,000 for training and 12,000 for validation. The three run in
turn, each in a separate process with all cores; the medians of the rounds are compared. The share
is relative to the speed of a float32 matrix product on this machine.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path("/usr/share/datasets/fashion-mnist")
TRAINED = 48_000
WAYS = ("fit on arrays", "fit on tf.data", "gristmill")
CASES = {"dense": (100, 32), "cnn": (32, 128)}
NAMES = {"dense": "512-256-128", "cnn": "CNN 32-64-32"}
DENSE = (512, 256, 128)
FILTERS = (32, 64, 32)
HEAD = (64, 32, 16)
CLASSES = 10


def pictures() -> tuple[Any, Any]:
    """Return features (60000, 28, 28, 1) float32 from 0 to 1, and classes (60000,) int32.

    Raises:
        SystemExit: The files are not on this machine and cannot be downloaded.
    """
    import numpy as np

    if FOLDER.is_dir():
        x, y = (
            np.frombuffer(gzip.decompress((FOLDER / name).read_bytes()), np.uint8, offset=skipped)
            for name, skipped in (
                ("train-images-idx3-ubyte.gz", 16),
                ("train-labels-idx1-ubyte.gz", 8),
            )
        )
    else:
        import keras

        try:
            (x, y), _ = keras.datasets.fashion_mnist.load_data()
        except Exception as error:
            raise SystemExit(
                f"Fashion-MNIST is not here and could not be fetched: {error}\n"
                "on Debian and Ubuntu: apt install dataset-fashion-mnist"
            ) from error
    return x.reshape(-1, 28, 28, 1).astype(np.float32) / 255, y.astype(np.int32)


def build(kind: str) -> Any:
    """Build a compiled model with fresh weights."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((28, 28, 1))])
    for filters in FILTERS if kind == "cnn" else ():
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D(2, strides=2))
    model.add(layers.Flatten())
    for units in HEAD if kind == "cnn" else DENSE:
        model.add(layers.Dense(units, activation="relu"))
    model.add(layers.Dense(CLASSES, activation="softmax"))
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    return model


def multiplications(model: Any) -> int:
    """Count the multiply-add operations of one row's forward pass."""
    counted = 0
    for layer in model.layers:
        if layer.weights:
            kernel = layer.kernel.shape
            places = layer.output.shape[1:-1] if len(kernel) == 4 else ()
            each = 1
            for size in (*kernel, *places):
                each *= size
            counted += each
    return counted


def fit_on_arrays(kind: str, batch: int) -> Callable[[int], None]:
    """Train as most users write it."""
    x, y = pictures()
    model, training = build(kind), (x[:TRAINED], y[:TRAINED])
    validation = (x[TRAINED:], y[TRAINED:])

    def epoch(number: int) -> None:
        model.fit(*training, batch_size=batch, validation_data=validation, verbose=0)

    return epoch


def fit_on_tf_data(kind: str, batch: int) -> Callable[[int], None]:
    """Train as in TensorFlow's guides: shuffled, batched, prefetched, with batches in a cache."""
    import tensorflow as tf

    x, y = pictures()
    model, slices = build(kind), tf.data.Dataset.from_tensor_slices
    training = slices((x[:TRAINED], y[:TRAINED])).cache().shuffle(TRAINED).batch(batch)
    training = training.prefetch(tf.data.AUTOTUNE)
    validation = slices((x[TRAINED:], y[TRAINED:])).batch(batch).cache().prefetch(tf.data.AUTOTUNE)

    def epoch(number: int) -> None:
        model.fit(training, validation_data=validation, verbose=0)

    return epoch


def gristmill(kind: str, batch: int) -> Callable[[int], None]:
    """Train as a worker does, with the threads of a single training."""
    from gristmill.pipelines.training.identity import cores
    from gristmill.pipelines.training.programs import use_threads

    use_threads(cores())
    from gristmill.pipelines.training.loop import make_program

    x, y = pictures()
    training, validation = (x[:TRAINED], y[:TRAINED]), (x[TRAINED:], y[TRAINED:])
    program = make_program(build(kind), lambda: build(kind), training, validation)
    if program.loop != "fused":
        raise SystemExit(f"the loop was not fused: {program.loop}")

    def epoch(number: int) -> None:
        program.epoch(0, number, batch)

    return epoch


def serve(way: str, kind: str, batch: int) -> None:
    """Run an epoch for each line of the input, and print its seconds."""
    made = (fit_on_arrays, fit_on_tf_data, gristmill)[WAYS.index(way)](kind, batch)
    for number, _ in enumerate(sys.stdin):
        began = time.perf_counter()
        made(number)
        sys.stdout.write(f"{time.perf_counter() - began}\n")
        sys.stdout.flush()


def arithmetic() -> None:
    """Print the machine's multiply-adds per second (10⁹) and those that one epoch needs."""
    import tensorflow as tf

    size, best = 2048, 0.0
    a, b = tf.random.normal((size, size)), tf.random.normal((size, size))
    for _ in range(12):
        began = time.perf_counter()
        (a @ b).numpy()
        best = max(best, size**3 / (time.perf_counter() - began))
    rows = 3 * TRAINED + (60_000 - TRAINED)  # a backward pass costs two forward passes
    needed = {kind: rows * multiplications(build(kind)) for kind in CASES}
    sys.stdout.write(json.dumps({"best": best, **needed}) + "\n")


def this(*arguments: str) -> list[str]:
    return [sys.executable, str(Path(__file__)), *arguments]


def take_turns(kind: str, batch: int, rounds: int) -> dict[str, float]:
    """Return the median seconds of an epoch by way, after one epoch to warm up."""
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115
    running = {
        way: subprocess.Popen(
            this("--serve", way, kind, str(batch)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        for way in WAYS
    }
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds + 1):
        for way, process in running.items():
            if process.stdin is None or process.stdout is None:
                continue
            process.stdin.write("\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            if not answer:
                log.seek(0)
                raise SystemExit(f"{way} ended:\n{log.read()[-2000:]}")
            taken[way].append(float(answer))
    for process in running.values():
        process.communicate()
    return {way: statistics.median(seconds[1:]) for way, seconds in taken.items()}


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--arithmetic", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        way, kind, batch = asked.serve
        serve(way, kind, int(batch))
        return
    if asked.arithmetic:
        arithmetic()
        return
    pictures()
    measured = subprocess.run(this("--arithmetic"), capture_output=True, text=True, check=True)
    needed = json.loads(measured.stdout)
    said = f"float32 matrix product: {2 * needed['best'] / 1e9:.0f} GFLOP/s"
    sys.stdout.write(f"{said}\n{'one epoch with validation':34s}  seconds  share\n")
    ratios = []
    for kind in [asked.only] if asked.only else CASES:
        for batch in CASES[kind]:
            seconds = take_turns(kind, batch, asked.rounds)
            for way, taken in seconds.items():
                share = needed[kind] / taken / needed["best"]
                name = f"{NAMES[kind]}, batch {batch}, {way}"
                sys.stdout.write(f"{name:42s} {taken:6.2f}  {share:5.0%}\n")
                sys.stdout.flush()
            ours = seconds.pop("gristmill")
            arrays, streams = seconds.values()
            ratios.append(
                f"{NAMES[kind]} at batch {batch} {arrays / ours:.2f} and {streams / ours:.2f} times"
            )
    sys.stdout.write(f"epochs as fast as fit on arrays and on tf.data: {', '.join(ratios)}\n")


if __name__ == "__main__":
    main()
