"""A web server for sources, without pauses between retries; projects with several versions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from versioned import two_versions, versioned
from web import Web, running

__all__ = ["two_versions", "versioned", "web"]


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A local web server; downloads from it are retried without a pause."""
    monkeypatch.setattr("gristmill.pipelines.ingestion.sources.download.PAUSES", (0.0, 0.0, 0.0))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with running() as started:
        yield started
