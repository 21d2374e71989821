"""The feed of venues that are only looked at, against servers that speak as their documentation says, and misbehave."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.bybit.link import BybitLink
from connectors.exchange.feed import run_feed
from connectors.exchange.market_data import number_of
from connectors.exchange.settings import FeedSettings
from processors.market.depth import DepthState, is_depth, on_depth
from processors.market.logic import VenueState, on_frame
from processors.market.rules import Rules
from quantum.errors import ConfigurationError
from schemas.common import BookState, FrameKind
from schemas.exchange.records import ExchangeFrame
from schemas.market.records import MarketDepth, MarketInstrument, MarketQuote, MarketTick
from schemas.record import Record
from tests.integration.market_servers import BybitServer, CoinbaseServer, LivingMarket, serving, uuid_of


class Stage:
    """Takes the feed's frames as the market stage does."""

    def __init__(self) -> None:
        self.frames: list[ExchangeFrame] = []
        self.records: list[Record] = []
        self.venue, self.depth = VenueState(), DepthState()
        self.rules = Rules(depth_every_us=0)

    def send(self, frame: ExchangeFrame) -> None:
        self.frames.append(frame)
        outputs = on_depth(self.rules, self.depth, frame) if is_depth(frame) else on_frame(self.rules, self.venue, frame)
        self.records.extend(output.record for output in outputs)

    def of(self, kind: type[Record]) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def states(self) -> list[BookState]:
        return [record.state for record in self.of(MarketDepth)]


async def until(feed: asyncio.Task[None], condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            assert not feed.done(), feed
            await asyncio.sleep(0.02)


async def follow(venue: str, symbol: str, server: LivingMarket) -> Stage:
    """Follow a market through a lost or wrong change of its book and the loss of every connection."""
    for _ in range(100):
        server.step()
    server.refusals = 1
    stage, stop = Stage(), asyncio.Event()
    feed = asyncio.create_task(run_feed(FeedSettings(venues=(venue,), symbols=(symbol,), backfill=40), VenueSettings(), stage, stop))
    try:
        await until(feed, lambda: stage.states[-1:] == [BookState.LIVE] and len(stage.of(MarketTick)) > 60 and any_heartbeat(stage))
        server.skip_next = True
        await until(feed, lambda: BookState.STALE in stage.states)
        await until(feed, lambda: stage.states[-1] is BookState.LIVE)
        assert len({frame.session for frame in stage.frames if is_depth(frame)}) == 1, "a book is mended without a new connection"
        await server.drop()
        for _ in range(20):
            server.step()  # nobody listens
        await until(
            feed, lambda: len({frame.session for frame in stage.frames if is_depth(frame)}) == 2 and stage.states[-1] is BookState.LIVE
        )
        await asyncio.sleep(1.2)
    finally:
        stop.set()
        await asyncio.wait_for(feed, 20)
    return stage


def any_heartbeat(stage: Stage) -> bool:
    return any(frame.kind is FrameKind.HEARTBEAT for frame in stage.frames)


def assert_whole(stage: Stage, server: LivingMarket, number: Callable[[int], int]) -> None:
    assert isinstance(stage.records[0], MarketInstrument)
    assert stage.of(MarketQuote)
    ticks = [tick.trade_id for tick in stage.of(MarketTick)]
    assert max(Counter(ticks).values()) == 1
    wanted = [number(trade) for trade, _, _ in server.trades]
    first, last = wanted.index(ticks[0]), wanted.index(ticks[-1])
    assert ticks == wanted[first : last + 1], "a trade is missing, or out of its order"
    kinds = [frame.kind for frame in stage.frames if frame.channel == "trade"]
    assert kinds[:40] == [FrameKind.REST] * 40
    assert kinds.count(FrameKind.REST) > 40, "no gap was filled"
    assert stage.depth.book.resyncs == 2
    for depth in stage.of(MarketDepth):
        if depth.state is BookState.LIVE:
            assert depth.bid_prices[0] < depth.ask_prices[0]
            assert depth.bid_prices == sorted(depth.bid_prices, reverse=True)


async def test_bybit(monkeypatch: pytest.MonkeyPatch) -> None:
    server = BybitServer()
    async with serving(server) as port:
        monkeypatch.setenv("QUANTUM_BYBIT_REST_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("QUANTUM_BYBIT_STREAM_URL", f"ws://127.0.0.1:{port}")
        monkeypatch.setattr(BybitLink, "keep_alive_s", 0.3)
        stage = await follow("bybit-linear", "BTCUSDT", server)
        settings = FeedSettings(venues=("bybit-linear",), symbols=("NOSUCHUSDT",))
        with pytest.raises(ConfigurationError, match="does not list NOSUCHUSDT"):
            await run_feed(settings, VenueSettings(), Stage(), asyncio.Event())
    assert_whole(stage, server, lambda trade: number_of(uuid_of(trade)))
    assert {"op": "ping"} in server.said
    assert all(len(said.get("args", [])) <= 10 for said in server.said)
    reasons = [depth.reason for depth in stage.of(MarketDepth) if depth.state is BookState.STALE]
    assert [reason.partition(":")[0] for reason in reasons] == ["gap"]


async def test_coinbase(monkeypatch: pytest.MonkeyPatch) -> None:
    server = CoinbaseServer()
    async with serving(server) as port:
        monkeypatch.setenv("QUANTUM_COINBASE_REST_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("QUANTUM_COINBASE_STREAM_URL", f"ws://127.0.0.1:{port}")
        stage = await follow("coinbase", "BTCUSD", server)
        with pytest.raises(ConfigurationError, match="does not list NOSUCHUSD"):
            await run_feed(FeedSettings(venues=("coinbase",), symbols=("NOSUCHUSD",)), VenueSettings(), Stage(), asyncio.Event())
    assert_whole(stage, server, lambda trade: trade)
    assert stage.venue.ids.missing == 0
    assert server.requests.count("/products/BTC-USD/trades") >= 3, "forty trades are two pages here"
    reasons = [depth.reason for depth in stage.of(MarketDepth) if depth.state is BookState.STALE]
    assert [reason.partition(" at")[0] for reason in reasons] == ["crossed"]
