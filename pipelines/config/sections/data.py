"""The section `data`: where the rows come from and which column is predicted."""

from __future__ import annotations

import codecs
import math
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import Field, Strict, field_validator, model_validator

from gristmill.pipelines.config.section import Section
from gristmill.pipelines.config.source_kinds import FORMS, holds_password, source_kind


class Csv(Section):
    """Format of a text table; omitted settings are detected from the file."""

    delimiter: str | None = Field(None, min_length=1, max_length=1)
    quote: str | None = Field(
        None, pattern="^(.|none)$", description="none: quotes are ordinary characters"
    )
    escape: str | None = Field(
        None, min_length=1, max_length=1, description="what is before a quote inside quotes: \\"
    )
    header: Literal["first", "none"] | None = Field(
        None, description="first: the first row names the columns; none: no row does"
    )
    skip: int | None = Field(None, ge=0, description="lines above the table")
    comment: str | None = Field(
        None, min_length=1, max_length=1, description="lines that begin with it are left out"
    )
    blanks: Literal["stripped"] | None = Field(
        None, description="stripped: a blank after a delimiter is not part of the value"
    )
    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", " ", "'"] | None = None
    encoding: str | None = Field(None, description="name in Python: utf-8, cp949, latin-1, …")
    missing: tuple[str, ...] | None = Field(None, description="texts that mean a missing value")
    text: tuple[str, ...] | None = Field(None, description="columns that are text, as written")
    units: dict[str, str] | None = Field(
        None, description="columns of numbers with a unit, such as weight: kg, price: $, share: %"
    )
    dates: tuple[str, ...] | None = Field(
        None, min_length=1, description="formats of dates, such as %d/%m/%Y"
    )

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str | None) -> str | None:
        try:
            return encoding and codecs.lookup(encoding).name
        except LookupError as error:
            raise ValueError("is not an encoding of Python") from error

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.quote and self.quote in (self.delimiter, self.decimal, self.escape):
            raise ValueError("quote must differ from the delimiter, the decimal mark and escape")
        if self.thousands and self.thousands == (self.decimal or "."):
            raise ValueError("thousands must differ from the decimal mark")
        return self


class Pictures(Section):
    """What all pictures of a folder are converted to."""

    height: int | None = Field(None, ge=1, description="default: that of all pictures")
    width: int | None = Field(None, ge=1)
    channels: Literal[1, 3] | None = Field(
        None,
        description="1 for grey, 3 for colour; default: 3 if a size is declared, else as found",
    )
    background: str = Field("white", description="colour behind transparent pixels")
    range: Annotated[tuple[float, float], Strict(False)] | None = Field(
        None,
        description="[low, high], the values that become black and white in pictures of more "
        "than 8 bits; required for floats and 32 bits",
    )

    @field_validator("background")
    @classmethod
    def _opaque_colour(cls, background: str) -> str:
        from PIL import ImageColor

        if len(ImageColor.getrgb(background)) != 3:
            raise ValueError("must be opaque")
        return background

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.height is None) != (self.width is None):
            raise ValueError("height and width must be given together")
        if self.range and not (-math.inf < self.range[0] < self.range[1] < math.inf):
            raise ValueError("range must be two finite numbers, the lower one first")
        return self


class Data(Section):
    """Where the rows come from and which column is predicted."""

    path: str = Field(
        description="file or folder under data/NAME/, such as data/churn/customers.csv"
    )
    source: str | None = Field(None, min_length=1, description=f"where to fetch the data: {FORMS}")
    query: str | None = Field(
        None, min_length=1, description="SQL, if source is the address of a database"
    )
    target: str = Field(description="the column to predict")
    task: Literal["classification", "regression"]
    csv: Csv = Csv()
    pictures: Pictures | None = None

    @field_validator("path")
    @classmethod
    def _under_data(cls, path: str) -> str:
        parts = PurePosixPath(path).parts
        if len(parts) < 3 or parts[0] != "data" or any(part.startswith(".") for part in parts):
            raise ValueError("must be a file or a folder in its own folder: data/NAME/FILE")
        return path

    @model_validator(mode="after")
    def _query_fits(self) -> Self:
        kind = self.source and source_kind(self.source, self.query)
        if self.query is not None and kind != "database":
            raise ValueError("query needs the address of a database as source")
        if self.query is None and kind == "database":
            raise ValueError("source is a database, so query is required")
        if kind is not None and holds_password(str(self.source)):  # git and dvc.lock would keep it
            place = {
                "database": "set GRISTMILL_SQL_PASSWORD",
                "web": "put the login for the host into ~/.netrc",
            }.get(kind, "set the store's own variables, such as AWS_SECRET_ACCESS_KEY")
            raise ValueError(f"source contains a password; remove it and {place}")
        return self

    @property
    def folder(self) -> str:
        """The data set's folder under `data/`."""
        return PurePosixPath(self.path).parts[1]


class IngestSections(Section):
    """The sections of the experiment file that the stage `ingest` reads."""

    data: Data
