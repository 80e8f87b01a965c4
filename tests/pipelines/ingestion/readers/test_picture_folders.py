from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gristmill.pipelines.base.errors import ConfigError, GristmillError, InputError
from gristmill.pipelines.config.sections import Csv, Data, Pictures
from gristmill.pipelines.ingestion.readers.format_choice import find_format, read
from gristmill.pipelines.ingestion.readers.picture_folders import read_unlabelled
from gristmill.pipelines.ingestion.readers.picture_pixels import Form, fitted
from gristmill.pipelines.ingestion.readers.type_inference import RowStream
from gristmill.pipelines.ingestion.table import ingest_file

DATA = Data(path="data/pets/pictures", target="kind", task="classification")
Write = Callable[..., Any]


def picture(file: Path, shade: int = 0, size: tuple[int, int] = (4, 3), mode: str = "L") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    colour = shade if mode == "L" else (shade, 0, 255 - shade)
    Image.new(mode, size, colour).save(file)


def table_of(rows: RowStream) -> pa.Table:
    return pa.Table.from_batches(list(rows.batches), rows.schema)


def with_(**changes: Any) -> Data:
    return DATA.model_copy(update=changes)


def test_one_folder_per_class_becomes_rows_of_path_pixels_and_label(tmp_path: Path) -> None:
    for shade, name in enumerate(["dog/b.png", "cat/a.png", "cat/c.PNG"]):
        picture(tmp_path / name, shade)
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    assert find_format(tmp_path).name == "pictures"
    table = table_of(read(tmp_path, DATA))
    assert table["path"].to_pylist() == ["cat/a.png", "cat/c.PNG", "dog/b.png"]
    assert table["kind"].to_pylist() == ["cat", "cat", "dog"]
    assert table["picture"].to_pylist() == [bytes([shade]) * 12 for shade in (1, 2, 0)]
    form = {b"height": b"3", b"width": b"4", b"channels": b"1"}
    assert table.schema.field("picture").metadata == form


def test_train_val_and_test_folders_give_each_row_its_role(tmp_path: Path) -> None:
    for name in ["Train/dog/1.png", "train/cat/2.png", "val/cat/3.png", "TEST/dog/4.png"]:
        picture(tmp_path / name)
    table = table_of(read(tmp_path, DATA))
    found = dict(zip(table["path"].to_pylist(), table["given_role"].to_pylist(), strict=True))
    assert found == {
        "Train/dog/1.png": "training",
        "train/cat/2.png": "training",
        "val/cat/3.png": "validation",
        "TEST/dog/4.png": "test",
    }
    assert set(table["kind"].to_pylist()) == {"cat", "dog"}


def test_a_csv_next_to_the_pictures_gives_the_labels_with_their_type(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / "files" / f"{name}.png", ord(name))
    (tmp_path / "labels.csv").write_text("kind,path\n7,files/b.png\n5,files/a.png\n")
    table = table_of(read(tmp_path, DATA))
    assert table["kind"].to_pylist() == [7, 5]
    assert table["picture"].to_pylist() == [b"b" * 12, b"a" * 12]


def labelled(folder: Path, *labels: str, encoding: str = "utf-8", sep: str = "/") -> list[Any]:
    """Read pictures with these labels, as a CSV writes them."""
    lines = ["path,kind"]
    for place, label in enumerate(labels):
        picture(folder / "img" / f"{place}.png")
        lines.append(f"img{sep}{place}.png,{label}")
    (folder / "labels.csv").write_bytes("\n".join(lines).encode(encoding))
    table = table_of(read(folder, DATA))
    assert table["path"].to_pylist() == [f"img/{place}.png" for place in range(len(labels))]
    labels_read: list[Any] = table["kind"].to_pylist()
    return labels_read


@pytest.mark.parametrize(
    "labels",
    [
        ("007", "008"),
        ("NA", "EU", "None"),
        ("true", "false"),
        ("TRUE", "False"),
        ("2024-01-31", "2024-02-01"),
        ("1E5", "12E3"),
        ("고양이", "개"),
        ("0", "12345678901234567890123"),
    ],
)
def test_labels_that_are_not_numbers_are_text_as_written(
    labels: tuple[str, ...], tmp_path: Path
) -> None:
    assert labelled(tmp_path, *labels) == [*labels]


def test_labels_that_are_numbers_are_numbers(tmp_path: Path) -> None:
    assert labelled(tmp_path / "a", "1.5", "-2", "0.25") == [1.5, -2.0, 0.25]
    assert labelled(tmp_path / "b", "3", "", "4") == [3, None, 4]


def test_a_declared_dialect_applies_to_the_labels(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    (tmp_path / "labels.csv").write_text("path;kind\na.png;1\nb.png;2\n")
    text = with_(csv=Csv(text=("kind",)))
    assert table_of(read(tmp_path, text))["kind"].to_pylist() == ["1", "2"]
    assert table_of(read(tmp_path, DATA))["kind"].to_pylist() == [1, 2]


def test_labels_in_korean_encoding_and_paths_of_windows_are_understood(tmp_path: Path) -> None:
    assert labelled(tmp_path / "a", "고양이", "개", encoding="cp949") == ["고양이", "개"]
    assert labelled(tmp_path / "b", "cat", "dog", sep="\\") == ["cat", "dog"]
    assert labelled(tmp_path / "c", "cat", "dog", encoding="utf-16", sep="\\") == ["cat", "dog"]


@pytest.mark.parametrize(("on_disk", "in_csv"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_in_both_unicode_forms_are_the_same(
    on_disk: Literal["NFC", "NFD"], in_csv: Literal["NFC", "NFD"], tmp_path: Path
) -> None:
    name, label = "서울/é.png", "부산"
    picture(tmp_path / "classes" / normalize(on_disk, name))
    picture(tmp_path / "listed" / normalize(on_disk, name))
    text = normalize(in_csv, f"path,kind\n{name},{label}\n")
    (tmp_path / "listed" / "labels.csv").write_text(text)
    for folder, expected in (("classes", "서울"), ("listed", label)):
        ingest_file(tmp_path / folder, tmp_path / "table.parquet", DATA)
        found = pa.parquet.read_table(tmp_path / "table.parquet")
        assert [found[column].to_pylist() for column in ("path", "kind")] == [[name], [expected]]


def test_the_table_keeps_the_form_of_its_pictures(tmp_path: Path) -> None:
    folder, table = tmp_path / "pictures", tmp_path / "table.parquet"
    picture(folder / "x" / "1.png")
    ingest_file(folder, table, DATA)
    found = pa.parquet.read_schema(table).field("picture")
    assert found.equals(read(folder, DATA).schema.field("picture"), check_metadata=True)


def test_hidden_folders_are_no_classes_and_everything_not_taken_is_said(tmp_path: Path) -> None:
    for name in ["up/1.jfif", "up/.ipynb_checkpoints/1.png", ".ipynb_checkpoints/2.png"]:
        picture(tmp_path / name.replace("jfif", "png"))
    (tmp_path / "up" / "1.png").rename(tmp_path / "up" / "1.jfif")
    picture(tmp_path / "__MACOSX" / "up" / "1.png")
    for name in ("down/1.heic", "up/a.xyz", "up/b.XYZ", "up/Thumbs.db", "notes", "up/.x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("no picture")
    (tmp_path / "sideways" / "deeper").mkdir(parents=True)
    assert find_format(tmp_path).name == "pictures"
    rows = read(tmp_path, DATA)
    assert table_of(rows)["path"].to_pylist() == ["up/1.jfif"]
    assert rows.notes == [
        "2 .xyz, 1 .heic and 1 without an ending were not taken",
        "classes down and sideways are empty",
    ]


def test_pictures_that_the_csv_does_not_list_are_counted(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        picture(tmp_path / f"{name}.png")
    (tmp_path / "labels.csv").write_text("path,kind\na.png,x\n")
    (tmp_path / "._labels.csv").write_bytes(b"Mac OS X")
    rows = read(tmp_path, DATA)
    assert table_of(rows).num_rows == 1
    assert rows.notes == ["2 pictures are not in labels.csv"]


def test_unlabelled_pictures_are_read_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("a.png", "b/c.png", ".d/e.png"):
        picture(tmp_path / name)
    (tmp_path / "b" / "f.heic").write_text("no picture")
    rows = read_unlabelled(tmp_path, Pictures(height=3, width=4, channels=1))
    assert table_of(rows)["path"].to_pylist() == ["a.png", "b/c.png"]
    assert rows.notes == ["1 .heic was not taken"]


def test_pictures_are_converted_to_the_declared_size_and_channels(tmp_path: Path) -> None:
    picture(tmp_path / "x" / "1.png", 9, (8, 8))
    picture(tmp_path / "y" / "2.png", 9, (2, 5), "RGB")
    asked = with_(pictures=Pictures(height=2, width=3, channels=3))
    sizes = {len(pixels) for pixels in table_of(read(tmp_path, asked))["picture"].to_pylist()}
    assert sizes == {18}


def test_size_background_and_range_can_be_declared_apart(tmp_path: Path) -> None:
    for name in ("x/1.png", "y/2.png"):
        picture(tmp_path / name)
    Image.new("LA", (4, 3), (0, 0)).save(tmp_path / "y" / "2.png")
    asked = with_(pictures=Pictures(background="#808080", range=(0, 4095)))
    table = table_of(read(tmp_path, asked))
    assert table["picture"].to_pylist() == [bytes(12), bytes([128]) * 12]
    form = {b"height": b"3", b"width": b"4", b"channels": b"1"}
    about = {b"background": b'"#808080"', b"range": b"[0.0, 4095.0]"}
    assert table.schema.field("picture").metadata == form | about


def test_pictures_of_several_frames_are_counted(tmp_path: Path) -> None:
    picture(tmp_path / "x" / "1.png")
    frames = [Image.new("L", (4, 3), shade) for shade in (7, 9)]
    frames[0].save(tmp_path / "x" / "2.gif", save_all=True, append_images=frames[1:])
    rows = read(tmp_path, DATA)
    assert table_of(rows)["picture"].to_pylist()[1] == bytes([7]) * 12 * 3
    assert rows.notes == ["1 picture of several frames reduced to the first"]


def _of_floats(folder: Path) -> None:
    (folder / "x").mkdir()
    for name in ("1.tif", "2.tif"):
        Image.fromarray(np.eye(3, dtype=np.float32)).save(folder / "x" / name)


def _of_two_sizes(folder: Path) -> None:
    picture(folder / "x" / "1.png", size=(8, 8))
    picture(folder / "x" / "2.png", size=(8, 8))
    picture(folder / "y" / "3.png", size=(9, 8))


def _cut_short(folder: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60), np.uint8)).save(
        folder / "whole.png"
    )
    (folder / "x").mkdir()
    (folder / "x" / "1.png").write_bytes((folder / "whole.png").read_bytes()[:500])
    (folder / "whole.png").unlink()
    picture(folder / "x" / "2.png", size=(60, 60))


def _text_by_another_name(folder: Path) -> None:
    picture(folder / "x" / "1.png")
    (folder / "x" / "2.png").write_text("hello")


def _loose(folder: Path) -> None:
    picture(folder / "1.png")


def _leaving(folder: Path) -> None:
    picture(folder.parent / "elsewhere.png")
    picture(folder / "x" / "1.png")
    (folder / "x" / "2.png").symlink_to(folder.parent / "elsewhere.png")


def _csv(text: str) -> Write:
    def write(folder: Path) -> None:
        picture(folder / "1.png")
        (folder / "labels.csv").write_text(text)

    return write


@pytest.mark.parametrize(
    ("broken", "error", "message"),
    [
        (_of_two_sizes, InputError, r"2 sizes.*8×8 \(2\).*height: 8, width: 8, channels: 1"),
        (_cut_short, InputError, r"1 of the 2 pictures.*x/1\.png.*an undamaged picture"),
        (_of_floats, InputError, r"2 of the 2.*x/1\.tif.*floats.*0 to 1.*range: \[LOW, HIGH\]"),
        (_text_by_another_name, InputError, r"1 of the 2 pictures.*x/2\.png.*not a picture"),
        (_loose, InputError, r"one folder per class.*1 pictures outside.*1\.png"),
        (_leaving, InputError, r"x/2\.png.*out of the folder"),
        (_csv("path,label\n1.png,a\n"), ConfigError, r"columns path and kind.*path, label"),
        (_csv("path,kind\n2.png,a\n"), InputError, r"2\.png.*no file"),
        (_csv("path,kind\n../1.png,a\n"), InputError, r"out of the folder"),
        (_csv("path,kind\n1.png\n"), InputError, r"labels\.csv has 1 ragged row.*2 values"),
    ],
)
def test_a_broken_picture_folder_is_refused_with_the_reason(
    tmp_path: Path, broken: Write, error: type[GristmillError], message: str
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    broken(folder)
    with pytest.raises(error, match=f"(?s){message}"):
        table_of(read(folder, DATA))


def write_idx(file: Path, values: Any) -> None:
    head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    content = head + values.tobytes()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)


@pytest.mark.parametrize("end", ["", ".gz"])
def test_idx_files_become_rows_with_the_roles_of_their_parts(tmp_path: Path, end: str) -> None:
    pixels = np.arange(5 * 6, dtype=np.uint8).reshape(5, 2, 3)
    labels = np.array([1, 0, 2, 1, 0], dtype=np.uint8)
    for start, rows in (("train", slice(0, 3)), ("t10k", slice(3, 5))):
        write_idx(tmp_path / f"{start}-images-idx3-ubyte{end}", pixels[rows])
        write_idx(tmp_path / f"{start}-labels-idx1-ubyte{end}", labels[rows])
    assert find_format(tmp_path).name == "IDX"
    table = table_of(read(tmp_path, DATA))
    assert table["kind"].to_pylist() == labels.tolist()
    assert table["picture"].to_pylist() == [picture.tobytes() for picture in pixels]
    assert table["given_role"].to_pylist() == ["training"] * 3 + ["test"] * 2


@given(
    rows=st.integers(1, 5),
    shape=st.sampled_from([(3,), (2, 3), (2, 3, 1), (2, 2, 3)]),
    parts=st.booleans(),
)
def test_npz_arrays_are_read_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, rows: int, shape: tuple[int, ...], parts: bool
) -> None:
    file = tmp_path_factory.mktemp("npz") / "a.npz"
    rng = np.random.default_rng(rows)
    x = rng.integers(0, 256, (rows, *shape)).astype(np.uint8)
    y = rng.integers(0, 3, (rows, 1))
    names = ("x_train", "y_train") if parts else ("x", "y")
    arrays = dict(zip(names, (x, y), strict=True))
    if parts:
        arrays |= {"x_test": x[:1], "y_test": y[:1]}
    np.savez(file, **arrays)
    table = table_of(read(file, DATA))
    assert table["kind"].to_pylist()[:rows] == y.reshape(-1).tolist()
    if len(shape) == 1:
        found = np.column_stack([table[f"x{i}"].to_numpy() for i in range(3)])
    else:
        pixels = b"".join(table["picture"].to_pylist())
        found = np.frombuffer(pixels, np.uint8).reshape(-1, *shape)
    np.testing.assert_array_equal(found[:rows], x)
    assert ("given_role" in table.column_names) == parts


def _npz(**arrays: Any) -> Write:
    def write(file: Path) -> None:
        np.savez(file, **arrays)

    return write


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (_npz(a=np.zeros(3)), r"x_train and y_train or x and y.*found +a"),
        (_npz(x=np.zeros((3, 2)), y=np.zeros(2)), r"3 rows and 2 labels"),
        (_npz(x=np.zeros(3), y=np.zeros(3)), r"rows × columns.*shape \(3,\)"),
        (_npz(x=np.zeros((3, 2, 2)), y=np.zeros(3)), r"0 to 255.*float64"),
        (_npz(x=np.array([[{}]], dtype=object), y=np.zeros(1)), r"which require pickle"),
        (_npz(x=np.array([["a"]]), y=np.zeros(1)), r"numbers.*<U1"),
        (
            _npz(x_train=np.zeros((1, 2)), y_train=[0], x_test=np.zeros((1, 3)), y_test=[0]),
            r"the same shape in all parts",
        ),
        (lambda file: file.write_bytes(b"PK\x03\x04 broken"), r"a complete \.npz"),
        (lambda file: file.write_bytes(b""), r"a complete \.npz"),
    ],
)
def test_a_broken_npz_is_refused_with_the_reason(
    tmp_path: Path, broken: Write, message: str
) -> None:
    file = tmp_path / "a.npz"
    broken(file)
    with pytest.raises(InputError, match=f"(?s){message}"):
        table_of(read(file, DATA))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-labels-idx1-ubyte", None, r"train-images and train-labels.*no labels"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x09ab", r"a complete IDX file"),
        ("train-labels-idx1-ubyte", b"\0\0\x07\x01\0\0\0\x01a", r"no IDX header"),
        ("train-labels-idx1-ubyte.gz", b"no gzip", r"a complete IDX file"),
    ],
)
def test_a_broken_idx_file_is_refused_with_the_reason(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((2, 2, 2), np.uint8))
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"(?s){message}"):
        table_of(read(tmp_path, DATA))


def test_resizing_a_picture_of_one_shade_keeps_the_shade() -> None:
    assert fitted(Image.new("L", (40, 30), 77), Form(5, 2, 1)) == bytes([77]) * 10
