"""What the project's servers refuse: other names, pages of other sites, and other users."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn
from fastapi.responses import PlainTextResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

NAMES = ("127.0.0.1", "localhost", "[::1]")
"""The only host names of a request. Any other can lead here by a changed DNS entry."""

HTTP = 80
"""The port that is left out in addresses."""

POLICY_VIOLATION = 1008
"""Code with which a WebSocket is closed."""


class Guard:
    """An ASGI application in front of another one that listens on this machine only.

    Args:
        app: answers the requests that are not refused.
        credentials: `user:password` for HTTP Basic; empty if the application asks for them itself.
        public: paths that need no credentials.
        realm: what a browser's question for the credentials is about.
    """

    def __init__(
        self,
        app: App,
        credentials: str = "",
        public: frozenset[str] = frozenset(),
        realm: str = "",
    ) -> None:
        self._app = app
        self._basic = base64.b64encode(credentials.encode()) if credentials else b""
        self._public = public
        self._question = {"WWW-Authenticate": f'Basic realm="{realm}", charset="UTF-8"'}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        if problem := _stranger(scope, headers):
            refusal = PlainTextResponse(problem, 403)
        elif not (scope["path"] in self._public or self._is_known(headers)):
            refusal = PlainTextResponse("user and password are required", 401, self._question)
        else:
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            await refusal(scope, receive, send)

    def _is_known(self, headers: dict[bytes, list[bytes]]) -> bool:
        if not self._basic:
            return True
        scheme, _, sent = b",".join(headers.get(b"authorization", [])).partition(b" ")
        return scheme.lower() == b"basic" and hmac.compare_digest(sent.strip(), self._basic)


def _headers(scope: Scope) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name, []).append(value)
    return found


def _stranger(scope: Scope, headers: dict[bytes, list[bytes]]) -> str:
    """Return why a request does not come from this server's own pages; empty if it may."""
    port = "" if scope["server"][1] == HTTP else f":{scope['server'][1]}"
    hosts = headers.get(b"host", [])
    if hosts not in ([f"{name}{port}".encode()] for name in NAMES):
        return "refused: this server is known by another name (DNS rebinding)"
    origins = headers.get(b"origin", [])
    if origins and origins != [b"http://" + hosts[0]]:
        return "refused: a page of another site asks"
    if headers.get(b"sec-fetch-site") in ([b"cross-site"], [b"same-site"]):
        followed = scope.get("method") == "GET" and headers.get(b"sec-fetch-dest") == [b"document"]
        return "" if followed else "refused: a page of another site asks"
    return ""


def server(app: App, log_level: str) -> uvicorn.Server:
    """Return a server for an application; `run(sockets=[…])` serves until the process ends."""
    return uvicorn.Server(
        uvicorn.Config(app, log_level=log_level, timeout_graceful_shutdown=1, proxy_headers=False)
    )
