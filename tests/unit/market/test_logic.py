from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.market.logic import VenueState, on_frame
from processors.market.rules import Rules
from quantum.errors import CorruptRecordError
from schemas.common import FrameKind, InstrumentRules, Side
from schemas.exchange.records import ExchangeFrame
from schemas.market.records import MarketFunding, MarketInstrument, MarketQuote, MarketTick
from tests.unit.market.frames import T0, frame, rest_trade, trade

RULES = Rules()
QUOTE = {"u": 7, "s": "BTCUSDT", "b": "99.5", "B": "2", "a": "100.5", "A": "3"}
MARK = {"e": "markPriceUpdate", "E": T0 // 1000, "s": "BTCUSDT", "p": "101", "i": "100", "P": "0", "r": "0.0001", "T": T0 // 1000 + 1}


def ticks(state: VenueState, *frames: Any) -> list[int]:
    return [output.record.trade_id for each in frames for output in on_frame(RULES, state, each) if isinstance(output.record, MarketTick)]


def test_websocket_and_rest_say_the_same() -> None:
    [one] = on_frame(RULES, VenueState(), trade(9, 5, 10.5, 0.25, sell=True))
    [other] = on_frame(RULES, VenueState(), rest_trade(9, 5, 10.5, 0.25, sell=True))
    assert one == other
    record = one.record
    assert isinstance(record, MarketTick)
    assert (record.price, record.quantity, record.side, record.event_ts) == (10.5, 0.25, Side.SELL, T0 + 5_000)
    assert one.key == "BTCUSDT"


@given(st.lists(st.integers(1, 40), min_size=1, max_size=80))
def test_every_trade_once_whatever_comes_again(ids: list[int]) -> None:
    """An id is new where it was not seen and is not older than the first one; what was skipped is taken when it comes."""
    state = VenueState()
    got = ticks(state, *(trade(trade_id, position) for position, trade_id in enumerate(ids)))
    expected = list(dict.fromkeys(trade_id for trade_id in ids if trade_id >= ids[0]))
    assert got == expected
    assert state.ids.missing == max(ids) - ids[0] + 1 - len(expected)
    assert state.ids.duplicates == len(ids) - len(expected)


def test_rest_overlaps_the_stream_and_fills_a_gap() -> None:
    state = VenueState()
    assert ticks(state, rest_trade(1, 0), rest_trade(2, 1), trade(2, 1), trade(3, 2)) == [1, 2, 3]
    assert ticks(state, trade(7, 3)) == [7]
    assert (state.ids.gaps, state.ids.missing, state.ids.duplicates) == ([(4, 6)], 3, 1)
    assert ticks(state, rest_trade(5, 2), rest_trade(5, 2)) == [5]
    assert (state.ids.gaps, state.ids.missing) == ([(4, 4), (6, 6)], 2)


def test_gaps_are_bounded() -> None:
    state, rules = VenueState(), Rules(gaps_kept=2)
    for trade_id in (1, 3, 5, 7):
        list(on_frame(rules, state, trade(trade_id, trade_id)))
    assert state.ids.gaps == [(4, 4), (6, 6)]
    assert state.ids.missing == 3


def test_quotes_of_spot_and_futures_and_stale_ones() -> None:
    state = VenueState()
    [spot] = on_frame(RULES, state, frame("quote", QUOTE, T0 + 5, venue="binance-spot"))
    assert isinstance(spot.record, MarketQuote)
    assert (spot.record.event_ts, spot.record.bid_price, spot.record.ask_quantity) == (T0 + 5, 99.5, 3)
    [futures] = on_frame(RULES, state, frame("quote", {**QUOTE, "u": 8, "T": T0 // 1000 + 2, "E": T0 // 1000 + 9}))
    assert futures.record.event_id == "binance-usdm:BTCUSDT:q:8"
    assert isinstance(futures.record, MarketQuote)
    assert futures.record.event_ts == T0 + 2_000
    assert not list(on_frame(RULES, state, frame("quote", QUOTE)))
    assert state.stale_quotes == 1


def test_mark_by_websocket_and_rest() -> None:
    state = VenueState()
    [stream] = on_frame(RULES, state, frame("mark", MARK))
    rest = {
        "symbol": "BTCUSDT", "markPrice": "101", "indexPrice": "100", "lastFundingRate": "0.0001",
        "nextFundingTime": T0 // 1000 + 1, "time": T0 // 1000, "interestRate": "0.0001",
    }  # fmt: skip
    [by_rest] = on_frame(RULES, VenueState(), frame("mark", rest, kind=FrameKind.REST))
    assert stream == by_rest
    assert isinstance(stream.record, MarketFunding)
    assert (stream.record.funding_rate, stream.record.next_funding_ts, stream.record.event_ts) == (0.0001, T0 + 1_000, T0)
    assert not list(on_frame(RULES, state, frame("mark", MARK)))


def test_open_interest_goes_with_the_next_mark_price() -> None:
    state = VenueState()

    def interest(quantity: str, ts: int) -> ExchangeFrame:
        return frame("open_interest", {"openInterest": quantity, "symbol": "BTCUSDT", "time": ts // 1000}, ts + 9, FrameKind.REST)

    def funding(ts: int) -> MarketFunding:
        [output] = on_frame(RULES, state, frame("mark", {**MARK, "E": ts // 1000}, ts))
        assert isinstance(output.record, MarketFunding)
        return output.record

    assert (before := funding(T0)).open_interest is before.open_interest_ts is None
    assert not list(on_frame(RULES, state, interest("10659.509", T0 + 1_500_000)))
    assert not list(on_frame(RULES, state, interest("9", T0 + 1_400_000)))  # older
    for ts in (T0 + 2_000_000, T0 + 3_000_000):
        said = funding(ts)
        assert (said.open_interest, said.open_interest_ts) == (10_659.509, T0 + 1_500_000)


FILTERS = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.1", "maxPrice": "1000", "tickSize": "0.10"},
    {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
]


def instrument(symbol: dict[str, Any], venue: str) -> InstrumentRules:
    payload = {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", **symbol}
    [output] = on_frame(RULES, VenueState(), frame("instrument", payload, kind=FrameKind.REST, venue=venue))
    assert output.key == f"{venue}:BTCUSDT"
    assert isinstance(output.record, MarketInstrument)
    assert (output.record.base_asset, output.record.quote_asset) == ("BTC", "USDT")
    return output.record.rules


def test_instrument_of_futures() -> None:
    market = {"filterType": "MARKET_LOT_SIZE", "minQty": "0.002", "maxQty": "120", "stepSize": "0.001"}
    notional = {"filterType": "MIN_NOTIONAL", "notional": "100"}
    perpetual = {"contractType": "PERPETUAL", "filters": [*FILTERS, market, notional]}
    margins = {"maintMarginPercent": "2.0000", "requiredMarginPercent": "4.0000"}
    rules = instrument({**perpetual, **margins}, "binance-usdm")
    assert rules == InstrumentRules(
        tick_size=Decimal("0.1"), lot_size=Decimal("0.001"), min_quantity=Decimal("0.002"), max_quantity=Decimal(120),
        min_notional=Decimal(100), max_leverage=25.0, maintenance_rate=0.02,
    )  # fmt: skip
    bracket = {"bracket": 1, "initialLeverage": 125, "maintMarginRatio": 0.004}
    bracketed = instrument({**perpetual, "brackets": [bracket]}, "binance-usdm")
    assert (bracketed.max_leverage, bracketed.maintenance_rate) == (125, 0.004)
    plain = instrument(perpetual, "binance-usdm")
    assert (plain.max_leverage, plain.maintenance_rate) == (20, 0.025)


def test_instrument_of_spot() -> None:
    market = {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "80.5", "stepSize": "0.00000000"}
    notional = {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True, "maxNotional": "9000000"}
    rules = instrument({"filters": [*FILTERS, market, notional]}, "binance-spot")
    assert (rules.lot_size, rules.min_quantity, rules.max_quantity) == (Decimal("0.001"), Decimal("0.001"), Decimal("80.5"))
    assert (rules.min_notional, rules.max_leverage, rules.maintenance_rate) == (Decimal(5), 1.0, 0.0)


@pytest.mark.parametrize(
    ("channel", "payload"),
    [
        ("trade", "{"),
        ("trade", {"t": 1, "p": "x", "q": "1", "T": 5, "m": True}),
        ("trade", {"t": 1, "p": "nan", "q": "1", "T": 5, "m": True}),
        ("trade", {"t": 1, "p": "-1", "q": "1", "T": 5, "m": True}),
        ("trade", {"t": 1, "p": "1", "q": "1", "T": (T0 + 2 * 86_400_000_000) // 1000, "m": True}),
        ("quote", {**QUOTE, "b": "0"}),
        ("quote", {key: value for key, value in QUOTE.items() if key != "u"}),
        ("mark", {**MARK, "r": ""}),
        ("mark", {**MARK, "p": "0"}),
        ("open_interest", {"openInterest": "-1", "time": 5}),
        ("open_interest", {"openInterest": "1"}),
        ("instrument", {"symbol": "X", "baseAsset": "X", "quoteAsset": "Y", "filters": FILTERS[:1]}),
        ("ticker", {}),
    ],
)
def test_malformed_payloads_are_corrupt_and_change_nothing(channel: str, payload: Any) -> None:
    state = VenueState()
    with pytest.raises(CorruptRecordError, match=channel):
        list(on_frame(RULES, state, frame(channel, payload)))
    assert state == VenueState()
