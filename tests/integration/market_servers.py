"""Venues that are only looked at, as servers of their own: a market that lives, told in each venue's documented form."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

from aiohttp import WSMsgType, web

from tests.unit.exchange.bybit import messages as bybit
from tests.unit.exchange.coinbase import messages as coinbase

STEP_S = 0.02
Levels = dict[int, int]


class LivingMarket:
    """A market that trades and moves some fifty times a second, and the sockets that follow it.

    Attributes
    ----------
    bids, asks
        Sizes by price, in hundredths.
    trades
        Every trade: id, time in milliseconds, side of the taker.
    requests
        Paths that were asked for by REST.
    said
        What clients said by websocket.
    """

    def __init__(self) -> None:
        self._random = Random(5)
        self.bids: Levels = {100_00 - level: 100 + level for level in range(60)}
        self.asks: Levels = {100_01 + level: 100 + level for level in range(60)}
        self.sequence = 10_000
        self.trades: list[tuple[int, int, str]] = []
        self.requests: list[str] = []
        self.said: list[dict[str, Any]] = []
        self.skip_next = False
        self.refusals = 0
        self._listeners: list[Callable[[Levels, Levels], Any]] = []
        self.sockets: set[web.WebSocketResponse] = set()

    def step(self) -> tuple[Levels, Levels]:
        """Trade once and change a few levels; return the changes."""
        self.sequence += self._random.randint(1, 5)
        self.trades.append((len(self.trades) + 1, time.time_ns() // 1_000_000, self._random.choice(["Buy", "Sell"])))
        bids = {100_00 - self._random.randint(0, 59): self._random.choice([0, 5, 70]) for _ in range(2)}
        asks = {100_01 + self._random.randint(0, 59): self._random.choice([0, 5, 70]) for _ in range(2)}
        for side, changes in ((self.bids, bids), (self.asks, asks)):
            for price, size in changes.items():
                side[price] = size
                if not size:
                    del side[price]
        return bids, asks

    async def drop(self) -> None:
        """End every connection."""
        for socket in list(self.sockets):
            await socket.close()


def texts(levels: Levels, *, reverse: bool = False) -> list[list[str]]:
    """Return levels as a venue writes them, best first."""
    return [[f"{price / 100:.2f}", f"{size / 1000:.3f}"] for price, size in sorted(levels.items(), reverse=reverse)]


def uuid_of(number: int) -> str:
    """Return the id of a trade, where ids do not count up."""
    return str(UUID(int=number << 64 | 0x51))


class BybitServer(LivingMarket):
    """Bybit's linear product, one symbol."""

    def __init__(self) -> None:
        super().__init__()
        self._update = 500

    def app(self) -> web.Application:
        """Return the server."""
        app = web.Application()
        for name in ("time", "instruments-info", "risk-limit", "recent-trade"):
            app.router.add_get(f"/v5/market/{name}", self._rest)
        app.router.add_get("/v5/public/linear", self._stream)
        return app

    async def _rest(self, request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        self.requests.append(name)
        if self.refusals:
            self.refusals -= 1
            headers = {"X-Bapi-Limit-Reset-Timestamp": str(time.time_ns() // 1_000_000 + 50)}
            return web.json_response({"retCode": 10006, "retMsg": "Too many visits!", "result": {}}, headers=headers)
        nano = time.time_ns()
        known = request.query.get("symbol") == "BTCUSDT" and request.query.get("category") == "linear"
        rows: dict[str, list[Any]] = {
            "instruments-info": [bybit.LINEAR],
            "risk-limit": [bybit.RISK_LIMIT],
            "recent-trade": [bybit.rest_trade(uuid_of(i), at, side) for i, at, side in self.trades[::-1]][
                : int(request.query.get("limit", 0))
            ],
        }
        result: dict[str, Any] = {"category": "linear", "list": rows.get(name, []) if known else []}
        if name == "time":
            result = {"timeSecond": str(nano // 10**9), "timeNano": str(nano)}
        return web.json_response({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": nano // 10**6})

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.add(socket)
        topics: set[str] = set()
        ticking = asyncio.create_task(self._tick(socket, topics))
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            said = json.loads(message.data)
            self.said.append(said)
            await socket.send_json({"success": True, "ret_msg": "pong" if said["op"] == "ping" else "", "conn_id": "c", "op": said["op"]})
            for topic in said.get("args", []):
                (topics.add if said["op"] == "subscribe" else topics.discard)(topic)
                if topic == "orderbook.200.BTCUSDT" and said["op"] == "subscribe":
                    bids, asks = texts(self.bids, reverse=True), texts(self.asks)
                    await socket.send_json(bybit.book("snapshot", self._update, self.sequence, bids, asks))
                if topic == "tickers.BTCUSDT":
                    await socket.send_json(bybit.TICKER)
        ticking.cancel()
        self.sockets.discard(socket)
        return socket

    async def _tick(self, socket: web.WebSocketResponse, topics: set[str]) -> None:
        while not socket.closed:
            await asyncio.sleep(STEP_S)
            bids, asks = self.step()
            self._update += 1
            number, at, side = self.trades[-1]
            told = [bybit.trades((uuid_of(number), at, side, "0.5", "84000.1"))]
            told.append(bybit.book("snapshot", self._update, self.sequence, texts(self.bids, reverse=True)[:1], texts(self.asks)[:1], 1))
            if not self.skip_next:
                told.append(bybit.book("delta", self._update, self.sequence, texts(bids), texts(asks)))
            self.skip_next = False
            for message in told:
                if message["topic"] in topics and not socket.closed:
                    await socket.send_json(message)


class CoinbaseServer(LivingMarket):
    """Coinbase, one product."""

    def app(self) -> web.Application:
        """Return the server."""
        app = web.Application()
        for path in ("/time", "/products", "/products/BTC-USD/trades"):
            app.router.add_get(path, self._rest)
        app.router.add_get("/", self._stream)
        return app

    async def _rest(self, request: web.Request) -> web.Response:
        self.requests.append(request.path)
        if self.refusals:
            self.refusals -= 1
            return web.json_response({"message": "Public rate limit exceeded"}, status=429)
        if request.path == "/time":
            return web.json_response({"iso": "", "epoch": time.time()})
        if request.path == "/products":
            return web.json_response([{**coinbase.PRODUCT, "id": "ETH-USD", "base_currency": "ETH"}, coinbase.PRODUCT])
        before = int(request.query.get("after", 10**9))
        rows = [coinbase.rest_trade(number, self._iso(at)) for number, at, _ in self.trades[::-1] if number < before]
        return web.json_response(rows[: min(30, int(request.query["limit"]))])

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.add(socket)
        channels: set[str] = set()
        ticking = asyncio.create_task(self._tick(socket, channels))
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            said = json.loads(message.data)
            self.said.append(said)
            (channels.update if said["type"] == "subscribe" else channels.difference_update)(said["channels"])
            await socket.send_json({"type": "subscriptions", "channels": [{"name": name} for name in sorted(channels)]})
            if said["type"] == "subscribe" and "level2_batch" in said["channels"]:
                await socket.send_json(coinbase.snapshot(texts(self.bids, reverse=True), texts(self.asks)))
        ticking.cancel()
        self.sockets.discard(socket)
        return socket

    async def _tick(self, socket: web.WebSocketResponse, channels: set[str]) -> None:
        while not socket.closed:
            await asyncio.sleep(STEP_S)
            bids, asks = self.step()
            number, at, _ = self.trades[-1]
            changes = [["buy", *row] for row in texts(bids)] + [["sell", *row] for row in texts(asks)]
            crossing = [["buy", "200.00", "1"]] if self.skip_next else []  # the venue promises that nothing is lost: only a crossing shows
            self.skip_next = False
            told = {
                "matches": coinbase.match(number, self._iso(at)),
                "ticker": coinbase.ticker(self.sequence),
                "level2_batch": {**coinbase.change(*changes, *crossing), "time": self._iso(at)},
            }
            for channel, message in told.items():
                if channel in channels and not socket.closed:
                    await socket.send_json(message)

    def _iso(self, at_ms: int) -> str:
        return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@asynccontextmanager
async def serving(server: BybitServer | CoinbaseServer) -> AsyncIterator[int]:
    """Run a server on a free port; gives the port."""
    runner = web.AppRunner(server.app(), shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await server.drop()
        await runner.cleanup()
