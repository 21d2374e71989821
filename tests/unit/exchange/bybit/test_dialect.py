"""Bybit's messages, as its documentation shows them, to frames and records."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from connectors.exchange.bybit.frames import BybitReader
from connectors.exchange.market_data import number_of
from connectors.exchange.venues import BYBIT_LINEAR, BYBIT_SPOT, Venue
from processors.market.depth import DepthState, is_depth, on_depth
from processors.market.logic import VenueState, on_frame
from processors.market.rules import Rules
from quantum.errors import CorruptRecordError
from schemas.common import BookState, FrameKind, InstrumentRules, Side
from schemas.exchange.records import ExchangeFrame
from schemas.market.records import MarketDepth, MarketFunding, MarketInstrument, MarketQuote, MarketTick
from schemas.record import Record
from tests.unit.exchange.bybit import messages
from tests.unit.exchange.bybit.messages import TS

RECEIVED = (TS + 40) * 1_000


class Market:
    """The market stage over what a connection receives."""

    def __init__(self, venue: Venue = BYBIT_LINEAR) -> None:
        self.reader = BybitReader(venue, "s")
        self.state, self.depth = VenueState(), DepthState()

    def take(self, message: dict[str, Any]) -> list[Record]:
        frame = self.reader.read(json.dumps(message), RECEIVED)
        return [] if frame is None else self.record(frame)

    def rest(self, channel: Any, row: dict[str, Any], ts: int = TS) -> list[Record]:
        return self.record(self.reader.frame("BTCUSDT", channel, FrameKind.REST, ts * 1_000, RECEIVED, json.dumps(row)))

    def record(self, frame: ExchangeFrame) -> list[Record]:
        outputs = on_depth(Rules(), self.depth, frame) if is_depth(frame) else on_frame(Rules(), self.state, frame)
        return [output.record for output in outputs]


def test_a_message_of_trades_is_one_frame_and_each_trade_a_record() -> None:
    market = Market()
    uuid = "0d6bd0b4-9f0f-5d0e-8f8e-2f1f0a4f9b11"
    frame = market.reader.read(
        json.dumps(messages.trades((uuid, TS - 7, "Buy", "0.125", "84211.40"), ("2290000000061666327", TS - 5, "Sell", "2", "84211.3"))),
        RECEIVED,
    )
    assert frame is not None
    assert (frame.symbol, frame.channel, frame.event_ts) == ("BTCUSDT", "trade", (TS - 5) * 1_000)
    assert market.reader.last_trade == {"BTCUSDT": TS - 5}
    first, second = (record for record in market.record(frame) if isinstance(record, MarketTick))
    assert (first.trade_id, first.price, first.quantity, first.side, first.event_ts) == (
        number_of(uuid), 84211.4, 0.125, Side.BUY, (TS - 7) * 1_000,
    )  # fmt: skip
    assert (second.trade_id, second.side) == (2290000000061666327, Side.SELL)
    assert 0 < first.trade_id < 1 << 63


def test_trades_that_come_again_by_rest_or_by_stream_are_dropped() -> None:
    market = Market()
    assert len(market.rest("trade", messages.rest_trade("a", TS - 9))) == 1
    assert len(market.rest("trade", messages.rest_trade("b", TS - 8))) == 1
    again = messages.trades(("a", TS - 9, "Buy", "1", "1"), ("b", TS - 8, "Buy", "1", "1"), ("c", TS - 8, "Buy", "1", "1"))
    assert [record.trade_id for record in market.take(again) if isinstance(record, MarketTick)] == [number_of("c")]
    assert market.state.timed.duplicates == 2
    bars = market.record(market.reader.heartbeat("BTCUSDT", (TS + 2_000) * 1_000, RECEIVED))
    assert {getattr(bar, "first_trade_id", 0) for bar in bars} == {None}, "ids that do not count up are no first and last"
    assert sum(getattr(bar, "trades", 0) for bar in bars if getattr(bar, "interval", "") == "1s") == 3


def test_quotes_are_numbered_by_the_matching_engine() -> None:
    market = Market()
    [quote] = market.take(messages.book("snapshot", 77, 1_000, [["84211.30", "4.1"]], [["84211.40", "1"]], levels=1))
    assert isinstance(quote, MarketQuote)
    assert (quote.bid_price, quote.bid_quantity, quote.ask_price, quote.ask_quantity) == (84211.3, 4.1, 84211.4, 1.0)
    assert (quote.update_id, quote.event_ts) == (1_000, (TS - 4) * 1_000)
    assert market.take(messages.book("snapshot", 1, 1_001, [["84211.30", "4.2"]], [["84211.40", "1"]], levels=1)), "u began anew"
    assert not market.take(messages.book("snapshot", 1, 1_001, [["84211.30", "4.2"]], [["84211.40", "1"]], levels=1)), "said again"
    assert not market.take(messages.book("snapshot", 2, 1_002, [], [["84211.40", "1"]], levels=1)), "a side is empty"


def test_funding_is_written_once_all_is_known_and_changes_are_merged() -> None:
    market = Market()
    assert not market.take({**messages.TICKER, "type": "delta", "ts": TS - 5_000, "data": {"symbol": "BTCUSDT", "markPrice": "84000"}})
    [first] = market.take(messages.TICKER)
    assert isinstance(first, MarketFunding)
    assert (first.mark_price, first.index_price, first.funding_rate) == (84213.17, 84240.02, -0.00003142)
    assert (first.open_interest, first.open_interest_ts) == (51_235.771, TS * 1_000)
    assert (first.next_funding_ts, first.event_ts) == (1_763_769_600_000_000, TS * 1_000)
    change = {"topic": "tickers.BTCUSDT", "type": "delta", "data": {"symbol": "BTCUSDT", "markPrice": "84214", "bid1Price": "84211"}}
    assert not market.take({**change, "ts": TS + 100}), "too soon after the last record"
    [second] = market.take({**change, "ts": TS + 900, "data": {"symbol": "BTCUSDT", "openInterest": "1"}})
    assert isinstance(second, MarketFunding)
    assert (second.mark_price, second.index_price, second.funding_rate) == (84214.0, 84240.02, -0.00003142)
    assert (second.open_interest, second.open_interest_ts) == (1.0, (TS + 900) * 1_000)


def test_the_book_of_a_snapshot_and_deltas() -> None:
    market = Market()
    bids, asks = [["84211.30", "4.116"], ["84211.20", "1"]], [["84211.40", "1.007"], ["84212", "0.5"]]
    [first] = market.take(messages.book("snapshot", 1_000, 5_000, bids, asks))
    assert isinstance(first, MarketDepth)
    assert (first.state, first.bid_prices, first.ask_quantities) == (BookState.LIVE, [84211.3, 84211.2], [1.007, 0.5])
    market.take(messages.book("delta", 1_001, 5_003, [["84211.30", "0"]], [["84211.35", "7"]]))
    assert market.depth.book.levels(1) == ([(8_421_120, 1_000)], [(8_421_135, 7_000)])
    [lost] = market.take(messages.book("delta", 1_003, 5_009, [], []))
    assert isinstance(lost, MarketDepth)
    assert (lost.state, lost.bid_prices, lost.update_id) == (BookState.STALE, [], None)
    assert lost.reason == "gap: updates 1002 to 1002 have not come"
    [again] = market.take(messages.book("snapshot", 1, 5_010, bids, asks))
    assert isinstance(again, MarketDepth)
    assert (again.state, again.resyncs) == (BookState.LIVE, 1)


def instrument(venue: Venue, row: dict[str, Any]) -> InstrumentRules:
    [record] = Market(venue).rest("instrument", row)
    assert isinstance(record, MarketInstrument)
    assert (record.base_asset, record.quote_asset) == ("BTC", "USDT")
    return record.rules


def test_instruments() -> None:
    assert instrument(BYBIT_LINEAR, {**messages.LINEAR, "riskLimit": messages.RISK_LIMIT}) == InstrumentRules(
        tick_size=Decimal("0.1"), lot_size=Decimal("0.001"), min_quantity=Decimal("0.001"), max_quantity=Decimal(119),
        min_notional=Decimal(5), max_leverage=100.0, maintenance_rate=0.005,
    )  # fmt: skip
    assert instrument(BYBIT_SPOT, messages.SPOT) == InstrumentRules(
        tick_size=Decimal("0.1"), lot_size=Decimal("0.000001"), min_quantity=Decimal("0.000011"), max_quantity=Decimal("83.5"),
        min_notional=Decimal(5), max_leverage=1.0, maintenance_rate=0.0,
    )  # fmt: skip


def test_answers_make_no_frames_and_refusals_are_counted() -> None:
    reader = BybitReader(BYBIT_LINEAR, "s")
    said: list[dict[str, Any] | str] = [
        {"success": True, "ret_msg": "pong", "conn_id": "c", "req_id": "", "op": "ping"},
        {"success": True, "ret_msg": "", "conn_id": "c", "op": "subscribe"},
        {"success": False, "ret_msg": "error:handler not found", "conn_id": "c", "op": "subscribe"},
        {"topic": "liquidation.BTCUSDT", "ts": TS, "data": []},
        {"topic": "publicTrade.BTCUSDT", "ts": TS, "data": []},
        "{",
    ]
    assert [reader.read(text if isinstance(text, str) else json.dumps(text), RECEIVED) for text in said] == [None] * 6
    assert reader.unknown == {"subscribe: error:handler not found": 1, "liquidation.BTCUSDT": 1}
    assert reader.malformed == 2


@pytest.mark.parametrize(
    "message",
    [
        messages.trades(("a", TS, "Hold", "1", "1")),
        messages.trades(("a", TS, "Buy", "-1", "1")),
        messages.book("snapshot", 1, 1, [["0", "1"]], [["1", "1"]], levels=1),
        messages.book("update", 1, 1, [], []),
        messages.book("delta", 1, 1, [["x", "1"]], []),
        {**messages.TICKER, "data": {"symbol": "BTCUSDT", "markPrice": "0"}},
        {**messages.TICKER, "data": {"symbol": "BTCUSDT", "openInterest": "-1"}},
        {**messages.TICKER, "data": {"symbol": "BTCUSDT", "nextFundingTime": "soon"}},
    ],
)
def test_malformed_messages_are_corrupt_and_change_nothing(message: dict[str, Any]) -> None:
    market = Market()
    with pytest.raises(CorruptRecordError):
        market.take(message)
    assert (market.state, market.depth) == (VenueState(), DepthState())
