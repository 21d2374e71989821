"""The live feed: every venue that the settings name, into one sink."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from connectors.exchange.binance.backoff import Backoff
from connectors.exchange.binance.link import BinanceLink
from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.bybit.link import BybitLink
from connectors.exchange.bybit.settings import BybitSettings
from connectors.exchange.coinbase.link import CoinbaseLink
from connectors.exchange.coinbase.settings import CoinbaseSettings
from connectors.exchange.connection import Connection
from connectors.exchange.errors import VENUE_IS_AWAY, ConnectionLostError
from connectors.exchange.frames import FrameSink
from connectors.exchange.health.venue import OnHealth, VenueHealth
from connectors.exchange.link import Link
from connectors.exchange.open_interest import poll_open_interest
from connectors.exchange.settings import FeedSettings
from connectors.exchange.tasks import sleep_unless, together
from connectors.exchange.venues import BINANCE_VENUES, COINBASE, Channel, venue_named
from quantum import clock
from schemas.common import FrameKind

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
RENEWAL, UNREACHABLE, REST = "renewal", "unreachable", "rest"
"""Why a connection is made again besides its own end: its age, a venue that does not answer at all, or not by REST."""
HEALTHY_AFTER_S = 10.0


class VenueFeed:
    """Follows the symbols of one venue: instruments, then connections that are made again for as long as the feed runs.

    Parameters
    ----------
    link
        The venue.
    settings
        Symbols, limits, times.
    sink
        Where frames go.
    random
        Source of the jitter of reconnects.
    on_health
        Told how well the venue is followed; where it is None nobody is.

    Attributes
    ----------
    health
        The same, as figures.
    """

    def __init__(self, link: Link, settings: FeedSettings, sink: FrameSink, random: Random, on_health: OnHealth | None = None) -> None:
        self._link = link
        self._name = link.venue.name
        self._settings = settings
        self._sink = sink
        self._random = random
        self._on_health = on_health
        self._started = f"{time.time_ns():x}"
        self.health = VenueHealth(self._name, settings.symbols, settings.health, self._started, link.round_trips)
        self._sessions = 0
        self._known: dict[str, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the venue until ``stop`` is set; a venue that is away is tried again and again.

        Raises
        ------
        ConfigurationError
            The venue does not list a symbol, or its URL is not allowed.
        """
        async with self._link:
            await together(self._follow_all(stop), self._watch(stop))

    async def _follow_all(self, stop: asyncio.Event) -> None:
        await self._until_it_works(self._begin, stop)
        if not stop.is_set():
            size = self._settings.symbols_per_connection
            groups = [self._settings.symbols[start : start + size] for start in range(0, len(self._settings.symbols), size)]
            reader = self._link.reader(self._next_session())
            interest = poll_open_interest(
                self._link, self._settings.symbols, self._settings.open_interest_s, self._sink, reader, stop
            )  # fmt: skip
            await together(self._keep_clock(stop), interest, *(self._follow(group, stop) for group in groups))

    async def _begin(self) -> None:
        self.health.offset_us = await self._link.read_clock()
        listed = await self._link.instruments(self._settings.symbols)
        reader = self._link.reader(self._next_session())
        for symbol, text in listed.items():
            received = clock.now_us()
            event = received + self._link.offset_us
            self._sink.send(reader.frame(symbol, Channel.INSTRUMENT, FrameKind.REST, event, received, text))

    async def _follow(self, symbols: Sequence[str], stop: asyncio.Event) -> None:
        backoff = Backoff(self._random)
        while not stop.is_set():
            began = time.monotonic()
            connection = Connection(self._link, symbols, self._settings, self._sink, self._next_session(), self._known, self.health)
            try:
                await connection.run(stop)
                backoff.succeeded()
                if not stop.is_set():
                    self.health.lost(connection.line, RENEWAL, time.monotonic())
            except VENUE_IS_AWAY as error:
                if time.monotonic() - began > HEALTHY_AFTER_S:
                    backoff.succeeded()
                cause = error.cause if isinstance(error, ConnectionLostError) else REST
                self.health.lost(connection.line, cause, time.monotonic())
                wait = backoff.next_s()
                log.warning("%s: %s; connecting again in %.1f s", self._name, error, wait)
                await sleep_unless(stop, wait)
            if connection.reader.malformed or connection.reader.unknown:
                unknown = dict(connection.reader.unknown)
                log.warning("%s: %d malformed frames, unknown streams %s", self._name, connection.reader.malformed, unknown)

    async def _until_it_works(self, action: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        backoff = Backoff(self._random)
        while not stop.is_set():
            try:
                await action()
                return
            except VENUE_IS_AWAY as error:
                self.health.lost(None, UNREACHABLE, time.monotonic())
                wait = backoff.next_s()
                log.warning("%s: %s; trying again in %.1f s", self._name, error, wait)
                await sleep_unless(stop, wait)

    async def _keep_clock(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await sleep_unless(stop, self._settings.clock_every_s)
            try:
                self.health.offset_us = await self._link.read_clock()
            except VENUE_IS_AWAY as error:
                log.warning("%s: its clock could not be read: %s", self._name, error)

    async def _watch(self, stop: asyncio.Event) -> None:
        """Say how the venue is followed until ``stop`` is set."""
        while not stop.is_set():
            for event in self.health.look(time.monotonic(), self._link.now_us(), clock.now_us()):
                if self._on_health is not None:
                    self._on_health(event)
            await sleep_unless(stop, LOOK_EVERY_S)

    def _next_session(self) -> str:
        self._sessions += 1
        return f"{self._started}-{self._sessions}"


def link_of(name: str, access: VenueSettings, settings: FeedSettings) -> Link:
    """Return the link to a venue; raises ConfigurationError where none is called so."""
    venue = venue_named(name)
    if venue in BINANCE_VENUES:
        return BinanceLink(venue, access, depth=settings.depth)
    if venue is COINBASE:
        return CoinbaseLink(venue, CoinbaseSettings(), depth=settings.depth)
    return BybitLink(venue, BybitSettings(), depth=settings.depth)


async def run_feed(
    settings: FeedSettings, access: VenueSettings, sink: FrameSink, stop: asyncio.Event, on_health: OnHealth | None = None
) -> None:
    """Follow all venues until ``stop`` is set.

    Parameters
    ----------
    settings
        What is followed.
    access
        Binance's endpoints and credentials; other venues' settings are read here.
    sink
        Where frames go: instruments first, then for each symbol the trades by REST, then the stream.
    stop
        Ends the feed.
    on_health
        Told how well each venue is followed, on change and every few seconds; where it is None nobody is.

    Raises
    ------
    ConfigurationError
        A venue is not known, does not list a symbol, or its URL is not allowed.
    RetryError
        The sink could not store a frame.
    """
    feeds = [VenueFeed(link_of(name, access, settings), settings, sink, Random(), on_health) for name in settings.venues]
    await together(*(feed.run(stop) for feed in feeds))
