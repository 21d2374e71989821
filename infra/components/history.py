"""The sink's process."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

from connectors.clickhouse.client import connect
from connectors.clickhouse.dead_letters import KafkaDeadLetters
from connectors.clickhouse.sink import Sink
from infra.clickhouse.generate import carried
from processors.components import registry
from quantum.settings import Settings

GROUP = "quantum-sink"
"""Consumer group that all sinks share."""


async def sink(settings: Settings, stop: asyncio.Event) -> None:
    """Carry topics into the history."""
    ended = threading.Event()
    carrier = Sink(
        settings.kafka,
        GROUP,
        carried(),
        partial(connect, settings),
        registry(settings),
        KafkaDeadLetters(settings.kafka),
    )
    work = asyncio.create_task(asyncio.to_thread(carrier.run, ended))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    ended.set()
    await work
