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
from pipelines.config.experiment import (
    Experiment,
    Recipe,
    load_experiment,
    read_override,
)
from pipelines.config.files import file_digest, read_json, write_json, writing
from pipelines.config.names import CLASSIFICATION_METRICS, REGRESSION_METRICS, nearest
from pipelines.config.project import Project
from pipelines.config.sections import (
    Column,
    Data,
    Document,
    Drift,
    EarlyStopping,
    Features,
    Freshness,
    Gate,
    Model,
    Requirement,
    Rule,
    Scalar,
    Schedule,
    Schema,
    Search,
    Split,
    Training,
)
from pipelines.config.source import normalised_source

__all__ = [
    "CLASSIFICATION_METRICS",
    "REGRESSION_METRICS",
    "Column",
    "Condition",
    "ConfigError",
    "Data",
    "DataInvalid",
    "Document",
    "Drift",
    "EarlyStopping",
    "EnvironmentFault",
    "Experiment",
    "Features",
    "Freshness",
    "Gate",
    "GristmillError",
    "InputError",
    "Model",
    "Problem",
    "Project",
    "Recipe",
    "Requirement",
    "Rule",
    "Scalar",
    "Schedule",
    "Schema",
    "Search",
    "Split",
    "Training",
    "file_digest",
    "load_experiment",
    "nearest",
    "normalised_source",
    "read_condition",
    "read_json",
    "read_override",
    "write_json",
    "writing",
]
