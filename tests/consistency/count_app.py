"""The harness's task: for every record of ``<PREFIX>-in`` the running count of its key goes to ``<PREFIX>-out``.

Run it as ``python -m tests.consistency.count_app`` with PREFIX, WORKER and BOOTSTRAP in the environment. AGENT is ``event`` or
``batch``; SESSION_TIMEOUT is in seconds; STORE is where the table is kept and DATADIR the folder for it; CARELESS=1 is the control
that writes without transactions, CARELESS=producers the one that keeps a producer of which requests may still come. SIGUSR1 has it
write its table to the file that DUMP names.
"""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from processors.runtime import App, run
from processors.runtime.state.table import Table
from tests.consistency import careless

Tables = dict[int, dict[str, int]]


def create_app(prefix: str, bootstrap: str, agent: str = "event", **options: Any) -> App:
    """Return the counting application."""
    app = App(f"{prefix}-app", broker=f"kafka://{bootstrap}", metrics=CollectorRegistry(), **options)
    source = app.topic(f"{prefix}-in", key_serializer="raw", value_serializer="raw", partitions=4)
    sink: Any = app.topic(f"{prefix}-out", key_serializer="raw", value_serializer="raw", partitions=4)
    counts = app.Table("counts", default=int, key_type=str, key_serializer="raw", partitions=4)

    async def by_event(stream: Any) -> None:
        async for event in stream.events():
            key = event.key.decode()
            count = counts[key] + 1
            counts[key] = count
            await sink.send(key=event.key, value=b"%d" % count)

    async def by_batch(stream: Any) -> None:
        async for events in stream.take_events(1000):
            keys = [event.key.decode() for event in events]
            wanted = list(dict.fromkeys(keys))
            running = dict(zip(wanted, counts.get_many(wanted), strict=True))
            outputs = []
            for event, key in zip(events, keys, strict=True):
                running[key] += 1
                outputs.append((event.key, b"%d" % running[key]))
            counts.put_many(running)
            await sink.send_many(outputs)

    app.agent(source, name="count")({"event": by_event, "batch": by_batch}[agent])
    return app


def tables_of(table: Table) -> Tables:
    """Return the committed values of a table, by partition."""
    return {partition: {key: table[key] for key in table.partition_keys(partition)} for partition in sorted(table.shards)}


def dump(table: Any, path: Path) -> None:
    """Write a table, so that a reader never sees half a file."""
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.encode(tables_of(table)))
    temporary.replace(path)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    environment = os.environ
    if environment.get("CARELESS") == "producers":
        careless.keep_producers()
    elif environment.get("CARELESS"):
        careless.switch_transactions_off()
    options = {name.lower(): environment[name] for name in ("STORE", "DATADIR") if environment.get(name)}
    counting = create_app(
        environment["PREFIX"],
        environment["BOOTSTRAP"],
        environment.get("AGENT", "event"),
        session_timeout=float(environment.get("SESSION_TIMEOUT", "10")),
        **options,
    )
    if environment.get("DUMP"):
        signal.signal(signal.SIGUSR1, lambda *_: dump(counting.tables["counts"], Path(environment["DUMP"])))
    run(counting)
