"""Tables that scikit-learn contains or fetches from openml.org."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from gristmill.pipelines.base import ConfigError, EnvironmentFault, InputError, nearest
from gristmill.pipelines.ingestion.sources.meter import Wanted, no_source, words_of
from gristmill.pipelines.ingestion.sources.row_writer import write_rows

OPENML_FORMS = "openml:NAME, openml:NAME@VERSION or openml:ID"

TARGETS = {
    "breast_cancer": "malignant_or_benign",
    "diabetes": "progression",
    "digits": "digit",
    "iris": "species",
    "wine": "cultivar",
}
"""Tables in scikit-learn, and the names of their targets here."""


def scikit_learn_table(wanted: Wanted, aside: Path) -> None:
    """Write one of scikit-learn's tables; integers are written without a decimal point."""
    from sklearn import datasets

    name = wanted.name
    if name not in TARGETS:
        near = nearest(name, TARGETS)
        raise no_source(
            f"scikit-learn has no data set '{name[:60]}'",
            "sklearn: and one of " + ", ".join(TARGETS),
            f"sklearn:{name[:60]}",
            f"source: sklearn:{near}" if near else "",
        )
    arguments = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(datasets, f"load_{name}")(**arguments)
    header = [str(column).replace(" ", "_") for column in (*bunch.feature_names, TARGETS[name])]
    columns = [*bunch.data.T.tolist(), bunch.target.tolist()]
    write_rows(header, [[[*map(_number, column)] for column in columns]], aside, wanted.parquet)


def _number(value: float) -> float:
    return int(value) if float(value).is_integer() else float(value)


def openml_table(wanted: Wanted, aside: Path) -> tuple[str, ...]:
    """Write a table of openml.org by `NAME`, `NAME@VERSION` or ID, its target as the last column.

    scikit-learn checks the download against the MD5 from openml.org.

    Returns:
        A note with the name, version and ID of the table.

    Raises:
        ConfigError: there is no such table.
        InputError: it is sparse or damaged.
        EnvironmentFault: openml.org could not be reached.
    """
    from urllib.error import URLError

    from sklearn.datasets import fetch_openml
    from sklearn.datasets._openml import OpenMLError

    asked = _asked(wanted.name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # about retries, and about versions, which the note names
            bunch = fetch_openml(**asked, as_frame=True, parser="pandas", cache=False)
    except (URLError, TimeoutError) as error:
        if getattr(error, "code", None) in (404, 412):
            raise _no_such_table(wanted.name, error) from None
        raise EnvironmentFault(
            "openml.org could not be reached",
            expected=f"the table {wanted.name}",
            found=f"{type(error).__name__}: {error}"[:200],
            next="try again, or put the file there by hand and type gristmill run",
        ) from None
    except OpenMLError as error:
        raise _no_such_table(wanted.name, error) from None
    except ValueError as error:  # a sparse table, broken bytes, an ARFF that pandas cannot read
        raise InputError(
            "the table of openml.org cannot be used",
            expected="a complete table of numbers, texts and categories",
            found=words_of(error),
            next="use another version, or put the file there by hand",
        ) from error
    frame = bunch.frame
    columns = [[*map(_value, frame[name].astype(object).tolist())] for name in frame.columns]
    write_rows([*map(str, frame.columns)], [columns], aside, wanted.parquet)
    about = bunch.details
    note = f"openml: {about['name']} version {about['version']}, ID {about['id']}"
    exact = f"; source: openml:{about['id']} always means this table"
    return (note + ("" if "data_id" in asked else exact),)


def _asked(text: str) -> dict[str, Any]:
    name, _, version = text.partition("@")
    if name.isdigit() and not version:
        return {"data_id": int(name)}
    if not name or (version and not version.isdigit()) or "/" in name:
        found = f"openml:{text[:60]}"
        raise no_source("openml: needs a name or a number", OPENML_FORMS, found, "")
    return {"name": name, "version": int(version) if version else "active"}


def _no_such_table(name: str, error: Exception) -> ConfigError:
    return no_source(
        "openml.org has no such table",
        f"{OPENML_FORMS} of an active table",
        f"openml:{name}: {words_of(error, 160)}",
        "look it up at https://www.openml.org/search?type=data",
    )


def _value(value: Any) -> Any:
    """Convert a cell: a missing value to None, an integral number to int."""
    if value is None or value != value:
        return None
    if isinstance(value, bool | str):
        return value
    return _number(value) if isinstance(value, int | float) else str(value)
