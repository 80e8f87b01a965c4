"""`gristmill reproduce`: retrain a registered model from its origin and compare the weights."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gristmill.commands.endings import interrupted
from gristmill.commands.options import Model
from gristmill.commands.worktree_process import ask_in_worktree
from gristmill.pipelines import config, ingestion, packaging, registry, tracking, training
from gristmill.pipelines.base import (
    ConfigError,
    EnvironmentFault,
    InputError,
    read_json,
    read_yaml,
    write_json,
)
from gristmill.pipelines.config import Project
from gristmill.pipelines.reporting import Screen
from gristmill.pipelines.tracking import tags as names

DIFFERS = 4
"""Exit code if the weights or the registered files differ."""

ORDER = ("data", "code", "package", "arrays", "machine", "settings", "files")
"""Order of the reported differences: causes before effects."""

RECIPE, DIFF = "lineage/winner.json", "lineage/changes.diff"
"""Artifacts of a run."""


@dataclass(frozen=True)
class Origin:
    """The origin of a registered version, from its run and the registry.

    Attributes:
        version: registered version.
        tags: tags of its run.
        record: key, parts and recipe of the winning trial.
        folder: folder of its data set, below `data/`.
    """

    version: registry.Version
    tags: Mapping[str, str]
    record: Mapping[str, Any]
    folder: str

    @property
    def parts(self) -> dict[str, str]:
        """The parts of the trial's key; the run's tags take precedence over the record."""
        said = {
            **{
                name.removeprefix("version."): name
                for name in self.tags
                if name.startswith("version.")
            },
            **{name: f"gristmill.{name}" for name in ("device", "instructions")},
            "data": f"dvc.build/{self.version.model}/training",
        }
        kept = dict(self.record["parts"])
        return kept | {part: self.tags[tag] for part, tag in said.items() if tag in self.tags}


@interrupted("interrupted; nothing was written")
def reproduce(model: Model) -> int:
    """Retrain a model in a temporary working tree and compare the weights bit for bit."""
    project, screen = Project.find(), Screen()
    began = time.monotonic()
    version = registry.find(project, model)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    commit = _commit(project, version)
    screen.say(f"{version.model} version {version.number}, trained at commit {commit[:12]}")
    with tracking.worktree(project, commit) as tree:
        aside = tree / "build" / "reproduce"
        origin = _origin(project, version, aside)
        code = _code(project, screen, origin, tree)
        data = _data(project, screen, origin, tree)
        libraries = _libraries(tree)
        for line in [*libraries, *_environment(origin)]:
            screen.say(f"    ! {line}")
        with screen.step("train") as words:
            answer = _train(origin, tree, aside)
            words.append(f"on {origin.record['threads']} thread(s)")
        with screen.step("compare") as words:
            package = packaging.copy_package(project, version.address, aside / "package")
            changed = [f"files: {file}" for file in packaging.changes(project, version, package)]
            again = Path(answer["model"])
            found = packaging.compare_weights(package / "artifacts/package" / again.name, again)
            words.append(f"{found.values:,} values")
    trained = _in_training(origin, answer["parts"], libraries, bool(data))
    differences = [*changed, *data, *code, *trained]
    differences.sort(key=lambda line: ORDER.index(line.partition(":")[0]))
    return _said(screen, version, found, differences, time.monotonic() - began)


def _said(
    screen: Screen,
    version: registry.Version,
    found: packaging.WeightsCompared,
    differences: list[str],
    seconds: float,
) -> int:
    name = f"{version.model} version {version.number}"
    if not found.differing:
        screen.say(f"{name}: bit for bit the same, {seconds:.1f} s")
        for line in differences:
            screen.say(f"  although {line}")
        return DIFFERS if any(line.startswith("files: ") for line in differences) else 0
    by = "" if found.largest == float("inf") else f", by {found.largest:.3g} at most"
    screen.say(f"{name}: {found.differing:,} of {found.values:,} values differ{by}")
    if not differences:
        cause = "the registered file was changed since, or " * bool(packaging.unchecked(version))
        screen.say(f"  no recorded part differs: {cause}this training is not deterministic (a GPU)")
    for place, line in enumerate(differences):
        screen.say(f"  {'first difference' if not place else 'also':16s}  {line}")
    return DIFFERS


def _commit(project: Project, version: registry.Version) -> str:
    tags = tracking.run_tags(project, version.run_id)
    commit = tags.get("mlflow.source.git.commit", "")
    name = f"{version.model} version {version.number}"
    if not commit:
        raise ConfigError(
            f"{name} cannot be trained again",
            expected="a run with the commit that it was trained from",
            found="a run without a commit" if tags else "its run is no longer in the store",
        )
    if not tracking.has_artifact(project, version.run_id, RECIPE):
        raise ConfigError(
            f"{name} cannot be trained again",
            expected=f"the artifact {RECIPE} of its run {version.run_id[:8]}",
            found="none: the run is older than stored recipes",
            next="register a new version with gristmill run",
        )
    return commit


def _origin(project: Project, version: registry.Version, aside: Path) -> Origin:
    aside.mkdir(parents=True)
    record = read_json(tracking.fetch_artifact(project, version.run_id, RECIPE, aside))
    tags = tracking.run_tags(project, version.run_id)
    sets = [tag.removeprefix("dvc.data/") for tag in tags if tag.startswith("dvc.data/")]
    if len(sets) != 1:
        raise ConfigError(
            f"run {version.run_id[:8]} does not name the data it read",
            expected="one tag dvc.data/NAME",
            found=", ".join(sets) or "none",
        )
    return Origin(version, tags, record, sets[0])


def _code(project: Project, screen: Screen, origin: Origin, tree: Path) -> list[str]:
    """Apply the run's uncommitted changes to the commit; return the differences left."""
    with screen.step("code") as words:
        kept = origin.tags.get(names.DIFF)
        if kept is None:
            words.append("the commit without changes")
            return []
        aside = tree / "build" / "reproduce"
        problem = tracking.apply_diff(
            tree, tracking.fetch_artifact(project, origin.version.run_id, DIFF, aside)
        )
        words.append("the commit and the run's uncommitted changes")
    if problem:
        return [f"code: the run's uncommitted changes do not apply ({problem.splitlines()[0]})"]
    return [] if kept == tracking.WHOLE else [f"code: the run's uncommitted changes were {kept}"]


def _data(project: Project, screen: Screen, origin: Origin, tree: Path) -> list[str]:
    """Link the run's version of its data set from DVC's cache; return the differences left."""
    folder = origin.folder
    recorded = origin.tags[f"dvc.data/{folder}"]
    registered = origin.version.tags.get(names.DATA) or recorded
    target = tree / "data" / folder
    differences = []
    with screen.step("data") as words:
        if registered != recorded:
            differences.append(
                f"data: the registry has version {registered[:8]}, the run {recorded[:8]}"
            )
        try:
            damaged = ingestion.lay_out_version(project, folder, registered, target)
            words.append(f"version {registered[:8]} from DVC's cache")
        except InputError:
            if registered == recorded:
                raise
            damaged = ingestion.lay_out_version(project, folder, recorded, target)
            words.append(f"version {recorded[:8]} from DVC's cache")
    if damaged:
        files = ", ".join(damaged[:3]) + f" and {len(damaged) - 3} more" * (len(damaged) > 3)
        differences.append(f"data: the bytes of {files} in DVC's cache are not the pinned ones")
    return differences


def _libraries(tree: Path) -> list[str]:
    """Return the data stages' libraries whose versions differ from the `params.yaml` of then."""
    file = tree / "params.yaml"
    then = (read_yaml(file) if file.exists() else {}).get("libraries") or {}
    return [
        f"package: {name} {then[name]} → {version}"
        for name, version in config.installed_libraries().items()
        if name in then and str(then[name]) != version
    ]


def _environment(origin: Origin) -> list[str]:
    """Return how this machine differs from the one of then."""
    here, parts = training.environment(), origin.parts
    lines = training.changed_parts(
        {name: text for name, text in here.items() if name in parts},
        {name: text for name, text in parts.items() if name in here},
    )
    return [f"{training.kind_of(line)}: {line}" for line in lines]


def _in_training(
    origin: Origin, now: Mapping[str, str], libraries: list[str], known: bool
) -> list[str]:
    """Return how the parts of the key differ between then and now.

    Args:
        origin: the parts of then.
        now: the parts that the training found.
        libraries: differences in the libraries of the data stages.
        known: whether the raw data are known to differ.
    """
    lines = training.changed_parts(now, _but_recipe(origin.parts))
    found = [f"{training.kind_of(line)}: {line}" for line in lines]
    if "data: data changed" in found:
        found.remove("data: data changed")
        found += ["arrays: the output of the data stages differs"] * (not known)
    return list(dict.fromkeys([*found, *libraries]))


def _but_recipe(parts: Mapping[str, str]) -> dict[str, str]:
    """Return the parts without those of the recipe, which are reused unchanged."""
    of_recipe = ("features", "model", "training", "seed", "threads", "fold")
    return {name: text for name, text in parts.items() if name not in of_recipe}


def _train(origin: Origin, tree: Path, aside: Path) -> dict[str, Any]:
    """Train with the working tree's code in a separate process; return its answer."""
    record = aside / "record.json"
    write_json(record, {**origin.record, "experiment": origin.version.model})
    answer = ask_in_worktree(tree, ["retrain", str(record)], aside, without=("GIT_", "DVC_"))
    if error := answer["error"]:
        raise EnvironmentFault("the training did not finish", found=error)
    return answer
