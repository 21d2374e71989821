"""Stops, take-profits and trailing stops: when they trigger, what becomes of them, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.exchange.simulated.account.conditional import MOST_WAITING
from connectors.exchange.simulated.account.orders import (
    AlgoStatus,
    ConditionalUpdate,
    OrderRequest,
    OrderType,
    OrderUpdate,
    Side,
    Status,
    TimeInForce,
    WorkingType,
)
from quantum.errors import VenueError

from .builders import ETH, D, World, fills, limit_order, market_order

BUY, SELL = Side.BUY, Side.SELL


def long_of(quantity: str = "1") -> World:
    """Return a world whose account is long, bought at 2600.01."""
    world = World()
    world.submit(market_order(BUY, quantity), 1)
    world.move(ETH, D(2600))
    return world


def waits(kind: OrderType, side: Side = SELL, **more: object) -> OrderRequest:
    """Return a conditional order of one ETH."""
    return replace(OrderRequest(ETH, side, kind, D(1)), **more)  # type: ignore[arg-type]  # fields of the request by name


def trade_at(world: World, price: str, now: int) -> None:
    """Have the market move to a price and trade there."""
    world.move(ETH, D(price))
    world.crowd_trades(ETH, SELL, D("0.001"), now)


@pytest.mark.parametrize(
    ("kind", "side", "trigger", "stays", "goes"),
    [
        (OrderType.STOP_MARKET, SELL, "2595", "2595.02", "2595.01"),
        (OrderType.STOP_MARKET, BUY, "2605", "2604.99", "2605.02"),
        (OrderType.TAKE_PROFIT_MARKET, SELL, "2605", "2605.00", "2605.01"),
        (OrderType.TAKE_PROFIT_MARKET, BUY, "2595", "2595.02", "2595.00"),
    ],
)
def test_an_order_works_from_the_trade_on_that_reaches_its_trigger(
    kind: OrderType, side: Side, trigger: str, stays: str, goes: str
) -> None:
    world = long_of()
    waiting = world.wait(waits(kind, side, trigger=D(trigger), client_order_id="mine"), 2)
    trade_at(world, stays, 3)
    assert waiting.status is AlgoStatus.NEW
    world.drain()
    trade_at(world, goes, 4)
    events = world.drain()
    assert {f.side for f in fills(events)} == {side}
    assert waiting.order is not None
    assert (waiting.order.type, waiting.order.original, waiting.order.status) == (OrderType.MARKET, kind, Status.FILLED)
    assert waiting.order.client_order_id != "mine"
    states = [e.conditional.status for e in events if isinstance(e, ConditionalUpdate)]
    assert states == [AlgoStatus.TRIGGERED, AlgoStatus.FINISHED]
    first = next(i for i, e in enumerate(events) if isinstance(e, OrderUpdate))
    assert isinstance(events[first - 1], ConditionalUpdate), "the trigger is told before the order that it makes"
    trade_at(world, goes, 5)
    assert not fills(world.drain()), "once is enough"


def test_a_stop_limit_rests_where_the_market_has_gone_through_its_price() -> None:
    world = long_of()
    waiting = world.wait(waits(OrderType.STOP, trigger=D(2595), price=D(2596), reduce_only=True), 2)
    trade_at(world, "2590", 3)
    order = waiting.order
    assert order is not None
    assert (order.status, order.price, waiting.status) == (Status.NEW, D(2596), AlgoStatus.TRIGGERED)
    world.matching.cancel(order, 4)
    assert [e.conditional.status for e in world.drain() if isinstance(e, ConditionalUpdate)][-1] is AlgoStatus.FINISHED


def test_a_stop_by_mark_price_does_not_look_at_trades() -> None:
    world = long_of()
    waiting = world.wait(waits(OrderType.STOP_MARKET, trigger=D(2595), working_type=WorkingType.MARK_PRICE), 2)
    trade_at(world, "2580", 3)
    assert world.conditionals.every(ETH, waiting=True) == [waiting]
    world.conditionals.on_price(ETH, D(2594), WorkingType.MARK_PRICE)
    world.conditionals.release(4)
    world.drain()
    assert waiting.status is AlgoStatus.FINISHED


def test_closing_the_position_takes_what_is_there_then_and_expires_without_one() -> None:
    world = long_of("2")
    closes = waits(OrderType.STOP_MARKET, quantity=D(0), close_position=True, trigger=D(2595))
    waiting, too_late = world.wait(closes, 2), world.wait(replace(closes, trigger=D(2590)), 2)
    world.submit(market_order(SELL, "0.5"), 3)
    trade_at(world, "2594", 4)
    assert waiting.order is not None
    assert (waiting.order.quantity, waiting.order.status) == (D("1.5"), Status.FILLED)
    trade_at(world, "2589", 5)
    assert too_late.status is AlgoStatus.EXPIRED
    assert world.ledger.position(ETH).quantity == 0


def test_what_the_venue_refuses_at_the_trigger_is_rejected() -> None:
    world = World()
    waiting = world.wait(waits(OrderType.STOP_MARKET, trigger=D(2595), reduce_only=True), 2)
    trade_at(world, "2594", 3)
    assert (waiting.status, waiting.order) == (AlgoStatus.REJECTED, None)
    assert not world.store.orders(ETH)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (waits(OrderType.STOP_MARKET, trigger=D(2601)), -2021),
        (waits(OrderType.TAKE_PROFIT_MARKET, trigger=D(2599)), -2021),
        (waits(OrderType.STOP_MARKET, BUY, trigger=D(2599)), -2021),
        (waits(OrderType.STOP_MARKET), -4001),
        (waits(OrderType.STOP_MARKET, trigger=D("2590.001")), -1111),
        (waits(OrderType.STOP, trigger=D(2590), price=D(0)), -4001),
        (waits(OrderType.STOP_MARKET, trigger=D(2590), quantity=D("0.0001")), -1111),
        (waits(OrderType.TRAILING_STOP_MARKET, callback=D("0.0001")), -2007),
        (waits(OrderType.TRAILING_STOP_MARKET, callback=D("0.2")), -2007),
        (waits(OrderType.STOP_MARKET, trigger=D(2590), client_order_id="taken"), -4116),
    ],
)
def test_what_is_refused(request_: OrderRequest, code: int) -> None:
    world = long_of()
    world.wait(waits(OrderType.STOP_MARKET, trigger=D(2500), client_order_id="taken"), 1)
    with pytest.raises(VenueError) as refused:
        world.wait(request_, 2)
    assert refused.value.code == code
    assert len(world.conditionals.every()) == 1


def test_a_waiting_order_is_found_cancelled_and_counted() -> None:
    world = long_of()
    placed = [world.wait(waits(OrderType.STOP_MARKET, trigger=D(2000) + n, client_order_id=f"s{n}"), n) for n in range(MOST_WAITING)]
    with pytest.raises(VenueError) as refused:
        world.wait(waits(OrderType.STOP_MARKET, trigger=D(2000)), 1_000)
    assert refused.value.code == -4045
    assert world.conditionals.find(None, "s7") is placed[7] is world.conditionals.find(placed[7].id, None)
    world.conditionals.cancel(placed[7], 2_000)
    assert (placed[7].status, len(world.conditionals.every(ETH, waiting=True))) == (AlgoStatus.CANCELED, MOST_WAITING - 1)
    with pytest.raises(VenueError) as refused:
        world.conditionals.cancel(placed[7], 2_001)
    assert refused.value.code == -2011


@given(
    st.lists(st.integers(255_000, 265_000), min_size=1, max_size=40),
    st.sampled_from(Side),
    st.integers(1, 30),
    st.one_of(st.none(), st.integers(258_000, 262_000)),
)
def test_a_trailing_stop_triggers_at_the_first_price_that_has_come_back_far_enough(
    prices: list[int], side: Side, permille: int, activation: int | None
) -> None:
    world = long_of()
    callback = D(permille) / 1000
    start = D(activation) / 100 if activation else D(0)
    world.wait(waits(OrderType.TRAILING_STOP_MARKET, side, trigger=start, callback=callback), 2)
    extreme, expected = None, None
    for at, price in enumerate(D(p) / 100 for p in prices):
        if extreme is None and start and (price > start if side is BUY else price < start):
            continue
        extreme = price if extreme is None else min(extreme, price) if side is BUY else max(extreme, price)
        if price >= extreme * (1 + callback) if side is BUY else price <= extreme * (1 - callback):
            expected = at
            break
    fired = None
    for at, price in enumerate(D(p) / 100 for p in prices):
        world.conditionals.on_price(ETH, price, WorkingType.CONTRACT_PRICE)
        if world.conditionals.fired:
            fired = at
            break
    assert fired == expected


def test_a_stop_that_triggers_another_one_lets_it_work_too() -> None:
    world = long_of("2")
    world.move(ETH, D(2600), D("0.2"), levels=20)
    first = world.wait(waits(OrderType.STOP_MARKET, trigger=D("2599.98"), reduce_only=True), 2)
    second = world.wait(waits(OrderType.STOP_MARKET, trigger=D("2599.96"), quantity=D("0.1"), reduce_only=True), 2)
    world.crowd_trades(ETH, SELL, D("0.201"), 3)
    world.drain()
    assert [first.status, second.status] == [AlgoStatus.FINISHED, AlgoStatus.FINISHED]
    assert first.order is not None
    assert second.order is not None
    assert (first.order.filled, second.order.filled) == (D(1), D("0.1"))


def test_a_post_only_order_after_a_stop_is_a_maker_or_nothing() -> None:
    world = long_of()
    gtx = waits(OrderType.TAKE_PROFIT, trigger=D("2600.50"), price=D("2600.40"), time_in_force=TimeInForce.GTX, reduce_only=True)
    waiting = world.wait(gtx, 2)
    trade_at(world, "2600.52", 3)
    assert waiting.status is AlgoStatus.REJECTED
    order, _ = world.submit(limit_order(SELL, "1", "2600.90", in_force=TimeInForce.GTX, reduce_only=True), 4)
    assert order.status is Status.NEW
