"""A real PostgreSQL server, where its programs are installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

PASSWORD = "Wonder/ful@pass:word"
NO_SERVER = "NOT TRIED AGAINST POSTGRES: this machine has no initdb and pg_ctl"


def run_as_postgres(*words: str | Path) -> None:
    """Run a command as the user postgres; PostgreSQL refuses to start as root."""
    who = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    subprocess.run([*who, *map(str, words)], check=True, capture_output=True, cwd="/")


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL]:
    """Start a server in a temporary folder that asks for a password on TCP; yield its address."""
    places = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin")),
        *map(Path, [shutil.which("initdb") or "/-"]),
    ]
    binaries = next((p if p.is_dir() else p.parent for p in places if p.exists()), None)
    if binaries is None or not (binaries / "initdb").exists():
        pytest.skip(NO_SERVER)
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    word = folder / "word"
    word.write_text(PASSWORD)
    word.chmod(0o644)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    run_as_postgres(
        *(binaries / "initdb", "-D", data, "-U", "me", "--pwfile", word, "-A", "scram-sha-256"),
        *("-E", "UTF8", "--no-sync"),
    )
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run_as_postgres(
        binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start"
    )
    try:
        yield URL.create("postgresql+psycopg", "me", None, "127.0.0.1", port, "postgres")
    finally:
        run_as_postgres(binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)
