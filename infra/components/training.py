"""The trainer's process: it waits for requests and starts a process for each training."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from importlib import import_module
from multiprocessing import get_context

from confluent_kafka import Consumer, Message

from connectors.exchange.tasks import sleep_unless
from connectors.kafka.config import client_config
from connectors.kafka.headers import header_map
from processors.components import codecs, registry
from quantum.errors import DeadLetterError, RetryError
from quantum.settings import Settings
from quantum.trace import Headers
from schemas.learning.records import ModelRetrain

LOGGER = logging.getLogger(__name__)
REQUESTS = "model.retrain"
POLL_S = 0.5
AGAIN_S = 5.0


async def trainer(settings: Settings, stop: asyncio.Event) -> None:
    """Answer requests until ``stop`` is set.

    A request's offset is committed after its records are stored, so a trainer that dies trains again; the records of both
    runs have the same ids.
    """
    codec = codecs(registry(settings), (REQUESTS,))[REQUESTS]
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
                if not await _answer(settings, message, request, stop):
                    return
            await asyncio.to_thread(partial(consumer.commit, message=message, asynchronous=False))
    finally:
        await asyncio.to_thread(consumer.close)


async def _answer(settings: Settings, message: Message, request: ModelRetrain, stop: asyncio.Event) -> bool:
    """Have a process train; while the history is away, wait for it. Returns whether the request was answered."""
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            try:
                await loop.run_in_executor(pool, answer_in_child, settings, request, header_map(message))
                return True
            except (RetryError, BrokenProcessPool) as error:
                LOGGER.warning("training of %s waits %g s: %s", request.model, AGAIN_S, error)
        await sleep_unless(stop, AGAIN_S)
    return False


def answer_in_child(settings: Settings, request: ModelRetrain, cause: Headers) -> None:
    """Train, in the process that was started for it; only there the libraries that train are imported."""
    import_module("infra.training_run").answer(settings, request, cause)
