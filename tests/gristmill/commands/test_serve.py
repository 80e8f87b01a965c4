"""`gristmill serve`: a champion that answers requests."""

from __future__ import annotations

import json
import shlex
import socket
import threading
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from aftermath import Command, processes_of, until

from gristmill.commands import serve
from gristmill.flows import HOST
from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.config.project import Project
from tests.conftest import Run


def ask(url: str, content: str, kind: str) -> list[dict[str, Any]]:
    request = urllib.request.Request(url, content.encode(), {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return list(json.load(answer)["predictions"])


@pytest.mark.slow
def test_a_champion_answers_the_shown_request_until_ctrl_c(
    tiny: Project, command: Callable[..., Command], gristmill: Run
) -> None:
    serving = command(tiny, "serve", "tiny")
    serving.wait_for("Ctrl-C stops it")
    (line,) = [line for line in serving.said.splitlines() if line.startswith("curl ")]
    _, url, _, header, _, content = shlex.split(line)
    assert header == "Content-Type: application/json"
    (answer,) = ask(url, content, "application/json")
    assert answer["prediction"] in ("no", "yes")
    assert answer["probability_no"] + answer["probability_yes"] == pytest.approx(1)
    (row,) = json.loads(content)["dataframe_records"]
    table = f"{','.join(row)}\n{','.join(map(str, row.values()))}\n"
    (same,) = ask(url, table, "text/csv")
    assert same == pytest.approx(answer)
    ask(url, "a,b\n1,\n", "text/csv")
    with urllib.request.urlopen(url.replace("invocations", "statistics"), timeout=60) as given:
        counts = json.load(given)
    empty = {"column": "b", "what": "no value, which training always had", "rows": 1}
    assert counts == {"rows": 3, "warnings": [empty]}
    port = url.split(":")[2].split("/")[0]
    refused = gristmill("serve", "tiny", "--port", port)
    assert refused.returncode == 1
    assert f"port {port} is in use" in refused.stderr
    assert serving.interrupt() == 130
    assert "3 rows answered" in serving.said
    assert "! b: 1 rows have no value, which training always had" in serving.said
    assert "Traceback" not in serving.said
    until(lambda: not [p for p in processes_of(tiny) if "serve" in p], "the end of the server")


def test_a_taken_port_is_refused_if_requested_and_skipped_if_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {taken} is in use"):
            serve._listen(taken)
        monkeypatch.setattr(serve, "FIRST", taken)
        with serve._listen(None) as listener:
            assert listener.getsockname()[0] == HOST
            assert listener.getsockname()[1] > taken


def test_a_small_answer_is_sent_without_delay() -> None:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    without_delay = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    class Protocol(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            accepted = transport.get_extra_info("socket")
            without_delay.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            super().connection_made(transport)

    with serve._listen(None) as listener:
        assert listener.proto == socket.IPPROTO_TCP
        server = uvicorn.Server(uvicorn.Config(app, http=Protocol, lifespan="off", log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        with urllib.request.urlopen("http://{}:{}".format(*listener.getsockname()), timeout=10):
            server.should_exit = True
        thread.join(timeout=10)
    assert without_delay == [1]
