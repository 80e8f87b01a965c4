"""`gristmill check`: compare new rows with those that a model was trained and tested on."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gristmill.flows.check_page import Checked, show, write_page
from gristmill.flows.scoring import (
    about_offsets,
    answer,
    columns_of,
    declared,
    read_pictures,
    require_file,
    typed_rows,
)
from gristmill.flows.steps import DISTRIBUTIONS, distributions, not_compared
from gristmill.pipelines.base import EnvironmentFault, content_digest, nearest, write_json
from gristmill.pipelines.config import Data, Document, Project
from gristmill.pipelines.evaluation import (
    MOST,
    MetricChange,
    Predictions,
    decline,
    from_answers,
    names_of,
    read_predictions,
)
from gristmill.pipelines.ingestion import ingest_file
from gristmill.pipelines.preparation import as_text, class_places
from gristmill.pipelines.registry import PREDICTIONS, Version, find, loaded_version
from gristmill.pipelines.tracking import fetch_artifact
from gristmill.pipelines.validation import (
    MATTERS,
    Shift,
    advanced,
    breaks,
    rows_needed,
    shifts,
    summarise,
)

DRIFTED = 5
"""Exit code if something has drifted."""

PAGE, RECORD = "check.html", "check.json"

LISTED = 5
"""Largest number of labels to name in a note."""

ANSWER, SURENESS = "prediction", "probability of the prediction"
"""Columns in which predictions are compared."""


def check(text: str, file: Path, *, as_json: bool = False) -> int:
    """Check a file, print the result and write a page; return the exit code.

    Args:
        text: `NAME` (its champion), `NAME@ALIAS` or `NAME@VERSION`.
        file: file in the format of the data, with or without the target.
        as_json: print the record instead of tables.

    Raises:
        ConfigError: the file or version does not exist.
        InputError: the file is not a table, or lacks columns that the model needs.
        EnvironmentFault: artifacts of the version's run are missing.
    """
    project = Project.find()
    require_file(file, "check")
    made = examine(project, find(project, text), file, str(file))
    page = write(project, made, file)
    show(made, project.relative(page), as_json=as_json)
    return DRIFTED if made.drifted else 0


def write(project: Project, made: Checked, file: Path) -> Path:
    """Write the page and the record of a check; return the path of the page.

    Args:
        project: the project.
        made: result of the check.
        file: the checked file, whose name becomes part of the folder's name.
    """
    folder = folder_of(project, made.model, file, made.digest)
    write_page(folder / PAGE, made)
    write_json(folder / RECORD, made.record())
    return folder / PAGE


def folder_of(project: Project, model: str, file: Path, digest: str) -> Path:
    """Return the folder for the check of a file; equal content gives the same folder.

    Args:
        project: the project.
        model: registered model.
        file: the checked file; only its name is used.
        digest: SHA-256 of its content.
    """
    stem = file.absolute().name.split(".")[0] or "file"
    return project.root / "build" / "check" / model / f"{stem}-{digest[:8]}"


def examine(project: Project, version: Version, file: Path, shown: str) -> Checked:
    """Compare the rows of a file with those that a version was trained and tested on.

    Args:
        project: the project.
        version: registered version.
        file: file in the format of the data, with or without the target.
        shown: name of the file in messages.
    """
    document = declared(project, version.model)
    reference = distributions(project, version)
    if reference is None:
        raise EnvironmentFault(
            f"{version.model} version {version.number} has no stored distributions of its data",
            expected=f"{DISTRIBUTIONS} among the artifacts of its run",
            found="none: schema.drift was off, or the run is older than drift checks",
            next="set schema: {drift: {severity: warning}}, then gristmill run "
            f"{version.model} --force",
        )
    with tempfile.TemporaryDirectory() as folder:
        aside = Path(folder)
        tested = read_predictions(fetch_artifact(project, version.run_id, PREDICTIONS, aside))
        with loaded_version(project, version) as (model, about):
            statistics = model.unwrap_python_model().statistics
            if statistics.get("picture"):
                seen = _see_pictures(file, model, None if document is None else document.data)
            else:
                seen = _see_table(file, model, reference, document, aside)
        predictions = _shifted(tested, seen.answers, aside)
    given, unknown = _labelled(seen, tested)
    names = names_of(version.metrics, tested.classes) if len(given.truth) else []
    performance = decline(names, tested, given)
    labelled = len(given.truth)
    notes = [
        *about,
        *seen.notes,
        *_about_labels(labelled, unknown, tested.classes),
        *_undefined(performance),
    ]
    return Checked(
        version.model,
        version.number,
        shown,
        content_digest(file),
        len(seen.answers),
        int(reference["rows"]),
        seen.inputs,
        predictions,
        labelled,
        performance,
        seen.breaks,
        tuple(notes),
    )


@dataclass(frozen=True)
class _Seen:
    """The comparison of a file's columns, and a model's predictions for its rows.

    Attributes:
        answers: output of the model's package.
        truth: target column; None if the file does not have it.
        inputs, breaks, notes: as in `Checked`.
    """

    answers: pd.DataFrame
    truth: pd.Series | None
    inputs: tuple[Shift, ...] = ()
    breaks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _see_pictures(file: Path, model: Any, data: Data | None) -> _Seen:
    statistics = model.unwrap_python_model().statistics
    picture, target = statistics["picture"], statistics["target"]
    answers, truths = [], []
    notes = ["pictures are not compared by column; their predictions are"]
    for rows in read_pictures(file, data, statistics, notes):
        answers.append(answer(model, rows[[picture["name"]]])[0])
        truths += [rows[target]] if target in rows else []
    truth = pd.concat(truths, ignore_index=True) if truths else None
    return _Seen(pd.concat(answers, ignore_index=True), truth, notes=tuple(notes))


def _see_table(
    file: Path, model: Any, reference: Any, document: Document | None, aside: Path
) -> _Seen:
    table, statistics = aside / "rows.parquet", model.unwrap_python_model().statistics
    target = statistics["target"]
    texts, numbers = columns_of(model)
    kinds = {name: column["type"] for name, column in reference["columns"].items()}
    texts = [name for name in texts if kinds.get(name) != "date"]
    texts += [name for name, kind in kinds.items() if kind == "text"]
    data = None if document is None else document.data
    made = ingest_file(file.absolute(), table, data, not_numbers=texts, unlabelled=True)
    rows = typed_rows(table, numbers)
    wanted = model.metadata.get_input_schema().input_names()
    answers, absent = answer(model, rows[[name for name in rows if name in wanted]])

    excluded = not_compared(document) if document is not None else ()
    current = summarise(table, excluded, like=reference)
    found = shifts(reference, current)
    inputs = tuple(one for one in found if math.isfinite(one.psi))
    retyped = [f"{one.column}: {one.change}; not compared" for one in found if one not in inputs]
    rules = breaks(table, document) if document is not None else []
    broken = [f"{one.column}: {one.rule}; found {one}" for one in rules]
    few = _too_few(reference, inputs, int(current["rows"]))
    offsets = about_offsets(table, statistics["columns"])
    notes = [*made.notes, *offsets, *few, *advanced(reference, current)]
    if absent:
        notes.append("treated as missing in every row: " + ", ".join(absent))
    listed = (*_columns(reference, current, target, excluded), *retyped, *broken)
    return _Seen(answers, rows.get(target), inputs, listed, tuple(notes))


def _columns(reference: Any, current: Any, target: str, excluded: Sequence[str]) -> Iterator[str]:
    """Yield a line per missing or additional column; the target is allowed to be missing."""
    before, now = reference["columns"], current["columns"]
    for name in before:
        left_out = name == target or any(fnmatchcase(name, entry) for entry in excluded)
        if name not in now and not left_out:
            yield f"{name}: a column of the champion's data; not in the file"
    for name in now:
        if name not in before:
            yield f"{name}: not a column of the champion's data; left out"


def _too_few(reference: Any, inputs: Sequence[Shift], rows: int) -> Iterator[str]:
    bound = max((one.bound for one in inputs), default=MATTERS)
    if bound <= MATTERS:
        return
    needed = rows_needed(reference, [one.column for one in inputs])
    enough = f"{needed:,} rows are enough" if needed else "the training data have too few rows"
    yield (
        f"{rows:,} rows: a PSI below {bound:.2g} can be chance; "
        f"to detect one of {MATTERS:g}, {enough}"
    )


def _shifted(tested: Predictions, answers: pd.DataFrame, aside: Path) -> tuple[Shift, ...]:
    """Compare the distribution of the predictions with that for the test rows.

    For classes: their shares and the probability of the predicted class. For numbers: the values.
    """
    now = from_answers(answers, _like(tested, len(answers)))
    files = [aside / f"{name}.parquet" for name in ("then", "now")]
    for file, given in zip(files, (tested, now), strict=True):
        _spread(given).to_parquet(file)
    before = summarise(files[0])
    return tuple(shifts(before, summarise(files[1], like=before)))


def _spread(given: Predictions) -> pd.DataFrame:
    if given.classes is None:
        return pd.DataFrame({ANSWER: given.outputs})
    names = np.array(given.classes, dtype=object)
    return pd.DataFrame({ANSWER: names[given.answers], SURENESS: given.sure})


def _like(tested: Predictions, rows: int, truth: Any = None) -> Predictions:
    """Return predictions without identity or outputs, with the same classes and threshold."""
    nothing = np.zeros(rows, dtype=np.uint64)
    known = nothing if truth is None else truth
    return replace(tested, identity=nothing, truth=known, outputs=None, twin=None)


def _labelled(seen: _Seen, tested: Predictions) -> tuple[Predictions, Counter[str]]:
    """Return predictions for the rows with a known target, and how often others occur."""
    rows, truth = len(seen.answers), seen.truth
    if truth is None:
        return from_answers(seen.answers, _like(tested, rows)).rows(slice(0)), Counter()
    if tested.classes is None:
        values = pd.to_numeric(truth, errors="coerce").to_numpy("float64", na_value=np.nan)
        known = np.isfinite(values)
    else:
        values = class_places(truth, tested.classes)
        known = values >= 0
    unknown = Counter(as_text(truth[~known & truth.notna().to_numpy()]))
    return from_answers(seen.answers, _like(tested, rows, values)).rows(known), unknown


def _about_labels(
    labelled: int, unknown: Counter[str], classes: Sequence[str] | None
) -> Iterator[str]:
    count = unknown.total()
    some = ", ".join(name for name, _ in unknown.most_common(LISTED))
    some += ", …" * (len(unknown) > LISTED)
    if unknown and not labelled:
        kind = "a class of the model" if classes else "a number"
        yield f"performance was not measured: none of the {count:,} labels is {kind}: {some}"
        near = {name: nearest(name, classes or ()) for name, _ in unknown.most_common(LISTED)}
        if alike := [f"{name} ~ {other}" for name, other in near.items() if other]:
            yield "labels that resemble a class of the model: " + ", ".join(alike)
        elif classes:
            yield "classes of the model: " + ", ".join(classes[:LISTED])
    elif unknown:
        yield f"labels of classes unknown to the model, left out of the metrics: {count:,} ({some})"
    elif not labelled:
        yield "no labels: performance was not measured"
    if labelled > MOST:
        yield f"metrics use {MOST:,} of the {labelled:,} labelled rows, drawn at random"


def _undefined(performance: Sequence[MetricChange]) -> Iterator[str]:
    names = [one.now.name for one in performance if one.p is None]
    if names:
        yield "not judged, because they have no interval or too few rows: " + ", ".join(names)
