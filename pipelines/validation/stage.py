"""Validate: the table against the schema. Fails closed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipelines.config import (
    ConfigError,
    DataInvalid,
    Document,
    Problem,
    Project,
    load_experiment,
    nearest,
    write_json,
)
from pipelines.validation.rules import Finding, unmatched


@dataclass(frozen=True)
class Validated:
    """What validation found in data that passed."""

    rows: int
    columns: int
    rules: int

    def __str__(self) -> str:
        return f"{self.rules} rules hold for {self.columns} columns"


def validate(project: Project, name: str) -> Validated:
    """The stage `validate`: the table → `build/NAME/validation.json`, or DataInvalid."""
    experiment = load_experiment(project, name)
    build = project.build(name)
    result = validate_table(
        build / "table.parquet", experiment.document, build / "validation", project.relative(build)
    )
    content = {"rows": result.rows, "columns": result.columns, "rules": result.rules}
    write_json(build / "validation.json", content)
    return result


def validate_table(table: Path, document: Document, report: Path, shown: str) -> Validated:
    """Checks a table; all failures are collected before anything is raised.

    Args:
        table: what ingest made.
        document: the experiment file.
        report: folder for the full report.
        shown: how to name the report's folder to the user.

    Raises:
        ConfigError: the file and the data do not speak of the same columns.
        DataInvalid: rows break the schema, or the target cannot be learnt.
    """
    frame = pd.read_parquet(table, dtype_backend="numpy_nullable")
    _columns_exist(frame, document)
    from pipelines.validation.expectations import validate_frame

    findings = [*validate_frame(frame, document.schema_, report), *_target(frame, document)]
    if findings:
        raise DataInvalid(
            f"the data break the schema: {len(findings)} finding" + "s" * (len(findings) > 1),
            problems=[Problem(f.column, f.rule, str(f)) for f in findings],
            next=f"mend the source, or the schema if it is wrong; full report: {shown}/validation/",
        )
    return Validated(len(frame), len(frame.columns), len(document.schema_.columns))


def _columns_exist(frame: pd.DataFrame, document: Document) -> None:
    present = list(frame.columns)
    problems = [
        Problem(f"schema.columns.{entry}", "a column of the data", "none of that name", _mean(near))
        for entry, near in unmatched(document.schema_.columns, present).items()
    ]
    for where, column in (("data.target", document.data.target), ("split.key", document.split.key)):
        if column is not None and column not in present:
            near = nearest(column, present)
            problems.append(Problem(where, "a column of the data", column, _mean(near)))
    if problems:
        some = ", ".join(present[:12]) + ("…" if len(present) > 12 else "")
        raise ConfigError(
            "the experiment file names columns that the data do not have",
            problems=problems,
            found=f"columns {some}",
        )


def _mean(near: str) -> str:
    return f"did you mean {near}?" if near else ""


def _target(frame: pd.DataFrame, document: Document) -> list[Finding]:
    target = frame[document.data.target]
    everything = len(frame)
    if target.isna().any():
        rows = tuple(int(row) + 1 for row in target.isna().to_numpy().nonzero()[0][:20])
        count = int(target.isna().sum())
        values = ("nothing",) * len(rows)
        return [
            Finding(
                str(target.name), "a target in each row", count, count / everything, rows, values
            )
        ]
    if target.nunique() < 2:
        only = (str(target.iloc[0]),)
        return [
            Finding(str(target.name), "two different targets or more", everything, 1.0, (1,), only)
        ]
    if document.data.task == "regression" and not pd.api.types.is_numeric_dtype(target):
        texts = tuple(map(str, target.iloc[:5]))
        return [
            Finding(
                str(target.name), "numbers, for regression", everything, 1.0, (1, 2, 3, 4, 5), texts
            )
        ]
    return []
