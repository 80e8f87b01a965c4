"""The words by which columns are recognised: each list in one place."""

from __future__ import annotations

import re

IDENTIFIER_ENDS = frozenset(
    ("id", "ids", "uuid", "guid", "pk", "rowid", "idx", "아이디", "식별자", "고객번호", "회원번호")
)
"""A name with one of these as its last word names an identifier."""

NUMBER_ENDS = frozenset(
    ("no", "nr", "num", "number", "key", "code", "index", "email", "phone", "번호", "코드")
)
"""A name with one of these as its last word may: only where nearly every value is its own."""

CODE_ENDS = frozenset(("zip", "zipcode", "postcode", "plz", "우편번호"))
"""Whole numbers under such a name are labels, not quantities."""

TARGET_WORDS = frozenset(
    (
        *("target", "label", "class", "outcome", "y", "response", "churn", "churned", "species"),
        *("default", "survived", "fraud", "converted", "price", "quality", "diagnosis", "result"),
        *("이탈", "이탈여부", "해지", "해지여부", "정답", "결과", "등급", "가격"),
    )
)
"""Words that stand in the names of columns that people predict."""

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
"""Scales whose order nobody doubts, lowest first."""


def name_words(name: str) -> list[str]:
    """The words of a column's name: `customerId` and `customer_id` are customer, id."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word.lower() for word in re.split(r"[\W_]+", parted) if word]


def names_identifier(name: str) -> bool:
    """Whether the name says that the column identifies rows or groups of rows."""
    words = name_words(name)
    return bool(words) and (words[-1] in IDENTIFIER_ENDS or words[0] == "unnamed")


def may_name_identifier(name: str) -> bool:
    """Whether the name allows that the column identifies rows."""
    words = name_words(name)
    return names_identifier(name) or (bool(words) and words[-1] in NUMBER_ENDS)


def names_code(name: str) -> bool:
    """Whether whole numbers under this name are labels."""
    words = name_words(name)
    return bool(words) and (words[-1] in CODE_ENDS or words[0] in CODE_ENDS)


def names_target(name: str) -> bool:
    """Whether people often predict a column of this name."""
    return bool(TARGET_WORDS & {*name_words(name), name.lower()})


def scale_of(levels: list[str]) -> list[str] | None:
    """The levels in the order of the scale that holds all of them; None where there is none."""
    plain = {level.strip().lower().replace("_", " ").replace("-", " "): level for level in levels}
    if len(plain) < 3 or len(plain) < len(levels):
        return None
    for scale in SCALES:
        if set(plain) <= set(scale):
            return [plain[level] for level in scale if level in plain]
    return None
