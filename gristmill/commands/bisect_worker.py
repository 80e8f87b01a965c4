"""What an experiment comes to on another version of its data: found aside, by a run of its own."""

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
"""Settings that lead to the user's own repository, stores and servers."""

GRACE = 30.0
"""Seconds that a run has to end its processes when it is told to."""


def measure_aside(project: Project, name: str, digest: str) -> dict[str, Any]:
    """Runs an experiment as it is now on a version of its data.

    All of it is in a temporary working tree of git, at HEAD and with the changes that are not
    committed; MLflow's store, Prefect's and DVC's cache are the tree's own. Every probe begins
    with an empty store, so that none depends on another.

    Args:
        digest: of the version.

    Returns:
        `metrics` of the test rows by their names in MLflow, and `rows` of the data.

    Raises:
        ConfigError: the changes that are not committed cannot be taken over whole.
        InputError: the bytes of the version are nowhere.
        GristmillError: whatever ended the run, such as data that the experiment refuses.
    """
    state = tracking.git_state(project)
    if state.kept != tracking.WHOLE:
        raise ConfigError(
            "the changes that are not committed cannot be taken over",
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
                raise EnvironmentFault("git could not take over the changes", found=problem[:500])
        (tree / ingestion.PIN).unlink(missing_ok=True)  # what lies there is pinned by the run
        folder = config.load_experiment(project, name).data.folder
        ingestion.lay_out_version(project, folder, digest, tree / "data" / folder)
        return ask_in_worktree(tree, ["probe", name], aside, without=OF_THE_USER, grace=GRACE)


def probe(name: str, answer: Path) -> None:
    """Run an experiment and write what it measured; this is what `data bisect` calls."""
    end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    from gristmill.commands.run import run

    project = Project.find()
    run(name)
    rows = read_json(project.build(name) / "validation.json")["rows"]
    newest = registry.require_versions(project, name)[0]
    write_json(answer, {"metrics": newest.metrics, "rows": rows})
