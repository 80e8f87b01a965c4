"""Errors that a user can fix: what failed, expected, found, next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from typing import Any, ClassVar

from gristmill.pipelines.base.printable import printable


@dataclass(frozen=True)
class Problem:
    """One of several failures that are reported together."""

    where: str
    expected: str = ""
    found: str = ""
    hint: str = ""


class GristmillError(Exception):
    """Base of all errors that are printed as a readable block instead of a traceback.

    Args:
        what: what failed, in one sentence.
        expected: what would have been right.
        found: what was there instead.
        next: the command to type, or what to do next.
        problems: the single failures if there are several; `SHOWN` of them are printed.
    """

    exit_code: ClassVar[int] = 4
    SHOWN: ClassVar[int] = 12

    def __init__(
        self,
        what: str,
        *,
        expected: str = "",
        found: str = "",
        next: str = "",
        problems: Iterable[Problem] = (),
    ) -> None:
        self.what = printable(what)
        self.expected = printable(expected)
        self.found = printable(found)
        self.next = printable(next)
        self.problems = tuple(Problem(*map(printable, astuple(each))) for each in problems)
        super().__init__(self.what)

    def lines(self) -> list[str]:
        """Return the block as plain lines; the first says what failed."""
        out = [self.what]
        for problem in self.problems[: self.SHOWN]:
            out.append(f"  {problem.where}")
            texts = {"expected": problem.expected, "found": problem.found, "hint": problem.hint}
            out += _labelled("    ", texts)
        if len(self.problems) > self.SHOWN:
            out.append(f"  … and {len(self.problems) - self.SHOWN} more")
        texts = {"expected": self.expected, "found": self.found, "next": self.next}
        return out + _labelled("  ", texts)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def record(self) -> dict[str, Any]:
        """Return the error as a record for JSON, which `from_record` reads back."""
        texts = {key: getattr(self, key) for key in ("what", "expected", "found", "next")}
        problems = [asdict(problem) for problem in self.problems]
        return {"kind": type(self).__name__, **texts, "problems": problems}

    @staticmethod
    def from_record(record: dict[str, Any]) -> GristmillError:
        """Rebuild the error from the record that another process wrote."""
        kinds = {kind.__name__: kind for kind in _family(GristmillError)}
        fields = {key: record[key] for key in ("expected", "found", "next")}
        problems = [Problem(**problem) for problem in record["problems"]]
        return kinds[record["kind"]](record["what"], problems=problems, **fields)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message (300 characters at most), or its class name."""
    return (str(error).strip() or type(error).__name__).split("\n")[0].strip()[:300]


class ConfigError(GristmillError):
    """The experiment file, the command line or the project's set-up is wrong."""

    exit_code = 1


class InputError(GristmillError):
    """A given file cannot be read as data, or is not the pinned one."""

    exit_code = 1


class DataInvalid(GristmillError):
    """The data can be read, but violate the schema or a requirement of a step."""

    exit_code = 2


class EnvironmentFault(GristmillError):
    """A disk, store or server that this run needs is missing or unusable."""

    exit_code = 4


def _labelled(indent: str, texts: dict[str, str]) -> list[str]:
    out = []
    for label, text in texts.items():
        if text:
            first, *rest = text.split("\n")
            out.append(f"{indent}{label:9s} {first}")
            out += [f"{indent}{'':9s} {line}" for line in rest]
    return out


def _family(kind: type[GristmillError]) -> list[type[GristmillError]]:
    return [kind, *(deeper for sub in kind.__subclasses__() for deeper in _family(sub))]
