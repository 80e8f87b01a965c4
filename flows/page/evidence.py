"""The gate's measurements: the part of a run's page below the reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gristmill.flows.page.tables import cell, interval, words
from gristmill.pipelines.reporting import Block, Facts, Table, Text, Titled, p_value, p_words

SHOWN = frozenset({"alpha", "baselines", "contest", "reads", "requirements", "slices"})
"""Keys with their own layout here; other keys of a decision are listed as they are."""

KEPT = frozenset({"by", "outcome", "reasons"})
"""Keys shown elsewhere on the page."""


def evidence_of(found: Mapping[str, Any]) -> list[Block]:
    """Return the blocks of a decision's evidence."""
    contest = found.get("contest") or {}
    others = {name: found[name] for name in found if name not in SHOWN | KEPT}
    return [
        _requirements(found.get("requirements") or ()),
        *([_contest(contest, found.get("alpha"))] if contest else []),
        _baselines(found.get("baselines") or ()),
        _slices(found.get("slices") or ()),
        Facts({words(name): as_text(value) for name, value in others.items()}),
    ]


def _requirements(checks: Sequence[Mapping[str, Any]]) -> Titled:
    rows = [
        (
            check.get("name", ""),
            cell(check.get("value")),
            interval(check.get("low"), check.get("high")),
            _bounds(check),
            _holds(check),
        )
        for check in checks
    ]
    heads = ("requirement", "value", "95 % interval", "required", "holds")
    return Titled("Requirements", [Table(heads, rows, heads[1:3])])


def _bounds(check: Mapping[str, Any]) -> str:
    ends = [
        f"{sign} {check[end]:g}"
        for end, sign in (("min", "≥"), ("max", "≤"))
        if check.get(end) is not None
    ]
    of = check.get("of", "value")
    text = " and ".join(ends)
    return text if of == "value" else f"{text} for the interval's {of} end"


def _contest(found: Mapping[str, Any], alpha: float | None) -> Titled:
    """Return the comparison of candidate and champion: values, rows, p and power."""
    mine, theirs = (*found.get("values", ()), None, None)[:2]
    metric = str(found.get("metric", ""))
    rows = found.get("rows") or 0
    newer, left_out, groups = (found.get(name) or 0 for name in ("newer", "left_out", "groups"))
    counted = [
        f"{rows:,} predicted by both and seen in training by neither",
        f"{newer:,} of them newer than the champion" if newer else "",
        f"in {groups:,} groups" if groups else "",
        f"{left_out:,} left out: seen in training by one, or not among the newest"
        if left_out
        else "",
    ]
    facts = {
        metric: f"{cell(mine)} against {cell(theirs)}",
        "rows": ", ".join(filter(None, counted)),
        "better": _p(found.get("p"), alpha, "that it is better"),
        "worse": _p(found.get("worse"), alpha, "that it is worse"),
        "method": str(found.get("method") or ""),
        "power": _power(found),
        "assumptions": "; ".join(found.get("assumed") or ()),
    }
    title = f"Against the champion, version {found.get('champion', '')}"
    return Titled(title, [Facts(facts), _refresh(found.get("refresh"))])


def _baselines(checks: Sequence[Mapping[str, Any]]) -> Titled:
    """Return the comparisons of a first champion with the baselines."""
    heads = ("baseline", "metric", "value", "baseline's", "p better", "p worse", "rows", "method")
    rows = [
        (
            check.get("champion", ""),
            check.get("metric", ""),
            *map(cell, check.get("values", ())),
            p_value(check.get("p")),
            p_value(check.get("worse")),
            f"{check.get('rows', 0):,}",
            check.get("method", ""),
        )
        for check in checks
    ]
    return Titled("Against the baselines", [Table(heads, rows, heads[2:7])])


def _p(p: float | None, alpha: float | None, what: str) -> str:
    if p is None:
        return ""
    bound = f"; shown below {alpha:.3g}" if alpha is not None else ""
    return f"{p_words(p)} {what} (one-sided{bound})"


def _power(found: Mapping[str, Any]) -> str:
    gain, power, enough = (found.get(name) for name in ("shown_gain", "power", "enough"))
    if gain is None or power is None:
        return ""
    more = f"; {enough:,} rows would show it with probability 0.8" if enough else ""
    return f"these rows show a gain of {gain:.3g} with probability {power:.2f}{more}"


def _refresh(found: Mapping[str, Any] | None) -> Block:
    """Return the checks of the champion's own recipe on newer data, against it and the anchor."""
    if not found:
        return Text("")
    heads = ("version", "values", "worse by less than", "p", "rows", "method")
    each = found.get("against")
    if isinstance(each, str) or not each:
        return Text(as_text(each) if each else "")
    rows = [
        (
            one.get("version", ""),
            " against ".join(map(cell, one.get("values", ()))),
            cell(one.get("margin")),
            p_value(one.get("p")),
            f"{one.get('rows', 0):,}",
            one.get("method", ""),
        )
        for one in each
    ]
    days = found.get("days") or 0
    caption = f"The champion's own recipe on newer data; the champion is {days:.0f} days old"
    return Table(heads, rows, heads[2:5], caption=caption)


def _slices(checks: Sequence[Mapping[str, Any]]) -> Titled:
    heads = ("required slice", "metric", "value", "must not be below", "p (Holm)", "rows", "holds")
    rows = [
        (
            check.get("name", ""),
            check.get("metric", ""),
            cell(check.get("value")),
            f"{cell(check.get('bound'))} ({check.get('kind', '')})",
            p_value(check.get("adjusted_p", check.get("p"))),
            f"{check.get('rows', 0):,}",
            _holds(check),
        )
        for check in checks
    ]
    return Titled("Required slices", [Table(heads, rows, heads[2:6])])


def _holds(check: Mapping[str, Any]) -> str:
    return "✓ yes" if check.get("holds") else "✗ no"


def as_text(value: Any) -> str:
    """Return a JSON value as readable text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{words(k)} {as_text(v)}" for k, v in value.items() if v is not None)
    if isinstance(value, list | tuple):
        return "; ".join(map(as_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else cell(value)
