"""What `transform` has to know of each column, from training rows alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.config import ConfigError, DataInvalid, Document, Feature, Features, Problem, nearest
from pipelines.preparation.columns import declared_kinds, feature_columns
from pipelines.preparation.rows import Rows
from pipelines.preparation.transform import (
    MISSING,
    as_text,
    date_part,
    labels,
    moments_of,
    truths,
    words_of,
)

MOST_LEVELS = 100_000
"""Levels above which no column is a category."""

IDENTIFIES = 0.5
"""Distinct values a row above which a text tells rows apart, and is no category."""

BLOCK = 1 << 24
"""Values that are in memory at a time while numbers are measured: 128 MiB."""

MOST_WORDS = 500_000
"""Different words that are counted at a time; the rarest are forgotten above it."""

WORD_PAIRS = (
    ("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("off", "on"),
    ("nein", "ja"), ("n", "j"), ("non", "oui"), ("no", "si"), ("no", "sí"), ("não", "sim"),
    ("nee", "ja"), ("нет", "да"), ("아니오", "예"), ("아니요", "네"),
    ("否", "是"), ("いいえ", "はい"),
)  # fmt: skip
"""Words for false and true, by which two texts are known as a boolean."""

Column = dict[str, Any]


def fit_statistics(training: pd.DataFrame, document: Document) -> Column:
    """As `fit`, of training rows in memory."""
    return fit(Rows(pa.Table.from_pandas(training, preserve_index=False)), document)


def fit(rows: Rows, document: Document) -> Column:
    """Everything that `transform` has to know.

    Args:
        rows: raw training rows.
        document: the experiment file.

    Returns:
        `numbers` (name, offset, factor, fill, indicator), `columns` (name, kind and what the kind
        needs; the embedded ones last), `embedded` (how many codes each of those has, and the length
        of its embedding), `classes` (labels in order, or None), `target_scale` (offset and factor,
        or None), `target` and `task`.

    Raises:
        ConfigError: `features.columns` does not fit the data.
        DataInvalid: a column cannot be made numbers; all such columns are listed.
    """
    features, target = document.features, document.data.target
    present = [name for name in rows.schema.names if name != document.split.given]
    names = feature_columns(present, features, target)
    declared = declared_kinds(names, features)
    kinds = {name: declared.get(name) or _by_storage(rows, name) for name in names}
    numbers = [name for name in names if kinds[name].kind == "number"]
    problems: list[Problem] = []
    measured = _numbers(rows, numbers, features, problems)
    columns: list[Column] = []
    for name in names:
        if name not in numbers:
            try:
                columns.append(_fit_column(rows, name, kinds[name], name in declared, features))
            except _Unfit as error:
                problems.append(error.problem)
    if problems:
        raise DataInvalid(
            f"{len(problems)} column{'s' * (len(problems) > 1)} cannot become features",
            problems=problems,
        )
    columns.sort(key=lambda column: bool(column["kind"] == "embedded"))
    codes = [c for c in columns if c["kind"] == "embedded"]
    classes = None
    if document.data.task == "classification":
        classes = _classes(rows, target)
    return {
        "numbers": measured,
        "columns": columns,
        "embedded": [[len(column["levels"]) + 1, column["size"]] for column in codes],
        "classes": classes,
        "target_scale": _target_scale(rows, target) if features.scale_target else None,
        "target": target,
        "task": document.data.task,
    }


class _Unfit(Exception):
    def __init__(self, where: str, expected: str, found: str, hint: str) -> None:
        self.problem = Problem(where, expected, found, hint)
        super().__init__(where)


def _by_storage(rows: Rows, name: str) -> Feature:
    """The kind of a column that the experiment file does not name."""
    stored = rows.storage(name)
    if stored == "other":
        raise ConfigError(
            f"column {name} holds what cannot become numbers",
            expected="numbers, booleans, dates or text",
            found=str(rows.schema.field(name).type),
            next=f"leave it out: features: {{exclude: [{name}]}}",
        )
    return Feature(kind="category" if stored == "text" else stored)


def _fit_column(
    rows: Rows, name: str, feature: Feature, declared: bool, features: Features
) -> Column:
    kind = feature.kind
    if kind == "text":
        return _text(rows, name, feature.words)
    if kind == "date":
        return _date(rows, name, features)
    if kind == "boolean":
        return _boolean(rows, name)
    if kind == "ordered":
        return _ordered(rows, name, feature)
    levels = _levels(rows, name, features.embed_above)
    if not declared and _is_word_pair(levels):
        return _boolean(rows, name)
    return _category(name, levels, feature, features)


def _series(rows: Rows, name: str, plain: bool = False) -> Iterator[pd.Series[Any]]:
    for frame in rows.frames([name], [name] if plain else []):
        yield frame[name]


def _nothing(name: str) -> Problem:
    return Problem(
        f"column {name} has not a single value in the training rows",
        "values", "none", f"leave it out: features: {{exclude: [{name}]}}",
    )  # fmt: skip


def _numbers(
    rows: Rows, names: Sequence[str], features: Features, problems: list[Problem]
) -> list[Column]:
    """Column by column, or as many at a time as `BLOCK` allows."""
    width = max(1, BLOCK // max(rows.count, 1))
    found: list[Column] = []
    for start in range(0, len(names), width):
        block = names[start : start + width]
        values = _values(rows, block)
        for i, name in enumerate(block):
            known = values[i][~np.isnan(values[i])]
            if not len(known):
                problems.append(_nothing(name))
            elif np.isinf(known).any():
                problems.append(
                    Problem(
                        f"column {name} has infinite values in the training rows",
                        "finite numbers",
                        hint="mend the source; `type: number` in the schema finds such rows",
                    )
                )
            else:
                offset, factor = scaling(known, features.scale)
                found.append(
                    {
                        "name": name,
                        "offset": offset,
                        "factor": factor,
                        "fill": float(np.median(known, overwrite_input=True)),
                        "indicator": len(known) < values.shape[1],
                    }
                )
    return found


def _values(rows: Rows, names: Sequence[str]) -> Any:
    """(n_columns, n_rows) float64, NaN where missing."""
    values = np.empty((len(names), rows.count))
    place = 0
    for frame in rows.frames(list(names), names):
        for i, name in enumerate(names):
            values[i, place : place + len(frame)] = _floats(frame[name])
        place += len(frame)
    return values


def _floats(values: pd.Series[Any]) -> Any:
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(dtype="float64", na_value=np.nan)
    parsed = pd.to_numeric(values, errors="coerce")
    wrong = parsed.isna() & values.notna()
    if wrong.any():
        raise DataInvalid(
            f"column {values.name} is declared a number, and holds something else",
            expected="numbers",
            found=repr(values[wrong].iloc[0]),
            next=f"features: {{columns: {{{values.name}: category}}}}, or mend the source",
        )
    return parsed.to_numpy(dtype="float64", na_value=np.nan)


def scaling(known: Any, scale: str) -> tuple[float, float]:
    """Offset and factor of values without gaps, as scikit-learn's scalers find them."""
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    block = known.reshape(-1, 1)
    if scale == "minmax":
        minmax = MinMaxScaler().fit(block)
        return float(minmax.data_min_[0]), float(minmax.scale_[0])
    if scale == "standard":
        standard = StandardScaler().fit(block)
        return float(standard.mean_[0]), float(1 / standard.scale_[0])
    return 0.0, 1.0


def _levels(rows: Rows, name: str, few: int) -> list[str]:
    """All different values as text, in order; missing is one.

    Raises:
        _Unfit: so many that they tell the rows apart.
    """
    found: set[str] = set()
    known = 0
    for values in _series(rows, name):
        found.update(as_text(pd.Series(values.unique())))
        known += int(values.notna().sum())
        if len(found) > MOST_LEVELS:
            break
    if len(found) > MOST_LEVELS or (len(found) > few and len(found) > IDENTIFIES * known):
        raise _Unfit(
            f"column {name} has too many different values to be a category",
            f"{few} or fewer, or {IDENTIFIES:.0%} of the rows' number and {MOST_LEVELS:,} or fewer",
            f"{len(found):,} in {known:,} training rows with a value",
            f"leave it out: features: {{exclude: [{name}]}},\n"
            f"or count its words: features: {{columns: {{{name}: text}}}}",
        )
    if found == {MISSING}:
        raise _unfit(_nothing(name))
    return sorted(found)


def _unfit(problem: Problem) -> _Unfit:
    return _Unfit(problem.where, problem.expected, problem.found, problem.hint)


def _category(name: str, levels: list[str], feature: Feature, features: Features) -> Column:
    if feature.size is None and len(levels) <= features.embed_above:
        return {"name": name, "kind": "category", "levels": levels}
    size = feature.size or embedding_size(len(levels))
    return {"name": name, "kind": "embedded", "levels": levels, "size": size}


def embedding_size(levels: int) -> int:
    """1.6 · levels^0.56, 50 at most: fastai's rule of thumb (Howard, Gugger 2020)."""
    return min(50, round(1.6 * float(levels**0.56)))


def _is_word_pair(levels: Sequence[str]) -> bool:
    words = {level.strip().lower() for level in levels if level != MISSING}
    return any(words == set(pair) for pair in WORD_PAIRS)


def _boolean(rows: Rows, name: str) -> Column:
    levels = sorted({text for values in _series(rows, name) for text in as_text(values).unique()})
    words = [level.strip().lower() for level in levels if level != MISSING]
    words = list(dict.fromkeys(words))
    known = next((p for p in (*WORD_PAIRS, ("0", "1")) if words and {*words} <= {*p}), None)
    if not words:
        raise _unfit(_nothing(name))
    if known is None and len(words) != 2:
        raise _Unfit(
            f"column {name} is declared boolean",
            "two different values",
            f"{len(words):,}: " + ", ".join(words[:5]) + "…" * (len(words) > 5),
            f"features: {{columns: {{{name}: category}}}}",
        )
    false, true = known or sorted(words)
    made = {"false": [false], "true": [true]}
    if false not in ("true", "1") and true not in ("false", "0"):
        # whoever asks a served model may write what JSON has for it
        made = {"false": sorted({false, "false", "0"}), "true": sorted({true, "true", "1"})}
    found = [truths(values, made["false"], made["true"]) for values in _series(rows, name)]
    values = np.concatenate(found)
    known_values = values[~np.isnan(values)]
    return {
        "name": name,
        "kind": "boolean",
        **made,
        "gaps": len(known_values) < len(values),
        "fill": float(np.median(known_values) > 0.5),
    }


def _ordered(rows: Rows, name: str, feature: Feature) -> Column:
    levels = labels(feature.levels or ())
    counts: Counter[str] = Counter()
    for values in _series(rows, name):
        counts.update(Counter(as_text(values).tolist()))
    unknown = sorted(set(counts) - {*levels, MISSING})
    if unknown:
        near = nearest(unknown[0], levels)
        raise _Unfit(
            f"column {name} has values that its levels do not name",
            "one of " + ", ".join(levels[:20]) + "…" * (len(levels) > 20),
            ", ".join(unknown[:5]) + "…" * (len(unknown) > 5),
            (f"did you mean {near}? " if near else "")
            + f"mend features.columns.{name}.levels or the source",
        )
    if not counts.keys() - {MISSING}:
        raise _unfit(_nothing(name))
    found = np.repeat([levels.index(t) for t in counts if t != MISSING],
                      [n for t, n in counts.items() if t != MISSING])  # fmt: skip
    fill = float(np.median(found)) / (len(levels) - 1)
    gaps = counts[MISSING] > 0
    return {"name": name, "kind": "ordered", "levels": levels, "gaps": gaps, "fill": fill}


def _date(rows: Rows, name: str, features: Features) -> Column:
    try:
        moments = np.concatenate([moments_of(values) for values in _series(rows, name)])
    except ValueError as error:
        raise _Unfit(
            f"column {name} is declared a date", "dates as 2026-01-31, or with a time of day",
            str(error).rpartition("found ")[2],
            "data: {csv: {dates: [\"%d/%m/%Y\"]}} says how a file writes them",
        ) from error  # fmt: skip
    known = moments[~np.isnat(moments)]
    if not len(known):
        raise _unfit(_nothing(name))
    parts: list[Column] = []
    for part in ("days", "year", "month", "weekday", "hour"):
        found = date_part(known, part)
        if part == "days":
            offset, factor = scaling(found, features.scale)
            parts.append({"part": part, "offset": offset, "factor": factor,
                          "fill": float(np.median(found))})  # fmt: skip
        elif found.min() < found.max():  # what never changes tells nothing
            about: Column = {"part": part}
            if part == "year":
                offset, factor = scaling(found.astype("float64"), features.scale)
                about |= {"offset": offset, "factor": factor, "fill": float(np.median(found))}
            parts.append(about)
    gaps = len(known) < len(moments)
    return {"name": name, "kind": "date", "parts": parts, "gaps": gaps}


def _text(rows: Rows, name: str, most: int) -> Column:
    counts: Counter[str] = Counter()
    within: Counter[str] = Counter()  # in how many rows
    gaps = False
    for values in _series(rows, name, plain=True):
        gaps = gaps or bool(values.isna().any())
        places, words = words_of(values.map(str, na_action="ignore"))
        codes, distinct = pd.factorize(np.array(words, dtype=object))
        counts.update(dict(zip(distinct, np.bincount(codes).tolist(), strict=True)))
        once = np.unique(places * max(len(distinct), 1) + codes) % max(len(distinct), 1)
        within.update(dict(zip(distinct, np.bincount(once).tolist(), strict=True)))
        if len(counts) > MOST_WORDS:
            counts = Counter(dict(counts.most_common(MOST_WORDS // 2)))
            within = Counter({word: within[word] for word in counts})
    if not counts:
        raise _unfit(_nothing(name))
    words = sorted(sorted(counts), key=lambda word: -counts[word])[:most]
    shares = (1 + rows.count) / (1 + np.array([within[word] for word in words]))
    weights = [float(weight) for weight in np.log(shares) + 1]
    return {"name": name, "kind": "text", "words": words, "weights": weights, "gaps": gaps}


def _classes(rows: Rows, target: str) -> list[Any]:
    found: dict[str, Any] = {}
    for values in _series(rows, target):
        distinct = values.dropna().unique().tolist()
        found |= dict(zip(labels(distinct), distinct, strict=True))
    stored = rows.schema.field(target).type
    if pa.types.is_integer(stored):
        return sorted(int(label) for label in found.values())
    if rows.storage(target) == "date":
        return sorted(found)
    return sorted(found.values())


def _target_scale(rows: Rows, target: str) -> Column:
    values = _values(rows, [target])[0]
    if not np.isfinite(values).all():
        raise DataInvalid(
            f"the target {target} is not a finite number in every training row",
            expected="finite numbers",
            found=f"{int((~np.isfinite(values)).sum()):,} rows without one",
        )
    offset, factor = scaling(values, "standard")
    return {"offset": offset, "factor": factor}
