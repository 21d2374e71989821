from __future__ import annotations

import asyncio
import json
import time

from connectors.exchange.binance.link import BinanceLink
from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.errors import VenueAwayError
from connectors.exchange.frames import FrameReader
from connectors.exchange.open_interest import poll_open_interest
from connectors.exchange.venues import SPOT, USDM
from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame


class Sink:
    """Keeps frames, and says when there are enough."""

    def __init__(self, enough: int, stop: asyncio.Event) -> None:
        self.frames: list[ExchangeFrame] = []
        self._enough = enough
        self._stop = stop

    def send(self, frame: ExchangeFrame) -> None:
        self.frames.append(frame)
        if len(self.frames) >= self._enough:
            self._stop.set()


class Flaky(BinanceLink):
    """A link whose every third answer does not come; it asks nobody."""

    asked = 0

    async def open_interest(self, symbol: str) -> str | None:
        self.asked += 1
        if self.asked % 3 == 0:
            raise VenueAwayError("no answer")
        return json.dumps({"openInterest": str(self.asked), "symbol": symbol, "time": 1})


async def test_symbols_take_turns_and_a_venue_that_is_away_is_asked_again() -> None:
    stop = asyncio.Event()
    sink = Sink(5, stop)
    link = Flaky(USDM, VenueSettings(), depth=False)
    began = time.monotonic()
    await poll_open_interest(link, ("AAAUSDT", "BBBUSDT"), 0.1, sink, FrameReader(USDM, "s"), stop)
    assert time.monotonic() - began >= 6 * 0.05
    assert [(frame.symbol, json.loads(frame.payload)["openInterest"]) for frame in sink.frames] == [
        ("AAAUSDT", "1"), ("BBBUSDT", "2"), ("BBBUSDT", "4"), ("AAAUSDT", "5"), ("AAAUSDT", "7"),
    ]  # fmt: skip
    assert {(frame.channel, frame.kind) for frame in sink.frames} == {("open_interest", FrameKind.REST)}
    assert len({frame.event_id for frame in sink.frames}) == 5


async def test_where_there_is_none_by_rest_nothing_is_asked_again() -> None:
    stop = asyncio.Event()
    sink = Sink(1, stop)
    link = BinanceLink(SPOT, VenueSettings(), depth=False)
    async with asyncio.timeout(10):
        await poll_open_interest(link, ("AAAUSDT",), 60, sink, FrameReader(SPOT, "s"), stop)
    assert not sink.frames
