"""The project folder and its entries in params.yaml."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.base.files import write_json
from gristmill.pipelines.base.yaml_file import read_yaml
from gristmill.pipelines.config.project import STAGE_LIBRARIES, Project

PARAMS = """\
# the first line stays
experiments:
  churn: {data: customers}  # so does this
libraries:
  # and this
  numpy: 0.0.1
"""


@pytest.fixture
def bare(tmp_path: Path) -> Project:
    """A minimal project."""
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "experiments").mkdir()
    return Project(tmp_path)


def test_the_project_is_found_from_a_folder_inside_it(
    bare: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = bare.root / "a" / "b"
    deep.mkdir(parents=True)
    assert Project.find(deep) == bare
    monkeypatch.chdir(bare.experiments)
    assert Project.find() == bare


def test_the_nearest_enclosing_project_is_used(bare: Project) -> None:
    inner = bare.root / "inner"
    (inner / "experiments").mkdir(parents=True)
    (inner / "dvc.yaml").touch()
    assert Project.find(inner / "experiments").root == inner


def test_outside_a_project_the_error_names_the_folder_searched(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=f"(?s)not a Gristmill project.*dvc.yaml.*found +{tmp_path}\n.*cd into"
    ):
        Project.find(tmp_path)


def test_a_project_without_git_is_refused_with_the_command_to_run(bare: Project) -> None:
    with pytest.raises(ConfigError, match=r"(?s)not in a git repository.*git init"):
        bare.require_git()
    (bare.root / ".git").mkdir()
    bare.require_git()


def test_experiment_names_are_the_sorted_yaml_files(bare: Project) -> None:
    for name in ("b.yaml", "a.yaml", "a.split.json", "models.py"):
        (bare.experiments / name).touch()
    assert bare.experiment_names() == ["a", "b"]


def test_registering_keeps_comments_and_the_other_entries(bare: Project) -> None:
    bare.params_file.write_text(PARAMS)
    assert bare.register("digits", "digits")
    text = bare.params_file.read_text()
    for line in ("# the first line stays", "# so does this", "# and this"):
        assert line in text
    content = read_yaml(bare.params_file)
    assert content["experiments"] == {"churn": {"data": "customers"}, "digits": {"data": "digits"}}
    assert content["libraries"] == {name: version(name) for name in STAGE_LIBRARIES}


def test_registering_again_writes_nothing(bare: Project) -> None:
    assert bare.register("digits", "digits")
    before = bare.params_file.read_bytes(), bare.params_file.stat().st_mtime_ns
    assert not bare.register("digits", "digits")
    assert (bare.params_file.read_bytes(), bare.params_file.stat().st_mtime_ns) == before


def test_stale_entries_of_params_yaml_are_listed_line_by_line(bare: Project) -> None:
    bare.params_file.write_text(PARAMS)
    lines = bare.stale_parameters("digits", "digits")
    assert lines[0] == "digits is new in params.yaml"
    assert f"numpy 0.0.1 → {version('numpy')}" in lines
    assert f"pandas none → {version('pandas')}" in lines


def test_an_experiment_with_another_data_set_is_stale(bare: Project) -> None:
    bare.register("digits", "digits")
    assert bare.stale_parameters("digits", "letters") == ["digits is new in params.yaml"]


CUTS = {"rule": {"seed": 0}, "identity": "content", "cuts": {"a": [0.2, 0.4]}, "columns": ["x"]}
SHARED = CUTS | {"rule": {"seed": 0, "as": "owner"}}


@pytest.mark.parametrize(
    ("mine", "theirs", "stale"),
    [
        (SHARED, CUTS, False),
        (SHARED | {"cuts": {"a": [0.2, 0.4], "new": [0.1, 0.3]}}, CUTS, False),
        (SHARED, CUTS | {"cuts": {"a": [0.2, 0.5]}}, True),
        (SHARED, CUTS | {"cuts": {"a": [0.2, 0.4], "b": [0.1, 0.3]}}, True),
        (SHARED, CUTS | {"rule": {"seed": 1}}, True),
        (SHARED, CUTS | {"dates": {"test_from": "2026-01-01"}}, True),
        (SHARED, ["damaged"], True),
        (SHARED, None, False),
        (None, CUTS, False),
    ],
)
def test_shared_cuts_are_stale_when_those_of_their_owner_differ(
    tmp_path: Path, mine: object, theirs: object, stale: bool
) -> None:
    project = Project(tmp_path)
    for name, content in (("mine", mine), ("owner", theirs)):
        if content is not None:
            write_json(project.cuts_file(name), content)
    assert project.stale_cuts("mine", "owner") == stale
    assert not project.stale_cuts("mine", None)
