"""Where data may come from: the one list of which help, errors and checks are made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class SourceKind:
    """One kind of `data.source`: how it is written, and what it brings."""

    name: str
    form: str
    description: str


SOURCES = (
    SourceKind("path", "customers.csv", "a file or a folder on this machine"),
    SourceKind("web", "https://host/file.csv", "a download; http:// as well"),
    SourceKind("store", "s3://bucket/file.csv", "a file or a folder in any store of fsspec's"),
    SourceKind("openml", "openml:credit-g", "a table of openml.org: NAME, NAME@VERSION or ID"),
    SourceKind("keras", "keras:mnist", "a data set of keras.datasets, as .npz"),
    SourceKind("sklearn", "sklearn:digits", "a table that scikit-learn brings"),
    SourceKind("database", "postgresql+psycopg://user@host/name", "what data.query selects there"),
)
FORMS = ", ".join(kind.form for kind in SOURCES)

DATABASES = ("postgresql", "sqlite", "mysql", "mariadb", "mssql", "oracle", "duckdb", "snowflake")
"""The dialects that are known by name; with `data.query` any other one of SQLAlchemy's goes."""

SECRET_KEY = re.compile(
    r"password|passwd|pwd|token|secret|signature|(api|access|service)_?key|sig", re.IGNORECASE
)
"""In the keys of an address's query; `sig` only as a whole."""


def source_kind(source: str, query: str | None = None) -> str:
    """The name, as in `SOURCES`, of the kind of source that this is written as."""
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
    """Whether an address has a password, a token or a signature in it."""
    scheme, _, rest = source.partition("://")
    if re.match(r"[^:/]*:[^@]*@", rest):  # as SQLAlchemy reads it
        return True
    if scheme.lower() in ("http", "https") and re.match(r"[^/?#]+@", rest):  # a lone token
        return True
    return any(_names_a_secret(key) for key, _ in parse_qsl(rest.partition("?")[2]))


def _names_a_secret(key: str) -> bool:
    found = SECRET_KEY.search(key)
    return found is not None and (found[0].lower() != "sig" or key.lower() == "sig")
