"""The local stack itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.bench.figure import Figure
from tests.bench.servers import Bench, temporary_stack

MEGABYTE = 1e6


def stack(bench: Bench) -> Iterator[Figure]:
    """Measure a warm ``up`` (everything is fetched, the data of the last run are there) and what each server takes."""
    servers = temporary_stack(bench.folder / "stack")
    try:
        servers.up()
        servers.down()
        started = time.perf_counter()
        servers.up()
        taken = time.perf_counter() - started
        found = servers.status()
    finally:
        servers.down()
    yield Figure(name="stack: warm up", unit="s", value=taken, note="Kafka, registry and history store side by side, until all serve")
    for server in found:
        if server.rss_bytes is None:
            raise AssertionError(f"{server.name} is down right after up")
        yield Figure(name=f"stack: {server.name} resident", unit="MB", value=server.rss_bytes / MEGABYTE, note="idle, right after up")
