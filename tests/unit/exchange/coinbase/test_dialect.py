"""Coinbase's messages, documented and recorded, to frames and records."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from connectors.exchange.coinbase.dialect import NO_LIMIT
from connectors.exchange.coinbase.frames import CoinbaseReader
from connectors.exchange.dialects import book_rules
from connectors.exchange.venues import COINBASE, Channel
from processors.market.depth import DepthState, is_depth, on_depth
from processors.market.logic import VenueState, on_frame
from processors.market.rules import Rules
from quantum.errors import CorruptRecordError
from schemas.common import BookState, FrameKind, InstrumentRules, Side
from schemas.exchange.records import ExchangeFrame
from schemas.market.records import MarketDepth, MarketInstrument, MarketQuote, MarketTick
from schemas.record import Record
from tests.unit.exchange.coinbase import messages
from tests.unit.market.frames import DATA

CAPTURE = DATA.parent / "venue_captures" / "coinbase.ws.txt"
AT = 1_795_284_001_250_613
RECEIVED = AT + 30_000


class Market:
    """The market stage over what a connection receives."""

    def __init__(self) -> None:
        self.reader = CoinbaseReader(COINBASE, "s", offset_us=7)
        self.states: dict[str, VenueState] = {}
        self.books: dict[str, DepthState] = {}

    def take(self, message: dict[str, Any] | str, received: int = RECEIVED) -> list[Record]:
        frame = self.reader.read(message if isinstance(message, str) else json.dumps(message), received)
        return [] if frame is None else self.record(frame)

    def record(self, frame: ExchangeFrame) -> list[Record]:
        if is_depth(frame):
            outputs = on_depth(Rules(depth_every_us=0), self.books.setdefault(frame.symbol, DepthState()), frame)
        else:
            outputs = on_frame(Rules(), self.states.setdefault(frame.symbol, VenueState()), frame)
        return [output.record for output in outputs]


def test_a_match_is_a_trade_of_the_taker_and_comes_once() -> None:
    market = Market()
    [tick] = market.take(messages.match(10, side="sell"))
    assert isinstance(tick, MarketTick)
    assert (tick.symbol, tick.trade_id, tick.price, tick.quantity, tick.side) == ("BTCUSD", 10, 84120.07, 0.0125, Side.BUY)
    assert tick.event_ts == AT
    assert market.reader.last_trade == {"BTCUSD": 10}
    assert not market.take(messages.match(10, kind="last_match"))
    row = market.reader.frame("BTCUSD", Channel.TRADE, FrameKind.REST, AT, RECEIVED, json.dumps(messages.rest_trade(12)))
    assert [getattr(record, "trade_id", None) for record in market.record(row)] == [12]
    assert market.states["BTCUSD"].ids.gaps == [(11, 11)]


def test_a_ticker_is_a_quote() -> None:
    market = Market()
    [quote] = market.take(messages.ticker(91))
    assert isinstance(quote, MarketQuote)
    assert (quote.bid_price, quote.bid_quantity, quote.ask_price, quote.ask_quantity) == (84120.06, 0.51, 84120.07, 0.02)
    assert (quote.update_id, quote.event_ts) == (91, AT)


def test_a_book_lives_from_its_snapshot_and_a_lost_frame_ends_it() -> None:
    market = Market()
    [first] = market.take(messages.snapshot([["84120.06", "0.51"], ["84119", "2"]], [["84120.07", "0.02"]]))
    assert isinstance(first, MarketDepth)
    assert (first.state, first.bid_prices, first.event_ts) == (BookState.LIVE, [84120.06, 84119.0], RECEIVED + 7)
    [second] = market.take(messages.change(["sell", "84120.07", "0.00000000"], ["sell", "84120.1", "3"], ["buy", "84119", "1.5"]))
    assert isinstance(second, MarketDepth)
    assert (second.ask_prices, second.bid_quantities) == ([84120.1], [0.51, 1.5])
    market.reader.read(json.dumps(messages.change(["buy", "84100", "1"])), RECEIVED)  # lost on the way to the stage
    [lost] = market.take(messages.change(["buy", "84101", "1"]))
    assert isinstance(lost, MarketDepth)
    assert lost.state is BookState.STALE
    assert market.books["BTCUSD"].book.wants_snapshot(book_rules(COINBASE.name))


def test_a_large_snapshot_is_cut_and_the_book_knows_it() -> None:
    most = COINBASE.kept_levels
    bids = [[f"{80_000 - level}", "1"] for level in range(most + 5)]
    market = Market()
    [record] = market.take(messages.snapshot(bids[::-1], [["80001", "1"]]))
    assert isinstance(record, MarketDepth)
    book = market.books["BTCUSD"].book
    assert record.bid_prices[0] == 80_000.0
    assert len(book.bids.keys) == most
    market.take(messages.change(["buy", "70000", "1"]))
    assert len(book.bids.keys) == most, "below the last level that is known, nothing is"


def test_a_product_is_an_instrument() -> None:
    market = Market()
    [record] = market.record(market.reader.frame("BTCUSD", Channel.INSTRUMENT, FrameKind.REST, AT, RECEIVED, json.dumps(messages.PRODUCT)))
    assert isinstance(record, MarketInstrument)
    assert (record.base_asset, record.quote_asset) == ("BTC", "USD")
    assert record.rules == InstrumentRules(
        tick_size=Decimal("0.01"), lot_size=Decimal("0.00000001"), min_quantity=Decimal("0.00000001"), max_quantity=NO_LIMIT,
        min_notional=Decimal(1), max_leverage=1.0, maintenance_rate=0.0,
    )  # fmt: skip


def test_what_is_no_market_data_makes_no_frame() -> None:
    reader = CoinbaseReader(COINBASE, "s")
    said = [
        {"type": "subscriptions", "channels": [{"name": "matches", "product_ids": ["BTC-USD"]}]},
        {"type": "heartbeat", "sequence": 90, "last_trade_id": 20, "product_id": "BTC-USD", "time": "2026-11-21T18:00:01.250613Z"},
        {"type": "error", "message": "Failed to subscribe", "reason": "BTC-XXX is not a valid product"},
        {"type": "match", "product_id": "BTC-USD", "time": "soon"},
    ]
    assert [reader.read(json.dumps(each), RECEIVED) for each in said] == [None] * 4
    assert reader.unknown == {"error: Failed to subscribe BTC-XXX is not a valid product": 1}
    assert reader.malformed == 1


@pytest.mark.parametrize(
    "message",
    [
        messages.match(1, side="both"),
        {**messages.ticker(1), "best_bid": "0"},
        messages.change(["hold", "1", "1"]),
        messages.change(["buy", "1", "-1"]),
        messages.snapshot([["0", "1"]], []),
    ],
)
def test_malformed_messages_are_corrupt_and_change_nothing(message: dict[str, Any]) -> None:
    market = Market()
    with pytest.raises(CorruptRecordError):
        market.take(message)
    assert [*market.states.values(), *market.books.values()] in ([VenueState()], [DepthState()])


@pytest.mark.skipif(not CAPTURE.exists(), reason=f"no capture in {CAPTURE.parent}; set QUANTUM_DATA")
def test_the_recorded_frames() -> None:
    """Every trade once; every book equals plain dictionaries after each change, and is never crossed."""
    market, kinds = Market(), Counter[str]()
    records: Counter[type[Record]] = Counter()
    plain: dict[str, tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]] = {}
    said: set[tuple[str, int]] = set()
    ticks: list[tuple[str, int]] = []
    for line in CAPTURE.read_text().splitlines():
        time, _, text = line.partition(": ")
        if not text or time.startswith("wss"):
            continue
        message = json.loads(text)
        kind, symbol = message["type"], message.get("product_id", "").replace("-", "")
        kinds[kind] += 1
        for record in market.take(text, int(float(time) * 1e6)):
            records[type(record)] += 1
            if isinstance(record, MarketTick):
                ticks.append((record.symbol, record.trade_id))
        if kind in {"match", "last_match"}:
            said.add((symbol, message["trade_id"]))
        if kind == "snapshot":
            bids, asks = ({Decimal(price): Decimal(size) for price, size in message[side]} for side in ("bids", "asks"))
            plain[symbol] = bids, asks
        if kind == "l2update":
            for side, price, size in message["changes"]:
                levels = plain[symbol][side == "sell"]
                levels[Decimal(price)] = Decimal(size)
                if not Decimal(size):
                    del levels[Decimal(price)]
        if kind in {"snapshot", "l2update"}:
            book = market.books[symbol].book
            assert book.state is BookState.LIVE, book.reason
            places = -book.price_places, -book.size_places
            for rows, levels, best_first in zip(book.levels(20), plain[symbol], (True, False), strict=True):
                mine = [(Decimal(price).scaleb(places[0]), Decimal(size).scaleb(places[1])) for price, size in rows]
                assert mine == sorted(levels.items(), reverse=best_first)[:20]
            assert book.levels(1)[0][0][0] < book.levels(1)[1][0][0]
    assert sorted(ticks) == sorted(said)
    assert not market.reader.unknown
    assert not market.reader.malformed
    assert records[MarketQuote] == kinds["ticker"]
    assert all(state.ids.missing == 0 for state in market.states.values())
    assert kinds["l2update"] > 9_000
