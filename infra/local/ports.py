"""TCP ports on loopback: the usual ones where they are free, others where they are taken."""

from __future__ import annotations

import contextlib
import random
import socket

import psutil

from quantum.errors import DependencyError

HOST = "127.0.0.1"
# Below the range that Linux (32768) and macOS (49152) take for outgoing connections, so that none of those steals it.
SEARCH = range(20_000, 32_000)
_random = random.SystemRandom()


def is_free(port: int) -> bool:
    """Whether a server could listen on a port of loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: connections that linger do not count
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Say which process listens on a port, as far as this user may know."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return "another process"
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:] == (port,) and connection.pid is not None:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return "another process"


def choose(name: str, *, explicit: int | None, remembered: int | None, usual: int, taken: set[int]) -> int:
    """Choose the port of a server.

    Parameters
    ----------
    name
        What listens there, for the error.
    explicit
        The port that was asked for; 0 asks for any free one but the usual, None for no port in particular.
    remembered
        The port that it had the last time.
    usual
        The port that the world expects it on.
    taken
        Ports that were chosen for others but are not listened on yet.

    Raises
    ------
    DependencyError
        The port that was asked for is in use, or none is free.
    """
    if explicit:
        if explicit in taken or not is_free(explicit):
            raise DependencyError(f"port {explicit} for {name} is in use by {holder(explicit)}", "end that process, or choose another port")
        return explicit
    wanted = [remembered] if remembered is not None else []
    if explicit is None:
        wanted.append(usual)
    wanted += _random.sample(SEARCH, 100)
    for port in wanted:
        if port not in taken and is_free(port):
            return port
    raise DependencyError(f"no free port for {name} on {HOST}", "end some of the servers on this machine")
