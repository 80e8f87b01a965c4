"""Data sets of `keras.datasets`, as one `.npz` with a training and a test part."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from pipelines.config import ConfigError, EnvironmentFault, InputError, nearest
from pipelines.ingestion.sources.meter import FULL, Wanted

SETS = ("california_housing", "cifar10", "cifar100", "fashion_mnist", "mnist")
PARTS = ("x_train", "y_train", "x_test", "y_test")
WHY_REFUSED = {
    "boston_housing": "Keras warns against it for its ethics: take keras:california_housing",
    "imdb": "its rows are lists of word numbers of any length, kept as a pickle",
    "reuters": "its rows are lists of word numbers of any length, kept as a pickle",
}


def keras_set(wanted: Wanted, aside: Path) -> tuple[str, ...]:
    """Writes `x_train`, `y_train`, `x_test`, `y_test`, uncompressed: equal arrays, equal bytes.

    Keras fetches the files into its own cache (`KERAS_HOME`, else ~/.keras) and checks their hash.

    Raises:
        ConfigError: the name is none of `SETS`, or the target is no `.npz` file.
        EnvironmentFault: the files are not in the cache and cannot be fetched.
    """
    name = wanted.name
    if name not in SETS:
        near = nearest(name, SETS)
        raise ConfigError(
            f"keras:{name[:60]} is not taken",
            expected="keras: and one of " + ", ".join(SETS),
            found=WHY_REFUSED.get(name, "a name that is none of them"),
            next=f"source: keras:{near}" if near else "",
        )
    if wanted.target.suffix != ".npz":
        raise ConfigError(
            f"keras:{name} comes as arrays",
            expected="a data.path that ends in .npz",
            found=wanted.target.name,
            next=f"path: data/{name}/{name}.npz",
        )
    _write(name, aside)
    return ()


def _write(name: str, aside: Path) -> None:
    import keras
    import numpy as np

    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "datasets"
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Keras draws a progress bar there
            train, test = getattr(keras.datasets, name).load_data()
    except (ValueError, OSError, EOFError) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        raise InputError(
            f"the files of keras:{name} are broken",
            expected="the files that Keras knows the hash of",
            found=_words(error),
            next=f"take them out of {home} and try again",
        ) from error
    except Exception as error:
        if type(error) is not Exception:  # Keras has no narrower one for a lost network
            raise
        raise EnvironmentFault(
            f"keras:{name} could not be fetched",
            expected="its files in Keras's cache, or a network",
            found=_words(error),
            next=f"put the files into {home}, or KERAS_HOME=FOLDER gristmill …",
        ) from None
    arrays = dict(zip(PARTS, (*train, *test), strict=True))
    with aside.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
