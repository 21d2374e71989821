"""The live feed of one venue: instruments, then connections that are made again for as long as the feed runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from connectors.exchange.binance.backoff import Backoff
from connectors.exchange.binance.market import instruments
from connectors.exchange.binance.rest import BinanceRest, VenueAwayError
from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.binance.stream import Connection
from connectors.exchange.frames import FrameReader, FrameSink
from connectors.exchange.settings import FeedSettings
from connectors.exchange.tasks import sleep_unless, together
from connectors.exchange.venues import Channel, Venue
from quantum.errors import VenueError
from schemas.common import FrameKind

log = logging.getLogger(__name__)

CLOCK_EVERY_S = 60.0
HEALTHY_AFTER_S = 10.0
VENUE_IS_AWAY = (VenueAwayError, VenueError)


class BinanceFeed:
    """Follows the symbols of one venue.

    Parameters
    ----------
    venue
        The venue.
    access
        Endpoint and credentials.
    settings
        Symbols, limits, times.
    sink
        Where frames go.
    random
        Source of the jitter of reconnects.
    """

    def __init__(self, venue: Venue, access: VenueSettings, settings: FeedSettings, sink: FrameSink, random: Random) -> None:
        self.reconnects = 0
        self._venue = venue
        self._access = access
        self._settings = settings
        self._sink = sink
        self._random = random
        self._started = f"{time.time_ns():x}"
        self._sessions = 0
        self._known: dict[str, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the venue until ``stop`` is set; a venue that is away is tried again and again.

        Raises
        ------
        ConfigurationError
            The venue does not list a symbol, or its URL is not allowed.
        """
        async with BinanceRest(self._venue, self._access) as rest:
            await self._until_it_works(lambda: self._begin(rest), stop)
            size = self._settings.symbols_per_connection
            groups = [self._settings.symbols[start : start + size] for start in range(0, len(self._settings.symbols), size)]
            await together(self._keep_clock(rest, stop), *(self._follow(rest, group, stop) for group in groups))

    async def _begin(self, rest: BinanceRest) -> None:
        await rest.read_clock()
        listed = await instruments(rest, self._settings.symbols)
        reader = FrameReader(self._venue, self._next_session(), rest.offset_us)
        for symbol, text in listed.items():
            received = time.time_ns() // 1_000
            self._sink.send(reader.frame(symbol, Channel.INSTRUMENT, FrameKind.REST, received + rest.offset_us, received, text))

    async def _follow(self, rest: BinanceRest, symbols: Sequence[str], stop: asyncio.Event) -> None:
        backoff = Backoff(self._random)
        while not stop.is_set():
            began = time.monotonic()
            connection = Connection(
                rest, self._access.stream_url(self._venue), symbols, self._settings, self._sink, self._next_session(), self._known
            )
            try:
                await connection.run(stop)
                backoff.succeeded()
            except VENUE_IS_AWAY as error:
                if time.monotonic() - began > HEALTHY_AFTER_S:
                    backoff.succeeded()
                self.reconnects += 1
                wait = backoff.next_s()
                log.warning("%s: %s; connecting again in %.1f s", self._venue.name, error, wait)
                await sleep_unless(stop, wait)
            if connection.reader.malformed or connection.reader.unknown:
                unknown = dict(connection.reader.unknown)
                log.warning("%s: %d malformed frames, unknown streams %s", self._venue.name, connection.reader.malformed, unknown)

    async def _until_it_works(self, action: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        backoff = Backoff(self._random)
        while not stop.is_set():
            try:
                await action()
                return
            except VENUE_IS_AWAY as error:
                wait = backoff.next_s()
                log.warning("%s: %s; trying again in %.1f s", self._venue.name, error, wait)
                await sleep_unless(stop, wait)

    async def _keep_clock(self, rest: BinanceRest, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await sleep_unless(stop, CLOCK_EVERY_S)
            try:
                await rest.read_clock()
            except VENUE_IS_AWAY as error:
                log.warning("%s: its clock could not be read: %s", self._venue.name, error)

    def _next_session(self) -> str:
        self._sessions += 1
        return f"{self._started}-{self._sessions}"
