"""Four ways to choose hyperparameters and four against overfitting, on the network of fashion_cnn.

    python benchmarks/choosing.py [--fashion FOLDER]

Uses the first 4,000 training pictures and all test pictures of Fashion-MNIST. Writes the tables of
`docs/fashion_cnn.md`.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from projects import ROOT, begin, clone, gristmill, latest, machine, put_table
from ruamel.yaml import YAML

from examples import FASHION

PAGE = ROOT / "docs" / "fashion_cnn.md"
NAME = "clothes"
TRAINED = 4_000
EPOCHS = 30
PENALISED = ("Conv2D", "Dense")
MOVED = {"RandomTranslation": {"height_factor": 0.08, "width_factor": 0.08}}
GRID = {"learning_rate": [0.0003, 0.001, 0.003], "batch_size": [32, 128]}
SPACE = {"learning_rate": {"log_uniform": [0.0002, 0.005]}, "batch_size": [32, 64, 128]}

Document = dict[str, Any]


def begun(project: Path, fashion: Path | None) -> Document:
    """Create the example with fewer pictures; return the content of its file."""
    begin(project, "all", "fashion_cnn", *(["--from", str(fashion)] if fashion else []))
    file = project / "experiments" / "all.yaml"
    document: Document = YAML(typ="safe", pure=True).load(file)
    with np.load(project / document["data"]["path"]) as arrays:
        few = {name: arrays[name] for name in arrays.files}
    for name in ("x_train", "y_train"):
        few[name] = few[name][:TRAINED]
    place = project / "data" / NAME / "few.npz"
    place.parent.mkdir()
    np.savez(place, **few)
    document["data"] |= {"path": f"data/{NAME}/few.npz"}
    document["data"].pop("source")
    document["split"]["validation"] = 0.25
    document["gate"] = {}
    return document


def with_layers(document: Document, change: Any) -> Document:
    made = copy.deepcopy(document)
    made["model"]["layers"] = change(made["model"]["layers"])
    return made


def penalised(regularizer: Document) -> Any:
    def change(layers: list[Document]) -> list[Document]:
        for layer in layers:
            for kind, arguments in layer.items():
                if kind in PENALISED:
                    arguments["kernel_regularizer"] = regularizer
        return layers

    return change


def augmented(layers: list[Document]) -> list[Document]:
    return [{"RandomFlip": {"mode": "horizontal"}}, MOVED, *layers]


def dropped(layers: list[Document]) -> list[Document]:
    made: list[Document] = []
    for layer in layers:
        made += [{"Dropout": {"rate": 0.3}}, layer] if "Dense" in layer else [layer]
    return made


def run(project: Path, document: Document, *by_hand: str) -> dict[str, float]:
    """Run the experiment; return its metrics and seconds."""
    with (project / "experiments" / f"{NAME}.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(document, file)
    began = time.monotonic()
    gristmill(project, "run", NAME, *by_hand)
    return latest(project, NAME) | {"seconds": time.monotonic() - began}


def row(name: str, trained: str, found: dict[str, float]) -> str:
    sys.stdout.write(f"{name:24s} {found['test_accuracy']:.4f} {found['seconds']:6.1f} s\n")
    sys.stdout.flush()
    interval = f"[{found['test_accuracy_low']:.3f}, {found['test_accuracy_high']:.3f}]"
    return (
        f"| {name} | {trained} | {found['best_accuracy']:.3f} | {found['best_val_accuracy']:.3f} "
        f"| {found['test_accuracy']:.3f} {interval} | {found['test_log_loss']:.3f} |"
    )


def choosing(project: Path, document: Document) -> list[str]:
    """Return a table row for each way to choose."""
    stopped = copy.deepcopy(document)
    stopped["parameters"]["epochs"] = EPOCHS
    stopped["training"]["threads"] = 1
    grid = stopped | {"search": {"grid": GRID}}
    drawn = stopped | {"search": {"strategy": "random", "space": SPACE, "max_trials": 6}}
    by_hand = ("-P", "learning_rate=0.003", "-P", "batch_size=128")
    return [
        row("defaults", "1", run(project, stopped)),
        row("by hand", "1", run(project, stopped, *by_hand)),
        row("grid", "6", run(project, grid)),
        row("random", "6", run(project, drawn)),
    ]


def against_overfitting(project: Path, document: Document) -> list[str]:
    """Return a table row for each way, all with the same budget."""
    plain = copy.deepcopy(document)
    plain["parameters"]["epochs"] = EPOCHS
    stopping = plain["training"].pop("early_stopping")
    plain["parameters"].pop("patience")
    early = copy.deepcopy(plain)
    early["training"]["early_stopping"] = stopping | {"patience": 5}
    ways = {
        "nothing": plain,
        "early stopping": early,
        "L1, 0.0001": with_layers(plain, penalised({"L1": {"l1": 0.0001}})),
        "L2, 0.001": with_layers(plain, penalised({"L2": {"l2": 0.001}})),
        "augmentation": with_layers(plain, augmented),
        "dropout, 0.3": with_layers(plain, dropped),
    }
    return [row(name, str(EPOCHS), run(project, way)) for name, way in ways.items()]


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fashion", type=Path, default=FASHION if FASHION.is_dir() else None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        project = Path(place) / "project"
        clone(project)
        document = begun(project, asked.fashion)
        about = "training | validation | test, 95 % interval | log loss |"
        for mark, first, made in (
            ("choosing", "trials", choosing(project, document)),
            ("overfitting", "epochs at most", against_overfitting(project, document)),
        ):
            lines = [f"| | {first} | {about}", "|---|---|---|---|---|---|", *made]
            lines += ["", f"Accuracies, seed 0, {machine()}."]
            put_table(PAGE, "\n".join(lines), mark)


if __name__ == "__main__":
    main()
