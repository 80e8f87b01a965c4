"""Experiment files: refused values and their messages, `$name`, grid points."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import grid_points

from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.base.yaml_file import read_yaml
from gristmill.pipelines.config.experiment import Experiment, load_experiment, read_override
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.section import Scalar

ROOT = Path(__file__).parents[3]
SECTIONS = {
    "data": "{path: data/a/a.csv, target: y, task: classification}",
    "schema": "{}",
    "split": "{}",
    "features": "{}",
    "model": "{layers: [{Dense: {units: 4}}]}",
}
Load = Callable[..., Experiment]


def write(folder: Path, text: str) -> Project:
    project = Project(folder)
    project.experiments.mkdir(exist_ok=True)
    project.experiment_file("e").write_text(text, encoding="utf-8")
    return project


def document(sections: Mapping[str, str | None]) -> str:
    whole = {**SECTIONS, **sections}
    return "".join(f"{key}: {value}\n" for key, value in whole.items() if value is not None)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """A function that loads a small experiment with sections replaced; None omits one."""

    def loaded(overrides: Mapping[str, Scalar] | None = None, **sections: str | None) -> Experiment:
        return load_experiment(write(tmp_path, document(sections)), "e", overrides)

    return loaded


UNKNOWN_KEYS = [
    ({"spilt": "{}"}, "spilt", "split"),
    ({"data": "{path: data/a/a.csv, target: y, tsk: x}"}, "data.tsk", "task"),
    ({"schema": "{column: {}}"}, "schema.column", "columns"),
    ({"schema": "{rows: {mim: 1}}"}, "schema.rows.mim", "min"),
    ({"schema": "{columns: {a: {mising: never}}}"}, "schema.columns.a.mising", "missing"),
    ({"split": "{validaton: 0.2}"}, "split.validaton", "validation"),
    ({"features": "{scales: none}"}, "features.scales", "scale"),
    ({"model": "{layer: []}"}, "model.layer", "layers"),
    ({"training": "{epoch: 3}"}, "training.epoch", "epochs"),
    (
        {"training": "{early_stopping: {patiance: 1}}"},
        "training.early_stopping.patiance",
        "patience",
    ),
    (
        {"training": "{reduce_lr_on_plateau: {patiance: 1}}"},
        "training.reduce_lr_on_plateau.patiance",
        "patience",
    ),
    ({"search": "{worker: 2}"}, "search.worker", "workers"),
    ({"evaluation": "{metric: [accuracy]}"}, "evaluation.metric", "metrics"),
    ({"gate": "{requires: {}}"}, "gate.requires", "require"),
    ({"gate": "{require: {accuracy: {mx: 1}}}"}, "gate.require.accuracy.mx", "max"),
    ({"gate": "{champion: {confidense: 0.9}}"}, "gate.champion.confidense", "confidence"),
    ({"schedule": "{crom: '0 6 * * *'}"}, "schedule.crom", "cron"),
]


@pytest.mark.parametrize(("sections", "where", "right"), UNKNOWN_KEYS)
def test_an_unknown_key_at_any_depth_is_refused_with_the_nearest_name(
    load: Load, sections: dict[str, str], where: str, right: str
) -> None:
    key = where.split(".")[-1]
    words = rf"(?s)\n  {re.escape(where)}\n    expected  one of .*\b{right}\b.*"
    with pytest.raises(
        ConfigError, match=words + rf"unknown key '{key}'\n.*did you mean {right}\?"
    ):
        load(**sections)


UNKNOWN_NAMES = [
    ({"model": "{layers: [{Dens: {units: 4}}]}"}, "model.layers.0", "'Dens'", "Dense"),
    ({"model": "{layers: [], output: [Dens]}"}, "model.output.0", "'Dens'", "Dense"),
    ({"training": "{optimizer: Adm}"}, "training.optimizer", "'Adm'", "Adam"),
    ({"training": "{loss: mean_squared_eror}"}, "training.loss", "eror'", "mean_squared_error"),
    ({"training": "{metrics: [F1Scor]}"}, "training.metrics", "'F1Scor'", "F1Score"),
    ({"evaluation": "{metrics: [f1_makro]}"}, "evaluation.metrics", "'f1_makro'", "f1_macro"),
    ({"gate": "{require: {acuracy: {min: 0}}}"}, "gate.require", "'acuracy'", "accuracy"),
    ({"gate": "{require: {latency: {max: 9}}}"}, "gate.require", "'latency'", "latency_ms"),
    ({"gate": "{champion: {metric: brie}}"}, "gate.champion.metric", "'brie'", "brier"),
    ({"search": "{objective: val_los}"}, "search.objective", "'val_los'", "val_loss"),
    (
        {"training": "{early_stopping: {monitor: val_acuracy}}"},
        "training.early_stopping.monitor",
        "'val_acuracy'",
        "val_accuracy",
    ),
    (
        {"training": "{reduce_lr_on_plateau: {monitor: val_los}}"},
        "training.reduce_lr_on_plateau.monitor",
        "'val_los'",
        "val_loss",
    ),
    (
        {"training": "{optimizer: {SGD: {learning_rate: {CosinDecay: {}}}}}"},
        "training",
        "'CosinDecay'",
        "CosineDecay",
    ),
    (
        {"search": "{grid: {unts: [1]}}", "parameters": "{units: 1}"},
        "search.grid",
        "'unts'",
        "units",
    ),
    (
        {"schedule": "{interval: 90, timezone: Asia/Seul}"},
        "schedule.timezone",
        "'Asia/Seul'",
        "Asia/Seoul",
    ),
]


@pytest.mark.parametrize(("sections", "where", "found", "right"), UNKNOWN_NAMES)
def test_an_unknown_name_is_refused_with_its_place_and_the_nearest_one(
    load: Load, sections: dict[str, str], where: str, found: str, right: str
) -> None:
    with pytest.raises(
        ConfigError, match=rf"  {re.escape(where)}: .*{found}.*did you mean {right}\?"
    ):
        load(**sections)


def space(values: str) -> str:
    return f"{{strategy: random, space: {{u: {values}}}, max_trials: 3}}"


WRONG_VALUES = [
    ({"data": "{path: a.csv, target: y, task: regression}"}, "data.path", "data/NAME", "'a.csv'"),
    ({"data": "{path: data/../b/c, target: y, task: regression}"}, "data.path", "data/NAME", "b/c"),
    ({"data": "{path: data/a/a, target: y, task: x}"}, "data.task", "'regression'", "'x'"),
    ({"data": "{path: data/a/a, target: 3, task: regression}"}, "data.target", "text", "3"),
    ({"schema": "{rows: 5}"}, "schema.rows", "a mapping", "5"),
    ({"schema": "{rows: {min: ten}}"}, "schema.rows.min", "number", "'ten'"),
    ({"schema": "{rows: {min: 5, max: 1}}"}, "schema.rows", "min 5 is above max 1", ""),
    ({"schema": "{columns: {a: {type: int}}}"}, "schema.columns.a.type", "'date'\n", "'int'"),
    ({"schema": "{columns: {a: {matches: '('}}}"}, "schema.columns.a.matches", "regular", r"'\('"),
    ({"schema": "{columns: {a: {one_of: []}}}"}, "schema.columns.a.one_of", "at least one", r"\["),
    ({"schema": "{columns: {a: {one_of: 3}}}"}, "schema.columns.a.one_of", "a list", "3"),
    ({"schema": ""}, "schema", "a mapping", "None"),
    ({"split": "{test: 1.0}"}, "split.test", "less than 1", "1.0"),
    ({"split": "{test: 0.6, validation: 0.4}"}, "split", "no rows to train on", ""),
    ({"split": "{seed: -1}"}, "split.seed", "greater than or equal to 0", "-1"),
    ({"split": "{stratify: no}"}, "split.stratify", "true or false", "'no'"),
    ({"split": "{stratify: 1}"}, "split.stratify", "true or false", "1"),
    ({"features": "{scale: min_max}"}, "features.scale", "'minmax'", "'min_max'"),
    ({"parameters": "[1]"}, "parameters", "a mapping", r"\[1\]"),
    ({"parameters": "{a: [1]}"}, "parameters.a", "number or text", r"\[1\]"),
    ({"model": "{}"}, "model", "one of layers, builder and sklearn", ""),
    ({"model": "{layers: [], builder: 'a:b'}"}, "model", "one of layers, builder and sklearn", ""),
    ({"model": "{builder: my_models}"}, "model", "my_models:build", ""),
    ({"model": "{layers: [], arguments: {a: 1}}"}, "model", "arguments are for a builder", ""),
    ({"model": "{layers: [3]}"}, "model.layers.0", "a name or one", "found 3"),
    ({"model": "{layers: [{Dense: 4}]}"}, "model.layers.0", "a mapping", "found 4"),
    ({"training": "{batch_size: 0}"}, "training.batch_size", "greater than or equal to 1", "0"),
    ({"training": "{batch_size: '32'}"}, "training.batch_size", "integer", "'32'"),
    ({"training": "{epochs: 1e2}"}, "training.epochs", "integer", "100.0"),
    ({"training": "{threads: 0}"}, "training.threads", "1 or more", "0"),
    ({"training": "{threads: some}"}, "training.threads", "integer or 'auto'", "'some'"),
    ({"training": "{precision: float16}"}, "training.precision", "'mixed_float16'", "'float16'"),
    (
        {"training": "{reduce_lr_on_plateau: {factor: 1.0}}"},
        "training.reduce_lr_on_plateau.factor",
        "less than 1",
        "1.0",
    ),
    (
        {
            "training": "{optimizer: {SGD: {learning_rate: {CosineDecay: "
            "{initial_learning_rate: 0.1, decay_steps: 9 eons}}}}}"
        },
        "training",
        "decay_steps counts steps, or epochs as in `20 epochs`; found '9 eons'",
        "",
    ),
    (
        {
            "training": "{optimizer: {SGD: {learning_rate: {CosineDecay: {decay_steps: 9}}}}, "
            "reduce_lr_on_plateau: {}}"
        },
        "training",
        "this one follows a schedule",
        "",
    ),
    ({"model": "{layers: [MixUp]}"}, "model.layers", "MixUp mixes pictures with their labels", ""),
    ({"search": "{strategy: rndm}"}, "search.strategy", "'grid'", "'rndm'"),
    ({"search": "{grid: {u: []}}", "parameters": "{u: 1}"}, "search.grid", "no values", ""),
    ({"search": "{grid: {u: [1, 1]}}", "parameters": "{u: 1}"}, "search.grid", "value twice", ""),
    ({"search": "{grid: {u: 3}}", "parameters": "{u: 1}"}, "search.grid.u", "a list", "3"),
    ({"search": "{grid: {u: [1]}}"}, "search.grid", "'u' is not declared under parameters", ""),
    *(
        ({"search": search, "parameters": "{u: 1}"}, where, expected, found)
        for search, where, expected, found in [
            ("{strategy: random, space: {u: [1, 2]}}", "search", "random needs max_trials", ""),
            ("{strategy: halving, space: {u: [1, 2]}}", "search", "halving needs max_trials", ""),
            ("{strategy: random, max_trials: 3}", "search", "random needs a space, such as", ""),
            (
                "{space: {u: [1, 2]}}",
                "search",
                "space is for the strat.*, not grid",
                "",
            ),
            (
                "{strategy: hyperband, space: {u: [1, 2]}, max_trials: 3}",
                "search",
                "max_trials is for the strategies .*, not hyperband",
                "",
            ),
            (
                "{strategy: random, space: {u: [1]}, grid: {u: [1]}, max_trials: 1}",
                "search",
                "grid or space, not both",
                "",
            ),
            (space("{uniform: [2, 1]}"), "search.space.u", "low 2 must be below high 1", ""),
            (space("{log_uniform: [0, 1]}"), "search.space.u", "above 0, which has no log", ""),
            (space("{log_int: [-1, 4]}"), "search.space.u", "above 0, which has no log", ""),
            (
                space("{int: [1, 9, 20]}"),
                "search.space.u",
                "step must be .* at most 8",
                "",
            ),
            (space("{int: [1]}"), "search.space.u", r"int needs \[low, high\] or \[low, hi", ""),
            (space("{log_uniform: [1, 2, 3]}"), "search.space.u", r"needs \[low, high\]\n", ""),
            (space("{uniform: [1, 2], choice: [3]}"), "search.space.u", "exactly one of", ""),
            (space("{int: [1.5, 3]}"), "search.space.u", "integer", "1.5"),
            (space("[1, 1]"), "search.space.u", "choice lists a value twice", ""),
            (space("[]"), "search.space.u", "choice has no values", ""),
            (space("3"), "search.space.u", "a mapping", "3"),
            (space("{unifrm: [1, 2]}"), "search.space.u", "one of choice, int", "unifrm"),
            ("{max_time: 2x}", "search.max_time", "", "'2x'"),
            ("{max_time: 0}", "search.max_time", "greater than 0", "0"),
            ("{repeats: 0}", "search.repeats", "greater than or equal to 1", "0"),
            ("{min_epochs: 3}", "search", "min_epochs is for the strategies halving", ""),
        ]
    ),
    (
        {"search": "{strategy: random, space: {v: [1]}, max_trials: 1}"},
        "search.space",
        "'v' is not declared under parameters",
        "",
    ),
    (
        {
            "search": "{strategy: hyperband, space: {u: [1, 2]}, min_epochs: 101}",
            "parameters": "{u: 1}",
        },
        "search.min_epochs",
        "101 is above training.epochs, 100",
        "",
    ),
    ({"search": "{objective: nonsense}"}, "search.objective", "there are val_accuracy", ""),
    ({"evaluation": "{metrics: []}"}, "evaluation.metrics", "at least one", r"\[\]"),
    ({"evaluation": "{metrics: [rmse]}"}, "evaluation.metrics", "has no metric 'rmse'", "log_loss"),
    ({"gate": "{require: {r2: {min: 0}}}"}, "gate.require", "classification has no", "log_loss"),
    ({"gate": "{require: {accuracy: {}}}"}, "gate.require.accuracy", "needs min or max", ""),
    ({"gate": "{champion: {confidence: 0.5}}"}, "gate.champion.confidence", "greater", "0.5"),
    ({"schedule": "{cron: '0 6 * * *', interval: 90}"}, "schedule", "either cron or interval", ""),
    ({"schedule": "{}"}, "schedule", "either cron or interval", ""),
    ({"schedule": "{cron: '0 6 * *'}"}, "schedule.cron", "five fields", r"'0 6 \* \*'"),
    ({"schedule": "{cron: '0 6 x * *'}"}, "schedule.cron", "day-of-month", r"'0 6 x \* \*'"),
    ({"schedule": "{interval: 5}"}, "schedule.interval", "greater than or equal to 60", "5"),
]


@pytest.mark.parametrize(("sections", "where", "expected", "found"), WRONG_VALUES)
def test_a_wrong_value_is_refused_with_place_expected_and_found(
    load: Load, sections: dict[str, str], where: str, expected: str, found: str
) -> None:
    with pytest.raises(
        ConfigError, match=rf"(?s)not valid: 1 problem\n  {re.escape(where)}\b.*{expected}.*{found}"
    ):
        load(**sections)


@pytest.mark.parametrize(
    ("monitor", "words"),
    [
        ("{interval: 90}", "nothing to check; set data.source or monitor.path"),
        ("{interval: 90, path: in/*.csv}", "without data.source there are no new data to train on"),
        ("{path: in/*.csv, retrain: false}", "needs either cron or interval"),
    ],
)
def test_a_monitor_with_nothing_to_do_is_refused(load: Load, monitor: str, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)monitor.*{words}"):
        load(monitor=monitor)
    watch = load(monitor="{interval: 90, path: in/*.csv, retrain: false}").document.monitor
    assert watch is not None
    assert not watch.retrain


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("{kind: ordered}", "levels, lowest first, are required for kind: ordered"),
        (
            "{kind: category, levels: [a, b]}",
            "levels, lowest first, are required for kind: ordered",
        ),
        ("{kind: ordered, levels: [a, b, a]}", "lists a twice"),
        ("{kind: date, words: 5}", "words is only for kind: text, not for date"),
        ("{kind: text, parts: [hour]}", "parts is only for kind: date, not for text"),
        ("{kind: text, size: 5}", "size is only for kind: category, not for text"),
    ],
)
def test_column_settings_that_do_not_fit_the_kind_are_refused(
    load: Load, kind: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)features\.columns\.a.*{words}"):
        load(features=f"{{columns: {{a: {kind}}}}}")


def test_metrics_of_the_other_task_are_refused(load: Load) -> None:
    regression = "{path: data/a/a.csv, target: y, task: regression}"
    with pytest.raises(
        ConfigError, match=r"evaluation\.metrics: regression has no metric 'accuracy'"
    ):
        load(data=regression, evaluation="{metrics: [accuracy]}")
    assert load(data=regression).document.test_metrics == ("rmse", "mae", "r2")


def test_all_problems_of_a_file_are_listed_at_once(load: Load) -> None:
    with pytest.raises(ConfigError, match="2 problems") as caught:
        load(model=None, split="{seed: -1}")
    assert {problem.where for problem in caught.value.problems} == {"model", "split.seed"}


def test_an_unquoted_date_is_refused_because_dvc_cannot_store_it(load: Load) -> None:
    with pytest.raises(
        ConfigError,
        match=r'schema\.columns\.when\.min\n    expected  a text: "2026-01-31" in quotes',
    ):
        load(schema="{columns: {when: {type: date, min: 2026-01-31}}}")


@pytest.mark.parametrize("section", SECTIONS)
def test_a_missing_required_section_is_refused(load: Load, section: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"  {section}\n    expected  a value: the key is required"
    ):
        load(**{section: None})


def test_a_dollar_name_is_replaced_by_the_declared_value(load: Load) -> None:
    experiment = load(
        parameters="{units: 7, rate: 1e-4, act: relu}",
        model="{layers: [{Dense: {units: $units, activation: $act}}]}",
        training="{optimizer: {Adam: {learning_rate: $rate}}}",
    )
    layers = experiment.document.model.layers
    assert layers == ({"Dense": {"units": 7, "activation": "relu"}},)
    assert experiment.document.training.optimizer == {"Adam": {"learning_rate": 0.0001}}


def test_two_dollar_signs_are_read_as_one(load: Load) -> None:
    assert load(description="$$5 a row").document.description == "$5 a row"


def test_an_undeclared_dollar_name_is_refused_with_the_nearest_name(load: Load) -> None:
    with pytest.raises(
        ConfigError,
        match=r"(?s)model\.layers\.0\.Dense\.units\n.*under parameters: units\n"
        r".*\$unts\n.*did you mean \$units\?",
    ):
        load(parameters="{units: 3}", model="{layers: [{Dense: {units: $unts}}]}")


@pytest.mark.parametrize(
    ("section", "value", "where"),
    [
        ("data", "{path: data/a/a.csv, target: $u, task: regression}", "data.target"),
        ("schema", "{columns: {a: {min: $u}}}", "schema.columns.a.min"),
        ("split", "{seed: $u}", "split.seed"),
        ("features", "{exclude: [a, $u]}", "features.exclude.1"),
        ("evaluation", "{metrics: [$u]}", "evaluation.metrics.0"),
    ],
)
def test_a_dollar_name_is_refused_in_sections_read_by_dvc(
    load: Load, section: str, value: str, where: str
) -> None:
    with pytest.raises(
        ConfigError, match=rf"  {where}\n    expected  a value: \$names are allowed"
    ):
        load(parameters="{u: 1}", **{section: value})


def test_an_invalid_grid_value_is_found_on_loading(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"(?s)training\.batch_size\n.*integer\n.*'many'"):
        load(parameters="{b: 4}", training="{batch_size: $b}", search="{grid: {b: [8, 4, many]}}")


def test_an_override_of_an_unknown_parameter_is_refused_with_the_nearest_name(load: Load) -> None:
    with pytest.raises(
        ConfigError,
        match=r"(?s)'unts' is not a parameter of e\n.*one of rate, units\n.*-P units=3",
    ):
        load({"unts": 3}, parameters="{units: 1, rate: 2}")


def test_an_override_without_declared_parameters_is_refused(load: Load) -> None:
    with pytest.raises(
        ConfigError, match=r"(?s)'u' is not.*declares no parameters\n.*declare it under"
    ):
        load({"u": 3})


def test_an_override_of_the_wrong_type_is_refused(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"(?s)training\.batch_size\n.*integer\n.*'x'"):
        load({"b": "x"}, parameters="{b: 4}", training="{batch_size: $b}")


@pytest.mark.parametrize(
    ("value", "expected", "found"),
    [("many", "a number, as `u: 64`", "a text, 'many'"), (True, "a number", "true or false, True")],
)
def test_an_override_must_be_of_the_same_kind_as_the_declared_value(
    load: Load, value: Scalar, expected: str, found: str
) -> None:
    layers = "{layers: [{Dense: {units: $u}}]}"
    with pytest.raises(ConfigError, match=f"(?s)-P u={value} does not fit.*{expected}.*{found}"):
        load({"u": value}, parameters="{u: 64}", model=layers)
    assert load({"u": 0.5}, parameters="{u: 64}", model=layers).overrides == {"u": 0.5}


@pytest.mark.parametrize(
    ("text", "value"),
    [("a=1e-4", 0.0001), ("a=010", 10), ("a=no", "no"), ("a=true", True), ("a=x=y", "x=y")],
)
def test_an_override_is_read_as_yaml_1_2(text: str, value: Scalar) -> None:
    name, found = read_override(text)
    assert (name, found, type(found)) == ("a", value, type(value))


@pytest.mark.parametrize("text", ["a", "a=", "=3", "a=[1]", "a={", "a=null", ""])
def test_a_malformed_override_is_refused(text: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"(?s)expected  -P name=value.*found +-P {re.escape(text)}"
    ):
        read_override(text)


NOT_READABLE = [
    ("", "e.yaml is not an experiment\n.*a mapping\n.*an empty file"),
    ("# a comment\n", "an empty file"),
    ("- a\n- b\n", "a mapping\n.*list"),
    ("hello", "a mapping\n.*str"),
    ("split: {}\nsplit: {}\n", 'not valid YAML, line 2\n.*each key once\n.*duplicate key "split"'),
    ("split: {seed: 1, seed: 2}", 'line 1\n.*each key once\n.*duplicate key "seed"'),
    ("a: [1\n", "not valid YAML, line 2"),
    ("a: [accuracy, recall:yes]\n", "not valid YAML, line 1\n(.*\n)*.*in quotes"),
    ("a: !!python/object:os.system 1\n", "not valid YAML, line 1"),
    ("a: 1\n---\nb: 1\n", "another document"),
]


@pytest.mark.parametrize(("text", "words"), NOT_READABLE)
def test_a_file_that_is_not_a_yaml_mapping_is_refused_with_the_line(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=f"(?s){words}"):
        load_experiment(write(tmp_path, text), "e")


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    project = write(tmp_path, "")
    project.experiment_file("e").write_bytes("description: 방앗간".encode("euc-kr"))
    with pytest.raises(ConfigError, match="not valid YAML\n  expected  UTF-8"):
        load_experiment(project, "e")


def test_a_missing_experiment_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    project = write(tmp_path, document({}))
    project.experiment_file("churn").touch()
    with pytest.raises(ConfigError, match=r"(?s)no experiment 'chrn'.*churn, e\n.*run churn"):
        load_experiment(project, "chrn")
    with pytest.raises(ConfigError, match="there is no experiment"):
        load_experiment(project, "../experiments/e")


YAML_1_2 = "a: 1e-4\nb: no\nc: 010\nd: 0o10\ne: yes\nf: 1_000\ng: 12:30:45\nh: 1.e+3\ni: .inf\n"


def test_yaml_is_read_as_version_1_2(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(YAML_1_2)
    content = read_yaml(path)
    assert content["a"] == 0.0001
    assert content["b"] == "no"
    assert content["c"] == 10
    assert content["d"] == 8
    assert content["e"] == "yes"


@pytest.mark.parametrize("name", ["digits", "diabetes", "odd"])
def test_dvc_reads_the_same_values_from_an_experiment_file(tmp_path: Path, name: str) -> None:
    from dvc.utils.serialize import load_yaml

    path = tmp_path / "e.yaml"
    path.write_text(YAML_1_2)
    if name != "odd":
        shutil.copy(ROOT / f"experiments/{name}.yaml", path)
    ours = read_yaml(path)
    assert repr(ours) == repr(load_yaml(str(path)))


names = st.text("abcde", min_size=1, max_size=3)
values = st.lists(st.integers(-9, 9) | st.booleans() | names, min_size=1, max_size=3)
grids = st.dictionaries(names, values, max_size=3).map(
    lambda grid: {k: list({(type(v), v): v for v in vs}.values()) for k, vs in grid.items()}
)


def yaml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {yaml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(yaml, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("grids")


def same(point: Mapping[str, Scalar]) -> tuple[tuple[str, type, Scalar], ...]:
    """Return the sorted items of a point with types, so that True differs from 1."""
    return tuple((key, type(point[key]), point[key]) for key in sorted(point))


@given(grid=grids, data=st.data())
def test_the_points_are_the_product_of_the_grid_in_the_order_of_sorted_names(
    place: Path, grid: dict[str, list[Scalar]], data: st.DataObject
) -> None:
    declared = {"z": 0, **dict.fromkeys(grid, 0)}
    project = write(place, document({"parameters": yaml(declared), "search": yaml({"grid": grid})}))
    fixed = data.draw(st.dictionaries(st.sampled_from(sorted(declared)), st.integers(10, 12)))
    experiment = load_experiment(project, "e", fixed)
    varied = sorted(set(grid) - set(fixed))
    expected = [
        {**declared, **fixed, **dict(zip(varied, chosen, strict=True))}
        for chosen in itertools.product(*(grid[name] for name in varied))
    ]
    points = grid_points(experiment)
    assert [same(point) for point in points] == [same(point) for point in expected]
    assert len({same(point) for point in points}) == len(points)
    assert list(experiment.space) == varied
    assert load_experiment(project, "e", fixed) == experiment


def test_the_recipe_of_a_point_contains_its_parameter_values(load: Load) -> None:
    experiment = load(
        parameters="{u: 1, r: 0.5}",
        model="{layers: [{Dense: {units: $u}}]}",
        search="{grid: {u: [2, 3]}}",
    )
    recipes = [experiment.recipe(point) for point in grid_points(experiment)]
    assert [recipe.model.layers for recipe in recipes] == [
        ({"Dense": {"units": 2}},),
        ({"Dense": {"units": 3}},),
    ]
    assert [recipe.parameters for recipe in recipes] == [{"r": 0.5, "u": 2}, {"r": 0.5, "u": 3}]


def test_a_parameter_that_refers_to_another_one_is_refused(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"parameters\.u\n.*\$names are allowed"):
        load(parameters="{u: $v, v: 1}")


def test_a_misspelt_accuracy_is_suggested_in_the_spelling_of_keras(load: Load) -> None:
    with pytest.raises(ConfigError, match="did you mean accuracy"):
        load(training="{metrics: [acuracy]}")


@pytest.mark.parametrize(
    ("setting", "search", "why"),
    [
        ("threads", "{grid: {n: [1, 2]}}", "a number that all trials share"),
        ("epochs", "{strategy: hyperband, space: {n: [5, 9]}}", "vary the epochs by themselves"),
    ],
)
def test_a_setting_shared_by_all_trials_cannot_be_varied(
    load: Load, setting: str, search: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)varies training\.{setting}.*{why}.*\$n, which"):
        load(parameters="{n: 1}", training=f"{{{setting}: $n}}", search=search)
    load(parameters="{n: 5}", training="{epochs: $n}", search="{grid: {n: [5, 9]}}")


def test_the_bounds_of_a_range_are_checked_where_they_are_used(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"training\.batch_size\n.*greater than or equal to 1"):
        load(
            parameters="{n: 8}",
            training="{batch_size: $n}",
            search="{strategy: random, space: {n: {int: [0, 64]}}, max_trials: 2}",
        )


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("0.5", 0.5), ("30s", 30), ("2h", 7200), ("1.5m", 90)]
)
def test_max_time_is_in_seconds_or_a_duration(load: Load, text: str, seconds: float) -> None:
    assert load(search=f"{{max_time: {text}}}").document.search.seconds == seconds


@pytest.mark.parametrize(
    ("sections", "name", "why"),
    [
        ({"split": "{test: given, given: part}"}, "part", "split.given"),
        ({"split": "{group: shop}"}, "shop", "split.group"),
        ({"split": "{key: id}"}, "id", "split.key"),
        ({}, "y", "data.target"),
    ],
)
def test_a_kind_of_a_column_that_is_no_feature_is_refused(
    load: Load, sections: dict[str, str], name: str, why: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(features=f"{{columns: {{{name}: category}}}}", **sections)
    assert f"features.columns.{name}: remove it, since it is {why}" in str(caught.value)


@pytest.mark.parametrize(
    "sections",
    [
        {"parameters": "{units: .inf}"},
        {"training": "{early_stopping: {baseline: -.inf}}"},
        {"model": "{layers: [{ReLU: {max_value: .inf}}]}"},
        {"search": "{grid: {rate: [0.1, .nan]}}", "parameters": "{rate: 1}"},
        {"gate": "{require: {accuracy: {max: .inf}}}"},
    ],
)
def test_infinite_numbers_are_refused(load: Load, sections: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="is not valid") as caught:
        load(**sections)
    assert "finite number" in str(caught.value)
