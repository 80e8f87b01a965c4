"""A server for the sources, and no waiting between attempts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from web import Web, running


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server on this machine; whoever asks it again does so at once."""
    monkeypatch.setattr("pipelines.ingestion.sources.download.PAUSES", (0.0, 0.0, 0.0))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with running() as started:
        yield started
