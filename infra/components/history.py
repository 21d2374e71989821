"""The sink's process."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

from connectors.clickhouse.client import connect
from connectors.clickhouse.dead_letters import KafkaDeadLetters
from connectors.clickhouse.sink import Sink
from connectors.clickhouse.tables import TableSpec
from connectors.registry.client import Registry
from processors.topology import TOPICS
from quantum.settings import Settings


def table_specs() -> list[TableSpec]:
    """Return the history's tables: one for every kept topic."""
    return [
        TableSpec(topic.name, topic.table, topic.record, topic.retention_ms, first_partition_only=topic.broadcast)
        for topic in TOPICS.values()
        if topic.kept
    ]


async def sink(settings: Settings, stop: asyncio.Event) -> None:
    """Carry topics into the history."""
    ended = threading.Event()
    carrier = Sink(
        settings.kafka,
        "quantum-sink",
        table_specs(),
        partial(connect, settings),
        Registry(settings.registry),
        KafkaDeadLetters(settings.kafka),
    )
    work = asyncio.create_task(asyncio.to_thread(carrier.run, ended))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    ended.set()
    await work
