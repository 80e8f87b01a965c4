"""Names of metrics in MLflow, which allows fewer characters than the names of classes have."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from gristmill.pipelines.config import (
    CLASSIFICATION_METRICS,
    METRIC_FORMS,
    REGRESSION_METRICS,
    metric_fault,
    metric_parts,
)

REFUSED = r"[^\w.\- :]"
"""What MLflow refuses, and the slash, which it refuses in some places."""

SHORTENED = r"-(?=sha256_[0-9a-f]{16}$)"
"""Mark at the end of a name that was too long."""

AMBIGUOUS = rf"_(?=x[0-9A-F]{{4}}|(?:low|high)$)|{SHORTENED}"
"""What would be read as an escape, as the end of an interval, or as the mark of a short name."""

LONGEST = 200
"""Largest length of a name; MLflow accepts 250, and prefixes such as `test_` come before it."""


def logged(name: str) -> str:
    """Return a metric's name in the characters that MLflow accepts; `own_name` is the inverse.

    A refused character becomes `_xHHHH_`, its code point in hexadecimal. The end of a name that is
    too long becomes a digest of the whole, which only `values_of` and `names_of` can read.

    Examples:
        >>> logged("recall:<=50K"), logged("recall:risk_low")
        ('recall:_x003C__x003D_50K', 'recall:risk_x005F_low')
    """
    made = re.sub(f"{REFUSED}|{AMBIGUOUS}", lambda found: f"_x{ord(found[0]):04X}_", name)
    if len(made) <= LONGEST:
        return made
    digest = f"-sha256_{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return made[: LONGEST - len(digest)] + digest


def own_name(stored: str) -> str:
    """Return a metric's name as in the experiment file from its name in MLflow.

    A shortened name stays as it is.

    Examples:
        >>> own_name("recall:_x003C_30")
        'recall:<30'
    """
    if re.search(SHORTENED, stored):
        return stored
    return re.sub(r"_x([0-9A-F]{4,6})_", lambda found: chr(int(found[1], 16)), stored)


def values_of(names: Collection[str], stored: Mapping[str, float]) -> dict[str, float]:
    """Return stored values of metrics; names without a value are left out.

    Earlier versions stored each refused character as an underscore. Such a value is used if it can
    only be that of one of the names.

    Args:
        names: All names that the values may have, as in the experiment file.
        stored: Values by names as in the experiment file, or by earlier stored names.
    """
    earlier = Counter(map(_earlier, names))
    found = {}
    for name in names:
        keys = [name, logged(name), *[_earlier(name)] * (earlier[_earlier(name)] == 1)]
        if key := next(filter(stored.__contains__, keys), None):
            found[name] = stored[key]
    return found


def names_of(stored: Iterable[str], classes: Sequence[str] | None) -> list[str]:
    """Return the metrics that stored values belong to, as in the experiment file.

    Args:
        stored: Names in MLflow, present or earlier ones, or as in the experiment file.
        classes: Names of the classes; None for regression.
    """
    known = {*map(own_name, stored)}
    every: list[str] = [*CLASSIFICATION_METRICS, *REGRESSION_METRICS]
    kinds = [form.removesuffix("CLASS") for form in METRIC_FORMS if form.endswith(":CLASS")]
    every += [f"{kind}{name}" for kind in kinds for name in classes or ()]
    task = "regression" if classes is None else "classification"
    filled = [name for name in sorted(known) if metric_parts(name)[1]]
    every += [name for name in filled if not metric_fault(name, task, classes)]
    return [name for name in dict.fromkeys(every) if {name, logged(name), _earlier(name)} & known]


def _earlier(name: str) -> str:
    """Return the name under which earlier versions stored a metric."""
    return re.sub(REFUSED, "_", name)
