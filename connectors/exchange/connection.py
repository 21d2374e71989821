"""One websocket connection of the feed: its frames, what REST must add to them, and its heartbeats.

The order of a symbol's frames is what downstream builds on, so a connection goes through these steps:

1. connect, subscribe, and keep what comes in a buffer for each symbol;
2. fetch by REST the trades since the newest one known (at the first start: the newest N), which may overlap the buffer;
3. send the fetched trades, then the buffer, then everything as it comes;
4. where trade ids show that the stream has left some out, go through 2 and 3 again for that symbol;
5. read every depth frame that is sent as the market stage will, and have a snapshot sent where its book wants one;
6. once a second say by a heartbeat that everything before that second has been sent. There is none while a symbol is
   buffered or the connection is silent, so nobody closes a bar that a gap still has to fill.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Sequence

import aiohttp

from connectors.exchange.book.keeper import BookKeeper
from connectors.exchange.clock import SECOND
from connectors.exchange.dialects import book_rules
from connectors.exchange.errors import VENUE_IS_AWAY, ConnectionLostError, VenueAwayError
from connectors.exchange.frames import MILLISECOND, FrameSink
from connectors.exchange.health.pace import Pace
from connectors.exchange.health.symbol import Lifeline
from connectors.exchange.health.venue import VenueHealth
from connectors.exchange.link import Link, RestTrade
from connectors.exchange.settings import FeedSettings
from connectors.exchange.venues import Channel
from quantum import clock
from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 10.0
MOST_BUFFERED = 200_000
#: How long the frames of a symbol wait for trades that its stream has left out; then they go on, and the gap stays reported.
REFILL_S = 5.0
#: Least time between two fetches of such trades of a symbol: snapshots of books need the venue's request weight as well.
REFILL_EVERY_S = 2.0


class Connection:
    """One connection from its beginning to its end.

    Parameters
    ----------
    link
        The venue.
    symbols
        Symbols that it follows.
    settings
        Limits and times.
    sink
        Where frames go.
    session
        Id of the connection.
    known
        Mark of the newest trade by symbol that an earlier connection has sent; brought up to date at the end.
    health
        Told what comes and what does not.
    """

    def __init__(
        self,
        link: Link,
        symbols: Sequence[str],
        settings: FeedSettings,
        sink: FrameSink,
        session: str,
        known: dict[str, int],
        health: VenueHealth,
    ) -> None:
        self.reader = link.reader(session)
        self.line: Lifeline | None = None
        self.keeper = BookKeeper(self._heal, book_rules(link.venue.name), told=self._see_book)
        self._link = link
        self._name = link.venue.name
        self._symbols = symbols
        self._settings = settings
        self._sink = sink
        self._buffers: dict[str, list[ExchangeFrame]] = {symbol: [] for symbol in symbols}
        self._known = known
        self._health = health
        self._ready: set[str] = set()
        self._gaps: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self._missing: dict[str, int] = {}
        self._refilled: dict[str, float] = {}
        self._pace = Pace(time.monotonic())
        self._pinged: dict[bytes, float] = {}
        self._socket: aiohttp.ClientWebSocketResponse | None = None

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
                http.ws_connect(self._link.url(self._symbols), autoping=False, max_msg_size=16 << 20) as socket,
            ):
                self._socket = socket
                for text in self._link.greetings(self._symbols):
                    await socket.send_str(text)
                patience.reschedule(None)
                self.line = self._health.opened(self._symbols, time.monotonic())
                await self._follow(socket, self.line, stop)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            cause = "unreachable" if self.line is None else "closed"
            raise ConnectionLostError(f"no connection to {self._name}: {error!r}", cause, "see whether the venue runs") from error

    async def _follow(self, socket: aiohttp.ClientWebSocketResponse, line: Lifeline, stop: asyncio.Event) -> None:
        log.info("%s: session %s follows %s", self._name, self.reader.session, ", ".join(self._symbols))
        helpers = [
            asyncio.create_task(self._read(socket, line), name="read"),
            asyncio.create_task(self._ping(socket), name="pings"),
            asyncio.create_task(self._catch_up(), name="catch up"),
            asyncio.create_task(self._fill_gaps(), name="gaps"),
            asyncio.create_task(self._heartbeats(), name="heartbeats"),
            asyncio.create_task(self.keeper.run(), name="books"),
            asyncio.create_task(self._keep_alive(), name="keep alive"),
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
            self._known.update(self._missing)
            self._missing.clear()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, line: Lifeline) -> None:
        while True:
            message = await self._receive(socket)
            now = line.heard = time.monotonic()
            if message.type is not aiohttp.WSMsgType.TEXT:
                await self._answer(socket, message, now)
                continue
            self.reader.offset_us = self._link.offset_us
            self._pace.saw(now, self._settings.silence_s)
            frame = self.reader.read(message.data, clock.now_us())
            if frame is None:
                continue
            before = self._health.received(frame, now, self.reader.offset_us, self.reader.last_trade.get(frame.symbol))
            if before is not None and frame.symbol in self._ready:
                self._miss(frame.symbol, before)
            if frame.symbol in self._ready:
                self._send(frame)
            else:
                self._keep(frame)

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
        """Return the next message; a venue that sends nothing, or no frames for longer than is usual, is given up."""
        limit = self._settings.silence_s
        try:
            message = await socket.receive(timeout=limit)
        except TimeoutError:
            raise ConnectionLostError(f"{self._name} has given no sign of life for {limit:g} s", "dead") from None
        if message.type is not aiohttp.WSMsgType.TEXT and (silent := self._pace.silent_s(time.monotonic(), limit)) is not None:
            raise ConnectionLostError(f"{self._name} answers pings but has sent no frame for {silent:.1f} s", "silent")
        return message

    async def _answer(self, socket: aiohttp.ClientWebSocketResponse, message: aiohttp.WSMessage, now: float) -> None:
        """Answer a ping, take the round trip of our own, and end with the connection."""
        if message.type is aiohttp.WSMsgType.PING:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await socket.pong(message.data)
        elif message.type is aiohttp.WSMsgType.PONG:
            sent = self._pinged.pop(bytes(message.data), None)
            if sent is not None:
                self._health.pinged(now - sent, now)
        else:
            raise ConnectionLostError(f"{self._name} ended the connection: {message.type.name} {socket.close_code or ''}", "closed")

    async def _ping(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        for number in itertools.count():
            await asyncio.sleep(self._settings.ping_s)
            text = b"%d" % number
            self._pinged = {text: time.monotonic()}  # an answer to an earlier one comes too late to say anything
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await socket.ping(text)

    def _see_book(self, symbol: str, live: bool, lost: str) -> None:
        self._health.book(symbol, lost, live=live, now=time.monotonic())

    def _send(self, frame: ExchangeFrame) -> None:
        self._sink.send(frame)
        self.keeper.watch(frame)

    def _keep(self, frame: ExchangeFrame) -> None:
        buffer = self._buffers.get(frame.symbol)
        if buffer is None:
            return  # the venue sends what was not asked for; it is counted by the reader
        if len(buffer) >= MOST_BUFFERED:
            raise ConnectionLostError(
                f"{frame.venue} {frame.symbol}: {MOST_BUFFERED} frames wait for trades by REST", "backlog", "see whether REST answers"
            )
        buffer.append(frame)

    def _miss(self, symbol: str, before: int) -> None:
        """Have the trades after one fetched: at once, or, where that was done just now, together with what is missed until then."""
        if symbol not in self._missing:
            self._missing[symbol] = before
            rest = self._refilled.get(symbol, 0.0) + REFILL_EVERY_S - time.monotonic()
            if rest <= 0:
                self._hold(symbol)
            else:
                asyncio.get_running_loop().call_later(rest, self._hold, symbol)

    def _hold(self, symbol: str) -> None:
        """Keep a symbol's frames until the trades that it misses are fetched."""
        before = self._missing.pop(symbol, None)
        if before is None:
            return  # the connection has ended
        self._refilled[symbol] = time.monotonic()
        self._ready.discard(symbol)
        self._buffers[symbol] = []
        self._known[symbol] = before  # where this connection ends before they are, the next one fetches them
        self._gaps.put_nowait((symbol, before))

    async def _catch_up(self) -> None:
        for symbol in self._symbols:
            after = self._known.get(symbol)
            await self._fetch(symbol, after, self._settings.backfill if after is None else self._settings.gap_fill)

    async def _fill_gaps(self) -> None:
        while True:
            symbol, after = await self._gaps.get()
            try:
                async with asyncio.timeout(REFILL_S):
                    await self._fetch(symbol, after, self._settings.gap_fill)
            except (*VENUE_IS_AWAY, TimeoutError) as error:
                log.warning("%s %s: trades after %d stay missing: %r", self._name, symbol, after, error)
                self._release(symbol, [])

    async def _fetch(self, symbol: str, after: int | None, most: int) -> None:
        """Fetch a symbol's trades after one and let its frames go."""
        trades = await self._link.trades_since(symbol, after, most)
        self._release(symbol, trades)
        self._health.caught_up(symbol, time.monotonic(), after, [trade.mark for trade in trades])

    def _release(self, symbol: str, trades: Sequence[RestTrade]) -> None:
        """Send trades that were fetched, then what came of the symbol meanwhile; from now on its frames go as they come."""
        received = clock.now_us()
        for trade in trades:
            self._send(self.reader.frame(symbol, Channel.TRADE, FrameKind.REST, trade.time_ms * MILLISECOND, received, trade.text))
        if trades:
            self.reader.note_trade(symbol, trades[-1].mark)
        for frame in self._buffers.pop(symbol):
            self._send(frame)
        self._ready.add(symbol)
        log.info("%s %s: %d trades by REST", self._name, symbol, len(trades))

    async def _heal(self, symbol: str) -> None:
        """Have a snapshot of a book sent: by REST, or by the stream where the venue does it so."""
        text = await self._link.snapshot(symbol)
        if text is not None:
            frame = self.reader.read(text, clock.now_us(), symbol)
            if frame is None:
                raise VenueAwayError(f"{self._name} {symbol}: {text[:200]!r} is no snapshot of a book")
            self._send(frame)
        elif self._socket is not None:
            for request in self._link.again(symbol):
                await self._socket.send_str(request)

    async def _keep_alive(self) -> None:
        """Send what the venue wants to hear; where it wants nothing, the websocket's own pings are enough."""
        while True:
            await asyncio.sleep(self._link.keep_alive_s)
            if self._link.keep_alive and self._socket is not None:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await self._socket.send_str(self._link.keep_alive)

    async def _heartbeats(self) -> None:
        lag = clock.span_us(self._settings.heartbeat_lag_s)
        while True:
            now = self._link.now_us() - lag
            await asyncio.sleep((SECOND - now % SECOND) / SECOND)
            now = self._link.now_us() - lag
            if time.monotonic() - self._pace.last > self._settings.quiet_s:
                continue
            for symbol in self._symbols:
                if symbol in self._ready:
                    self._sink.send(self.reader.heartbeat(symbol, now - now % SECOND, clock.now_us()))
