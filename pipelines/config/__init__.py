"""Experiment files, the project's folder, errors and safe writing: what every other room uses."""

from pipelines.config.conditions import Condition, read_condition
from pipelines.config.errors import (
    ConfigError,
    DataInvalid,
    EnvironmentFault,
    GristmillError,
    InputError,
    Problem,
)
from pipelines.config.estimators import ESTIMATORS, FITTING
from pipelines.config.experiment import (
    Experiment,
    Recipe,
    load_experiment,
    read_override,
)
from pipelines.config.files import file_digest, read_json, write_json, writing
from pipelines.config.names import CLASSIFICATION_METRICS, REGRESSION_METRICS, nearest
from pipelines.config.project import Project
from pipelines.config.search import Distribution, Search
from pipelines.config.secrets import redact
from pipelines.config.section import Scalar
from pipelines.config.sections import (
    Column,
    Csv,
    Data,
    Document,
    Drift,
    EarlyStopping,
    Feature,
    Features,
    Freshness,
    Gate,
    Model,
    Monitor,
    Pictures,
    Requirement,
    Rhythm,
    Rule,
    Schedule,
    Schema,
    Split,
    TimeSplit,
    Training,
    read_epochs,
)
from pipelines.config.source import normalised_source
from pipelines.config.source_kinds import FORMS, SOURCES, SourceKind, holds_password, source_kind

__all__ = [
    "CLASSIFICATION_METRICS",
    "ESTIMATORS",
    "FITTING",
    "FORMS",
    "REGRESSION_METRICS",
    "SOURCES",
    "Column",
    "Condition",
    "ConfigError",
    "Csv",
    "Data",
    "DataInvalid",
    "Distribution",
    "Document",
    "Drift",
    "EarlyStopping",
    "EnvironmentFault",
    "Experiment",
    "Feature",
    "Features",
    "Freshness",
    "Gate",
    "GristmillError",
    "InputError",
    "Model",
    "Monitor",
    "Pictures",
    "Problem",
    "Project",
    "Recipe",
    "Requirement",
    "Rhythm",
    "Rule",
    "Scalar",
    "Schedule",
    "Schema",
    "Search",
    "SourceKind",
    "Split",
    "TimeSplit",
    "Training",
    "file_digest",
    "holds_password",
    "load_experiment",
    "nearest",
    "normalised_source",
    "read_condition",
    "read_epochs",
    "read_json",
    "read_override",
    "redact",
    "source_kind",
    "write_json",
    "writing",
]
