"""Broken files of every format: one clear error, and the old table is kept."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.pipelines.base.errors import ConfigError, GristmillError, InputError
from gristmill.pipelines.config.sections import Csv, Data
from gristmill.pipelines.ingestion import table as table_module
from gristmill.pipelines.ingestion.readers import format_choice, wrapped
from gristmill.pipelines.ingestion.readers import type_inference as settle
from gristmill.pipelines.ingestion.table import ingest_file

GOOD = b"a,b\n1,x\n2,y\n"
LONG = b"a,b\n" + b"".join(b"%d,%d\n" % (i * 7919 % 1000, i * 31 % 97) for i in range(5000))
BOMB = b"a,b\n" + b"1,1\n" * 500_000


def zipped(**members: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return made.getvalue()


def named(name: str, content: bytes = GOOD) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, content)
    return made.getvalue()


def parquet(**columns: object) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


def damaged(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + b"\xff\x00\xff\x00" + content[middle + 4 :]


Case = tuple[str, bytes, str]
FILES: Mapping[str, Case] = {
    # text tables
    "nothing": ("a.csv", b"", "an empty file"),
    "line breaks alone": ("a.csv", b"\n\n\n", "at least two column names"),
    "a mark alone": ("a.csv", b"\xef\xbb\xbf", "at least two column names"),
    "a header alone": ("a.csv", b"a,b\n", "rows below the header\n.*none"),
    "a header and blank lines": ("a.csv", b"a,b\n\n\r\n", "rows below the header\n.*none"),
    "one value too few": ("a.csv", b"a,b\n1,2\n3\n", "1 ragged row\n  line 3\n.*2 val.*\n.*1"),
    "one value too many": ("a.csv", b"a,b\n1,2\n3,4,5\n", "1 ragged row\n  line 3\n.*\n.*3"),
    "ragged below line breaks in quotes": (
        "a.csv",
        b'a,b\n"x\ny\nz",1\n3\n\n"p\nq",2,3\n',
        "2 ragged rows\n  line 5\n(.*\n)+  line 7\n.*\n.*found +3",
    ),
    "more ragged rows than are shown": (
        "a.csv",
        b"a,b\n1,2\n" + b"1\n" * 200,
        "100 or more ragged rows\n  line 3\n(.*\n)+.*and 88 more",
    ),
    "ragged, in another dialect": ("a.csv", b"a;b\n1,5;2\n3\n", "1 ragged row\n  line 3"),
    "a quote never closed": (
        "a.csv",
        b'a,b\n1,2\n3,"x\n4,5\n',
        "closed quotes\n.*quote in line 3 is not",
    ),
    "a quote never closed in a large file": (
        "a.csv",
        b'a,b\n1,2\n3,"x\n' + b"1,2\n" * 5000,
        "closed quotes\n.*quote in line 3 is not",
    ),
    "a header never closed": ("a.csv", b'a,"b\n1,2\n', "a.csv cannot be read"),
    "a NUL byte": ("a.csv", b"a,b\n1,x\n2,\0y\n", "binary data in line 3"),
    "a NUL byte, late": ("a.csv", LONG * 60 + b"1,\0\n", "binary data: a NUL byte in line 300061"),
    "no known encoding": (
        "a.csv",
        "a,b\n中国北京大学图书,1\n".encode("gbk"),
        "line 2 is in n",
    ),
    "half a letter": ("a.csv", "a,b\nä,1\n".encode() + b"\xc3", "line 3 is not in UTF-8"),
    "two encodings": ("a.csv", "a,b\nä,1\n가,2\n".encode() + b"\xe4,2\n", "line 4 is not in UTF-8"),
    "half of a UTF-16 letter": ("a.csv", "a,b\n1,2\n".encode("utf-16") + b"x", "not in utf-16"),
    "carriage returns alone": ("a.csv", b"a,b\r1,2\r", "line feed\n.*carriage returns alone"),
    "one column": ("a.csv", b"a\n1\n2\n", "at least two column names"),
    "a web page": ("a.csv", b"<html><body>404</body></html>", "a web page"),
    "a sheet of Excel": (
        "a.csv",
        zipped(a__xml=b"x" * 99) + b"\0",
        "an Excel file.*save",
    ),
    "a PDF": ("a.csv", b"%PDF-1.7\0\0", "a PDF document"),
    "an unknown ending": ("a.xls", GOOD, r"no known format\n.*CSV \(\.csv(.*\n)+.*found.*\.xls"),
    "no suffix": ("data", GOOD, "no known format\n(.*\n)+.*found +no suffix"),
    "no suffix inside of gzip": ("data.gz", gzip.compress(GOOD), r"no suffix before \.gz"),
    # compression
    "half a gzip": ("a.csv.gz", gzip.compress(LONG)[:9000], "Truncated"),
    "a damaged gzip": ("a.csv.gz", damaged(gzip.compress(LONG)), "a complete CSV, JSON"),
    "text named gzip": ("a.csv.gz", GOOD, "incorrect header"),
    "gzip named text": ("a.csv", gzip.compress(LONG), "gzip data: name it .gz"),
    "half a bzip2": ("a.csv.bz2", bz2.compress(LONG)[:4000], "Truncated"),
    "half an xz": ("a.csv.xz", lzma.compress(LONG)[:1000], "Truncated"),
    "text named xz": ("a.csv.xz", GOOD, "not supported by liblzma|a complete CSV"),
    "half a zstd": ("a.csv.zst", pa.compress(LONG, "zstd", asbytes=True)[:3000], "Truncated"),
    "text named zstd": ("a.csv.zst", GOOD, "a complete CSV, JSON"),
    "half a zip": ("a.zip", zipped(a__csv=LONG)[:-30], "not a zip file"),
    "text named zip": ("a.zip", GOOD, "not a zip file"),
    "a damaged zip": ("a.csv.zip", damaged(zipped(a__csv=LONG)), "a complete CSV, JSON"),
    "a zip with two files": ("a.zip", zipped(a__csv=GOOD, b__csv=GOOD), "one file\n.*2: a.csv, b"),
    "a zip without a file": ("a.zip", zipped(), "exactly one file\n.*none"),
    "a zip that leaves its folder": (
        "a.zip",
        named("../../a.csv"),
        r"path inside the archive\n.*'\.\./\.\./a",
    ),
    "a zip with an absolute path": (
        "a.zip",
        named("/etc/a.csv"),
        "path inside the archive\n.*'/etc/a.csv'",
    ),
    "a zip with a path of Windows": ("a.zip", named("..\\a.csv"), "path inside the archive"),
    "a zip of Parquet": ("a.zip", named("a.parquet", parquet(a=[1], b=[2])), "no known format"),
    "a bomb of gzip": ("a.csv.gz", gzip.compress(BOMB), "100 times its size"),
    "a bomb of bzip2": ("a.csv.bz2", bz2.compress(BOMB), "100 times its size"),
    "a bomb of zip": ("a.zip", zipped(a__csv=BOMB), "100 times its size"),
    "a bomb in JSON": ("a.jsonl.xz", lzma.compress(b'{"a":1}\n' * 10**6), "100 times its size"),
    # JSON lines
    "half a JSON array": ("a.json", b'[{"a": 1},\n{"a": 2', "a complete JSON array\n.*{"),
    "an open JSON array": ("a.json", b'[{"a": 1},\n{"a": 2}', "a complete JSON array"),
    "a JSON array of numbers": ("a.json", b'[{"a": 1}, 2]', "1 invalid entry\n  entry 2"),
    "an empty JSON array": ("a.json", b"[]", "rows below the header|at least|none"),
    "nested objects": ("a.jsonl", b'{"a": [1], "b": {"c": 2}}\n', "nested columns: a, b"),
    "nested, late": ("a.jsonl", b'{"a": 1}\n' * 999 + b'{"a": [1]}\n', "nested columns: a"),
    "invalid lines": (
        "a.jsonl",
        b'{"a": 1}\n{"a": 2\n5\n',
        "2 invalid l.*\n  line 2\n.*\n  line 3",
    ),
    "a name twice in JSON": ("a.jsonl", b'{"a": 1, "a": 2}\n', "line 1\n.*duplicate name 'a'"),
    "a name of blanks in JSON": ("a.jsonl", b'{"a": 1, " ": 2}\n', "a name for each column"),
    "empty objects": ("a.jsonl", b"{}\n{}\n", "a.jsonl"),
    "CSV named JSON": ("a.jsonl", GOOD, "3 invalid lines\n  line 1"),
    # Parquet
    "text named Parquet": ("a.parquet", GOOD, "Parquet"),
    "Parquet named text": ("a.csv", parquet(a=[1], b=[2]), "Parquet data: name it .parquet"),
    "half a Parquet": ("a.parquet", parquet(a=[1, 2], b=[1, 2])[:200], "Parquet"),
    "nested Parquet": ("a.parquet", parquet(a=[[1]], b=[{"x": 1}]), "a is left out: nested"),
    "bytes in Parquet": ("a.parquet", parquet(a=[b"\xff\xfe"]), "bytes that are not text"),
    "half an Arrow file": ("a.feather", b"ARROW1\0\0" + b"\xff" * 99, "a complete CSV.*Arrow"),
    "no rows in Parquet": ("a.parquet", parquet(a=pa.nulls(0, pa.int64())), "rows"),
}

FOLDERS: Mapping[str, tuple[Mapping[str, bytes], str]] = {
    "no parts": ({}, "an empty folder"),
    "hidden files alone": ({".a.csv": GOOD, "_SUCCESS": b""}, "an empty folder"),
    "another column": (
        {"1.csv": GOOD, "2.csv": b"a,c\n1,2\n"},
        "^2.csv.*\n.*the columns of 1.csv: a, b\n.*without b; with c",
    ),
    "another column in Parquet": (
        {"1.parquet": parquet(a=[1], b=[1]), "2.parquet": parquet(a=[1])},
        "^2.parquet.*\n.*\n.*without b",
    ),
    "another type in Parquet": (
        {"1.parquet": parquet(a=[1], b=[1]), "2.parquet": parquet(a=["x"], b=[1])},
        "one type for column a.*\n.*int64 in 1.parquet; string in 2.parquet",
    ),
    "two formats": ({"1.csv": GOOD, "2.parquet": parquet(a=[1], b=["x"])}, "2 formats: 1.csv, 2"),
    "a part of no format": ({"1.csv": GOOD, "2.doc": GOOD}, "^2.doc has no known format"),
    "an empty part": ({"1.csv": GOOD, "2.csv": b""}, "empty: 2.csv"),
    "a ragged part": ({"1.csv": GOOD, "2.csv": b"a,b\n1\n"}, "1 ragged row\n  2.csv, line 2"),
    "a subfolder": ({"1.csv": GOOD, "more/2.csv": GOOD}, "not a file: more"),
}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A valid table from an earlier run."""
    raw = tmp_path / "before.csv"
    raw.write_bytes(GOOD)
    ingest_file(raw, tmp_path / "build" / "table.parquet")
    return tmp_path / "build" / "table.parquet"


def refused(raw: Path, made: Path, words: str, kind: type[GristmillError] = InputError) -> None:
    before = made.read_bytes()
    with pytest.raises(kind, match=f"(?m:{words})") as caught:
        ingest_file(raw, made)
    assert caught.value.expected
    assert caught.value.next
    assert made.read_bytes() == before
    assert [path.name for path in made.parent.iterdir()] == ["table.parquet"]


@pytest.mark.parametrize(("name", "content", "words"), FILES.values(), ids=list(FILES))
def test_a_broken_file_is_one_clear_error_and_the_old_table_is_kept(
    made: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, words: str
) -> None:
    monkeypatch.setattr(wrapped, "HARMLESS", 1 << 18)
    monkeypatch.setattr(wrapped, "EXPANSION", 100)
    monkeypatch.setattr(settle, "LONGEST", 1 << 13)
    monkeypatch.setattr(settle, "SAMPLE", 1 << 12)
    raw = made.parents[1] / name
    raw.write_bytes(content)
    refused(raw, made, words)


@pytest.mark.parametrize(("files", "words"), FOLDERS.values(), ids=list(FOLDERS))
def test_a_broken_folder_is_one_clear_error_and_the_old_table_is_kept(
    made: Path, files: Mapping[str, bytes], words: str
) -> None:
    raw = made.parents[1] / "parts"
    raw.mkdir()
    for name, content in files.items():
        (raw / name).parent.mkdir(exist_ok=True)
        (raw / name).write_bytes(content)
    refused(raw, made, words)


def pipe(raw: Path) -> None:
    os.mkfifo(raw)


def dangling(raw: Path) -> None:
    raw.symlink_to("gone.csv")


def circle(raw: Path) -> None:
    raw.symlink_to(raw.name)


PLACES: Mapping[str, tuple[Callable[[Path], None], str]] = {
    "a pipe": (pipe, "a pipe, socket or device"),
    "a link to nothing": (dangling, "a broken link to gone.csv"),
    "a link to itself": (circle, "a broken link to a.csv"),
    "nothing": (lambda raw: None, "found +nothing"),
}


@pytest.mark.parametrize(("make", "words"), PLACES.values(), ids=list(PLACES))
def test_a_path_that_is_not_a_file_is_a_config_error(
    made: Path, make: Callable[[Path], None], words: str
) -> None:
    raw = made.parents[1] / "a.csv"
    make(raw)
    refused(raw, made, words, ConfigError)


def test_a_named_pipe_among_parts_is_refused_without_waiting(made: Path) -> None:
    raw = made.parents[1] / "parts"
    raw.mkdir()
    os.mkfifo(raw / "1.csv")
    refused(raw, made, "not a file: 1.csv")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_file_without_read_permission_is_reported(made: Path) -> None:
    raw = made.parents[1] / "a.csv"
    raw.write_bytes(GOOD)
    format_choice.read(raw)  # imports what it needs
    raw.chmod(0)
    os.seteuid(65534)
    try:
        with pytest.raises(ConfigError, match=r"(?s)a\.csv is not readable.*chmod"):
            ingest_file(raw, made)
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("folder", [False, True])
def test_a_file_that_grows_while_it_is_read_is_refused(
    made: Path, monkeypatch: pytest.MonkeyPatch, folder: bool
) -> None:
    raw = made.parents[1] / "grows.csv"
    part = raw / "1.csv" if folder else raw
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(GOOD)

    def read_late(*arguments: object) -> object:
        rows = format_choice.read(*arguments)  # type: ignore[arg-type]
        with part.open("ab") as file:
            file.write(b"3,z\n")
        return rows

    monkeypatch.setattr(table_module, "read", read_late)
    refused(raw, made, "changed while it was read")


@pytest.mark.parametrize(
    ("csv", "words"),
    [
        ({"delimiter": "가"}, "csv.delimiter cannot be this character"),
        ({"quote": "\x01"}, "csv.quote cannot be this character"),
        ({"encoding": "utf-8"}, "line 2 is not in UTF-8"),
        ({"encoding": "ascii"}, "line 2 is not in ascii"),
        ({"delimiter": ";"}, "at least two column names"),
    ],
)
def test_a_declared_dialect_that_does_not_fit_the_file_is_one_clear_error(
    made: Path, csv: dict[str, str], words: str
) -> None:
    raw = made.parents[1] / "a.csv"
    raw.write_bytes("a,b\nä,1\n".encode("latin-1"))
    data = Data(path="data/a/a.csv", target="b", task="regression", csv=Csv(**csv))  # type: ignore[arg-type]
    with pytest.raises(GristmillError, match=words):
        ingest_file(raw, made, data)
