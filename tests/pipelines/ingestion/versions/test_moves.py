"""Restoring versions from DVC's cache or remote, and remotes that fail."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from versioned import (
    digits_csv,
    edit_digits,
    everything,
    forget_bytes,
    remove,
    with_remote,
)

from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.versions.cache import Kept, RemoteRefused, RemoteUnusable
from gristmill.pipelines.ingestion.versions.data_log import data_log
from gristmill.pipelines.ingestion.versions.moves import restore_from_cache
from gristmill.pipelines.ingestion.versions.pins import DataState, data_state
from gristmill.pipelines.ingestion.versions.snapshot import restore, snapshot

# aiohttp warns about the session that fsspec leaves open
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize("change", [edit_digits, lambda project: remove(project, "digits")])
def test_the_pinned_bytes_are_restored_from_the_cache(
    project: Project, change: Callable[[Project], None]
) -> None:
    before = digits_csv(project).read_bytes()
    change(project)
    assert restore_from_cache(project, "digits")
    assert digits_csv(project).read_bytes() == before


def test_a_clone_without_cache_restores_the_pinned_bytes_from_a_remote(
    project: Project, tmp_path: Path
) -> None:
    shutil.copytree(project.root / ".dvc" / "cache", tmp_path / "remote")
    with_remote(project, tmp_path / "remote")
    before = digits_csv(project).read_bytes()
    forget_bytes(project)
    remove(project, "digits")
    assert restore_from_cache(project, "digits")
    assert digits_csv(project).read_bytes() == before


def test_without_a_cache_nothing_is_restored(project: Project) -> None:
    forget_bytes(project)
    remove(project, "digits")
    assert not restore_from_cache(project, "digits")


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A remote that answers every request with one status."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.fixture
def away(project: Project) -> Project:
    """A clone with a remote on a port where nothing listens."""
    with answering(404) as url:
        with_remote(project, url)
    return project


def lose(project: Project, what: str) -> None:
    """Remove the data from disk, and the whole cache or all but the lists of files."""
    remove(project, "digits")
    if what == "everything":
        forget_bytes(project)
        return
    for file in (project.root / ".dvc" / "cache").rglob("*"):
        if file.is_file() and file.suffix != ".dir":
            file.unlink()


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("lost", ["everything", "files"])
def test_a_login_refused_by_the_remote_is_an_error_and_the_source_is_not_used(
    project: Project, status: int, lost: str
) -> None:
    lose(project, lost)
    before = everything(project)
    with answering(status) as url:
        with_remote(project, url)
        with pytest.raises(RemoteRefused, match=rf"(?s)'here' refused the login.*{status}"):
            snapshot(project, "digits")
        assert {v.kept for v in data_log(project, "digits").versions} == {Kept.REFUSED}
    assert everything(project) == before


@pytest.mark.parametrize("lost", ["everything", "files"])
def test_the_source_is_used_if_the_remote_lacks_the_bytes(project: Project, lost: str) -> None:
    lose(project, lost)
    with answering(404) as url:
        with_remote(project, url)
        assert not restore_from_cache(project, "digits")
        assert restore(project, "digits") == "fetched from sklearn:digits, equal to the pin"


def test_the_source_is_used_with_a_note_if_the_remote_cannot_be_reached(
    away: Project,
) -> None:
    lose(away, "everything")
    with pytest.raises(RemoteUnusable, match="'here' could not be reached"):
        restore_from_cache(away, "digits")
    assert {v.kept for v in data_log(away, "digits").versions} == {Kept.UNASKED}
    how = restore(away, "digits")
    assert how.startswith(
        "fetched from sklearn:digits, equal to the pin; DVC's remote 'here' could"
    )
    assert data_state(away, "digits") is DataState.PINNED


def test_without_a_source_an_unreachable_remote_is_an_error(away: Project) -> None:
    lose(away, "everything")
    file = away.experiment_file("digits")
    file.write_text(file.read_text().replace('source: "sklearn:digits", ', ""))
    with pytest.raises(RemoteUnusable, match="could not be reached"):
        restore(away, "digits")
