"""From a source to one canonical table, with DVC as the memory of versions.

`pipelines.ingestion.versions` (the DVC adapter) and `.snapshot` are imported by name where they
are needed, for they bring dvc along.
"""

from pipelines.ingestion.sources import fetch

__all__ = ["fetch"]
