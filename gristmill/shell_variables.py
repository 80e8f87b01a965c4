"""Environment variables of the shell that would change where or what Gristmill records.

They belong to other work in the same shell: `MLFLOW_RUN_ID`, for example, would make a run continue
another one. They are removed before a library reads them, also for the processes that are started
from here. `gristmill/__init__.py` calls this, so that it holds for commands, the stages that DVC
calls, workers, and flows that Prefect starts.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import MutableMapping

FOREIGN = (
    *("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_REGISTRY_URI"),
    *("MLFLOW_ACTIVE_MODEL_ID", "MLFLOW_RUN_CONTEXT", "MLFLOW_WORKSPACE", "MLFLOW_WORKSPACE_URI"),
    *("MLFLOW_ENABLE_ASYNC_LOGGING", "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"),
    *("MLFLOW_DEFAULT_ARTIFACT_ROOT", "MLFLOW_ARTIFACTS_DESTINATION", "MLFLOW_BACKEND_STORE_URI"),
    "MLFLOW_REGISTRY_STORE_URI",
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"),
    *("TF_NUM_INTEROP_THREADS", "TF_USE_LEGACY_KERAS", "PYTHONWARNINGS"),
)
"""Ignored. The numbers of threads are those of `search.workers` and the cores of this machine."""

BACKEND = "tensorflow"
"""Keras's backend, whatever `KERAS_BACKEND` or `~/.keras/keras.json` say."""

KEPT = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_LOGGING_", "PREFECT_RUNNER_")
"""Prefect's variables that are kept for the project's own server."""

QUIET = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""Warnings that Python does not show by default."""


def ignore(variables: MutableMapping[str, str]) -> list[str]:
    """Remove variables of other work from the environment; return their names.

    Args:
        variables: the environment; changed in place.
    """
    names = [name for name in FOREIGN if name in variables]
    if variables.get("KERAS_BACKEND", BACKEND) != BACKEND:
        names.append("KERAS_BACKEND")
    if not variables.get("PREFECT_API_URL"):  # a server elsewhere has its own profile and key
        prefects = (name for name in variables if name.startswith("PREFECT_"))
        names += sorted(name for name in prefects if not name.startswith(KEPT))
    for name in names:
        del variables[name]
    variables["KERAS_BACKEND"] = BACKEND
    return names


def ignore_in_this_process() -> list[str]:
    """Remove them from this process, if Prefect does not use them already; return their names."""
    ours = dict(os.environ)
    ignored = ignore(ours)
    if "prefect" in sys.modules:
        ignored = [name for name in ignored if not name.startswith("PREFECT_")]
    for name in ignored:
        del os.environ[name]
    os.environ["KERAS_BACKEND"] = BACKEND
    if "PYTHONWARNINGS" in ignored:
        sys.warnoptions.clear()  # they would be passed to workers
        warnings.resetwarnings()
        for category in QUIET:
            warnings.simplefilter("ignore", category)
    return ignored
