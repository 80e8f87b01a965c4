"""The identity of a trial: everything that its result depends on, and a key computed from it."""

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

from gristmill.pipelines.base import ConfigError, normalised_source, parse_source
from gristmill.pipelines.config import FITTING, Experiment, Model, Recipe, Scalar
from gristmill.pipelines.training.recipes import recipe_changes, recipe_record

PACKAGES = {
    "keras": ("keras", "numpy", "tensorflow", "tensorflow-cpu"),
    "sklearn": ("numpy", "scikit-learn", "scipy"),
}
"""The packages that a trial's weights depend on, by training library."""

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
"""The modules, below `pipelines/`, that a trial's weights depend on."""

MODEL_FILES = {"keras": "model.keras", "sklearn": "model.npz"}
"""File name of the trained model in a package, by training library."""

FOLD = "fold"
"""Name of the part of a key for trials with folds: the validation fold's number or `ALL_FOLDS`."""

ALL_FOLDS = "all folds"

INSTRUCTIONS = frozenset(
    {"sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl", "asimd", "sve"}
)


@dataclass(frozen=True)
class Trial:
    """One training run requested by a search.

    Attributes:
        key: 32 hexadecimal digits; equal keys give equal weights, bit for bit.
        parts: the inputs of the key by name, each a digest or a short text.
        recipe: the experiment file at this point.
        varied: values of the parameters that the search varies.
        threads: number of threads it computes with.
        fold: the validation fold; None without folds, or when training on all folds.
        repeat: offset of its seed from the file's seed; None if points are trained once.
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
        """Epoch budget. Not part of the key, so that a longer run can resume a shorter one."""
        return self.recipe.training.epochs

    @property
    def name(self) -> str:
        """Readable name: the varied parameters, the seed of a repeat, and the fold."""
        words = [self.point]
        if self.repeat is not None:
            words.append(f"seed {self.recipe.training.seed}")
        if FOLD in self.parts:
            words.append(ALL_FOLDS if self.fold is None else f"fold {self.fold}")
        return " ".join(words)

    @property
    def point(self) -> str:
        """Readable name without seed and fold."""
        return " ".join(f"{k}={v}" for k, v in self.varied.items()) or "single"

    @property
    def arrays(self) -> str:
        """The folder of its training and validation arrays, relative to `build/NAME`."""
        return "training" if self.fold is None else f"training/fold-{self.fold}"


def shared_parts(experiment: Experiment, data_digest: str) -> dict[str, str]:
    """Return the parts of a key that all trials of an experiment share."""
    return surroundings(experiment.file.parent, experiment.document.model, data_digest)


def trials_at(
    experiment: Experiment,
    shared: Mapping[str, str],
    values: Mapping[str, Scalar],
    epochs: int | None = None,
) -> list[Trial]:
    """Return the trials of a point, one for each repeat and fold; each repeat has its own seed.

    Args:
        experiment: the checked file with overrides.
        shared: result of `shared_parts`.
        values: values of the varied parameters.
        epochs: epoch budget; the file's if None.
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
    """Return the parts of a key besides the recipe: data, code, packages and machine.

    Args:
        folder: folder of a builder's module.
        model: read for its builder and its library.
        data_digest: digest of the training and validation arrays.
    """
    sources = user_sources(folder, model.builder) if model.builder is not None else {}
    own = _own_sources(model.library)
    return {"data": data_digest, **environment(model.library), **own, **sources}


def environment(*libraries: str) -> dict[str, str]:
    """Return the parts of a key from this machine: device, instructions, package versions.

    Args:
        libraries: training libraries, `keras` or `sklearn`; all if none is named.
    """
    used = libraries or tuple(PACKAGES)
    found = {"device": device(), "instructions": instruction_set(), **_package_versions(*used)}
    return found | ({} if "keras" in used else {"device": "cpu"})


def on_all_folds(trial: Trial, epochs: int) -> Trial:
    """Return the trial of the same point that trains on the rows of all folds.

    Without validation rows there is no early stopping.

    Args:
        trial: any trial of the point.
        epochs: number of epochs to train.
    """
    training = trial.recipe.training.model_copy(update={"epochs": epochs, "early_stopping": None})
    recipe = replace(trial.recipe, training=training)
    parts = {**trial.parts, **_recipe_parts(recipe), FOLD: ALL_FOLDS}
    return replace(trial, key=_digest(parts), parts=parts, recipe=recipe, fold=None, repeat=None)


def cores() -> int:
    """Return the number of processor cores available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def changed(
    trial: Trial, earlier: Mapping[str, str], recipe: Mapping[str, Any] | None = None
) -> list[str]:
    """Return the differences between a trial and an earlier one, one line each.

    Args:
        trial: the trial that is planned now.
        earlier: parts of the earlier trial's key.
        recipe: `recipe_record` of the earlier trial; if None, only the names of differing sections
            can be listed.
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
    """Return both models' names, and the differences in the parts that both libraries have."""
    both = (trial.parts.keys() & earlier.keys()) - {*RECIPE_PARTS, "device"}
    lines = changed_parts({n: trial.parts[n] for n in both}, {n: earlier[n] for n in both})
    before = model_name((recipe or {}).get("model") or {})
    return [*lines, f"model: {before} → {model_name(trial.recipe.model.model_dump())}"]


def model_name(model: Mapping[str, Any]) -> str:
    """Return what a section `model` names: the estimator, the builder or `layers`."""
    if model.get("sklearn"):
        return str(next(iter(model["sklearn"])))
    return str(model.get("builder") or "layers")


def changed_parts(now: Mapping[str, str], earlier: Mapping[str, str]) -> list[str]:
    """Return the differing parts of two keys, one line each, in the order of `KINDS`."""
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
    """Return the one of `KINDS` that a line of `changed_parts` belongs to."""
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
    """Return digests of a builder's module and of all modules in its folder that it imports.

    Args:
        folder: folder of the builder's module.
        builder: `MODULE:FUNCTION`.

    Raises:
        ConfigError: the module does not exist or is not valid Python.
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
            tree = parse_source(file.read_bytes(), str(file))
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
    """Yield the files in `folder` that a statement of `file` imports, including `__init__.py`."""
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
    """Return the vector instructions of this machine; others give different last bits."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.system()} {platform.machine()}"
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    found = sorted(INSTRUCTIONS & set(flags.partition(":")[2].split()))
    return f"{platform.machine()} " + " ".join(found)


@cache
def device() -> str:
    """Return `gpu` if TensorFlow is installed and an NVIDIA GPU is visible, else `cpu`."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    here = "tensorflow" in _package_versions("keras") and Path("/dev/nvidia0").exists()
    return "gpu" if here and not hidden else "cpu"
