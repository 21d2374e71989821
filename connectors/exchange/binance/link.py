"""Binance as the feed follows it: combined streams, and REST for what they leave out."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from connectors.exchange.binance.market import depth_snapshot, instruments, open_interest, trades_since
from connectors.exchange.binance.rest import BinanceRest
from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.frames import FrameReader
from connectors.exchange.health.round_trips import RoundTrips
from connectors.exchange.link import RestTrade
from connectors.exchange.venues import Venue, stream_names
from quantum import clock


class BinanceLink:
    """See `Link`.

    Parameters
    ----------
    venue
        One of Binance's markets.
    access
        Endpoints and credentials.
    depth
        Whether order books are followed.
    """

    keep_alive = ""
    keep_alive_s = 3_600.0

    def __init__(self, venue: Venue, access: VenueSettings, *, depth: bool) -> None:
        self.venue = venue
        self._rest = BinanceRest(venue, access)
        self._stream_url = access.stream_url(venue)
        self._depth = depth

    @property
    def offset_us(self) -> int:
        """Venue's clock minus ours, microseconds."""
        return self._rest.offset_us

    @property
    def round_trips(self) -> RoundTrips:
        """Round trips of the requests by REST."""
        return self._rest.round_trips

    async def __aenter__(self) -> Self:
        await self._rest.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._rest.__aexit__(kind, error, trace)

    def now_us(self) -> int:
        """Return the venue's time, microseconds since the epoch."""
        return clock.event_time(self._rest.now_us())

    async def read_clock(self) -> int:
        """Ask the venue for its time; return its clock minus ours, microseconds."""
        return await self._rest.read_clock()

    async def instruments(self, symbols: Sequence[str]) -> dict[str, str]:
        """Return each symbol's part of ``exchangeInfo``, of futures with its leverage brackets."""
        return await instruments(self._rest, symbols)

    async def trades_since(self, symbol: str, after: int | None, most: int) -> list[RestTrade]:
        """Return the trades after an id."""
        return await trades_since(self._rest, symbol, after, most)

    async def snapshot(self, symbol: str) -> str:
        """Return a snapshot of the book."""
        return await depth_snapshot(self._rest, symbol)

    async def open_interest(self, symbol: str) -> str | None:
        """Return the open interest of a future; None of spot."""
        return await open_interest(self._rest, symbol) if self.venue.futures else None

    def url(self, symbols: Sequence[str]) -> str:
        """Return the address of the combined stream."""
        names = "/".join(name for symbol in symbols for name in stream_names(self.venue, symbol, depth=self._depth))
        return f"{self._stream_url}/stream?streams={names}"

    def greetings(self, symbols: Sequence[str]) -> list[str]:
        """Return nothing: the address names the streams."""
        return []

    def again(self, symbol: str) -> list[str]:
        """Return nothing: snapshots come by REST."""
        return []

    def reader(self, session: str) -> FrameReader:
        """Return a reader of the combined stream and of snapshots by REST."""
        return FrameReader(self.venue, session, self.offset_us)
