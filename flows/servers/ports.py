"""Ports of this machine, on loopback."""

from __future__ import annotations

import socket

from gristmill.pipelines.base import ConfigError

HOST = "127.0.0.1"


def port_fault(port: int) -> str:
    """Why nothing can listen at a port, in the system's words; empty where it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return str(error)
    return ""


def require_free(port: int, what: str, option: str) -> None:
    """Raises ConfigError where a port is taken, with what to type for the next one."""
    if fault := port_fault(port):
        raise ConfigError(
            f"port {port} for {what} is taken",
            expected="a free port",
            found=fault,
            next=f"gristmill up {option} {port + 1}",
        )


def free_port() -> int:
    """Any port that nobody uses."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
