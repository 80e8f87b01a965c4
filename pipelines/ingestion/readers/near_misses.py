"""Text columns that are almost numbers or dates, with the setting that would read them."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gristmill.pipelines.config import Csv
from gristmill.pipelines.ingestion.readers.dialect import dialects, is_unit, measured
from gristmill.pipelines.ingestion.readers.value_kinds import Reading

SAMPLE = 2000
"""Rows from which a column is suspected."""

NEARLY = 0.95
"""Share of values from which a text column is almost a column of numbers or dates."""

SHOWN = 5
"""Largest number of different other values for which a setting is shown."""

LAYOUTS = (
    *("%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %I:%M %p", "%d/%m/%Y %I:%M:%S %p"),
    *("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d %Y"),
    *("%d %b %Y %H:%M", "%d %b %Y %H:%M:%S", "%a %b %d %H:%M:%S %Y", "%Y-%b-%d"),
    *("%a, %d %b %Y %H:%M:%S %z", "%a, %d %b %Y %H:%M:%S GMT", "%d %b %Y %H:%M:%S %z"),
    *("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d %H:%M:%S%z"),
    *("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S"),
    *("%m/%d/%Y %H:%M:%S", "%d-%m-%Y", "%m-%d-%Y", "%d-%m-%Y %H:%M", "%m-%d-%Y %H:%M"),
    *("%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d.%m.%Y", "%Y-%m", "%m/%Y", "%b %Y", "%Y/%m"),
    *("%Y년 %m월 %d일", "%Y. %m. %d.", "%Y年%m月%d日", "%Y%m%d"),
)
"""Formats of dates that are suggested; the first of several that fit equally well."""

A_UNIT = re.compile(r"[^\W\d]\D*[²³23]?|[^\w:./,;+&#-]")

BOUND = r"^\s*(?:[<>≤≥~]=?\s*-?\d[\d.,]*|\d[\d.,]*\s*[-+])\s*$"
"""Numbers of which only a bound is known, such as <5 or 65+, and 3.2- for -3.2; they stay text."""

DATE_WORDS = re.compile(r"date|time|(^|_)(ts|dt|at)$|stamp|created|updated|일시|날짜|일자", re.I)


def near_misses(table: Path, passed_over: Collection[str] = ()) -> list[str]:
    """Return a sentence for each column that is almost numbers or dates, or dates as numbers.

    Args:
        table: Parquet file written by ingest.
        passed_over: columns that are not looked at.
    """
    with pq.ParquetFile(table) as file:
        types = dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True))
        names = [n for n, kind in types.items() if _may_be(kind) and n not in passed_over]
        first = next(file.iter_batches(batch_size=SAMPLE, columns=names), None) if names else None
        if first is None:
            return []
        notes: list[str] = []
        for name in names:
            values = first[name].drop_null()
            if not len(values):
                continue
            if pa.types.is_integer(types[name]):
                notes += _moments(name, values)
            else:
                notes += _numbers(file, name, values) or _dates(name, values)
        return notes


def _may_be(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_integer(kind))


def _numbers(file: pq.ParquetFile, name: str, sample: pa.Array) -> list[str]:
    plain = sample.filter(pc.invert(pc.match_substring_regex(sample, BOUND)))
    texts = plain.to_pylist() or [""]
    units = Counter(measured(text)[0] for text in texts)
    unit, count = units.most_common(1)[0]
    known = [one for one in units if is_unit(one)]
    if count < NEARLY * len(texts) <= sum(units[one] for one in known):
        return [f"{name} stays text: its values are numbers in {', '.join(known)}; use one unit"]
    if count < NEARLY * len(texts) or (unit and not A_UNIT.fullmatch(unit)):
        return []
    readings = [one for one in map(Reading, dialects(Csv())) if _share(one, plain, unit) > 0.9]
    if not readings:
        return []
    column = pa.chunked_array([batch[name] for batch in file.iter_batches(columns=[name])])
    counts = pc.value_counts(column.drop_null())
    values, rows = counts.field("values"), counts.field("counts")
    found = [_fit(reading, values, unit) for reading in readings]
    fits = max(found, key=lambda fits: pc.sum(rows.filter(fits)).as_py() or 0)
    share = _part(rows, fits)
    odd = values.filter(pc.invert(fits)).to_pylist()
    if _part(rows, pc.or_(fits, pc.match_substring_regex(values, BOUND))) < NEARLY:
        return []
    if not odd and not unit:
        marks = readings[found.index(fits)].dialect
        form = f"decimal: {_quoted(marks.decimal or '.')}"
        form += f", thousands: {_quoted(marks.thousands)}" if marks.thousands else ""
        return [f"{name} stays text: its numbers have another form than those of others ({form})"]
    settings = [f"units: {{{_quoted(name)}: {_quoted(unit)}}}"] * bool(unit)
    settings += [f"missing: [{', '.join(map(_quoted, odd))}]"] * bool(0 < len(odd) <= SHOWN)
    shown = ", ".join(odd[:SHOWN]) + ", …" * (len(odd) > SHOWN)
    most = f"{math.floor(share * 1000) / 10:g}% of" if odd else "all"
    note = f"{name} stays text: {most} its values are numbers" + f" in {unit}" * bool(unit)
    note += f", but not {shown}" * bool(odd)
    return [note + f" (to read them: csv: {{{', '.join(settings)}}})" * bool(settings)]


def _part(rows: pa.Array, among: pa.Array) -> float:
    return float((pc.sum(rows.filter(among)).as_py() or 0) / pc.sum(rows).as_py())


def _share(reading: Reading, texts: pa.Array, unit: str) -> float:
    return float(pc.mean(_fit(reading, texts, unit).cast(pa.float64())).as_py() or 0)


def _fit(reading: Reading, texts: pa.Array, unit: str) -> pa.Array:
    bare = [measured(text)[1] for text in texts.to_pylist()] if unit else None
    mine = [measured(text)[0] == unit for text in texts.to_pylist()] if unit else None
    fits = reading.are_numbers(texts if bare is None else pa.array(bare, pa.string()))
    return fits if mine is None else pc.and_(fits, pa.array(mine))


def _dates(name: str, sample: pa.Array) -> list[str]:
    left = list(dict.fromkeys(sample.to_pylist()))[:200]
    found: list[tuple[str, list[str]]] = []
    total = len(left)
    while left and len(found) < 3:
        parsed = {layout: [text for text in left if _fits(text, layout)] for layout in LAYOUTS}
        best = max(LAYOUTS, key=lambda layout: len(parsed[layout]))
        if len(parsed[best]) < 0.05 * total:
            break
        found.append((best, [o for o in LAYOUTS if o != best and parsed[o] == parsed[best]]))
        left = [text for text in left if text not in parsed[best]]
    if not found or len(left) > (1 - NEARLY) * total:
        return []
    layouts = ", ".join(_quoted(best) for best, _ in found)
    other = f", or {_quoted(found[0][1][0])}" if len(found) == 1 and found[0][1] else ""
    setting = f"csv: {{dates: [{layouts}]}}{other}"
    return [f"{name} stays text: its values look like dates (to read them: {setting})"]


def _moments(name: str, sample: pa.Array) -> Iterator[str]:
    values = pc.unique(sample)
    low, high = (value.as_py() for value in pc.min_max(values).values())
    eight = 19_000_101 <= low <= high <= 21_001_231 and len(values) >= SHOWN
    if eight and all(_fits(str(value), "%Y%m%d") for value in values.to_pylist()[:200]):
        yield f'{name} is a number: 20240131 is a date with csv: {{dates: ["%Y%m%d"]}}'
    for unit, size in (("seconds", 1), ("milliseconds", 1000)):
        if DATE_WORDS.search(name) and 6e8 * size <= low <= high <= 3e9 * size:
            yield f"{name} is a number: {unit} since 1970; as a date, write it as 2024-01-31T10:00"


def _fits(text: str, layout: str) -> bool:
    with suppress(ValueError):
        datetime.strptime(text, layout)
        return True
    return False


def _quoted(text: str) -> str:
    plain = re.fullmatch(r"[^\W\d]\w*", text) and text.lower() not in (
        "y",
        "n",
        "yes",
        "no",
        "null",
    )
    return text if plain else json.dumps(text, ensure_ascii=False)
