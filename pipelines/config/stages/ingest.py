"""What the stage `ingest` reads of the experiment file."""

from __future__ import annotations

from gristmill.pipelines.config.section import Section
from gristmill.pipelines.config.sections.data import Data


class IngestSections(Section):
    """Where the rows come from."""

    data: Data
