"""Load a registered version's package in this process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gristmill.pipelines.base import EnvironmentFault, first_line
from gristmill.pipelines.config import Project
from gristmill.pipelines.packaging import differing, fetch_package, other_versions, unchecked
from gristmill.pipelines.registry.model_records import Version
from gristmill.pipelines.tracking import client, import_mlflow


@contextmanager
def loaded_version(project: Project, version: Version) -> Iterator[tuple[Any, list[str]]]:
    """Load a version's package with `mlflow.pyfunc`, without pickles.

    The package is loaded from a private copy, whose files are those that were registered.

    Yields:
        The model, and notes: the libraries whose installed version differs from the package's, and
        that a version of an earlier release has no digest.

    Raises:
        EnvironmentFault: the package is missing, was changed or cannot be loaded; the error names
            the files or the libraries that differ.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    mlflow = import_mlflow()
    client(project)  # sets MLflow's store
    with tempfile.TemporaryDirectory(prefix="gristmill-package-") as aside:
        folder = fetch_package(project, version, Path(aside))
        needed = folder / "requirements.txt"
        lines = needed.read_text(encoding="utf-8").splitlines() if needed.is_file() else []
        others = differing(lines)
        try:
            with _quiet():
                model = mlflow.pyfunc.load_model(str(folder))
        except Exception as error:  # a package can raise anything
            said = f"{type(error).__name__}: {first_line(error)}"
            if others:
                raise other_versions(version.address, others, said) from error
            raise EnvironmentFault(
                f"{version.model} version {version.number} cannot be loaded",
                found=said,
                next=f"gristmill models {version.model}",
            ) from error
        built = (f"the model was built with {other}" for other in others)
        yield model, [*unchecked(version), *built]


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
