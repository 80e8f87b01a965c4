"""Fit each kind of column except numbers to the training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gristmill.pipelines.base import Problem, nearest
from gristmill.pipelines.config import Feature, Features
from gristmill.pipelines.ingestion import is_zoned
from gristmill.pipelines.preparation.features.frames import frames
from gristmill.pipelines.preparation.features.transforms import (
    MISSING,
    PARTS,
    as_text,
    date_part,
    labels,
    moments_of,
    truths,
    words_of,
)
from gristmill.pipelines.tables import Floats, TableRows

MOST_LEVELS = 100_000
"""Largest number of levels of a category."""

IDENTIFIES = 0.5
"""Share of distinct values above which a text column identifies rows and is no category."""

MOST_WORDS = 500_000
"""Largest number of different words counted at a time; above it the rarest are dropped."""

WORD_PAIRS = (
    ("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("off", "on"),
    ("nein", "ja"), ("n", "j"), ("non", "oui"), ("no", "si"), ("no", "sí"), ("não", "sim"),
    ("nee", "ja"), ("нет", "да"), ("아니오", "예"), ("아니요", "네"),
    ("否", "是"), ("いいえ", "はい"),
)  # fmt: skip
"""Pairs of words for false and true; a text column with such a pair is a boolean."""

Column = dict[str, Any]


def fit_column(
    rows: TableRows, name: str, feature: Feature, declared: bool, features: Features
) -> Column | Problem:
    """Return the statistics of a column that is no number, or why it does not fit its kind.

    Args:
        rows: raw training rows.
        name: name of the column.
        feature: its kind and settings.
        declared: whether the kind is from the experiment file; if not, a text column with two words
            such as yes and no becomes a boolean.
        features: settings for all columns.
    """
    kind = feature.kind
    if kind == "text":
        return _text(rows, name, feature.words)
    if kind == "date":
        return _date(rows, name, feature, features)
    if kind == "boolean":
        return _boolean(rows, name)
    if kind == "ordered":
        return _ordered(rows, name, feature)
    levels = _levels(rows, name, features.embed_above)
    if isinstance(levels, Problem):
        return levels
    if not declared and _is_word_pair(levels):
        return _boolean(rows, name)
    return _category(name, levels, feature, features)


def series(rows: TableRows, name: str, plain: bool = False) -> Iterator[pd.Series[Any]]:
    """Return an iterator over a column's batches.

    Args:
        rows: the rows.
        name: name of the column.
        plain: whether to read texts as strings instead of categories.
    """
    return (frame[name] for frame in frames(rows, [name], [name] if plain else []))


def nothing(name: str) -> Problem:
    """Return the problem of a column without values."""
    return Problem(
        f"column {name} has no values in the training rows",
        "values", "none", f"exclude it: features: {{exclude: [{name}]}}",
    )  # fmt: skip


def scaling(known: Floats, scale: str) -> tuple[float, float]:
    """Return offset and factor of values, computed by scikit-learn's scalers.

    Args:
        known: (n,) values without NaN.
        scale: `minmax`, `standard` or `none`.
    """
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    block = known.reshape(-1, 1)
    if scale == "minmax":
        minmax = MinMaxScaler().fit(block)
        return float(minmax.data_min_[0]), float(minmax.scale_[0])
    if scale == "standard":
        standard = StandardScaler().fit(block)
        return float(standard.mean_[0]), float(1 / standard.scale_[0])
    return 0.0, 1.0


def _levels(rows: TableRows, name: str, few: int) -> list[str] | Problem:
    """Return the distinct values as sorted texts, missing included, or why they are no levels."""
    found: set[str] = set()
    known = 0
    for values in series(rows, name):
        found.update(as_text(pd.Series(values.unique())))
        known += int(values.notna().sum())
        if len(found) > MOST_LEVELS:
            break
    if len(found) > MOST_LEVELS or (len(found) > few and len(found) > IDENTIFIES * known):
        return Problem(
            f"column {name} has too many different values to be a category",
            f"at most {few}, or at most {MOST_LEVELS:,} and half the number of rows",
            f"{len(found):,} in {known:,} training rows with a value",
            f"exclude it: features: {{exclude: [{name}]}},\n"
            f"or count its words: features: {{columns: {{{name}: text}}}}",
        )
    if found == {MISSING}:
        return nothing(name)
    return sorted(found)


def _category(name: str, levels: list[str], feature: Feature, features: Features) -> Column:
    if feature.size is None and len(levels) <= features.embed_above:
        return {"name": name, "kind": "category", "levels": levels}
    size = feature.size or embedding_size(len(levels))
    return {"name": name, "kind": "embedded", "levels": levels, "size": size}


def embedding_size(levels: int) -> int:
    """Return the length of an embedding: 1.6 · levels^0.56, at most 50.

    It is fastai's rule of thumb (Howard, Gugger 2020).

    Examples:
        >>> embedding_size(100), embedding_size(100_000)
        (21, 50)
    """
    return min(50, round(1.6 * float(levels**0.56)))


def _is_word_pair(levels: Sequence[str]) -> bool:
    words = {level.strip().lower() for level in levels if level != MISSING}
    return any(words == set(pair) for pair in WORD_PAIRS)


def _boolean(rows: TableRows, name: str) -> Column | Problem:
    levels = sorted({text for values in series(rows, name) for text in as_text(values).unique()})
    words = [level.strip().lower() for level in levels if level != MISSING]
    words = list(dict.fromkeys(words))
    known = next((p for p in (*WORD_PAIRS, ("0", "1")) if words and {*words} <= {*p}), None)
    if not words:
        return nothing(name)
    if known is None and len(words) != 2:
        return Problem(
            f"column {name} is declared as boolean",
            "two different values",
            f"{len(words):,}: " + ", ".join(words[:5]) + "…" * (len(words) > 5),
            f"features: {{columns: {{{name}: category}}}}",
        )
    false, true = known or sorted(words)
    made = {"false": [false], "true": [true]}
    if false not in ("true", "1") and true not in ("false", "0"):
        # requests to a served model can contain JSON's true and false
        made = {"false": sorted({false, "false", "0"}), "true": sorted({true, "true", "1"})}
    found = [truths(values, made["false"], made["true"]) for values in series(rows, name)]
    values = np.concatenate(found)
    known_values = values[~np.isnan(values)]
    return {
        "name": name,
        "kind": "boolean",
        **made,
        "gaps": len(known_values) < len(values),
        "fill": float(np.median(known_values) > 0.5),
    }


def _ordered(rows: TableRows, name: str, feature: Feature) -> Column | Problem:
    levels = labels(feature.levels or ())
    counts: Counter[str] = Counter()
    for values in series(rows, name):
        counts.update({str(k): int(n) for k, n in as_text(values).value_counts().items()})
    unknown = sorted(set(counts) - {*levels, MISSING})
    if unknown:
        near = nearest(unknown[0], levels)
        return Problem(
            f"column {name} has values that are not among its levels",
            "one of " + ", ".join(levels[:20]) + "…" * (len(levels) > 20),
            ", ".join(unknown[:5]) + "…" * (len(unknown) > 5),
            (f"did you mean {near}? " if near else "")
            + f"fix features.columns.{name}.levels or the source",
        )
    if not counts.keys() - {MISSING}:
        return nothing(name)
    found = np.repeat([levels.index(t) for t in counts if t != MISSING],
                      [n for t, n in counts.items() if t != MISSING])  # fmt: skip
    fill = float(np.median(found)) / (len(levels) - 1)
    gaps = counts[MISSING] > 0
    return {"name": name, "kind": "ordered", "levels": levels, "gaps": gaps, "fill": fill}


def _date(rows: TableRows, name: str, feature: Feature, features: Features) -> Column | Problem:
    try:
        moments = np.concatenate([moments_of(values) for values in series(rows, name)])
    except ValueError as error:
        return Problem(
            f"column {name} is declared as date", "dates like 2026-01-31, or with a time of day",
            str(error).rpartition("found ")[2],
            "set the format of the file's dates: data: {csv: {dates: [\"%d/%m/%Y\"]}}",
        )  # fmt: skip
    known = moments[~np.isnat(moments)]
    if not len(known):
        return nothing(name)
    parts: list[Column] = []
    for part in (part for part in PARTS if feature.parts is None or part in feature.parts):
        found = date_part(known, part)
        if part == "days":
            offset, factor = scaling(found.astype("float64"), features.scale)
            parts.append({"part": part, "offset": offset, "factor": factor,
                          "fill": float(np.median(found))})  # fmt: skip
        elif found.min() < found.max():  # a constant part has no information
            about: Column = {"part": part}
            if part == "year":
                offset, factor = scaling(found.astype("float64"), features.scale)
                about |= {"offset": offset, "factor": factor, "fill": float(np.median(found))}
            parts.append(about)
    gaps = len(known) < len(moments)
    if not parts and not gaps:
        return Problem(
            f"column {name} is the same date in these parts", "parts that differ",
            ", ".join(feature.parts or ()), f"exclude it: features: {{exclude: [{name}]}}",
        )  # fmt: skip
    zoned = {"zoned": True} if is_zoned(rows.schema.field(name)) else {}
    return {"name": name, "kind": "date", "parts": parts, "gaps": gaps, **zoned}


def _text(rows: TableRows, name: str, most: int) -> Column | Problem:
    counts: Counter[str] = Counter()
    within: Counter[str] = Counter()  # number of rows with the word
    gaps = False
    for values in series(rows, name, plain=True):
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
        return nothing(name)
    words = sorted(sorted(counts), key=lambda word: -counts[word])[:most]
    shares = (1 + rows.count) / (1 + np.array([within[word] for word in words]))
    weights = [float(weight) for weight in np.log(shares) + 1]
    return {"name": name, "kind": "text", "words": words, "weights": weights, "gaps": gaps}
