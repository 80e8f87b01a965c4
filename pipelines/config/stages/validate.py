"""What the stage `validate` reads of the experiment file."""

from __future__ import annotations

from pydantic import Field

from gristmill.pipelines.config.section import Section
from gristmill.pipelines.config.sections.data import Data
from gristmill.pipelines.config.sections.schema import Schema
from gristmill.pipelines.config.sections.split import Split


class ValidateSections(Section):
    """What must hold for the data; `split` names the column that identifies a row."""

    data: Data
    schema_: Schema = Field(alias="schema")
    split: Split
