"""Bitwise comparison of the weights in two model files."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.training import ABOUT


@dataclass(frozen=True)
class WeightsCompared:
    """Differences between the weights of two models.

    Attributes:
        values: number of values in the first model.
        differing: number of these with other bits; all of them if shapes or dtypes differ.
        largest: largest absolute difference; infinite if shapes or dtypes differ.
    """

    values: int
    differing: int
    largest: float


def compare_weights(one: Path, other: Path) -> WeightsCompared:
    """Compare the weights of all layers, without the state of the optimizer."""
    first, second = _weights(one), _weights(other)
    values = sum(array.size for array in first.values())
    shapes = [{k: (v.shape, v.dtype) for k, v in side.items()} for side in (first, second)]
    if shapes[0] != shapes[1]:
        return WeightsCompared(values, values, float("inf"))
    differing, largest = 0, 0.0
    for name, array in first.items():
        mine, theirs = np.atleast_1d(array), np.atleast_1d(second[name])
        places = (_bits(mine) != _bits(theirs)).any(axis=-1)
        if places.any():
            differing += int(np.count_nonzero(places))
            apart = np.abs(mine[places].astype("float64") - theirs[places].astype("float64"))
            largest = max(largest, float(apart.max()))
    return WeightsCompared(values, differing, largest)


def _bits(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    whole = np.ascontiguousarray(array)
    return whole.view(np.uint8).reshape(*whole.shape, whole.itemsize)


def _weights(model: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays in a `.keras` or `.npz` file by name."""
    if model.suffix == ".npz":
        with np.load(model, allow_pickle=False) as saved:
            return {name: saved[name] for name in saved.files if name != ABOUT}
    import h5py

    found: dict[str, npt.NDArray[Any]] = {}

    def take(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer"):
            found[name] = np.asarray(item)

    with zipfile.ZipFile(model) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content, "r") as file:
        file.visititems(take)
    return found
