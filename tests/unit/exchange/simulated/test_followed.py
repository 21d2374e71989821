from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from connectors.exchange.simulated.account.followed import FollowedMarket
from connectors.exchange.simulated.account.orders import AlgoStatus, OrderRequest, OrderType, Side, Status, TimeInForce, WorkingType
from connectors.exchange.simulated.venue.futures import FollowingVenue
from quantum.errors import VenueError

from .builders import ETH, INSTRUMENTS, D, limit_order, market_order

START = 1_723_161_255_000_000
HOUR = 3_600_000_000


def following() -> tuple[FollowingVenue, list[dict[str, Any]]]:
    venue = FollowingVenue(FollowedMarket(INSTRUMENTS), latency=0.0)
    told: list[dict[str, Any]] = []
    venue.publish_to(lambda name, frame: told.append(frame()) if name == venue.listen_key else None)
    venue.open_stream(START)
    return venue, told


async def test_an_order_before_the_first_quote_is_refused_for_now() -> None:
    venue, _ = following()
    with pytest.raises(VenueError) as refused:
        await venue.place(market_order(Side.BUY, "1"))
    assert (refused.value.status, refused.value.code) == (503, -1000)


async def test_a_market_order_takes_the_quote_then_assumed_levels_behind_it() -> None:
    venue, told = following()
    venue.on_quote(ETH, 2599.99, 3.0, 2600.0, 2.0, START)
    _, order = await venue.place(market_order(Side.BUY, "2.5"))
    assert order.status is Status.FILLED
    assert [(f.price, f.quantity) for f in venue.store.fills] == [(D("2600.00"), D(2)), (D("2600.01"), D("0.5"))]
    assert order.created_us == START
    assert {e["T"] for e in told} == {START // 1000}
    assert [e["e"] for e in told] == ["ORDER_TRADE_UPDATE", *["ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"] * 2]
    _, more = await venue.place(market_order(Side.BUY, "1"))  # what was taken is gone until the next quote
    assert venue.store.fills[-1].price == D("2600.01")
    assert more.average_price == D("2600.01")
    venue.on_quote(ETH, 2599.99, 3.0, 2600.0, 2.0, START + 1)
    await venue.place(market_order(Side.BUY, "1"))
    assert venue.store.fills[-1].price == D("2600.00")


async def test_resting_orders_fill_by_the_trades_and_quotes_that_are_fed() -> None:
    venue, _ = following()
    venue.on_quote(ETH, 2599.99, 3.0, 2600.0, 2.0, START)
    _, joined = await venue.place(limit_order(Side.BUY, "1", "2599.99", in_force=TimeInForce.GTX))
    venue.on_trade(ETH, 2599.99, 3.5, "SELL", START + 1)
    assert joined.filled == D("0.5")
    _, below = await venue.place(limit_order(Side.BUY, "1", "2590.00"))
    venue.on_quote(ETH, "2589.98", "1", "2589.99", "5", START + 2)
    assert (joined.status, below.status) == (Status.FILLED, Status.FILLED)
    assert below.average_price == D("2590.00")
    assert below.updated_us == START + 2


async def test_a_resting_order_waits_behind_what_is_displayed_at_its_price() -> None:
    venue, _ = following()
    venue.on_quote(ETH, 2599.99, 1.0, 2600.01, 1.0, START)
    _, order = await venue.place(limit_order(Side.BUY, "1", "2599.99"))
    for price, quantity, side in ((2599.99, 0.4, "BUY"), (2600.01, 9.0, "SELL"), (2599.99, 0.8, "SELL")):
        venue.on_trade(ETH, price, quantity, side, START + 1)  # nothing on the bid; at a better price; still others before it
    assert order.status is Status.NEW
    venue.on_trade(ETH, 2599.99, 0.5, "SELL", START + 2)
    (fill,) = venue.store.fills
    assert (fill.price, fill.quantity, fill.maker) == (D("2599.99"), D("0.3"), True)
    venue.on_trade(ETH, 2599.5, 3.0, "SELL", START + 3)  # through its price: at its own price all the same
    assert [(f.price, f.quantity) for f in venue.store.fills][1:] == [(D("2599.99"), D("0.7"))]
    _, far = await venue.place(limit_order(Side.SELL, "3", "2601.00"))
    venue.on_quote(ETH, 2601.01, 2.0, 2601.03, 2.0, START + 4)
    assert (far.status, far.filled, far.average_price) == (Status.PARTIALLY_FILLED, D(2), D(2601))


async def test_stops_wait_for_the_trades_or_the_marks_that_are_fed() -> None:
    venue, told = following()
    venue.on_quote(ETH, 2599.99, 3.0, 2600.01, 2.0, START)
    await venue.place(market_order(Side.BUY, "1"))
    by_trade = OrderRequest(ETH, Side.SELL, OrderType.STOP_MARKET, D("0.4"), reduce_only=True, trigger=D("2590.00"))
    by_mark = replace(by_trade, quantity=D("0.6"), working_type=WorkingType.MARK_PRICE)
    waiting = [await venue.place_conditional(each) for each in (by_trade, by_mark)]
    venue.on_quote(ETH, 2590.00, 3.0, 2590.20, 2.0, START + 1)
    assert [c.status for c in waiting] == [AlgoStatus.NEW, AlgoStatus.NEW]
    venue.on_trade(ETH, 2590.0, 1.0, "SELL", START + 2)
    assert [c.status for c in waiting] == [AlgoStatus.FINISHED, AlgoStatus.NEW]
    venue.on_mark(ETH, 2589.9, START + 3)
    assert [c.status for c in waiting] == [AlgoStatus.FINISHED, AlgoStatus.FINISHED]
    assert not venue.ledger.held()
    states = [(e["o"]["caid"], e["o"]["X"]) for e in told if e["e"] == "ALGO_UPDATE"]
    assert states == [(c.client_id, x) for c in waiting for x in ("NEW",)] + [
        (c.client_id, x) for c in waiting for x in ("TRIGGERED", "FINISHED")
    ]


async def test_mark_and_funding_come_from_outside_too() -> None:
    venue, told = following()
    venue.on_quote(ETH, 2599.99, 30.0, 2600.01, 20.0, START)
    assert venue.market.mark(ETH) == D(2600)
    venue.ledger.position(ETH).leverage = 25
    await venue.place(market_order(Side.BUY, "20"))
    venue.on_funding(ETH, 0.0001, START + 1)
    assert venue.ledger.funding == D("-5.2")
    venue.on_mark(ETH, 2000, START + 2)
    assert venue.market.mark(ETH) == D(2000)
    assert not venue.ledger.held()
    assert any(e["e"] == "ORDER_TRADE_UPDATE" and e["o"]["o"] == "LIQUIDATION" for e in told)


def test_a_listen_key_lives_an_hour_from_its_last_renewal() -> None:
    venue, told = following()
    key = venue.listen_key
    assert venue.open_stream(START + HOUR // 2) == key
    assert venue.is_listening(START + HOUR)
    venue.expire_stream(START + 2 * HOUR)
    assert told == [{"e": "listenKeyExpired", "E": (START + 2 * HOUR) // 1000, "listenKey": key}]
    with pytest.raises(VenueError) as refused:
        venue.keep_stream(START + 2 * HOUR)
    assert refused.value.code == -1125
    assert venue.open_stream(START + 2 * HOUR) != key


def test_prices_are_rounded_to_the_grid() -> None:
    market = FollowedMarket(INSTRUMENTS)
    quote = market.quote(ETH, 2599.990000001, 1.00049, Decimal("2600.004"), "2", START)
    assert (quote.bid, quote.bid_quantity, quote.ask) == (D("2599.99"), D("1.000"), D("2600.00"))
