"""Kinds of sources, and secrets in their addresses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tiny import make_project, write_experiment

from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.base.secrets import redact
from gristmill.pipelines.config.sections import Data
from gristmill.pipelines.config.source_kinds import holds_password, source_kind


@pytest.mark.parametrize(
    ("source", "query", "kind"),
    [
        ("a.csv", None, "path"),
        ("C:odd.csv", None, "path"),
        ("file:///a.csv", None, "path"),
        ("HTTPS://host/a", None, "web"),
        ("gs://bucket/a", None, "store"),
        ("postgresql+psycopg://h/d", None, "database"),
        ("sqlite:///a.db", "SELECT 1", "database"),
        ("trino://h/d", "SELECT 1", "database"),
        ("keras:mnist", None, "keras"),
    ],
)
def test_the_form_of_a_source_decides_its_kind(source: str, query: str | None, kind: str) -> None:
    assert source_kind(source, query) == kind


@pytest.mark.parametrize(
    ("source", "holds"),
    [
        ("postgresql://me:pw@h/d", True),
        ("postgresql://me:p/w@h/d", True),
        ("postgresql://:pw@h/d", True),
        ("mysql://h/d?password=x", True),
        ("postgresql://h/d?sslmode=require", False),
        ("postgresql+psycopg://me@h:5432/d", False),
        ("sqlite:////srv/a:b@c.db", False),
        ("https://me:pw@h/a.csv", True),
        ("https://T0ken@h/a.csv", True),
        ("https://h/a.csv?X-Amz-Signature=abc", True),
        ("https://h/a.csv?serviceKey=abc", True),
        ("https://h/a.csv?sig=abc", True),
        ("https://h/a.csv?design=4&by=me@h", False),
        ("https://h/@me/a.csv", False),
        ("s3://key:pw@bucket/a.csv", True),
        ("s3://bucket/a.csv", False),
    ],
)
def test_a_password_or_token_in_an_address_is_detected(source: str, holds: bool) -> None:
    assert holds_password(source) is holds


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x://me:p/w:@1@h/a", "x://me:***@h/a"),
        ("https://T0ken@host/a.csv", "https://***@host/a.csv"),
        (
            "https://h/a?X-Amz-Signature=abc&Expires=3",
            "https://h/a?X-Amz-Signature=***&Expires=***",
        ),
        ("source: 'https://h/a?sig=abc', target", "source: 'https://h/a?sig=***', target"),
        ("postgresql://me@h/d", "postgresql://me@h/d"),
        ("why? a=b", "why? a=b"),
    ],
)
def test_secrets_in_addresses_are_redacted(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"source": "sqlite:///a.db"}, "source is a database, so query is required"),
        ({"query": "SELECT 1"}, "query needs the address of a database"),
        ({"source": "a.csv", "query": "SELECT 1"}, "query needs the address of a database"),
        (
            {"source": "postgresql://me:hUsh@h/d", "query": "SELECT 1"},
            "remove it and set GRISTMILL_SQL_PASSWORD",
        ),
        ({"source": "https://h/a.csv?token=hUsh"}, "remove it and put the login for the host"),
        ({"source": "s3://k:hUsh@b/a.csv"}, "remove it and set the store's own variables"),
        ({"source": ""}, "source"),
        ({"path": "data/tiny"}, "a file or a folder in its own folder"),
        ({"path": "data/../x/y"}, "a file or a folder in its own folder"),
        ({"path": "/data/tiny/x"}, "a file or a folder in its own folder"),
        ({"path": "data/tiny/.hidden"}, "a file or a folder in its own folder"),
        ({"path": ["https://me:hUsh@h/a?token=hUsh"]}, r"\*\*\*"),
    ],
)
def test_inconsistent_data_settings_are_refused_without_showing_a_secret(
    tmp_path: Path, data: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        write_experiment(make_project(tmp_path / "p"), data=data)
    assert re.search(words, str(caught.value))
    assert "hUsh" not in str(caught.value)


@pytest.mark.parametrize("path", ["data/tiny/a.csv", "data/tiny/pictures", "data/tiny/deep/a"])
def test_a_data_set_can_be_a_file_or_a_folder(path: str) -> None:
    data = Data(path=path, target="a", task="classification")
    assert data.folder == "tiny"
