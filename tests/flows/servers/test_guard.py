"""What the guard in front of a server refuses."""

from __future__ import annotations

import base64
import http.client
import threading
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gristmill.flows.servers.guard import App, Guard, Receive, Scope, Send, server
from gristmill.flows.servers.processes import listen

OPEN, CLOSED = "open", "closed"


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request, and every WebSocket with one message."""
    if scope["type"] == "lifespan":
        return
    await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """Return the ports of two real servers: one that asks for a password, and one that does not."""
    apps: dict[str, App] = {
        OPEN: Guard(application),
        CLOSED: Guard(application, "me:secret", frozenset({"/health"}), "me"),
    }
    found, running, threads = {}, [], []
    for name, app in apps.items():
        listener = listen()
        one = server(app, "error")
        threads.append(threading.Thread(target=one.run, kwargs={"sockets": [listener]}))
        threads[-1].start()
        running.append(one)
        found[name] = listener.getsockname()[1]
    while not all(one.started for one in running):
        time.sleep(0.01)
    yield found
    for one, thread in zip(running, threads, strict=True):
        one.should_exit = True
        thread.join()


def ask(
    port: int, method: str = "GET", path: str = "/", **headers: str
) -> tuple[int, dict[str, str]]:
    """Send a request with exactly these headers; `_` means `-`. Return status and headers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    for name, value in {"Host": f"127.0.0.1:{port}", **headers}.items():
        for one in value.split("|"):
            connection.putheader(name.replace("_", "-"), one)
    connection.endheaders()
    reply = connection.getresponse()
    connection.close()
    return reply.status, {name.lower(): value for name, value in reply.getheaders()}


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_the_loopback_names_with_the_port_are_the_only_hosts(ports: dict[str, int]) -> None:
    port = ports[OPEN]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
        assert ask(port, Host=host)[0] == 200, host
    for host in (
        "evil.example",
        f"evil.example:{port}",
        f"10.evil.example:{port}",
        f"localhost.evil.example:{port}",
        f"evil.example:{port}@localhost:{port}",
        f"localhost:{port + 1}",
        "localhost",
        f"0.0.0.0:{port}",
        f"localhost:{port}|evil.example",
        f"evil.example|localhost:{port}",
    ):
        assert ask(port, Host=host)[0] in (400, 403), host


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_pages_of_other_origins_are_refused_and_get_no_permission(
    ports: dict[str, int], method: str
) -> None:
    port = ports[OPEN]
    assert ask(port, method, Origin=f"http://127.0.0.1:{port}")[0] == 200
    for origin in (
        "http://evil.example",
        "null",
        f"http://127.0.0.1:{port + 1}",  # another server of this machine, perhaps another user's
        f"http://localhost:{port}",  # the same port, but perhaps of the other loopback address
        f"https://127.0.0.1:{port}",
        f"http://127.0.0.1:{port}|http://evil.example",
    ):
        status, headers = ask(port, method, Origin=origin)
        assert status == 403, origin
        assert not [name for name in headers if name.startswith("access-control")]


def test_requests_that_browsers_send_without_an_origin_are_known_by_their_site(
    ports: dict[str, int],
) -> None:
    port = ports[OPEN]
    for site, kind, status in (
        ("same-origin", "empty", 200),
        ("none", "document", 200),
        ("cross-site", "document", 200),  # a link was followed
        ("same-site", "document", 200),
        ("cross-site", "image", 403),
        ("same-site", "script", 403),
        ("same-site", "empty", 403),
        ("cross-site", "iframe", 403),
    ):
        assert ask(port, Sec_Fetch_Site=site, Sec_Fetch_Dest=kind)[0] == status, (site, kind)
    assert ask(port, "POST", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document")[0] == 403


def test_the_password_is_asked_for_everywhere_but_on_public_paths(ports: dict[str, int]) -> None:
    port = ports[CLOSED]
    assert ask(port, path="/health")[0] == 200
    assert ask(port, path="/health", Host="evil.example")[0] == 403
    for path in ("/", "/health/", "//health", "/health/../x", "/x?/health", "/%2Fhealth"):
        status, headers = ask(port, path=path)
        assert status == 401, path
        assert headers["www-authenticate"].startswith('Basic realm="me"')
        assert ask(port, path=path, Authorization=basic("me:secret"))[0] == 200
    for wrong in (
        basic("me:wrong"),
        basic("you:secret"),
        basic("me:secret "),
        basic(""),
        "Basic",
        "Basic é".encode().decode("latin-1"),
        basic("me:secret").replace("Basic", "Bearer"),
        basic("me:wrong") + "|" + basic("me:secret"),
    ):
        assert ask(port, Authorization=wrong)[0] in (400, 401), wrong


def test_websockets_are_guarded_like_requests(ports: dict[str, int]) -> None:
    for name, headers, works in (
        (OPEN, {}, True),
        (OPEN, {"Origin": "http://evil.example"}, False),
        (CLOSED, {}, False),
        (CLOSED, {"Authorization": basic("me:secret")}, True),
        (CLOSED, {"Authorization": basic("me:secret"), "Origin": "http://evil.example"}, False),
    ):
        address = f"ws://127.0.0.1:{ports[name]}/"
        if works:
            with connect(address, additional_headers=headers) as socket:
                assert socket.recv(timeout=10) == "hello"
        else:
            with pytest.raises(InvalidStatus, match="403"):
                connect(address, additional_headers=headers)


def test_a_port_cannot_be_taken_from_the_socket_that_a_server_inherits() -> None:
    with listen() as listener, pytest.raises(OSError, match="in use"):
        listen(listener.getsockname()[1])
