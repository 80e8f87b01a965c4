"""Whatever the documentation refers to exists."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
README_LINES = 200
"""Length that a newcomer reads in ten minutes; everything else is in docs/."""
TOPS = ("gristmill/", "flows/", "pipelines/", "tests/", "benchmarks/", "docs/", "examples/")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_links_named_on_a_page_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = [name for name in re.findall(r"`([\w./-]+)`", text) if name.startswith(TOPS)]
    assert [name for name in named if not (ROOT / name).exists()] == []
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_is_short_and_links_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= README_LINES
    reached, ahead = set[Path](), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)#:]+\.md)\)", page.read_text(encoding="utf-8"))
        ahead += {(page.parent / link).resolve() for link in links} - reached
    pages = {page for page in PAGES if page.parent != ROOT / "docs" / "decisions"}
    assert pages - reached == {ROOT / "CHANGELOG.md"}
    assert set((ROOT / "docs" / "decisions").glob("*.md")) <= reached


WITH_EXAMPLES = sorted(
    str(path.relative_to(ROOT))
    for folder in ("flows", "pipelines", "gristmill/commands")
    for path in (ROOT / folder).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("path", WITH_EXAMPLES)
def test_examples_in_docstrings_return_what_they_show(path: str) -> None:
    name = path.removeprefix("gristmill/").removesuffix(".py").replace("/", ".")
    done = doctest.testmod(importlib.import_module(f"gristmill.{name}"))
    assert done.attempted
    assert not done.failed
