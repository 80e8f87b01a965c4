"""Bad sources: one clear error each, nothing lost, no partial file, no secret shown."""

from __future__ import annotations

import io
import os
import resource
import socket
import sqlite3
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import pytest
from web import LONG, Web

from gristmill.pipelines.base.errors import (
    ConfigError,
    EnvironmentFault,
    GristmillError,
    InputError,
)
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.sources.fetching import fetch

SECRET = "hUsh-7/@x"


@dataclass(frozen=True)
class Case:
    """A source that is refused, and its message."""

    source: str
    kind: type[GristmillError]
    words: str
    target: str = "a.csv"
    query: str | None = None


def pictures(source: str, words: str) -> Case:
    return Case(source, InputError, words, "pictures")


def rows(source: str, query: str | None, words: str, kind: type[GristmillError]) -> Case:
    return Case(source, kind, words, query=query)


FAULT, WRONG, INPUT = EnvironmentFault, ConfigError, InputError

CASES = {
    # downloads
    "nobody answers": Case("{dead}/a.csv?token={secret}", FAULT, "could not be downloaded.*again"),
    "no such host": Case("http://host.invalid/a.csv", FAULT, "could not be downloaded.*resol"),
    "a password that breaks it": Case(
        "http://me:{secret}@{host}/a", WRONG, "not a valid web address.*%2F"
    ),
    "no host": Case("http:///a.csv", WRONG, "is not a valid web address"),
    "not there": Case("{web}/absent?key={secret}", WRONG, "404.*fix data.source"),
    "no longer there": Case("{web}/gone", WRONG, "410"),
    "a login is needed": Case("{web}/closed", WRONG, "401.*netrc"),
    "a login is refused": Case("http://me:hUsh@{host}/forbidden", WRONG, "403.*netrc"),
    "a broken server": Case("{web}/down?token={secret}", FAULT, "500.*again"),
    "always too short": Case("{web}/broken", FAULT, "8 bytes read.*again"),
    "a redirect to itself": Case("{web}/loop?x={secret}", FAULT, "redirects"),
    "a login page": Case("{web}/login?token={secret}", INPUT, "web page.*HTML"),
    "an empty answer": Case("{web}/nothing", INPUT, "empty file.*0 bytes"),
    "too much": Case("{web}/huge", INPUT, "20.0 GB at most.*GRISTMILL_DOWNLOAD_LIMIT"),
    # files and folders
    "no such file": Case("absent.csv", WRONG, "file is missing.*nothing at .*absent.csv.*fix"),
    "no such folder": Case("{here}/absent/", WRONG, "file is missing.*nothing at"),
    "an empty folder": Case("{here}/empty", INPUT, "folder is empty"),
    "a folder of hidden files": Case("{here}/hidden", INPUT, "folder is empty"),
    "a link that leads out": Case("{here}/leak", INPUT, "a link out of the folder: .*passwd"),
    "a link to a folder": Case("{here}/ring", INPUT, "a link to a folder: .*again"),
    "a broken link": Case("{here}/broken", INPUT, "broken link: .*lost.csv"),
    "a pipe": Case("{here}/pipe", WRONG, "something else at .*pipe"),
    "a pipe in a folder": Case("{here}/pipes", INPUT, "a pipe or a device"),
    "a folder into itself": Case("..", WRONG, "into itself"),
    "a zero byte": Case("a\0b.csv", WRONG, "not a valid path"),
    "a path that is too long": Case("a" * 5000, WRONG, "not a valid path"),
    "a name that is too long": Case("a" * 300, WRONG, "not a valid path|missing"),
    # names
    "an unknown kind": Case("htps://host/a.csv", WRONG, "kind 'htps'.*did you mean https://"),
    "an unknown store": Case("s4://bucket/a.csv?x={secret}", WRONG, "kind 's4'.*s3://bucket"),
    "one store in another": Case("zip::s3://bucket/a.zip", WRONG, "no source of the kind"),
    "a package is missing": Case("gs://bucket/a.csv", WRONG, "no gcsfs.*pip install gcsfs"),
    "nothing in the store": Case("memory://absent/a.csv", WRONG, "nothing at memory://absent"),
    "a store that is not there": Case("ftp://host.invalid/a.csv", FAULT, "store could not be read"),
    "a kind with a slip": Case("sklaern:digits", WRONG, "did you mean sklearn:digits"),
    "an unknown table": Case("sklearn:digit", WRONG, "iris, wine.*source: sklearn:digits"),
    "a name that is a path": Case("sklearn:../../etc/passwd", WRONG, "no data set"),
    "openml by a path": Case("openml:../../x", WRONG, "openml:NAME@VERSION"),
    "openml without a name": Case("openml:", WRONG, "needs a name or a number"),
    "keras by a slip": Case("keras:mnst", WRONG, "source: keras:mnist", "a.npz"),
    "lists of words": Case("keras:imdb", WRONG, "lists of word numbers", "a.npz"),
    "keras into a table": Case("keras:mnist", WRONG, "consists of arrays.*npz"),
    # databases
    "no such database": rows("sqlite:///absent.db", "SELECT 1", "is missing.*absent.db", WRONG),
    "sqlite in memory": rows("sqlite://", "SELECT 1", "database is missing", WRONG),
    "not a database": rows("sqlite:///a.txt", "SELECT * FROM t", "file is not a database", WRONG),
    "no such table": rows("sqlite:///a.db", "SELECT * FROM u", "no such table: u", WRONG),
    "no SQL": rows("sqlite:///a.db", "SELEC", "syntax error", WRONG),
    "two statements": rows("sqlite:///a.db", "SELECT 1; SELECT 2", "one statement", WRONG),
    "no rows": rows("sqlite:///a.db", "SELECT * FROM t WHERE a > 9", "returns no rows", INPUT),
    "a change": rows("sqlite:///a.db", "DELETE FROM t", "readonly database", WRONG),
    "no select": rows(
        "sqlite:///a.db", "PRAGMA user_version = 0", "selects nothing|readonly", WRONG
    ),
    "no query": rows("sqlite:///a.db", None, "needs a query", WRONG),
    "a password": rows(
        "postgresql://me:{secret}@h/d", "SELECT 1", "not contain a password.*SQL_PASS", WRONG
    ),
    "a hidden password": rows(
        "mysql://h/d?password={secret}", "SELECT 1", "not contain a password", WRONG
    ),
    "no such dialect": rows("postgersql://h/d", "SELECT 1", "did you mean postgresql", WRONG),
    "no driver": rows("mysql+pymysql://me@h/d", "SELECT 1", "pip install pymysql", WRONG),
    "no address": rows("postgresql://h:port/d", "SELECT 1", "address cannot be read|port", WRONG),
    "no server": rows("postgresql+psycopg://me@{host_dead}/d", "SELECT 1", "be reached", FAULT),
    # archives
    "a bomb": pictures("{here}/bomb.zip", "archive refused.*200 times"),
    "a packed bomb": pictures("{here}/bomb.tar.gz", "archive refused.*200 times"),
    "a way out of a tar": pictures("{here}/out.tar", "paths inside the folder.*../out"),
    "a way out of a zip": pictures("{here}/out.zip", "paths inside the folder.*../out"),
    "an absolute path": pictures("{here}/root.tar", "paths inside the folder.*/tmp/x"),
    "a drive": pictures("{here}/drive.zip", "paths inside the folder.*C:"),
    "a link in a tar": pictures("{here}/link.tar", "a link or a device: cat"),
    "a link in a zip": pictures("{here}/link.zip", "a link: cat"),
    "a name twice": pictures("{here}/twice.zip", "cannot be unpacked.*FileExists"),
    "a broken zip": pictures("{here}/wrong.zip", "cannot be unpacked.*CRC"),
    "a broken tar": pictures("{here}/short.tar.gz", "cannot be unpacked.*complete zip or tar"),
    "an empty archive": pictures("{here}/hidden.zip", "archive refused.*none"),
    "a download of a bomb": pictures("{web}/bomb.zip", "archive refused.*200 times"),
}


def tar(file: Path, name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE) -> None:
    with tarfile.open(file, "w:gz" if file.suffix == ".gz" else "w") as archive:
        member = tarfile.TarInfo(name)
        member.size, member.type, member.linkname = len(content), kind, "/etc/passwd"
        archive.addfile(member, io.BytesIO(content))


def packed(file: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every kind of bad file, folder and archive."""
    here = tmp_path_factory.mktemp("bad")
    for name in ("empty", "hidden", "leak", "ring", "broken", "pipes"):
        (here / name).mkdir()
    (here / "hidden" / ".secret").write_text("x")
    (here / "leak" / "passwd").symlink_to("/etc/passwd")
    (here / "ring" / "again").symlink_to("..")
    (here / "broken" / "lost.csv").symlink_to("nowhere")
    os.mkfifo(here / "pipe")
    os.mkfifo(here / "pipes" / "pipe")
    zeros = bytes(120 * 10**6)
    packed(here / "bomb.zip", ("zeros", zeros))
    tar(here / "bomb.tar.gz", "zeros", zeros)
    tar(here / "out.tar", "cat/../../out")
    packed(here / "out.zip", ("../out", b"x"))
    tar(here / "root.tar", "/tmp/x")
    packed(here / "drive.zip", ("C:\\x", b"x"))
    tar(here / "link.tar", "cat", b"", tarfile.SYMTYPE)
    link = zipfile.ZipInfo("cat")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    packed(here / "link.zip", (link, b"/etc/passwd"))
    packed(here / "hidden.zip", (".a", b"x"), ("__MACOSX/b", b"x"))
    with pytest.warns(UserWarning, match="Duplicate name"):
        packed(here / "twice.zip", ("a/b", b"x"), ("a/b", b"y"))
    with zipfile.ZipFile(here / "wrong.zip", "w") as archive:
        archive.writestr("a", b"right")
    content = (here / "wrong.zip").read_bytes()
    (here / "wrong.zip").write_bytes(content.replace(b"right", b"wrong"))
    tar(here / "short.tar.gz", "a", os.urandom(100_000))
    (here / "short.tar.gz").write_bytes((here / "short.tar.gz").read_bytes()[:60_000])
    return here


@pytest.fixture
def dead() -> Iterator[str]:
    """An address on which nothing listens, reserved so that nothing else can."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def home(tmp_path: Path) -> Project:
    """A project with an old file, an old folder, a text file and a database."""
    place = tmp_path / "data" / "set"
    (place / "pictures" / "cat").mkdir(parents=True)
    for old in (place / "a.csv", place / "a.npz", place / "pictures" / "cat" / "1.png"):
        old.write_text("old")
    (tmp_path / "a.txt").write_text("no database " * 1000)
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
    return Project(tmp_path)


def everything(project: Project) -> dict[str, bytes]:
    files = (file for file in project.root.rglob("*") if file.is_file())
    return {str(file.relative_to(project.root)): file.read_bytes() for file in files}


@pytest.mark.parametrize("name", CASES)
def test_a_bad_source_is_refused_clearly_and_nothing_is_lost(
    home: Project, here: Path, web: Web, dead: str, name: str
) -> None:
    case = CASES[name]
    web.files["/bomb.zip"] = (here / "bomb.zip").read_bytes()
    source = case.source.format(
        here=here,
        web=web.address,
        secret=SECRET,
        host_dead=dead,
        host=web.address.removeprefix("http://"),
        dead=f"http://{dead}",
    )
    before = everything(home)
    with pytest.raises(case.kind, match=f"(?s){case.words}") as caught:
        fetch(home, source, home.root / "data" / "set" / case.target, query=case.query)
    assert type(caught.value) is case.kind
    assert caught.value.expected
    assert everything(home) == before
    assert not any(part in str(caught.value) for part in (SECRET, "hUsh", "7/@x"))


def test_an_invalid_download_limit_is_refused(
    home: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRISTMILL_DOWNLOAD_LIMIT", "much")
    with pytest.raises(ConfigError, match=r"(?s)LIMIT cannot be read.*20GB\n.*much"):
        fetch(home, "a.txt", home.root / "b.csv")


NOBODY = """
import os, sys
from pathlib import Path
from gristmill.pipelines.base import InputError
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion import fetch
if os.getuid() == 0:  # who may read everything
    os.setgroups([])
    os.setuid(65534)
try:
    fetch(Project(Path(sys.argv[1])), sys.argv[2], Path(sys.argv[1], "data", "got"))
except InputError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("locked", ["from", "from/inner", "from/a.csv"])
def test_a_folder_without_permission_is_named(locked: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "from" / "inner").mkdir(parents=True)
        for file in ("from/a.csv", "from/inner/b.csv"):
            (place / file).write_text("x")
        for path in (place, *place.rglob("*")):
            path.chmod(0o777)
        (place / locked).chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", NOBODY, name, "from"],
            capture_output=True,
            text=True,
            check=False,
        )
        (place / locked).chmod(0o777)
        assert done.returncode == 1
        assert "the source is not readable" in done.stderr
        assert f"chmod u+rX {place / locked}" in done.stderr
        assert not list((place / "data").glob("*"))


@pytest.mark.parametrize("source", ["a.csv", "folder", "{web}/long.csv", "file.zip", "sqlite"])
def test_a_full_disk_loses_nothing(home: Project, web: Web, source: str) -> None:
    (home.root / "a.csv").write_bytes(LONG)
    (home.root / "folder").mkdir()
    (home.root / "folder" / "a.csv").write_bytes(LONG)
    web.files["/long.csv"] = LONG
    packed(home.root / "file.zip", ("a", os.urandom(50) * 4000))
    target, query = home.root / "data" / "set" / "pictures", None
    if source == "sqlite":
        source = "sqlite:///a.db"
        query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
        query += " LIMIT 60000"
        target = target.with_name("a.csv")
    before = everything(home)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # acts like a full disk
    try:
        with pytest.raises(EnvironmentFault, match=r"(?s)disk is full.*free some space"):
            fetch(home, source.format(web=web.address), target, query=query)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert everything(home) == before


def test_a_file_that_grows_while_it_is_read_is_refused(home: Project) -> None:
    origin, stop = home.root / "growing.csv", Event()
    origin.write_bytes(bytes(60_000_000))

    def grow() -> None:
        with origin.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"x")

    thread = Thread(target=grow)
    thread.start()
    try:
        with pytest.raises(InputError, match="changed while it was copied"):
            fetch(home, "growing.csv", home.root / "data" / "set" / "a.csv")
    finally:
        stop.set()
        thread.join()
    assert (home.root / "data" / "set" / "a.csv").read_text() == "old"
