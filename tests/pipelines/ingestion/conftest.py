"""A server for the sources and no waiting between attempts; projects of several versions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from versioned import two_versions, versioned
from web import Web, running

__all__ = ["two_versions", "versioned", "web"]


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server on this machine; whoever asks it again does so at once."""
    monkeypatch.setattr("gristmill.pipelines.ingestion.sources.download.PAUSES", (0.0, 0.0, 0.0))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with running() as started:
        yield started
