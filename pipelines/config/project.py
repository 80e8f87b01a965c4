"""The project's folder: where everything stands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gristmill.pipelines.base import ConfigError, nearest, read_json, read_yaml, writing

STAGE_LIBRARIES = ("great-expectations", "numpy", "pandas", "pyarrow", "scikit-learn")
"""What the data stages compute with; `params.yaml` holds their versions for DVC to watch."""


@dataclass(frozen=True)
class Project:
    """A folder with `params.yaml`, `dvc.yaml` and `experiments/`."""

    root: Path

    @staticmethod
    def find(start: Path | None = None) -> Project:
        """The project around `start` (the current folder), looking upward.

        Raises:
            ConfigError: there is none.
        """
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / "dvc.yaml").is_file() and (folder / "experiments").is_dir():
                return Project(folder)
        raise ConfigError(
            "this is not a Gristmill project",
            expected="a folder with dvc.yaml and experiments/, here or above",
            found=str(start),
            next="cd into your clone of the project and try again",
        )

    @property
    def experiments(self) -> Path:
        return self.root / "experiments"

    @property
    def store(self) -> Path:
        """MLflow's folder: `mlflow.db` and `artifacts/`."""
        return self.root / "mlruns"

    @property
    def prefect_home(self) -> Path:
        return self.root / ".prefect"

    @property
    def params_file(self) -> Path:
        return self.root / "params.yaml"

    def build(self, experiment: str) -> Path:
        """The folder of what the stages of one experiment make."""
        return self.root / "build" / experiment

    def experiment_file(self, experiment: str) -> Path:
        return self.experiments / f"{experiment}.yaml"

    def cuts_file(self, experiment: str) -> Path:
        """The frozen cuts of the split, under git."""
        return self.experiments / f"{experiment}.split.json"

    def stale_cuts(self, experiment: str, owner: str | None) -> bool:
        """Whether cuts that an experiment shares are no longer those of the one that owns them.

        DVC cannot see it: which file a stage depends on would hang on what stands in another one.
        """
        if owner is None or not all(self.cuts_file(n).is_file() for n in (experiment, owner)):
            return False
        try:
            mine, theirs = (read_json(self.cuts_file(name)) for name in (experiment, owner))
            shared = {**mine, "rule": {k: v for k, v in mine["rule"].items() if k != "as"}}
            shared["cuts"] = {k: v for k, v in mine["cuts"].items() if k in theirs["cuts"]}
        except (AttributeError, KeyError, TypeError, ValueError):
            return True  # the stage says what is wrong
        return bool(shared != theirs)

    def experiment_names(self) -> list[str]:
        return sorted(path.stem for path in self.experiments.glob("*.yaml"))

    def require_experiment(self, experiment: str) -> Path:
        """The experiment's file.

        Raises:
            ConfigError: there is no such experiment; the nearest name is offered.
        """
        path = self.experiment_file(experiment)
        if path.is_file() and path.parent == self.experiments:
            return path
        names = self.experiment_names()
        near = nearest(experiment, names)
        raise ConfigError(
            f"there is no experiment '{experiment}'",
            expected="one of " + (", ".join(names) or "none yet"),
            found=f"no file experiments/{experiment}.yaml",
            next=f"gristmill run {near}" if near else "ls experiments",
        )

    def require_git(self) -> None:
        """Raises ConfigError outside a git repository: DVC and lineage need one."""
        if not any((folder / ".git").exists() for folder in (self.root, *self.root.parents)):
            raise ConfigError(
                "the project is not in a git repository",
                expected=".git here or above: DVC keeps its pins and a run its commit there",
                found=f"none around {self.root}",
                next="git init && git add -A && git commit -m 'start'",
            )

    def relative(self, path: Path) -> str:
        """The path as a user in the project's folder would type it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def register(self, experiment: str, data: str) -> bool:
        """Makes `params.yaml` list the experiment and the installed libraries' versions.

        Comments and order stay. Returns whether anything had to be written.
        """
        stale = self.stale_parameters(experiment, data)
        if not stale:
            return False
        from ruamel.yaml import YAML

        yaml = YAML()
        yaml.width = 100
        document = yaml.load(self.params_file) if self.params_file.exists() else {}
        document = document or {}
        document.setdefault("experiments", {})[experiment] = {"data": data}
        document.setdefault("libraries", {}).update(installed_libraries())
        with writing(self.params_file) as aside, aside.open("w", encoding="utf-8") as file:
            yaml.dump(document, file)
        return True

    def stale_parameters(self, experiment: str, data: str) -> list[str]:
        """What `params.yaml` has to learn before DVC can plan: one line each."""
        document = read_yaml(self.params_file) if self.params_file.exists() else {}
        listed = (document.get("experiments") or {}).get(experiment)
        libraries = document.get("libraries") or {}
        lines = [] if listed == {"data": data} else [f"{experiment} is new in params.yaml"]
        for name, version in installed_libraries().items():
            if libraries.get(name) != version:
                lines.append(f"{name} {libraries.get(name, 'none')} → {version}")
        return lines


def installed_libraries() -> dict[str, str]:
    """The versions of `STAGE_LIBRARIES` in this environment."""
    from importlib.metadata import version

    return {name: version(name) for name in STAGE_LIBRARIES}


def writable(folder: Path) -> bool:
    """Whether files can be made in `folder` or, while it is not there, in the one above it."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return os.access(there, os.W_OK | os.X_OK)
