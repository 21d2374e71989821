"""Websocket side of one product: connections, subscriptions, and the streams of market data and of accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from connectors.exchange.simulated.clock import wall_clock_us
from connectors.exchange.simulated.dialect import frames
from connectors.exchange.simulated.faults.delivery import Delivery
from connectors.exchange.simulated.faults.plan import Faults
from connectors.exchange.simulated.market.book import DepthFeed
from connectors.exchange.simulated.market.instruments import Product
from connectors.exchange.simulated.market.symbol import SymbolMarket
from connectors.exchange.simulated.market.tape import INTERVALS_US, Bar, Trade, has_klines
from connectors.exchange.simulated.server.connection import Connection

MAX_STREAMS = {Product.USDM: 200, Product.SPOT: 1024, Product.COINM: 200}
MESSAGES_PER_SECOND = {Product.USDM: 10, Product.SPOT: 5, Product.COINM: 10}
HEARTBEAT_SECONDS = {Product.USDM: 180.0, Product.SPOT: 20.0, Product.COINM: 180.0}
SESSION_SECONDS = 24 * 3600.0

_FUTURES_DEPTH_US = {"depth": 250_000, "depth@0ms": 100_000, "depth@100ms": 100_000, "depth@500ms": 500_000}
_DEPTH_US: dict[Product, dict[str, int]] = {
    Product.USDM: _FUTURES_DEPTH_US,
    Product.SPOT: {"depth": 1_000_000, "depth@100ms": 100_000},
    Product.COINM: _FUTURES_DEPTH_US,
}
_MARK_SECONDS = {"markPrice": 3, "markPrice@1s": 1}
_KLINE_US = 250_000


@dataclass(slots=True)
class Stream:
    """One stream and who reads it."""

    name: str
    readers: set[Connection] = field(default_factory=set)
    market: SymbolMarket | None = None
    feed: DepthFeed | None = None
    every_us: int = 0
    due_us: int = 0
    interval: str = ""
    sent: tuple[int, int] = (0, 0)
    best: tuple[int, int, int, int] = (0, 0, 0, 0)
    bar: Bar | None = None


class Hub:
    """Connections and streams of one product. It is a :class:`~connectors.exchange.simulated.market.symbol.Listener` of its markets.

    Parameters
    ----------
    product
        The product.
    markets
        By symbol; empty where the market is fed from outside.
    clock
        Returns the time, microseconds.
    published
        Says whether a stream name is one that :meth:`publish` is called with, such as a live listen key.
    faults
        The faults in force.
    """

    def __init__(
        self,
        product: Product,
        markets: dict[str, SymbolMarket],
        clock: Callable[[], int],
        published: Callable[[str], bool],
        faults: Faults,
    ) -> None:
        self._product = product
        self._markets = {symbol.lower(): market for symbol, market in markets.items()}
        self._clock = clock
        self._published = published
        self._streams: dict[str, Stream] = {}
        self._timed: list[Stream] = []
        self._connections: set[Connection] = set()
        self._delivery = Delivery(product, faults, wall_clock_us, lambda s, call: asyncio.get_running_loop().call_later(s, call))
        for market in markets.values():
            market.listeners.append(self)

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    # --- connections -------------------------------------------------------------------------------------------------------------------

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection from its handshake to its end."""
        combined = request.path.startswith("/stream")
        names = request.query.get("streams", "") if combined else request.match_info.get("streams", "")
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS[self._product], max_msg_size=64 * 1024, compress=False)
        await socket.prepare(request)
        connection = Connection(socket, request.transport, combined=combined)
        self._connections.add(connection)
        writer = asyncio.create_task(connection.write())
        try:
            self.subscribe(connection, [name for name in names.split("/") if name])
            async with asyncio.timeout(SESSION_SECONDS):
                await self._read(connection)
        except TimeoutError:
            await socket.close(code=WSCloseCode.GOING_AWAY)
        finally:
            self._connections.discard(connection)
            self.unsubscribe(connection, list(connection.streams))
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    def drop_all(self) -> int:
        """Cut every connection now; return how many there were."""
        connections = list(self._connections)
        for connection in connections:
            connection.abort()
        return len(connections)

    async def close(self) -> None:
        """Close every connection in order."""
        await asyncio.gather(*(c.socket.close(code=WSCloseCode.GOING_AWAY) for c in list(self._connections)))

    async def _read(self, connection: Connection) -> None:
        async for message in connection.socket:
            if message.type is not WSMsgType.TEXT:
                break
            now = asyncio.get_running_loop().time()
            connection.received.append(now)
            if sum(1 for at in connection.received if at > now - 1) > MESSAGES_PER_SECOND[self._product]:
                await connection.socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"Too many requests")
                break
            connection.push(_text(self._command(connection, message.data)))

    def _command(self, connection: Connection, text: str) -> frames.Json:
        try:
            request: Any = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return {"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}}
        if not isinstance(request, dict) or "method" not in request:
            return {"error": {"code": 2, "msg": "Invalid request: missing field `method`"}}
        identity, params = request.get("id"), request.get("params", [])
        if not isinstance(params, list) or not all(isinstance(p, str) for p in params):
            return {"error": {"code": 2, "msg": "Invalid request: invalid type, expected a sequence of strings"}, "id": identity}
        result: Any = None
        match request["method"]:
            case "SUBSCRIBE":
                if len(connection.streams | dict.fromkeys(params)) > MAX_STREAMS[self._product]:
                    return {"error": {"code": 2, "msg": "Invalid request: too many streams"}, "id": identity}
                self.subscribe(connection, params)
            case "UNSUBSCRIBE":
                self.unsubscribe(connection, params)
            case "LIST_SUBSCRIPTIONS":
                result = list(connection.streams)
            case method:
                return {"error": {"code": 2, "msg": f"Invalid request: unknown variant `{method}`"}, "id": identity}
        return {"result": result, "id": identity}

    # --- subscriptions -----------------------------------------------------------------------------------------------------------------

    def subscribe(self, connection: Connection, names: Iterable[str]) -> None:
        """Subscribe a connection; as on the real venue a stream that does not exist is accepted and stays silent."""
        for name in names:
            stream = self._streams.get(name) or self._open(name)
            if stream is not None:
                stream.readers.add(connection)
            connection.streams[name] = None

    def unsubscribe(self, connection: Connection, names: Iterable[str]) -> None:
        """Unsubscribe a connection."""
        for name in names:
            connection.streams.pop(name, None)
            stream = self._streams.get(name)
            if stream is None:
                continue
            stream.readers.discard(connection)
            if not stream.readers:
                self._shut(stream)

    def _open(self, name: str) -> Stream | None:
        stream = Stream(name)
        symbol, _, kind = name.partition("@")
        market = self._markets.get(symbol)
        if market is not None and kind:
            stream.market = market
            if kind in _DEPTH_US[self._product]:
                stream.every_us = _DEPTH_US[self._product][kind]
                stream.feed = market.book.feed()
            elif kind.startswith("kline_") and has_klines(self._product, kind[6:]):
                stream.interval, stream.every_us = kind[6:], _KLINE_US
                stream.bar = self._open_bar(market, stream.interval, self._clock())
            elif kind in _MARK_SECONDS:
                if not self._product.futures:
                    return None
            elif kind not in ("trade", "aggTrade", "bookTicker"):
                return None
        elif not self._published(name):
            return None
        self._streams[name] = stream
        if stream.every_us:
            stream.due_us = self._clock() // stream.every_us * stream.every_us + stream.every_us
            self._timed.append(stream)
        return stream

    def _shut(self, stream: Stream) -> None:
        del self._streams[stream.name]
        if stream.every_us:
            self._timed.remove(stream)
        if stream.feed is not None and stream.market is not None:
            stream.market.book.drop(stream.feed)

    # --- publishing --------------------------------------------------------------------------------------------------------------------

    def publish(self, name: str, frame: Callable[[], frames.Json]) -> None:
        """Send a frame to the readers of a stream; it is made only where there are any."""
        stream = self._streams.get(name)
        if stream is not None:
            self._send(stream, frame())

    def on_quote(self, market: SymbolMarket, ts_us: int) -> None:
        """Publish `bookTicker` where the best prices or quantities are others than before."""
        stream = self._streams.get(f"{market.rules.symbol.lower()}@bookTicker")
        book = market.book
        best = (book.bid, book.bid_lots, book.ask, book.ask_lots)
        if stream is not None and stream.best != best:
            stream.best = best
            self._send(stream, frames.book_ticker(market, self._event_ms(ts_us)))

    def on_trade(self, market: SymbolMarket, trade: Trade, starts_aggregate: bool) -> None:
        """Publish `trade`, and `aggTrade` once the aggregate before it is complete."""
        symbol = market.rules.symbol.lower()
        stream = self._streams.get(f"{symbol}@trade")
        if stream is not None:
            self._send(stream, frames.trade(market.rules, trade, self._event_ms(trade.ts_us)))
        if starts_aggregate:
            self._flush_aggregate(market, before=trade.id)

    def on_mark(self, market: SymbolMarket, ts_us: int) -> None:
        """Publish `markPrice`."""
        for kind, seconds in _MARK_SECONDS.items():
            stream = self._streams.get(f"{market.rules.symbol.lower()}@{kind}")
            if stream is not None and (ts_us // 1_000_000) % seconds == 0:
                self._send(stream, frames.mark_price(market.rules, market.mark, self._event_ms(ts_us)))

    def on_funding(self, market: SymbolMarket, rate: Decimal, ts_us: int) -> None:
        """Funding is told to accounts, not on a public stream."""

    def tick(self, now_us: int) -> None:
        """Publish what is due by time: depth, klines and complete aggregates."""
        for stream in self._timed:
            if now_us >= stream.due_us and stream.market is not None:
                stream.due_us = now_us // stream.every_us * stream.every_us + stream.every_us
                if stream.feed is not None:
                    change = stream.feed.take(stream.market.book.update_id)
                    if change is not None:
                        self._send(stream, frames.depth_update(stream.market, change, now_us // 1000))
                else:
                    self._kline(stream, stream.market, now_us)
        for market in self._markets.values():
            last = market.tape.last
            if last is not None and now_us - last.ts_us > 100_000:
                self._flush_aggregate(market, before=market.tape.next_id)

    def _flush_aggregate(self, market: SymbolMarket, *, before: int) -> None:
        stream = self._streams.get(f"{market.rules.symbol.lower()}@aggTrade")
        if stream is None:
            return
        aggregate = market.tape.aggregate_ending(before - 1)
        if aggregate is not None and aggregate.id > stream.sent[0]:
            stream.sent = (aggregate.id, 0)
            self._send(stream, frames.agg_trade(market.rules, aggregate, self._event_ms(aggregate.ts_us)))

    def _kline(self, stream: Stream, market: SymbolMarket, now_us: int) -> None:
        """Publish the open bar when it changed, and each bar once more when it is closed."""
        bar, last = market.bars[stream.interval], stream.bar
        width = INTERVALS_US[stream.interval]
        if last is None or now_us < last.close_us:
            if bar.trades and stream.sent != (bar.open_us, bar.trades):
                stream.sent, stream.bar = (bar.open_us, bar.trades), bar
                self._send(stream, frames.kline(market.rules, stream.interval, bar, now_us // 1000, closed=False))
            return
        for closed in market.tape.bars(stream.interval, last.open_us, now_us // width * width):
            self._send(stream, frames.kline(market.rules, stream.interval, closed, now_us // 1000, closed=True))
        stream.bar = self._open_bar(market, stream.interval, now_us)

    @staticmethod
    def _open_bar(market: SymbolMarket, interval: str, now_us: int) -> Bar:
        bar, width = market.bars[interval], INTERVALS_US[interval]
        start = now_us // width * width
        return bar if bar.open_us >= start else Bar(start, start + width, bar.close, bar.close, bar.close, bar.close)

    def _send(self, stream: Stream, data: frames.Json) -> None:
        text, readers = _text(data), tuple(stream.readers)

        def send() -> None:
            wrapped = ""
            for reader in readers:  # a frame that comes late is for those who read when it was published
                if reader.combined:
                    wrapped = wrapped or f'{{"stream":"{stream.name}","data":{text}}}'
                    reader.push(wrapped)
                else:
                    reader.push(text)

        self._delivery.deliver(stream.name, send, private=stream.market is None)

    def _event_ms(self, ts_us: int) -> int:
        return max(self._clock(), ts_us) // 1000


def _text(data: frames.Json) -> str:
    return msgspec.json.encode(data).decode()
