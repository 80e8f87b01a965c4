"""`gristmill data bisect`: the search, its end points, and a whole run over five versions."""

from __future__ import annotations

import math
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from aftermath import TINY, Command, processes_of, until
from hypothesis import given
from hypothesis import strategies as st
from versioned import HEADER, ROWS, commit, take, write

from gristmill.commands.bisect import bisect, first_bad
from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.config.experiment import load_experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.evaluation.metrics.stored_names import logged
from gristmill.pipelines.ingestion.versions.data_log import data_log
from gristmill.pipelines.registry.champion_answers import recipe_digest
from gristmill.pipelines.registry.registered_models import register, versions
from gristmill.pipelines.tracking import Tracker
from tests.conftest import Run, git


@given(st.integers(2, 3000).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n - 1))))
def test_the_first_bad_version_is_found_in_log2_n_questions(case: tuple[int, int]) -> None:
    n, wanted = case
    asked: list[int] = []

    def is_bad(place: int) -> bool:
        asked.append(place)
        return place >= wanted

    assert first_bad(n, is_bad) == wanted
    assert len(asked) <= math.ceil(math.log2(n))
    assert len(set(asked)) == len(asked)
    assert not {0, n - 1} & set(asked)


@given(st.lists(st.booleans(), max_size=60))
def test_where_good_and_bad_alternate_a_bad_version_after_a_good_one_is_found(
    inside: list[bool],
) -> None:
    line = [False, *inside, True]
    place = first_bad(len(line), line.__getitem__)
    assert (line[place - 1], line[place]) == (False, True)


def model(project: Project, digest: str, accuracy: float, recipe: str = "") -> None:
    """Register a version of `tiny` that names its training data and its accuracy."""
    tags = {
        "gristmill.data": digest,
        "gristmill.metric.accuracy": repr(accuracy),
        "gristmill.metric.log_loss": repr(1 - accuracy),
        "gristmill.recipe": recipe,
    }
    with Tracker(project, "tiny") as tracker:
        register(project, "tiny", "somewhere", tracker.run_id, tags)


def digests(project: Project) -> list[str]:
    """Return the digests of the data versions, oldest first."""
    return [version.digest for version in data_log(project, "tiny").versions[::-1]]


@pytest.fixture
def line(
    versioned: Project, store_once: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Project, list[str]]:
    """Return a project with seven data versions and an empty registry, and the hashes."""
    shutil.copytree(store_once, versioned.store, dirs_exist_ok=True)
    monkeypatch.chdir(versioned.root)
    for rows in range(57, 52, -1):
        take(versioned, "tiny", write(versioned.root.parent / f"{rows}.csv", ROWS[:rows]))
        commit(versioned, f"{rows} rows")
    return versioned, digests(versioned)


def test_registered_results_of_the_same_recipe_need_no_training(
    line: tuple[Project, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    project, found = line
    recipe = recipe_digest(load_experiment(project, "tiny"))
    for digest, accuracy in zip(found, (0.95, 0.94, 0.96, 0.91, 0.72, 0.7, 0.71), strict=True):
        model(project, digest, accuracy, recipe)
    for metric in ("accuracy", "log_loss"):
        bisect("tiny", metric, "1", found[-1][:8])
        said = capsys.readouterr().out
        assert f"{metric} was lost with version {found[4][:8]} of the data" in said
        assert f"against {found[3][:8]} before it: rows: 0 added, 1 removed" in said
        assert "0 trainings of at most 3" in said
        assert f"next: gristmill data use tiny {found[3][:8]}" in said
        assert "other settings" not in said


def test_classes_whose_names_mlflow_refuses_are_told_apart_also_beside_earlier_versions(
    line: tuple[Project, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    project, found = line
    file = project.experiment_file("tiny")
    measured = 'evaluation: {metrics: ["recall:<30", "recall:100%"]}\n'
    file.write_text(file.read_text() + measured)
    stored = ({"recall:_30": 0.9, "recall:100_": 0.1}, {"recall:<30": 0.5, "recall:100%": 0.2})
    for place, values in zip(
        (0, 1), (stored[0], {logged(n): v for n, v in stored[1].items()}), strict=True
    ):
        tags = {f"gristmill.metric.{name}": repr(value) for name, value in values.items()}
        with Tracker(project, "tiny") as tracker:
            tags["gristmill.data"] = found[place]
            register(project, "tiny", "somewhere", tracker.run_id, tags)
    bisect("tiny", "recall:<30", "1", "2")
    said = capsys.readouterr().out
    assert "recall:<30 0.9000" in said
    assert "recall:<30 0.5000" in said
    with pytest.raises(ConfigError, match="nothing was lost: recall:100%"):
        bisect("tiny", "recall:100%", "1", "2")


def test_an_end_point_measured_with_other_settings_is_marked(
    line: tuple[Project, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    project, found = line
    model(project, found[0], 0.9, "of earlier code")
    model(project, found[1], 0.6, recipe_digest(load_experiment(project, "tiny")))
    bisect("tiny", "accuracy", "1", "2")
    said = capsys.readouterr().out
    assert f"! {found[0][:8]} was measured with other settings or code" in said
    assert f"! {found[1][:8]} was measured" not in said


def test_end_points_with_no_possible_loss_between_them_are_refused(
    line: tuple[Project, list[str]],
) -> None:
    project, found = line
    for place, accuracy in ((0, 0.7), (6, 0.9)):
        model(project, found[place], accuracy)
    model(project, "f" * 32, 0.5)
    with pytest.raises(ConfigError, match=r"(?s)nothing was lost.*more than 0.9000.*0.7000"):
        bisect("tiny", "accuracy", "tiny@1", "2")
    with pytest.raises(ConfigError, match="the good end is not before the bad one"):
        bisect("tiny", "accuracy", "2", "1")
    with pytest.raises(ConfigError, match="the same version of the data"):
        bisect("tiny", "accuracy", "first", "1")
    with pytest.raises(ConfigError, match=r"(?s)not in the line of history.*data log tiny"):
        bisect("tiny", "accuracy", "1", "3")
    with pytest.raises(ConfigError, match="tiny has no version 9"):
        bisect("tiny", "accuracy", "1", "9")
    with pytest.raises(ConfigError, match="data/tiny has no version 'nowhere'"):
        bisect("tiny", "accuracy", "1", "nowhere")
    with pytest.raises(ConfigError, match=r"(?s)does not measure 'acuracy'.*--metric accuracy"):
        bisect("tiny", "acuracy", "1", "2")


def test_versions_on_parallel_branches_are_refused(line: tuple[Project, list[str]]) -> None:
    project, found = line
    git(project.root, "checkout", "-qb", "side", "HEAD~1")
    take(project, "tiny", write(project.root.parent / "side.csv", ROWS[:40]))
    commit(project, "side")
    git(project.root, "merge", "-q", "-s", "ours", "--no-commit", "main")
    take(project, "tiny", write(project.root.parent / "merged.csv", ROWS[:41]))
    commit(project, "merged")
    with pytest.raises(ConfigError, match="parallel branches"):
        bisect("tiny", "accuracy", found[0], "HEAD")


def labelled(rows: int, wrong: bool) -> list[str]:
    """Return rows whose label depends on `a`, or is random if `wrong`."""
    rng = random.Random(rows)
    at_random = [rng.choice(["yes", "no"]) for _ in range(rows)]
    return [
        f"{i * 37 % 100},{(i * 7 % 60) / 8},"
        + (at_random[i] if wrong else "yes" if i * 37 % 100 > 50 else "no")
        for i in range(rows)
    ]


@pytest.fixture
def broken(
    versioned: Project, store_once: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Project, list[str]]:
    """Return two models and five data versions; labels are broken from the third on."""
    shutil.copytree(store_once, versioned.store, dirs_exist_ok=True)
    monkeypatch.chdir(versioned.root)
    versioned.experiment_file("tiny").write_text(TINY.replace("search: {", "# {"))
    for place in range(5):
        rows = labelled(300 + place, wrong=place >= 2)
        take(versioned, "tiny", write(versioned.root.parent / f"{place}.csv", rows, HEADER))
        commit(versioned, f"version {place}")
    found = digests(versioned)[-5:]
    model(versioned, found[0], 0.98)
    model(versioned, found[-1], 0.5)
    return versioned, found


@pytest.mark.slow
def test_the_version_that_broke_the_labels_is_found_and_never_trained_on_twice(
    broken: tuple[Project, list[str]], gristmill: Run
) -> None:
    project, found = broken
    file = project.experiment_file("tiny")
    file.write_text(file.read_text() + "# not committed\n")
    before = git(project.root, "status", "--porcelain"), len(versions(project, "tiny"))
    done = gristmill(*WORDS, check=True)
    assert f"accuracy was lost with version {found[2][:8]} of the data" in done.stdout
    assert f"against {found[1][:8]} before it: rows: " in done.stdout
    assert "2 trainings of at most 3" in done.stdout
    assert len(re.findall(r"^  good .*trained, \d+ s$", done.stdout, re.MULTILINE)) == 1
    again = gristmill(*WORDS, check=True)
    assert "0 trainings of at most 3" in again.stdout
    assert f"accuracy was lost with version {found[2][:8]} of the data" in again.stdout
    assert (git(project.root, "status", "--porcelain"), len(versions(project, "tiny"))) == before
    assert git(project.root, "worktree", "list").count("\n") == 1
    assert processes_of(project) == []


def aside_of(project: Project) -> Project:
    """Wait until processes work in the working tree of a bisection; return the tree."""
    trees = project.root / ".git" / "worktrees"
    until(lambda: [*trees.glob("*/gitdir")], "a working tree", 30)
    (file,) = trees.glob("*/gitdir")
    aside = Project(Path(file.read_text().strip()).parent)
    until(
        lambda: any("prefect_server" in one for one in processes_of(aside)),
        "its server",
        60,
    )
    return aside


WORDS = ("data", "bisect", "tiny", "--metric", "accuracy", "--good", "1", "--bad", "2")


@pytest.mark.slow
def test_ctrl_c_leaves_no_file_and_no_process(
    broken: tuple[Project, list[str]], command: Callable[..., Command]
) -> None:
    project, _ = broken
    run = command(project, *WORDS)
    aside = aside_of(project)
    assert run.interrupt() == 130, run.said
    assert "interrupted; what was measured is kept" in run.said
    assert "Traceback" not in run.said
    until(lambda: not processes_of(aside), "the end of its processes", 20)
    assert not aside.root.parent.exists()
    assert git(project.root, "worktree", "list").count("\n") == 1
    assert git(project.root, "status", "--porcelain") == ""


@pytest.mark.slow
def test_after_a_kill_no_process_continues(
    broken: tuple[Project, list[str]], command: Callable[..., Command]
) -> None:
    project, _ = broken
    run = command(project, *WORDS)
    aside = aside_of(project)
    run.process.kill()
    run.process.wait()
    until(lambda: not processes_of(aside), "the end of its processes", 30)
    shutil.rmtree(aside.root.parent)  # the next bisection removes it
