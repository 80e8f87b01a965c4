"""`gristmill serve`: a model over HTTP, as long as it is wanted."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable

import pandas as pd
import pytest
from aftermath import Command, processes_of, until
from test_server import free_ports

from pipelines.config import Project


@pytest.mark.slow
def test_a_model_answers_raw_rows_until_ctrl_c(
    finished: Project, command: Callable[..., Command]
) -> None:
    (port,) = free_ports(1)
    served = command(finished, "serve", "digits", "--port", str(port))
    served.wait_for("Ctrl-C ends it")
    assert f"digits version 1 answers at http://127.0.0.1:{port}/invocations" in served.said
    rows = pd.read_csv(finished.root / "data" / "digits" / "digits.csv").head(20)
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps({"dataframe_records": rows.drop(columns="digit").to_dict("records")}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        answers = json.load(reply)["predictions"]
    right = [a["prediction"] == truth for a, truth in zip(answers, rows["digit"], strict=True)]
    assert sum(right) >= 18
    assert served.interrupt() == 0
    until(lambda: not processes_of(finished), "the end of the server", 10)
