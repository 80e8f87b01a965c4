"""Convert raw rows to features, and model outputs to predictions, by stored statistics.

A copy of this file is the preprocessing in every package: it is stored beside the model and loaded
from there. It therefore imports only numpy and pandas.

To add a kind of column, add an entry to `KINDS`: its feature names and its fill function.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

MISSING = "(missing)"
"""The level of missing values."""

UNSEEN = "values unseen in training"
EMPTY = "no value, which training always had"
NAIVE = "dates without an offset beside dates with one, read as UTC"
"""What `surprises` can be about."""

ZONED = re.compile(r"\d[T ]\d.*(Z|[+-]\d\d(:?\d\d)?)$")
WORD = re.compile(r"\w+")
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$", re.ASCII)
TRUTHS = dict.fromkeys(("true", "yes", "t", "y", "on"), "1")
TRUTHS |= dict.fromkeys(("false", "no", "f", "n", "off"), "0")
"""Words for labels that are true or false."""

DAY = 86_400_000_000
"""Microseconds per day."""

PARTS: dict[str, tuple[str, ...]] = {
    "days": ("days",),
    "year": ("year",),
    "month": ("month, sine", "month, cosine"),
    "weekday": ("weekday, sine", "weekday, cosine"),
    "hour": ("hour, sine", "hour, cosine"),
}
"""Parts of a date, and the names of their feature columns."""

PERIODS = {"month": 12, "weekday": 7, "hour": 24}

Statistics = Mapping[str, Any]
Column = Mapping[str, Any]
"""The statistics of one column."""

Features = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.integer]
Moments = npt.NDArray[np.datetime64]
Outputs = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.uint8] | Features


def input_names(statistics: Statistics) -> list[str]:
    """Return the raw columns that `transform` reads."""
    if picture := statistics.get("picture"):
        return [picture["name"]]
    return [c["name"] for kind in ("numbers", "columns") for c in statistics[kind]]


def optional_names(statistics: Statistics) -> list[str]:
    """Return the raw columns that are optional: those with gaps in the training rows."""
    gaps = [c["name"] for c in statistics["numbers"] if c["indicator"]]
    return gaps + [c["name"] for c in statistics["columns"] if _has_gaps(c)]


def feature_shape(statistics: Statistics) -> tuple[int, ...]:
    """Return the shape of one row's features: (n_features,), or (height, width, channels)."""
    if picture := statistics.get("picture"):
        return picture["height"], picture["width"], picture["channels"]
    return (len(feature_names(statistics)),)


def feature_names(statistics: Statistics) -> list[str]:
    """Return the names of the feature columns in order; empty for pictures."""
    names = [column["name"] for column in statistics["numbers"]]
    names += [_mark(column) for column in statistics["numbers"] if column["indicator"]]
    for column in statistics["columns"]:
        names += _names(column)
    return names


def transform(frame: pd.DataFrame, statistics: Statistics) -> Features:
    """Convert raw rows to features.

    Missing numbers are filled; numbers are shifted and scaled. A category becomes one column per
    level, all zeros for a level that does not occur in the training rows. An embedded category
    becomes a single column of codes from 1, and 0 for such a level. An absent column counts as
    missing in every row, if it had gaps in the training rows.

    Args:
        frame: raw rows; columns in any order, additional ones are ignored. Pictures are arrays of
            their pixels, (height, width, channels).
        statistics: statistics of the training rows from the stage `scale`.

    Returns:
        (n_rows, n_features) float32; for pictures (n_rows, height, width, channels) float32.

    Raises:
        ValueError: a column is missing, or has values that are no finite numbers or dates, as
            required.
    """
    frame = with_plain_names(frame, statistics)
    absent = [name for name in input_names(statistics) if name not in frame]
    refused = sorted(set(absent) - set(optional_names(statistics)))
    if len(absent) == len(input_names(statistics)):
        refused = absent
    if refused:
        lacking = ", ".join(refused[:10]) + ", …" * (len(refused) > 10)
        forms = any(name.isdecimal() or not name.isascii() for name in refused)
        hint = ' (names are text, such as "2" for 2, in Unicode\'s form NFC)' * forms
        raise ValueError(f"columns are missing: {lacking}{hint}")
    if absent:
        frame = frame.reindex(columns=input_names(statistics))
    if statistics.get("picture"):
        return _pictures(frame, statistics["picture"])
    numbers = statistics["numbers"]
    out = np.zeros((len(frame), len(feature_names(statistics))), dtype=np.float32)
    if numbers:
        _fill_numbers(out, frame, numbers)
    place = len(numbers) + sum(column["indicator"] for column in numbers)
    for column in statistics["columns"]:
        width = len(_names(column))
        _, fill = KINDS[column["kind"]]
        fill(out[:, place : place + width], frame[column["name"]], column)
        place += width
    return out


def with_plain_names(frame: pd.DataFrame, statistics: Statistics) -> pd.DataFrame:
    """Return raw rows in which each input has the name that it had in training.

    Names are equal in their plain form; 2 is the name "2".

    Raises:
        ValueError: two columns have the name of one input.
    """
    absent = {name for name in input_names(statistics) if name not in frame}
    if not absent:
        return frame
    names = {name: plain_text(str(name)) for name in frame.columns}
    names = {name: plain for name, plain in names.items() if plain in absent}
    if len({*names.values()}) < len(names):
        raise ValueError(f"two columns have the same name: {', '.join(map(repr, names))}")
    return frame.rename(columns=names)


class Surprise(NamedTuple):
    """Values of a column that training did not have, and that `transform` replaces.

    Attributes:
        name: the column.
        what: `UNSEEN`, `EMPTY` or `NAIVE`.
        rows: (n_rows,) bool, the rows with such a value.
        examples: some of the values.
    """

    name: str
    what: str
    rows: Flags
    examples: list[str]


def surprises(frame: pd.DataFrame, statistics: Statistics) -> list[Surprise]:
    """Return the values that `transform` replaces though training had nothing like them.

    Args:
        frame: raw rows, as for `transform`; absent columns are no surprise.
        statistics: statistics of the training rows.
    """
    frame = with_plain_names(frame, statistics)
    found: list[Surprise] = []
    for column in [*statistics.get("numbers", ()), *statistics.get("columns", ())]:
        if column["name"] in frame:
            found += _surprises(frame[column["name"]], column)
    return [one for one in found if one.rows.any()]


def _surprises(values: pd.Series, column: Column) -> Iterator[Surprise]:
    name, kind = column["name"], column.get("kind", "number")
    if not (column["indicator"] if kind == "number" else _has_gaps(column)):
        empty = values.isna() | values.map(_is_blank).astype(bool)
        yield Surprise(name, EMPTY, empty.to_numpy(dtype=bool), [])
    if kind == "number":
        return
    codes, distinct = _distinct(values)
    texts = labels(distinct)
    if kind == "date":
        zoned = [bool(ZONED.search(text)) for text in texts]
        known, what = zoned if any(zoned) else [True] * len(texts), NAIVE
    elif kind == "text":
        places, words = words_of(pd.Series(texts, dtype=object))
        strange = {*places.tolist()} - {*places[np.isin(words, column["words"])].tolist()}
        known, what = [place not in strange for place in range(len(texts))], UNSEEN
    elif kind == "boolean":
        known, what = [t.lower() in (*column["false"], *column["true"]) for t in texts], UNSEEN
    else:
        levels = {*column["levels"]}
        known, what = [text in levels for text in texts], UNSEEN
    odd = ~np.array([*known, True], dtype=bool)
    yield Surprise(name, what, odd[codes], [t for t, o in zip(texts, odd, strict=False) if o][:3])


def scaled(stored: Pixels, statistics: Statistics) -> Features:
    """Convert rows stored by the stage `scale` to the inputs of a model.

    Args:
        stored: (n_rows, height, width, channels) uint8 for pictures; else the result of
            `transform`.
        statistics: statistics of the training rows.

    Returns:
        The result of `transform` for the same rows, float32.
    """
    if not statistics.get("picture"):
        return cast("Features", stored)
    return _scale(np.array(stored, dtype=np.float32), statistics["picture"])


def _scale(out: Features, picture: Column) -> Features:
    out -= np.array(picture["offset"], dtype=np.float32)
    out *= np.array(picture["factor"], dtype=np.float32)
    return out


def _pictures(frame: pd.DataFrame, picture: Column) -> Features:
    shape = (picture["height"], picture["width"], picture["channels"])
    out = np.array([*frame[picture["name"]]], dtype=np.float32).reshape(len(frame), *shape)
    return _scale(out, picture)


def labels(values: Iterable[object]) -> list[str]:
    """Return values as the texts by which levels are compared, independent of their types.

    3 and 3.0 give the same text, because a gap turns a column of integers into floats. Text is
    compared as `plain_text`.
    """
    return [_label(value) for value in (values.tolist() if hasattr(values, "tolist") else values)]


def plain_text(text: str) -> str:
    """Return text as it is compared in names, levels and labels: stripped, in Unicode's form NFC.

    macOS writes names of files in the form NFD, in which 서 consists of two characters.
    """
    return unicodedata.normalize("NFC", text).strip()


def as_text(column: pd.Series) -> pd.Series:
    """Return each value's label; that of a missing value is `MISSING`."""
    codes, values = _distinct(column)
    texts = np.array([*labels(values), MISSING], dtype=object)
    return pd.Series(texts[codes], index=column.index, dtype=object)


def places(column: pd.Series, levels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return each value's index in the levels, (n_rows,) int64; −1 for other values."""
    codes, values = _distinct(column)
    place = {level: i for i, level in enumerate(levels)}
    table = np.array([place.get(text, -1) for text in (*labels(values), MISSING)], dtype=np.int64)
    return table[codes]


def _distinct(column: pd.Series) -> tuple[Codes, pd.Index | npt.NDArray[np.generic]]:
    """Return codes, −1 for missing or blank, and the distinct values that they index."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, values = column.cat.codes.to_numpy(), column.cat.categories
    else:
        if column.dtype == object:  # pandas would treat True and 1 as equal
            kinds = [type(value) for value in column]
            if bool in kinds and len(set(kinds)) > 1:
                column = column.map(lambda v: _label(v) if isinstance(v, bool | np.bool_) else v)
        codes, values = pd.factorize(column)
    blank = np.array([_is_blank(value) for value in values], dtype=bool)
    return (np.where(np.append(blank, False)[codes], -1, codes) if blank.any() else codes), values


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


def _label(value: object) -> str:
    if isinstance(value, str):
        return plain_text(value)
    if value is None or value is pd.NA or value != value:
        return MISSING
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, date):  # pandas.Timestamp and datetime are subclasses
        return value.isoformat().removesuffix("T00:00:00")
    return str(value)


def _mark(column: Column) -> str:
    return f"{column['name']} is missing"


def _has_gaps(column: Column) -> bool:
    return bool(column["gaps"]) if "gaps" in column else MISSING in column["levels"]


def _names(column: Column) -> list[str]:
    names, _ = KINDS[column["kind"]]
    return names(column) + [_mark(column)] * column.get("gaps", False)


def _fill_numbers(out: Features, frame: pd.DataFrame, numbers: Sequence[Column]) -> None:
    raw = _floats(frame, [column["name"] for column in numbers])
    missing = np.isnan(raw)
    np.copyto(raw, np.array([column["fill"] for column in numbers]), where=missing)
    raw -= np.array([column["offset"] for column in numbers])
    raw *= np.array([column["factor"] for column in numbers])
    with np.errstate(over="ignore"):  # refused below
        out[:, : len(numbers)] = raw
    if not np.isfinite(out[:, : len(numbers)]).all():
        _refuse_infinite(out, frame, numbers)
    marked = [i for i, column in enumerate(numbers) if column["indicator"]]
    out[:, len(numbers) : len(numbers) + len(marked)] = missing[:, marked]


def _refuse_infinite(out: Features, frame: pd.DataFrame, numbers: Sequence[Column]) -> None:
    row, place = np.argwhere(~np.isfinite(out[:, : len(numbers)]))[0]
    name = numbers[place]["name"]
    raise ValueError(f"column {name} must hold finite numbers, found {frame[name].iloc[row]!r}")


def _floats(frame: pd.DataFrame, names: list[str]) -> Floats:
    """Return a writable copy of columns, (n_rows, n_columns) float64, NaN where missing."""
    try:
        return frame[names].to_numpy(dtype="float64", na_value=np.nan, copy=True)
    except (ValueError, TypeError):  # text, or pandas.NA in a column of objects
        parsed = frame[names].apply(pd.to_numeric, errors="coerce")
        for name in names:
            wrong = parsed[name].isna() & frame[name].notna() & ~frame[name].map(_is_blank)
            if wrong.any():
                value = frame[name][wrong].iloc[0]
                raise ValueError(f"column {name} must hold numbers, found {value!r}") from None
        made: Floats = parsed.to_numpy(dtype="float64", na_value=np.nan, copy=True)
        return made


def _fill_category(out: Features, values: pd.Series, column: Column) -> None:
    found = places(values, column["levels"])
    rows = np.flatnonzero(found >= 0)
    out[rows, found[rows]] = 1


def _fill_embedded(out: Features, values: pd.Series, column: Column) -> None:
    out[:, 0] = places(values, column["levels"]) + 1


def _fill_ordered(out: Features, values: pd.Series, column: Column) -> None:
    found = places(values, column["levels"]).astype("float64")
    _fill_marked(out, found / (len(column["levels"]) - 1), found < 0, column)


def _fill_boolean(out: Features, values: pd.Series, column: Column) -> None:
    found = truths(values, column["false"], column["true"])
    _fill_marked(out, found, np.isnan(found), column)


def truths(values: pd.Series, false: Sequence[str], true: Sequence[str]) -> Floats:
    """Return 0 or 1 for each value, (n_rows,) float64; NaN for all other values.

    Args:
        values: raw values, compared without case and surrounding spaces.
        false: words for 0, in lower case.
        true: words for 1, in lower case.
    """
    codes, distinct = _distinct(values)
    means = dict.fromkeys(false, 0.0) | dict.fromkeys(true, 1.0)
    words = [text.strip().lower() for text in labels(distinct)]
    return np.array([*(means.get(word, np.nan) for word in words), np.nan])[codes]


def _fill_marked(out: Features, found: Floats, missing: Flags, column: Column) -> None:
    out[:, 0] = np.where(missing, column["fill"], found)
    if column["gaps"]:
        out[:, 1] = missing


def _date_names(column: Column) -> list[str]:
    return [f"{column['name']}: {name}" for part in column["parts"] for name in PARTS[part["part"]]]


def _fill_date(out: Features, values: pd.Series, column: Column) -> None:
    moments = moments_of(values)
    missing = np.isnat(moments)
    place = 0
    for part in column["parts"]:
        found = date_part(moments, part["part"])
        if part["part"] in PERIODS:  # a missing value becomes the centre of the circle
            found = np.where(missing, 0, found)
            out[:, place], out[:, place + 1] = _on_circle(found, PERIODS[part["part"]])
            out[missing, place : place + 2] = 0
        else:
            filled = np.where(missing, part["fill"], found)
            out[:, place] = (filled - part["offset"]) * part["factor"]
        place += len(PARTS[part["part"]])
    if column["gaps"]:
        out[:, place] = missing


def _on_circle(found: Floats | Codes, period: int) -> tuple[Floats, Floats]:
    """Return sine and cosine; those of whole numbers are looked up in a table of the period."""
    whole = np.issubdtype(found.dtype, np.integer)
    angle = 2 * np.pi * (np.arange(period) if whole else found) / period
    sine, cosine = np.sin(angle), np.cos(angle)
    return (sine[found], cosine[found]) if whole else (sine, cosine)


def moments_of(values: pd.Series) -> Moments:
    """Convert dates or ISO 8601 texts to (n_rows,) datetime64[us] in UTC, NaT where missing.

    Raises:
        ValueError: a value is neither.
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            values = values.dt.tz_convert(None)
        return values.to_numpy("datetime64[us]")
    codes, distinct = _distinct(values)
    texts = pd.Series(labels(distinct), dtype=object)
    parsed = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    wrong = parsed.isna()
    if texts[wrong].str.fullmatch(r"-?\d{5,}").any():
        raise ValueError(
            f"column {values.name} must hold dates as text in ISO 8601, such as "
            "2026-01-31T12:00:00+09:00, not as numbers; pandas: to_json(date_format='iso'); "
            f"found {texts[wrong].iloc[0]}"
        )
    if wrong.any():
        raise ValueError(
            f"column {values.name} must hold dates such as 2026-01-31, "
            f"found {texts[wrong].iloc[0]!r}"
        )
    known = parsed.dt.tz_convert(None).to_numpy("datetime64[us]")
    return np.append(known, np.datetime64("NaT", "us"))[codes]


def date_part(moments: Moments, part: str) -> Floats | Codes:
    """Return a part of dates, (n_rows,): a key of `PARTS`. Undefined where missing.

    Days since 1970 and hours with fractions, the year, the month from 0, or the weekday from
    Monday = 0.
    """
    if part == "year":
        return moments.astype("datetime64[Y]").astype("float64") + 1970
    if part == "month":
        return moments.astype("datetime64[M]").astype("int64") % 12
    stamps = moments.astype("int64")
    if part == "weekday":
        return (stamps // DAY + 3) % 7  # 1970 began on a Thursday
    return stamps / DAY if part == "days" else stamps % DAY / (DAY / 24)


def _fill_text(out: Features, values: pd.Series, column: Column) -> None:
    """Fill in tf-idf as scikit-learn does: counts × (ln((1 + n) / (1 + df)) + 1), rows of length 1.

    Salton, Buckley: Term-weighting approaches in automatic text retrieval, 1988.
    """
    rows, words = words_of(values)
    place = {word: i for i, word in enumerate(column["words"])}
    found = np.array([place.get(word, -1) for word in words], dtype=np.int64)
    known = found >= 0
    weights = np.zeros((len(values), len(place)))
    np.add.at(weights, (rows[known], found[known]), 1)
    weights *= np.array(column["weights"])
    length = np.sqrt((weights**2).sum(axis=1, keepdims=True))
    out[:, : len(place)] = weights / np.where(length > 0, length, 1)
    if column["gaps"]:
        out[:, len(place)] = values.isna() | values.map(_is_blank).astype(bool)


def words_of(values: pd.Series) -> tuple[Codes, list[str]]:
    """Return the row number of each word, and the words of all rows in lower case."""
    texts = values.astype(object).where(values.notna(), "")
    found = [WORD.findall(_label(text).lower()) for text in texts]
    rows = np.repeat(np.arange(len(found)), [len(words) for words in found])
    return rows, [word for words in found for word in words]


KINDS: dict[
    str, tuple[Callable[[Column], list[str]], Callable[[Features, pd.Series, Column], None]]
] = {
    "category": (lambda c: [f"{c['name']}={level}" for level in c["levels"]], _fill_category),
    "ordered": (lambda c: [c["name"]], _fill_ordered),
    "boolean": (lambda c: [c["name"]], _fill_boolean),
    "date": (_date_names, _fill_date),
    "text": (lambda c: [f"{c['name']}: {word}" for word in c["words"]], _fill_text),
    "embedded": (lambda c: [f"{c['name']}, code"], _fill_embedded),
}
"""Feature names and fill function of each kind; with `gaps` a column marks missing values."""


def encode_target(column: pd.Series, statistics: Statistics) -> npt.NDArray[np.int32] | Features:
    """Encode the target for training.

    Returns:
        (n_rows,) int32 indices into the classes, −1 for a class that is not in the training rows;
        for regression (n_rows,) float32, standardised if the statistics have a `target_scale`.
    """
    classes = statistics["classes"]
    if classes is not None:
        return class_places(column, classes)
    values = column.to_numpy(dtype="float64", na_value=np.nan)
    scale = statistics.get("target_scale")
    if scale:
        values = (values - scale["offset"]) * scale["factor"]
    return values.astype("float32")


def class_places(column: Iterable[object], classes: Iterable[object]) -> npt.NDArray[np.int32]:
    """Return each label's index in the classes, (n_rows,) int32; −1 for any other label.

    Labels are equal as text in its plain form. If the classes are numbers, 1, 1.0 and "1.0" are one
    label; if they are false and true, or 0 and 1, so are 1, true and yes.
    """
    codes, distinct = _distinct(pd.Series(column))
    names = labels(classes)
    numbers = [_as_number(name) for name in names]
    form: Callable[[str], str] = str
    if {*names} == {"false", "true"} or {*numbers} == {"0", "1"}:
        form = _as_truth
    elif None not in numbers and len({*numbers}) == len(numbers):
        form = _number_or_text
    place = {form(name): i for i, name in enumerate(names)}
    found = [place.get(form(text), -1) for text in (*labels(distinct), MISSING)]
    return np.array(found, dtype=np.int32)[codes]


def _as_truth(text: str) -> str:
    return TRUTHS.get(text.lower(), _number_or_text(text))


def _number_or_text(text: str) -> str:
    number = _as_number(text)
    return text if number is None else number


def _as_number(text: str) -> str | None:
    """Return the label of the number that a text is; None for other texts."""
    if not NUMBER.match(text):
        return None
    return _label(int(text) if text.lstrip("+-").isdecimal() else float(text))


def in_own_units(values: Outputs, statistics: Statistics) -> Floats:
    """Convert the outputs of a regression model to the unit of the target, float64."""
    scale = statistics.get("target_scale")
    made: Floats = np.asarray(values, dtype="float64")
    return made / scale["factor"] + scale["offset"] if scale else made


def answers(outputs: Outputs, statistics: Statistics) -> pd.DataFrame:
    """Return predictions as labels or values of the target and, for classes, probabilities.

    Args:
        outputs: (n_rows, n_outputs) of the model; a single output for two classes is the
            probability of the second.
        statistics: statistics of the training rows; a `threshold` (`value` and `place`) replaces
            the most probable of two classes.

    Returns:
        Columns `prediction` and, for classification, `probability_<class>`.
    """
    classes = statistics["classes"]
    if classes is None:
        return pd.DataFrame({"prediction": in_own_units(outputs, statistics).reshape(len(outputs))})
    shares = probabilities(outputs)
    chosen = np.array(classes, dtype=object)[called(shares, statistics)]
    table: dict[str, Any] = {"prediction": pd.Series(list(chosen), dtype=_dtype(classes))}
    for place, label in enumerate(classes):
        table[f"probability_{class_name(label)}"] = shares[:, place].astype("float64")
    return pd.DataFrame(table)


def answer_names(statistics: Statistics) -> list[str]:
    """Return the columns of `answers`."""
    shown = answers(np.zeros((1, len(statistics["classes"] or "1"))), statistics)
    return [str(name) for name in shown]


def called(shares: Outputs, statistics: Statistics) -> Codes:
    """Return the indices of predicted classes, (n_rows,): the most probable, or by threshold."""
    threshold = statistics.get("threshold")
    if threshold is None:
        return np.asarray(shares.argmax(axis=1))
    place = threshold["place"]
    chosen = shares[:, place].astype("float64") >= threshold["value"]
    return np.asarray(np.where(chosen, place, 1 - place))


def class_name(label: object) -> str:
    """Return a class as it is written in column names."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def probabilities(outputs: npt.ArrayLike) -> Outputs:
    """Return probabilities, (n_rows, n_classes); a single output becomes two columns."""
    outputs = np.asarray(outputs)
    if outputs.shape[1] == 1:
        return np.concatenate([1 - outputs, outputs], axis=1)
    return outputs


def _dtype(classes: list[object]) -> str:
    if all(isinstance(label, bool) for label in classes):
        return "bool"
    if all(isinstance(label, int) for label in classes):
        return "int64"
    return "float64" if all(isinstance(label, float) for label in classes) else "object"
