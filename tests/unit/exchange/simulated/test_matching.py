from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.exchange.simulated.ledger import MarginType
from connectors.exchange.simulated.orders import AccountUpdate, Execution, OrderRequest, OrderUpdate, Side, Status, TimeInForce
from quantum.errors import VenueError

from .builders import ETH, SOL, D, account, fills, limit_order, market_order

BUY, SELL = Side.BUY, Side.SELL


def test_a_market_order_walks_the_book_level_by_level() -> None:
    market, matching = account()
    order, events = matching.submit(market_order(BUY, "2.5"), 10)
    assert [(f.price, f.quantity) for f in fills(events)] == [(D("2600.01"), D(1)), (D("2600.02"), D(1)), (D("2600.03"), D("0.5"))]
    assert order.status is Status.FILLED
    assert order.average_price == (D("2600.01") + D("2600.02") + D("2600.03") / 2) / D("2.5")
    assert all(f.fee == (f.price * f.quantity * D("0.0004")).quantize(D("1e-8")) for f in fills(events))
    assert [e.execution for e in events if isinstance(e, OrderUpdate)] == [Execution.NEW] + [Execution.TRADE] * 3
    assert sum(isinstance(e, AccountUpdate) for e in events) == 3
    assert market.asks[ETH][0] == (D("2600.03"), D("0.5"))


def test_what_the_book_cannot_fill_of_a_market_order_expires() -> None:
    _, matching = account("100000")
    order, events = matching.submit(market_order(BUY, "7"), 10)
    assert (order.status, order.filled) == (Status.EXPIRED, D(5))
    assert isinstance(events[-1], OrderUpdate)
    assert events[-1].execution is Execution.EXPIRED


def test_time_in_force() -> None:
    _, matching = account("100000")
    for in_force, price, code in (
        (TimeInForce.FOK, "2600.02", -5021),
        (TimeInForce.GTX, "2600.01", -5022),
    ):
        with pytest.raises(VenueError) as refused:
            matching.submit(limit_order(BUY, "3", price, in_force=in_force), 1)
        assert refused.value.code == code
    killed, _ = matching.submit(limit_order(BUY, "3", "2600.02", in_force=TimeInForce.IOC), 2)
    assert (killed.status, killed.filled) == (Status.EXPIRED, D(2))
    whole, _ = matching.submit(limit_order(BUY, "2", "2600.04", in_force=TimeInForce.FOK), 3)
    assert whole.status is Status.FILLED
    rests, events = matching.submit(limit_order(BUY, "3", "2600.05"), 4)
    assert (rests.status, rests.filled) == (Status.PARTIALLY_FILLED, D(1))
    assert not any(f.maker for f in fills(events))
    posted, _ = matching.submit(limit_order(SELL, "1", "2601.00", in_force=TimeInForce.GTX), 5)
    assert posted.status is Status.NEW
    assert matching.open_orders(ETH) == [rests, posted]


def test_a_resting_order_waits_in_the_queue_of_its_price() -> None:
    _, matching = account()
    order, _ = matching.submit(limit_order(BUY, "1", "2599.99"), 1)
    assert order.ahead == D(1)
    assert not matching.on_trade(ETH, D("2599.99"), D("0.4"), BUY, 2)  # the aggressor bought: nothing on the bid traded
    assert not matching.on_trade(ETH, D("2600.01"), D("9"), SELL, 2)  # at a better price than the order's
    assert not matching.on_trade(ETH, D("2599.99"), D("0.8"), SELL, 3)
    events = matching.on_trade(ETH, D("2599.99"), D("0.5"), SELL, 4)
    (fill,) = fills(events)
    assert (fill.price, fill.quantity, fill.maker) == (D("2599.99"), D("0.3"), True)
    assert fill.fee == D("2599.99") * D("0.3") * D("0.0002")
    assert order.status is Status.PARTIALLY_FILLED
    (fill,) = fills(matching.on_trade(ETH, D("2599.50"), D("3"), SELL, 5))  # through its price: at its own price all the same
    assert (fill.price, fill.quantity) == (D("2599.99"), D("0.7"))
    assert matching.orders(ETH)[0].status is Status.FILLED
    assert not matching.open_orders()


def test_an_opposite_quote_through_the_price_fills_a_resting_order_with_what_it_shows() -> None:
    market, matching = account()
    order, _ = matching.submit(limit_order(SELL, "3", "2601.00"), 1)
    assert not matching.on_quote(ETH, 2)
    market.move(ETH, D("2601.02"), D(2))
    (fill,) = fills(matching.on_quote(ETH, 3))
    assert (fill.price, fill.quantity, fill.maker) == (D("2601.00"), D(2), True)
    assert order.remaining == D(1)


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
    market, matching = account()
    matching.submit(market_order(BUY, "0.1", client="taken"), 1)
    before = (matching.ledger.wallet, matching.ledger.position(ETH).quantity, len(matching.orders(ETH)), market.trades)
    with pytest.raises(VenueError) as refused:
        matching.submit(request_, 2)
    assert refused.value.code == code
    assert (matching.ledger.wallet, matching.ledger.position(ETH).quantity, len(matching.orders(ETH)), market.trades) == before


def test_a_small_reduce_only_order_is_exempt_from_the_least_notional() -> None:
    _, matching = account()
    matching.submit(market_order(BUY, "0.1"), 1)
    order, _ = matching.submit(market_order(SELL, "0.001", reduce_only=True), 2)
    assert order.status is Status.FILLED


def test_leverage_caps_the_notional_by_bracket() -> None:
    market, matching = account("10000000")
    market.move(ETH, D(2600), D(500))
    matching.ledger.position(ETH).leverage = 125
    with pytest.raises(VenueError) as refused:
        matching.submit(market_order(BUY, "200"), 1)
    assert refused.value.code == -2027


def test_open_orders_use_margin_and_a_cancel_gives_it_back() -> None:
    _, matching = account()
    matching.ledger.position(ETH).leverage = 1
    order, _ = matching.submit(limit_order(BUY, "3", "2500.00"), 1)
    assert matching.available() == D(2500)
    with pytest.raises(VenueError) as refused:
        matching.submit(limit_order(BUY, "1", "2500.00"), 2)
    assert refused.value.code == -2019
    (event,) = matching.cancel(order, 3)
    assert isinstance(event, OrderUpdate)
    assert event.execution is Execution.CANCELED
    assert matching.available() == D(10_000)
    with pytest.raises(VenueError) as refused:
        matching.cancel(order, 4)
    assert refused.value.code == -2011


def test_reduce_only_orders_end_with_the_position() -> None:
    market, matching = account()
    matching.submit(market_order(BUY, "1"), 1)
    take_profit, _ = matching.submit(limit_order(SELL, "5", "2610.00", reduce_only=True), 2)
    stop, events = matching.submit(market_order(SELL, "3", reduce_only=True), 3)
    assert (stop.status, stop.filled) == (Status.EXPIRED, D(1))
    assert take_profit.status is Status.EXPIRED
    assert isinstance(events[-1], OrderUpdate)
    assert events[-1].order.id == take_profit.id
    assert matching.ledger.position(ETH).quantity == 0
    market.move(ETH, D(2620))
    assert not matching.on_quote(ETH, 4)


def test_an_order_is_found_by_either_id() -> None:
    _, matching = account()
    order, _ = matching.submit(market_order(BUY, "0.1", client="mine"), 1)
    assert matching.find(ETH, order.id, None) is order
    assert matching.find(ETH, None, "mine") is order
    assert matching.find(ETH, None, "other") is None
    assert matching.find(SOL, order.id, None) is None


def test_liquidation_closes_the_position_and_the_insurance_fund_covers_what_is_missing() -> None:
    market, matching = account("3000")
    matching.ledger.position(ETH).leverage = 25
    market.move(ETH, D(2600), D(20))
    matching.submit(market_order(BUY, "20"), 1)
    resting, _ = matching.submit(limit_order(SELL, "1", "2700.00"), 2)
    assert not matching.liquidate(3)
    market.move(ETH, D(2400), D(20))
    events = matching.liquidate(4)
    assert resting.status is Status.EXPIRED
    assert all(f.side is SELL for f in fills(events))
    assert any(isinstance(e, OrderUpdate) and e.execution is Execution.CALCULATED for e in events)
    ledger = matching.ledger
    assert not ledger.held()
    assert ledger.wallet == 0
    assert ledger.insured > 0
    assert ledger.wallet == ledger.deposited + ledger.realised - ledger.fees + ledger.funding + ledger.insured


def test_funding_is_told_with_the_change_of_the_balance() -> None:
    _, matching = account()
    assert not matching.settle_funding(ETH, D("0.0001"), 1)
    matching.submit(market_order(BUY, "1"), 1)
    (event,) = matching.settle_funding(ETH, D("0.0001"), 2)
    assert isinstance(event, AccountUpdate)
    assert (event.reason, event.balance_change) == ("FUNDING_FEE", D("-0.26"))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("market"), st.sampled_from(Side), st.integers(8, 4000), st.booleans()),
            st.tuples(st.just("limit"), st.sampled_from(Side), st.integers(8, 4000), st.booleans()),
            st.tuples(st.just("move"), st.sampled_from(Side), st.integers(1, 3000), st.booleans()),
            st.tuples(st.just("trade"), st.sampled_from(Side), st.integers(1, 4000), st.booleans()),
        ),
        max_size=50,
    ),
    st.sampled_from(MarginType),
)
def test_whatever_happens_money_is_conserved_and_reduce_only_never_turns_a_position(
    steps: list[tuple[str, Side, int, bool]], margin_type: MarginType
) -> None:
    market, matching = account()
    ledger = matching.ledger
    ledger.position(ETH).margin_type = margin_type
    mid = D(2600)
    codes: set[int] = set()
    for now, (kind, side, amount, flag) in enumerate(steps):
        before = ledger.position(ETH).quantity
        events = []
        if kind == "move":
            mid += D(amount) / 100 * side.sign
            market.move(ETH, mid)
            events = matching.on_quote(ETH, now) + matching.liquidate(now)
        elif kind == "trade":
            price = mid - D(side.sign) * D(amount % 7) / 100
            events = matching.on_trade(ETH, price, D(amount) / 1000, side, now)
        else:
            quantity = D(amount) / 1000
            price = mid - D(side.sign) * D(amount % 5 - 2) / 100
            wanted = (
                market_order(side, quantity, reduce_only=flag) if kind == "market" else limit_order(side, quantity, price, reduce_only=flag)
            )
            try:
                _, events = matching.submit(wanted, now)
            except VenueError as error:
                codes.add(error.code)
        if not market.bids[ETH] or not market.asks[ETH]:
            market.move(ETH, mid)
        held = before
        reducing = {o.id: o.reduce_only for o in matching.orders(ETH)}
        for fill in fills(events):
            after = held + fill.quantity * fill.side.sign
            if reducing[fill.order_id]:
                assert abs(after) < abs(held)
                assert after * held >= 0
            held = after
        assert ledger.position(ETH).quantity == held
        assert ledger.wallet == ledger.deposited + ledger.realised - ledger.fees + ledger.funding + ledger.insured
        assert ledger.fees == sum((f.fee for f in matching.fills), D(0))
        for order in matching.orders(ETH):
            own = [f for f in matching.fills if f.order_id == order.id]
            assert order.filled == sum((f.quantity for f in own), D(0)) <= order.quantity
            assert order.is_open == (order in matching.open_orders(ETH))
        ids = [f.trade_id for f in matching.fills]
        assert len(ids) == len(set(ids))
    assert codes <= {-1000, -2019, -2022, -4164}


def test_fills_never_pay_more_than_the_limit() -> None:
    _, matching = account()
    order, events = matching.submit(limit_order(BUY, "3", "2600.02"), 1)
    assert max(f.price for f in fills(events)) <= Decimal("2600.02")
    assert order.filled == D(2)
