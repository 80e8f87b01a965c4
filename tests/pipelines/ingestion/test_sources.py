"""Sources: the same bytes every time, complete or nothing."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import fsspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from web import Web

from gristmill.pipelines.base.errors import ConfigError, InputError
from gristmill.pipelines.config.experiment import load_experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.source_kinds import SOURCES, source_kind
from gristmill.pipelines.ingestion.sources.fetching import FETCHERS, fetch
from gristmill.pipelines.ingestion.sources.meter import size_limit
from gristmill.pipelines.ingestion.sources.row_writer import write_rows
from gristmill.pipelines.ingestion.versions.pins import DataState, data_digest, data_state

CONTENT = b"a,b\n1,2\n"


def listing(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_every_kind_of_source_has_a_fetcher_and_an_example_of_its_kind() -> None:
    assert [kind.name for kind in SOURCES] == [source_kind(kind.form) for kind in SOURCES]
    assert {kind.name for kind in SOURCES} == set(FETCHERS)


@pytest.mark.parametrize("name", ["digits", "diabetes"])
def test_a_scikit_learn_data_set_has_the_pinned_bytes(project: Project, name: str) -> None:
    data = load_experiment(project, name).data
    pinned = data_digest(project, data.folder)
    (project.root / data.path).unlink()
    assert data_state(project, data.folder) is DataState.MISSING
    fetch(project, f"sklearn:{name}", project.root / data.path)
    assert data_state(project, data.folder) is DataState.PINNED
    assert data_digest(project, data.folder) == pinned


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits", "diabetes"])
def test_every_scikit_learn_table_has_a_header_rows_and_the_same_bytes_each_time(
    tmp_path: Path, name: str
) -> None:
    target = tmp_path / "a.csv"
    fetch(Project(tmp_path), f"sklearn:{name}", target)
    header, *rows = target.read_bytes().decode().removesuffix("\n").split("\n")
    assert len(rows) > 100
    assert {row.count(",") for row in rows} == {header.count(",")}
    assert " " not in header
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    fetch(Project(tmp_path), f"sklearn:{name}", target)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}", "inside.csv"])
def test_a_local_file_is_copied(tmp_path: Path, form: str) -> None:
    origin = tmp_path / "inside.csv"
    origin.write_bytes(CONTENT)
    fetch(Project(tmp_path), form.format(origin), tmp_path / "data" / "a.csv")
    assert (tmp_path / "data" / "a.csv").read_bytes() == CONTENT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures by class, one of them empty, with hidden system files and a link inside."""
    folder = tmp_path / "from"
    for name in ("cat/1.png", "dog/2.png", "dog/.DS_Store", ".cache/3.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "dog" / "4.png").symlink_to("../cat/1.png")
    (folder / "empty").mkdir()
    return folder


PICTURES = {"cat/1.png": b"cat/1.png", "dog/2.png": b"dog/2.png", "dog/4.png": b"cat/1.png"}


def test_a_folder_is_copied_as_a_folder_of_plain_files(tmp_path: Path, folder: Path) -> None:
    target = tmp_path / "data" / "set" / "pictures"
    (target / "cat").mkdir(parents=True)
    (target / "cat" / "old.png").write_text("old")
    fetch(Project(tmp_path), "from", target)
    assert listing(target) == PICTURES
    assert (target / "empty").is_dir()
    assert not any(file.is_symlink() for file in target.rglob("*"))
    assert [path.name for path in target.parent.iterdir()] == ["pictures"]


@pytest.mark.parametrize("of", ["file", "folder"])
def test_a_folder_can_replace_a_file_and_vice_versa(tmp_path: Path, folder: Path, of: str) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT)
    for source in ("a.csv", "from")[:: 1 if of == "file" else -1]:
        fetch(Project(tmp_path), source, tmp_path / "data" / "it")
    assert (tmp_path / "data" / "it").is_dir() is (of == "file")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("around", ["", "pictures-v2/"])
@pytest.mark.parametrize("place", ["here", "web"])
def test_an_archive_is_unpacked_if_the_target_is_a_folder(
    tmp_path: Path, folder: Path, web: Web, kind: str, around: str, place: str
) -> None:
    archive = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for name in (*PICTURES, "dog/.DS_Store"):
                zipped.write(folder / name, around + name)
            zipped.write(folder / "empty", f"{around}empty")
            zipped.writestr(f"__MACOSX/{around}cat/._1.png", b"x")
    else:
        with tarfile.open(archive, f"w:{kind[4:]}") as tar:
            tar.dereference = True
            tar.add(folder, around or ".")
    web.files["/archive"] = archive.read_bytes()
    source = archive.name if place == "here" else f"{web.address}/archive"
    fetch(Project(tmp_path), source, tmp_path / "data" / "pictures")
    assert listing(tmp_path / "data" / "pictures") == PICTURES
    assert (tmp_path / "data" / "pictures" / "empty").is_dir()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["pictures"]


def test_an_archive_is_kept_if_the_target_is_a_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", CONTENT)
    fetch(Project(tmp_path), "a.zip", tmp_path / "data" / "a.csv.zip")
    assert (tmp_path / "data" / "a.csv.zip").read_bytes() == (tmp_path / "a.zip").read_bytes()


@pytest.fixture
def store() -> str:
    """An in-memory store with a file and a folder."""
    system = fsspec.filesystem("memory")
    if system.exists("/bucket"):
        system.rm("/bucket", recursive=True)
    for name in ("a.csv", "parts/1.csv", "parts/deep/2.csv", "parts/.hidden/3.csv"):
        system.pipe_file(f"/bucket/{name}", name.encode())
    return "memory://bucket"


def test_a_file_in_a_store_is_copied(tmp_path: Path, store: str) -> None:
    told: list[tuple[int, int | None]] = []
    fetch(
        Project(tmp_path),
        f"{store}/a.csv",
        tmp_path / "b.csv",
        progress=lambda done, total: told.append((done, total)),
    )
    assert (tmp_path / "b.csv").read_bytes() == b"a.csv"
    assert told == [(0, 5), (5, 5)]


@pytest.mark.parametrize("end", ["", "/"])
def test_a_folder_in_a_store_is_copied_without_hidden_files(
    tmp_path: Path, store: str, end: str
) -> None:
    fetch(Project(tmp_path), f"{store}/parts{end}", tmp_path / "data" / "parts")
    expected = {"1.csv": b"parts/1.csv", "deep/2.csv": b"parts/deep/2.csv"}
    assert listing(tmp_path / "data" / "parts") == expected


def test_the_download_limit_applies_to_a_store(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRISTMILL_DOWNLOAD_LIMIT", "10")
    with pytest.raises(InputError, match="10 bytes at most"):
        fetch(Project(tmp_path), f"{store}/parts", tmp_path / "data" / "parts")
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.parametrize(
    ("text", "size"),
    [("7", 7), ("7B", 7), ("1.5 kb", 1500), ("20GB", 20 * 10**9), ("2t", 2 * 10**12), ("3m", 3e6)],
)
def test_a_limit_can_have_a_unit(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    monkeypatch.setenv("GRISTMILL_DOWNLOAD_LIMIT", text)
    assert size_limit() == size


ARFF = """@relation tiny
@attribute width numeric
@attribute 'main colour' {red, 'deep blue'}
@attribute note string
@attribute class {yes, no}
@data
1,red,'a, b',yes
2.5,'deep blue',?,no
?,red,c,yes
"""


@pytest.fixture
def openml(web: Web, monkeypatch: pytest.MonkeyPatch) -> Web:
    """The minimal answers of openml.org that scikit-learn needs for one table."""
    found = {"did": 7, "name": "tiny", "version": 3, "status": "active"}
    about = found | {
        "id": "7",
        "format": "ARFF",
        "description": "",
        "url": f"{web.address}/data/v1/download/7",
        "md5_checksum": hashlib.md5(ARFF.encode()).hexdigest(),
    }
    kinds = {"width": "numeric", "main colour": "nominal", "note": "string", "class": "nominal"}
    features = [
        {
            "index": str(place),
            "name": name,
            "data_type": kind,
            "number_of_missing_values": "0",
            "is_target": str(name == "class").lower(),
            "is_ignore": "false",
            "is_row_identifier": "false",
        }
        for place, (name, kind) in enumerate(kinds.items())
    ]
    for path, answer in {
        "list/data_name/tiny/limit/2/status/active/": {"data": {"dataset": [found]}},
        "list/data_name/tiny/limit/2/data_version/3": {"data": {"dataset": [found]}},
        "7": {"data_set_description": about},
        "features/7": {"data_features": {"feature": features}},
        "qualities/7": {
            "data_qualities": {"quality": [{"name": "NumberOfInstances", "value": "3.0"}]}
        },
    }.items():
        web.files[f"/{path}"] = json.dumps(answer).encode()
    web.files["/data/v1/download/7"] = ARFF.encode()
    for name, path in {
        "_SEARCH_NAME": "list/data_name/{}/limit/2",
        "_DATA_INFO": "{}",
        "_DATA_FEATURES": "features/{}",
        "_DATA_QUALITIES": "qualities/{}",
    }.items():
        monkeypatch.setattr(f"sklearn.datasets._openml.{name}", f"{web.address}/{path}")
    return web


@pytest.mark.parametrize("name", ["tiny", "tiny@3", "7"])
def test_an_openml_table_is_written_with_its_target_last(
    tmp_path: Path, openml: Web, name: str
) -> None:
    (note,) = fetch(Project(tmp_path), f"openml:{name}", tmp_path / "a.csv")
    assert note.startswith("openml: tiny version 3, ID 7")
    assert (tmp_path / "a.csv").read_text() == (
        'width,main colour,note,class\n1,red,"a, b",yes\n2.5,deep blue,,no\n,red,c,yes\n'
    )


def test_an_openml_table_can_be_written_as_parquet(tmp_path: Path, openml: Web) -> None:
    fetch(Project(tmp_path), "openml:7", tmp_path / "a.parquet")
    frame = pd.read_parquet(tmp_path / "a.parquet")
    assert frame["width"].tolist()[:2] == [1.0, 2.5]
    assert frame["class"].tolist() == ["yes", "no", "yes"]


def test_bytes_that_do_not_match_the_openml_hash_are_refused(tmp_path: Path, openml: Web) -> None:
    openml.files["/data/v1/download/7"] = ARFF.replace("2.5", "2.6").encode()
    with pytest.raises(InputError, match=r"(?s)cannot be used.*md5"):
        fetch(Project(tmp_path), "openml:7", tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


KERAS = """
import sys
from pathlib import Path
from gristmill.pipelines.base import GristmillError
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion import fetch
from gristmill.pipelines.ingestion.sources import keras_sets
for name in sys.argv[1:]:
    if name == "forget":
        keras_sets.KNOWN.clear()
        continue
    try:
        fetch(Project(Path.cwd()), f"keras:{name}", Path(f"data/{name}.npz"))
    except GristmillError as error:
        sys.stderr.write(str(error) + "\\n")
"""


def idx(file: Path, array: np.ndarray) -> None:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    file.write_bytes(gzip.compress(head + array.tobytes()))


@pytest.mark.slow
def test_a_keras_data_set_is_read_from_its_cache_with_both_parts(tmp_path: Path) -> None:
    cache = tmp_path / "home" / "datasets" / "fashion-mnist"
    cache.mkdir(parents=True)
    rng = np.random.default_rng(0)
    parts = {"train": 5, "t10k": 3}
    arrays = {name: rng.integers(0, 256, (n, 28, 28), np.uint8) for name, n in parts.items()}
    for name, images in arrays.items():
        idx(cache / f"{name}-images-idx3-ubyte.gz", images)
        idx(cache / f"{name}-labels-idx1-ubyte.gz", np.arange(len(images), dtype=np.uint8))
    (cache.parent / "mnist.npz").write_bytes(b"other bytes than Keras knows")
    nobody = {"https_proxy": "http://127.0.0.1:9"}  # no network on any machine
    done = subprocess.run(
        [sys.executable, "-c", KERAS, "fashion_mnist", "forget", "fashion_mnist", "mnist"],
        env=os.environ | nobody | {"KERAS_HOME": str(tmp_path / "home")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr.count("not the files of keras:fashion_mnist") == 1  # before "forget"
    assert "keras:mnist could not be fetched" in done.stderr
    assert "KERAS_HOME" in done.stderr
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["fashion_mnist.npz"]
    with np.load(tmp_path / "data" / "fashion_mnist.npz", allow_pickle=False) as found:
        assert sorted(found) == ["x_test", "x_train", "y_test", "y_train"]
        assert np.array_equal(found["x_train"], arrays["train"])
        assert np.array_equal(found["x_test"], arrays["t10k"])
        assert found["y_test"].tolist() == [0, 1, 2]


cells = st.none() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.booleans()


@settings(max_examples=40)
@given(st.lists(st.tuples(cells, st.text(st.characters(exclude_categories=["C"])))), st.booleans())
def test_the_chunk_size_does_not_change_the_file(
    rows: list[tuple[object, str]], parquet: bool
) -> None:
    with TemporaryDirectory() as folder:
        made = []
        for size in (1, 3, 100):
            parts = [rows[i : i + size] for i in range(0, len(rows), size)]
            chunks = [list(zip(*part, strict=True)) for part in parts]
            target = Path(folder) / f"{size}"
            assert write_rows(["a", "b"], chunks, target, parquet).rows == len(rows)
            if parquet:
                made.append(pq.read_table(target).to_pylist())
            else:
                made.append(target.read_bytes())
        assert made[0] == made[1] == made[2]


def test_a_database_without_a_query_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a query"):
        fetch(Project(tmp_path), "sqlite:///a.db", tmp_path / "a.csv")
