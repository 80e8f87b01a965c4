"""The password of the project's servers. Only the owner of its file can read it."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from gristmill.pipelines import base
from gristmill.pipelines.config import Project

USER = "gristmill"

BYTES = 24
"""Random bytes of a new password; as text it has 32 characters."""

USABLE = re.compile(r"[!-~]{16,}")
"""Prefect compares only ASCII, and splits a header at blanks."""

PRIVATE = 0o600


def password_file(project: Project) -> Path:
    return project.prefect_home / "password"


def password(project: Project) -> str:
    """Return the password of the project's servers. The first call creates it.

    Raises:
        EnvironmentFault: the file contains no usable password.
    """
    file = password_file(project)
    if not file.exists():
        with base.locked(file.with_suffix(".lock")):
            if not file.exists():
                with base.writing(file) as aside:
                    aside.touch(PRIVATE)
                    aside.write_text(secrets.token_urlsafe(BYTES) + "\n", encoding="ascii")
    if fault := _unusable(file):
        name = project.relative(file)
        raise base.EnvironmentFault(
            "the password of the project's servers cannot be used",
            expected="at least 16 characters in one line, all of them printable ASCII",
            found=f"{name} {fault}",
            next=f"rm {name}   the next command creates another",
        )
    return _content(file)


def credentials(project: Project) -> str:
    """Return `user:password` of the project's servers."""
    return f"{USER}:{password(project)}"


def password_fault(project: Project) -> str:
    """Return what is wrong with the file of the password; empty if nothing is, or without one."""
    file = password_file(project)
    if not file.exists():
        return ""
    mode = file.stat().st_mode & 0o777
    return f"has mode {mode:04o} instead of {PRIVATE:04o}" if mode != PRIVATE else _unusable(file)


def mend_password(project: Project) -> None:
    """Give the file of the password its mode, and remove it if it contains no usable one."""
    file = password_file(project)
    if file.exists():
        file.chmod(PRIVATE)
        if _unusable(file):
            file.unlink()


def _unusable(file: Path) -> str:
    found = _content(file)
    return "" if USABLE.fullmatch(found) else f"has {len(found)} characters, or not only ASCII"


def _content(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace").strip()
