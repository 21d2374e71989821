"""The feed and the clock: market data and time, live or from a recording."""

from __future__ import annotations

import asyncio
from functools import partial

from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.clock import LiveClock
from connectors.exchange.feed import run_feed
from connectors.exchange.frames import key_of
from connectors.exchange.replay.settings import ReplaySettings
from connectors.exchange.replay.source import ReplaySummary, run_replay
from connectors.exchange.settings import FeedSettings
from connectors.kafka.publisher import Publisher
from processors.components import node_publisher
from quantum.settings import Settings
from schemas.clock.records import ClockTick
from schemas.exchange.records import ExchangeFrame
from schemas.health.records import HealthEvent


class KafkaFrames:
    """Frames to ``exchange.raw``."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def send(self, frame: ExchangeFrame) -> None:
        """Queue a frame; blocks while the queue is full."""
        self._publisher.send("exchange.raw", key_of(frame), frame)


def send_tick(publisher: Publisher, second_us: int) -> None:
    """Write one second of event time to every partition of ``clock``."""
    publisher.send("clock", "clock", ClockTick(event_id=f"clock:{second_us}", event_ts=second_us, ingest_ts=second_us))


def send_health(publisher: Publisher, event: HealthEvent) -> None:
    """Write how well a venue is followed to every partition of ``health.events``."""
    publisher.send("health.events", event.component, event)


async def feed(settings: Settings, stop: asyncio.Event) -> None:
    """Follow the venues by websocket and REST."""
    publisher = node_publisher(settings, "feed")
    await run_feed(FeedSettings(), VenueSettings(), KafkaFrames(publisher), stop, partial(send_health, publisher))
    await asyncio.to_thread(publisher.flush)


async def clock(settings: Settings, stop: asyncio.Event) -> None:
    """Tick every second of the wall clock."""
    publisher = node_publisher(settings, "clock")
    await LiveClock(partial(send_tick, publisher)).run(stop)
    await asyncio.to_thread(publisher.flush)


async def replay(settings: Settings, recording: ReplaySettings, stop: asyncio.Event) -> ReplaySummary:
    """Play a recording in place of the feed and the clock; returns what was read and sent."""
    publisher = node_publisher(settings, "feed", "clock")
    summary = await run_replay(
        recording,
        KafkaFrames(publisher),
        partial(send_tick, publisher),
        stop,
        partial(send_health, publisher),
    )
    await asyncio.to_thread(publisher.flush)
    return summary
