"""Downloads: complete or nothing, resumed or restarted, and limited in size."""

from __future__ import annotations

from pathlib import Path

import pytest
from web import CONTENT, LONG, OTHER, Web

from gristmill.pipelines.base.errors import EnvironmentFault, InputError
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.sources.fetching import fetch


@pytest.mark.parametrize("path", ["/plain", "/zipped", "/always-zipped", "/moved", "/later"])
def test_a_download_has_the_bytes_of_the_file(tmp_path: Path, web: Web, path: str) -> None:
    assert fetch(Project(tmp_path), web.address + path, tmp_path / "a.csv") == ()
    assert (tmp_path / "a.csv").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "content", "asked_for_a_part"),
    [
        ("/cut", LONG, True),
        ("/cut-and-changed", OTHER, True),
        ("/cut-without-version", LONG, False),
        ("/cut-and-shorter", CONTENT, True),
        ("/cut-and-mixed-up", LONG, True),
    ],
)
def test_an_interrupted_download_is_resumed_or_restarted(
    tmp_path: Path, web: Web, path: str, content: bytes, asked_for_a_part: bool
) -> None:
    fetch(Project(tmp_path), web.address + path, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == content
    assert bool(web.ranges) is asked_for_a_part
    assert "bytes=0-" not in web.ranges
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def test_bytes_already_downloaded_are_not_fetched_again(tmp_path: Path, web: Web) -> None:
    fetch(Project(tmp_path), web.address + "/cut", tmp_path / "a.csv")
    (part,) = web.ranges
    assert 0 <= len(LONG) // 2 - int(part.removeprefix("bytes=").rstrip("-")) < 1 << 16


def test_progress_ends_at_the_full_size(tmp_path: Path, web: Web) -> None:
    told: list[tuple[int, int | None]] = []
    fetch(
        Project(tmp_path),
        web.address + "/cut",
        tmp_path / "a.csv",
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[0] == (0, len(LONG))
    assert told[-1] == (len(LONG), len(LONG))


def test_retries_stop_after_four_attempts_without_progress(tmp_path: Path, web: Web) -> None:
    with pytest.raises(EnvironmentFault, match="500"):
        fetch(Project(tmp_path), web.address + "/down", tmp_path / "a.csv")
    assert web.asked["/down"] == 4


@pytest.mark.parametrize("path", ["/huge", "/endless"])
def test_a_download_stops_at_the_limit(
    tmp_path: Path, web: Web, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRISTMILL_DOWNLOAD_LIMIT", "3 MB")
    with pytest.raises(InputError, match=r"(?s)exceeds the size limit\n.*3\.0 MB at most"):
        fetch(Project(tmp_path), web.address + path, tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_a_login_from_netrc_is_used(
    tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    fetch(Project(tmp_path), web.address + "/with-login", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == CONTENT
