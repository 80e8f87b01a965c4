"""The leak firewall on planted leaks and on clean data.

400 leaks of ten kinds are planted in scikit-learn's bundled data sets and in generated ones, each
in a separate table. Clean tables come from the same data sets without leaks: every class against
the rest and every pair of classes, subsets of the rows and of the columns, columns binned into a
few levels, and generated data with everything a table may harmlessly contain: identifiers, random
gaps, encodings without the target or out of fold, dates.

Target: 388 of 400 found, and no error in clean data. Exits with 1 if it is missed.

Usage: make bench-leaks
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder

from gristmill.pipelines.config.document import Document
from gristmill.pipelines.validation.leaks.firewall import find_leaks
from gristmill.pipelines.validation.leaks.leak import Leak

EACH = 40
WANTED = 388
TEST, VALIDATION, TRAINING = 0, 1, 2

Frame = pd.DataFrame
Generator = np.random.Generator


@dataclass(frozen=True)
class Case:
    """A table with its target `y`, and the planted leak."""

    name: str
    frame: Frame
    task: str = "classification"
    roles: Any = None
    split: dict[str, Any] = field(default_factory=dict)
    column: str | None = None  # the planted column; None if whole rows are planted


@lru_cache
def document(task: str, split: str) -> Document:
    content = {
        "data": {"path": "data/a/a.csv", "target": "y", "task": task},
        "schema": {},
        "split": json.loads(split),
        "features": {},
        "model": {"layers": []},
    }
    return Document.model_validate_json(json.dumps(content))


def find(case: Case, folder: Path) -> list[Leak]:
    table = folder / "table.parquet"
    case.frame.to_parquet(table, index=False)
    roles = random_roles(case.frame) if case.roles is None else case.roles
    features = [name for name in case.frame if name != "y"]
    settings = document(case.task, json.dumps(case.split, sort_keys=True))
    return find_leaks(table, np.asarray(roles, dtype=np.int8), settings, features)


def random_roles(frame: Frame, seed: int = 0) -> Any:
    """Return roles: 60 % training, 20 % validation, 20 % test."""
    places = np.random.default_rng(seed).permutation(len(frame)) / len(frame)
    return np.select([places < 0.2, places < 0.4], [TEST, VALIDATION], TRAINING)


# the data ------------------------------------------------------------------------------------


def table_of(x: Any, y: Any, names: Any = None) -> Frame:
    names = [f"x{i}" for i in range(np.shape(x)[1])] if names is None else names
    return pd.DataFrame(np.asarray(x), columns=[str(n) for n in names]).assign(y=np.asarray(y))


@lru_cache
def bundled() -> dict[str, Frame]:
    """Return the bundled classification sets."""
    found = {}
    for name in ("iris", "wine", "breast_cancer", "digits"):
        bunch = getattr(datasets, f"load_{name}")()
        found[name] = table_of(bunch.data, bunch.target, bunch.feature_names)
    return found


@lru_cache
def binary() -> dict[str, Frame]:
    """Return every class against the rest, and every pair of classes."""
    found = {}
    for name, frame in bundled().items():
        classes = sorted(frame.y.unique())
        if len(classes) == 2:
            continue
        for one in classes:
            found[f"{name} {one} or not"] = frame.assign(y=(frame.y == one).astype(int))
        for pair in combinations(classes, 2):
            part = frame[frame.y.isin(pair)].reset_index(drop=True)
            found[f"{name} {pair[0]} or {pair[1]}"] = part
    return found


@lru_cache
def regressions() -> dict[str, Frame]:
    found = {}
    for scaled in (True, False):
        x, y = datasets.load_diabetes(return_X_y=True, scaled=scaled)
        found[f"diabetes scaled={scaled}"] = table_of(x, y)
    exercise, body = datasets.load_linnerud(return_X_y=True)
    for place in range(3):
        found[f"linnerud {place}"] = table_of(exercise, body[:, place])
    for name in ("iris", "wine"):  # one column as the target
        frame = bundled()[name].drop(columns="y")
        for column in frame:
            rest = frame.drop(columns=column)
            found[f"{name} {column}"] = rest.assign(y=frame[column])
    for seed in range(5):
        n = 200 + 200 * seed
        found[f"linear {seed}"] = table_of(
            *datasets.make_regression(n, 8, n_informative=5, noise=5.0, random_state=seed)
        )
        for which in (1, 2, 3):
            make = getattr(datasets, f"make_friedman{which}")
            found[f"friedman{which} {seed}"] = table_of(*make(n, noise=0.1, random_state=seed))
        found[f"sparse {seed}"] = table_of(*datasets.make_sparse_uncorrelated(n, random_state=seed))
        found[f"roll {seed}"] = table_of(*datasets.make_swiss_roll(n, random_state=seed))
        found[f"curve {seed}"] = table_of(*datasets.make_s_curve(n, random_state=seed))
    return found


@lru_cache
def made_classes() -> dict[str, Frame]:
    found = {}
    for seed in range(6):
        n = 150 + 300 * seed
        for classes, apart in ((2, 0.5), (2, 3.0), (4, 1.0), (4, 5.0)):
            x, y = datasets.make_classification(
                n, 12, n_informative=6, n_classes=classes, class_sep=apart, random_state=seed
            )
            found[f"classification {classes} {apart} {seed}"] = table_of(x, y)
        rare = datasets.make_classification(
            n * 4, 10, n_informative=4, weights=[0.97], random_state=seed
        )
        found[f"rare {seed}"] = table_of(*rare)
        for spread in (0.3, 3.0):
            blobs = datasets.make_blobs(n, 5, centers=4, cluster_std=spread, random_state=seed)
            found[f"blobs {spread} {seed}"] = table_of(*blobs[:2])
        found[f"moons {seed}"] = table_of(*datasets.make_moons(n, noise=0.1, random_state=seed))
        found[f"circles {seed}"] = table_of(
            *datasets.make_circles(n, noise=0.05, factor=0.3, random_state=seed)
        )
        found[f"quantiles {seed}"] = table_of(
            *datasets.make_gaussian_quantiles(n_samples=n, n_features=4, random_state=seed)
        )
        found[f"hastie {seed}"] = table_of(*datasets.make_hastie_10_2(n, random_state=seed))
    return found


# clean tables --------------------------------------------------------------------------------


def clean_sets() -> list[tuple[str, str]]:
    """Return the task and the name of each set from which clean tables are made."""
    classes = {**bundled(), **binary(), **made_classes()}
    both = [("classification", name) for name in classes] + [
        ("regression", name) for name in regressions()
    ]
    return [*both, ("splits", "")]


def clean(place: int) -> Iterator[Case]:
    """Yield the clean tables of one set."""
    task, name = clean_sets()[place]
    if task == "splits":
        yield from clean_splits()
        return
    sets = regressions() if task == "regression" else {**bundled(), **binary(), **made_classes()}
    for kind, variant in variants(sets[name], task, np.random.default_rng(place)):
        # if classes are farther apart than a bin is wide, the bins recode them: skip these
        if variant.y.nunique() > 1 and not ("level" in kind and name.startswith("blobs 0.3")):
            yield Case(f"{name}, {kind}", variant.reset_index(drop=True), task)


@dataclass(frozen=True)
class Clean:
    """Findings of the firewall in the clean tables of one set."""

    tables: int
    columns: int
    strong: int
    errors: tuple[str, ...]


def look_at_clean(place: int) -> Clean:
    tables = columns = strong = 0
    errors: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in clean(place):
            found = find(case, Path(folder))
            tables, columns = tables + 1, columns + case.frame.shape[1] - 1
            strong += any(leak.kind in ("strength", "recoding") for leak in found)
            errors += [f"{case.name}: {leak}" for leak in found if leak.severity == "error"]
    return Clean(tables, columns, strong, tuple(errors))


def variants(frame: Frame, task: str, rng: Generator) -> Iterator[tuple[str, Frame]]:
    features = frame.drop(columns="y")
    yield "as it is", frame
    yield "shuffled", frame.sample(frac=1, random_state=1)
    for part in (0.5, 0.2, 0.1):
        yield f"{part:.0%} of the rows", frame.sample(frac=part, random_state=int(rng.integers(99)))
    some = rng.permutation(features.columns)[: max(2, features.shape[1] // 2)]
    yield "half the columns", frame[[*some, "y"]]
    yield "sorted by the target", frame.sort_values("y")
    yield "two levels by the median", cut(features, 2, equal=False).assign(y=frame.y)
    yield "two levels by the middle", cut(features, 2, equal=True).assign(y=frame.y)
    yield "five levels", cut(features, 5, equal=True).assign(y=frame.y)
    yield "five levels as texts", cut(features, 5, equal=False).astype(str).assign(y=frame.y)
    yield "gaps", features.mask(rng.random(features.shape) < 0.1).assign(y=frame.y)
    yield "rounded", features.round(1).assign(y=frame.y)
    yield "harmless extras", extras(frame, task, rng)


def cut(features: Frame, levels: int, *, equal: bool) -> Frame:
    """Bin columns into a few levels, of equal width or of equal count."""
    found = {}
    for name, column in features.items():
        if column.nunique() < 2:
            found[name] = pd.Series(0, index=column.index)
            continue
        shares = np.linspace(0, 1, levels + 1)[1:-1]
        low, high = column.min(), column.max()
        edges = low + shares * (high - low) if equal else np.quantile(column, shares)
        found[name] = pd.Series(np.searchsorted(edges, column, side="left"), index=column.index)
    return pd.DataFrame(found)


def extras(frame: Frame, task: str, rng: Generator) -> Frame:
    """Add columns that a table may have beside its features without revealing the target."""
    n = len(frame)
    group = pd.Series(rng.integers(0, max(3, n // 20), n), index=frame.index)
    first = frame.iloc[:, 0]
    out = frame.sample(frac=1, random_state=2).assign(
        number=np.arange(n),
        code=[f"C{i:07d}" for i in rng.permutation(n)],
        group=[f"group {i}" for i in group],
        frequency=group.map(group.value_counts()) / n,
        mean_of_another=first.groupby(group).transform("mean").to_numpy(),
        day=pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(n), unit="h"),
        share=rng.random(n).round(2),
        flag=rng.random(n) < 0.5,
        constant=1.0,
        often_missing=np.where(rng.random(n) < 0.7, np.nan, rng.normal(size=n)),
    )
    kind = "continuous" if task == "regression" else "auto"
    if n >= 60 and (task == "regression" or frame.y.nunique() == 2):
        encoder = TargetEncoder(target_type=kind, cv=KFold(5))
        out["out_of_fold"] = encoder.fit_transform(out[["group"]], out.y)[:, 0]
    return out


def clean_splits() -> Iterator[Case]:
    """Yield correct splits by time, group and key, with drifting targets."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n = 300 + 20 * seed
        level = np.cumsum(rng.normal(size=n))
        frame = pd.DataFrame(
            {
                "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(n), unit="D"),
                "before": np.roll(level, 1),
                "noise": rng.normal(size=n),
                "who": [f"p{i}" for i in np.repeat(np.arange(n // 5 + 1), 5)[:n]],
                "y": level if seed % 2 else (level > np.median(level)).astype(int),
            }
        )
        task = "regression" if seed % 2 else "classification"
        share = np.arange(n) / n
        by_time = np.select([share >= 0.8, share >= 0.6], [TEST, VALIDATION], TRAINING)
        yield Case(f"by time {seed}", frame, task, by_time, {"time": {"column": "when"}})
        people = rng.random(n // 5 + 1)[np.arange(n) // 5]
        by_group = np.select([people < 0.2, people < 0.4], [TEST, VALIDATION], TRAINING)
        yield Case(f"by group {seed}", frame, task, by_group, {"group": "who"})
        mixed = frame.sample(frac=1, random_state=seed).assign(id=rng.permutation(n))
        yield Case(f"by key {seed}", mixed, task, None, {"key": "id"})


# planted leaks -------------------------------------------------------------------------------


def bases(task: str) -> list[tuple[str, Frame]]:
    """Return the tables for planted leaks, the bundled ones first."""
    if task == "regression":
        sets = [(n, f) for n, f in regressions().items() if len(f) >= 100]
        return [s for s in sets if s[1].y.nunique() > 50]
    few = {name: f for name, f in binary().items() if len(f) >= 100}
    return [*bundled().items(), *few.items()]


def plant(kind: Callable[[str, Frame, Generator, int], Case], task: str) -> Iterator[Case]:
    sets = bases(task)
    step = max(1, len(sets) // EACH)
    for place in range(EACH):
        # first the bundled sets, then evenly spaced ones of those derived from them
        name, frame = sets[place if place < 4 else (place * step) % len(sets)]
        yield kind(name, frame.copy(), np.random.default_rng(place), place)


def few_exceptions(values: Any, rng: Generator, place: int) -> Any:
    """Give every third leak exceptions: 0.4 % of the rows get the values of other rows."""
    values = np.array(values, dtype=object)
    rows = rng.choice(len(values), int(0.004 * len(values)) * (place % 3 == 0), replace=False)
    values[rows] = values[rng.integers(0, len(values), len(rows))]
    return values


def recoding(name: str, frame: Frame, rng: Generator, place: int) -> Case:
    codes = rng.permutation(frame.y.max() + 1)[frame.y.astype(int)]
    values = [codes, np.array([f"grade {c}" for c in codes]), codes * 2.5 - 7][place % 3]
    frame["told"] = pd.Series(few_exceptions(values, rng, place)).infer_objects()
    return Case(name, frame, column="told")


def missingness(name: str, frame: Frame, rng: Generator, place: int) -> Case:
    one = frame.y.unique()[place % frame.y.nunique()]
    gone = few_exceptions(frame.y == one, rng, place).astype(bool) ^ bool(place % 2)
    text = pd.Series(rng.choice(["a", "b", "c", "d"], len(frame)))
    column = text if place % 4 == 0 else pd.Series(rng.normal(size=len(frame)).round(2))
    frame["told"] = column.mask(gone)
    return Case(name, frame, column="told")


def copy(name: str, frame: Frame, rng: Generator, place: int) -> Case:
    y = frame.y.to_numpy(dtype=float)
    z = (y - y.mean()) / y.std()
    forms = (3.2 * y - 11, np.exp(z), -(z**3), np.round(z, 1), np.arctan(z))
    frame["told"] = few_exceptions(forms[place % 5], rng, place).astype(float)
    return Case(name, frame, "regression", column="told")


def levels_for(frame: Frame, rng: Generator) -> Any:
    """Return a column of levels that is weakly related to the target."""
    rank = frame.y.rank(pct=True).to_numpy() + rng.normal(0, 0.7, len(frame))
    edges = np.quantile(rank, np.linspace(0, 1, int(rng.integers(6, 15)))[1:-1])
    return np.searchsorted(edges, rank)


def target_mean(name: str, frame: Frame, rng: Generator, place: int) -> Case:
    if place % 2:
        name, frame = bases("regression")[place % len(bases("regression"))]
    levels = levels_for(frame, rng)
    y = frame.y if place % 2 else (frame.y == frame.y.max()).astype(float)
    mean, count = y.groupby(levels).transform("mean"), y.groupby(levels).transform("size")
    form = (mean, mean.round(4), (mean * count + 10 * y.mean()) / (count + 10))[place // 2 % 3]
    frame = frame.assign(told=form)
    if place % 4 < 2:
        frame["level"] = [f"L{i}" for i in levels]
    return Case(name, frame, "regression" if place % 2 else "classification", column="told")


def left_out_mean(name: str, frame: Frame, rng: Generator, place: int) -> Case:
    if place % 2:
        name, frame = bases("regression")[place % len(bases("regression"))]
    levels = levels_for(frame, rng)
    y = frame.y if place % 2 else (frame.y == frame.y.max()).astype(float)
    total, count = y.groupby(levels).transform("sum"), y.groupby(levels).transform("size")
    frame = frame.assign(level=[f"L{i}" for i in levels], told=(total - y) / (count - 1))
    frame["told"] = frame.told.fillna(y.mean())
    return Case(name, frame, "regression" if place % 2 else "classification", column="told")


def identifier(name: str, frame: Frame, rng: Generator, place: int) -> Case:
    if place % 4 == 3:
        name, frame = bases("regression")[place % len(bases("regression"))]
    task = "regression" if place % 4 == 3 else "classification"
    frame = frame.sort_values("y", kind="stable").reset_index(drop=True)
    n = len(frame)
    numbers = (np.arange(n), 1000 + np.cumsum(rng.integers(1, 9, n)), n - np.arange(n))[place % 3]
    frame["told"] = [f"ID-{i:08d}" for i in numbers] if place % 5 == 0 else numbers
    if place % 3 == 0:  # dense numbers reveal the target even if the file is shuffled
        frame = frame.sample(frac=1, random_state=place).reset_index(drop=True)
    return Case(name, frame, task, column="told")


def twice(name: str, frame: Frame, rng: Generator, place: int) -> Case:
    what = ("key", "group")[place % 2]
    n = len(frame)
    ids = np.arange(n) if what == "key" else np.arange(n) // 5
    roles = random_roles(frame)
    if what == "group":
        people = rng.random(n)[ids]
        roles = np.select([people < 0.2, people < 0.4], [TEST, VALIDATION], TRAINING)
        roles[rng.choice(np.flatnonzero(roles == TRAINING))] = TEST
    else:
        ids[np.flatnonzero(roles == TEST)[0]] = ids[np.flatnonzero(roles == TRAINING)[0]]
    frame["told"] = ids if place % 4 < 2 else [f"c{i}" for i in ids]
    return Case(name, frame, roles=roles, split={what: "told"}, column="told")


def future(name: str, frame: Frame, rng: Generator, place: int) -> Case:
    n = len(frame)
    days = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(n) // (1 + place % 3), unit="D")
    share = np.arange(n) / n
    roles = np.select([share >= 0.8, share >= 0.6], [TEST, VALIDATION], TRAINING)
    late = np.flatnonzero(roles == TEST)
    roles[rng.choice(late[len(late) // 2 :], 1 + place % 3, replace=False)] = TRAINING
    frame["told"] = days if place % 2 else days.strftime("%Y-%m-%d")
    return Case(name, frame, roles=roles, split={"time": {"column": "told"}}, column="told")


def strong(name: str, frame: Frame, rng: Generator, place: int) -> Case:
    if place % 3 == 0:
        name, frame = bases("regression")[place % len(bases("regression"))]
        frame = frame.assign(told=frame.y + rng.normal(0, 0.05 * frame.y.std(), len(frame)))
        return Case(name, frame, "regression", column="told")
    if place % 3 == 1:  # several codes for each class
        codes = rng.integers(0, 3, len(frame))
        told = [f"{'ABCDEFGHIJ'[int(y)]}{c}" for y, c in zip(frame.y, codes, strict=True)]
        return Case(name, frame.assign(told=told), column="told")
    frame["told"] = frame.y + rng.normal(0, 0.12, len(frame))  # predictions on training rows
    return Case(name, frame, column="told")


def rows(name: str, frame: Frame, rng: Generator, place: int) -> Case:
    if place % 3 == 0:
        return Case(f"{name}, sorted", frame.sort_values("y", kind="stable").reset_index(drop=True))
    again = frame.sample(frac=0.3, random_state=place)
    if place % 3 == 1:  # augmented before the split
        jitter = (
            1e-3 * frame.drop(columns="y").std().to_numpy() * rng.normal(size=again.shape)[:, 1:]
        )
        again = (again.drop(columns="y") + jitter).assign(y=again.y)
    both = pd.concat([frame, again]).sample(frac=1, random_state=place).reset_index(drop=True)
    return Case(f"{name}, {'near' if place % 3 == 1 else 'equal'}", both)


KINDS: dict[str, tuple[Callable[[str, Frame, Generator, int], Case], str, tuple[str, ...]]] = {
    "the target in other words": (recoding, "classification", ("recoding",)),
    "a value missing by class": (missingness, "classification", ("missingness",)),
    "a copy of a number": (copy, "regression", ("copy", "identifier")),
    "the target's mean by level": (target_mean, "classification", ("target mean",)),
    "the mean without the row": (left_out_mean, "classification", ("target mean",)),
    "an identifier in order": (identifier, "classification", ("identifier",)),
    "a key or group in two roles": (twice, "classification", ("twice",)),
    "rows from the future": (future, "classification", ("future",)),
    "a column that is too good": (strong, "classification", ("strength", "recoding", "copy")),
    "sorted, equal or near rows": (
        rows, "classification", ("row order", "duplicates", "near duplicates"),
    ),
}  # fmt: skip
ROWS = {"sorted": "row order", "near": "near duplicates", "equal": "duplicates"}


def hit(case: Case, kinds: tuple[str, ...], found: list[Leak]) -> str | None:
    """Return the kind by which the planted leak was found, errors before warnings."""
    if case.column is None:
        kinds = (ROWS[case.name.rsplit(" ", 1)[-1]],)
    how = [
        leak.severity for leak in found if leak.kind in kinds and leak.column == (case.column or "")
    ]
    return min(how, default=None)


@dataclass(frozen=True)
class Planted:
    """Findings of the firewall for the planted leaks of one kind."""

    kind: str
    errors: int
    warnings: int
    missed: tuple[str, ...]
    false: tuple[str, ...]

    def __str__(self) -> str:
        counts = f"{self.errors:6d} {self.warnings:8d} {len(self.missed):7d}"
        return f"{self.kind:30s} {counts}"


def look_at_planted(kind: str) -> Planted:
    make, task, kinds = KINDS[kind]
    how: Counter[str | None] = Counter()
    missed: list[str] = []
    false: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in plant(make, task):
            found = find(case, Path(folder))
            how[hit(case, kinds, found)] += 1
            missed += [f"{kind}: {case.name}"] * (hit(case, kinds, found) is None)
            false += [
                f"{kind}, {case.name}: {leak}"
                for leak in found
                if leak.severity == "error" and leak.column != case.column
            ]
    return Planted(kind, how["error"], how["warning"], tuple(missed), tuple(false))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    began = time.perf_counter()
    say(f"{'planted':30s} {'error':>6s} {'warning':>8s} {'missed':>7s}")
    planted = []
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # one process per core
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for row in pool.map(look_at_planted, KINDS):
            planted.append(row)
            say(str(row))
        clean_ones = list(pool.map(look_at_clean, range(len(clean_sets())), chunksize=4))
    missed = tuple(line for row in planted for line in row.missed)
    false = [line for row in planted for line in row.false]
    false += [line for row in clean_ones for line in row.errors]
    errors, warnings = sum(r.errors for r in planted), sum(r.warnings for r in planted)
    say(str(Planted("all", errors, warnings, missed, ())))
    tables, columns = sum(r.tables for r in clean_ones), sum(r.columns for r in clean_ones)
    strong = sum(r.strong for r in clean_ones)
    say(f"\nclean: {tables:,} tables, {columns:,} columns; {strong:,} tables have a strong column")
    for line in (*(f"missed  {m}" for m in missed), *(f"false   {f}" for f in false)):
        say(line)
    say(f"{time.perf_counter() - began:.0f} s")
    passed = errors + warnings >= WANTED and not false
    say(
        f"{'reached' if passed else 'MISSED'}: {errors + warnings} of {EACH * len(KINDS)} planted "
        f"leaks found ({errors} by errors, {warnings} by warnings; wanted {WANTED}), "
        f"{len(false)} errors in {tables:,} clean tables (wanted 0)"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
