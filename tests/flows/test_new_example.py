"""`gristmill new --example`: the source of the data and how they are fetched."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gristmill.commands.new import new
from gristmill.pipelines.base.errors import ConfigError, EnvironmentFault, InputError
from gristmill.pipelines.config.experiment import load_experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.sources import keras_sets
from gristmill.pipelines.ingestion.versions.pins import DataState, data_state

RNG = np.random.default_rng(0)
SIZES = {"train": 60, "t10k": 20}


def copy(name: str, example: str, origin: Path | None = None) -> None:
    new(name, example=example, origin=origin)


def idx(values: np.ndarray) -> bytes:
    head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    return head + values.tobytes()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Return the four files of a small data set registered under the hashes of `mnist`."""
    files = {}
    for part, size in SIZES.items():
        files[f"{part}-images-idx3-ubyte"] = idx(RNG.integers(0, 256, (size, 5, 5), np.uint8))
        files[f"{part}-labels-idx1-ubyte"] = idx(np.arange(size, dtype=np.uint8) % 10)
    digests = tuple(hashlib.md5(content).hexdigest() for content in files.values())
    monkeypatch.setitem(keras_sets.KNOWN, "mnist", digests)
    return files


def written(folder: Path, files: dict[str, bytes], packed: bool) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def digits(file: Path, target: str = "label", **more: Any) -> Path:
    frame = pd.DataFrame({target: np.arange(40) % 10, **more})
    for place in range(4):
        frame[f"pixel{place}"] = RNG.integers(0, 256, 40)
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(file, index=False)
    return file


def pictures(folder: Path, shade: int = 0) -> Path:
    for kind in ("cat", "dog"):
        (folder / kind).mkdir(parents=True)
        Image.new("RGB", (9, 9), (shade, 0, 0)).save(folder / kind / "1.png")
    return folder


def left(project: Project) -> set[str]:
    """Return the files that `new` may have left."""
    folders = [project.root / "data", project.experiments]
    return {str(file) for folder in folders for file in folder.rglob("*")}


def test_packed_and_plain_local_files_give_the_same_data_as_the_source(
    project: Project, published: dict[str, bytes], tmp_path: Path
) -> None:
    copy("packed", "mnist_fcl", written(tmp_path / "a", published, packed=True))
    place = project.root / "data" / "mnist" / "mnist.npz"
    assert data_state(project, "mnist") is DataState.PINNED
    assert project.stale_parameters("packed", "mnist") == []
    assert load_experiment(project, "packed").data.source == "keras:mnist"
    written(tmp_path / "b" / "mnist", published, packed=False)
    copy("plain", "mnist_fcl", tmp_path / "b")  # a folder that contains the data folder
    assert load_experiment(project, "plain").data.path == "data/mnist/mnist.npz"
    with np.load(place) as arrays:
        assert arrays["x_train"].shape == (60, 5, 5)
        assert idx(arrays["y_test"]) == published["t10k-labels-idx1-ubyte"]


def test_the_file_of_keras_is_accepted(
    project: Project, published: dict[str, bytes], tmp_path: Path
) -> None:
    keras_sets.keras_set_from(
        "mnist", written(tmp_path / "a", published, packed=False), tmp_path / "disk" / "mnist.npz"
    )
    copy("mine", "mnist_fcl", tmp_path / "disk")
    assert data_state(project, "mnist") is DataState.PINNED


def test_files_with_a_wrong_hash_are_refused_and_leave_nothing(
    project: Project, published: dict[str, bytes], tmp_path: Path
) -> None:
    before = left(project)
    broken = {**published, "t10k-labels-idx1-ubyte": idx(np.zeros(20, np.uint8))}
    folder = written(tmp_path / "a", broken, packed=True)
    with pytest.raises(InputError, match=r"(?s)not the files of keras:mnist.*y_test: 20"):
        copy("mine", "mnist_fcl", folder)
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match="only training"):
        copy("mine", "mnist_fcl", folder)
    with pytest.raises(InputError, match=r"(?s)expected +train-images-idx3.*nothing"):
        copy("mine", "mnist_fcl", written(tmp_path / "empty", {}, packed=True))
    with pytest.raises(ConfigError, match=r"(?s)does not exist.*--from .*/a"):
        copy("mine", "mnist_fcl", tmp_path / "aa")
    assert left(project) == before


def test_without_a_network_the_error_names_the_option_from(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    before = left(project)
    with pytest.raises(EnvironmentFault, match="--example fashion_cnn --from FOLDER"):
        copy("mine", "fashion_cnn")
    with pytest.raises(ConfigError, match=r"(?s)has no data source.*--from FOLDER"):
        copy("mine", "alexnet")
    assert left(project) == before


def test_an_example_uses_data_that_already_exist(project: Project) -> None:
    copy("tutorial", "diabetes")
    data = load_experiment(project, "tutorial").data
    assert data.path == load_experiment(project, "diabetes").data.path
    assert project.stale_parameters("tutorial", "diabetes") == []


@pytest.mark.parametrize("first", ["mnist_softmax", "mnist_logreg"])
def test_examples_of_one_table_share_data_and_split(
    project: Project, tmp_path: Path, first: str
) -> None:
    copy("one", first, digits(tmp_path / "train.csv"))
    copy("two", "mnist_mlp")
    copy("three", "mnist_softmax")
    made = [load_experiment(project, name).document for name in ("one", "two", "three")]
    assert {document.data.path for document in made} == {"data/mnist_table/train.csv"}
    assert {document.data.target for document in made} == {"label"}
    assert {document.data.source for document in made} == {None}
    assert [document.split.as_ for document in made] == [None, "one", None]
    assert made[0].split.test == made[2].split.test == 0.3


def test_a_copy_keeps_the_text_of_the_example(project: Project, tmp_path: Path) -> None:
    copy("one", "mnist_softmax", digits(tmp_path / "train.csv"))
    example = (project.root / "examples" / "mnist_softmax.yaml").read_text().splitlines()
    mine = project.experiment_file("one").read_text().splitlines()
    (changed,) = {*mine} - {*example}
    assert changed.startswith("data: {path: data/mnist_table/train.csv, target: label")
    assert len(mine) == len(example)


def test_of_several_tables_one_must_be_selected(project: Project, tmp_path: Path) -> None:
    for name in ("train.csv", "test.csv"):
        digits(tmp_path / "disk" / name)
    with pytest.raises(ConfigError, match=r"(?s)test\.csv, train\.csv.*--from .*test\.csv"):
        copy("one", "mnist_softmax", tmp_path / "disk")
    with pytest.raises(ConfigError, match=r"(?s)no column 'class'.*--target COLUMN"):
        copy("one", "mnist_softmax", digits(tmp_path / "wide.csv", other=1))


def test_pictures_of_another_project_go_into_a_free_folder(
    project: Project, tmp_path: Path
) -> None:
    copy("pets", "alexnet", pictures(tmp_path / "a"))
    copy("pets_again", "alexnet", tmp_path / "a")
    copy("cars", "alexnet", pictures(tmp_path / "b", shade=99))
    paths = [load_experiment(project, n).data.path for n in ("pets", "pets_again", "cars")]
    assert paths == ["data/alexnet/pictures", "data/alexnet/pictures", "data/cars/pictures"]
    assert sorted(p.name for p in (project.root / paths[2]).iterdir()) == ["cat", "dog"]
    assert data_state(project, "cars") is DataState.PINNED


def test_an_unknown_example_is_answered_with_the_closest_name_and_the_list(
    project: Project,
) -> None:
    with pytest.raises(ConfigError, match=r"(?s)alexnet, .*fashion_cnn.*--example fashion_cnn"):
        copy("mine", "fashion_cn")
