from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.exchange.simulated.account.ledger import MarginType
from connectors.exchange.simulated.account.orders import (
    AccountUpdate,
    Execution,
    OrderRequest,
    OrderType,
    OrderUpdate,
    Side,
    Status,
    TimeInForce,
)
from quantum.errors import VenueError

from .builders import ETH, SOL, D, World, fills, limit_order, market_order

BUY, SELL = Side.BUY, Side.SELL


def test_a_market_order_walks_the_book_level_by_level() -> None:
    world = World()
    order, events = world.submit(market_order(BUY, "2.5"), 10)
    assert [(f.price, f.quantity) for f in fills(events)] == [(D("2600.01"), D(1)), (D("2600.02"), D(1)), (D("2600.03"), D("0.5"))]
    assert order.status is Status.FILLED
    assert order.average_price == (D("2600.01") + D("2600.02") + D("2600.03") / 2) / D("2.5")
    assert all(f.fee == (f.price * f.quantity * D("0.0004")).quantize(D("1e-8")) for f in fills(events))
    assert [e.execution for e in events if isinstance(e, OrderUpdate)] == [Execution.NEW] + [Execution.TRADE] * 3
    assert sum(isinstance(e, AccountUpdate) for e in events) == 3
    assert world.market.best(ETH, bids=False) == (D("2600.03"), D("0.5"))


def test_what_the_book_cannot_fill_of_a_market_order_expires() -> None:
    world = World("100000")
    order, events = world.submit(market_order(BUY, "7"), 10)
    assert (order.status, order.filled) == (Status.EXPIRED, D(5))
    assert isinstance(events[-1], OrderUpdate)
    assert events[-1].execution is Execution.EXPIRED


def test_time_in_force() -> None:
    world = World("100000")
    for in_force, price, code in (
        (TimeInForce.FOK, "2600.02", -5021),
        (TimeInForce.GTX, "2600.01", -5022),
    ):
        with pytest.raises(VenueError) as refused:
            world.submit(limit_order(BUY, "3", price, in_force=in_force), 1)
        assert refused.value.code == code
    killed, _ = world.submit(limit_order(BUY, "3", "2600.02", in_force=TimeInForce.IOC), 2)
    assert (killed.status, killed.filled) == (Status.EXPIRED, D(2))
    whole, _ = world.submit(limit_order(BUY, "2", "2600.04", in_force=TimeInForce.FOK), 3)
    assert whole.status is Status.FILLED
    rests, events = world.submit(limit_order(BUY, "3", "2600.05"), 4)
    assert (rests.status, rests.filled) == (Status.PARTIALLY_FILLED, D(1))
    assert not any(f.maker for f in fills(events))
    posted, _ = world.submit(limit_order(SELL, "1", "2601.00", in_force=TimeInForce.GTX), 5)
    assert posted.status is Status.NEW
    assert world.store.open_orders(ETH) == [rests, posted]


def test_a_resting_order_waits_in_the_queue_of_its_price() -> None:
    world = World()
    order, _ = world.submit(limit_order(BUY, "1", "2599.99"), 1)
    world.crowd_trades(ETH, BUY, D("0.4"), 2)  # the aggressor bought: nothing on the bid traded
    world.crowd_trades(ETH, SELL, D("0.8"), 3)
    assert not world.drain()
    world.crowd_trades(ETH, SELL, D("0.5"), 4)
    (fill,) = fills(world.drain())
    assert (fill.price, fill.quantity, fill.maker) == (D("2599.99"), D("0.3"), True)
    assert fill.fee == D("2599.99") * D("0.3") * D("0.0002")
    assert order.status is Status.PARTIALLY_FILLED
    world.crowd_trades(ETH, SELL, D(3), 5)  # through its price: at its own price all the same
    (fill,) = fills(world.drain())
    assert (fill.price, fill.quantity) == (D("2599.99"), D("0.7"))
    assert world.store.orders(ETH)[0].status is Status.FILLED
    assert not world.store.open_orders()
    tape = world.markets[ETH].tape.by_id(fill.trade_id, 1)[0]
    assert (tape.buyer_maker, world.markets[ETH].rules.price(tape.price)) == (True, fill.price)


def test_makers_take_an_order_that_the_market_has_moved_through() -> None:
    world = World()
    order, _ = world.submit(limit_order(SELL, "3", "2601.00"), 1)
    world.move(ETH, D("2601.02"), D(2))
    (fill,) = fills(world.drain())
    assert (fill.price, fill.quantity, fill.maker) == (D("2601.00"), D(2), True)
    assert order.remaining == D(1)
    assert world.market.best(ETH, bids=False) == (D("2601.00"), D(1))


def test_an_order_that_would_trade_with_the_accounts_own_expires_the_resting_one() -> None:
    world = World()
    own, _ = world.submit(limit_order(SELL, "1", "2600.01"), 1)
    better, _ = world.submit(limit_order(BUY, "1", "2600.00"), 2)
    order, events = world.submit(market_order(BUY, "1.5"), 3)
    assert [(f.price, f.quantity) for f in fills(events)] == [(D("2600.01"), D(1)), (D("2600.02"), D("0.5"))]
    assert own.status is Status.EXPIRED_IN_MATCH
    assert (order.status, better.status) == (Status.FILLED, Status.NEW)
    assert world.ledger.position(ETH).quantity == D("1.5")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (market_order(BUY, "0"), -4003),
        (market_order(BUY, "1.0001"), -1111),
        (market_order(BUY, "2001"), -4005),
        (market_order(BUY, "0.001"), -4164),
        (market_order(BUY, "0.5", symbol="NOPEUSDT"), -1121),
        (market_order(BUY, "100"), -2019),
        (market_order(BUY, "0.5", client="no spaces"), -4015),
        (market_order(BUY, "0.5", client="x" * 37), -4015),
        (market_order(BUY, "0.5", client="taken"), -4116),
        (market_order(BUY, "0.5", reduce_only=True), -2022),
        (limit_order(BUY, "0.5", "0"), -4001),
        (limit_order(BUY, "0.5", "99999999"), -4002),
        (limit_order(BUY, "0.5", "2600.001"), -1111),
        (limit_order(BUY, "0.5", "160.001", symbol=SOL), -4014),
    ],
)
def test_what_the_venue_refuses_changes_nothing(request_: OrderRequest, code: int) -> None:
    world = World()
    world.submit(market_order(BUY, "0.1", client="taken"), 1)
    before = (world.ledger.wallet, world.ledger.position(ETH).quantity, len(world.store.orders(ETH)), world.markets[ETH].book.update_id)
    with pytest.raises(VenueError) as refused:
        world.submit(request_, 2)
    assert refused.value.code == code
    after = (world.ledger.wallet, world.ledger.position(ETH).quantity, len(world.store.orders(ETH)), world.markets[ETH].book.update_id)
    assert after == before


def test_a_small_reduce_only_order_is_exempt_from_the_least_notional() -> None:
    world = World()
    world.submit(market_order(BUY, "0.1"), 1)
    order, _ = world.submit(market_order(SELL, "0.001", reduce_only=True), 2)
    assert order.status is Status.FILLED


def test_leverage_caps_the_notional_by_bracket() -> None:
    world = World("10000000")
    world.move(ETH, D(2600), D(500))
    world.ledger.position(ETH).leverage = 125
    with pytest.raises(VenueError) as refused:
        world.submit(market_order(BUY, "200"), 1)
    assert refused.value.code == -2027


def test_open_orders_use_margin_and_a_cancel_gives_it_back() -> None:
    world = World()
    world.ledger.position(ETH).leverage = 1
    order, _ = world.submit(limit_order(BUY, "3", "2500.00"), 1)
    assert world.margin.available() == D(2500)
    with pytest.raises(VenueError) as refused:
        world.submit(limit_order(BUY, "1", "2500.00"), 2)
    assert refused.value.code == -2019
    world.matching.cancel(order, 3)
    (event,) = world.drain()
    assert isinstance(event, OrderUpdate)
    assert event.execution is Execution.CANCELED
    assert world.margin.available() == D(10_000)
    with pytest.raises(VenueError) as refused:
        world.matching.cancel(order, 4)
    assert refused.value.code == -2011


def test_reduce_only_orders_end_with_the_position() -> None:
    world = World()
    world.submit(market_order(BUY, "1"), 1)
    take_profit, _ = world.submit(limit_order(SELL, "5", "2610.00", reduce_only=True), 2)
    stop, events = world.submit(market_order(SELL, "3", reduce_only=True), 3)
    assert (stop.status, stop.filled) == (Status.EXPIRED, D(1))
    assert take_profit.status is Status.EXPIRED
    assert isinstance(events[-1], OrderUpdate)
    assert events[-1].order.id == take_profit.id
    assert world.ledger.position(ETH).quantity == 0
    world.move(ETH, D(2620))
    assert not world.drain()
    assert world.markets[ETH].holding(world.market) == 0


def test_a_reduce_only_order_stands_for_no_more_than_the_position_and_grows_with_it() -> None:
    world = World("100000")
    world.submit(market_order(BUY, "1"), 1)
    order, _ = world.submit(limit_order(SELL, "3", "2600.50", reduce_only=True), 2)
    book, price = world.markets[ETH].book, 260_050
    assert book.at(price, bid=False) == 1_000
    world.submit(market_order(BUY, "1"), 3)
    assert book.at(price, bid=False) == 2_000
    world.submit(market_order(SELL, "1.5", reduce_only=True), 4)
    assert book.at(price, bid=False) == 500
    world.move(ETH, D("2600.60"), D(1))
    assert world.ledger.position(ETH).quantity == 0
    assert (order.status, order.filled) == (Status.EXPIRED, D("0.5"))


def test_an_amended_order_keeps_its_place_only_where_it_gets_smaller() -> None:
    world = World()
    order, _ = world.submit(limit_order(BUY, "1", "2599.50"), 1)
    behind = world.markets[ETH].book.add(world.crowd, 259_950, 100, bid=True)
    world.matching.amend(order, D("0.5"), D("2599.50"), 2)
    assert [r.lots for r in world.markets[ETH].book.queue(259_950, bid=True)] == [500, 100]
    world.matching.amend(order, D("0.8"), D("2599.50"), 3)
    assert [r.lots for r in world.markets[ETH].book.queue(259_950, bid=True)] == [100, 800]
    world.drain()
    world.matching.amend(order, D("0.8"), D("2600.01"), 4)
    events = world.drain()
    assert isinstance(events[0], OrderUpdate)
    assert events[0].execution is Execution.AMENDMENT
    assert [(f.price, f.quantity, f.order_id) for f in fills(events)] == [(D("2600.01"), D("0.8"), order.id)]
    assert world.markets[ETH].book.queue(259_950, bid=True) == [behind]
    for quantity, price, code in (("0.8", "2600.01", -2013), ("1", "2600.01", -2013)):
        with pytest.raises(VenueError) as refused:
            world.matching.amend(order, D(quantity), D(price), 5)
        assert refused.value.code == code
    posted, _ = world.submit(limit_order(BUY, "1", "2599.00", in_force=TimeInForce.GTX), 6)
    for quantity, price, code in (("1", "2599.00", -5027), ("1", "2600.02", -5022), ("100", "2599.00", -2019), ("1", "2599.001", -1111)):
        with pytest.raises(VenueError) as refused:
            world.matching.amend(posted, D(quantity), D(price), 7)
        assert refused.value.code == code
    assert (posted.quantity, posted.price, posted.status) == (D(1), D(2599), Status.NEW)


def test_an_order_is_found_by_either_id() -> None:
    world = World()
    order, _ = world.submit(market_order(BUY, "0.1", client="mine"), 1)
    assert world.store.find(ETH, order.id, None) is order
    assert world.store.find(ETH, None, "mine") is order
    assert world.store.find(ETH, None, "other") is None
    assert world.store.find(SOL, order.id, None) is None


def test_liquidation_closes_the_position_and_the_insurance_fund_covers_what_is_missing() -> None:
    world = World("3000")
    world.ledger.position(ETH).leverage = 25
    world.move(ETH, D(2600), D(20))
    world.submit(market_order(BUY, "20"), 1)
    resting, _ = world.submit(limit_order(SELL, "1", "2700.00"), 2)
    assert not world.margin.liquidate(world.matching, 3)
    world.move(ETH, D(2400), D(20))
    world.drain()
    assert world.margin.liquidate(world.matching, 4)
    events = world.drain()
    assert resting.status is Status.EXPIRED
    assert all(f.side is SELL for f in fills(events))
    assert any(isinstance(e, OrderUpdate) and e.execution is Execution.CALCULATED for e in events)
    ledger = world.ledger
    assert not ledger.held()
    assert ledger.wallet == 0
    assert ledger.insured > 0
    assert ledger.wallet == ledger.deposited + ledger.realised - ledger.fees + ledger.funding + ledger.insured


def test_funding_is_told_with_the_change_of_the_balance() -> None:
    world = World()
    world.margin.settle_funding(world.matching, ETH, D("0.0001"), 1)
    assert not world.drain()
    world.submit(market_order(BUY, "1"), 1)
    world.margin.settle_funding(world.matching, ETH, D("0.0001"), 2)
    (event,) = world.drain()
    assert isinstance(event, AccountUpdate)
    assert (event.reason, event.balance_change) == ("FUNDING_FEE", D("-0.26"))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("market"), st.sampled_from(Side), st.integers(8, 4000), st.booleans()),
        st.tuples(st.just("limit"), st.sampled_from(Side), st.integers(8, 4000), st.booleans()),
        st.tuples(st.just("move"), st.sampled_from(Side), st.integers(1, 3000), st.booleans()),
        st.tuples(st.just("trade"), st.sampled_from(Side), st.integers(1, 4000), st.booleans()),
        st.tuples(st.just("cancel"), st.sampled_from(Side), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("amend"), st.sampled_from(Side), st.integers(8, 4000), st.booleans()),
        st.tuples(st.just("stop"), st.sampled_from(Side), st.integers(8, 4000), st.booleans()),
        st.tuples(st.just("funding"), st.sampled_from(Side), st.integers(1, 300), st.booleans()),
    ),
    max_size=40,
)


def act(world: World, mid: Decimal, step: tuple[str, Side, int, bool], now: int) -> Decimal:
    """Do one step; return the new mid. Raises VenueError where the venue refuses it."""
    kind, side, amount, flag = step
    quantity, price = D(amount) / 1000, mid - D(side.sign) * D(amount % 5 - 2) / 100
    open_orders = world.store.open_orders(ETH)
    match kind:
        case "move":
            mid += D(amount) / 100 * side.sign
            world.move(ETH, mid)
            world.margin.liquidate(world.matching, now)
        case "trade":
            world.crowd_trades(ETH, side, quantity, now)
        case "funding":
            world.margin.settle_funding(world.matching, ETH, D(amount * side.sign) / 100_000, now)
        case "market":
            world.matching.submit(market_order(side, quantity, reduce_only=flag), now)
        case "limit":
            world.matching.submit(limit_order(side, quantity, price, reduce_only=flag), now)
        case "cancel" if open_orders:
            world.matching.cancel(open_orders[amount % len(open_orders)], now)
        case "amend" if open_orders:
            world.matching.amend(open_orders[amount % len(open_orders)], quantity, price, now)
        case "stop":
            trigger = mid + D(side.sign) * D(amount % 9 + 1) / 50
            world.wait(OrderRequest(ETH, side, OrderType.STOP_MARKET, quantity, reduce_only=flag, trigger=trigger), now)
    return mid


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from(MarginType))
def test_whatever_happens_money_is_conserved_and_reduce_only_never_turns_a_position(
    steps: list[tuple[str, Side, int, bool]], margin_type: MarginType
) -> None:
    world = World()
    ledger, market = world.ledger, world.markets[ETH]
    rules = market.rules
    ledger.position(ETH).margin_type = margin_type
    mid = D(2600)
    codes: set[int] = set()
    held = D(0)
    for now, step in enumerate(steps):
        try:
            mid = act(world, mid, step, now)
        except VenueError as error:
            codes.add(error.code)
        reducing = {o.id: o.reduce_only for o in world.store.orders(ETH)}
        for fill in fills(world.drain()):
            after = held + fill.quantity * fill.side.sign
            if reducing[fill.order_id]:
                assert abs(after) < abs(held)
                assert after * held >= 0
            held = after
        if not market.book.bid or not market.book.ask:
            world.move(ETH, mid)
            held += sum((f.quantity * f.side.sign for f in fills(world.drain())), D(0))
        # The account's own books, and the market's: what everybody holds sums to zero, and so does what everybody has paid.
        assert ledger.position(ETH).quantity == held == rules.quantity(market.holding(world.market))
        assert ledger.wallet == ledger.deposited + ledger.realised - ledger.fees + ledger.funding + ledger.insured
        assert ledger.fees == sum((f.fee for f in world.store.fills), D(0))
        assert sum(market.holdings.values()) == sum(market.cash.values()) == 0
        cash = market.cash[world.market] * rules.tick_size * rules.step_size
        assert abs(cash + held * mid - ledger.realised - ledger.position(ETH).unrealised(mid)) < D("1e-5")
        assert not (market.book.bid and market.book.ask) or market.book.bid < market.book.ask
        shown: dict[tuple[Side, Decimal], Decimal] = {}
        for order in world.store.orders(ETH):
            own = [f for f in world.store.fills if f.order_id == order.id]
            assert order.filled == sum((f.quantity for f in own), D(0)) <= order.quantity
            assert order.is_open == (order in world.store.open_orders(ETH))
            if order.is_open:
                reducible = -held * order.side.sign
                key = order.side, order.price
                shown[key] = shown.get(key, D(0)) + (min(order.remaining, reducible) if order.reduce_only else order.remaining)
        for (side, price), quantity in shown.items():
            queue = market.book.queue(rules.ticks(price), bid=side is BUY)
            assert sum(r.lots for r in queue if r.owner is world.market) == rules.lots(quantity)
        ids = [f.trade_id for f in world.store.fills]
        assert len(ids) == len(set(ids))
    assert codes <= {-1000, -2013, -2019, -2021, -2022, -4164, -5027}


def test_fills_never_pay_more_than_the_limit() -> None:
    world = World()
    order, events = world.submit(limit_order(BUY, "3", "2600.02"), 1)
    assert max(f.price for f in fills(events)) <= Decimal("2600.02")
    assert order.filled == D(2)
