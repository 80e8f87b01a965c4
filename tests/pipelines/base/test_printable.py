"""No text from data controls the terminal or reorders what is printed."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gristmill.pipelines.base.errors import DataInvalid, GristmillError, Problem
from gristmill.pipelines.base.files import read_json, write_json
from gristmill.pipelines.base.printable import printable
from gristmill.pipelines.reporting.records import Block, Facts, Lines, Table, Text, Titled
from gristmill.pipelines.reporting.screen import Screen

ATTACKS = (
    "\x1b[31mred",
    "\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;aGFjaw==\x07",
    "good\rbad",
    "\x9b31m",
    "a\u202eb",
    "a\u2067b",
    "half \ud800",
    "\x7f\x08",
)


@given(text=st.text(st.characters(codec=None)))
def test_no_control_character_is_left(text: str) -> None:
    made = printable(text)
    assert not [c for c in made if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n"]
    assert not [c for c in made if unicodedata.bidirectional(c) in ("RLO", "LRO", "RLI", "PDF")]
    made.encode()
    assert printable(made) == made


def test_text_of_any_language_stays_as_it_is() -> None:
    text = "내 데이터, données, שלום, مرحبا, 👩‍🔬 [red] [/] \\u001b"
    assert printable(text) == text


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_screen_and_the_log_show_control_characters_escaped(attack: str) -> None:
    file, logged = io.StringIO(), list[str]()
    console = Console(file=file, force_terminal=True, color_system=None, width=200)
    screen = Screen(console, log=logged.append)
    screen.say(f"  {attack}")
    screen.judge(False, attack)
    blocks: list[Block] = [
        Table((attack, "b"), [(attack, attack)], caption=attack),
        Facts({attack: attack}),
        Lines([attack]),
        Titled(attack, [Text(attack)]),
    ]
    screen.show(*blocks)
    text = file.getvalue()
    assert printable(text) == text
    assert text.count(printable(attack)[:6]) >= 10
    assert logged[0] == printable(attack).strip()
    assert all(printable(line) == line for line in logged)


@pytest.mark.parametrize("width", [20, 200])
def test_markup_of_rich_is_shown_as_text(width: int) -> None:
    file = io.StringIO()
    screen = Screen(Console(file=file, force_terminal=True, color_system=None, width=width))
    with screen.step("[/]") as words:
        screen.now("[/red]")
        words.append("[bold]x[/]")
    screen.show(Table(("[/]", "b"), [("[red]", "[/red]")]), Titled("[/b]", [Text("[/i]")]))
    for text in ("[/]", "[bold]x[/]", "[red]", "[/red]", "[/b]", "[/i]"):
        assert text in file.getvalue()


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_error_is_printable_and_can_be_sent_to_another_process(
    attack: str, tmp_path: Path
) -> None:
    error = DataInvalid(
        attack,
        expected=attack,
        found=attack,
        next=attack,
        problems=[Problem(attack, attack, attack, attack)],
    )
    assert printable(error) == str(error)
    write_json(tmp_path / "record.json", error.record())
    back = GristmillError.from_record(read_json(tmp_path / "record.json"))
    assert str(back) == str(error)
