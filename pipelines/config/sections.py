"""What may stand in an experiment file: a tree of frozen models."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from gristmill.pipelines.base import nearest
from gristmill.pipelines.config.conditions import read_condition
from gristmill.pipelines.config.known_estimators import (
    ESTIMATORS,
    FITTING,
    TYPICAL,
    arguments_of,
    check_estimator,
    tells_probabilities,
)
from gristmill.pipelines.config.known_names import (
    CALIBRATION,
    METRIC_FORMS,
    OF_PROBABILITIES,
    PACKAGE_FIGURES,
    keras_classes,
    keras_names,
    log_name,
    metric_fault,
    metric_parts,
)
from gristmill.pipelines.config.search_section import BUDGETED, Search
from gristmill.pipelines.config.section import Scalar, Section, Span
from gristmill.pipelines.config.source_kinds import FORMS, holds_password, source_kind

Arguments = dict[str, Any]
Share = Annotated[float, Field(gt=0, lt=1)]
Severity = Literal["error", "warning"]
IsoDate = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d")]


class Csv(Section):
    """How a text table is written; what is left out is found out from the file."""

    delimiter: str | None = Field(None, min_length=1, max_length=1)
    quote: str | None = Field(None, min_length=1, max_length=1)
    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", " ", "'"] | None = None
    encoding: str | None = Field(None, description="as Python names it: utf-8, cp949, latin-1, …")
    missing: tuple[str, ...] | None = Field(None, description="what stands for a missing value")
    dates: tuple[str, ...] | None = Field(
        None, min_length=1, description="how dates are written, such as %d/%m/%Y"
    )

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str | None) -> str | None:
        try:
            return encoding and codecs.lookup(encoding).name
        except LookupError as error:
            raise ValueError("is no encoding that Python knows") from error

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.quote and self.quote in (self.delimiter, self.decimal):
            raise ValueError("quote must differ from the delimiter and the decimal mark")
        if self.thousands and self.thousands == (self.decimal or "."):
            raise ValueError("thousands must differ from the decimal mark")
        return self


class Pictures(Section):
    """The form that all pictures of a folder are brought to."""

    height: int = Field(ge=1)
    width: int = Field(ge=1)
    channels: Literal[1, 3] = Field(3, description="1 for shades of grey, 3 for colours")


class Data(Section):
    """Where the rows come from and which column is to be predicted."""

    path: str = Field(
        description="file or folder under data/NAME/, such as data/churn/customers.csv"
    )
    source: str | None = Field(None, min_length=1, description=f"where to fetch it: {FORMS}")
    query: str | None = Field(
        None, min_length=1, description="SQL, where source is a database's address"
    )
    target: str = Field(description="the column to predict")
    task: Literal["classification", "regression"]
    csv: Csv = Csv()
    pictures: Pictures | None = None

    @field_validator("path")
    @classmethod
    def _under_data(cls, path: str) -> str:
        parts = PurePosixPath(path).parts
        if len(parts) < 3 or parts[0] != "data" or any(part.startswith(".") for part in parts):
            raise ValueError("must be a file or a folder in a folder of its own: data/NAME/FILE")
        return path

    @model_validator(mode="after")
    def _query_fits(self) -> Self:
        kind = self.source and source_kind(self.source, self.query)
        if self.query is not None and kind != "database":
            raise ValueError("query goes with the address of a database as source")
        if self.query is None and kind == "database":
            raise ValueError("source is a database: query must say what to select")
        if kind is not None and holds_password(str(self.source)):  # git and dvc.lock would keep it
            place = {
                "database": "set GRISTMILL_SQL_PASSWORD",
                "web": "put the login for the host into ~/.netrc",
            }.get(kind, "set the store's own variables, such as AWS_SECRET_ACCESS_KEY")
            raise ValueError(f"source has a password in it; take it out and {place}")
        return self

    @property
    def folder(self) -> str:
        """The data set's folder under `data/`."""
        return PurePosixPath(self.path).parts[1]


class Range(Section):
    """Closed range; either end may be left out."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class Column(Section):
    """What must hold for a column, or for all columns that a pattern such as `pixel*` names."""

    type: Literal["integer", "number", "text", "boolean", "date"] | None = None
    min: float | IsoDate | None = Field(None, description="a number; for type: date an ISO date")
    max: float | IsoDate | None = None
    missing: Literal["never", "allowed"] | Share = Field(
        "allowed", description="or the largest share of rows without a value"
    )
    one_of: tuple[Scalar, ...] | None = Field(None, min_length=1)
    matches: str | None = Field(None, description="regular expression for the whole text")
    unique: bool = False
    severity: Severity = "error"

    @field_validator("matches")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from error
        return pattern

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        ends = [end for end in (self.min, self.max) if end is not None]
        if self.type == "date":
            moments = [_moment(end) for end in ends]
            if len(moments) == 2 and moments[0] > moments[1]:
                raise ValueError(f"min {self.min} is above max {self.max}")
        elif texts := [end for end in ends if isinstance(end, str)]:
            raise ValueError(f"{texts[0]!r} must be a number; dates go with type: date")
        elif len(ends) == 2 and float(ends[0]) > float(ends[1]):
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


def _moment(end: float | str) -> datetime:
    try:
        moment = datetime.fromisoformat(str(end))
    except ValueError as error:
        raise ValueError(f"{end!r} must be a date such as 2026-01-31") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Rule(Section):
    """What must hold between the columns of each row, such as `end >= start`."""

    check: str = Field(
        description="columns (in backticks where needed), numbers, texts, + - * / %, comparisons, "
        "and, or, not, missing(column); a row that lacks a needed value passes"
    )
    severity: Severity = "error"

    @field_validator("check")
    @classmethod
    def _readable(cls, check: str) -> str:
        read_condition(check)
        return check


class Freshness(Section):
    """How old the newest date of a column may be when a run begins."""

    column: str
    within: Span = Field(description="such as 36h, 7d or 2w")
    severity: Severity = "error"


class Drift(Section):
    """What becomes of columns whose distribution left that of the accepted version."""

    severity: Literal["error", "warning", "off"] = "warning"
    exclude: tuple[str, ...] = Field((), description="columns or patterns that may drift")


class Schema(Section):
    """The contract for the data; rows that break it stop everything after validation."""

    rows: Range | None = None
    columns: dict[str, Column] = Field({})
    rules: tuple[Rule, ...] = ()
    fresh: Freshness | None = None
    drift: Drift = Drift()
    extra: Literal["allow", "forbid"] = Field("allow", description="columns that no entry names")


class TimeSplit(Section):
    """Roles by date: training before `validation_from`, then validation, test from `test_from`.

    Dates that are left out follow from the shares when the data set is first split, and are kept.
    """

    column: str
    validation_from: str | None = Field(None, description="ISO 8601, such as 2026-01-31")
    test_from: str | None = None
    gap: Span | None = Field(None, description="left out before each date, such as 7d")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        try:
            dates = [datetime.fromisoformat(d) for d in (self.validation_from, self.test_from) if d]
        except ValueError as error:
            raise ValueError(f"{error}: dates are written as 2026-01-31") from error
        if len(dates) == 2 and dates[0] >= dates[1]:
            raise ValueError("validation_from must be before test_from")
        return self


class Split(Section):
    """Which rows are for testing and for validation; a hash of the row decides."""

    test: Share | Literal["given"] = Field(
        0.2, description="a share, or given: the data set comes with its own test rows"
    )
    validation: Share = 0.2
    folds: int | None = Field(
        None, ge=2, le=20, description="for few rows: each fold validates once, the rest trains"
    )
    stratify: bool = True
    seed: int = Field(0, ge=0)
    key: str | None = Field(None, description="column that identifies a row; else its content")
    group: str | None = Field(None, description="column whose equal values stay in one role")
    time: TimeSplit | None = None
    given: str | None = Field(
        None, description="column that names each row's role; the data set's own by default"
    )
    as_: str | None = Field(None, alias="as", description="experiment whose cuts are shared")

    @model_validator(mode="after")
    def _rows_left(self) -> Self:
        test = 0.0 if self.test == "given" else self.test
        if not self.folds and test + self.validation >= 1:
            raise ValueError("test and validation leave no rows to train on")
        return self

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.given is not None and self.test != "given":
            raise ValueError("given names a column of roles; it goes with test: given")
        ways = [w for w in ("group", "time") if getattr(self, w) is not None]
        if self.test == "given":
            ways.append("test: given")
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)} cannot go together")
        return self

    @model_validator(mode="after")
    def _folds_alone(self) -> Self:
        if self.folds and "validation" in self.model_fields_set:
            raise ValueError("each of the folds validates once: leave validation out")
        if self.folds and self.time is not None:
            raise ValueError("folds and time cannot go together: a fold would know its future")
        return self


class Feature(Section):
    """How one column becomes numbers.

    `levels` is the order of an ordered category, lowest first; `words` how many words of a text
    are counted; `size` the length of an embedding.
    """

    kind: Literal["number", "category", "ordered", "boolean", "date", "text"]
    levels: tuple[Scalar, ...] | None = Field(None, min_length=2)
    words: int = Field(200, ge=1)
    size: int | None = Field(None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _in_a_word(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"kind": value}
        if isinstance(value, Mapping) and isinstance(value.get("levels"), list):
            return {**value, "levels": tuple(value["levels"])}
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.kind == "ordered") != (self.levels is not None):
            raise ValueError("levels, lowest first, belong to kind: ordered, which needs them")
        for setting, kind in (("words", "text"), ("size", "category")):
            usual = type(self).model_fields[setting].default  # which records and `show` write out
            if getattr(self, setting) != usual and self.kind != kind:
                raise ValueError(f"{setting} belongs to kind: {kind}, and not to {self.kind}")
        return self

    @field_validator("levels")
    @classmethod
    def _levels_differ(cls, levels: tuple[Scalar, ...] | None) -> tuple[Scalar, ...] | None:
        texts = [str(level) for level in levels or ()]
        twice = [text for text in texts if texts.count(text) > 1]
        if twice:
            raise ValueError(f"lists {twice[0]} twice")
        return levels


class Features(Section):
    """How columns become numbers; all statistics are from training rows."""

    scale: Literal["minmax", "standard", "none"] = "standard"
    exclude: tuple[str, ...] = Field((), description="columns or patterns that are no features")
    columns: dict[str, Feature] = Field(
        {}, description="by column or pattern: number, category, ordered, boolean, date or text"
    )
    embed_above: int = Field(
        50, ge=2, description="levels above which a category is embedded, not one column a level"
    )
    scale_target: bool = Field(False, description="for regression: learn a standardised target")
    allow_leaks: tuple[str, ...] = Field(
        (), description="columns that may tell the target, because they are known in time"
    )


def _named(entry: Any) -> tuple[str, Arguments]:
    """`Name`, or `{Name: {argument: value}}`."""
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise ValueError(f"must be a name or one {{Name: {{arguments}}}}, found {entry!r}")
    name, arguments = next(iter(entry.items()))
    if name in MIXING:
        raise ValueError(
            f"{name} mixes pictures with their labels, and a layer is given the pictures alone"
        )
    if arguments is not None and not isinstance(arguments, Mapping):
        raise ValueError(f"the arguments of {name} must be a mapping, found {arguments!r}")
    return str(name), dict(arguments or {})


MIXING = ("CutMix", "MixUp")


def _keras_kind(kind: str, entry: Any) -> dict[str, Arguments]:
    name, arguments = _named(entry)
    known = keras_classes(kind)
    if name not in known:
        near = nearest(name, known)
        raise ValueError(
            f"keras.{kind.replace('/', '.')} has no {name!r}"
            + (f"; did you mean {near}?" if near else "")
        )
    return {name: arguments}


def _sklearn_kind(entry: Any) -> dict[str, Arguments]:
    name, arguments = _named(entry)
    check_estimator(name, arguments)
    return {name: arguments}


def _keras_entry(kind: str) -> Any:
    """`Name` or `{Name: {argument: value}}` with a name that `keras.<kind>` has."""

    return Annotated[dict[str, Arguments], BeforeValidator(partial(_keras_kind, kind))]


if TYPE_CHECKING:
    Layer = dict[str, Arguments]
    Optimizer = dict[str, Arguments]
    Estimator = dict[str, Arguments]
else:
    Layer = _keras_entry("layers")
    Optimizer = _keras_entry("optimizers")
    Estimator = Annotated[
        dict[str, Arguments],
        BeforeValidator(_sklearn_kind, json_schema_input_type=str | dict[str, Arguments | None]),
    ]


class Model(Section):
    """Hidden layers, a builder in Python, or an estimator; the rest follows from data and task."""

    layers: tuple[Layer, ...] | None = None
    input: dict[str, Arguments] | None = None
    output: tuple[Layer, ...] | None = Field(None, description="replaces the output layer")
    builder: str | None = Field(None, description="my_models:build is experiments/my_models.py")
    arguments: Arguments = Field({}, description="keyword arguments for the builder")
    sklearn: Estimator | None = Field(
        None,
        description="a classifier or regressor of scikit-learn: its name, or {Name: {argument: …}}",
    )

    @property
    def library(self) -> Literal["keras", "sklearn"]:
        """What trains it."""
        return "keras" if self.sklearn is None else "sklearn"

    @property
    def estimator(self) -> tuple[str, Arguments]:
        """The estimator's name and arguments, where there is one."""
        return next(iter((self.sklearn or {}).items()))

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = (self.layers, self.builder, self.sklearn)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("needs one of layers, builder and sklearn, and only one")
        if self.builder is not None:
            if not re.fullmatch(r"[A-Za-z_]\w*:[A-Za-z_]\w*", self.builder):
                raise ValueError("builder must look like my_models:build")
            if self.input is not None or self.output is not None:
                raise ValueError("input and output stand beside layers; a builder makes its own")
        elif self.arguments:
            raise ValueError("arguments are for a builder")
        if self.sklearn is not None and (self.input, self.output) != (None, None):
            raise ValueError("input and output stand beside layers, and not beside sklearn")
        return self


EPOCHS = re.compile(r"(\d+(?:\.\d+)?) epochs?")


def read_epochs(value: Any) -> float | None:
    """The number in `20 epochs`; None for what does not look like it."""
    found = EPOCHS.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) if found else None


class EarlyStopping(Section):
    """Keras's early stopping, with its names; the best weights are restored by default."""

    monitor: str = Field("val_loss", description="what to watch at the end of each epoch")
    min_delta: float = Field(0.0, ge=0, description="less than this is no improvement")
    patience: int = Field(5, ge=0, description="epochs without an improvement that end it")
    mode: Literal["auto", "min", "max"] = Field("auto", description="which way is better")
    baseline: float | None = Field(None, description="value that must be bettered, too")
    start_from_epoch: int = Field(0, ge=0, description="epochs at the start that do not count")
    restore_best_weights: bool = True


class ReduceLROnPlateau(Section):
    """Keras's smaller learning rate where training gets no further, with its names and defaults."""

    monitor: str = Field("val_loss", description="what to watch at the end of each epoch")
    factor: float = Field(0.1, gt=0, lt=1, description="new learning rate: old one × factor")
    patience: int = Field(10, ge=0, description="epochs without an improvement before it")
    min_delta: float = Field(1e-4, ge=0, description="less than this is no improvement")
    mode: Literal["auto", "min", "max"] = Field("auto", description="which way is better")
    cooldown: int = Field(0, ge=0, description="epochs after it that do not count")
    min_lr: float = Field(0.0, ge=0, description="no smaller learning rate than this")


class Training(Section):
    """How a model is fitted."""

    optimizer: Optimizer = Field(
        {"Adam": {}},
        validate_default=True,
        description="learning_rate may be a schedule: {CosineDecay: {decay_steps: 20 epochs, …}}",
    )
    loss: str | None = Field(None, description="default: by the task")
    metrics: tuple[str, ...] | None = Field(
        None, description="Keras's, such as accuracy, precision or recall; default: by the task"
    )
    batch_size: int = Field(32, ge=1)
    epochs: int = Field(100, ge=1)
    class_weight: Literal["balanced"] | dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        None, description="balanced, or a weight for each class: rare classes count for more"
    )
    early_stopping: EarlyStopping | None = None
    reduce_lr_on_plateau: ReduceLROnPlateau | None = None
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="in which layers compute; weights are kept as float32"
    )
    seed: int = Field(0, ge=0, lt=2**31)
    threads: int | Literal["auto"] = Field(1, description="of one trial; part of its identity")

    @property
    def schedule(self) -> Mapping[str, Arguments] | None:
        """The learning rate's schedule, `{Name: {argument: value}}`, if it has one."""
        rate = next(iter(self.optimizer.values())).get("learning_rate")
        return rate if isinstance(rate, Mapping) else None

    @model_validator(mode="after")
    def _readable_schedule(self) -> Self:
        if self.schedule is None:
            return self
        entry = _keras_kind("optimizers/schedules", self.schedule)
        for name, value in next(iter(entry.values())).items():
            counts = value if isinstance(value, list | tuple) else [value]
            wrong = [c for c in counts if isinstance(c, str) and read_epochs(c) is None]
            if wrong and (name.endswith("_steps") or name == "boundaries"):
                raise ValueError(
                    f"{name} counts steps, or epochs as in `20 epochs`; found {wrong[0]!r}"
                )
        if self.reduce_lr_on_plateau is not None:
            raise ValueError(
                "reduce_lr_on_plateau changes a learning rate that is a number; "
                "this one follows a schedule"
            )
        return self

    @field_validator("loss")
    @classmethod
    def _known_loss(cls, loss: str | None) -> str | None:
        return _known_name("losses", loss) if loss is not None else None

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, metrics: tuple[str, ...] | None) -> tuple[str, ...] | None:
        by_log = {log_name(name): name for name in keras_names("metrics")}
        return metrics and tuple(
            log_name(_known_name("metrics", name, "accuracy", *by_log)) for name in metrics
        )

    @field_validator("threads")
    @classmethod
    def _some_threads(cls, threads: int | str) -> int | str:
        if isinstance(threads, int) and threads < 1:
            raise ValueError("must be 1 or more, or auto")
        return threads


class Bins(Section):
    """How a column is cut into slices."""

    bins: tuple[float, ...] | None = Field(
        None, min_length=1, description="edges of a number's slices; default: its quartiles"
    )

    @field_validator("bins")
    @classmethod
    def _rising(cls, bins: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if bins is not None and list(bins) != sorted({*bins}):
            raise ValueError("edges must rise")
        return bins


WrittenSlices = list[str | dict[str, bool | Bins]] | dict[str, bool | Bins | None]


def _columns_or_search(given: Any) -> Any:
    """`[region, {age: {bins: [18, 65]}}, search]` and the like as one mapping.

    Also reads `{columns: {region: {}, …}, search: false}`, as `gristmill config show` writes it.
    """
    entries = given if isinstance(given, list | tuple) else [given]
    made: dict[str, Any] = {"columns": {}}
    for entry in entries:
        if isinstance(entry, str):
            made["columns"][entry] = {}
            continue
        if not isinstance(entry, Mapping):
            return given
        for name, value in entry.items():
            if name == "search" and isinstance(value, bool):
                made["search"] = value
            elif (
                name == "columns"
                and isinstance(value, Mapping)
                and all(isinstance(each, Mapping) for each in value.values())
            ):
                made["columns"] |= {column: _bins(each) for column, each in value.items()}
            else:
                made["columns"][name] = _bins(value)
    return made


def _bins(value: Any) -> Any:
    """Nothing as a mapping; lists become the tuples that frozen sections hold."""
    if not isinstance(value, Mapping):
        return {} if value is None else value
    return {k: tuple(each) if isinstance(each, list) else each for k, each in value.items()}


class Slices(Section):
    """Parts of the test rows that are measured by themselves."""

    columns: dict[str, Bins] = Field({}, description="by value, a number by bins")
    search: bool = Field(
        False, description="find the worst on validation rows, confirm three on test rows"
    )


class Costs(Section):
    """What a mistake costs, of either kind."""

    false_positive: float = Field(1.0, ge=0)
    false_negative: float = Field(1.0, ge=0)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.false_positive + self.false_negative > 0:
            raise ValueError("one of them must be above 0")
        return self


class ThresholdRule(Section):
    """From which probability on a row of two classes is called positive."""

    cost: Costs | None = Field(None, description="take what costs least on validation rows")
    precision: Share | None = Field(
        None, description="find as many as can be at this precision on validation rows"
    )
    positive: Scalar | None = Field(None, description="which class; default: the second")

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.cost is None) == (self.precision is None):
            raise ValueError("needs either cost or precision")
        return self


class Evaluation(Section):
    """What is computed on the test rows, once."""

    metrics: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="default: by the task; also " + ", ".join(METRIC_FORMS),
    )
    slices: Annotated[
        Slices, BeforeValidator(_columns_or_search, json_schema_input_type=WrittenSlices)
    ] = Field(
        Slices(), description="columns as [region, {age: {bins: [18, 65]}}], and {search: true}"
    )
    threshold: ThresholdRule | None = None


class Requirement(Range):
    """Absolute bounds on a test metric, on `calibration` or on a figure of the package."""

    of: Literal["value", "low"] = Field(
        "value", description="low: the cautious end of its 95 % interval keeps the bound, too"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("needs min or max")
        return self


class RequiredSlice(Section):
    """What rows of one kind must not fall below: the champion, and a share predicted right."""

    min: Share | None = Field(None, description="of these rows predicted right")


class Comparison(Section):
    """How a candidate must beat the champion on the same test rows, one-sided."""

    metric: str | None = Field(None, description="default: the first metric of evaluation")
    confidence: float = Field(0.95, gt=0.5, lt=1)
    margin: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="by less than this the same recipe on newer data may be worse: points, or a "
        "share of the champion's value where the metric has the target's unit",
    )
    fresh_after: int = Field(7, ge=0, description="days from which on a champion may be refreshed")
    newest: int = Field(2000, ge=20, description="rows to compare on where the data grow")


class Gate(Section):
    """What decides over promotion."""

    require: dict[str, Requirement] = Field({})
    slices: dict[str, RequiredSlice] = Field(
        {}, description="by COLUMN=VALUE, or by COLUMN for each of its values"
    )
    champion: Comparison = Comparison()
    approve: Literal["automatic", "manual"] = Field(
        "automatic",
        description="manual: what the gate would promote waits as challenger for a person",
    )


class Rhythm(Section):
    """When `gristmill up` does something by itself."""

    cron: str | None = None
    interval: int | None = Field(None, ge=60, description="seconds")
    timezone: str = "UTC"

    @model_validator(mode="after")
    def _one_rhythm(self) -> Self:
        if (self.cron is None) == (self.interval is None):
            raise ValueError("needs either cron or interval")
        return self

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, cron: str | None) -> str | None:
        if cron is None:
            return None
        from cronsim import CronSim, CronSimError

        try:
            CronSim(cron, datetime(2000, 1, 1))
        except CronSimError as error:
            raise ValueError(
                f"{error}; there are five fields: minute hour day month weekday"
            ) from error
        return cron

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, timezone: str) -> str:
        from zoneinfo import available_timezones

        if timezone not in available_timezones():
            near = nearest(timezone, available_timezones())
            raise ValueError(
                f"unknown timezone {timezone!r}" + (f", did you mean {near}?" * bool(near))
            )
        return timezone


class Schedule(Rhythm):
    """When `gristmill up` runs the experiment by itself."""

    refresh: bool = Field(False, description="fetch the source anew first")


class Monitor(Rhythm):
    """When `gristmill up` checks new rows for drift from those of the champion."""

    path: str | None = Field(
        None, description="files to check, such as incoming/*.csv; default: what the source has"
    )
    retrain: bool = Field(
        True, description="fetch the source and run the experiment when something has drifted"
    )


class Document(Section):
    """A whole experiment file, every `$name` replaced by its declared value."""

    description: str = Field("", description="what the model is, for its page")
    intended_use: str = Field("", description="what the model is for, and for whom; for its page")
    limits: str = Field("", description="what the model is not for, and where it fails")
    data: Data
    schema_: Schema = Field(alias="schema")
    split: Split
    features: Features
    parameters: dict[str, Scalar] = Field({})
    model: Model
    training: Training = Training()
    search: Search = Search()
    evaluation: Evaluation = Evaluation()
    gate: Gate = Gate()
    schedule: Schedule | None = None
    monitor: Monitor | None = None

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        bounded = [name for name, rule in self.gate.slices.items() if rule.min is not None]
        if self.data.task == "regression" and bounded:
            raise ValueError(f"gate.slices.{bounded[0]}.min: regression has no share of right rows")
        if self.data.task == "regression" and self.training.class_weight is not None:
            raise ValueError("training.class_weight: regression has no classes")
        if self.data.task == "classification" and self.features.scale_target:
            raise ValueError("features.scale_target: only the target of a regression is scaled")
        if self.monitor is not None and self.data.source is None:
            if self.monitor.path is None:
                raise ValueError("monitor: name data.source, or monitor.path: nothing to check")
            if self.monitor.retrain:
                raise ValueError(
                    "monitor.retrain: without data.source there are no new data to train on; name "
                    "it, or set retrain: false"
                )
        self._evaluation_fits()
        target = self.schema_.columns.get(self.data.target)
        classes = [*map(_text, target.one_of)] if target and target.one_of else None
        asked = {
            "evaluation.metrics": self.evaluation.metrics or (),
            "gate.require": tuple(n for n in self.gate.require if n not in self._other_figures),
            "gate.champion.metric": tuple(filter(None, [self.gate.champion.metric])),
        }
        for where, names in asked.items():
            more = self._other_figures if where == "gate.require" else ()
            for name in names:
                if fault := metric_fault(name, self.data.task, classes, more):
                    raise ValueError(f"{where}: {fault}")
        for name, rule in self.gate.require.items():
            if name in PACKAGE_FIGURES and rule.of == "low":
                raise ValueError(f"gate.require.{name}: it has no interval; leave `of: low` out")
        for name in self.search.varied:
            if name not in self.parameters:
                near = nearest(name, self.parameters)
                where = "grid" if name in self.search.grid else "space"
                raise ValueError(
                    f"search.{where}: {name!r} is not declared under parameters"
                    + (f"; did you mean {near}?" if near else "")
                )
        if self.search.min_epochs > self.training.epochs:
            raise ValueError(
                f"search.min_epochs: {self.search.min_epochs} is above training.epochs, "
                f"{self.training.epochs}, which is the largest budget"
            )
        if self.model.sklearn is not None:
            self._estimator_fits(*self.model.estimator)
        watched = {"loss", *self.fit_metrics} if self.has_loss else {*self.fit_metrics}
        stop, plateau = self.training.early_stopping, self.training.reduce_lr_on_plateau
        for where, name in (
            ("search.objective", self.objective),
            *([("training.early_stopping.monitor", stop.monitor)] if stop else []),
            *([("training.reduce_lr_on_plateau.monitor", plateau.monitor)] if plateau else []),
        ):
            if name.removeprefix("val_") not in watched:
                choices = [f"val_{metric}" for metric in sorted(watched)]
                near = nearest(name, choices)
                raise ValueError(
                    f"{where}: nothing is called {name!r} during training"
                    + (f"; did you mean {near}?" if near else f": there are {', '.join(choices)}")
                )
        return self

    def _evaluation_fits(self) -> None:
        asks = {
            "threshold": self.evaluation.threshold is not None,
            "slices.search": self.evaluation.slices.search,
        }
        for name, asked in asks.items():
            if asked and self.split.folds:
                raise ValueError(
                    f"evaluation.{name} needs validation rows, and with split.folds all of them "
                    "become training rows in the end"
                )
        if self.evaluation.threshold is not None and self.data.task == "regression":
            raise ValueError("evaluation.threshold: regression has no classes")

    def _estimator_fits(self, name: str, arguments: Arguments) -> None:
        task, _ = ESTIMATORS[name]
        if task != self.data.task:
            which = sorted(n for n, (of, _) in ESTIMATORS.items() if of == self.data.task)
            raise ValueError(
                f"model.sklearn: {name} is for {task}, and data.task is {self.data.task}, "
                f"for which there are {', '.join(which)}"
            )
        others = sorted(self.training.model_fields_set - set(FITTING))
        if others:
            raise ValueError(
                f"training: leave {', '.join(others)} out, which {'are' if others[1:] else 'is'} "
                f"for Keras; {name} has arguments of its own under model.sklearn, such as "
                + ", ".join(a for a in arguments_of(name) if a in TYPICAL)
            )
        if self.search.strategy in BUDGETED:
            raise ValueError(
                f"search.strategy: {self.search.strategy} trains for a few epochs first, and "
                f"{name} has none; take grid, random or bayesian"
            )
        if self.training.class_weight and "sample_weight" not in arguments_of(name, "fit"):
            raise ValueError(f"training.class_weight: {name} cannot weight its training rows")
        if not self.has_loss:
            gate = (*self.gate.require, self.gate.champion.metric)
            for metric in filter(None, (*(self.evaluation.metrics or ()), *gate)):
                if metric_parts(metric)[0] in {*OF_PROBABILITIES, CALIBRATION}:
                    raise ValueError(f"{metric} is of probabilities, and {name} tells none")
            if self.evaluation.threshold is not None:
                raise ValueError(f"evaluation.threshold: {name} tells no probabilities")

    @property
    def has_loss(self) -> bool:
        """Whether there is a loss: not of an estimator that tells classes alone."""
        return self.model.sklearn is None or tells_probabilities(*self.model.estimator)

    @property
    def fit_metrics(self) -> tuple[str, ...]:
        """The metrics of training and validation rows, besides the loss."""
        if self.training.metrics is not None:
            return self.training.metrics
        classes = self.data.task == "classification"
        return ("accuracy",) if classes else ("mean_absolute_error",)

    @property
    def objective(self) -> str:
        """What the search chooses by."""
        default = "val_accuracy" if "accuracy" in self.fit_metrics else "val_loss"
        return self.search.objective or default

    @property
    def _other_figures(self) -> frozenset[str]:
        """What the gate may require besides metrics."""
        classes = self.data.task == "classification"
        return PACKAGE_FIGURES | {CALIBRATION} if classes else PACKAGE_FIGURES

    @property
    def test_metrics(self) -> tuple[str, ...]:
        """The metrics of the evaluation; the first one is what is shown first."""
        required = (name for name in self.gate.require if name not in self._other_figures)
        named = (*(self.evaluation.metrics or ()), *required)
        if not self.evaluation.metrics:
            classes = self.data.task == "classification"
            defaults = ("accuracy", "f1_macro", "log_loss") if classes else ("rmse", "mae", "r2")
            named = (*defaults[: None if self.has_loss else 2], *named)
        if self.gate.champion.metric:
            named = (*named, self.gate.champion.metric)
        return tuple(dict.fromkeys(named))


def _text(label: Scalar) -> str:
    """A class as metrics name it."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _known_name(kind: str, name: str, *more: str) -> str:
    known = [*sorted(keras_names(kind)), *more]
    if name in known:
        return name
    near = nearest(name, known)
    raise ValueError(f"keras.{kind} has no {name!r}" + (f"; did you mean {near}?" if near else ""))
