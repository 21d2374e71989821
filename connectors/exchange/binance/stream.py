"""One websocket connection of the feed: its frames, the trades that REST must add to them, and its heartbeats.

The order of a symbol's frames is what downstream builds on, so a connection goes through these steps:

1. connect, and keep what comes in a buffer for each symbol;
2. fetch by REST the trades since the newest one known (at the first start: the newest N), which may overlap the buffer;
3. send the fetched trades, then the buffer, then everything as it comes;
4. once a second say by a heartbeat that everything before that second has been sent. There is none while a symbol is
   buffered or the connection is silent, so nobody closes a bar that a gap still has to fill.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

import aiohttp

from connectors.exchange.binance.market import trades_since
from connectors.exchange.binance.rest import BinanceRest, VenueAwayError
from connectors.exchange.clock import SECOND
from connectors.exchange.frames import MILLISECOND, FrameReader, FrameSink
from connectors.exchange.settings import FeedSettings
from connectors.exchange.venues import Channel, stream_names
from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
MOST_BUFFERED = 200_000


class Connection:
    """One connection from its beginning to its end.

    Parameters
    ----------
    rest
        REST client of the venue.
    stream_url
        Base URL of the venue's websockets.
    symbols
        Symbols that it follows.
    settings
        Limits and times.
    sink
        Where frames go.
    session
        Id of the connection.
    known
        Newest trade id by symbol that an earlier connection has sent; brought up to date at the end.
    """

    def __init__(
        self,
        rest: BinanceRest,
        stream_url: str,
        symbols: Sequence[str],
        settings: FeedSettings,
        sink: FrameSink,
        session: str,
        known: dict[str, int],
    ) -> None:
        self.reader = FrameReader(rest.venue, session, rest.offset_us)
        self._rest = rest
        self._symbols = symbols
        self._settings = settings
        self._sink = sink
        self._buffers: dict[str, list[ExchangeFrame]] = {symbol: [] for symbol in symbols}
        self._known = known
        self._ready: set[str] = set()
        self._last_frame = time.monotonic()
        names = "/".join(name for symbol in symbols for name in stream_names(rest.venue, symbol))
        self._url = f"{stream_url}/stream?streams={names}"

    async def run(self, stop: asyncio.Event) -> None:
        """Run until it is time to renew the connection, or ``stop`` is set.

        Raises
        ------
        VenueAwayError
            The connection ended, fell silent or could not be made.
        """
        try:
            async with (
                aiohttp.ClientSession() as http,
                asyncio.timeout(CONNECT_TIMEOUT_S) as patience,
                http.ws_connect(self._url, heartbeat=20.0, max_msg_size=16 << 20) as socket,
            ):
                patience.reschedule(None)
                await self._follow(socket, stop)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise VenueAwayError(f"no connection to {self._rest.venue.name}: {error!r}", "see whether the venue runs") from error

    async def _follow(self, socket: aiohttp.ClientWebSocketResponse, stop: asyncio.Event) -> None:
        log.info("%s: session %s follows %s", self._rest.venue.name, self.reader.session, ", ".join(self._symbols))
        helpers = [
            asyncio.create_task(self._read(socket), name="read"),
            asyncio.create_task(self._catch_up(), name="catch up"),
            asyncio.create_task(self._heartbeats(), name="heartbeats"),
            asyncio.create_task(asyncio.sleep(self._settings.renew_s), name="renew"),
            asyncio.create_task(stop.wait(), name="stop"),
        ]
        try:
            running = set(helpers)
            while True:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                if any(task.get_name() != "catch up" for task in done):
                    return
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self._known.update((symbol, last) for symbol, last in self.reader.last_trade.items() if symbol in self._ready)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            try:
                message = await socket.receive(timeout=self._settings.silence_s)
            except TimeoutError:
                raise VenueAwayError(f"{self._rest.venue.name} is silent for {self._settings.silence_s:g} s") from None
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise VenueAwayError(f"{self._rest.venue.name} ended the connection: {message.type.name} {socket.close_code or ''}")
            self._last_frame = time.monotonic()
            self.reader.offset_us = self._rest.offset_us
            frame = self.reader.read(message.data, time.time_ns() // 1_000)
            if frame is None:
                continue
            if frame.symbol in self._ready:
                self._sink.send(frame)
            else:
                self._keep(frame)

    def _keep(self, frame: ExchangeFrame) -> None:
        buffer = self._buffers.get(frame.symbol)
        if buffer is None:
            return  # the venue sends what was not asked for; it is counted by the reader
        if len(buffer) >= MOST_BUFFERED:
            raise VenueAwayError(
                f"{frame.venue} {frame.symbol}: {MOST_BUFFERED} frames wait for trades by REST", "see whether REST answers"
            )
        buffer.append(frame)

    async def _catch_up(self) -> None:
        for symbol in self._symbols:
            after = self._known.get(symbol)
            most = self._settings.backfill if after is None else self._settings.gap_fill
            trades = await trades_since(self._rest, symbol, after, most)
            received = time.time_ns() // 1_000
            for trade in trades:
                frame = self.reader.frame(symbol, Channel.TRADE, FrameKind.REST, trade.time_ms * MILLISECOND, received, trade.text)
                self._sink.send(frame)
            if trades:
                self.reader.last_trade[symbol] = max(trades[-1].trade_id, self.reader.last_trade.get(symbol, -1))
            for frame in self._buffers.pop(symbol):
                self._sink.send(frame)
            self._ready.add(symbol)
            log.info("%s %s: %d trades by REST", self._rest.venue.name, symbol, len(trades))

    async def _heartbeats(self) -> None:
        lag = int(self._settings.heartbeat_lag_s * SECOND)
        while True:
            now = self._rest.now_us() - lag
            await asyncio.sleep((SECOND - now % SECOND) / SECOND)
            now = self._rest.now_us() - lag
            if time.monotonic() - self._last_frame > self._settings.quiet_s:
                continue
            for symbol in self._symbols:
                if symbol in self._ready:
                    self._sink.send(self.reader.heartbeat(symbol, now - now % SECOND, time.time_ns() // 1_000))
