from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from connectors.exchange.simulated.followed import FollowedMarket
from connectors.exchange.simulated.orders import Side, Status, TimeInForce
from connectors.exchange.simulated.venue import FollowingVenue
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
    assert [(f.price, f.quantity) for f in venue.matching.fills] == [(D("2600.00"), D(2)), (D("2600.01"), D("0.5"))]
    assert order.created_us == START
    assert {e["T"] for e in told} == {START // 1000}
    assert [e["e"] for e in told] == ["ORDER_TRADE_UPDATE", *["ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"] * 2]
    _, more = await venue.place(market_order(Side.BUY, "1"))  # what was taken is gone until the next quote
    assert venue.matching.fills[-1].price == D("2600.01")
    assert more.average_price == D("2600.01")
    venue.on_quote(ETH, 2599.99, 3.0, 2600.0, 2.0, START + 1)
    await venue.place(market_order(Side.BUY, "1"))
    assert venue.matching.fills[-1].price == D("2600.00")


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
