"""A registered version's package, loaded in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gristmill.pipelines.base import EnvironmentFault, first_line
from gristmill.pipelines.config import Project
from gristmill.pipelines.packaging import Differing, differing, other_versions
from gristmill.pipelines.registry.model_records import Version
from gristmill.pipelines.tracking import client, import_mlflow


def load_version(project: Project, version: Version) -> tuple[Any, tuple[Differing, ...]]:
    """A package as `mlflow.pyfunc` loads it, without pickles.

    Returns:
        The model, and the libraries that are installed in another version than it was made with.

    Raises:
        EnvironmentFault: it is not in the store, or cannot be loaded; with the libraries that are
            most likely why.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    mlflow = import_mlflow()
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    client(project)  # names its store to MLflow
    others: tuple[Differing, ...] = ()
    try:
        with _quiet():
            folder = Path(download_artifacts(artifact_uri=version.address))
            needed = folder / "requirements.txt"
            if needed.is_file():
                others = differing(needed.read_text(encoding="utf-8").splitlines())
            return mlflow.pyfunc.load_model(str(folder)), others
    except Exception as error:  # whatever a package raises when it is loaded
        said = f"{type(error).__name__}: {first_line(error)}"
        if others:
            raise other_versions(version.address, others, said) from error
        if isinstance(error, MlflowException | OSError):
            said = first_line(error)
        raise EnvironmentFault(
            f"{version.model} version {version.number} cannot be loaded",
            found=said,
            next=f"gristmill models {version.model}",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides TensorFlow's greetings on standard error, which come before its log level counts."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
