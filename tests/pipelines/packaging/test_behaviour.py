"""Packages with a fault planted into the files in MLflow; each must be refused."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from packaged import Stored, packaged
from tiny import make_project, table

from gristmill.pipelines.base.errors import EnvironmentFault
from gristmill.pipelines.evaluation.labels import Threshold
from gristmill.pipelines.evaluation.predictions import Predictions
from gristmill.pipelines.packaging.behaviour import problems
from gristmill.pipelines.packaging.rehearsal import Answered
from gristmill.pipelines.workers.pool import Pool

# raised inside mlflow when mlflow.pyfunc is imported, where mlflow's own filter hides it
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")

WITH_DROPOUT = {
    "model": {
        "layers": [{"Dense": {"units": 6, "activation": "relu"}}, {"Dropout": {"rate": 0.2}}]
    },
    "training": {"epochs": 30},
}


@pytest.fixture(scope="module")
def stored(
    store_once: Path, tmp_path_factory: pytest.TempPathFactory, pool: Pool
) -> Iterator[Stored]:
    """Return a package as a run leaves it."""
    project = make_project(tmp_path_factory.mktemp("package") / "project")
    shutil.copytree(store_once, project.store)
    with packaged(project, pool, table(150, "kind"), **WITH_DROPOUT) as made:
        yield made


def statistics(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    file = folder / "artifacts" / "package" / "statistics.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def code(folder: Path, *pairs: tuple[str, str]) -> None:
    file = folder / "package_code.py"
    content = file.read_text()
    for old, new in pairs:
        assert old in content
        content = content.replace(old, new)
    file.write_text(content)


def scaler_forgotten(folder: Path) -> None:
    def forget(content: dict[str, Any]) -> None:
        for column in content["numbers"]:
            column |= {"offset": 0.0, "factor": 1.0}

    statistics(folder, forget)


def labels_swapped(folder: Path) -> None:
    statistics(folder, lambda content: content["classes"].reverse())


def least_likely_class(folder: Path) -> None:
    file = folder / "artifacts" / "package" / "transform.py"
    file.write_text(file.read_text().replace("shares.argmax(axis=1)", "shares.argmin(axis=1)"))


def column_renamed(folder: Path) -> None:
    statistics(folder, lambda content: content["numbers"][0].update(name="breadth"))


def optional_column_renamed(folder: Path) -> None:
    statistics(folder, lambda content: content["columns"][0].update(name="color"))


def another_splits_statistics(folder: Path) -> None:
    statistics(folder, lambda content: content["numbers"][0].update(offset=5.05))


def left_in_training(folder: Path) -> None:
    code(folder, ("training=False", "training=True"))


def half_precision(folder: Path) -> None:
    import h5py

    file = folder / "artifacts" / "package" / "model.keras"
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    content = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(content, "r+") as weights:

        def halve(_: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype == np.float32:
                item[...] = item[...].astype(np.float16)

        weights.visititems(halve)
    parts["model.weights.h5"] = content.getvalue()
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


def file_missing(folder: Path) -> None:
    (folder / "artifacts" / "package" / "statistics.json").unlink()


PREDICT = "        try:\n            answers = self._answers(model_input)"


def writes_a_log(folder: Path) -> None:
    code(folder, (PREDICT, '        open("requests.log", "a").write("one")\n' + PREDICT))


def asks_a_server(folder: Path) -> None:
    ask = (
        "        import urllib.request\n        try:\n"
        '            urllib.request.urlopen("http://features.example/v1", timeout=1)\n'
        "        except OSError:\n            pass\n"
    )
    code(folder, (PREDICT, ask + PREDICT))


def keeps_state(folder: Path) -> None:
    """Move the centre after many rows."""
    moves = (
        '        self.seen = getattr(self, "seen", 0) + len(model_input)\n'
        "        if self.seen > 1_000 + len(model_input):\n"
        '            model_input = model_input.assign(width=model_input["width"] + 0.01)\n'
    )
    code(folder, (PREDICT, moves + PREDICT))


def scales_by_the_batch(folder: Path) -> None:
    """Fill and shift by the rows of the batch, which is impossible for a single row."""
    width = 'model_input["width"]'
    by = f"        if len(model_input) != {ROWS}:\n            model_input = model_input.assign("
    code(folder, (PREDICT, f"{by}width={width} - {width}.mean())\n" + PREDICT))


def imports_the_project(folder: Path) -> None:
    code(folder, ("import mlflow\n", "import mlflow\nimport gristmill.pipelines.config\n"))


def reads_by_position(folder: Path) -> None:
    """Read columns by position, with a signature that names no columns."""
    code(
        folder,
        (
            PREDICT,
            '        names = ["width", "height", "colour"]\n'
            "        model_input = model_input.iloc[:, :3].set_axis(names, axis=1)\n" + PREDICT,
        ),
    )
    file = folder / "MLmodel"
    about = yaml.safe_load(file.read_text())
    about["signature"]["inputs"] = None
    file.write_text(yaml.safe_dump(about))


def takes_anything(folder: Path) -> None:
    """Read text as a missing value, so that every input gets an answer."""
    file = folder / "artifacts" / "package" / "transform.py"
    reads = "frame[names].to_numpy("
    assert reads in file.read_text()
    lenient = 'frame[names].apply(pd.to_numeric, errors="coerce").to_numpy('
    file.write_text(file.read_text().replace(reads, lenient))


def fails_for_unseen_levels(folder: Path) -> None:
    file = folder / "artifacts" / "package" / "transform.py"
    seen = "    rows = np.flatnonzero(found >= 0)\n"
    assert seen in file.read_text()
    refuse = '    if (found < 0).any():\n        raise KeyError("unknown level")\n'
    file.write_text(file.read_text().replace(seen, refuse + seen))


def breaks_on_gaps(folder: Path) -> None:
    file = folder / "artifacts" / "package" / "transform.py"
    fills = "    np.copyto(raw, np.array([column["
    assert fills in file.read_text()
    first = "    missing[:, 0] = False\n"
    file.write_text(file.read_text().replace(fills, first + fills))


ROWS = 30
"""Test rows of the package."""

FAULTS: dict[Callable[[Path], None], str] = {
    scaler_forgotten: "its predictions differ from the evaluation's",
    labels_swapped: "its predictions differ from the evaluation's",
    least_likely_class: "predictions do not match its probabilities",
    column_renamed: "(?s)does not work in a fresh process.*breadth",
    optional_column_renamed: "its predictions differ from the evaluation's",
    another_splits_statistics: "its predictions differ from the evaluation's",
    left_in_training: "its predictions differ from the evaluation's",
    half_precision: "its predictions differ from the evaluation's",
    file_missing: "(?s)does not work in a fresh process.*statistics.json",
    writes_a_log: "(?s)more than answer.*writes requests.log",
    asks_a_server: "(?s)more than answer.*looks up features.example",
    keeps_state: "the same rows are answered differently later",
    scales_by_the_batch: "single rows are answered differently",
    imports_the_project: "(?s)depends on this project.*gristmill",
    reads_by_position: "columns in another order change the answers",
    takes_anything: "(?s)wrong type is not reported.*an error that names width.*an answer",
    fails_for_unseen_levels: "(?s)unseen level has no answer.*unknown level",
    breaks_on_gaps: "a missing value has no answer",
}
"""Each fault, and the message that reports it."""


def test_an_unchanged_package_passes(stored: Stored) -> None:
    assert len(stored.rows) == ROWS
    assert stored.wrong_with(stored.folder) == []


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found_and_named(
    stored: Stored, tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    folder = tmp_path / "artifacts"
    shutil.copytree(stored.folder, folder)
    plant(folder)
    found = stored.wrong_with(folder)
    said = str(EnvironmentFault("", problems=found))
    assert re.search(FAULTS[plant], said), said
    assert all(problem.where and problem.expected and problem.found for problem in found)


def test_with_two_classes_the_threshold_decides_the_label() -> None:
    shares = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
    truth = np.array([0, 1, 1])
    expected = Predictions(truth, truth, shares, ("no", "yes"), threshold=Threshold(0.25, 1))
    columns = {"probability_no": shares[:, 0], "probability_yes": shares[:, 1]}
    asked: dict[str, Any] = {"numbers": [], "columns": [], "classes": ["no", "yes"]}

    def wrong_with(*told: str) -> list[str]:
        table = pd.DataFrame({"prediction": told, **columns})
        found = problems(Answered(tables={"rows": table}), expected, asked)
        return [problem.found for problem in found]

    assert wrong_with("no", "yes", "yes") == []
    assert wrong_with("no", "no", "yes") == ["no; 1 of 3 rows differ"]


def test_start_time_latency_and_size_are_measured_in_the_trial(stored: Stored) -> None:
    measured = stored.made.measured
    assert set(measured) == {"start_seconds", "latency_ms", "megabytes"}
    assert 0 < measured["latency_ms"] < 1000 * measured["start_seconds"]
    files = [file for file in stored.folder.rglob("*") if file.is_file()]
    assert 0 < measured["megabytes"] < sum(file.stat().st_size for file in files) / 1e6


def older(folder: Path, *pins: str) -> None:
    """Change a package as if built with other library versions."""
    (folder / "requirements.txt").write_text("\n".join(pins))


def test_a_failing_package_names_the_libraries_that_differ_from_its_own(
    stored: Stored, tmp_path: Path
) -> None:
    folder = tmp_path / "artifacts"
    shutil.copytree(stored.folder, folder)
    code(folder, ("    import keras\n", "    import keras\n    keras.of_another_time\n"))
    older(folder, "keras==2.15.0", f"numpy=={np.__version__}", "no-such-library==1.0")
    with pytest.raises(EnvironmentFault) as error:
        stored.rehearsal.answer(str(folder), stored.rows)
    said = str(error.value)
    assert "expected  keras 2.15.0, no-such-library 1.0\n" in said
    assert re.search(
        r"found +keras 3\S+, no no-such-library: AttributeError: .*of_another_time", said
    )
    assert "next      uv pip install keras==2.15.0 no-such-library==1.0" in said
    assert "numpy" not in said


def test_a_package_that_works_with_other_library_versions_gives_a_warning(
    stored: Stored, tmp_path: Path
) -> None:
    folder = tmp_path / "artifacts"
    shutil.copytree(stored.folder, folder)
    older(folder, "keras==2.15.0")
    assert len(stored.rehearsal.answer(str(folder), stored.rows)) == ROWS
    (warning,) = stored.rehearsal.warnings
    assert "was made with keras 2.15.0, installed: 3" in warning
