from .conditions import (
    Condition as Condition,
)
from .conditions import (
    read_condition as read_condition,
)
from .csv_options import (
    read_csv_options as read_csv_options,
)
from .csv_options import (
    read_picture_options as read_picture_options,
)
from .document import (
    Document as Document,
)
from .experiment import (
    Experiment as Experiment,
)
from .experiment import (
    Recipe as Recipe,
)
from .experiment import (
    load_experiment as load_experiment,
)
from .experiment import (
    load_experiments as load_experiments,
)
from .experiment import (
    read_override as read_override,
)
from .experiment_file import (
    load_sections as load_sections,
)
from .known_estimators import (
    ESTIMATORS as ESTIMATORS,
)
from .known_estimators import (
    FITTING as FITTING,
)
from .known_estimators import (
    arguments_of as arguments_of,
)
from .known_estimators import (
    tells_probabilities as tells_probabilities,
)
from .known_expectations import (
    SUITES as SUITES,
)
from .known_expectations import (
    expectation_names as expectation_names,
)
from .known_expectations import (
    unknown_expectation as unknown_expectation,
)
from .known_names import (
    CALIBRATION as CALIBRATION,
)
from .known_names import (
    CLASSIFICATION_METRICS as CLASSIFICATION_METRICS,
)
from .known_names import (
    LOWER_IS_BETTER as LOWER_IS_BETTER,
)
from .known_names import (
    METRIC_FORMS as METRIC_FORMS,
)
from .known_names import (
    REGRESSION_METRICS as REGRESSION_METRICS,
)
from .known_names import (
    metric_fault as metric_fault,
)
from .known_names import (
    metric_parts as metric_parts,
)
from .project import (
    Project as Project,
)
from .project import (
    installed_libraries as installed_libraries,
)
from .project import (
    writable as writable,
)
from .section import (
    Arguments as Arguments,
)
from .section import (
    Scalar as Scalar,
)
from .section import (
    Severity as Severity,
)
from .sections import (
    Bins as Bins,
)
from .sections import (
    Column as Column,
)
from .sections import (
    Csv as Csv,
)
from .sections import (
    Data as Data,
)
from .sections import (
    Distribution as Distribution,
)
from .sections import (
    EarlyStopping as EarlyStopping,
)
from .sections import (
    Feature as Feature,
)
from .sections import (
    Features as Features,
)
from .sections import (
    Gate as Gate,
)
from .sections import (
    IngestSections as IngestSections,
)
from .sections import (
    Model as Model,
)
from .sections import (
    Pictures as Pictures,
)
from .sections import (
    PrepareSections as PrepareSections,
)
from .sections import (
    ReduceLROnPlateau as ReduceLROnPlateau,
)
from .sections import (
    Requirement as Requirement,
)
from .sections import (
    Rhythm as Rhythm,
)
from .sections import (
    Rule as Rule,
)
from .sections import (
    Schema as Schema,
)
from .sections import (
    Search as Search,
)
from .sections import (
    Slices as Slices,
)
from .sections import (
    Split as Split,
)
from .sections import (
    ThresholdRule as ThresholdRule,
)
from .sections import (
    TimeSplit as TimeSplit,
)
from .sections import (
    Training as Training,
)
from .sections import (
    ValidateSections as ValidateSections,
)
from .sections import (
    read_epochs as read_epochs,
)
from .source_kinds import (
    DATABASES as DATABASES,
)
from .source_kinds import (
    FORMS as FORMS,
)
from .source_kinds import (
    SOURCES as SOURCES,
)
from .source_kinds import (
    holds_password as holds_password,
)
from .source_kinds import (
    source_kind as source_kind,
)
