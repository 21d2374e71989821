"""The trainer's process: requests from Kafka, bars from the history, artefacts on disk, the runs' records to Kafka."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import Consumer, Message

from connectors.clickhouse.client import connect
from connectors.kafka.config import client_config
from connectors.kafka.headers import header_map
from connectors.kafka.publisher import Publisher
from connectors.registry.client import Registry
from ml.artefacts import ArtefactStore
from processors.components import codecs, node_publisher
from processors.learning.history import HistoryBars
from processors.learning.settings import LearningSettings
from processors.learning.trainer import Trainer
from quantum.errors import DeadLetterError, RetryError
from quantum.revision import revision
from quantum.settings import Settings
from quantum.trace import caused_headers
from schemas.learning.records import ModelRetrain

LOGGER = logging.getLogger(__name__)
REQUESTS = "model.retrain"
RUNS = "model.training"
POLL_S = 0.5
STORE_AWAY_S = 5.0


async def trainer(settings: Settings, stop: asyncio.Event) -> None:
    """Answer requests until ``stop`` is set.

    A request's offset is committed after its records are stored, so a trainer that dies trains again; the records of both
    runs have the same ids.
    """
    publisher = node_publisher(settings, "trainer")
    codec = codecs(Registry(settings.registry), (REQUESTS,))[REQUESTS]
    consumer = Consumer(
        client_config(
            settings.kafka, group_id="quantum-trainer", enable_auto_commit=False, auto_offset_reset="earliest",
            isolation_level="read_committed", max_poll_interval_ms=3_600_000,
        )
    )  # fmt: skip
    consumer.subscribe([REQUESTS])
    try:
        while not stop.is_set():
            message = await asyncio.to_thread(consumer.poll, POLL_S)
            if message is None or message.value() is None:
                continue
            if message.error() is not None:
                LOGGER.warning("the trainer reads on after: %s", message.error())
                continue
            try:
                request = codec.decode(message.value() or b"")
            except DeadLetterError as unreadable:  # the sink dead-letters the same record
                LOGGER.warning("the trainer leaves a request out: %s", unreadable)
            else:
                await _answer(settings, publisher, message, request, stop)
            await asyncio.to_thread(partial(consumer.commit, message=message, asynchronous=False))
    finally:
        await asyncio.to_thread(consumer.close)


async def _answer(settings: Settings, publisher: Publisher, message: Message, request: ModelRetrain, stop: asyncio.Event) -> None:
    """Train; while the history is away, wait for it."""
    while not stop.is_set():
        try:
            await asyncio.to_thread(_train, settings, publisher, message, request)
            return
        except (RetryError, ClickHouseError) as error:
            LOGGER.warning("training of %s waits %g s: %s", request.model, STORE_AWAY_S, error)
            await asyncio.sleep(STORE_AWAY_S)


def _train(settings: Settings, publisher: Publisher, message: Message, request: ModelRetrain) -> None:
    client = connect(settings)
    cause = header_map(message)
    try:
        work = Trainer(
            HistoryBars(client),
            ArtefactStore(settings.folders.models),
            LearningSettings(),
            settings.venue,
            settings.feature_interval,
            revision(),
        )
        for record in work.run(request):
            publisher.send(RUNS, record.model, record, caused_headers(record.event_id, request.event_id, cause))
            publisher.flush()
            LOGGER.info("training of %s: %s, %s", record.model, record.phase, record.detail)
    finally:
        client.close()
