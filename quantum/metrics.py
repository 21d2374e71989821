"""A process's metrics by HTTP, and where to find them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server

SUFFIX = ".metrics.json"


def serve(registry: CollectorRegistry, folder: Path, process: str, port: int = 0, host: str = "127.0.0.1") -> int:
    """Answer ``GET /metrics`` and write the port to ``<folder>/<process>.metrics.json``; returns the port.

    Parameters
    ----------
    registry
        The metrics.
    folder
        Folder of the processes' files.
    process
        Name of the process.
    port
        Port; 0 for a free one.
    host
        Address; loopback unless others have to reach it, as between containers.
    """
    server, _ = start_http_server(port, addr=host, registry=registry)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{process}{SUFFIX}"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"process": process, "port": server.server_port}))
    temporary.replace(path)
    return int(server.server_port)


def addresses(folder: Path) -> Iterator[tuple[str, int]]:
    """Give the name and port of every process that has said where its metrics are; some may have ended since."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        found = json.loads(path.read_text())
        yield found["process"], found["port"]
