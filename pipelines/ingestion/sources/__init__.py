"""Where data come from: each kind of source writes the raw file or folder, whole or not at all."""

from pipelines.ingestion.sources.fetch import fetch
from pipelines.ingestion.sources.meter import Progress

__all__ = ["Progress", "fetch"]
