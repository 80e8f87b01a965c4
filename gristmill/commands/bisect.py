"""`gristmill data bisect`: find the data version that made a metric worse."""

from __future__ import annotations

import math
import signal
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from gristmill import flows
from gristmill.commands.bisect_worker import measure_aside
from gristmill.commands.data import data_rows_of, date_of
from gristmill.commands.endings import interrupted
from gristmill.commands.options import Name
from gristmill.pipelines import config, evaluation, ingestion
from gristmill.pipelines.base import ConfigError, GristmillError, nearest, read_json, write_json
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion.versions import pin_file
from gristmill.pipelines.registry import recipe_digest
from gristmill.pipelines.registry import registered_models as registry
from gristmill.pipelines.reporting import Screen
from gristmill.pipelines.tracking import DATA


def first_bad(n: int, is_bad: Callable[[int], bool]) -> int:
    """Return the index of a bad item whose predecessor is good, among `n` items.

    The first item counts as good and the last one as bad; `is_bad` is not called for them. If all
    bad items follow all good ones, the result is the first bad item. `is_bad` is called at most
    ⌈log2(n - 1)⌉ times, never twice for one item.

    Args:
        n: number of items, at least 2.
        is_bad: called with indices from 1 to n - 2.

    Examples:
        >>> first_bad(8, lambda place: place >= 5)
        5
    """
    return bisect_left(range(1, n - 1), True, key=is_bad) + 1


@dataclass(frozen=True)
class Measured:
    """The metric of a data version.

    Attributes:
        value: value on the test rows; NaN if the metric has none.
        how: origin of the value, in words.
        today: whether measured with the present settings and code.
        rows: number of data rows; None if not counted.
    """

    value: float
    how: str
    today: bool = True
    rows: int | None = None


@dataclass
class Probes:
    """Measure data versions with the present settings and code, and store the results.

    Attributes:
        recipe: digest of the settings and code.
        known: results by the version's hash.
        rows: known numbers of rows by the version's hash.
        trainings: number of trainings so far.
    """

    project: Project
    experiment: config.Experiment
    metric: str
    screen: Screen
    recipe: str
    rows: dict[str, int]
    known: dict[str, Measured] = field(default_factory=dict)
    trainings: int = 0

    def __post_init__(self) -> None:
        self.known = _known(self.project, self.experiment, self.metric, self.recipe)

    def measure(self, version: ingestion.DataVersion) -> Measured:
        """Return the stored result of a version, or train on it in a temporary working tree.

        Raises:
            GristmillError: the experiment cannot be run on this version.
        """
        if version.digest in self.known:
            return self.known[version.digest]
        began, name = time.monotonic(), self.experiment.name
        try:
            with self.screen.turning(f"training on {version.digest[:8]} …"):
                found = measure_aside(self.project, name, version.digest)
        except GristmillError:
            self.screen.say(f"  ✗     {version.digest[:8]}  cannot be measured")
            raise
        self.trainings += 1
        value = _value_of(self.metric, found["metrics"], self.experiment)
        if math.isnan(value):
            raise ConfigError(
                f"{self.metric} has no value on version {version.digest[:8]}",
                expected="test rows on which it is defined",
                found="an undefined metric",
                next=f"gristmill data bisect {name} with another --metric",
            )
        write_json(_kept(self.project, name) / f"{version.digest}-{self.recipe}.json", found)
        seconds = time.monotonic() - began
        made = Measured(value, f"trained, {seconds:.0f} s", rows=found["rows"])
        self.known[version.digest] = made
        return made

    def say(self, word: str, version: ingestion.DataVersion, measured: Measured) -> None:
        """Print a line about a version.

        Args:
            word: "good" or "bad".
            version: the data version.
            measured: its metrics.
        """
        rows = self.rows.get(version.digest, measured.rows)
        counted = "?" if rows is None else f"{rows:,}"
        self.screen.say(
            f"  {word:5s} {version.digest[:8]}  {version.commit[:8] or 'not committed'}  "
            f"{date_of(version.when):16s}  {counted:>9s} rows  "
            f"{self.metric} {measured.value:.4f}  {measured.how}"
        )


@interrupted("interrupted; what was measured is kept")
def bisect(
    name: Name,
    metric: Annotated[str, typer.Option(help="Metric of the test rows that got worse.")],
    good: Annotated[
        str,
        typer.Option(
            metavar="VERSION",
            help="Good end: a model version, or a hash, commit or tag of the data.",
        ),
    ],
    bad: Annotated[
        str,
        typer.Option(metavar="VERSION", help="Bad end: a later version, given in the same way."),
    ],
) -> None:
    """Find the data version that made a metric worse, with few trainings.\f

    A version is bad if its metric is closer to the bad end's than to the good end's: training noise
    below half of the loss does not matter. Results known for the present settings and code narrow
    the range first; then each training halves it. A model version given as an end keeps its
    registered metrics, even from earlier settings or code; the output says where that matters.

    Args:
        metric: metric of the test rows.
        good, bad: a model version by its number, or a data version by hash, commit, branch or tag.

    Raises:
        ConfigError: an end is unknown, the ends are not in one line of history, or the metric did
            not get worse.
    """
    project, screen = Project.find(), Screen()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    experiment = config.load_experiment(project, name)
    _require_metric(experiment, metric)
    folder = experiment.data.folder
    listed = ingestion.data_log(project, folder).versions[::-1]
    places, told = zip(
        *(_end(project, experiment, metric, listed, end) for end in (good, bad)), strict=True
    )
    line = _line(project, experiment, listed, *places)
    rows = data_rows_of(project, name, folder, [version.digest for version in line])
    probes = Probes(project, experiment, metric, screen, recipe_digest(experiment), rows)
    gone = [
        v for v in line[1:-1] if v.kept is ingestion.Kept.NOWHERE and v.digest not in probes.known
    ]
    line = [version for version in line if version not in gone]
    screen.say(f"{name}: {len(line)} versions of data/{folder}, by {metric} of the test rows")
    if gone:
        named = ", ".join(version.digest[:8] for version in gone)
        screen.say(f"  ! left out, their bytes are neither in the cache nor in a remote: {named}")
    measured = [_measured_end(probes, *end) for end in zip((line[0], line[-1]), told, strict=True)]
    ends = [*zip((line[0], line[-1]), measured, strict=True)]
    for word, end in zip(("good", "bad"), ends, strict=True):
        probes.say(word, *end)
    of_ends, probes.trainings = probes.trainings, 0
    found = _narrowed(probes, line, _judge(probes, *measured))
    _say_found(probes, *found)
    most = math.ceil(math.log2(len(line)))
    extra = f", and {of_ends} for the ends" * bool(of_ends)
    screen.say(f"  {probes.trainings} trainings of at most {most}{extra}")
    _say_next(probes, *found, ends)


def _say_found(probes: Probes, before: ingestion.DataVersion, after: ingestion.DataVersion) -> None:
    """Print the version that lost the metric, and what changed in it."""
    when = f", {date_of(after.when)}, commit {after.commit[:8]}" if after.commit else ""
    probes.screen.say(f"{probes.metric} was lost with version {after.digest[:8]} of the data{when}")
    for text in _differences(probes.project, probes.experiment, before, after):
        probes.screen.say(f"  {text}")


def _say_next(
    probes: Probes,
    before: ingestion.DataVersion,
    after: ingestion.DataVersion,
    ends: Sequence[tuple[ingestion.DataVersion, Measured]],
) -> None:
    """Print other possible causes of the loss, and the next commands."""
    for version, measured in ends:
        if version in (before, after) and not measured.today:
            probes.screen.say(
                f"  ! {version.digest[:8]} was measured with other settings or code, which can be "
                "the cause; give its hash instead of the model's version to train it with today's"
            )
    name = probes.experiment.name
    probes.screen.say(f"next: gristmill data use {name} {before.digest[:8]}")
    probes.screen.say(f"      gristmill data who-used {after.digest[:8]} lists its runs and models")


def _narrowed(
    probes: Probes,
    line: Sequence[ingestion.DataVersion],
    is_bad: Callable[[ingestion.DataVersion], bool],
) -> tuple[ingestion.DataVersion, ingestion.DataVersion]:
    """Find the last good and the first bad version, first among the known ones, then between."""
    known = [line[0], *(v for v in line[1:-1] if v.digest in probes.known), line[-1]]
    place = first_bad(len(known), lambda at: is_bad(known[at]))
    rest = line[line.index(known[place - 1]) : line.index(known[place]) + 1]
    place = first_bad(len(rest), lambda at: is_bad(rest[at]))
    return rest[place - 1], rest[place]


def _judge(
    probes: Probes, one: Measured, other: Measured
) -> Callable[[ingestion.DataVersion], bool]:
    """Return a function that measures a version, prints it, and returns whether it is bad.

    Raises:
        ConfigError: the good end is not better than the bad one.
    """
    good, bad = one.value, other.value
    lower = evaluation.lower_is_better(probes.metric)
    if good == bad or (good < bad) != lower:
        raise ConfigError(
            f"nothing was lost: {probes.metric} at the good end is not better than at the bad end",
            expected=f"{'less' if lower else 'more'} than {bad:.4f} at the good end",
            found=f"{good:.4f}",
            next=f"gristmill models {probes.experiment.name} lists the versions and their scores",
        )

    def is_bad(version: ingestion.DataVersion) -> bool:
        measured = probes.measure(version)
        found = abs(measured.value - bad) < abs(measured.value - good)
        probes.say("bad" if found else "good", version, measured)
        return found

    return is_bad


def _measured_end(
    probes: Probes, version: ingestion.DataVersion, told: Measured | None
) -> Measured:
    """Return the result of an end: with the present settings if known, else its model's."""
    if version.digest not in probes.known and told and not math.isnan(told.value):
        return told
    return probes.measure(version)


def _require_metric(experiment: config.Experiment, metric: str) -> None:
    names = experiment.document.test_metrics
    if metric not in names:
        near = nearest(metric, names)
        raise ConfigError(
            f"{experiment.name} does not measure '{metric}' on its test rows",
            expected="one of " + ", ".join(names),
            found=metric,
            next=f"--metric {near}"
            if near
            else f"evaluation: {{metrics: [{metric}, …]}} in experiments/{experiment.name}.yaml",
        )


def _value_of(metric: str, stored: Mapping[str, float], experiment: config.Experiment) -> float:
    """Return the value of a metric among those of a version or a probe; NaN if it has none."""
    return evaluation.values_of(experiment.document.test_metrics, stored).get(metric, math.nan)


def _known(
    project: Project, experiment: config.Experiment, metric: str, recipe: str
) -> dict[str, Measured]:
    """Return known results of the present settings and code, by the hash of the data."""
    found: dict[str, Measured] = {}
    name = experiment.name
    for file in sorted(_kept(project, name).glob(f"*-{recipe}.json")):
        kept = read_json(file)
        digest = file.name.partition("-")[0]
        value = _value_of(metric, kept["metrics"], experiment)
        found[digest] = Measured(value, "known, trained before", rows=kept["rows"])
    for version in reversed(registry.versions(project, name)):
        if version.tags.get(registry.RECIPE) == recipe and DATA in version.tags:
            value = _value_of(metric, version.metrics, experiment)
            found[version.tags[DATA]] = Measured(value, f"known, {name} {version.number}")
    return {digest: one for digest, one in found.items() if not math.isnan(one.value)}


def _kept(project: Project, name: str) -> Path:
    return project.build(name) / "bisect"


def _end(
    project: Project,
    experiment: config.Experiment,
    metric: str,
    listed: Sequence[ingestion.DataVersion],
    asked: str,
) -> tuple[int, Measured | None]:
    """Return the position of an end in the log and, for a model version, its metric."""
    name, told = experiment.name, None
    number = asked.removeprefix(f"{name}@")
    known = {version.number: version for version in registry.versions(project, name)}
    if number in known or number != asked or len(asked) < pin_file.LEAST_PREFIX:
        model = registry.find(project, f"{name}@{number}")
        digest = model.tags.get(DATA, "")
        value = _value_of(metric, model.metrics, experiment)
        told = Measured(value, f"known, {name} {model.number}, other settings or code", today=False)
    else:
        digest = ingestion.find(project, name, asked)
    for place, version in enumerate(listed):
        if version.digest == digest:
            return place, told
    raise ConfigError(
        f"the data of {asked} are not in the line of history up to HEAD",
        expected="a version from the log, which has "
        + (", ".join(version.digest[:8] for version in listed[-6:]) or "none"),
        found=digest[:8] or "a model without the hash of its training data",
        next=f"gristmill data log {name}",
    )


def _line(
    project: Project,
    experiment: config.Experiment,
    listed: Sequence[ingestion.DataVersion],
    good: int,
    bad: int,
) -> list[ingestion.DataVersion]:
    """Return the versions from the good end to the bad end.

    Raises:
        ConfigError: the good end is not before the bad one, or they are on parallel branches.
    """
    log = f"gristmill data log {experiment.name}"
    if good >= bad:
        raise ConfigError(
            "the good end is not before the bad one",
            expected="--good with older data than --bad",
            found="the same version of the data"
            if good == bad
            else f"--good {listed[good].digest[:8]} after --bad {listed[bad].digest[:8]}",
            next=log,
        )
    line = list(listed[good : bad + 1])
    for one, other in pairwise(line):
        if other.commit and not pin_file.is_before(project, one.commit, other.commit):
            raise ConfigError(
                "the versions between the two are not in one line of history",
                expected="each one pinned on top of the one before it",
                found=f"{one.digest[:8]} and {other.digest[:8]} on parallel branches",
                next=f"{log}; choose both ends from one branch",
            )
    return line


def _differences(
    project: Project,
    experiment: config.Experiment,
    before: ingestion.DataVersion,
    after: ingestion.DataVersion,
) -> list[str]:
    """Describe the differences between the tables of two versions."""
    data = experiment.data
    inside = PurePosixPath(data.path).relative_to(f"data/{data.folder}")
    with tempfile.TemporaryDirectory() as aside:
        tables = []
        for version in (before, after):
            folder = Path(aside, version.digest)
            try:
                ingestion.lay_out_version(project, data.folder, version.digest, folder / "raw")
                ingestion.ingest_file(folder / "raw" / inside, folder / "table.parquet", data)
            except GristmillError as error:  # its metrics are stored, its bytes are gone
                return [f"against {before.digest[:8]} before it: {error.what}"]
            tables.append(folder / "table.parquet")
        first, *rest = flows.differences(*tables)
    return [f"against {before.digest[:8]} before it: {first}", *rest]
