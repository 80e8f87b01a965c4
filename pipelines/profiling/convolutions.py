"""The network that is drafted for pictures."""

from __future__ import annotations

from collections.abc import Iterator

from gristmill.pipelines.profiling.picture_profile import Form
from gristmill.pipelines.profiling.yaml_text import aligned, wrapped

SMALL = 7
"""The side up to which a picture is not halved any more."""

MOST_BLOCKS = 4

AUGMENTATIONS = (
    ("RandomFlip: {mode: horizontal}", "where left and right mean the same"),
    ("RandomRotation: {factor: 0.05}", "by up to 18 degrees"),
    ("RandomTranslation: {height_factor: 0.1, width_factor: 0.1}", "moved by up to a tenth"),
)
"""Layers that change pictures in training only, and when they help."""


def convolutions(form: Form) -> Iterator[str]:
    """Parameters and layers of an experiment file: a block for each halving, then a dense layer."""
    yield "parameters: {filters: 16, dropout: 0.2, learning_rate: 0.001}"
    yield "model:"
    yield "  layers:"
    yield from wrapped(
        "Few pictures? These make more of them, in training only; uncomment what leaves a picture "
        "what it is.",
        "    ",
    )
    yield from aligned([(f"# - {layer}", when) for layer, when in AUGMENTATIONS], "    ")
    yield from wrapped("Each block looks at a wider part of the picture and halves it.", "    ")
    for block in range(_blocks(form)):
        filters = "$filters" if block == 0 else min(16 << block, 64)
        yield (
            f"    - Conv2D: {{filters: {filters}, kernel_size: 3, padding: same, activation: relu}}"
        )
        yield "    - MaxPooling2D: {pool_size: 2}"
    yield "    - Flatten: {}"
    yield "    - Dropout: {rate: $dropout}"
    yield "    - Dense: {units: 64, activation: relu}"


def _blocks(form: Form) -> int:
    side, blocks = min(form[:2]), 0
    while side > SMALL and blocks < MOST_BLOCKS:
        side, blocks = side // 2, blocks + 1
    return blocks
