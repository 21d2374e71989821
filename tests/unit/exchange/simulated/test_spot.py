"""A spot account: what orders lock, what fills exchange, what waits, and that nothing is lost or below zero."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.exchange.simulated.account.orders import BalanceUpdate, OrderRequest, OrderType, Side, Status, TimeInForce
from connectors.exchange.simulated.market.instruments import Product
from quantum.errors import VenueError

from .builders import ETH, D, World, fills, limit_order, market_order

BUY, SELL = Side.BUY, Side.SELL


def balance(world: World, asset: str) -> tuple[Decimal, Decimal]:
    """Return what is free and what is locked."""
    held = world.spot.balances[asset]
    return held.free, held.locked


def test_a_buyer_pays_in_quote_and_its_fee_in_what_it_receives() -> None:
    world = World(product=Product.SPOT)
    order, events = world.submit(market_order(BUY, "1.5"), 1)
    cost = D("2600.01") + D("2600.02") / 2
    assert order.status is Status.FILLED
    assert balance(world, "USDT") == (D(10_000) - cost, D(0))
    assert balance(world, "ETH") == (D(10) + D("1.5") - D("0.0015"), D(0))
    assert [f.fee_asset for f in fills(events)] == ["ETH", "ETH"]
    assert any(isinstance(e, BalanceUpdate) and {a: f for a, f, _ in e.balances}["ETH"] == D("11.4985") for e in events)


def test_an_order_that_rests_locks_what_it_will_pay_and_gives_it_back() -> None:
    world = World(product=Product.SPOT)
    buy, _ = world.submit(limit_order(BUY, "2", "2590.00"), 1)
    sell, _ = world.submit(limit_order(SELL, "4", "2610.00"), 2)
    assert balance(world, "USDT") == (D(4_820), D(5_180))
    assert balance(world, "ETH") == (D(6), D(4))
    told = world.spot.moved(3)
    assert told is not None
    assert {asset for asset, _, _ in told.balances} == {"ETH", "USDT"}
    with pytest.raises(VenueError) as refused:
        world.submit(limit_order(BUY, "2", "2590.00"), 4)
    assert refused.value.code == -2010
    world.move(ETH, D("2612.00"), D(1))
    assert sell.filled == D(1)
    assert balance(world, "ETH") == (D(6), D(3))
    assert balance(world, "USDT") == (D(4_820) + D(2_610) - D("2.61"), D(5_180))
    world.matching.cancel(sell, 5)
    world.matching.cancel(buy, 6)
    assert (balance(world, "ETH")[1], balance(world, "USDT")[1]) == (D(0), D(0))


@pytest.mark.parametrize(
    ("request_", "code", "word"),
    [
        (market_order(BUY, "0.00001"), -1013, "LOT_SIZE"),
        (market_order(BUY, "0.001"), -1013, "NOTIONAL"),
        (market_order(BUY, "99999"), -1013, "LOT_SIZE"),
        (limit_order(BUY, "1", "0"), -1013, "PRICE_FILTER"),
        (market_order(SELL, "11"), -2010, "insufficient"),
        (limit_order(BUY, "1", "2600.01", in_force=TimeInForce.GTX), -2010, "immediately match"),
        (market_order(SELL, "1", reduce_only=True), -2022, ""),
    ],
)
def test_spot_refuses_in_its_own_words(request_: OrderRequest, code: int, word: str) -> None:
    world = World(product=Product.SPOT)
    with pytest.raises(VenueError) as refused:
        world.submit(request_, 1)
    assert (refused.value.code, word in refused.value.message) == (code, True)


def test_a_fill_or_kill_order_that_cannot_fill_expires_and_an_id_is_free_again_afterwards() -> None:
    world = World("100000", product=Product.SPOT)
    killed, events = world.submit(limit_order(BUY, "3", "2600.02", in_force=TimeInForce.FOK), 1)
    assert (killed.status, fills(events)) == (Status.EXPIRED, [])
    named = market_order(BUY, "0.1", client="again")
    world.submit(named, 2)
    world.submit(named, 3)
    rests, _ = world.submit(limit_order(BUY, "1", "2590.00"), 4)
    with pytest.raises(VenueError, match="Duplicate"):
        world.submit(market_order(BUY, "0.1", client=rests.client_order_id), 5)


def test_a_stop_waits_under_its_own_id_with_its_money_locked() -> None:
    world = World(product=Product.SPOT)
    stop = OrderRequest(ETH, SELL, OrderType.STOP_MARKET, D(2), trigger=D(2590), client_order_id="guard")
    order = world.conditionals.place_on_spot(stop, 1)
    assert (order.working, order.status, world.store.open_orders(ETH)) == (False, Status.NEW, [order])
    assert balance(world, "ETH") == (D(8), D(2))
    with pytest.raises(VenueError, match="trigger immediately"):
        world.conditionals.place_on_spot(OrderRequest(ETH, SELL, OrderType.STOP_MARKET, D(1), trigger=D(2700)), 2)
    world.move(ETH, D(2589), D(5))
    world.crowd_trades(ETH, SELL, D("0.01"), 3)
    assert (order.working, order.status, order.filled) == (True, Status.FILLED, D(2))
    assert balance(world, "ETH") == (D(8), D(0))
    gone = world.conditionals.place_on_spot(OrderRequest(ETH, SELL, OrderType.STOP, D(1), D(2500), trigger=D(2510)), 4)
    world.matching.cancel(gone, 5)
    assert balance(world, "ETH") == (D(8), D(0))
    world.move(ETH, D(2505), D(5))
    world.crowd_trades(ETH, SELL, D("0.01"), 6)
    assert gone.status is Status.CANCELED


STEPS = st.lists(
    st.tuples(st.sampled_from(["market", "limit", "stop", "cancel", "move", "trade"]), st.sampled_from(Side), st.integers(1, 5_000)),
    max_size=40,
)


@settings(max_examples=120, deadline=None)
@given(STEPS)
def test_no_asset_is_made_lost_or_owed(steps: list[tuple[str, Side, int]]) -> None:
    world = World(product=Product.SPOT)
    mid = D(2600)
    for now, (kind, side, amount) in enumerate(steps):
        quantity, price = D(amount) / 1000, mid - side.sign * D(amount % 9 - 3) / 50
        open_orders = world.store.open_orders(ETH)
        try:
            if kind == "move":
                mid += side.sign * D(amount) / 100
                world.move(ETH, mid)
            elif kind == "trade":
                world.crowd_trades(ETH, side, quantity, now)
            elif kind == "market":
                world.matching.submit(market_order(side, quantity), now)
            elif kind == "limit":
                world.matching.submit(limit_order(side, quantity, price), now)
            elif kind == "stop":
                trigger = mid + side.sign * D(amount % 7 + 1) / 20
                world.conditionals.place_on_spot(OrderRequest(ETH, side, OrderType.STOP, quantity, price, trigger=trigger), now)
            elif open_orders:
                world.matching.cancel(open_orders[amount % len(open_orders)], now)
        except VenueError as error:
            assert error.code in (-1000, -1013, -2010), error  # noqa: PT017 - any other refusal is a failure
        if not world.markets[ETH].book.bid or not world.markets[ETH].book.ask:
            world.move(ETH, mid)
        bought = sum((f.quantity * f.side.sign for f in world.store.fills), D(0))
        paid = sum((f.quantity * f.price * f.side.sign for f in world.store.fills), D(0))
        assert sum(balance(world, "ETH")) == D(10) + bought - world.spot.fees["ETH"]
        assert sum(balance(world, "USDT")) == D(10_000) - paid - world.spot.fees["USDT"]
        locked = {"ETH": D(0), "USDT": D(0)}
        for order in world.store.open_orders(ETH):
            locked["ETH" if order.side is SELL else "USDT"] += order.remaining * (D(1) if order.side is SELL else order.price)
        for asset, amount_locked in locked.items():
            assert balance(world, asset)[1] == amount_locked
            assert min(balance(world, asset)) >= 0
