"""The weights in two model files, compared bit for bit."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from gristmill.pipelines.packaging.weights import WeightsCompared, compare_weights
from gristmill.pipelines.training.predictor import save

Arrays = dict[str, npt.NDArray[np.float32]]
KERNEL = np.arange(6, dtype=np.float32).reshape(2, 3)
MODEL: Arrays = {"layers/dense/vars/0": KERNEL, "layers/seed/vars/0": np.float32([7])}


def write(file: Path, arrays: Arrays) -> Path:
    content = io.BytesIO()
    with h5py.File(content, "w") as weights:
        for name, array in arrays.items():
            weights[name] = array
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model.weights.h5", content.getvalue())
    return file


def compared(folder: Path, other: Arrays) -> WeightsCompared:
    return compare_weights(write(folder / "a.keras", MODEL), write(folder / "b.keras", other))


def test_equal_weights_are_equal_whatever_the_optimizer_state(tmp_path: Path) -> None:
    other = MODEL | {"optimizer/vars/0": np.float32([3])}
    assert compared(tmp_path, other) == WeightsCompared(7, 0, 0.0)


def test_a_difference_in_the_last_bit_of_one_value_is_found(tmp_path: Path) -> None:
    kernel = KERNEL.copy()
    kernel[1, 2] = np.nextafter(kernel[1, 2], np.float32(9))
    found = compared(tmp_path, MODEL | {"layers/dense/vars/0": kernel})
    assert (found.values, found.differing) == (7, 1)
    assert 0 < found.largest < 1e-6


def test_zeros_of_different_sign_differ(tmp_path: Path) -> None:
    kernel = KERNEL.copy()
    kernel[0, 0] = -0.0
    assert compared(tmp_path, MODEL | {"layers/dense/vars/0": kernel}).differing == 1


def test_another_shape_or_another_array_differs_completely(tmp_path: Path) -> None:
    flat = MODEL | {"layers/dense/vars/0": KERNEL.ravel()}
    assert compared(tmp_path, flat) == WeightsCompared(7, 7, float("inf"))
    more = MODEL | {"layers/dense/vars/1": KERNEL}
    assert compared(tmp_path, more).differing == 7


def test_arrays_of_an_estimator_are_compared_in_the_same_way(tmp_path: Path) -> None:
    for name, last in (("a", 5.0), ("b", 5.0), ("c", np.nextafter(5.0, 6.0))):
        save(tmp_path / f"{name}.npz", {"link": "identity"}, {"coefficients": np.array([1, last])})
    a, b, c = (tmp_path / f"{name}.npz" for name in "abc")
    assert a.read_bytes() == b.read_bytes()
    assert compare_weights(a, b) == WeightsCompared(2, 0, 0.0)
    assert compare_weights(a, c).differing == 1
