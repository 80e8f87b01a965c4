"""Data sets of `keras.datasets`, as one `.npz` with a training and a test part."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

from gristmill.pipelines.base import EnvironmentFault, InputError, nearest, writing
from gristmill.pipelines.ingestion.sources.meter import Wanted, is_full, no_source, words_of

SETS = ("california_housing", "cifar10", "cifar100", "fashion_mnist", "mnist")
PARTS = ("x_train", "y_train", "x_test", "y_test")
KNOWN = {
    "fashion_mnist": (
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
    "mnist": (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
}
"""MD5 of the published IDX files of a set's `PARTS`, uncompressed."""

WHY_REFUSED = {
    "boston_housing": "Keras warns against it for ethical reasons: use keras:california_housing",
    "imdb": "its rows are lists of word numbers of any length, kept as a pickle",
    "reuters": "its rows are lists of word numbers of any length, kept as a pickle",
}


def keras_set(wanted: Wanted, aside: Path) -> None:
    """Write `x_train`, `y_train`, `x_test`, `y_test`, uncompressed: equal arrays give equal bytes.

    Keras fetches the files into its own cache (`KERAS_HOME`, else ~/.keras).

    Raises:
        ConfigError: the name is not in `SETS`, or the target is not a `.npz` file.
        EnvironmentFault: the files are not in the cache and cannot be fetched.
        InputError: they are damaged, or differ from `KNOWN`.
    """
    name = wanted.name
    if name not in SETS:
        near = nearest(name, SETS)
        raise no_source(
            f"keras:{name[:60]} is not supported",
            "keras: and one of " + ", ".join(SETS),
            WHY_REFUSED.get(name, "another name"),
            f"source: keras:{near}" if near else "",
        )
    if wanted.target.suffix != ".npz":
        raise no_source(
            f"keras:{name} consists of arrays",
            "a data.path that ends in .npz",
            wanted.target.name,
            f"path: data/{name}/{name}.npz",
        )
    import keras

    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "datasets"
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Keras draws a progress bar there
            train, test = getattr(keras.datasets, name).load_data()
    except (ValueError, OSError, EOFError) as error:
        if is_full(error):
            raise
        raise InputError(
            f"the files of keras:{name} are damaged",
            expected="files with the hashes in Keras",
            found=words_of(error),
            next=f"remove them from {home} and try again",
        ) from error
    except Exception as error:
        if type(error) is not Exception:  # Keras has no narrower one if there is no network
            raise
        raise EnvironmentFault(
            f"keras:{name} could not be fetched",
            expected="its files in Keras's cache, or a network",
            found=words_of(error),
            next=f"put the files into {home}, or KERAS_HOME=FOLDER gristmill …",
        ) from None
    _save(name, dict(zip(PARTS, (*train, *test), strict=True)), aside, f"Keras's cache in {home}")


def keras_set_from(name: str, origin: Path, target: Path) -> None:
    """Write the data set `keras:NAME` from files on this machine, checked against the same hashes.

    Args:
        name: a key of `KNOWN`.
        origin: a folder of IDX files, compressed or not, or Keras's `NAME.npz`; or a folder that
            contains one of these.
        target: the `.npz` file to write, atomically.

    Raises:
        InputError: the files are missing, damaged, or different ones.
    """
    from gristmill.pipelines.ingestion.readers import array_files, idx

    inside = [origin, *(origin / more for more in (f"{name}.npz", name, name.replace("_", "-")))]
    stored = next((p for p in inside if p.is_file() and p.suffix == ".npz"), None)
    folder = next((p for p in inside if p.is_dir() and idx.takes(p)), None)
    if stored is not None:
        try:
            kept = array_files.load_arrays(stored)
            arrays = {part: kept[part] for part in PARTS}
        except (KeyError, InputError) as error:
            found = error.found if isinstance(error, InputError) else error
            raise _other_files(name, origin, f"{stored.name}: {found}"[:200]) from error
    elif folder is not None:
        parts = {part.role: part for part in idx.parts_of(folder)}
        if set(parts) != {"training", "test"}:
            raise _other_files(name, origin, "only " + " and ".join(parts))
        both = parts["training"], parts["test"]
        arrays = dict(zip(PARTS, (a for part in both for a in (part.x, part.y)), strict=True))
    else:
        names = sorted(place.name for place in origin.glob("*")) if origin.is_dir() else ["a file"]
        raise _other_files(name, origin, ", ".join(names[:10]) or "nothing")
    with writing(target) as aside:
        _save(name, arrays, aside, str(origin))


def _save(name: str, arrays: dict[str, Any], aside: Path, origin: str) -> None:
    import numpy as np

    from gristmill.pipelines.ingestion.readers import idx_digest

    for (part, values), known in zip(arrays.items(), KNOWN.get(name, ()), strict=False):
        if values.dtype != np.uint8 or idx_digest(values) != known:
            shape = " × ".join(f"{size:,}" for size in values.shape)
            raise _other_files(name, origin, f"{part}: {shape}, {values.dtype}, with another hash")
    with aside.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _other_files(name: str, origin: Path | str, found: str) -> InputError:
    return InputError(
        f"these are not the files of keras:{name}",
        expected="train-images-idx3-ubyte, train-labels-…, t10k-images-…, t10k-labels-… (also .gz)"
        f"\nor {name}.npz, as they were published",
        found=f"{found}, in {origin}",
        next=f"gristmill new NAME --data {origin}   starts an experiment with any pictures",
    )
