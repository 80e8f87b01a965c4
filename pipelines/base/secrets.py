"""Removal of secrets from text that is shown, logged or stored."""

from __future__ import annotations

import re

HIDDEN = "***"

NAME = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|secret|token|credential"
    r"|(?:api|access|private|account|encryption|signing|auth|storage)[_-]?key)\w{0,40}"
)
"""The end of a name of what is secret. All repetitions are bounded: the text can be anything."""

TYPES = r"(?!(?:str|int|bool|float|bytes|list|dict|tuple|None|Any|True|False|true|false|null)\b)"
"""Words after a colon or an equals sign that are no secrets, but types and truths in code."""

FIRST = r"[^\s\"',;{}\[\]&#|>]"
"""First character of a value without quotes."""

KEYS = re.compile(
    r"(-{4,5} ?BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)? ?-{4,5})(.*?)(?=-{4,5} ?END|\Z)", re.DOTALL
)
"""Private keys, also in a diff; one without an end is hidden up to the end of the text."""

BLOCKS = re.compile(rf"(?i)({NAME}[\"']?\s*:\s*[|>][-+\d]*)((?:\n[ +-]?[ \t]{{2,}}[^\n]*)+)")
"""Block scalars of YAML under a secret name."""

CREDENTIALS = (
    # three quotes, which can contain lines
    (
        re.compile(rf"(?is)({NAME}[\"']?\s*[:=]\s*[a-z]{{0,2}}(\"\"\"|'''))(.*?)(?=\2)"),
        lambda found: found[1] + _by_line(found[3]),
    ),
    # user:password@, up to the last @: a password can contain any character; but not host:port/…?
    (
        re.compile(
            r"(\b\w[\w+.-]{0,30}://[^\s:/@\"'<>]{0,300}):(?!\d{1,5}(?:/[^\s@?]{0,300})?\?)"
            r"[^\s\"'<>]{1,300}@"
        ),
        rf"\1:{HIDDEN}@",
    ),
    # a user without a password in a web address is a token
    (re.compile(r"(https?://)[^\s:/@?#\"'<>]{1,300}@"), rf"\1{HIDDEN}@"),
    # values in the query of a web address: signatures, tokens and keys under any name
    (
        re.compile(r"(\b\w[\w+.-]{0,30}://[^\s?\"'<>]{0,500}\?)([^\s\"'<>#)]+)"),
        lambda found: found[1] + re.sub(r"=[^&;]*", f"={HIDDEN}", found[2]),
    ),
    # Authorization: Basic …, Bearer …
    (re.compile(r"(?i)\b(bearer|basic)([ \t]+)[\w.~+/=-]{8,}"), rf"\1\2{HIDDEN}"),
    # password = "two words", "api_key": 'x'
    (
        re.compile(
            rf"(?i)({NAME}[\"']?\]?\s*(?:[:=]|=>)\s*[a-z]{{0,2}})"
            r"(\"(?:\\.|[^\"\\\n])+\"|'(?:\\.|''|[^'\\\n])+')"
        ),
        lambda found: f"{found[1]}{found[2][0]}{HIDDEN}{found[2][0]}",
    ),
    # password: two words, as a whole line
    (
        re.compile(
            rf"(?im)(^[+-]?[^\S\n]*[\"']?[\w.-]{{0,60}}{NAME}[\"']?[ \t]*:[ \t]*)"
            rf"{TYPES}{FIRST}.*"
        ),
        rf"\1{HIDDEN}",
    ),
    # {password: two words}
    (
        re.compile(rf"(?i)({NAME}[\"']?[ \t]*:[ \t]*){TYPES}{FIRST}(?:[^,}}\n]*[^,}}\s\"'])?"),
        rf"\1{HIDDEN}",
    ),
    # PASSWORD=word
    (
        re.compile(rf"(?i)({NAME}\s*=\s*){TYPES}{FIRST}(?:[^\s,;&}}]*[^\s,;&}}\"'])?"),
        rf"\1{HIDDEN}",
    ),
    # a line of .netrc
    (re.compile(r"(?i)(\blogin\s+\S+\s+password\s+)\S+"), rf"\1{HIDDEN}"),
    # tokens that are known by their form: AWS, GitHub, GitLab, Slack, Google, JWT and others
    (
        re.compile(
            r"\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[opsur]_\w{16,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
            r"|xox[a-z]-[\w-]{8,}|AIza[\w-]{30,}|hf_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{20,}"
            r"|pypi-[\w-]{20,}|sk(?:_live|_test)?[-_][\w-]{16,}"
            r"|eyJ[\w-]{6,}\.[\w-]{4,}\.[\w-]*)"
        ),
        HIDDEN,
    ),
)


def redact(text: str) -> str:
    """Replace secrets with `***`: in addresses, after words such as `token:`, and known tokens.

    The number of lines does not change, so that a diff can be read.

    Examples:
        >>> redact("postgresql://ann:hunter2@db.example/sales")
        'postgresql://ann:***@db.example/sales'
        >>> redact('password = "two words"')
        'password = "***"'
    """
    text = KEYS.sub(lambda found: found[1] + _by_line(found[2]), text)
    text = BLOCKS.sub(lambda found: found[1] + _by_line(found[2]), text)
    for pattern, kept in CREDENTIALS:
        text = pattern.sub(kept, text)
    return text


def _by_line(text: str) -> str:
    """Hide each line of a text, but not the first character of a line of a diff."""
    first, *rest = text.split("\n")
    marks = (line[:1] if line[:1] in "+-" else "" for line in rest)
    hidden = [
        f"{m}{HIDDEN}" if line[len(m) :].strip() else line
        for m, line in zip(marks, rest, strict=True)
    ]
    return "\n".join([HIDDEN if first.strip() else first, *hidden])
