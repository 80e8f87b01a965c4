"""A flow written by hand with the same seven tools, as in their introductions.

    python benchmarks/flow_by_hand.py mnist.csv      (in a folder with git and DVC)

Great Expectations in a loop over the columns, `train_test_split`, `StandardScaler`, a loop of `fit`
with MLflow's autologging in nested runs; the best model is registered and given an alias.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import great_expectations as gx
import keras
import mlflow
import numpy as np
import pandas as pd
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

UNITS = [64, 128]
LEARNING_RATES = [0.0003, 0.001, 0.003, 0.01]
BATCH_SIZES = [32, 64]


@task(cache_policy=NO_CACHE)
def ingest(file: str) -> pd.DataFrame:
    subprocess.run(["dvc", "add", "-q", file], check=True)
    return pd.read_csv(file)


@task(cache_policy=NO_CACHE)
def validate(frame: pd.DataFrame) -> None:
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(gx.ExpectationSuite("suite"))
    for name in frame.columns:
        suite.add_expectation(
            gx.expectations.ExpectColumnValuesToBeBetween(column=name, min_value=0, max_value=255)
        )
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name="all", data=batch, suite=suite)
    )
    if not definition.run(batch_parameters={"dataframe": frame}).success:
        raise ValueError("the data are not as expected")


@task(cache_policy=NO_CACHE)
def split(frame: pd.DataFrame) -> list[np.ndarray]:
    x, y = frame.drop(columns="digit").to_numpy(np.float32), frame["digit"].to_numpy()
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, random_state=0, stratify=y)
    x, x_validation, y, y_validation = train_test_split(
        x, y, test_size=0.2, random_state=0, stratify=y
    )
    return [x, y, x_validation, y_validation, x_test, y_test]


@task(cache_policy=NO_CACHE)
def scale(arrays: list[np.ndarray]) -> list[np.ndarray]:
    scaler = StandardScaler().fit(arrays[0])
    return [scaler.transform(a) if a.ndim == 2 else a for a in arrays]


@task(cache_policy=NO_CACHE)
def search(arrays: list[np.ndarray]) -> tuple[str, float]:
    x, y, x_validation, y_validation, *_ = arrays
    best, best_run = -1.0, ""
    mlflow.keras.autolog()
    with mlflow.start_run(run_name="search"):
        for units, learning_rate, batch_size in itertools.product(
            UNITS, LEARNING_RATES, BATCH_SIZES
        ):
            with mlflow.start_run(nested=True) as run:
                keras.utils.set_random_seed(0)
                model = keras.Sequential(
                    [
                        keras.Input((x.shape[1],)),
                        keras.layers.Dense(units, activation="relu"),
                        keras.layers.Dense(10, activation="softmax"),
                    ]
                )
                model.compile(
                    optimizer=keras.optimizers.Adam(learning_rate),
                    loss="sparse_categorical_crossentropy",
                    metrics=["accuracy"],
                )
                stop = keras.callbacks.EarlyStopping(
                    "val_loss", patience=3, restore_best_weights=True
                )
                model.fit(
                    x,
                    y,
                    batch_size=batch_size,
                    epochs=10,
                    validation_data=(x_validation, y_validation),
                    callbacks=[stop],
                    verbose=0,
                )
                mlflow.log_params({"units": units, "learning_rate": learning_rate})
                score = model.evaluate(x_validation, y_validation, verbose=0)[1]
                if score > best:
                    best, best_run = score, run.info.run_id
    return best_run, best


@task(cache_policy=NO_CACHE)
def evaluate(run: str, arrays: list[np.ndarray]) -> float:
    model = mlflow.keras.load_model(f"runs:/{run}/model")
    return float(model.evaluate(arrays[4], arrays[5], verbose=0)[1])


@task(cache_policy=NO_CACHE)
def register(run: str, accuracy: float) -> None:
    version = mlflow.register_model(f"runs:/{run}/model", "mnist")
    mlflow.MlflowClient().set_registered_model_alias("mnist", "champion", version.version)
    sys.stdout.write(f"accuracy {accuracy:.4f}\n")


@flow
def train(file: str) -> None:
    frame = ingest(file)
    validate(frame)
    arrays = scale(split(frame))
    run, _ = search(arrays)
    register(run, evaluate(run, arrays))


if __name__ == "__main__":
    mlflow.set_tracking_uri(f"sqlite:///{Path('mlflow.db').resolve()}")
    mlflow.set_experiment("mnist")
    train(sys.argv[1])
