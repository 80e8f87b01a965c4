"""`gristmill compare`: models on the same test rows, from their stored predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from gristmill.commands.options import whole_id
from gristmill.pipelines import evaluation, packaging, registry, tracking
from gristmill.pipelines.base import ConfigError, EnvironmentFault, nearest, writing
from gristmill.pipelines.config import Project
from gristmill.pipelines.reporting import (
    Lines,
    Screen,
    Table,
    Text,
    Titled,
    as_markdown,
    number,
    p_value,
)

SHOWN = 10
"""Differing rows shown on the screen."""

ALPHA = 0.05
"""Largest p-value at which a difference counts as shown."""

KEPT_WHOLE = ("value", "95 % interval", "difference", "p")
"""Columns that a narrow screen wraps last."""

LONGEST_FOLDER = 120
"""Maximum length of the folder's name."""


@dataclass(frozen=True)
class Named:
    """A requested model: its display name, and the run that evaluated it."""

    name: str
    run: tracking.StoredRun


def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL…",
            help="NAME (its champion), NAME@ALIAS, NAME@VERSION, or the beginning of a run's id.",
        ),
    ],
) -> None:
    """Compare models with the first one, on the test rows that all have predicted."""
    project = Project.find()
    named = _named(project, models)
    answers = [
        evaluation.Answers(model.name, model.run.experiment, _predictions(project, model))
        for model in named
    ]
    known = {name for model in named for name in model.run.tested}
    made = evaluation.compare(answers, evaluation.names_of(known, answers[0].predictions.classes))
    rows = rows_table(made, _raw(project, named[0], answers[0].predictions))
    folder = project.root / "build" / "compare" / "-".join(made.names)[:LONGEST_FOLDER]
    screen, shown = Screen(), list(sections(made, rows))
    for section in shown:
        screen.show(section, Text(""))

    with writing(folder) as aside:
        aside.mkdir()
        (aside / "report.md").write_text(markdown(made, shown), encoding="utf-8")
        rows.to_csv(aside / "rows.csv", index=False)
        evaluation.comparison_picture(aside / "comparison.png", made)
    screen.say(
        f"written to {project.relative(folder)}/: report.md, comparison.png, "
        f"rows.csv ({len(rows):,} rows)",
        whole=True,
    )


def _named(project: Project, names: Sequence[str]) -> list[Named]:
    if len(names) < 2:
        raise ConfigError(
            "compare needs two models or more",
            expected="registered models, NAME@ALIAS, NAME@VERSION, or the beginnings of runs' ids",
            found=", ".join(names) or "none",
            next="gristmill models lists what there is",
        )
    tracking.relocate(project)
    versions, runs = (
        registry.trained(project),
        {run.run_id: run for run in tracking.evaluated_runs(project)},
    )
    found = [_find(project, text, versions, runs) for text in names]
    for place, model in enumerate(found):
        if model.name in [other.name for other in found[:place]]:
            raise ConfigError(
                f"{model.name} is named twice",
                expected="models that differ",
                found=" ".join(names),
                next=f"gristmill models {model.run.experiment}",
            )
    _require_unchanged(project, versions, found)
    return found


def _require_unchanged(
    project: Project, versions: Sequence[registry.Version], found: Sequence[Named]
) -> None:
    named = [(model.run.model, model.run.version) for model in found]
    for version in versions:
        if (version.model, version.number) in named:
            packaging.require_unchanged(project, version)


def _find(
    project: Project,
    text: str,
    versions: Sequence[registry.Version],
    runs: Mapping[str, tracking.StoredRun],
) -> Named:
    """Find a model by its text; a bare name means the champion, else the newest version."""
    model, _, wanted = text.partition("@")
    known = [version for version in versions if version.model == model]
    if not known:
        return _find_run(project, text, versions, runs)
    if wanted:
        alike = [v for v in known if wanted == v.number or wanted in v.aliases]
    else:
        alike = [v for v in known if registry.CHAMPION in v.aliases] or known[-1:]
    if not alike:
        aliases = sorted({alias for version in known for alias in version.aliases})
        raise ConfigError(
            f"{model} has no version '{wanted}'",
            expected="one of " + ", ".join([*aliases, *(v.number for v in known[:-21:-1])]),
            found=text,
            next=f"gristmill models {model}",
        )
    name = f"{model}@{alike[0].number}"
    run = runs.get(alike[0].run_id)
    if run is None:
        raise _gone(name, model)
    return Named(name, run)


def _find_run(
    project: Project,
    text: str,
    versions: Sequence[registry.Version],
    runs: Mapping[str, tracking.StoredRun],
) -> Named:
    run = runs.get(whole_id(runs, text))
    if run is None:
        name = text.partition("@")[0]
        near = nearest(name, {version.model for version in versions})
        if project.experiment_file(name).is_file():
            what = f"gristmill run {name}"
        else:
            what = f"did you mean {near}?" if near else "gristmill models"
        raise ConfigError(
            f"there is no model or evaluated run '{name}'",
            expected="a registered model, NAME@ALIAS, NAME@VERSION, or the beginning of a run's id",
            found=text,
            next=what,
        )
    if run.version:
        return Named(f"{run.experiment}@{run.version}", run)
    return Named(f"{run.experiment} {run.run_id[:8]}", run)


def _predictions(project: Project, model: Named) -> evaluation.Predictions:
    """Read the stored predictions of a model's run."""
    stored = tracking.read_artifact(
        project, model.run, registry.PREDICTIONS, evaluation.read_predictions
    )
    if stored is None:
        raise _gone(model.name, model.run.experiment)
    return stored


def _gone(name: str, experiment: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"the predictions of {name} are gone",
        expected=f"{registry.PREDICTIONS} among the artifacts of its run",
        found="none; test rows are never predicted a second time",
        next=f"gristmill run {experiment} --force trains and evaluates it again",
    )


def _raw(
    project: Project, model: Named, predictions: evaluation.Predictions
) -> pd.DataFrame | None:
    """Return the raw test rows, or None if the model was tested on other rows."""
    test = project.build(model.run.experiment) / "test"
    try:
        if not np.array_equal(np.load(test / "identity.npy"), predictions.identity):
            return None
        import pyarrow as pa
        import pyarrow.parquet

        kept = [
            field.name
            for field in pa.parquet.read_schema(test / "rows.parquet")
            if not pa.types.is_binary(field.type) and not pa.types.is_fixed_size_binary(field.type)
        ]
        return pd.read_parquet(test / "rows.parquet", columns=kept)
    except OSError:
        return None


def rows_table(made: evaluation.ModelComparison, raw: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the rows on which models differ, in the order of `ModelComparison.disagreements`.

    Columns: `row`, the position among the first model's test rows; `truth`; each model's
    prediction and, for classes, its probability; then the raw row.
    """
    places = made.disagreements
    classes = None if made.classes is None else np.array(made.classes, dtype=object)
    table: dict[str, Any] = {
        "row": made.places[places],
        "truth": made.truth[places] if classes is None else classes[made.truth[places]],
    }
    for model, answers in zip(made.models, made.answers, strict=True):
        table[model.name] = answers[places] if classes is None else classes[answers[places]]
        if classes is not None:
            table[f"{model.name} probability"] = model.predictions.outputs[places].max(axis=1)
    found = pd.DataFrame(table)
    if raw is None:
        return found
    beside = raw.iloc[made.places[places]].reset_index(drop=True)
    return found.join(beside[[name for name in beside if name not in found]])


def sections(made: evaluation.ModelComparison, rows: pd.DataFrame) -> Iterator[Titled]:
    """Yield the sections of the report: metrics, agreement, the first rows that differ."""
    yield _metrics(made)
    yield _agreement(made)
    if len(rows):
        yield _first_rows(made, rows)


def _metrics(made: evaluation.ModelComparison) -> Titled:
    first, *others = made.names
    cells: list[tuple[str, ...]] = []
    for place, metric in enumerate(made.metrics[0]):
        lower = " ↓" if evaluation.lower_is_better(metric.name) else ""
        cells.append((f"{metric.name}{lower}", *[""] * 5))
        for name, row, differs in zip(
            made.names, made.metrics, (None, *made.differences), strict=True
        ):
            one = row[place]
            low_high = _span(one.low, one.high, " – ", 3)
            apart = ("", "", "")
            if differs is not None:
                d = differs[place]
                apart = (f"{d.value:+.3g}", _span(d.low, d.high), p_value(d.p))
            cells.append((f"  {name}", number(one.value), low_high, *apart))
    lines = [f"Differences are to {first}, paired by row. ↓ Lower is better."]
    if len(others) > 1:
        lines.append(
            f"For each metric, p is corrected by Holm's method for {len(others)} comparisons; "
            "intervals are not."
        )
    lines += [
        f"{name}: {_verdict(differs)}"
        for name, differs in zip(others, made.differences, strict=True)
    ]
    left_out = f", {made.left_out:,} left out (seen in training)" if made.left_out else ""
    heading = ("", "value", "95 % interval", "difference", "95 % interval", "p")
    title = f"{len(made.truth):,} test rows{left_out}"
    return Titled(title, [_table(made, heading, cells), Lines(lines)])


def _verdict(differences: Sequence[evaluation.MetricDifference]) -> str:
    """Return in which metrics a model is shown to be better or worse than the first."""
    kinds: dict[str, list[str]] = {"better": [], "worse": [], "no difference shown": []}
    for one in differences:
        shown = one.p is not None and one.p <= ALPHA
        better = (one.value < 0) == evaluation.lower_is_better(one.name)
        kind = ("better" if better else "worse") if shown else "no difference shown"
        kinds[kind].append(one.name)
    return "; ".join(f"{kind} by {', '.join(names)}" for kind, names in kinds.items() if names)


def _agreement(made: evaluation.ModelComparison) -> Titled:
    first, *others = made.names
    if made.classes is None:
        heading = ("", "error correlation", "mean distance", f"closer than {first}")
        away = np.abs(made.answers - made.truth)
        cells = [
            (
                name,
                f"{made.agreement[0, i]:.3f}",
                number(np.abs(made.answers[i] - made.answers[0]).mean()),
                f"{int((away[i] < away[0]).sum()):,} of {len(made.truth):,} rows",
            )
            for i, name in enumerate(others, 1)
        ]
        return Titled("", [_table(made, heading, cells)])
    columns = ("", "same answer", "both right", f"only {first}", "only this", "both wrong")
    counted = []
    for i, name in enumerate(others, 1):
        (both, only_first), (only_this, neither) = made.right(i).tolist()
        counts = (both, only_first, only_this, neither)
        counted.append((name, f"{made.agreement[0, i]:.1%}", *(f"{count:,}" for count in counts)))
    return Titled("", [_table(made, columns, counted)])


def _first_rows(made: evaluation.ModelComparison, rows: pd.DataFrame) -> Titled:
    shown = rows.head(SHOWN)
    cells = []
    for _, row in shown.iterrows():
        told = []
        for name in made.names:
            if made.classes is None:
                told.append(number(row[name]))
            else:
                told.append(f"{row[name]} ({row[f'{name} probability']:.0%})")
        truth = number(row["truth"]) if made.classes is None else str(row["truth"])
        cells.append((str(int(row["row"])), truth, *told))
    if made.classes is None:
        title = f"the {len(shown)} rows with the largest differences"
    else:
        title = f"{len(rows):,} rows on which they differ, most confident errors first"
    more = [f"… and {len(rows) - SHOWN:,} more in rows.csv"] * (len(rows) > SHOWN)
    heading = ("row", "truth", *made.names)
    return Titled(title, [_table(made, heading, cells), Lines(more)])


def _span(low: float | None, high: float | None, to: str = " to ", digits: int = 2) -> str:
    ends = () if low is None or high is None else (low, high)
    return to.join(number(end, digits) for end in ends)


def _table(
    made: evaluation.ModelComparison, heading: Sequence[str], rows: Sequence[Sequence[str]]
) -> Table:
    numbers = [name for name in heading if name not in ("", "truth", *made.names)]
    return Table(heading, rows, numbers, KEPT_WHOLE)


def markdown(made: evaluation.ModelComparison, shown: Sequence[Titled]) -> str:
    """Return the report of a comparison as Markdown."""
    picture = Text("![differences and agreement](comparison.png)", markdown=True)
    return as_markdown(" · ".join(made.names), [*shown, picture])
