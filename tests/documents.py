"""Sections of experiment files as hypothesis draws them: whatever the models accept."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

import annotated_types as bounds
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from gristmill.pipelines.config.section import Section

Drawn: TypeAlias = st.SearchStrategy[Any]

TEXTS = st.sampled_from(["a", "kind", "a b", "b: c", "$$x", "2026-01-31", "7d", "no", "1", "값"])
SCALARS = st.booleans() | st.integers(-9, 9) | st.sampled_from([0.5, 1e-5, 1.0, 1e16]) | TEXTS
NUMBERS = (0.001, 0.25, 0.5, 0.75, 0.9, 1.0, 2.5, 0.0, -3.5, 1e16, math.inf)
ARGUMENTS = st.dictionaries(
    st.sampled_from(["units", "rate", "name"]), SCALARS | st.lists(SCALARS, max_size=2), max_size=2
)


def named(*names: str) -> Drawn:
    """Draw a name, or a name with arguments."""
    name = st.sampled_from(names)
    return name | st.builds(lambda n, a: {n: a}, name, ARGUMENTS | st.none())


DATES = st.sampled_from(["2026-01-31", "2026-02-01T10:00:00", "2027-01-01"])
METRICS = st.lists(st.sampled_from(["accuracy", "AUC", "Recall", "mean_absolute_error"]))
SPECIAL: dict[str, Drawn] = {
    "path": st.sampled_from(["data/x/x.csv", "data/x"]),
    "source": st.sampled_from(["x.csv", "https://example.com/a.csv", "sqlite:///a.db"]),
    "validation_from": DATES,
    "test_from": DATES,
    "timezone": st.sampled_from(["UTC", "Asia/Seoul"]),
    "cron": st.just("0 6 * * *"),
    "check": st.sampled_from(["a >= b", "not missing(a)"]),
    "matches": st.sampled_from(["$$^|:", "[ab]+"]),
    "encoding": st.sampled_from(["utf-8", "latin1"]),
    "background": st.sampled_from(["white", "#ff0000"]),
    "within": st.just("36h"),
    "gap": st.just("7d"),
    "max_time": st.sampled_from([60, 0.5, "2h"]),
    "suite": st.just("expectations/a.json"),
    "expectations": st.lists(named("ExpectColumnToExist"), max_size=1),
    "builder": st.just("my_models:build"),
    "layers": st.lists(named("Dense", "Dropout", "Flatten"), max_size=3),
    "output": st.lists(named("Dense"), max_size=2),
    "sklearn": st.sampled_from(["Ridge", {"Ridge": {"alpha": 0.5}}, {"Ridge": None}]),
    "optimizer": named("Adam", "SGD"),
    "loss": st.sampled_from(["MeanSquaredError", "Huber", {"Huber": {"delta": 1.5}}]),
    "metrics": METRICS,
}
"""Values by the name of a field whose type accepts more than its validator."""


SHORT: dict[str, Drawn] = {
    "Feature": st.sampled_from(["number", "category", "boolean", "date", "text"]),
    "Distribution": st.lists(SCALARS, min_size=1, max_size=3, unique_by=repr),
}
"""Short forms of sections."""


def written(section: type[Section]) -> Drawn:
    """Draw what a file can say of a section: any of its keys, with values that are accepted."""

    def accepted(content: dict[str, Any]) -> bool:
        with suppress(ValidationError):
            section.model_validate_json(json.dumps(content))
            return True
        return False

    fields = section.model_fields
    keys = {n: f.alias or n for n, f in fields.items()}
    needed = {keys[n]: _values(n, f) for n, f in fields.items() if f.is_required()}
    free = {keys[n]: _values(n, f) for n, f in fields.items() if not f.is_required()}
    # a few keys at once, since most combinations of many are refused
    drawn = st.builds(
        lambda must, may: must | may,
        st.fixed_dictionaries(needed),
        st.lists(st.sampled_from(sorted(free)), max_size=4, unique=True).flatmap(
            lambda names: st.fixed_dictionaries({name: free[name] for name in names})
        )
        if free
        else st.just({}),
    )
    return drawn.filter(accepted)


def _values(name: str, field: FieldInfo) -> Drawn:
    if name in SPECIAL:
        return SPECIAL[name]
    return _of_type(field.annotation, (*field.metadata,))


def _of_type(kind: Any, limits: tuple[Any, ...] = ()) -> Drawn:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        metadata = [m for each in inner[1:] for m in getattr(each, "metadata", [each])]
        return _of_type(inner[0], (*metadata, *limits))
    if origin in (types.UnionType, Union):
        return st.one_of([_of_type(each, limits) for each in inner])
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is tuple:
        if inner[-1] is ...:
            return st.lists(_of_type(inner[0]), min_size=1, max_size=3, unique_by=repr)
        return st.tuples(*map(_of_type, inner)).map(list)
    if origin is dict:
        return st.dictionaries(TEXTS, _of_type(inner[1]), max_size=2)
    if isinstance(kind, type) and issubclass(kind, Section):
        return st.deferred(lambda: written(kind)) | SHORT.get(kind.__name__, st.nothing())
    plain: dict[Any, Drawn] = {
        type(None): st.none(),
        bool: st.booleans(),
        str: TEXTS,
        int: st.integers(0, 9),
        float: st.sampled_from(NUMBERS),
        Any: SCALARS,
    }
    number = kind in (int, float)
    return plain.get(kind, SCALARS).filter(lambda v: not number or all(map(within(v), limits)))


def within(value: float) -> Callable[[Any], bool]:
    """Return whether a value keeps a limit."""

    def kept(limit: Any) -> bool:
        return bool(
            (not isinstance(limit, bounds.Ge) or value >= limit.ge)
            and (not isinstance(limit, bounds.Gt) or value > limit.gt)
            and (not isinstance(limit, bounds.Le) or value <= limit.le)
            and (not isinstance(limit, bounds.Lt) or value < limit.lt)
        )

    return kept
