"""Sources: the same bytes every time, whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pipelines.config import ConfigError, EnvironmentFault, Project, load_experiment
from pipelines.ingestion import fetch
from pipelines.ingestion.versions import DataState, data_digest, data_state

CONTENT = b"a,b\n1,2\n"


class Answers(BaseHTTPRequestHandler):
    """A server with good and bad answers."""

    def do_GET(self) -> None:
        body, announced = CONTENT, len(CONTENT)
        self.send_response(404 if self.path == "/absent" else 200)
        if self.path == "/zipped" and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(CONTENT)
            announced = len(body)
            self.send_header("Content-Encoding", "gzip")
        if self.path == "/broken":
            announced += 100
        self.send_header("Content-Length", str(announced))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as running:
        Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.parametrize("name", ["digits", "diabetes"])
def test_a_data_set_of_scikit_learn_has_the_pinned_bytes(project: Project, name: str) -> None:
    data = load_experiment(project, name).data
    pinned = data_digest(project, data.folder)
    (project.root / data.path).unlink()
    assert data_state(project, data.folder) is DataState.MISSING
    fetch(project, f"sklearn:{name}", project.root / data.path)
    assert data_state(project, data.folder) is DataState.PINNED
    assert data_digest(project, data.folder) == pinned


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits", "diabetes"])
def test_every_table_of_scikit_learn_has_a_header_rows_and_a_target(
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


@pytest.mark.parametrize("form", ["{}", "file:{}", "inside.csv"])
def test_a_file_of_this_machine_is_copied(tmp_path: Path, form: str) -> None:
    origin = tmp_path / "inside.csv"
    origin.write_bytes(CONTENT)
    fetch(Project(tmp_path), form.format(origin), tmp_path / "data" / "a.csv")
    assert (tmp_path / "data" / "a.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["/plain", "/zipped"])
def test_a_download_has_the_bytes_of_the_file(tmp_path: Path, server: str, path: str) -> None:
    fetch(Project(tmp_path), server + path, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == CONTENT


@pytest.mark.parametrize(("path", "words"), [("/absent", "404"), ("/broken", "8 bytes read")])
def test_a_download_that_fails_leaves_the_old_file(
    tmp_path: Path, server: str, path: str, words: str
) -> None:
    target = tmp_path / "a.csv"
    target.write_text("old")
    with pytest.raises(
        EnvironmentFault, match=rf"(?s)could not be downloaded.*{path}.*{words}.*again"
    ):
        fetch(Project(tmp_path), server + path, target)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert target.read_text() == "old"


def test_a_server_that_is_not_there_is_a_fault_of_the_environment(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers, nobody else can
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/a.csv"
        with pytest.raises(EnvironmentFault, match=r"(?s)could not be downloaded.*ConnectionError"):
            fetch(Project(tmp_path), address, tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("sklearn:digit", r"no data set 'digit'\n.*digits, iris.*\n.*\n.*source: sklearn:digits"),
        ("ftp://host/a.csv", "no source of the kind 'ftp'"),
        ("s3://bucket/a.csv", "no source of the kind 's3'"),
        ("absent.csv", "source file is not there\n.*a file\n.*nothing at .*absent.csv"),
        (".", "source file is not there\n.*a file\n.*a folder at"),
    ],
)
def test_a_source_that_cannot_be_is_refused_and_leaves_nothing(
    tmp_path: Path, source: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        fetch(Project(tmp_path), source, tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())
