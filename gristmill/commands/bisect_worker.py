"""Measure an experiment on another version of its data, in a separate run."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from gristmill.commands.worktree_process import ask_in_worktree
from gristmill.pipelines import config, ingestion, registry, tracking
from gristmill.pipelines.base import (
    ConfigError,
    EnvironmentFault,
    end_with_parent,
    read_json,
    write_json,
)
from gristmill.pipelines.config import Project

OF_THE_USER = ("GIT_", "DVC_", "MLFLOW_", "PREFECT_", "GRISTMILL_")
"""Prefixes of variables that point to the user's repository, stores and servers."""

GRACE = 30.0
"""Seconds that an interrupted run has to end its processes."""


def measure_aside(project: Project, name: str, digest: str) -> dict[str, Any]:
    """Run an experiment with the present settings on a version of its data.

    It runs in a temporary git working tree, at HEAD plus the uncommitted changes, with separate
    MLflow and Prefect stores and a separate DVC cache. Every probe begins with an empty store, so
    that none depends on another.

    Args:
        project: the project.
        name: experiment.
        digest: hash of the data version.

    Returns:
        `metrics` of the test rows by their names in the experiment file, and `rows`, the number of
        data rows.

    Raises:
        ConfigError: the uncommitted changes cannot be copied completely.
        InputError: the bytes of the version are neither in the cache nor in a remote.
        GristmillError: the error that ended the run, for example invalid data.
    """
    state = tracking.git_state(project)
    if state.kept != tracking.WHOLE:
        raise ConfigError(
            "the uncommitted changes cannot be copied to the working tree",
            expected="changes of at most 1 MiB, without secrets",
            found=f"changes that were {state.kept}",
            next="git commit -a",
        )
    with tracking.worktree(project, "HEAD") as tree:
        aside = tree / "build" / "bisect"
        aside.mkdir(parents=True)
        if state.diff:
            diff = aside / "changes.diff"
            diff.write_text(state.diff, encoding="utf-8")
            if problem := tracking.apply_diff(tree, diff):
                raise EnvironmentFault(
                    "git could not apply the uncommitted changes", found=problem[:500]
                )
        (tree / ingestion.PIN).unlink(missing_ok=True)  # the run pins what is in the folder
        folder = config.load_experiment(project, name).data.folder
        ingestion.lay_out_version(project, folder, digest, tree / "data" / folder)
        return ask_in_worktree(tree, ["probe", name], aside, without=OF_THE_USER, grace=GRACE)


def probe(name: str, answer: Path) -> None:
    """Run an experiment and write its metrics (called by `data bisect`)."""
    end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    from gristmill.commands.run import run

    project = Project.find()
    run(name)
    rows = read_json(project.build(name) / "validation.json")["rows"]
    newest = registry.require_versions(project, name)[0]
    write_json(answer, {"metrics": newest.metrics, "rows": rows})
