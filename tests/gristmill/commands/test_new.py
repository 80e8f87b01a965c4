"""`gristmill new`: from the command line to a complete set of files, or none."""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gristmill.commands import new as module
from gristmill.commands.new import new
from gristmill.pipelines.base.errors import ConfigError, DataInvalid, EnvironmentFault, InputError
from gristmill.pipelines.config.experiment import load_experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.sections import Csv, Pictures
from gristmill.pipelines.ingestion.readers.picture_sizes import fitting_form
from gristmill.pipelines.ingestion.table import ingest_file
from gristmill.pipelines.ingestion.versions.pins import DataState, data_state
from gristmill.pipelines.profiling.profile_page import page_digest
from tests.conftest import Run, git

RNG = np.random.default_rng(0)


def customers(file: Path, rows: int = 300) -> Path:
    """Write a file that has not been cleaned."""
    rng = np.random.default_rng(0)
    age = rng.integers(18, 90, rows)
    gone = rng.random(rows) < 1 / (1 + np.exp((60 - age) / 6))
    frame = pd.DataFrame(
        {
            "고객번호": [f"K{i:05d}" for i in rng.permutation(rows)],
            "나이": age,
            "요금": [f"{fee:.1f}".replace(".", ",") for fee in rng.normal(900, 99, rows)],
            "가입일": pd.date_range("2020-01-01", periods=rows).strftime("%Y-%m-%d"),
            "자동이체": rng.choice(["예", "아니오"], rows),
            "만족도": rng.choice(["낮음", "보통", "높음"], rows),
            "메모": [f"고객 이 {i} 번째 로 남긴 글" if i % 9 else "" for i in range(rows)],
            "이탈": np.where(gone, "해지", "유지"),
        }
    )
    file.parent.mkdir(exist_ok=True)
    frame.to_csv(file, sep=";", index=False, encoding="cp949")
    return file


def test_ambiguous_marks_are_read_as_thousands_separators_and_reported(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fees = RNG.integers(1000, 99999, 100)
    lines = [f"{fee:,};{'a' if fee > 50000 else 'b'}" for fee in fees]
    (tmp_path / "a.csv").write_text("\n".join(["fee;y", *lines]))
    make("marks", tmp_path / "a.csv", target="y")
    document = load_experiment(project, "marks").document
    assert document.data.csv == Csv(delimiter=";", thousands=",")
    assert document.schema_.columns["fee"].type == "integer"
    assert "thousands mark" in capsys.readouterr().out
    ingest_file(project.root / document.data.path, tmp_path / "t.parquet", document.data)
    assert pd.read_parquet(tmp_path / "t.parquet")["fee"].tolist() == fees.tolist()


def test_declared_settings_of_a_table_are_written_into_the_experiment(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f'{i}, {"pqr"[i % 3]}"x, {"ab"[i % 2]}' for i in range(120)]
    (tmp_path / "a.data").write_text("\n".join(["made by hand, 2026", *lines]))
    with pytest.raises(InputError, match=r"(?s)values.*--csv header=none"):
        make("bare", tmp_path / "a.data", "y", csv=["skip=1"])
    settings = ["skip=1", "header=none", "quote=none", "text=column_1", "missing=?,-"]
    make("bare", tmp_path / "a.data", "column_3", csv=settings)
    document = load_experiment(project, "bare").document
    declared = {"skip": 1, "header": "none", "quote": "none", "text": ("column_1",)}
    assert document.data.csv == Csv(**declared, missing=("?", "-"), blanks="stripped")
    assert "blanks after delimiters left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("headr=none", r"no setting 'headr'\n(.*\n)*.*--csv header=none"),
        ("header", "needs a key and a value"),
        ("skip=many", "--csv skip cannot have this value\n(.*\n)*.*skip=many"),
        ("header=second", "'first' or 'none'"),
        ("encoding=utf9", "not an encoding"),
    ],
)
def test_a_wrong_setting_of_a_table_is_refused(project: Project, setting: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make("bare", "a.csv", "y", csv=[setting])


def test_rows_without_a_target_are_left_out_and_counted(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{i * 7 % 90 / 9:.2f},{'ab'[i % 2] if i % 10 else ''}" for i in range(100)]
    (tmp_path / "gaps.csv").write_text("\n".join(["x,y", *lines]))
    make("gaps", tmp_path / "gaps.csv", "y")
    said = capsys.readouterr().out
    assert "90 rows" in said
    assert "rows without a value of y left out: 10" in said


def test_classes_that_differ_only_in_case_are_named(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "a.csv"
    raw.write_text(
        "\n".join(["a,y", *(f"{i % 40},{('Yes', 'yes', 'no')[i % 3]}" for i in range(90))])
    )
    make("a", raw, "y")
    assert "classes that differ only in upper and lower case: Yes, yes" in capsys.readouterr().out


def test_the_index_that_pandas_writes_is_left_out(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.DataFrame({"a": RNG.normal(size=90), "y": ["x", "z"] * 45})
    frame.to_csv(tmp_path / "default.csv")
    make("indexed", tmp_path / "default.csv", "y")
    assert load_experiment(project, "indexed").document.features.exclude == ("Unnamed: 0",)
    assert "column 1 has no name: Unnamed: 0" in capsys.readouterr().out


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return customers(tmp_path / "from elsewhere" / "고객 목록.csv")


def make(name: str, data: Path | str, target: str | None = "이탈", **more: Any) -> None:
    new(name, str(data), target, **more)


def state(project: Project) -> dict[str, bytes]:
    """Return all files that `new` could change."""
    places = [project.root / name for name in ("experiments", "data", "build")]
    files = [file for place in places for file in place.rglob("*") if file.is_file()]
    files += [project.root / "data.dvc", project.params_file]
    return {str(file): file.read_bytes() for file in files if file.exists()}


def test_a_file_becomes_a_valid_experiment_with_pinned_data(
    project: Project,
    raw: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "100")  # wide enough for each column's words in one line
    make("churn", raw)
    document = load_experiment(project, "churn").document
    assert document.data.path == "data/churn/고객 목록.csv"
    assert document.data.source is None
    assert (document.data.csv.encoding, document.data.csv.delimiter) == ("cp949", ";")
    assert (project.root / document.data.path).read_bytes() == raw.read_bytes()
    assert data_state(project, "churn") is DataState.PINNED
    assert project.stale_parameters("churn", "churn") == []
    assert page_digest(project.build("churn") / "profile.html")
    assert not [*(project.root / "build").glob(".new-*")]
    said = capsys.readouterr().out
    assert "8 columns" in said
    assert re.search(r"고객번호 +left out +none +300 +identifier: all values differ", said)
    assert re.search(r"이탈 +target", said)
    assert "next: gristmill run churn" in said


def test_other_experiments_keep_their_pin(project: Project, raw: Path) -> None:
    make("churn", raw)
    assert data_state(project, "digits") is DataState.PINNED
    assert not [c for c in git(project.root, "status", "--porcelain").splitlines() if "digits" in c]


def test_data_already_in_place_stay_there_and_can_be_shared(project: Project, raw: Path) -> None:
    there = customers(project.root / "data" / "churn" / "a.csv")
    make("churn", there)
    make("churn_again", "data/churn/a.csv", target="나이")
    assert load_experiment(project, "churn_again").data.path == "data/churn/a.csv"
    assert load_experiment(project, "churn_again").data.task == "regression"
    assert data_state(project, "churn") is DataState.PINNED


def test_an_address_is_written_to_the_file_as_the_source(project: Project) -> None:
    make("flowers", "sklearn:iris", target="species")
    data = load_experiment(project, "flowers").data
    assert (data.source, data.path) == ("sklearn:iris", "data/flowers/iris.csv")


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("https://host/a/customers.csv.gz?token=1", "customers.csv.gz"),
        ("https://host/", "churn.csv"),
        ("s3://bucket/folder/rows.parquet", "rows.parquet"),
        ("openml:credit-g", "credit-g.csv"),
        ("openml:credit-g@1", "churn.csv"),
        ("keras:mnist", "mnist.npz"),
    ],
)
def test_data_from_an_address_keep_their_file_name(address: str, file: str) -> None:
    assert module._place(Project(Path()), "churn", address, None).path == f"data/churn/{file}"


def test_a_file_of_the_project_can_be_a_source(project: Project) -> None:
    customers(project.root / "inbox" / "a.csv")
    make("churn", "inbox/a.csv")
    assert load_experiment(project, "churn").data.source == "inbox/a.csv"


def test_without_a_target_the_columns_are_listed_and_likely_targets_named(
    project: Project, raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(project)
    with pytest.raises(ConfigError, match="which column should be predicted") as caught:
        make("churn", raw, target=None)
    assert "자동이체" in capsys.readouterr().out
    assert "이탈" in caught.value.found
    assert caught.value.next.endswith("--target 이탈")
    assert state(project) == before


@dataclass(frozen=True)
class Wrong:
    """A refused command, and the text of its message."""

    about: str
    said: str
    next: str
    name: str = "churn"
    options: dict[str, Any] | None = None
    data: str | None = None
    content: str | None = None
    kind: type[Exception] = ConfigError


MANY = "x,y\n" + "1,2\n3,4\n5,6\n" * 9
WRONG = [
    Wrong("a path as a name", "cannot be called '../churn'", "new churn", name="../churn"),
    Wrong("a name in Hangul", "cannot be called '고객'", "gristmill new", name="고객"),
    Wrong("a used name", "experiment 'digits' already", "digits_2", name="digits"),
    Wrong("a name that differs by case", "'digits' already", "data refresh", name="Digits"),
    Wrong("a missing file", "does not exist", "고객 목록.csv", data="고객 목롤.csv"),
    Wrong("a wrong target", "no column '이탙'", "--target 이탈", options={"target": "이탙"}),
    Wrong("a wrong task", "no task 'clasification'", "classification",
          options={"task": "clasification"}),
    Wrong("text as a regression target", "cannot be learnt as a number", "--task",
          options={"task": "regression"}),
    Wrong("too many classes", "too many different values", "another --target",
          options={"target": "고객번호"}),
    Wrong("a date as the target", "cannot be learnt as a number", "another --target",
          options={"target": "가입일"}),
    Wrong("a password in the address", "password", "", data="postgresql://me:secret@host/db"),
    Wrong("an example and data", "data or with an example", "--data", options={"example": "x"}),
    Wrong("a folder without an example", "data or with an example", "--data",
          options={"origin": Path()}),
    Wrong("an empty file", "cannot be read as a table", "", content="", kind=InputError),
    Wrong("a target without values", "rows below the header", "", content="x,y\n" + "7,\n" * 30,
          options={"target": "y"}, kind=InputError),
    Wrong("a constant target", "constant", "", content="x,y\n1,2\n2,2\n" * 1 + "3,2\n" * 20,
          options={"target": "y"}, kind=DataInvalid),
    Wrong("too few rows", "too few rows", "", content="x,y\n1,2\n3,4\n",
          options={"target": "y"}, kind=DataInvalid),
    Wrong("no usable feature", "no column is left", "", content="x,y\n" + "1,2\n1,3\n" * 9,
          options={"target": "y"}),
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.about)
def test_an_error_is_reported_and_leaves_nothing_behind(
    project: Project, raw: Path, wrong: Wrong
) -> None:
    data = wrong.data or str(raw)
    if wrong.content is not None:
        data = str(raw.with_name("other.csv"))
        Path(data).write_text(wrong.content)
    elif wrong.data and "://" not in wrong.data:
        data = str(raw.with_name(wrong.data))
    before = state(project)
    with pytest.raises(wrong.kind, match=re.escape(wrong.said)) as caught:
        make(wrong.name, data, **{"target": "이탈", **(wrong.options or {})})
    assert wrong.next in str(caught.value)
    assert state(project) == before


def test_existing_data_of_the_same_name_are_never_changed(project: Project, raw: Path) -> None:
    other = project.root / "data" / "churn" / "precious.csv"
    other.parent.mkdir()
    other.write_text("a,b\n1,2\n")
    before = state(project)
    with pytest.raises(ConfigError, match="data/churn exists already"):
        make("churn", raw)
    assert state(project) == before


def test_pinned_data_that_were_edited_are_refused(project: Project) -> None:
    file = project.root / "data" / "digits" / "digits.csv"
    file.write_text(file.read_text() + "1," * 64 + "1\n")
    before = state(project)
    with pytest.raises(InputError, match="data/digits was edited by hand"):
        make("more", file, target="digit")
    assert state(project) == before


def test_the_same_command_works_after_it_was_killed_half_way(project: Project, raw: Path) -> None:
    left = project.root / "data" / "churn" / raw.name
    left.parent.mkdir()
    left.write_bytes(raw.read_bytes())
    (project.root / "build" / ".new-killed").mkdir(parents=True)
    make("churn", raw)
    assert data_state(project, "churn") is DataState.PINNED
    assert not [*(project.root / "build").glob(".new-*")]


def test_a_failure_at_the_last_step_restores_everything(project: Project, raw: Path) -> None:
    project.build("churn").parent.mkdir(exist_ok=True)
    project.build("churn").write_text("a file where the page's folder must be")
    before = state(project)
    with pytest.raises(NotADirectoryError, match=r"profile\.html"):
        make("churn", raw)
    assert state(project) == before
    assert data_state(project, "digits") is DataState.PINNED


def test_ctrl_c_in_the_middle_leaves_nothing(
    project: Project, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    before = state(project)
    # called after the pin has moved
    monkeypatch.setattr("gristmill.pipelines.ingestion.data_digest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make("churn", raw)
    assert state(project) == before
    assert data_state(project, "churn") is DataState.ABSENT


def test_only_one_new_command_runs_at_a_time(project: Project, raw: Path) -> None:
    with module.alone(project), pytest.raises(EnvironmentFault, match="another"):
        make("churn", raw)


EXAMPLE = """
data: {path: data/flowers/iris.csv, source: "sklearn:iris", target: species, task: classification}
schema: {}
split: {}
features: {}
model: {builder: "small:build"}
"""


@pytest.fixture
def examples(project: Project) -> Path:
    folder = project.root / "examples"
    folder.mkdir(exist_ok=True)
    (folder / "flowers.yaml").write_text(EXAMPLE)
    (folder / "small.py").write_text("def build(shape, outputs): ...\n")
    return folder


def copy(name: str, example: str, origin: Path | None = None) -> None:
    new(name, example=example, origin=origin)


def test_an_example_is_copied_with_its_builder(project: Project, examples: Path) -> None:
    copy("mine", "flowers")
    copy("mine_too", "flowers")  # the same builder may exist already
    assert load_experiment(project, "mine").document.model.builder == "small:build"
    assert (project.experiments / "small.py").exists()
    assert project.stale_parameters("mine", "flowers") == []


def test_an_example_reads_its_data_from_a_folder(
    project: Project, examples: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "iris.csv").write_text("a,species\n1,2\n")
    copy("mine", "flowers", tmp_path / "disk")
    assert (project.root / "data" / "flowers" / "iris.csv").read_text() == "a,species\n1,2\n"
    assert data_state(project, "flowers") is DataState.PINNED


def test_invalid_examples_leave_nothing(project: Project, examples: Path, tmp_path: Path) -> None:
    before = state(project)
    with pytest.raises(ConfigError, match="no example 'flower'") as caught:
        copy("mine", "flower")
    assert "--example flowers" in str(caught.value)
    with pytest.raises(ConfigError, match="data are not in that folder"):
        copy("mine", "flowers", tmp_path)
    assert state(project) == before
    (project.experiments / "small.py").write_text("# mine\n")
    with pytest.raises(ConfigError, match=r"small\.py exists already"):
        copy("mine", "flowers")


def paint(folder: Path, *sizes: tuple[int, int]) -> Path:
    """Write a few pictures of two classes; sizes as (height, width)."""
    for place in range(12):
        height, width = sizes[place % len(sizes)]
        kind = folder / ("고양이" if place % 3 else "dog")
        kind.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 255, (height, width, 3), np.uint8)).save(
            kind / f"{place}.png"
        )
    return folder


def test_a_folder_of_pictures_becomes_an_experiment_of_one_size(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make("pets", paint(tmp_path / "raw", (20, 30), (40, 30), (300, 200)), target=None)
    document = load_experiment(project, "pets").document
    assert document.data.target == "label"
    assert document.data.pictures == Pictures(height=40, width=30, channels=3)
    assert document.features.exclude == ("path",)
    assert document.features.scale == "minmax"
    assert "Conv2D" in document.model.layers[0]
    assert "resized to 40 × 30" in " ".join(capsys.readouterr().out.split())
    assert "data:image/png" in (project.build("pets") / "profile.html").read_text("utf-8")


def test_declared_settings_of_pictures_are_written_into_the_experiment(
    project: Project, tmp_path: Path
) -> None:
    for place in range(12):
        kind = tmp_path / "raw" / "xy"[place % 2]
        kind.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.random((5, 4), np.float32)).save(kind / f"{place}.tif")
    with pytest.raises(InputError, match=r"(?s)floats.*--pictures range=LOW,HIGH"):
        make("scans", tmp_path / "raw", target=None)
    settings = ["range=0,1", "background=#000000"]
    make("scans", tmp_path / "raw", target=None, pictures=settings)
    found = load_experiment(project, "scans").document.data.pictures
    assert found == Pictures(height=5, width=4, channels=1, background="#000000", range=(0, 1))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("rang=0,1", "--pictures has no setting 'rang'"),
        ("range=1,0", "--pictures range cannot have this value|lower one first"),
        ("background=nocolour", "--pictures background cannot have this value"),
        ("height=3", "must be given together"),
        ("channels=1", "--pictures is for picture files"),
    ],
)
def test_a_wrong_setting_of_pictures_is_refused(
    project: Project, raw: Path, setting: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        make("scans", raw, "y", pictures=[setting])


def test_large_pictures_are_scaled_down_and_keep_their_proportions(tmp_path: Path) -> None:
    form, why = fitting_form(paint(tmp_path, (400, 200))) or (None, "")
    assert form == Pictures(height=128, width=64, channels=3)
    assert "scaled down" in why


def test_arrays_with_separate_test_rows_keep_them(project: Project, tmp_path: Path) -> None:
    x, y = np.zeros((60, 9, 9), np.uint8), np.arange(60) % 3
    np.savez(tmp_path / "a.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    make("arrays", tmp_path / "a.npz", target=None)
    document = load_experiment(project, "arrays").document
    assert (document.data.target, document.data.task) == ("label", "classification")
    assert document.split.test == "given"
    assert document.data.pictures is None


def test_a_query_is_written_to_the_file_with_notes_about_it(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(project.root / "shop.db")) as shop, shop:
        shop.execute("create table c (age integer, gone text)")
        rows = [(i % 50, "yes" if i % 50 > 20 else "no") for i in range(200)]
        shop.executemany("insert into c values (?, ?)", rows)
    make("shop", "sqlite:///shop.db", target="gone", query="SELECT * FROM c")
    data = load_experiment(project, "shop").data
    assert (data.source, data.query) == ("sqlite:///shop.db", "SELECT * FROM c")
    assert data.path == "data/shop/shop.parquet"
    assert "no ORDER BY" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "query", "match"),
    [
        ("sqlite:///shop.db", None, "no --query"),
        ("sklearn:iris", "SELECT 1", "--query for sklearn:iris"),
        ("postgresql://me:secret@host/db", "SELECT 1", "GRISTMILL_SQL_PASSWORD"),
    ],
)
def test_a_query_needs_a_database_and_neither_may_contain_a_password(
    project: Project, data: str, query: str | None, match: str
) -> None:
    before = state(project)
    with pytest.raises(ConfigError, match=match) as refused:
        make("shop", data, query=query)
    assert "secret" not in str(refused.value)
    assert state(project) == before


def test_an_archive_of_pictures_is_extracted(project: Project, tmp_path: Path) -> None:
    paint(tmp_path / "raw" / "pets", (9, 9))
    packed = shutil.make_archive(str(tmp_path / "pets-1.0"), "zip", tmp_path / "raw")
    make("pets", packed, target=None)
    assert load_experiment(project, "pets").data.path == "data/pets/pets-1.0"
    assert (project.root / "data" / "pets" / "pets-1.0" / "dog").is_dir()


def test_broken_pictures_leave_nothing_behind(project: Project, tmp_path: Path) -> None:
    folder = paint(tmp_path / "raw", (9, 9))
    (folder / "dog" / "0.png").write_bytes(b"no picture")
    before = state(project)
    with pytest.raises(InputError, match=r"dog/0\.png"):
        make("pets", folder, target=None)
    assert state(project) == before


@pytest.mark.slow
def test_an_uncleaned_file_becomes_a_registered_model_with_a_profile(
    project: Project, raw: Path, gristmill: Run
) -> None:
    gristmill("new", "churn", "--data", str(raw), "--target", "이탈", check=True)
    done = gristmill("run", "churn", check=True, timeout=400)
    assert "churn version 1 is the champion now" in done.stdout
    kept = [*(project.store / "artifacts").rglob("profile.html")]
    assert len(kept) == 1
    assert kept[0].read_bytes() == (project.build("churn") / "profile.html").read_bytes()


def test_the_index_of_a_shuffled_data_frame_is_no_feature(project: Project, tmp_path: Path) -> None:
    """pandas writes it into a Parquet file; here it would reveal the target."""
    y = np.repeat(["no", "yes"], 150)
    frame = pd.DataFrame({"x": RNG.normal(size=300), "y": y}).sample(frac=0.8, random_state=1)
    frame.to_parquet(tmp_path / "unnamed.parquet")
    frame.rename_axis("place").to_parquet(tmp_path / "named.parquet")
    for name, index in (("unnamed", "__index_level_0__"), ("named", "place")):
        make(name, tmp_path / f"{name}.parquet", target="y")
        assert load_experiment(project, name).document.features.exclude == (index,)
