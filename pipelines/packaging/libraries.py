"""The versions of libraries that a package was made with, against those that are installed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from gristmill.pipelines.base import EnvironmentFault


@dataclass(frozen=True)
class Differing:
    """A library that is installed in another version than a package was made with.

    Attributes:
        found: the installed version, empty if it is not there.
    """

    name: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.name} {self.wanted}, installed is {self.found or 'none'}"


def installed(name: str) -> str:
    """The version of a library here; empty if it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def differing(lines: Iterable[str]) -> tuple[Differing, ...]:
    """What of a package's requirements is installed in another version."""
    pairs = [line.strip().split("==") for line in lines if "==" in line]
    every = [Differing(name, wanted, installed(name)) for name, wanted in pairs]
    return tuple(one for one in every if one.found != one.wanted)


def other_versions(address: str, others: Sequence[Differing], problem: str) -> EnvironmentFault:
    """The error for a package that does not work here, most likely for its libraries' versions.

    Args:
        address: `models:/NAME/VERSION`.
        others: what differs.
        problem: what the package raised.
    """
    model = address.removeprefix("models:/").partition("/")[0].partition("@")[0]
    pins = " ".join(f"{one.name}=={one.wanted}" for one in others)
    have = ", ".join(f"{one.name} {one.found}" if one.found else f"no {one.name}" for one in others)
    return EnvironmentFault(
        f"{address} does not work with the versions of libraries that are installed",
        expected=", ".join(f"{one.name} {one.wanted}" for one in others),
        found=f"{have}: {problem}",
        next=f"uv pip install {pins}, or take a version that was made with what is installed: "
        f"gristmill models {model}",
    )
