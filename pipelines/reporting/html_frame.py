"""The frame of an HTML page: one style for all pages, nothing fetched, no script."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape

from gristmill.pipelines.reporting.records import Html

STYLE = """
:root{color-scheme:light dark;--ink:#222;--soft:#595959;--line:#ddd;--paper:#fff;--panel:#f7f7f7;
 --mark:#e6f0f7;--link:#0063a3;--good:#00704f;--bad:#a84300;--wait:#0063a3}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e6e6e6;--soft:#a8a8a8;--line:#444;
 --paper:#181a1b;--panel:#222526;--mark:#1d3a4d;--link:#6cb8e6;--good:#3fbf95;--bad:#f09a5c;
 --wait:#6cb8e6}}
body{font:15px/1.5 system-ui,"Noto Sans KR",sans-serif;color:var(--ink);background:var(--paper);
 margin:2rem auto;max-width:1120px;padding:0 1.5rem}
h1{font-size:1.6rem;line-height:1.25;margin:0;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:2.2rem 0 .6rem;break-after:avoid}
h3{font-size:1rem;margin:1.4rem 0 .4rem;break-after:avoid}
p{margin:.4rem 0}ul{margin:.4rem 0;padding-left:1.3rem}li,dd{overflow-wrap:anywhere}
a{color:var(--link)}.note,caption,figcaption{color:var(--soft);font-size:.87rem}
dl{display:grid;grid-template-columns:auto 1fr;gap:0 .8rem;margin:0}
dt{color:var(--soft)}dd{margin:0}figure{margin:0}figcaption{font-size:.78rem}img{max-width:100%}
table{border-collapse:collapse;width:100%;font-size:.85rem}
th{text-align:left;font-weight:600}tbody th{font-weight:400}
caption{text-align:left;padding:.2rem 0}
th,td{padding:.22rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
td,th{overflow-wrap:break-word}tr{break-inside:avoid}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.wide{overflow-x:auto}
@media(max-width:600px){body{padding:0 .8rem;margin:1rem auto}th,td{padding:.22rem .35rem}}
@media print{body{margin:0;max-width:none;padding:0;font-size:10pt}.wide{overflow:visible}
 tbody th,td{overflow-wrap:anywhere}}
"""
"""The colours of `--good`, `--bad` and `--wait` are Okabe and Ito's, dark or light enough to read
as letters (a contrast of 4.5 and more); what they say stands there in words, too."""


def html_page(
    title: str, body: str, style: str = "", about: Mapping[str, str] | None = None
) -> str:
    """A page as a document.

    Args:
        title: plain text.
        body: HTML.
        style: rules beside `STYLE`.
        about: contents of `<meta>` elements by name, plain text.
    """
    said = "".join(
        f'<meta name="{escape(name)}" content="{escape(content)}">\n'
        for name, content in (about or {}).items()
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n{said}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{style}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def html_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    numbers: Collection[str] = (),
    caption: str = "",
) -> str:
    """A table; the first cell of a row names it, and a wide table scrolls by itself.

    Args:
        headings, rows, caption: plain text, but for cells that are `Html`.
        numbers: headings of the columns that are written to the right.
    """
    kinds = [' class="n"' if heading in numbers else "" for heading in headings]
    head = "".join(
        f'<th scope="col"{kind}>{escape(heading)}</th>'
        for heading, kind in zip(headings, kinds, strict=True)
    )
    lines = []
    for row in rows:
        name, *cells = (c if isinstance(c, Html) else escape(str(c)) for c in row)
        rest = "".join(f"<td{k}>{c}</td>" for c, k in zip(cells, kinds[1:], strict=True))
        lines.append(f'<tr><th scope="row"{kinds[0]}>{name}</th>{rest}</tr>\n')
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="wide"><table>{above}<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{''.join(lines)}</tbody></table></div>"
    )


def html_facts(said: Mapping[str, str]) -> str:
    """Names and what is to be said of them, plain text or `Html`; those without are left out."""
    listed = "".join(
        f"<dt>{escape(name)}</dt><dd>{value if isinstance(value, Html) else escape(value)}</dd>\n"
        for name, value in said.items()
        if value
    )
    return f"<dl>{listed}</dl>" if listed else ""


def html_list(lines: Sequence[str], most: int = 100) -> str:
    """A list of plain texts; of a long one the beginning, and how many more there are."""
    shown = [*lines[:most], *[f"and {len(lines) - most:,} more"] * (len(lines) > most)]
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in shown)}</ul>"


def meta(head: str, name: str) -> str:
    """What the beginning of a page says in a `<meta>` element; empty where it has none."""
    return head.partition(f'<meta name="{name}" content="')[2].partition('"')[0]
