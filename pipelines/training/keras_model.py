"""Build a compiled Keras model from a recipe."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np

from gristmill.pipelines.base import ConfigError, first_line, suggest
from gristmill.pipelines.config import Recipe, read_epochs
from gristmill.pipelines.training.training_rows import Array, Tensor

ARGUMENT_KINDS = {
    "initializer": keras.initializers,
    "regularizer": keras.regularizers,
    "constraint": keras.constraints,
    "learning_rate": keras.optimizers.schedules,
    "layer": keras.layers,
}
"""Module of a nested `{Name: {…}}` entry in an argument, by the ending of the argument's name."""


@dataclass(frozen=True)
class DataTraits:
    """Properties of the training rows that a model depends on.

    Attributes:
        shape: shape of one row's features.
        outputs: number of classes, or 1 for regression.
        embedded: (number of codes, embedding length) for each of the last columns, if they hold
            codes. A model from `layers` embeds them first; a builder receives the rows unchanged.
        steps: steps per epoch; converts `"N epochs"` in optimizer arguments to steps.
        value_range: range of scaled pixels; the default of layers with that argument.
    """

    shape: tuple[int, ...]
    outputs: int
    embedded: Sequence[tuple[int, int]] = ()
    steps: int = 1
    value_range: tuple[float, float] | None = None


def build_model(recipe: Recipe, data: DataTraits, folder: Path) -> keras.Model:
    """Return a compiled model with fresh weights from the recipe's seed.

    Args:
        recipe: the experiment file at one grid point.
        data: properties of the training rows.
        folder: folder of a builder's module.

    Raises:
        ConfigError: Keras rejects a name or an argument, or the shapes do not fit.
    """
    keras.utils.set_random_seed(recipe.training.seed)
    training = recipe.training
    with _precision(training.precision):
        if recipe.model.builder is not None:
            model = _build_by_hand(recipe, data, folder)
        else:
            model = _build_from_layers(recipe, data)
    _require_outputs(model, recipe.task, data.outputs)
    optimizer = in_steps(training.optimizer, data.steps)
    model.compile(
        optimizer=_entry(keras.optimizers, optimizer, "training.optimizer"),
        loss=_entry(keras.losses, training.loss, "training.loss")
        if isinstance(training.loss, Mapping)
        else training.loss or default_loss(recipe.task, model),
        metrics=[_metric(name, outputs_of(model)) for name in recipe.fit_metrics],
        jit_compile=False,  # on processors XLA is slower for such models
    )
    return model


def in_steps(optimizer: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Return the optimizer's entry with every `"N epochs"` converted to a whole number of steps.

    Args:
        optimizer: `{Name: {argument: value}}`, possibly with nested schedules.
        steps: steps per epoch.
    """

    def counted(value: object) -> object:
        if isinstance(value, Mapping):
            return {key: counted(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [counted(inner) for inner in value]
        epochs = read_epochs(value)
        return value if epochs is None else max(round(epochs * steps), 1)

    return {name: counted(arguments) for name, arguments in optimizer.items()}


@contextmanager
def _precision(policy: str) -> Iterator[None]:
    """Set the precision in which layers built inside compute; their weights stay float32."""
    kept = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(kept)


class ByClass(keras.metrics.Metric):  # type: ignore[misc]
    """Precision or recall of the most probable class, for integer or one-hot labels.

    The mean over the classes, like `precision_macro` and `recall_macro` of the evaluation. With two
    classes it is the value of the second one, as with a single sigmoid output.

    Args:
        kind: `precision` or `recall`.
        classes: number of classes.
    """

    def __init__(self, kind: str, classes: int) -> None:
        super().__init__(name=kind)
        self._classes = classes
        self._right = self.add_weight((classes,), "zeros", name="right")
        self._counted = self.add_weight((classes,), "zeros", name="counted")

    def update_state(
        self, truth: Tensor, outputs: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Add a batch to the counts.

        Args:
            truth: (n_rows,) or (n_rows, 1) classes, or (n_rows, classes) one-hot.
            outputs: (n_rows, classes) probabilities.
            sample_weight: (n_rows,) weights; 1 if None.
        """
        ops = keras.ops
        guessed = ops.one_hot(ops.argmax(outputs, axis=-1), self._classes)
        if truth.shape[1:] == outputs.shape[1:]:
            known = ops.cast(truth, guessed.dtype)
        else:
            known = ops.one_hot(ops.reshape(truth, (-1,)), self._classes)
        weight = 1.0 if sample_weight is None else ops.reshape(sample_weight, (-1, 1))
        counted = guessed if self.name == "precision" else known
        self._right.assign_add(ops.sum(weight * guessed * known, axis=0))
        self._counted.assign_add(ops.sum(weight * counted, axis=0))

    def result(self) -> Tensor:
        """Return the metric of the rows counted so far, a scalar; an absent class counts as 0."""
        shares = keras.ops.divide_no_nan(self._right, self._counted)
        return shares[1] if self._classes == 2 else keras.ops.mean(shares)


def _metric(name: str, outputs: int) -> str | keras.Metric:
    """Return a metric with a fixed name; Keras would number repeated ones in a process."""
    if outputs > 1 and name in ("precision", "recall"):
        return ByClass(name, outputs)
    found = keras.metrics.get(name) if name != "accuracy" else None
    return type(found)(name=name) if isinstance(found, keras.metrics.Metric) else name


def outputs_of(model: keras.Model) -> int:
    """Return the number of outputs of a model for one row."""
    return int(model.output_shape[-1])


def default_loss(task: str, model: keras.Model) -> str:
    """Return Keras's name of the loss: mean squared error, or the cross-entropy for the outputs."""
    if task == "regression":
        return "mean_squared_error"
    one = outputs_of(model) == 1
    return "binary_crossentropy" if one else "sparse_categorical_crossentropy"


def targets(y: Array, model: keras.Model, task: str) -> Array:
    """Return the target in the form that the model's loss expects.

    Args:
        y: (n_rows,) int32 classes or float32 values.
        model: compiled.
        task: `classification` or `regression`.

    Returns:
        (n_rows,) int32 classes for a sparse loss, (n_rows, classes) float32 one-hot for another
        loss of several outputs, else (n_rows, 1) float32.
    """
    loss = model.loss if isinstance(model.loss, str) else type(model.loss).__name__
    outputs = outputs_of(model)
    if task == "classification" and outputs > 1:
        if "sparse" in loss.lower():
            return np.asarray(y)
        return np.eye(outputs, dtype=np.float32)[y]
    return np.asarray(y, dtype=np.float32).reshape(-1, 1)


def _embedding(shape: tuple[int, ...], embedded: Sequence[tuple[int, int]]) -> keras.Model:
    """Return a model that replaces the codes in the last columns of a row by embeddings."""
    rows = keras.Input(shape)
    first = shape[-1] - len(embedded)
    numbers, *codes = keras.ops.split(rows, [*range(first, shape[-1])], axis=-1)
    vectors = [
        keras.layers.Flatten()(keras.layers.Embedding(levels, size)(code))
        for code, (levels, size) in zip(codes, embedded, strict=True)
    ]
    parts = [numbers, *vectors] if first else vectors
    whole = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    return keras.Model(rows, whole, name="embeddings")


FIRST, LAST = "channels_first", "channels_last"
"""Values of Keras's `data_format`."""


def _turned(rank: int, layout: str) -> keras.Layer:
    """Return a layer that permutes the other layout to this one."""
    inner = range(2, rank) if layout == LAST else range(1, rank - 1)
    dims = (*inner, 1) if layout == LAST else (rank - 1, *inner)
    return keras.layers.Permute(dims)


def _build_from_layers(recipe: Recipe, data: DataTraits) -> keras.Model:
    """Return a sequential model of the recipe's layers.

    Pictures are stored with channels last, and all layers are computed in that layout: with
    `channels_first` on CPUs TensorFlow lacks some operations and computes wrong bias gradients in
    others. Permutations before and after a `channels_first` layer give it the layout it asks for.
    """
    spec = recipe.model
    entries: list[tuple[str, Mapping[str, Any]]] = [
        (f"model.layers.{place}", entry) for place, entry in enumerate(spec.layers or ())
    ]
    activation = "softmax" if recipe.task == "classification" else "linear"
    exact = {} if recipe.training.precision == "float32" else {"dtype": "float32"}
    last = spec.output or ({"Dense": {"units": data.outputs, "activation": activation, **exact}},)
    entries += [(f"model.output.{place}", entry) for place, entry in enumerate(last)]
    start = {"shape": data.shape, **(next(iter(spec.input.values())) if spec.input else {})}
    model = keras.Sequential([keras.Input(**start)])
    before = (None, *start["shape"])
    layout: str | None = LAST
    if data.embedded:
        model.add(_embedding(tuple(start["shape"]), data.embedded))
        before = model.output_shape
    for where, entry in entries:
        ((name, arguments),) = entry.items()
        given = (arguments or {}).get("data_format")
        here = {**arguments, "data_format": LAST} if given == FIRST else arguments
        layer = _entry(keras.layers, {name: here}, where, data.value_range)
        asked = given or getattr(layer, "data_format", None)
        try:
            if asked and (layout or asked) == FIRST and len(before) > 2:
                model.add(_turned(len(before), LAST))
            model.add(layer)
            if asked == FIRST and len(model.output_shape) > 2:
                model.add(_turned(len(model.output_shape), FIRST))
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"{where}: {type(layer).__name__} does not fit the output of the previous layer",
                expected=f"a layer for inputs of shape {before}",
                found=first_line(error),
            ) from error
        before, layout = model.output_shape, asked or layout
        if isinstance(layer, keras.layers.Permute | keras.layers.Reshape):
            layout = None  # the next layer decides
    return model


def _build_by_hand(recipe: Recipe, data: DataTraits, folder: Path) -> keras.Model:
    name, _, function = str(recipe.model.builder).partition(":")

    def refusal(what: str, found: str) -> ConfigError:
        expected = f"def {function}(shape, outputs, **arguments) that returns a keras.Model"
        return ConfigError(what, expected=expected, found=found)

    build = getattr(load_module(folder / f"{name}.py"), function, None)
    if not callable(build):
        what = f"experiments/{name}.py has no function '{function}'"
        raise refusal(what, "no function of that name")
    try:
        model = build(data.shape, data.outputs, **recipe.model.arguments)
    except (TypeError, ValueError) as error:
        raise refusal(f"the builder {recipe.model.builder} failed", first_line(error)) from error
    if not isinstance(model, keras.Model):
        what = f"the builder {recipe.model.builder} did not return a model"
        raise refusal(what, type(model).__name__)
    return model


def _require_outputs(model: keras.Model, task: str, outputs: int) -> None:
    one_will_do = task == "classification" and outputs == 2
    if model.output_shape not in [(None, outputs), (None, 1 if one_will_do else outputs)]:
        raise ConfigError(
            "the model's output does not fit the data",
            expected=f"{outputs} output{'s' * (outputs > 1)}{', or 1,' * one_will_do} for each row",
            found=f"an output of shape {model.output_shape}",
        )


def load_module(file: Path) -> ModuleType:
    """Import a Python file as a module; it can import modules from its own folder."""
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ConfigError("not a Python module", expected="a .py file", found=str(file))
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


def _entry(
    namespace: ModuleType,
    entry: Mapping[str, Any],
    where: str,
    value_range: tuple[float, float] | None = None,
) -> Any:
    """Return the Keras object described by `{Name: {argument: value}}`."""
    (name, arguments), *_ = entry.items()
    kind = getattr(namespace, name, None)
    if kind is None:
        near = suggest(name, [n for n in dir(namespace) if n[0].isupper()])
        raise ConfigError(f"{where}: there is no {name}", found=name, next=near)
    made = {k: _argument(k, value, f"{where}.{name}") for k, value in (arguments or {}).items()}
    known = [p for p in inspect.signature(kind.__init__).parameters if p not in ("self", "kwargs")]
    if value_range is not None and "value_range" in known:
        made.setdefault("value_range", value_range)
    try:
        return kind(**made)
    except (TypeError, ValueError) as error:
        wrong = next((key for key in made if key not in known), "")
        raise ConfigError(
            f"{where}: Keras rejects these arguments for {name}",
            expected=", ".join(known),
            found=first_line(error),
            next=suggest(wrong, known) if wrong else "",
        ) from error


def _argument(key: str, value: object, where: str) -> object:
    for ending, namespace in ARGUMENT_KINDS.items():
        if key.endswith(ending) and isinstance(value, dict) and len(value) == 1:
            return _entry(namespace, value, f"{where}.{key}")
    return tuple(value) if isinstance(value, list) else value
