"""The layout of a project's folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gristmill.pipelines.base import ConfigError, nearest, read_json, read_yaml, writing

STAGE_LIBRARIES = ("great-expectations", "numpy", "pandas", "pyarrow", "scikit-learn")
"""The libraries of the data stages; DVC watches their versions in `params.yaml`."""


@dataclass(frozen=True)
class Project:
    """A folder with `params.yaml`, `dvc.yaml` and `experiments/`."""

    root: Path

    @staticmethod
    def find(start: Path | None = None) -> Project:
        """Return the project that contains `start`, by default the current folder.

        Raises:
            ConfigError: no enclosing folder is a project.
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
        """Return the folder for the outputs of an experiment's stages."""
        return self.root / "build" / experiment

    def experiment_file(self, experiment: str) -> Path:
        return self.experiments / f"{experiment}.yaml"

    def cuts_file(self, experiment: str) -> Path:
        """Return the file of the split's frozen cuts, which is tracked in git."""
        return self.experiments / f"{experiment}.split.json"

    def stale_cuts(self, experiment: str, owner: str | None) -> bool:
        """Return whether shared cuts differ from those of the experiment that owns them.

        DVC cannot check this, because the stage would depend on a file named in another file.
        """
        if owner is None or not all(self.cuts_file(n).is_file() for n in (experiment, owner)):
            return False
        try:
            mine, theirs = (read_json(self.cuts_file(name)) for name in (experiment, owner))
            shared = {**mine, "rule": {k: v for k, v in mine["rule"].items() if k != "as"}}
            shared["cuts"] = {k: v for k, v in mine["cuts"].items() if k in theirs["cuts"]}
        except (AttributeError, KeyError, TypeError, ValueError):
            return True  # the stage reports what is wrong
        return bool(shared != theirs)

    def experiment_names(self) -> list[str]:
        return sorted(path.stem for path in self.experiments.glob("*.yaml"))

    def require_experiment(self, experiment: str) -> Path:
        """Return the file of an experiment.

        Raises:
            ConfigError: the experiment does not exist; the message suggests the nearest name.
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
        """Check that the project is in a git repository, which DVC and lineage need.

        Raises:
            ConfigError: it is not.
        """
        if not any((folder / ".git").exists() for folder in (self.root, *self.root.parents)):
            raise ConfigError(
                "the project is not in a git repository",
                expected=".git here or above, for DVC's pins and the commit of each run",
                found=f"none around {self.root}",
                next="git init && git add -A && git commit -m 'start'",
            )

    def relative(self, path: Path) -> str:
        """Return the path as typed in the project's folder."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def register(self, experiment: str, data: str) -> bool:
        """Add the experiment and the versions of installed libraries to `params.yaml`.

        Comments and order are kept.

        Returns:
            Whether the file changed.
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

    def unregister(self, experiment: str) -> None:
        """Remove the experiment from `params.yaml`; comments and order are kept."""
        if experiment not in self.registered():
            return
        from ruamel.yaml import YAML

        yaml = YAML()
        yaml.width = 100
        document = yaml.load(self.params_file)
        del document["experiments"][experiment]
        with writing(self.params_file) as aside, aside.open("w", encoding="utf-8") as file:
            yaml.dump(document, file)

    def registered(self) -> dict[str, str | None]:
        """Return the folder of the data set of each experiment in `params.yaml`."""
        document = read_yaml(self.params_file) if self.params_file.exists() else {}
        listed = document.get("experiments") or {}
        return {name: (entry or {}).get("data") for name, entry in listed.items()}

    def leftovers(self) -> list[str]:
        """Return the experiments without a file that `params.yaml` lists, or that have cuts."""
        cuts = [path.name for path in self.experiments.glob("*.split.json")]
        listed = {*self.registered(), *(name.removesuffix(".split.json") for name in cuts)}
        return sorted(listed - {*self.experiment_names()})

    def stale_parameters(self, experiment: str, data: str) -> list[str]:
        """Return the entries of `params.yaml` that are missing or outdated, one line each."""
        document = read_yaml(self.params_file) if self.params_file.exists() else {}
        listed = (document.get("experiments") or {}).get(experiment)
        libraries = document.get("libraries") or {}
        lines = [] if listed == {"data": data} else [f"{experiment} is new in params.yaml"]
        for name, version in installed_libraries().items():
            if libraries.get(name) != version:
                lines.append(f"{name} {libraries.get(name, 'none')} → {version}")
        return lines


def installed_libraries() -> dict[str, str]:
    """Return the versions of `STAGE_LIBRARIES` in this environment."""
    from importlib.metadata import version

    return {name: version(name) for name in STAGE_LIBRARIES}


def writable(folder: Path) -> bool:
    """Return whether files can be created in `folder` or, if missing, in its nearest parent."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return os.access(there, os.W_OK | os.X_OK)
