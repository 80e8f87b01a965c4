"""A local server with good and bad answers."""

from __future__ import annotations

import base64
import gzip
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

CONTENT = b"a,b\n1,2\n"
LONG = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * 7 % 1000) for i in range(40_000))
OTHER = LONG.replace(b"a,b", b"c,d")
PAGE = b"\n<!DOCTYPE html>\n<html><body>Sign in, please</body></html>\n"


class Web(ThreadingHTTPServer):
    """Record the requests.

    Attributes:
        asked: number of requests for each path.
        ranges: the Range headers, in order.
        files: further paths and their bytes.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.files: dict[str, bytes] = {}
        self.address = f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running() -> Iterator[Web]:
    with Web() as web:
        Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield web
        web.shutdown()


class Answers(BaseHTTPRequestHandler):
    """Answer each path in its way."""

    def do_GET(self) -> None:
        web: Any = self.server
        path = self.path.partition("?")[0]
        web.asked[path] += 1
        self.count = web.asked[path]
        web.ranges += filter(None, [self.headers.get("Range")])
        if path in web.files:
            self.answer(web.files[path])
        else:
            getattr(self, path.strip("/").replace("-", "_"))()

    def answer(
        self, body: bytes, status: int = 200, announced: int | None = None, **headers: str
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if announced is None else announced))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def plain(self) -> None:
        self.answer(CONTENT)

    def zipped(self) -> None:
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            self.answer(gzip.compress(CONTENT), Content_Encoding="gzip")
        else:
            self.answer(CONTENT)

    def always_zipped(self) -> None:
        self.answer(gzip.compress(CONTENT), Content_Encoding="gzip", ETag='"1"')

    def absent(self) -> None:
        self.answer(b"", 404)

    def gone(self) -> None:
        self.answer(b"", 410)

    def closed(self) -> None:
        self.answer(b"", 401)

    def forbidden(self) -> None:
        self.answer(b"", 403)

    def down(self) -> None:
        self.answer(b"", 500)

    def later(self) -> None:
        self.answer(*((b"", 503) if self.count < 3 else (CONTENT, 200)), Retry_After="0")

    def broken(self) -> None:
        self.answer(CONTENT, announced=len(CONTENT) + 100)

    def cut(self) -> None:
        """Break off once; a range request returns the rest."""
        begin = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        if begin and self.headers["If-Range"] == '"1"':
            where = f"bytes {begin}-{len(LONG) - 1}/{len(LONG)}"
            self.answer(LONG[begin:], 206, ETag='"1"', Content_Range=where)
        else:
            self.answer(LONG[: len(LONG) // 2], announced=len(LONG), ETag='"1"')

    def cut_and_changed(self) -> None:
        """Break off once, then send different bytes."""
        if self.count == 1:
            self.answer(LONG[: len(LONG) // 2], announced=len(LONG), ETag='"1"')
        else:
            self.answer(OTHER, ETag='"2"')

    def cut_without_version(self) -> None:
        """Break off once, without a version in the headers."""
        half = self.count == 1
        self.answer(LONG[: len(LONG) // 2] if half else LONG, announced=len(LONG))

    def cut_and_shorter(self) -> None:
        if self.count == 1:
            self.answer(LONG[: len(LONG) // 2], announced=len(LONG), ETag='"1"')
        else:
            self.answer(*((b"", 416) if self.headers.get("Range") else (CONTENT, 200)))

    def cut_and_mixed_up(self) -> None:
        """Break off, then answer with a different range than requested."""
        if self.count == 1:
            self.answer(LONG[: len(LONG) // 2], announced=len(LONG), ETag='"1"')
        elif self.headers.get("Range"):
            self.answer(LONG[5:], 206, ETag='"1"', Content_Range="bytes 5-9/10")
        else:
            self.answer(LONG)

    def with_login(self) -> None:
        known = base64.b64encode(b"me:secret").decode()
        right = self.headers.get("Authorization") == f"Basic {known}"
        self.answer(*((CONTENT, 200) if right else (b"", 401)))

    def moved(self) -> None:
        self.answer(b"", 302, Location="/plain")

    def loop(self) -> None:
        self.answer(b"", 302, Location="/loop")

    def login(self) -> None:
        self.answer(PAGE, Content_Type="text/html")

    def nothing(self) -> None:
        self.answer(b"")

    def huge(self) -> None:
        self.answer(CONTENT, announced=10**15)

    def endless(self) -> None:
        """Never announce a length; end only when the client has gone."""
        self.send_response(200)
        self.end_headers()
        part = random.Random(0).randbytes(1 << 16)
        try:
            while True:
                self.wfile.write(part)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Log nothing."""
