"""A trial's key: what changes it and what does not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny import DIGEST, make_data, make_project, trials, write_experiment

from gristmill import pipelines
from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.training.identity import (
    MODULES,
    Trial,
    changed,
    changed_parts,
    cores,
    kind_of,
    user_sources,
)
from gristmill.pipelines.training.recipes import recipe_record

BUILDER = {"model": {"layers": None, "builder": "my_models:build"}}


@pytest.fixture
def home(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def trial(project: Project, digest: str = DIGEST, **changes: Any) -> Trial:
    (only,) = trials(write_experiment(project, **changes), digest)
    return only


@pytest.mark.parametrize(
    "changes",
    [
        {"features": {"scale": "minmax"}},
        {"features": {"exclude": ["colour"]}},
        {"parameters": {"units": 7}},
        {"model": {"layers": [{"Dense": {"units": "$units", "activation": "tanh"}}]}},
        {"model": {"output": [{"Dense": {"units": 3, "activation": "softmax"}}]}},
        {"parameters": {"learning_rate": 0.03}},
        {"training": {"optimizer": {"SGD": {"learning_rate": "$learning_rate"}}}},
        {"training": {"loss": "categorical_crossentropy"}},
        {"training": {"metrics": ["accuracy", "AUC"]}},
        {"training": {"batch_size": 17}},
        {"training": {"early_stopping": {"patience": 3}}},
        {"training": {"seed": 1}},
        {"training": {"threads": 2}},
        {"data": {"target": "weight", "task": "regression"}},
    ],
)
def test_the_key_changes_with_everything_the_result_depends_on(
    home: Project, changes: dict[str, Any]
) -> None:
    assert trial(home, **changes).key != trial(home).key


def test_the_key_changes_with_the_training_arrays(home: Project) -> None:
    assert trial(home, "b" * 32).key != trial(home).key


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "another text"},
        {"training": {"epochs": 5}},
        {"search": {"objective": "val_loss", "workers": 2}},
        {"evaluation": {"metrics": ["log_loss"]}},
        {"gate": {"require": {"accuracy": {"min": 0.5}}, "champion": {"confidence": 0.9}}},
        {"schedule": {"cron": "0 6 * * *"}},
        {"parameters": {"unused": 1}},
    ],
)
def test_the_key_does_not_change_with_settings_that_do_not_affect_the_weights(
    home: Project, changes: dict[str, Any]
) -> None:
    assert trial(home, **changes).key == trial(home).key


def test_comments_and_layout_of_the_file_do_not_change_the_key(home: Project) -> None:
    before = trial(home)
    file = home.experiment_file("tiny")
    text = file.read_text()
    file.write_text("# a comment\n" + text.replace(", ", ",\n  "))
    from gristmill.pipelines.config.experiment import load_experiment

    (after,) = trials(load_experiment(home, "tiny"), DIGEST)
    assert after.key == before.key


def test_the_place_in_the_grid_does_not_change_the_key(home: Project) -> None:
    alone = trial(home)
    grid = {"search": {"grid": {"learning_rate": [0.5, 0.02], "units": [9, 6, 3]}}}
    made = trials(write_experiment(home, **grid), DIGEST)
    assert [t.varied for t in made][:3] == [
        {"learning_rate": 0.5, "units": units} for units in (9, 6, 3)
    ]
    assert [t.key for t in made].index(alone.key) == 4
    assert len({t.key for t in made}) == 6
    assert made[4].name == "learning_rate=0.02 units=6"
    assert alone.name == "single"


def test_threads_are_recorded_as_a_number(home: Project) -> None:
    auto = trial(home, training={"threads": "auto"})
    assert (auto.threads, auto.parts["threads"]) == (cores(), str(cores()))
    assert auto.key == trial(home, training={"threads": cores()}).key


def test_parts_include_device_instructions_and_versions(home: Project) -> None:
    parts = trial(home).parts
    assert parts["device"] in ("cpu", "gpu")
    assert parts["instructions"]
    assert {"python", "keras", "numpy"} < set(parts)
    assert {"pipelines/training/keras_model.py", "pipelines/training/loop.py"} < set(parts)


def test_changed_lists_the_differences(home: Project) -> None:
    earlier, now = trial(home), trial(home, training={"seed": 3, "batch_size": 8})
    assert changed(now, earlier.parts) == ["seed: 0 → 3", "training changed"]
    assert changed(now, now.parts) == []
    assert changed(now, {**now.parts, "gone": "1"}) == ["gone 1 → none"]


def test_changed_names_the_setting_if_the_earlier_settings_were_stored(home: Project) -> None:
    earlier, now = trial(home), trial(home, training={"seed": 3, "batch_size": 8})
    lines = changed(now, earlier.parts, recipe_record(earlier.recipe))
    assert lines == ["seed: 0 → 3", "training.batch_size: 16 → 8"]
    assert changed(now, now.parts, recipe_record(now.recipe)) == []


@pytest.mark.parametrize(
    ("part", "then", "now", "words", "kind"),
    [
        ("data", "a" * 32, "b" * 32, "data changed", "data"),
        ("keras", "3.14.0", "3.15.1", "keras 3.14.0 → 3.15.1", "package"),
        ("threads", "1", "2", "threads: 1 → 2", "machine"),
        ("device", "cpu", "gpu", "device: cpu → gpu", "machine"),
        ("instructions", "x avx fma", "x avx512f", "instructions without", "machine"),
        ("pipelines/training/loop.py", "a", "b", "pipelines/training/loop.py changed", "code"),
        ("experiments/mine.py", "", "b", "experiments/mine.py is new", "code"),
        ("experiments/mine.py", "a", "", "experiments/mine.py is no longer used", "code"),
        ("model", "a", "b", "model changed", "settings"),
    ],
)
def test_every_part_has_a_description_and_a_kind(
    part: str, then: str, now: str, words: str, kind: str
) -> None:
    present = [{part: text} if text else {} for text in (now, then)]
    (line,) = changed_parts(*present)
    assert line.startswith(words)
    assert kind_of(line) == kind


@pytest.fixture
def with_builder(home: Project) -> Project:
    (home.experiments / "my_models.py").write_text(
        "from my_layers import Twice\n\ndef build(shape, outputs):\n    return Twice\n"
    )
    (home.experiments / "my_layers.py").write_text("def more():\n    import my_maths\nTwice = 2\n")
    (home.experiments / "my_maths.py").write_text("PI = 3\n")
    (home.experiments / "stranger.py").write_text("X = 1\n")
    return home


def test_user_sources_are_the_builder_and_the_modules_it_imports_from_its_folder(
    with_builder: Project,
) -> None:
    found = user_sources(with_builder.experiments, "my_models:build")
    assert set(found) == {f"experiments/my_{n}.py" for n in ("models", "layers", "maths")}


@pytest.mark.parametrize("name", ["my_models", "my_layers", "my_maths"])
def test_the_key_changes_with_the_meaning_of_a_user_module(
    with_builder: Project, name: str
) -> None:
    before = trial(with_builder, **BUILDER)
    file = with_builder.experiments / f"{name}.py"
    file.write_text(f'"""What it is for."""\n{file.read_text()}\n# a comment\n')
    assert trial(with_builder, **BUILDER).key == before.key
    file.write_text(file.read_text() + "Y = 5\n")
    after = trial(with_builder, **BUILDER)
    assert changed(after, before.parts) == [f"experiments/{name}.py changed"]


def test_the_key_does_not_change_with_a_module_that_is_not_imported(with_builder: Project) -> None:
    before = trial(with_builder, **BUILDER)
    (with_builder.experiments / "stranger.py").write_text("X = 2\n")
    assert trial(with_builder, **BUILDER).key == before.key


def test_packages_beside_the_builder_and_relative_imports_are_followed(home: Project) -> None:
    files = {
        "my_models.py": "from nets import dense\nimport sizes.large as large\n",
        "nets/__init__.py": "from .base import Base\n",
        "nets/dense.py": "from . import wide\nfrom ..other import X\n",
        "nets/base.py": "class Base: ...\n",
        "nets/wide.py": "import keras\n",
        "nets/unused.py": "X = 1\n",
        "sizes/large.py": "SIZE = 1\n",
        "other.py": "X = 1\n",
    }
    for name, text in files.items():
        (home.experiments / name).parent.mkdir(exist_ok=True)
        (home.experiments / name).write_text(text)
    found = user_sources(home.experiments, "my_models:build")
    assert set(found) == {f"experiments/{name}" for name in files if "unused" not in name}


def test_a_missing_builder_is_named(home: Project) -> None:
    with pytest.raises(ConfigError, match=r"a Python file experiments/my_models\.py"):
        trial(home, **BUILDER)


def test_a_builder_that_is_not_python_is_named(with_builder: Project) -> None:
    (with_builder.experiments / "my_layers.py").write_text("def (:\n")
    with pytest.raises(ConfigError, match=r"(?s)experiments/my_layers\.py.*invalid syntax"):
        trial(with_builder, **BUILDER)


SAY_KEY = """
from pathlib import Path
from gristmill.pipelines.config import Project, load_experiment
from gristmill.pipelines.training import shared_parts, trials_at
experiment = load_experiment(Project(Path({root!r})), "tiny")
(only,) = trials_at(experiment, shared_parts(experiment, "d"), {{}})
print(only.key)
"""


def key_by(code: Path, project: Project) -> str:
    """Return the key as a copy of the code computes it."""
    command = [sys.executable, "-c", SAY_KEY.format(root=str(project.root))]
    done = subprocess.run(command, cwd=code, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_key_changes_with_the_meaning_of_our_code_and_with_packages(
    home: Project, tmp_path: Path
) -> None:
    write_experiment(home)
    code = tmp_path / "code"
    ours = Path(pipelines.__path__[0])
    shutil.copytree(ours, code / "gristmill" / "pipelines")
    (code / "gristmill" / "__init__.py").touch()
    loop, search = (
        code / "gristmill" / "pipelines" / n for n in ("training/loop.py", "search/points.py")
    )
    first = key_by(code, home)
    loop.write_text(loop.read_text().replace('"""', '"""Longer. ', 1) + "\n# a comment\n")
    search.write_text(search.read_text() + "\nNOT_FOR_WEIGHTS = 1\n")
    assert key_by(code, home) == first
    loop.write_text(loop.read_text().replace('FUSED = "fused"', 'FUSED = "other"'))
    second = key_by(code, home)
    assert second != first
    (code / "numpy-99.0.dist-info").mkdir()
    (code / "numpy-99.0.dist-info/METADATA").write_text("Name: numpy\nVersion: 99.0\n")
    assert key_by(code, home) != second


TRAIN_AND_LIST = """
import json, sys
from pathlib import Path
from gristmill.pipelines.config import Project, load_experiment
from gristmill.pipelines.search import fed, train_fed
from gristmill.pipelines.training import shared_parts, trials_at
from gristmill.pipelines.workers import Pool
project = Project(Path({root!r}))
experiment = load_experiment(project, "tiny")
pool = Pool(project.root / "workers.log", experiment.document.model.library)
asked = trials_at(experiment, shared_parts(experiment, "d"), {{}})
told = train_fed(project, experiment, fed(asked), 1, pool)
errors = [said.error for said in told if hasattr(said, "error")]
loaded = pool.call(eval, "sorted(__import__('sys').modules)")
pool.close()
print(json.dumps([errors, loaded]))
"""

NOT_IN_THE_KEY = {
    "base/": "reads, writes, reports and spells",
    "config/": "what it makes of a file is in the key, value by value",
    "workers/messages.py": "records",
    "workers/preload_keras.py": "imports",
    "workers/preload_sklearn.py": "imports",
    "workers/worker.py": "passes requests on and measures their time",
}
"""Our modules that a worker imports but that cannot change weights, with the reason."""

ONLY_WITH = {
    "keras": {"preparation/features/transforms.py": "how classes are called, or there is an error"},
    "sklearn": {
        "training/trial.py": "only the record of a result",
    },
}


@pytest.mark.parametrize(
    ("library", "changes"),
    [
        ("keras", {"training": {"class_weight": {"low": 2.0}, "early_stopping": {"patience": 2}}}),
        (
            "sklearn",
            {
                "model": {"layers": None, "sklearn": {"LogisticRegression": {}}},
                "training": {"optimizer": None, "batch_size": None, "epochs": None},
            },
        ),
    ],
)
def test_the_key_covers_every_module_of_ours_that_a_worker_imports_and_that_could_change_weights(
    home: Project, library: str, changes: dict[str, Any]
) -> None:
    make_data(home, write_experiment(home, **changes))
    script = TRAIN_AND_LIST.format(root=str(home.root))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    errors, loaded = json.loads(done.stdout.splitlines()[-1])
    assert errors == [""]
    folder = Path(pipelines.__path__[0])
    prefix = "gristmill.pipelines."
    ours = {name.removeprefix(prefix).replace(".", "/") for name in loaded if prefix in name}
    files = {f"{name}.py" for name in ours if (folder / f"{name}.py").is_file()}
    known = {*MODULES[library], *ONLY_WITH[library]}
    harmless = {name for name in files if any(name.startswith(part) for part in NOT_IN_THE_KEY)}
    assert files - known - harmless == set()
    assert set(MODULES[library]) <= files
