"""Packages behind MLflow's scoring server answer CSV and JSON as they answer a frame."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import unicodedata
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from packaged import Stored, packaged
from tiny import KINDS, make_project, mixed

from gristmill.pipelines.workers.pool import Pool
from tests.conftest import clean_environment

# raised inside mlflow when mlflow.pyfunc is imported, where mlflow's own filter hides it
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")

FOREST: dict[str, Any] = {
    "data": {"target": "y", "task": "regression"},
    "training": None,
    "features": {
        "columns": {
            **KINDS["columns"],
            "2": {"kind": "category"},
            "\uc6b0\ud3b8": {"kind": "category"},
        },
        "embed_above": 5,
    },
    "model": {"layers": None, "sklearn": {"RandomForestRegressor": {"n_estimators": 10}}},
}

Post = Callable[[bytes, str], tuple[int, Any]]


def rows(count: int, seed: int) -> pd.DataFrame:
    """Return rows of every kind, integer codes with gaps, and texts that look like numbers.

    A column's name is a number; another's name and values have two forms in Unicode.
    """
    rng = np.random.default_rng(seed)
    frame = mixed(count, seed)
    code, post = rng.integers(1, 4, count), rng.integers(0, 3, count)
    frame["2"] = pd.Series(code, dtype="Int64").mask(rng.random(count) < 0.1)
    frame["\uc6b0\ud3b8"] = np.array(["007", "012", "\uc608"])[post]
    return frame.assign(y=frame["y"] + 80 * code - 60 * post)


@pytest.fixture(scope="module")
def stored(
    store_once: Path, tmp_path_factory: pytest.TempPathFactory, pool: Pool
) -> Iterator[Stored]:
    """Return a package with columns of all kinds, without TensorFlow."""
    project = make_project(tmp_path_factory.mktemp("served") / "project")
    shutil.copytree(store_once, project.store)
    with packaged(project, pool, rows(300, 0), **FOREST) as made:
        yield made


@pytest.fixture(scope="module")
def asked(stored: Stored) -> tuple[pd.DataFrame, list[float]]:
    """Return rows and the package's answers to them as a pandas frame."""
    import mlflow

    frame = rows(40, 5).drop(columns="y")
    answers = mlflow.pyfunc.load_model(str(stored.folder)).predict(frame)
    assert answers["prediction"].std() > 10
    return frame, answers["prediction"].tolist()


@pytest.fixture(scope="module")
def post_here(stored: Stored) -> Post:
    """Return a function that sends a request to MLflow's server code in this process."""
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc import scoring_server

    model = mlflow.pyfunc.load_model(str(stored.folder))
    schema = model.metadata.get_input_schema()

    def post(content: bytes, kind: str) -> tuple[int, Any]:
        try:
            answer = scoring_server.invocations(content, kind, model, schema)
        except MlflowException as error:
            return error.get_http_status_code(), json.loads(error.serialize_as_json())
        return answer.status, json.loads(answer.response)

    return post


def as_json(frame: pd.DataFrame | pd.Series, orient: str) -> Any:
    return json.loads(frame.to_json(orient=orient, date_format="iso"))


FORMS: dict[str, Callable[[pd.DataFrame], tuple[bytes, str]]] = {
    "csv": lambda frame: (frame.to_csv(index=False).encode(), "text/csv"),
    "split": lambda frame: _json({"dataframe_split": as_json(frame, "split")}),
    "records": lambda frame: _json({"dataframe_records": as_json(frame, "records")}),
    "inputs": lambda frame: _json({"inputs": _columns(frame)}),
    "texts": lambda frame: _json({"dataframe_records": as_json(_texts(frame), "records")}),
}


def _json(content: Any) -> tuple[bytes, str]:
    return json.dumps(content).encode(), "application/json"


def _columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    return {str(name): as_json(frame[name], "values") for name in frame}


def _texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Convert all values to text and gaps to null, as a client does that has read a file."""
    return frame.astype(object).map(lambda value: None if pd.isna(value) else str(value))


def served(post: Post, form: str, frame: pd.DataFrame) -> list[float]:
    status, said = post(*FORMS[form](frame))
    assert status == 200, said
    return [row["prediction"] for row in said["predictions"]]


@pytest.mark.parametrize("form", FORMS)
def test_a_request_in_any_form_gets_the_answers_of_a_frame(
    post_here: Post, asked: tuple[pd.DataFrame, list[float]], form: str
) -> None:
    frame, expected = asked
    np.testing.assert_allclose(served(post_here, form, frame), expected, rtol=1e-9)


def decomposed(value: Any) -> Any:
    return unicodedata.normalize("NFD", value) if isinstance(value, str) else value


OTHER_NAMES: dict[str, Callable[[str], Any]] = {
    "numbers": lambda name: int(name) if name.isdecimal() else name,
    "other form": decomposed,
    "spaces": lambda name: f" {name} ",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("other", OTHER_NAMES)
def test_the_form_of_names_and_texts_does_not_change_an_answer(
    post_here: Post, asked: tuple[pd.DataFrame, list[float]], form: str, other: str
) -> None:
    frame, expected = asked
    frame = frame.rename(columns=OTHER_NAMES[other])
    if other == "other form":
        frame = frame.map(decomposed)
    np.testing.assert_allclose(served(post_here, form, frame), expected, rtol=1e-9)


def test_a_frame_with_other_names_is_refused_by_mlflow_or_says_that_names_are_text(
    stored: Stored, asked: tuple[pd.DataFrame, list[float]]
) -> None:
    import mlflow
    from mlflow.exceptions import MlflowException

    model, (frame, _) = mlflow.pyfunc.load_model(str(stored.folder)), asked
    with pytest.raises(MlflowException, match=r"missing: \S+ \(names are text.*form NFC\)"):
        model.predict(frame.rename(columns=decomposed))


RETYPED: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "nullable": lambda frame: frame.convert_dtypes(),
    "arrow": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "category": lambda frame: frame.astype({"colour": "category", "shop": "category"}),
    "ordered": lambda frame: frame.assign(
        size=pd.Categorical(frame["size"], ["small", "middle", "large"], ordered=True)
    ),
    "objects": lambda frame: frame.astype(object),
    "floats": lambda frame: frame.assign(**{"2": frame["2"].astype("float64")}),
    "zoned": lambda frame: frame.assign(
        when=frame["when"]
        .astype("datetime64[us]")
        .dt.tz_localize("UTC")
        .dt.tz_convert("Asia/Seoul")
    ),
    "index": lambda frame: frame.set_index(pd.Index(range(9, 9 + len(frame)))),
    "shuffled": lambda frame: frame.sample(frac=1, random_state=0),
    "none": lambda frame: frame.iloc[:0],
}


@pytest.mark.parametrize("form", RETYPED)
def test_the_types_of_a_frame_do_not_change_its_answers_and_its_index_is_kept(
    stored: Stored, asked: tuple[pd.DataFrame, list[float]], form: str
) -> None:
    import mlflow

    frame, expected = asked
    given = RETYPED[form](frame)
    answers = mlflow.pyfunc.load_model(str(stored.folder)).predict(given)
    assert answers.index.equals(given.index)
    known = pd.Series(expected, RETYPED["index"](frame).index if form == "index" else frame.index)
    np.testing.assert_allclose(answers["prediction"], known.loc[given.index], rtol=1e-9)


def test_dates_as_numbers_are_refused_with_what_to_send(
    post_here: Post, asked: tuple[pd.DataFrame, list[float]]
) -> None:
    frame, expected = asked
    frame = frame.assign(when=frame["when"].astype("datetime64[ms]"))
    moments = [None if pd.isna(when) else when.value // 10**6 for when in frame["when"]]
    for numbers in (moments, [when and when / 1000 for when in moments]):
        content = json.loads(as_text_of(frame.assign(when=pd.Series(numbers, dtype=object))))
        status, said = post_here(*_json({"dataframe_split": content}))
        assert status == 400
        assert "column when must hold dates as text in ISO 8601" in said["message"]
    local = frame["when"].dt.tz_localize("UTC").dt.tz_convert("Asia/Seoul")
    texts = local.map(lambda when: when.isoformat(), na_action="ignore").astype(object)
    content = json.loads(as_text_of(frame.assign(when=texts.where(texts.notna(), None))))
    status, said = post_here(*_json({"dataframe_split": content}))
    assert [row["prediction"] for row in said["predictions"]] == pytest.approx(expected, rel=1e-9)


def as_text_of(frame: pd.DataFrame) -> str:
    return str(frame.to_json(orient="split"))


def test_values_that_training_did_not_have_are_named_where_asked(
    post_here: Post, stored: Stored, asked: tuple[pd.DataFrame, list[float]]
) -> None:
    import mlflow

    frame = (
        asked[0]
        .head(3)
        .assign(shop=["shop 1", "kiosk", None], whole=[1.0, 2.0, None], member="yes")
    )
    records = as_json(frame, "records")
    status, said = post_here(*_json({"dataframe_records": records, "params": {"warnings": True}}))
    assert status == 200
    assert [row["warnings"] for row in said["predictions"]] == [
        "",
        "shop: values unseen in training",
        "whole: no value, which training always had",
    ]
    status, said = post_here(*_json({"dataframe_records": records}))
    assert {*said["predictions"][0]} == {"prediction"}

    model, noted = mlflow.pyfunc.load_model(str(stored.folder)), []
    model.unwrap_python_model().noted = lambda rows, found: noted.append((rows, found))
    model.predict(frame)
    ((count, found),) = noted
    assert count == 3
    assert [(one.name, one.rows.tolist(), one.examples) for one in found] == [
        ("whole", [False, False, True], []),
        ("shop", [False, True, False], ["kiosk"]),
    ]


LOADED = """
import sys
import mlflow
from mlflow.types import Schema
before = dict(vars(Schema))
mlflow.pyfunc.load_model(sys.argv[1])
assert dict(vars(Schema)) == before
assert "mlflow.pyfunc.scoring_server" not in sys.modules
"""


def test_loading_a_package_without_serving_it_does_not_change_mlflow(
    stored: Stored,
) -> None:
    subprocess.run([sys.executable, "-c", LOADED, str(stored.folder)], check=True)


@pytest.mark.parametrize("form", ["csv", "records"])
def test_a_request_that_cannot_be_answered_names_the_problem(
    post_here: Post, asked: tuple[pd.DataFrame, list[float]], form: str
) -> None:
    frame, _ = asked
    status, said = post_here(*FORMS[form](frame.assign(whole="wide")))
    assert status == 400
    assert "column whole must hold numbers, found 'wide'" in said["message"]
    status, said = post_here(*FORMS[form](frame.drop(columns="whole")))
    assert status == 400
    assert "missing inputs ['whole']" in said["message"]


@pytest.fixture
def post_there(stored: Stored, tmp_path: Path) -> Iterator[Post]:
    """Start `mlflow models serve` in a separate process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["-m", "mlflow", "models", "serve", "-m", str(stored.folder), "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command, "--env-manager", "local", "--host", "127.0.0.1"],
            env=clean_environment() | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
            cwd=tmp_path,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"

    def post(content: bytes, kind: str) -> tuple[int, Any]:
        request = urllib.request.Request(f"{url}/invocations", content, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        with suppress(OSError), urllib.request.urlopen(f"{url}/ping", timeout=1):
            return True
        return False

    try:
        while not answers():
            time.sleep(0.1)
        yield post
    finally:
        process.terminate()
        process.wait()


@pytest.mark.slow
def test_mlflows_own_server_accepts_csv_and_json(
    post_there: Post, asked: tuple[pd.DataFrame, list[float]]
) -> None:
    frame, expected = asked
    for form in FORMS:
        np.testing.assert_allclose(served(post_there, form, frame), expected, rtol=1e-9)
