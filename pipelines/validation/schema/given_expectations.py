"""Great Expectations' own expectations, listed in the experiment file or saved in a suite."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd
import psutil
import pyarrow as pa

from gristmill.pipelines.base import ConfigError, EnvironmentFault, Problem, nearest, suggest
from gristmill.pipelines.config import (
    SUITES,
    Arguments,
    Project,
    Schema,
    expectation_names,
    unknown_expectation,
)
from gristmill.pipelines.tables import column_names
from gristmill.pipelines.validation.schema.cell_values import as_text
from gristmill.pipelines.validation.schema.gx import (
    NoMetric,
    PandasExecutionEngine,
    WrongArguments,
    core,
    get_metric_provider,
)
from gristmill.pipelines.validation.schema.rules import LONGEST_VALUE, SHOWN, Finding
from gristmill.pipelines.validation.schema.scan import blocks

MEMORY_SHARE = 0.5
"""Largest share of the free memory for the columns of these expectations."""

COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list")
TECHNICAL = ("batch_id", "catch_exceptions", "id", "rendered_content", "result_format", "windows")
"""Arguments that Great Expectations sets itself."""

BESIDE = ("severity", "description", "notes", "meta")
"""Keys of an expectation in a saved suite, besides its arguments."""


@dataclass(frozen=True)
class GivenExpectation:
    """One expectation of the user.

    Attributes:
        where: its place in the experiment file or the suite.
        expectation: the object of Great Expectations.
    """

    where: str
    expectation: Any

    @property
    def columns(self) -> list[str]:
        """The columns that it is about; empty if it is about the table."""
        keys = [key for key in COLUMN_ARGUMENTS if key in self.expectation.domain_keys]
        named = [getattr(self.expectation, key, None) or [] for key in keys]
        return [name for one in named for name in ([one] if isinstance(one, str) else one)]

    def reads(self, present: Sequence[str]) -> set[str]:
        """Return the columns of the data that it needs, also in its row condition."""
        if not self.columns:
            return set(present)
        condition = str(getattr(self.expectation, "row_condition", None) or "")
        words = (rf"(?<!\w){re.escape(name)}(?!\w)" for name in present)
        asked = [
            name for name, word in zip(present, words, strict=True) if re.search(word, condition)
        ]
        return {*self.columns, *asked}


def given_expectations(project: Project, schema: Schema) -> list[GivenExpectation]:
    """Create the expectations of `schema.expectations` and `schema.suite`.

    Raises:
        ConfigError: a name, an argument or the suite is invalid; all problems are listed.
    """
    problems: list[Problem] = []
    listed = [
        (f"schema.expectations.{place}", *next(iter(entry.items())))
        for place, entry in enumerate(schema.expectations)
    ]
    saved = _saved(project, schema.suite, problems) if schema.suite is not None else ()
    made = [
        GivenExpectation(where, expectation)
        for where, name, arguments in (*listed, *saved)
        if (expectation := _made(f"{where}.{name}", name, arguments, problems)) is not None
    ]
    if problems:
        raise ConfigError(
            f"the expectations are not valid: {len(problems)} problem" + "s" * (len(problems) > 1),
            problems=problems,
            next="correct schema.expectations, or save the suite again with Great Expectations; "
            "names and arguments: https://greatexpectations.io/expectations",
        )
    return made


def _saved(
    project: Project, suite: str, problems: list[Problem]
) -> Iterator[tuple[str, str, Arguments]]:
    """Yield place, name and arguments of each expectation of a suite."""
    by_type = {getattr(core, name).expectation_type: name for name in expectation_names()}
    for place, entry in enumerate(_read_suite(project, suite)):
        where = f"{suite}: expectations.{place}"
        kind = entry.get("type")
        if kind not in by_type:
            hint = suggest(str(kind), by_type)
            problems.append(Problem(where, "a type of Great Expectations", f"{kind!r}", hint))
            continue
        beside = {key: entry[key] for key in BESIDE if entry.get(key)}
        arguments = {**(entry.get("kwargs") or {}), **beside}
        arguments.pop("batch_id", None)
        yield where, by_type[kind], arguments


def _read_suite(project: Project, suite: str) -> list[dict[str, Any]]:
    folder, file = project.experiments / SUITES, project.experiments / suite
    if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
        there = sorted(str(f.relative_to(project.experiments)) for f in folder.rglob("*.json"))
        near = nearest(suite, there)
        raise ConfigError(
            f"there is no suite experiments/{suite}",
            expected=f"a JSON file in experiments/{SUITES}/: {', '.join(there) or 'none yet'}",
            found=f"schema.suite: {suite}",
            next=f"schema: {{suite: {near}}}" if near else "save the suite there",
        )
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))["expectations"]
    except (ValueError, KeyError, TypeError) as error:
        raise _no_suite(suite, f"{type(error).__name__}: {error}") from error
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise _no_suite(suite, "expectations that are not a list of mappings")
    return entries


def _no_suite(suite: str, found: str) -> ConfigError:
    return ConfigError(
        f"experiments/{suite} is not a suite that Great Expectations saved",
        expected='JSON with "expectations", a list with the type and kwargs of each',
        found=found,
        next="save it with Great Expectations 1.0 or later, such as context.suites.add(suite)",
    )


def _made(where: str, name: str, arguments: Arguments, problems: list[Problem]) -> Any | None:
    kind = getattr(core, name, None)
    if kind is None:
        problems.append(Problem(where, found=unknown_expectation(name)))
        return None
    if not _on_pandas(kind):
        words = "an expectation that Great Expectations computes on a pandas frame"
        problems.append(Problem(where, words, "one that needs a SQL database"))
        return None
    for key, value in arguments.items():
        if isinstance(value, Mapping) and "$PARAMETER" in value:
            words = f"the suite parameter {value['$PARAMETER']}, which has no value"
            problems.append(Problem(f"{where}.{key}", "a value", words))
            return None
    if arguments.get("windows"):
        words = "windows, which need a store of earlier results"
        problems.append(Problem(f"{where}.windows", "an expectation of these rows", words))
        return None
    try:
        expectation = kind(**arguments)
    except WrongArguments as error:
        problems += _argument_problems(where, kind, arguments, error)
        return None
    # pandas compares its dates only with moments
    moments = {
        key: datetime.combine(value, time()) for key, value in expectation if type(value) is date
    }
    return kind(**arguments | moments) if moments else expectation


def _on_pandas(kind: Any) -> bool:
    about = kind.schema()["properties"]["metadata"]["properties"]
    sources = about.get("supported_data_sources", {}).get("const")
    if sources is None or "Pandas" in sources:
        return True
    return _has_metric(f"{getattr(kind, 'map_metric', None)}.condition")


def _has_metric(name: str) -> bool:
    try:
        get_metric_provider(name, PandasExecutionEngine())
    except NoMetric:
        return False
    return True


def _argument_problems(
    where: str, kind: Any, arguments: Arguments, error: Any
) -> Iterator[Problem]:
    known = [key for key in kind.__fields__ if key not in TECHNICAL]
    expected: dict[str, list[str]] = {}
    for one in error.errors():
        key = "" if one["loc"][0] == "__root__" else str(one["loc"][0])
        if one["type"] == "value_error.extra":
            hint = suggest(key, known)
            yield Problem(where, "one of " + ", ".join(known), f"unknown argument {key!r}", hint)
        elif one["type"] == "value_error.missing":
            yield Problem(f"{where}.{key}", "a value: the argument is required", "nothing")
        elif one["type"] != "type_error.dict" or len(error.errors()) == 1:
            expected.setdefault(key, []).append(str(one["msg"]))
    for key, words in expected.items():
        place = f"{where}.{key}" if key else where
        found = repr(arguments.get(key)) if key else ", ".join(arguments) or "no arguments"
        yield Problem(place, " or ".join(dict.fromkeys(words)), found)


def frame_for(
    table: Path, given: Sequence[GivenExpectation], free: int | None = None
) -> pd.DataFrame:
    """Read the columns that the expectations need; without expectations, no rows.

    Args:
        table: Parquet file written by the stage `ingest`.
        given: the expectations.
        free: bytes of free memory; default: those of the machine.

    Raises:
        EnvironmentFault: the columns would fill more than `MEMORY_SHARE` of it.
    """
    present = column_names(table)
    if not given:
        return pd.DataFrame(columns=present)
    needed = set().union(*(one.reads(present) for one in given))
    names = [name for name in present if name in needed]
    size = sum(block.nbytes for block in blocks(table, names))
    free = psutil.virtual_memory().available if free is None else free
    if size > MEMORY_SHARE * free:
        raise EnvironmentFault(
            f"not enough memory for Great Expectations with {len(names):,} columns of the table",
            expected=f"{size / 2**30:.1f} GiB in half of the free memory: its expectations are "
            "computed on whole columns",
            found=f"{free / 2**30:.1f} GiB free",
            next="use fewer columns in schema.expectations, and check the others with "
            "schema.columns and schema.rules, which read any number of rows in blocks",
        )
    rows = pa.Table.from_batches(blocks(table, names))
    frame: pd.DataFrame = rows.to_pandas(date_as_object=False)
    return frame


def finding_in(part: Any, raised: str) -> Finding:
    """Convert a result of Great Expectations to a finding.

    Args:
        part: the result of one expectation that does not hold.
        raised: message of the error in its computation; empty if there was none.
    """
    expectation = part.expectation_config.to_domain_obj()
    names = GivenExpectation("", expectation).columns
    columns, said = ", ".join(names) or "the table", _sentence(expectation)
    if raised:
        return Finding(columns, f"a check without an error: {said}", 0, 1.0, (), (raised,))
    result = part.result
    places = (result.get("partial_unexpected_index_list") or ())[:SHOWN]
    rows = tuple(int(place) + 1 for place in places)
    unexpected = (result.get("partial_unexpected_list") or ())[:SHOWN]
    values = tuple(_value(value, names)[:LONGEST_VALUE] for value in unexpected)
    count, share = (result["unexpected_count"] if rows else 0), 1.0
    if count:
        share = count / result["element_count"]
    else:
        values = (_observed(result, values),)
    severity = "error" if str(expectation.severity.value) == "critical" else "warning"
    return Finding(columns, said, count, share, rows, values, severity)


def _sentence(expectation: Any) -> str:
    """Return Great Expectations' sentence for it, without the column, which is shown separately."""
    expectation.render()
    value = expectation.rendered_content[0].value
    words = {key: _value(param["value"]) for key, param in (value.params or {}).items()}
    template = str(value.template or "")
    if not template or "(**" in template:  # Great Expectations has no sentence for it
        left_out = {*COLUMN_ARGUMENTS, *TECHNICAL}
        kwargs = expectation.configuration.kwargs.items()
        shown = ", ".join(f"{key}: {value}" for key, value in kwargs if key not in left_out)
        return f"{expectation.expectation_type.replace('_', ' ')} ({shown})"
    return Template(template.removeprefix("$column ")).safe_substitute(words).removesuffix(".")


def _observed(result: Mapping[str, Any], values: Sequence[str]) -> str:
    if (observed := result.get("observed_value")) is not None:
        return _value(observed)
    lacking = [_value(value) for value in result.get("partial_missing_list") or ()]
    parts = [", ".join(values), "without " + ", ".join(lacking) if lacking else ""]
    return "; ".join(filter(None, parts)) or "it does not hold"


def _value(value: Any, names: Sequence[str] = ()) -> str:
    if isinstance(value, tuple) and len(value) == len(names):
        value = dict(zip(names, value, strict=True))
    if isinstance(value, Mapping):
        return " ".join(f"{key}={_value(one)}" for key, one in value.items())
    if isinstance(value, list | tuple | set):
        return ", ".join(map(_value, value))
    return as_text(None if value is pd.NaT or value != value else value)
