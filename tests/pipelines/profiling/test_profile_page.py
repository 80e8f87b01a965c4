"""The HTML page of a profile."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pages import Reader
from PIL import Image

from gristmill.pipelines.profiling.assumptions import assume
from gristmill.pipelines.profiling.profile_page import CARDS, Profiled, page_digest, write_page
from gristmill.pipelines.profiling.table_profile import Task, profile_table

RNG = np.random.default_rng(0)


def page_of(tmp_path: Path, columns: dict[str, Any], task: Task) -> tuple[str, Reader]:
    table, file = tmp_path / "table.parquet", tmp_path / "profile.html"
    pq.write_table(pa.table(columns), table)
    profile = profile_table(table, "y", task)
    used = assume(profile, "y")
    write_page(file, Profiled("<b>", table, profile, "y", task, used, "abc123"))
    assert page_digest(file) == "abc123"
    text = file.read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    assert not [tag for tag in reader.open if tag not in ("rect", "path")]
    return text, reader


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_names_and_values_are_escaped_and_the_page_loads_nothing(
    tmp_path: Path, task: Task
) -> None:
    evil = '<script>alert("1")</script>'
    columns = {
        evil: RNG.choice([evil, "<img src=x onerror=a>", "b"], 200),
        "x&y": RNG.normal(size=200),
        "when": pa.array(RNG.integers(0, 10**15, 200), pa.timestamp("us")),
        "gaps": pa.array([None] * 200, pa.string()),
        "y": RNG.choice([f"{evil}a", "b"], 200) if task == "classification" else np.arange(200.0),
    }
    text, reader = page_of(tmp_path, columns, task)
    assert not {"script", "img", "link", "iframe", "object"} & {*reader.tags}
    assert not {name for name, _ in reader.attributes} & {"src", "href", "onerror", "onload"}
    assert "http" not in text
    assert "url(" not in text
    assert "&lt;script&gt;" in text


def test_a_page_of_hundreds_of_columns_is_small_and_draws_the_most_related(tmp_path: Path) -> None:
    y = RNG.choice(["a", "b", "c"], 300)
    columns = {f"x{i}": RNG.normal(size=300) for i in range(300)}
    text, reader = page_of(tmp_path, {**columns, "best": y, "y": y}, "classification")
    assert len(text) < 1_000_000
    assert reader.tags.count("h3") == CARDS + 1
    assert reader.tags.count("tr") == 303
    assert text.index("<h3>best") < text.index("<h3>x")


def test_without_a_page_the_digest_is_empty(tmp_path: Path) -> None:
    assert page_digest(tmp_path / "profile.html") == ""


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_embedded_in_the_page_by_class(
    tmp_path: Path, task: Task, channels: int
) -> None:
    size = 200 * 300 * channels
    pixels = pa.array([RNG.bytes(size) for _ in range(30)], pa.binary(size))
    about = {"height": "200", "width": "300", "channels": str(channels)}
    schema = pa.schema([pa.field("p", pixels.type, metadata=about), ("y", pa.float64())])
    y = np.arange(30.0) % 2 if task == "classification" else np.arange(30.0)
    table, file = tmp_path / "table.parquet", tmp_path / "profile.html"
    pq.write_table(pa.table([pixels, y], schema=schema), table, row_group_size=7)
    profile = profile_table(table, "y", task)
    assert profile.column("p").form == (200, 300, channels)
    assert profile.column("p").relation is None
    write_page(file, Profiled("pets", table, profile, "y", task, assume(profile, "y")))
    shown = re.findall(r'src="([^"]+)"', file.read_text(encoding="utf-8"))
    assert len(shown) == (2 if task == "classification" else 4)
    for source in shown:
        strip = Image.open(io.BytesIO(base64.b64decode(source.partition("base64,")[2])))
        assert strip.height == 64
        assert (strip.width + 4) % (96 + 4) == 0
