"""Load a registered version's package in this process."""

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
    """Load a version's package with `mlflow.pyfunc`, without pickles.

    Returns:
        The model, and the libraries whose installed version differs from the package's.

    Raises:
        EnvironmentFault: the package is missing or cannot be loaded; the error names the libraries
            that differ.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    mlflow = import_mlflow()
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    client(project)  # sets MLflow's store
    others: tuple[Differing, ...] = ()
    try:
        with _quiet():
            folder = Path(download_artifacts(artifact_uri=version.address))
            needed = folder / "requirements.txt"
            if needed.is_file():
                others = differing(needed.read_text(encoding="utf-8").splitlines())
            return mlflow.pyfunc.load_model(str(folder)), others
    except Exception as error:  # a package can raise anything
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
    """Hide what TensorFlow writes to standard error before its log level takes effect."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
