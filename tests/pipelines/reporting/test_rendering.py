"""One record, shown on a terminal, as Markdown and as HTML."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import Reader
from rich.console import Console

from gristmill.pipelines.reporting.html import as_page, meta
from gristmill.pipelines.reporting.markdown import as_markdown
from gristmill.pipelines.reporting.records import (
    Block,
    Card,
    Code,
    Facts,
    Figure,
    Html,
    Lines,
    Page,
    Table,
    Text,
    Titled,
)
from gristmill.pipelines.reporting.screen import Screen

EVIL = "<script>alert('\"&')</script> [bold]|"
TABLE = Table(("name", "value"), [(EVIL, 1.5), ("b", 2)], ("value",), marked=(0,), caption=EVIL)


def shown_on(width: int, *blocks: Block) -> str:
    """Return the output on a terminal of this width, without colours."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system=None, no_color=True
    )
    screen = Screen(console)
    screen.show(*blocks)
    made = screen.console.file
    assert isinstance(made, io.StringIO)
    return made.getvalue()


def test_a_table_has_the_same_cells_in_every_format() -> None:
    page = as_page(Page("t", "h", [Titled("s", [TABLE])]))
    places = (shown_on(200, TABLE), as_markdown("t", [TABLE]), page)
    for text in places:
        assert all(word in text for word in ("name", "value", "1.5", "b", "2", "alert"))
    assert "[bold]" in places[0]
    assert r"\[bold\]\|" in places[1]


def test_every_text_on_a_page_is_escaped_except_html() -> None:
    blocks: list[Block] = [
        Text(EVIL, EVIL),
        Lines([EVIL], style=EVIL),
        Facts({EVIL: EVIL}),
        Code(EVIL),
        TABLE,
        Card(EVIL, EVIL, [Text(EVIL)], [Figure(Html("<i></i>"), EVIL)], EVIL),
        Titled(EVIL, [Text(Html("<b>{}</b>").format(EVIL))]),
    ]
    about = {EVIL: EVIL, "run": "42"}
    text = as_page(Page(EVIL, EVIL, [*blocks, Titled(EVIL, blocks)], (EVIL, EVIL), EVIL, about))
    reader = Reader()
    reader.feed(text)
    assert "script" not in reader.tags
    assert {"b", "i", "table", "ul", "dl", "pre", "section"} <= {*reader.tags}
    assert not reader.open
    assert meta(text, "run") == "42"
    assert meta(text, "nothing") == ""


def test_text_in_markdown_forms_no_table_code_html_or_link_except_markdown() -> None:
    attack = "[x](javascript:y) ![i](http://e) `c` <b>| # a\n# b\x1b[0m"
    shown = r"\[x\](javascript:y) !\[i\](http://e) \`c\` \<b\>\| # a # b\\u001b\[0m"
    made = as_markdown(
        attack,
        [
            Table((attack, "b"), [(attack, 1)], caption=attack),
            Facts({attack: attack}),
            Lines([attack]),
            Titled(attack, [Text(attack), Code("```\n<b>")]),
            Text("`code` [link](page.md)", markdown=True),
        ],
    )
    lines = made.splitlines()
    assert lines[0] == f"# {shown}"
    assert f"| {shown} | b |" in lines
    assert f"- {shown}: {shown}" in lines
    assert lines.count(shown) == 2
    assert lines.count("```") == 2
    assert "`code` [link](page.md)" in lines
    assert len([line for line in lines if line.startswith("#")]) == 2


def test_blocks_without_content_leave_no_title() -> None:
    empty = Titled("gone", [Table(("a",), ()), Lines(()), Facts({"a": ""}), Text(""), Code("")])
    assert "gone" not in as_markdown("t", [empty])
    assert "gone" not in as_page(Page("t", "h", [empty], linked=True))


def test_the_rest_of_a_long_table_or_list_is_counted() -> None:
    rows = [(str(place), "x") for place in range(1010)]
    cut = Table(("a", "b"), rows).first(10)
    assert [*cut.rows[-1]] == ["… 1,000 more", ""]
    assert len(Table(("a", "b"), rows).first(10, "").rows) == 10
    assert Lines([row[0] for row in rows], 10).shown[-1] == "and 1,000 more"


def test_a_narrow_terminal_wraps_texts_before_numbers() -> None:
    table = Table(("name", "value"), [("a long name of many words", "0.123456789")], ("value",))
    lines = shown_on(24, table).splitlines()
    assert all(len(line) <= 24 for line in lines)
    assert any("0.123456789" in line for line in lines)


names = st.text("abcdefghijklmnop_@1", min_size=1, max_size=30)
tables = st.lists(names, min_size=1, max_size=6, unique=True).flatmap(
    lambda heading: st.builds(
        lambda rows, numbers: Table(heading, rows, numbers=heading[:numbers]),
        st.lists(
            st.tuples(*[st.lists(names, max_size=4).map(" ".join)] * len(heading)), min_size=1
        ),
        st.integers(0, len(heading)),
    )
)


@given(tables, st.integers(34, 130))
def test_no_name_in_a_table_is_cut_and_no_line_is_wider_than_the_terminal(
    table: Table, width: int
) -> None:
    shown = shown_on(width, table)
    words = {word for row in table.rows for cell in row for word in str(cell).split()}
    assert words <= {*shown.split()}
    if all(len(f"  {name}  {word}") <= width for name in table.heading for word in words):
        assert all(len(line.rstrip()) <= width for line in shown.splitlines())


def test_a_table_for_a_program_is_as_wide_as_its_cells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    cells = ["a sentence of some words " * 5] * 3
    Screen().show(Table(("a", "b", "c"), [cells]))
    assert "  ".join(cells).split() == capsys.readouterr().out.splitlines()[-1].split()
