"""The commented experiment file that `gristmill new` writes."""

from __future__ import annotations

import glob
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gristmill.pipelines.config import Csv, Pictures
from gristmill.pipelines.profiling.assumptions import (
    FEW_ROWS,
    RARE,
    Assumption,
    TaskChoice,
    classes_of,
)
from gristmill.pipelines.profiling.row_order import RowOrder
from gristmill.pipelines.profiling.table_profile import (
    STRONG,
    ColumnProfile,
    Form,
    TableProfile,
    in_words,
)
from gristmill.pipelines.profiling.yaml_text import (
    aligned,
    broad,
    comment,
    listed,
    moment,
    outward,
    quoted,
    scalar,
    short,
    stems,
    wrapped,
)
from gristmill.pipelines.reporting import fill_template
from gristmill.pipelines.validation.leaks import ORDERED

TEMPLATE = Path(__file__).with_name("experiment.yaml.j2")

MOST_ONE_OF = 20
"""Largest number of levels that a schema lists."""

FEW_CONSTANT = 5
"""Largest number of constant columns with a separate line each."""

MOST_PADDED = 20
"""Largest width of a name with which others are aligned."""

FAIR = 0.5
"""A class is rare if it has less than this share of the mean number of rows per class."""

SLACK = 0.05
"""Share of missing values that the schema allows beyond the present one."""

SMALL = 7
"""Side, in pixels, up to which a picture is not halved again."""

MOST_BLOCKS = 4
"""Largest number of times that a picture is halved."""


class Size(NamedTuple):
    """A network and its training for tables of fewer than `rows` rows."""

    rows: float
    units: tuple[int, ...]
    batch: int
    epochs: int
    patience: int


SIZES = (
    Size(500, (16,), 16, 300, 20),
    Size(5_000, (32, 16), 32, 200, 15),
    Size(50_000, (64, 32), 64, 100, 8),
    Size(math.inf, (128, 64), 256, 50, 4),
)


@dataclass(frozen=True)
class Draft:
    """The content of a drafted experiment file.

    Attributes:
        name: name of the experiment.
        path: path of the data file in the project.
        source: address of the data, if not on this machine.
        csv: detected dialect of a text table.
        target: name of the target column.
        task: the task and the reason for it.
        profile: profile of the whole table.
        assumptions: one for each column, in the table's order.
        query: SQL, if the source is a database.
        pictures: the size that picture files are converted to, and the reason for it.
        order: the dependence of rows on the ones before them, if it matters.
        doubt: whether thousands separators could be decimal marks.
        leaks: names of columns left out because they are proven to reveal the target.
        stops: the proof that the rows are a sequence, for which a run stops; empty without one.
    """

    name: str
    path: str
    source: str | None
    csv: Csv
    target: str
    task: TaskChoice
    profile: TableProfile
    assumptions: Sequence[Assumption]
    query: str | None = None
    pictures: tuple[Pictures, str] | None = None
    doubt: bool = False
    order: RowOrder | None = None
    leaks: Sequence[str] = ()
    stops: str = ""

    @property
    def sequence(self) -> RowOrder | None:
        """The order in time by which rows are split; groups and given roles take precedence."""
        other = {a.role for a in self.assumptions} & {"group", "given"}
        return self.order if self.order and self.order.column and not other else None

    @property
    def picture(self) -> ColumnProfile | None:
        """The column of pictures, if any."""
        return next((c for c in self.profile.columns if c.form is not None), None)

    @property
    def used(self) -> list[Assumption]:
        return [a for a in self.assumptions if a.used]

    @property
    def left_out(self) -> list[Assumption]:
        return [a for a in self.assumptions if not a.used and a.role != "target"]

    @property
    def rarest(self) -> float:
        """Share of the rarest class; 1 for regression."""
        counts = classes_of(self.profile.column(self.target))
        if self.task.task == "regression" or not counts:
            return 1.0
        return min(counts.values()) / self.profile.rows

    @property
    def strong(self) -> list[ColumnProfile]:
        """Features that predict the target almost alone: all of its classes."""
        used = {a.name for a in self.used}
        return [c for c in self.profile.columns if c.name in used and c.least >= STRONG]

    @property
    def uneven(self) -> bool:
        """Whether a class is rare, also for the number of classes."""
        classes = len(classes_of(self.profile.column(self.target)))
        return self.rarest < min(RARE, FAIR / max(classes, 1))


def write_draft(draft: Draft) -> str:
    """Return the text of the experiment file."""
    rows, columns = draft.profile.rows, len(draft.profile.columns)
    form = draft.picture.form if draft.picture else None
    by_role = {a.role: a for a in reversed(draft.assumptions)}
    about = "pictures" if form else f"{len(draft.used)} of {columns - 1} columns"
    values = {
        "draft": draft,
        "rows": rows,
        "columns": columns,
        "description": f"{draft.target} from {about}",
        "data": _data(draft),
        "rules": _rules(draft),
        "given": by_role.get("given"),
        "group": by_role.get("group"),
        "key": by_role.get("key"),
        "ordered": ORDERED,
        "dates": [a for a in draft.used if a.kind == "date"],
        "strong": [f"{c.name} ({c.least:.2f})" for c in draft.strong],
        "features": [*_excluded(draft), *_kinds(draft)],
        "regression": draft.task.task == "regression",
        "blocks": _blocks(form) if form else [],
        "size": next(size for size in SIZES if rows < size.rows),
    }
    return fill_template(
        TEMPLATE, values, {"scalar": scalar, "aligned": aligned, "wrapped": _wrapped_lines}
    )


def _wrapped_lines(text: str) -> str:
    return "".join(f"{line}\n" for line in wrapped(text))


def _blocks(form: Form) -> list[int]:
    """Return the number of filters of each convolutional block."""
    side, filters = min(form[:2]), list[int]()
    while side > SMALL and len(filters) < MOST_BLOCKS:
        side //= 2
        filters.append(min(16 << len(filters), 64))
    return filters


def _data(draft: Draft) -> list[tuple[str, str]]:
    lines = [(f"path: {scalar(draft.path)}", "")]
    if draft.source:
        lines.append(
            (f"source: {scalar(draft.source)}", "fetched again by `gristmill data refresh`")
        )
    if draft.query:
        lines.append((f"query: {scalar(draft.query)}", ""))
    lines.append((f"target: {scalar(draft.target)}", ""))
    lines.append((f"task: {draft.task.task}", draft.task.why))
    found = draft.csv.model_dump(exclude_none=True)
    if found:
        inside = ", ".join(f"{key}: {_flow(value)}" for key, value in found.items())
        why = 'if 1,234 means 1.234: decimal: "," instead of thousands' if draft.doubt else ""
        lines.append((f"csv: {{{inside}}}", why or "detected"))
    if draft.pictures:
        form, why = draft.pictures
        lines.append((f"pictures: {_flow(form.model_dump(exclude_defaults=True))}", why))
    return lines


def _flow(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_flow(entry) for entry in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(of)}" for key, of in value.items()) + "}"
    return scalar(value)


def _rules(draft: Draft) -> list[tuple[str, str]]:
    """Return the lines of the schema's columns, with the present values as notes."""
    rules = list(_column_rules(draft))
    wide = max((broad(name) for name, _, _ in rules if broad(name) <= MOST_PADDED), default=0)
    return [(f"{n}:{' ' * max(wide - broad(n), 0)} {{{rule}}}", note) for n, rule, note in rules]


def _column_rules(draft: Draft) -> Iterator[tuple[str, str, str]]:
    """Yield (name or pattern, rule, note) of each entry."""
    names = draft.profile.names
    by_name = {a.name: a for a in draft.assumptions}
    numbers = [c.name for c in draft.profile.columns if _plain_number(c, by_name[c.name])]
    grouped = stems(numbers, names)
    done = {name for members in grouped.values() for name in members}
    for pattern, members in grouped.items():
        columns = [draft.profile.column(name) for name in members]
        yield quoted(pattern), _bounds(columns), f"{len(members)} columns, {_seen(columns)}"
    for column in draft.profile.columns:
        assumed = by_name[column.name]
        if column.name not in done and (assumed.used or assumed.role) and column.present:
            rule, note = _rule(column, assumed, draft)
            yield quoted(column.name), rule, note


def _plain_number(column: ColumnProfile, assumed: Assumption) -> bool:
    """Return whether a column is a numeric feature or a constant number."""
    number = column.type in ("integer", "number") and bool(column.quantiles)
    feature = assumed.used and assumed.kind == "number"
    return number and (feature or assumed.why == "constant")


def _rule(column: ColumnProfile, assumed: Assumption, draft: Draft) -> tuple[str, str]:
    target = assumed.role == "target"
    if column.form is not None:
        return "missing: never", in_words(column.form)
    if assumed.role in ("group", "given"):
        return f"type: {column.type}, missing: never", assumed.why
    if assumed.role == "key":
        return f"type: {column.type}, missing: never, unique: true", "unique"
    if target and draft.task.task == "classification":
        return f"type: {column.type}, {_one_of(column)}missing: never", _classes(column)
    if column.type in ("integer", "number") and assumed.kind == "category":
        return f"type: {column.type}, {_gaps([column])}", f"{column.distinct:,} levels"
    if column.type in ("integer", "number"):
        rule = _bounds([column])
        return (rule.rpartition(", ")[0] + ", missing: never" if target else rule), _seen([column])
    if column.type == "date":
        first, last = moment(column.quantiles[0]), moment(column.quantiles[-1])
        return f"type: date, {_gaps([column])}", f"{first} … {last}"
    note = "" if column.type == "boolean" else f"{column.distinct:,} levels"
    return f"type: {column.type}, {_gaps([column])}", note


def _one_of(column: ColumnProfile) -> str:
    if len(column.levels) != column.distinct or column.distinct > MOST_ONE_OF:
        return ""
    values = sorted((value for value, _ in column.levels), key=lambda v: (str(type(v)), v))
    return f"one_of: [{', '.join(map(scalar, values))}], "


def _classes(column: ColumnProfile) -> str:
    few = [f"{value}: {rows}" for value, rows in column.levels if rows < FEW_ROWS]
    if few:
        return f"classes with fewer than {FEW_ROWS} rows: " + ", ".join(few[:5])
    shares = [f"{value} {rows / column.rows:.0%}" for value, rows in column.levels[:3]]
    return ", ".join(shares) + (", …" if column.distinct > 3 else "")


def _bounds(columns: Sequence[ColumnProfile]) -> str:
    low, high = _ends(columns)
    least, most = outward(low, high)
    kind = "integer" if all(c.type == "integer" for c in columns) else "number"
    return f"type: {kind}, min: {scalar(least)}, max: {scalar(most)}, {_gaps(columns)}"


def _ends(columns: Sequence[ColumnProfile]) -> tuple[float, float]:
    return min(c.quantiles[0] for c in columns), max(c.quantiles[-1] for c in columns)


def _seen(columns: Sequence[ColumnProfile]) -> str:
    low, high = _ends(columns)
    gaps = max(c.missing_share for c in columns)
    return f"{short(low)} … {short(high)}" + (f", {gaps:.1%} missing" if gaps else "")


def _gaps(columns: Sequence[ColumnProfile]) -> str:
    """Return a limit slightly above the present share of missing values."""
    share = math.ceil(100 * (max(c.missing_share for c in columns) + SLACK)) / 100
    return f"missing: {share:g}" if share < 1 else "missing: allowed"


def _excluded(draft: Draft) -> Iterator[str]:
    left_out = [a for a in draft.left_out if a.role != "given"]  # never a feature
    if not left_out:
        return
    constant = [a.name for a in left_out if a.why == "constant"]
    entries = [(scalar(glob.escape(a.name)), _why_out(a)) for a in left_out]
    if draft.leaks:
        allowed = ", ".join(scalar(glob.escape(name)) for name in draft.leaks)
        why = "instead of excluding what is known before the target"
        yield f"  # allow_leaks: [{allowed}]  # {why}"
    if len(constant) <= FEW_CONSTANT:
        yield "  exclude:"
        yield from aligned([(f"- {entry}", why) for entry, why in entries], "    ")
        return
    for a in left_out:  # many constant columns, such as pixels at the edge, share a line
        if a.name not in constant:
            yield from wrapped(f"{a.name}: {_why_out(a)}", "  ")
    yield from wrapped(f"{len(constant)} columns are constant", "  ")
    yield from listed([entry for entry, _ in entries], "  exclude: ", "    ")


def _why_out(assumed: Assumption) -> str:
    if assumed.kind == "text":
        return f"{assumed.why}; to count its words, remove it here and uncomment it below"
    return assumed.why


def _kind(assumed: Assumption, column: ColumnProfile) -> str:
    if column.parts:
        return f"{{kind: date, parts: [{', '.join(column.parts)}]}}"
    return assumed.kind


def _kinds(draft: Draft) -> Iterator[str]:
    names = draft.profile.names
    special = {a.name: a for a in draft.used if a.kind not in ("number", "picture")}
    texts = [a for a in draft.left_out if a.kind == "text"]
    if special or texts:
        yield "  columns:" if special else "  # columns:"
    lines: list[tuple[str, str]] = []
    done: set[str] = set()
    kinds = {name: _kind(a, draft.profile.column(name)) for name, a in special.items()}
    for kind in sorted({kinds[n] for n, a in special.items() if a.kind != "ordered"}):
        for pattern, members in stems([n for n in special if kinds[n] == kind], names).items():
            lines.append((f"{quoted(pattern)}: {kind}", f"{len(members)} columns"))
            done |= {*members}
    for name, assumed in special.items():
        if name in done:
            continue
        if assumed.kind == "ordered":
            (levels,) = listed([scalar(v) for v in assumed.levels], "", "") or [""]
            lines.append((f"{quoted(name)}: {{kind: ordered, levels: {levels}}}", "lowest first"))
        else:
            why = "later rows have other days and years" if "parts" in kinds[name] else assumed.why
            lines.append((f"{quoted(name)}: {kinds[name]}", why))
    yield from aligned(lines, "    ")
    for assumed in texts:
        yield f"    # {comment(quoted(assumed.name))}: text"
