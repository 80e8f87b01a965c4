"""The kinds of data sources: one list for help, errors and checks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class SourceKind:
    """One kind of `data.source`.

    Attributes:
        name: name of the kind.
        form: an example of an address.
        description: what is at the address.
    """

    name: str
    form: str
    description: str


SOURCES = (
    SourceKind("path", "customers.csv", "a file or a folder on this machine"),
    SourceKind("web", "https://host/file.csv", "a download; http:// too"),
    SourceKind("store", "s3://bucket/file.csv", "a file or a folder in any store of fsspec"),
    SourceKind("openml", "openml:credit-g", "a table of openml.org: NAME, NAME@VERSION or ID"),
    SourceKind("keras", "keras:mnist", "a data set of keras.datasets, as .npz"),
    SourceKind("sklearn", "sklearn:digits", "a table included in scikit-learn"),
    SourceKind("database", "postgresql+psycopg://user@host/name", "the result of data.query"),
)
FORMS = ", ".join(kind.form for kind in SOURCES)

DATABASES = ("postgresql", "sqlite", "mysql", "mariadb", "mssql", "oracle", "duckdb", "snowflake")
"""Dialects that are recognised without `data.query`; with it, any dialect of SQLAlchemy is."""

SECRET_KEY = re.compile(
    r"password|passwd|pwd|token|secret|signature|(api|access|service)_?key|sig", re.IGNORECASE
)
"""Keys in the query of an address whose values are secret; `sig` only as the whole key."""


def source_kind(source: str, query: str | None = None) -> str:
    """Return the kind of a source: a name in `SOURCES`."""
    scheme, mark, _ = source.partition("://")
    if mark and re.fullmatch(r"[A-Za-z][\w+.:-]*", scheme):
        if scheme.lower() in ("http", "https"):
            return "web"
        if scheme.lower() == "file":
            return "path"
        known = scheme.partition("+")[0].lower() in DATABASES
        return "database" if known or query is not None else "store"
    prefix = source.partition(":")[0]
    return prefix if prefix in ("openml", "keras", "sklearn") else "path"


def holds_password(source: str) -> bool:
    """Return whether an address contains a password, a token or a signature."""
    scheme, _, rest = source.partition("://")
    if re.match(r"[^:/]*:[^@]*@", rest):  # as SQLAlchemy reads it
        return True
    if scheme.lower() in ("http", "https") and re.match(r"[^/?#]+@", rest):  # a lone token
        return True
    return any(_names_a_secret(key) for key, _ in parse_qsl(rest.partition("?")[2]))


def _names_a_secret(key: str) -> bool:
    found = SECRET_KEY.search(key)
    return found is not None and (found[0].lower() != "sig" or key.lower() == "sig")
