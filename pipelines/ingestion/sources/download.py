"""Downloads: resumed if the server can, else started again, and checked at the end."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from gristmill.pipelines.base import EnvironmentFault, InputError, redact
from gristmill.pipelines.ingestion.sources.meter import (
    MEND,
    DownloadMeter,
    Wanted,
    no_source,
    shown_size,
    words_of,
)

if TYPE_CHECKING:
    from requests import Response, Session

TIMEOUT = 60.0
"""Seconds without an answer after which an attempt is abandoned."""

PAUSES = (0.5, 2.0, 5.0)
"""Seconds before each further attempt; an attempt that received new bytes resets the count."""

LONGEST_PAUSE = 60.0
"""Maximum seconds to wait if the server asks for it (Retry-After)."""

CHUNK = 1 << 16
"""Bytes of a download in memory at a time; at most this many are fetched twice."""

PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Temporary failures, after which the request is repeated."""

WEB_PAGES = (".html", ".htm", ".xml", ".xhtml")


class _AgainError(Exception):
    """The attempt failed, possibly temporarily; `pause` is the wait that the server asked for."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        self.pause = pause
        super().__init__(reason)


def download(wanted: Wanted, aside: Path) -> None:
    """Download from a web address; proxies, CA bundles and ~/.netrc are used as in requests.

    Raises:
        ConfigError: there is no such file, or it requires a login.
        InputError: the server sent a web page instead of data, nothing, or more than the limit.
        EnvironmentFault: the server cannot be reached or interrupts each attempt.
    """
    import requests

    cut_off = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
    work = _Download(wanted.source, aside, wanted.meter)
    attempts, best = 0, 0
    with requests.Session() as session:
        while True:
            try:
                work.attempt(session)
                break
            except requests.exceptions.SSLError as error:
                _unreachable(wanted.source, error, "REQUESTS_CA_BUNDLE=FILE names your own CA")
            except (*cut_off, requests.Timeout, _AgainError) as error:
                if wanted.meter.done > best:
                    attempts, best = 0, wanted.meter.done
                if attempts == len(PAUSES):
                    _unreachable(wanted.source, error)
                time.sleep(max(PAUSES[attempts], getattr(error, "pause", 0.0)))
                attempts += 1
            except (
                ValueError
            ) as error:  # InvalidURL and similar; their messages contain the address
                raise no_source(
                    "the source is not a valid web address",
                    "https://host/path, with %2F for a / and %40 for an @ in a name or a password",
                    f"{type(error).__name__}: {redact(wanted.source)}",
                    f"{MEND}; put a login into ~/.netrc",
                ) from None
            except requests.RequestException as error:
                _unreachable(wanted.source, error)
    _check(aside, wanted)


@dataclass
class _Download:
    """A file that is downloaded in one or more attempts.

    Attributes:
        version: the server's ETag or date of the bytes on disk; without it they cannot be resumed.
    """

    address: str
    file: Path
    meter: DownloadMeter
    version: str = ""

    def attempt(self, session: Session) -> None:
        have = self.file.stat().st_size if self.version and self.file.exists() else 0
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": self.version}
        with session.get(self.address, stream=True, timeout=TIMEOUT, headers=headers) as answer:
            self._refuse(answer)
            part = answer.headers.get("Content-Range", "")
            if answer.status_code != 206:
                have = 0
            elif not have or not part.startswith(f"bytes {have}-"):
                self.version = ""
                raise _AgainError("the server sent another part than requested")
            self._receive(answer, have)

    def _receive(self, answer: Response, have: int) -> None:
        packed = "Content-Encoding" in answer.headers
        length = None if packed else answer.headers.get("Content-Length")
        total = have + int(length) if length is not None and length.isdigit() else None
        self.version = "" if packed else _version(answer)
        self.meter.begin(have, total)
        self._check_room(total)
        with self.file.open("ab" if have else "wb") as file:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                self.meter.add(len(chunk))
        if total is not None and self.meter.done != total:
            raise _AgainError(f"{self.meter.done:,} of {total:,} bytes arrived")

    def _refuse(self, answer: Response) -> None:
        status = answer.status_code
        if status == 416:  # the file is shorter now
            self.version = ""
        if status in (*PASSING, 416):
            after = answer.headers.get("Retry-After", "")
            pause = min(float(after), LONGEST_PAUSE) if after.isdigit() else 0.0
            raise _AgainError(f"{status} {answer.reason}", pause)
        if status >= 400:
            login = "put the login for this host into ~/.netrc, or fetch the file by hand"
            raise no_source(
                "the source could not be downloaded",
                f"a file at {redact(self.address)}",
                f"{status} {answer.reason}",
                login if status in (401, 403, 407) else MEND,
            )
        if status not in (200, 206):
            raise _AgainError(f"{status} {answer.reason}")

    def _check_room(self, total: int | None) -> None:
        free = shutil.disk_usage(self.file.parent).free
        if total is not None and total - self.meter.done > free:
            raise EnvironmentFault(
                "not enough disk space for the download",
                expected=shown_size(total - self.meter.done),
                found=f"{shown_size(free)} free",
                next="free some space and try again",
            )


def _version(answer: Response) -> str:
    """Return a strong ETag or a date, as If-Range allows (RFC 9110, 13.1.5)."""
    tag = answer.headers.get("ETag", "")
    return str(tag if tag.startswith('"') else answer.headers.get("Last-Modified", ""))


def _check(file: Path, wanted: Wanted) -> None:
    with file.open("rb") as content:
        start = content.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    page = start.startswith((b"<!doctype html", b"<html"))
    if page and wanted.target.suffix not in WEB_PAGES:
        raise InputError(
            "the server sent a web page instead of data",
            expected=f"a data file from {redact(wanted.source)}",
            found="HTML: a login form, or a page about the file",
            next="use the address of the file itself; put a login into ~/.netrc",
        )
    if not file.stat().st_size:
        raise InputError(
            "the server sent an empty file",
            expected=f"data from {redact(wanted.source)}",
            found="0 bytes",
        )


def _unreachable(source: str, error: Exception, hint: str = "") -> NoReturn:
    raise EnvironmentFault(
        "the source could not be downloaded",
        expected=f"a complete file from {redact(source)}",
        found=f"{type(error).__name__.strip('_').removesuffix('Error')}: {_reason(error)}",
        next=hint or "try again, or put the file there by hand and type gristmill run",
    ) from None


def _reason(error: BaseException) -> str:
    """Return the innermost message, without the secrets in its address."""
    inner = error.args[0] if error.args else error
    inner = getattr(inner, "reason", inner)
    return re.sub(r"\?\S*", "?…", redact(words_of(inner, 10_000)))[:200]
