"""The words that identify kinds of columns, each list in one place."""

from __future__ import annotations

from gristmill.pipelines.tables import name_words

IDENTIFIER_ENDS = frozenset(
    ("id", "ids", "uuid", "guid", "pk", "rowid", "idx", "아이디", "식별자", "고객번호", "회원번호")
)
"""Last words of the names of identifiers."""

OWNERS = frozenset(
    (
        *("individual", "patient", "litter", "firm", "user", "subject", "person", "participant"),
        *("respondent", "household", "animal", "company", "customer", "client", "student", "pupil"),
        *("worker", "employee", "member", "player", "mother", "donor", "borrower", "tenant"),
        *("환자", "고객", "회원", "피험자", "참가자", "사용자", "기업"),
    )
)
"""Last words of the names of what several rows belong to, also before a word for identifiers."""

NUMBER_ENDS = frozenset(
    ("no", "nr", "num", "number", "key", "code", "index", "email", "phone", "번호", "코드")
)
"""Last words of the names of identifiers if almost all values differ."""

CODE_ENDS = frozenset(("zip", "zipcode", "postcode", "plz", "우편번호"))
"""First or last words of the names of columns whose whole numbers are labels, not quantities."""

ROW_NUMBER_NAMES = frozenset(
    (
        *(
            "",
            "index",
            "rowname",
            "rownames",
            "row names",
            "row",
            "row no",
            "row number",
            "row num",
        ),
        *("row id", "rowid", "rownum", "rn", "obs", "level 0", "행", "순번", "연번", "번호"),
    )
)
"""Names of columns of row numbers, as words."""

ROW_NUMBER_SPELLINGS = frozenset(("X", "X1", "V1", "...1"))
"""Names that R gives to a column of row numbers."""

TARGET_WORDS = frozenset(
    (
        *("target", "label", "class", "outcome", "y", "response", "churn", "churned", "species"),
        *("default", "survived", "fraud", "converted", "price", "quality", "diagnosis", "result"),
        *("이탈", "이탈여부", "해지", "해지여부", "정답", "결과", "등급", "가격"),
    )
)
"""Words in the names of columns that are often predicted."""

CLASS_WORDS = frozenset(
    (
        *("class", "classes", "label", "labels", "target", "type", "kind", "category", "species"),
        *("cluster", "group", "segment", "digit", "diagnosis", "status", "유형", "종류", "등급"),
    )
)
"""Words in the names of columns whose whole numbers are classes, however many."""

QUANTITY_WORDS = frozenset(
    (
        *("n", "count", "counts", "number", "num", "quantity", "qty", "total", "sum", "amount"),
        *("deaths", "births", "kids", "children", "visits", "goals", "wins", "rooms", "sales"),
        *("age", "year", "years", "month", "months", "week", "weeks", "day", "days", "hours"),
        *("minutes", "inch", "inches", "feet", "ft", "metre", "metres", "meter", "meters", "miles"),
        *("cm", "mm", "km", "kg", "height", "weight", "length", "width", "depth", "distance"),
        *("rate", "price", "cost", "income", "wage", "salary", "score", "points", "percent", "pct"),
        *("temperature", "temp", "educ", "education", "experience", "수", "나이", "개수", "횟수"),
    )
)
"""Words in the names of columns whose whole numbers are quantities, however few."""

SCALES = (
    ("none", "mild", "moderate", "severe"),
    ("very low", "low", "medium", "high", "very high"),
    ("lowest", "low", "middle", "high", "highest"),
    ("xxs", "xs", "s", "m", "l", "xl", "xxl", "xxxl"),
    ("tiny", "small", "medium", "large", "huge"),
    ("never", "rarely", "sometimes", "often", "always"),
    ("poor", "fair", "good", "very good", "excellent"),
    ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"),
    ("bronze", "silver", "gold", "platinum", "diamond"),
    ("매우 낮음", "낮음", "보통", "높음", "매우 높음"),
    ("하", "중", "상"),
    ("소", "중", "대"),
)
"""Scales with an undisputed order, lowest first."""


def names_identifier(name: str) -> bool:
    """Return whether a column of this name identifies rows or groups of rows."""
    words = name_words(name)
    return bool(words) and (words[-1] in IDENTIFIER_ENDS or words[0] == "unnamed")


def names_owner(name: str) -> bool:
    """Return whether a column of this name contains what rows belong to, such as patients."""
    words = name_words(name)
    if len(words) > 1 and words[-1] in IDENTIFIER_ENDS | NUMBER_ENDS:
        words = words[:-1]
    return bool(words) and words[-1] in OWNERS


def may_name_identifier(name: str) -> bool:
    """Return whether a column of this name may identify rows."""
    words = name_words(name)
    return names_identifier(name) or (bool(words) and words[-1] in NUMBER_ENDS)


def names_row_number(name: str) -> bool:
    """Return whether row numbers are often written under this name."""
    words = " ".join(name_words(name))
    return words in ROW_NUMBER_NAMES or name in ROW_NUMBER_SPELLINGS or names_index(name)


def names_index(name: str) -> bool:
    """Return whether pandas wrote this name for an index without a name."""
    return name_words(name)[:1] == ["unnamed"] or name_words(name)[:2] == ["index", "level"]


def names_code(name: str) -> bool:
    """Return whether whole numbers in a column of this name are labels."""
    words = name_words(name)
    return bool(words) and (words[-1] in CODE_ENDS or words[0] in CODE_ENDS)


def names_classes(name: str) -> bool:
    """Return whether whole numbers in a column of this name are classes."""
    return bool(CLASS_WORDS & {*name_words(name)})


def names_quantity(name: str) -> bool:
    """Return whether whole numbers in a column of this name are counted or measured."""
    return bool(QUANTITY_WORDS & {*name_words(name)})


def names_target(name: str) -> bool:
    """Return whether a column of this name is often predicted."""
    return bool(TARGET_WORDS & {*name_words(name), name.lower()})


def scale_of(levels: list[str]) -> list[str] | None:
    """Return the levels in the order of the scale that contains them; None if none does."""
    plain = {level.strip().lower().replace("_", " ").replace("-", " "): level for level in levels}
    if len(plain) < 3 or len(plain) < len(levels):
        return None
    for scale in SCALES:
        if set(plain) <= set(scale):
            return [plain[level] for level in scale if level in plain]
    return None
