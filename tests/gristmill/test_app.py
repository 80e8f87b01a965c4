from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aftermath import (
    TINY,
    champions,
    edit,
    left_aside,
    processes_of,
    read_tree,
    tiny_rows,
    write_tiny,
)

from gristmill.pipelines.base.printable import printable
from gristmill.pipelines.config.project import Project
from tests.conftest import BIN, Run, clean_environment, gristmill_in

Prepare = Callable[[Project], object]
ROWS = tiny_rows()
NOWHERE = "http://127.0.0.1:9"
"""An address at which nothing answers."""


def in_file(old: str, new: str) -> Prepare:
    """Change the experiment file."""
    return lambda project: edit(project.experiment_file("tiny"), old, new)


def file_is(text: str) -> Prepare:
    return lambda project: project.experiment_file("tiny").write_text(text, encoding="utf-8")


def data_are(rows: list[str], header: str = "a,b,label") -> Prepare:
    return lambda project: write_tiny(project, rows, header)


def bytes_are(content: bytes) -> Prepare:
    return lambda project: (project.root / "data/tiny/tiny.csv").write_bytes(content)


def offered(row: str, *, rows: list[str] = ROWS) -> Prepare:
    """Write a new version of the data with a row inserted as the fourth."""
    lines = ["a,b,label", *rows[:3], *([row] if row else []), *rows[3:]]
    return lambda project: (project.root / "new.csv").write_text("\n".join(lines) + "\n")


def broken_off(project: Project) -> None:
    edit(project.experiment_file("tiny"), "tiny.csv,", "tiny.csv.gz,")
    whole = gzip.compress(write_tiny(project).read_bytes())
    (project.root / "data/tiny/tiny.csv.gz").write_bytes(whole[:-40])


def data_gone(project: Project) -> None:
    shutil.rmtree(project.root / "data" / "tiny")
    shutil.rmtree(project.root / ".dvc" / "cache")


def source_changed(project: Project) -> None:
    edit(project.experiment_file("tiny"), "tiny.csv,", "tiny.csv, source: origin.csv,")
    (project.root / "origin.csv").write_text("a,b,label\n1,2,no\n")
    data_gone(project)


def read_only_store(project: Project) -> None:
    for path in [*project.store.rglob("*"), project.store]:
        path.chmod(path.stat().st_mode & ~0o222)


def store_of_tomorrow(project: Project) -> None:
    with sqlite3.connect(project.store / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")


@dataclass(frozen=True)
class Case:
    """An error, and the text of its message."""

    name: str
    words: str
    code: int
    said: tuple[str, ...]
    prepare: Prepare | None = None
    env: dict[str, str] = field(default_factory=dict)


VALID = "experiments/tiny.yaml is not valid: 1 problem"
TABLE = "tiny.csv cannot be read as a table"
SCHEMA = "the data break the schema: 1 finding"
REFRESH = "data refresh tiny --data new.csv"
CASES = [
    Case(
        "no such experiment", "plan diggits", 1, ("no experiment 'diggits'", "gristmill run digits")
    ),
    Case("a path as a name", "plan ../tiny", 1, ("no experiment '../tiny'", "gristmill run tiny")),
    Case("no such parameter", "plan tiny -P unitz=3", 1, ("'unitz' is not", "tiny -P units=3")),
    Case("a parameter without a value", "plan tiny -P units", 1, ("-P needs", "-P units")),
    Case("a parameter that is a list", "plan tiny -P units=[1,2]", 1, ("-P needs", "units=[1,2]")),
    Case(
        "an unknown key",
        "plan tiny",
        1,
        (VALID, "training.optimiser", "unknown key 'optimiser'", "did you mean optimizer?"),
        in_file("optimizer:", "optimiser:"),
    ),
    Case(
        "an unknown layer",
        "plan tiny",
        1,
        (VALID, "model.layers.0: keras.layers has no 'Dence'; did you mean Dense?"),
        in_file("Dense:", "Dence:"),
    ),
    Case(
        "an unknown metric",
        "plan tiny",
        1,
        (VALID, "evaluation.metrics", "no metric 'acuracy'; did you mean accuracy?"),
        file_is(TINY + "evaluation: {metrics: [acuracy]}\n"),
    ),
    Case(
        "a metric of the other task",
        "plan tiny",
        1,
        (VALID, "gate.require", "no metric 'rmse': it has accuracy"),
        file_is(TINY + "gate: {require: {rmse: {min: 0.1}}}\n"),
    ),
    Case(
        "a wrong type",
        "plan tiny",
        1,
        (VALID, "training.epochs", "expected  integer", "found     'many'"),
        in_file("epochs: $epochs", "epochs: many"),
    ),
    Case(
        "no instead of a boolean",
        "plan tiny",
        1,
        (VALID, "split.stratify", "true or false", "YAML 1.2 knows only true and false"),
        in_file("split: {}", "split: {stratify: no}"),
    ),
    Case(
        "an undeclared $name",
        "plan tiny",
        1,
        (VALID, "model.layers.0.Dense.units", "found     $unit", "did you mean $units?"),
        in_file("$units", "$unit"),
    ),
    Case(
        "an empty grid",
        "plan tiny",
        1,
        (VALID, "learning_rate has no values, so there would be no trials"),
        in_file("[0.01, 0.1]", "[]"),
    ),
    Case(
        "a repeated key",
        "plan tiny",
        1,
        ("line 14", "each key once"),
        file_is(TINY + "split: {}\n"),
    ),
    Case("an empty experiment", "plan tiny", 1, ("not an experiment", "empty file"), file_is("")),
    Case(
        "a missing target column",
        "stage validate tiny",
        1,
        ("data.target", "found     lable", "did you mean label?", "columns a, b, label"),
        in_file("target: label", "target: lable"),
    ),
    Case(
        "a missing schema column",
        "stage validate tiny",
        1,
        ("schema.columns.bb", "did you mean b?", "columns a, b, label"),
        in_file("    b: {", "    bb: {"),
    ),
    Case("an empty file", "stage ingest tiny", 1, (TABLE, "an empty file"), bytes_are(b"")),
    Case("a header without rows", "stage ingest tiny", 1, (TABLE, "rows below"), data_are([])),
    Case(
        "a truncated file",
        "stage ingest tiny",
        1,
        ("tiny.csv.gz cannot be read", "a complete CSV", "Truncated"),
        broken_off,
    ),
    Case("binary data", "stage ingest tiny", 1, (TABLE, "binary data"), bytes_are(b"\x89PNG\0\0")),
    Case("a web page", "stage ingest tiny", 1, (TABLE, "a web page"), bytes_are(b"<html>")),
    Case(
        "ragged rows",
        "stage ingest tiny",
        1,
        ("tiny.csv has 2 ragged rows", "line 5\n", "line 63\n", "3 values in each row"),
        data_are([*ROWS[:3], "1,2", *ROWS[3:], "1,2,no,4"]),
    ),
    Case(
        "two column names that are equal in Unicode's form NFC",
        "stage ingest tiny",
        1,
        (TABLE, "more than once: 'caf\u00e9'"),
        data_are(ROWS, "caf\u00e9,cafe\u0301,label"),
    ),
    Case(
        "text in a column of numbers",
        REFRESH,
        2,
        (SCHEMA, "  b\n", "expected  a number", "1 of the rows (1.64%): row 4 with many"),
        offered("1,many,no"),
    ),
    Case(
        "a value out of range",
        REFRESH,
        2,
        (SCHEMA, "  a\n", "100 or less", "1 of the rows (1.64%): row 4 with 101"),
        offered("101,2,no"),
    ),
    Case(
        "a missing required value",
        REFRESH,
        2,
        (SCHEMA, "  a\n", "no missing value", "row 4"),
        offered(",2,no"),
    ),
    Case(
        "a constant target",
        REFRESH,
        2,
        (SCHEMA, "  label\n", "two different targets", "60 of the rows"),
        offered("", rows=[row.replace("yes", "no") for row in ROWS]),
    ),
    Case(
        "manually edited data",
        "data restore",
        1,
        (
            "data/tiny was edited by hand",
            "gristmill data refresh tiny --data data/tiny/tiny.csv   pins the edit",
            "gristmill data restore tiny   discards the edit",
        ),
        data_are(ROWS[:-1]),
    ),
    Case(
        "missing data without a source",
        "data restore tiny",
        1,
        ("the experiment names no source", "put it at data/tiny/tiny.csv, or dvc pull"),
        data_gone,
    ),
    Case(
        "a changed source",
        "data restore tiny",
        1,
        ("no longer has the pinned bytes", "origin.csv", "gristmill data refresh tiny to use"),
        source_changed,
    ),
    Case(
        "no git repository",
        "plan tiny",
        1,
        ("not in a git repository", "git init"),
        lambda project: shutil.rmtree(project.root / ".git"),
    ),
    Case(
        "a read-only store", "models", 4, ("mlruns is read-only", "chmod -R u+w"), read_only_store
    ),
    Case(
        "a newer store", "models", 4, ("a newer MLflow", "schema ffffffffffff"), store_of_tomorrow
    ),
    Case(
        "an unreachable store",
        "plan tiny",
        4,
        ("the MLflow server does not answer", NOWHERE, "unset MLFLOW_TRACKING_URI"),
        env={"MLFLOW_TRACKING_URI": NOWHERE},
    ),
    Case("an unknown stage", "stage ingset tiny", 1, ("'ingset'", "gristmill stage ingest tiny")),
    Case("an unknown model", "models tinny", 1, ("'tinny'", "gristmill models tiny")),
    Case("an unknown version", "models tiny --version 7", 1, ("no version 7", "one of 1")),
    Case("no previous champion", "rollback tiny", 1, ("cannot be rolled back", "first champion")),
    Case("a missing file to score", "score tiny x.csv", 1, ("does not exist", "x.csv")),
    Case(
        "an unsupported score format",
        "score tiny data/tiny/tiny.csv -o scores.xls",
        1,
        ("CSV or Parquet", "scores.xls"),
    ),
]


def is_one_block(error: str) -> bool:
    """Check for one sentence followed by indented and labelled lines."""
    first, *rest = error.rstrip("\n").split("\n")
    labels = {line.split()[0] for line in rest}
    return (
        first.startswith("error: ")
        and all(line.startswith("  ") for line in rest)
        and "Traceback" not in error
        and bool(labels & {"expected", "found", "next"})
    )


SLOW = ("a missing required value", "a value out of range")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.slow, id=case.name)
        if case.name in SLOW
        else pytest.param(case, id=case.name)
        for case in CASES
    ],
)
def test_an_error_is_shown_in_one_block_and_changes_no_earlier_result(
    case: Case, tiny: Project, gristmill: Run
) -> None:
    if case.prepare is not None:
        case.prepare(tiny)
    before = read_tree(tiny)
    done = gristmill(*case.words.split(), env=case.env)
    assert done.returncode == case.code, done.stdout + done.stderr
    assert is_one_block(done.stderr), done.stderr
    for text in case.said:
        assert text in done.stderr
    assert champions(tiny) == {"digits": 1, "tiny": 1}
    assert read_tree(tiny) == before
    assert left_aside(tiny) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("trian digits", "No such command 'trian'"),
        ("run digits --frce", "No such option: --frce"),
        ("run", "Missing argument"),
        ("plan tiny -P", "'-P' requires an argument"),
        ("up --prefect-port many", "Invalid value for '--prefect-port'"),
    ],
)
def test_a_wrong_command_line_ends_with_1_and_names_the_error(
    words: str, said: str, tmp_path: Path
) -> None:
    done = gristmill_in(tmp_path)(*words.split())
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("run", "\x1b[31m[/]"),
        ("\x1b]0;title\x07",),
        ("run", "tiny", "--\x1b[2J"),
        ("run", "tiny", "-P", "\x9b[/]=1"),
        ("models", "a\u202eb"),
        ("data", "use", "tiny", "\rgood"),
    ],
)
def test_control_characters_of_the_command_line_are_shown_escaped(
    cloned: Project, words: tuple[str, ...]
) -> None:
    done = gristmill_in(cloned.root)(*words)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert printable(done.stdout + done.stderr) == done.stdout + done.stderr


def test_outside_a_project_a_command_names_the_folder_it_searched(tmp_path: Path) -> None:
    done = gristmill_in(tmp_path)("plan", "digits")
    assert done.returncode == 1
    assert is_one_block(done.stderr)
    assert "this is not a Gristmill project" in done.stderr
    assert f"found     {tmp_path}" in done.stderr


def test_a_command_works_from_a_folder_inside_the_project(tiny: Project) -> None:
    done = gristmill_in(tiny.experiments)("config", "show", "tiny", check=True)
    assert "sixty rows made by hand" in done.stdout


def test_yaml_is_read_as_yaml_1_2(tiny: Project, gristmill: Run) -> None:
    edit(tiny.experiment_file("tiny"), "learning_rate: 0.01,", "learning_rate: 1e-4,")
    edit(tiny.experiment_file("tiny"), "units: 4,", "units: 010,")
    shown = gristmill("config", "show", "tiny", check=True).stdout
    assert "learning_rate: 0.0001" in shown  # not the text '1e-4'
    assert "units: 10\n" in shown or "units: 10," in shown  # not the octal 8
    assert "one_of: [no, yes]" in shown  # texts, not booleans


@pytest.mark.slow
def test_the_report_of_refused_data_is_where_the_error_says(tiny: Project, gristmill: Run) -> None:
    offered("101,2,no")(tiny)
    error = gristmill(*REFRESH.split()).stderr
    place = tiny.root / error.rstrip().rpartition("full report: ")[2]
    assert (place / "result.json").is_file()


@pytest.mark.slow
def test_invalid_data_end_a_run_with_2_and_keep_its_record(tiny: Project, gristmill: Run) -> None:
    edit(tiny.experiment_file("tiny"), "max: 100", "max: 50")
    done = gristmill("run", "tiny")
    assert done.returncode == 2
    assert is_one_block(done.stderr)
    assert "9 of the rows (15.00%): rows 52, 53, 54, 55, 56… with 51, 52" in done.stderr
    assert champions(tiny) == {"digits": 1, "tiny": 1}
    assert (tiny.build("tiny") / "roles.parquet").is_file()
    assert processes_of(tiny) == []


@pytest.mark.slow
def test_an_unreachable_server_ends_a_run_with_4_and_hides_the_password(
    tiny: Project, gristmill: Run
) -> None:
    env = {"PREFECT_API_URL": "http://me:secret@127.0.0.1:9/api"}
    done = gristmill("run", "tiny", "-P", "units=3", env=env)
    assert done.returncode == 4
    assert is_one_block(done.stderr)
    assert "the Prefect server does not answer" in done.stderr
    assert "unset PREFECT_API_URL" in done.stderr
    looked = gristmill("doctor", env=env)
    assert looked.returncode == 4
    assert "bad prefect" in looked.stdout
    assert "secret" not in done.stdout + done.stderr + looked.stdout + looked.stderr
    assert processes_of(tiny) == []


def test_a_full_disk_is_reported_and_existing_files_stay(tiny: Project) -> None:
    """A limit on the file size stands in for a full disk, which has another error number."""
    write_tiny(tiny, [f"{i % 101},{i * i / 7},{'yes' if i % 3 else 'no'}" for i in range(4000)])
    table = tiny.build("tiny") / "table.parquet"
    before = table.read_bytes()
    done = subprocess.run(
        [
            "bash",
            "-c",
            'ulimit -f 4; exec "$@"',
            "-",
            str(BIN / "gristmill"),
            "stage",
            "ingest",
            "tiny",
        ],
        cwd=tiny.root,
        env=clean_environment() | {"PYTHONDONTWRITEBYTECODE": "1"},  # pyc files would be cut off
        capture_output=True,
        text=True,
    )
    assert done.returncode == 4, done.stderr
    assert is_one_block(done.stderr)
    assert "File too large" in done.stderr
    assert "raise the limit on file sizes" in done.stderr
    assert table.read_bytes() == before
    assert left_aside(tiny) == []


def test_an_unexpected_error_is_one_block_and_with_debug_a_traceback(
    tiny: Project, gristmill: Run
) -> None:
    (tiny.build("tiny") / "table.parquet").write_bytes(os.urandom(100))
    done = gristmill("stage", "split", "tiny")
    assert done.returncode == 4
    assert is_one_block(done.stderr)
    assert "gristmill --debug" in done.stderr
    assert "Traceback" in gristmill("--debug", "stage", "split", "tiny").stderr


def test_an_eof_error_of_a_library_is_never_silent(tiny: Project, gristmill: Run) -> None:
    """typer treats an EOFError as the end of typed input and exits without a message."""
    (tiny.experiments / "eof.yaml").write_text(TINY)
    package = tiny.root / "elsewhere"
    package.mkdir()
    (package / "sitecustomize.py").write_text(
        "import gristmill.flows.run_plan\n"
        "def broken(*_, **__): raise EOFError('marshal data too short')\n"
        "gristmill.flows.run_plan.make_plan = broken\n"
    )
    done = gristmill("plan", "tiny", env={"PYTHONPATH": str(package)})
    assert done.returncode == 4
    assert "EOFError: marshal data too short" in done.stderr


def test_an_error_is_shown_while_a_started_stage_continues(
    tiny: Project, gristmill: Run, tmp_path: Path
) -> None:
    """A stage writes its error to a record that the environment names."""
    record = tmp_path / "ingest.json"
    package = tiny.root / "elsewhere"
    package.mkdir()
    (package / "sitecustomize.py").write_text(
        "import os, gristmill.flows.run_plan\n"
        "def broken(*_, **__):\n"
        f"    os.environ['GRISTMILL_RECORD'] = {str(record)!r}\n"
        "    raise RuntimeError('the server is gone')\n"
        "gristmill.flows.run_plan.make_plan = broken\n"
    )
    done = gristmill("plan", "tiny", env={"PYTHONPATH": str(package)})
    assert done.returncode == 4
    assert "the server is gone" in done.stderr
    assert not record.exists()


@pytest.mark.parametrize("moment", ["_main", "load_experiment", "_own"])
def test_ctrl_c_stays_ctrl_c_when_a_library_converts_it(
    tiny: Project, gristmill: Run, moment: str
) -> None:
    """In a serializer (the function `_own`) pydantic converts it into its own error."""
    package = tiny.root / "elsewhere"
    package.mkdir()
    (package / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "def watch(frame, event, _):\n"
        f"    if event == 'call' and frame.f_code.co_name == {moment!r}:\n"
        "        if 'gristmill' in sys.modules:\n"
        "            sys.setprofile(None)\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.setprofile(watch)\n"
    )
    done = gristmill("config", "show", "tiny", env={"PYTHONPATH": str(package)})
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted; the next run continues from here\n"
