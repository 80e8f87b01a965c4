"""What a trial is: everything that its result depends on, and a key made of it."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gristmill.pipelines.base import ConfigError, normalised_source
from gristmill.pipelines.config import FITTING, Experiment, Model, Recipe, Scalar
from gristmill.pipelines.training.recipes import recipe_changes, recipe_record

PACKAGES = {
    "keras": ("keras", "numpy", "tensorflow", "tensorflow-cpu"),
    "sklearn": ("numpy", "scikit-learn", "scipy"),
}
"""The packages that training computes with, by the library that trains."""

MODULES = {
    "keras": (
        *("config/sections/training.py", "training/class_weight.py", "training/keras_model.py"),
        *("training/loop.py", "training/programs.py"),
        *("training/training_rows.py", "training/trial.py", "workers/bench.py"),
    ),
    "sklearn": (
        *("config/known_estimators.py", "preparation/features/transforms.py"),
        *("training/class_weight.py", "training/estimator_arrays.py", "training/estimators.py"),
        *("training/predictor.py", "workers/bench.py"),
    ),
}
"""The modules, below `pipelines/`, that decide over a trial's weights."""

MODEL_FILES = {"keras": "model.keras", "sklearn": "model.npz"}
"""What a trained model's file is called in a package."""

FOLD = "fold"
"""The part of a key that only trials with folds have: the fold that validates, or `ALL_FOLDS`."""

ALL_FOLDS = "all folds"

INSTRUCTIONS = frozenset(
    {"sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl", "asimd", "sve"}
)


@dataclass(frozen=True)
class Trial:
    """One training that a search asks for.

    Attributes:
        key: 32 hexadecimal digits; equal keys give equal weights, bit for bit.
        parts: what the key was made of, a digest or a short text by name.
        recipe: the experiment file at this point.
        varied: the parameters that differ between the points of the search.
        threads: how many threads it computes with.
        fold: the one that validates; None where there are no folds, or none of them validates.
        repeat: how far its seed is from the file's; None where a point is trained once.
    """

    key: str
    parts: Mapping[str, str]
    recipe: Recipe
    varied: Mapping[str, Scalar]
    threads: int
    fold: int | None = None
    repeat: int | None = None

    def __hash__(self) -> int:
        return hash((self.key, self.epochs))

    @property
    def epochs(self) -> int:
        """The budget; it stands beside the key, for a longer run continues a shorter one."""
        return self.recipe.training.epochs

    @property
    def name(self) -> str:
        """Short text for people: the varied parameters, the seed of a repeat, and the fold."""
        words = [self.point]
        if self.repeat is not None:
            words.append(f"seed {self.recipe.training.seed}")
        if FOLD in self.parts:
            words.append(ALL_FOLDS if self.fold is None else f"fold {self.fold}")
        return " ".join(words)

    @property
    def point(self) -> str:
        """The same without the seed and the fold."""
        return " ".join(f"{k}={v}" for k, v in self.varied.items()) or "single"

    @property
    def arrays(self) -> str:
        """The folder in `build/NAME` of the rows that it learns from."""
        return "training" if self.fold is None else f"training/fold-{self.fold}"


def shared_parts(experiment: Experiment, data_digest: str) -> dict[str, str]:
    """The parts that the keys of all trials of an experiment have in common."""
    return surroundings(experiment.file.parent, experiment.document.model, data_digest)


def trials_at(
    experiment: Experiment,
    shared: Mapping[str, str],
    values: Mapping[str, Scalar],
    epochs: int | None = None,
) -> list[Trial]:
    """The trials of a point: one for each repeat, which have seeds of their own, and each fold.

    Args:
        shared: what `shared_parts` gave.
        values: of the varied parameters.
        epochs: the budget, if not the file's.
    """
    recipe = experiment.recipe(experiment.at(values))
    folds, repeats = experiment.document.split.folds, experiment.document.search.repeats
    asked = recipe.training.threads
    threads = cores() if isinstance(asked, str) else asked
    made = []
    for repeat in range(repeats):
        budget, seed = epochs or recipe.training.epochs, recipe.training.seed + repeat
        training = recipe.training.model_copy(update={"seed": seed, "epochs": budget})
        own = replace(recipe, training=training)
        parts = {**shared, **_recipe_parts(own), "threads": str(threads)}
        for fold in range(folds) if folds else (None,):
            here = parts if fold is None else parts | {FOLD: str(fold)}
            place = repeat if repeats > 1 else None
            made.append(Trial(_digest(here), here, own, values, threads, fold, place))
    return made


def surroundings(folder: Path, model: Model, data_digest: str) -> dict[str, str]:
    """The parts of a key that do not come from the recipe: data, code, packages and machine.

    Args:
        folder: where a builder's module stands.
        model: its builder and its library decide.
        data_digest: of the training and validation arrays.
    """
    sources = user_sources(folder, model.builder) if model.builder is not None else {}
    own = _own_sources(model.library)
    return {"data": data_digest, **environment(model.library), **own, **sources}


def environment(*libraries: str) -> dict[str, str]:
    """The parts of a key that are the machine's: device, instructions, versions of packages.

    Args:
        libraries: that train; all of them if none is named.
    """
    used = libraries or tuple(PACKAGES)
    found = {"device": device(), "instructions": instruction_set(), **_package_versions(*used)}
    return found | ({} if "keras" in used else {"device": "cpu"})


def on_all_folds(trial: Trial, epochs: int) -> Trial:
    """The trial of a grid point that learns from the rows of all folds, for so many epochs.

    No row is left to validate, so that nothing can stop it early.
    """
    training = trial.recipe.training.model_copy(update={"epochs": epochs, "early_stopping": None})
    recipe = replace(trial.recipe, training=training)
    parts = {**trial.parts, **_recipe_parts(recipe), FOLD: ALL_FOLDS}
    return replace(trial, key=_digest(parts), parts=parts, recipe=recipe, fold=None, repeat=None)


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def changed(
    trial: Trial, earlier: Mapping[str, str], recipe: Mapping[str, Any] | None = None
) -> list[str]:
    """What differs between a trial and an earlier one, in words.

    Args:
        trial: as it is asked for now.
        earlier: the earlier one's parts.
        recipe: the earlier one's record; None where none was kept, so that only the sections that
            differ can be told.
    """
    if ("keras" in trial.parts) != ("keras" in earlier):
        return _another_library(trial, earlier, recipe)
    lines = changed_parts(trial.parts, earlier)
    if recipe is None or not set(RECIPE_PARTS) & {line.partition(" ")[0] for line in lines}:
        return lines
    rest = [line for line in lines if line.partition(" ")[0] not in RECIPE_PARTS]
    return rest + (recipe_changes(recipe, recipe_record(trial.recipe)) or ["settings changed"])


def _another_library(
    trial: Trial, earlier: Mapping[str, str], recipe: Mapping[str, Any] | None
) -> list[str]:
    """The model, and what differs of all that both libraries depend on."""
    both = (trial.parts.keys() & earlier.keys()) - {*RECIPE_PARTS, "device"}
    lines = changed_parts({n: trial.parts[n] for n in both}, {n: earlier[n] for n in both})
    before = model_name((recipe or {}).get("model") or {})
    return [*lines, f"model: {before} → {model_name(trial.recipe.model.model_dump())}"]


def model_name(model: Mapping[str, Any]) -> str:
    """What a section `model` names: an estimator, a builder or layers."""
    if model.get("sklearn"):
        return str(next(iter(model["sklearn"])))
    return str(model.get("builder") or "layers")


def changed_parts(now: Mapping[str, str], earlier: Mapping[str, str]) -> list[str]:
    """The parts of a key that differ, in words: data, code, packages, machine, seed, settings."""
    names = {*now, *earlier} - ({FOLD} if FOLD in now and FOLD in earlier else set())
    differing = [name for name in names if now.get(name) != earlier.get(name)]
    return [
        _part_words(name, earlier.get(name, ""), now.get(name, ""))
        for name in sorted(differing, key=lambda name: (_kind(name), name))
    ]


DATA = "data"
RECIPE_PARTS = ("features", "model", "training")
MACHINE = ("device", "instructions", "threads")
KINDS = ("data", "code", "package", "machine", "settings")


def kind_of(line: str) -> str:
    """Which of `KINDS` a line of `changed_parts` is about."""
    return KINDS[_kind(line.partition(" ")[0].rstrip(":"))]


def _kind(name: str) -> int:
    if name == DATA:
        return 0
    if name.endswith(".py"):
        return 1
    if name in MACHINE:
        return 3
    return 4 if name in (*RECIPE_PARTS, "seed", FOLD) else 2


def _part_words(name: str, old: str, new: str) -> str:
    if name.endswith(".py") and not (old and new):
        return f"{name} is new" if new else f"{name} is no longer used"
    if name == "instructions":
        gone, come = set(old.split()) - set(new.split()), set(new.split()) - set(old.split())
        said = [f"without {' '.join(sorted(gone))}"] * bool(gone)
        return "instructions " + ", ".join(said + [f"with {' '.join(sorted(come))}"] * bool(come))
    if name.endswith(".py") or name in (DATA, *RECIPE_PARTS):
        return f"{name} changed"
    colon = "" if _kind(name) == 2 else ":"
    return f"{name}{colon} {old or 'none'} → {new or 'none'}"


def _recipe_parts(recipe: Recipe) -> dict[str, str]:
    counts = set(FITTING) if recipe.model.library == "sklearn" else None
    fitted = recipe.training.model_dump(include=counts, exclude={"epochs", "threads", "seed"})
    model: dict[str, Any] = recipe.model.model_dump()
    parts = {
        "features": recipe.features.model_dump(),
        "model": model,
        "training": {**fitted, "metrics": recipe.fit_metrics, "task": recipe.task},
    }
    digests = {name: _digest(value) for name, value in parts.items()}
    return digests | {"seed": str(recipe.training.seed)}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


@cache
def _package_versions(*libraries: str) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in sorted({name for library in libraries for name in PACKAGES[library]}):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def _own_sources(library: str) -> dict[str, str]:
    folder = Path(__file__).parents[1]
    return {f"pipelines/{name}": normalised_source(folder / name) for name in MODULES[library]}


def user_sources(folder: Path, builder: str) -> dict[str, str]:
    """Digests of a builder's module and of the modules and packages beside it that it imports.

    Raises:
        ConfigError: the module is not there or is not Python.
    """
    found: dict[str, str] = {}
    waiting = [folder / f"{builder.partition(':')[0]}.py"]
    while waiting:
        file = waiting.pop()
        name = f"experiments/{file.relative_to(folder).as_posix()}"
        if name in found:
            continue
        try:
            found[name] = normalised_source(file)
            tree = ast.parse(file.read_bytes())
        except (OSError, SyntaxError) as error:
            raise ConfigError(
                "the model's builder cannot be read",
                expected=f"a Python file {folder.name}/{file.relative_to(folder)}",
                found=str(error),
            ) from error
        for node in ast.walk(tree):
            waiting += _imported(node, file, folder)
    return found


def _imported(node: ast.AST, file: Path, folder: Path) -> Iterator[Path]:
    """The files in `folder` that a statement of `file` imports, packages' own among them."""
    paths: list[tuple[str, ...]] = []
    start = folder
    if isinstance(node, ast.Import):
        paths = [tuple(alias.name.split(".")) for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        start = file.parents[node.level - 1] if node.level else folder
        module = tuple(node.module.split(".")) if node.module else ()
        paths = [(*module, alias.name) for alias in node.names]
    if not start.is_relative_to(folder):
        return
    inside = start.relative_to(folder).parts
    for path in paths:
        place = folder
        for word in (*inside, *path):
            for one in (place / word / "__init__.py", place / f"{word}.py"):
                if one.is_file():
                    yield one
            place /= word


@cache
def instruction_set() -> str:
    """The instructions by which this machine multiplies: others give other last bits."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.system()} {platform.machine()}"
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    found = sorted(INSTRUCTIONS & set(flags.partition(":")[2].split()))
    return f"{platform.machine()} " + " ".join(found)


@cache
def device() -> str:
    """`gpu` where TensorFlow is installed with CUDA and a GPU can be seen, else `cpu`."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    here = "tensorflow" in _package_versions("keras") and Path("/dev/nvidia0").exists()
    return "gpu" if here and not hidden else "cpu"
