"""What the stages `split` and `scale` read of the experiment file."""

from __future__ import annotations

from gristmill.pipelines.config.section import Section
from gristmill.pipelines.config.sections.data import Data
from gristmill.pipelines.config.sections.features import Features
from gristmill.pipelines.config.sections.split import Split


class PrepareSections(Section):
    """The roles of the rows, and how columns become numbers."""

    data: Data
    split: Split
    features: Features
