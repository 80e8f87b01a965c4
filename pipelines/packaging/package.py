"""Packages: from raw rows to labelled predictions, with preprocessing and without pickle."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas as pd
import pyarrow.parquet

from gristmill.pipelines.base import (
    EnvironmentFault,
    file_digest,
    normalised_source,
    read_json,
    write_json,
    writing,
)
from gristmill.pipelines.config import Experiment, Project
from gristmill.pipelines.evaluation import FinalEvaluation, Threshold, read_predictions
from gristmill.pipelines.packaging.behaviour import MANY, SINGLE, TOLERANCE, problems, questions
from gristmill.pipelines.packaging.rehearsal import Answered, Rehearsal, installed
from gristmill.pipelines.preparation import (
    TRAINING,
    answers,
    as_text,
    input_names,
    optional_names,
    read_roles,
)
from gristmill.pipelines.tables import TableRows
from gristmill.pipelines.training import MODEL_FILES, Trial, user_sources

CODE = Path(__file__).with_name("package_code.py")
PREPARATION = Path(__file__).parent.parent / "preparation" / "features" / "transforms.py"
PICTURES = Path(__file__).parent.parent / "ingestion" / "readers" / "picture_pixels.py"
PREDICTOR = Path(__file__).parent.parent / "training" / "predictor.py"
REQUIREMENTS = {
    "keras": ("mlflow", "tensorflow-cpu", "tensorflow", "keras", "numpy", "pandas", "pillow"),
    "sklearn": ("mlflow", "numpy", "pandas", "pillow"),
}
"""Requirements of a package by the library that trained its model."""

EXAMPLE_ROWS = 3

REHEARSED = 20_000
"""Largest number of test rows whose predictions must equal those of the evaluation."""

REHEARSED_BYTES = 64 << 20
"""Largest size of the pixels in these rows."""


@dataclass(frozen=True)
class Package:
    """A package that is stored in MLflow and passed its test.

    Attributes:
        address: `models:/m-…`.
        digest: digest of everything that determines its predictions.
        files: list of its files as they were tested, see `list_files`.
        measured: `start_seconds` from the stored files to the first prediction, without the import
            of libraries; `latency_ms`, median of single rows; `megabytes` of its files.
    """

    address: str
    digest: str
    files: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)


def package_digest(
    project: Project, experiment: str, trial: Trial, threshold: Threshold | None = None
) -> str:
    """Return a digest of everything that determines a package's predictions.

    Args:
        project: project with the built experiment.
        experiment: name of the experiment.
        trial: the trial with the packaged weights.
        threshold: decision threshold for two classes; None for the most probable class.
    """
    build = project.build(experiment)
    statistics = build / "training" / "statistics.json"
    parts = [
        trial.key,
        file_digest(build / "trials" / trial.key / "weights.npz"),
        file_digest(statistics),
        normalised_source(CODE),
        normalised_source(PREPARATION),
    ]
    if read_json(statistics).get("picture"):
        parts.append(normalised_source(PICTURES))
    if trial.recipe.model.library == "sklearn":
        parts.append(normalised_source(PREDICTOR))
    if threshold is not None:
        parts.append(f"{threshold.place} from {threshold.value!r}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def make_package(
    project: Project,
    experiment: Experiment,
    trial: Trial,
    evaluation: FinalEvaluation,
    rehearsal: Rehearsal,
) -> Package:
    """Log a package to the active run and test the stored files in a fresh process.

    Args:
        project: project with the built experiment.
        experiment: the experiment of the trial.
        trial: the trial to package.
        evaluation: its evaluation, which contains the expected predictions.
        rehearsal: the process that tests the package.

    Raises:
        EnvironmentFault: the package failed the test; see `behaviour`.
    """
    from mlflow.models import Model

    build = project.build(experiment.name)
    folder = build / "trials" / trial.key / "package"
    _assemble(project, experiment, evaluation, folder)
    statistics = read_json(folder / "statistics.json")
    info = Model.log(
        artifact_path=None,
        name="model",
        flavor=_Flavor,
        flavor_name="pyfunc",
        validate_serving_input=False,
        python_model=str(CODE),
        artifacts={"package": str(folder)},
        signature=_signature(statistics),
        input_example=training_examples(build, experiment),
        pip_requirements=_requirements(trial.recipe.model.library),
        metadata={"experiment": experiment.name, "trial": trial.key},
    )
    address = str(info.model_uri)
    tolerance = TOLERANCE[trial.parts.get("device", "cpu")]
    answered = _try(evaluation, rehearsal, address, statistics, tolerance)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    digest = package_digest(project, experiment.name, trial, evaluation.threshold)
    figures = {**answered.measured, "megabytes": size / 1e6}
    return Package(address, digest, answered.files, figures)


class _Flavor:
    """MLflow's pyfunc flavour without its validation of the example; the rehearsal covers it."""

    @staticmethod
    def save_model(*, validate_serving_input: bool, **arguments: Any) -> None:
        import mlflow

        mlflow.pyfunc.save_model(**arguments)


def _assemble(
    project: Project, experiment: Experiment, evaluation: FinalEvaluation, folder: Path
) -> None:
    with writing(folder) as aside:
        (aside / "modules").mkdir(parents=True)
        library, builder = experiment.document.model.library, experiment.document.model.builder
        shutil.copyfile(evaluation.model, aside / MODEL_FILES[library])
        if library == "sklearn":
            shutil.copyfile(PREDICTOR, aside / PREDICTOR.name)
        shutil.copyfile(PREPARATION, aside / "transform.py")
        training = project.build(experiment.name) / "training"
        statistics = read_json(training / "statistics.json")
        if evaluation.threshold is not None:
            statistics["threshold"] = asdict(evaluation.threshold)
        write_json(aside / "statistics.json", statistics)
        if statistics.get("picture"):
            shutil.copyfile(PICTURES, aside / "pictures.py")
        if builder is not None:
            for name in user_sources(project.experiments, builder):
                place = aside / "modules" / Path(name).relative_to(project.experiments.name)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(project.root / name, place)


def _try(
    evaluation: FinalEvaluation,
    rehearsal: Rehearsal,
    address: str,
    statistics: Mapping[str, Any],
    tolerance: float,
) -> Answered:
    """Test the stored package in a fresh process; return its answers.

    Raises:
        EnvironmentFault: a prediction is wrong, or the package has side effects.
    """
    with pyarrow.parquet.ParquetFile(evaluation.raw) as file:
        schema = file.schema_arrow
        rows = plain_types(next(file.iter_batches(_most(schema, REHEARSED))).to_pandas())
    asks = questions(statistics, list(rows.columns), len(rows), _most(schema, MANY))
    answered = rehearsal.ask(address, rows, asks, single=SINGLE)
    expected = read_predictions(evaluation.predictions).rows(slice(len(rows)))
    if wrong := problems(answered, expected, statistics, tolerance):
        raise EnvironmentFault(
            "the package failed its rehearsal",
            problems=wrong,
            next="nothing was registered; check the model's own code, if any: a layer may be saved "
            "without its arguments, or stay in training mode",
        )
    return answered


def _most(schema: pyarrow.Schema, rows: int) -> int:
    """Return how many rows are tested at a time; fewer if they contain pictures."""
    fixed = [field.type for field in schema if pyarrow.types.is_fixed_size_binary(field.type)]
    most = [max(1, REHEARSED_BYTES // int(kind.byte_width)) for kind in fixed]
    return min([rows, *most])


def plain_types(rows: pd.DataFrame) -> pd.DataFrame:
    """Return raw rows with types that any caller can send: float64 numbers, all else text."""
    plain: dict[str, Any] = {}
    for name in map(str, rows.columns):
        column = rows[name]
        if len(column) and isinstance(column.iloc[0], bytes):  # a picture, encoded as in JSON
            plain[name] = [base64.b64encode(pixels).decode() for pixels in column]
        elif pd.api.types.is_any_real_numeric_dtype(column):
            plain[name] = column.to_numpy(dtype="float64", na_value=np.nan)
        else:
            plain[name] = as_text(column).where(column.notna(), None)
    return pd.DataFrame(plain)


def training_examples(build: Path, experiment: Experiment) -> pd.DataFrame:
    """Return the first training rows in their raw form."""
    role = read_roles(build / "roles.parquet")
    names = input_names(read_json(build / "training" / "statistics.json"))
    batches = TableRows(build / "table.parquet", role == TRAINING).batches(names, plain=names)
    first = next(batch for batch in batches if batch.num_rows)
    return plain_types(first.slice(0, EXAMPLE_ROWS).to_pandas()[names])


def _signature(statistics: dict[str, Any]) -> Any:
    """Return the signature with the columns of inputs and outputs.

    Inputs are untyped: MLflow refuses integers where a double is declared, and the type that
    `pandas.read_csv` gives a column depends on the rows of the file. `transform` checks values and
    accepts numbers and dates as text, because MLflow's scoring server reads untyped CSV columns as
    text once a package is loaded. Columns with missing values in training are optional. So are
    those whose name can come in another form, which MLflow would refuse: `transform` finds them.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    optional = {n for n in input_names(statistics) if n.isdecimal() or normalize("NFD", n) != n}
    optional |= set(optional_names(statistics))
    inputs = [ColSpec(AnyType(), n, required=n not in optional) for n in input_names(statistics)]
    shown = answers(np.zeros((1, len(statistics["classes"] or "1"))), statistics)
    kinds = {"b": DataType.boolean, "i": DataType.long, "f": DataType.double}
    outputs = [
        ColSpec(kinds.get(column.dtype.kind, DataType.string), str(name))
        for name, column in shown.items()
    ]
    warnings = ParamSchema([ParamSpec("warnings", DataType.boolean, False)])
    return ModelSignature(Schema(inputs), Schema(outputs), warnings)


def _requirements(library: str) -> list[str]:
    """Return the installed versions of a package's libraries, which it is tested with."""
    found = {name: installed(name) for name in REQUIREMENTS[library]}
    return [f"{name}=={version}" for name, version in found.items() if version]
