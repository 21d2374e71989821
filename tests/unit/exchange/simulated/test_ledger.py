from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.exchange.simulated.account.ledger import Ledger, MarginType, OpenNotional

from .builders import ETH, INSTRUMENTS, SOL, D

TAKER = D("0.0004")


def marks(price: str) -> dict[str, Decimal]:
    return {ETH: D(price), SOL: D(160)}


def test_a_long_round_trip_books_profit_and_fees() -> None:
    ledger = Ledger(D(10_000), INSTRUMENTS)
    ledger.fill(ETH, D(1), D(2600), TAKER, 1)
    ledger.fill(ETH, D(1), D(2620), TAKER, 2)
    assert ledger.position(ETH).entry_price == D(2610)
    effect = ledger.fill(ETH, D("-0.5"), D(2630), TAKER, 3)
    assert effect.realised == D(10)
    assert effect.fee == D("0.526")
    assert ledger.position(ETH).entry_price == D(2610)
    assert ledger.wallet == D(10_000) + 10 - D("1.04") - D("1.048") - D("0.526")


def test_a_fill_beyond_the_position_turns_it_at_the_fill_price() -> None:
    ledger = Ledger(D(10_000), INSTRUMENTS)
    ledger.fill(ETH, D(1), D(2600), TAKER, 1)
    effect = ledger.fill(ETH, D(-3), D(2590), TAKER, 2)
    position = ledger.position(ETH)
    assert effect.realised == D(-10)
    assert (position.quantity, position.entry_price) == (D(-2), D(2590))
    assert position.unrealised(D(2580)) == D(20)


def test_break_even_covers_entry_and_fees() -> None:
    ledger = Ledger(D(10_000), INSTRUMENTS)
    ledger.fill(ETH, D(2), D(2600), TAKER, 1)
    position = ledger.position(ETH)
    assert position.break_even_price == D(2600) + D("2.08") / 2
    ledger.fill(ETH, D(-1), D(2600), TAKER, 2)
    assert position.break_even_price == D(2600) + D("1.04")


def test_longs_pay_a_positive_funding_rate_and_shorts_receive_it() -> None:
    ledger = Ledger(D(10_000), INSTRUMENTS)
    ledger.fill(ETH, D(2), D(2600), D(0), 1)
    ledger.fill(SOL, D(-10), D(160), D(0), 1)
    assert ledger.settle_funding(ETH, D("0.0001"), D(2600), 2) == D("-0.52")
    assert ledger.settle_funding(SOL, D("0.0001"), D(160), 2) == D("0.16")
    assert ledger.wallet == D(10_000) - D("0.36")


def test_margin_of_position_and_orders_is_the_worse_side() -> None:
    ledger = Ledger(D(10_000), INSTRUMENTS)
    ledger.position(ETH).leverage = 10
    ledger.fill(ETH, D(1), D(2600), D(0), 1)
    assert ledger.initial_margin(ETH, D(2600), OpenNotional()) == D(260)
    assert ledger.initial_margin(ETH, D(2600), OpenNotional(buys=D(2600))) == D(520)
    assert ledger.initial_margin(ETH, D(2600), OpenNotional(sells=D(2600))) == D(260)
    assert ledger.initial_margin(ETH, D(2600), OpenNotional(sells=D(7800))) == D(520)
    assert ledger.available(marks("2610").__getitem__, {}) == D(10_000) + 10 - D(261)


@pytest.mark.parametrize("quantity", ["20", "-20"])
@pytest.mark.parametrize("margin_type", list(MarginType))
def test_a_position_is_liquidated_at_its_liquidation_price_and_not_before(quantity: str, margin_type: MarginType) -> None:
    ledger = Ledger(D(3_000), INSTRUMENTS)
    position = ledger.position(ETH)
    position.leverage, position.margin_type = 25, margin_type
    ledger.fill(ETH, D(quantity), D(2600), TAKER, 1)
    price = ledger.liquidation_price(position, marks("2600").__getitem__)
    away = D("0.01") if position.quantity > 0 else D("-0.01")
    assert not ledger.to_liquidate(marks(str(price + away)).__getitem__)
    assert ledger.to_liquidate(marks(str(price - away)).__getitem__) == [position]


def test_maintenance_margin_is_continuous_over_the_brackets() -> None:
    for rules in INSTRUMENTS.values():
        for lower, upper in zip(rules.brackets, rules.brackets[1:], strict=False):
            assert lower.cap == upper.floor
            assert lower.cap * lower.maintenance_rate - lower.deduction == upper.floor * upper.maintenance_rate - upper.deduction
            assert upper.max_leverage < lower.max_leverage


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("fill"), st.integers(-5000, 5000).filter(bool), st.integers(100_000, 400_000)),
        st.tuples(st.just("funding"), st.integers(-300, 300), st.integers(100_000, 400_000)),
    ),
    max_size=60,
)


@given(MOVES, st.sampled_from(MarginType))
def test_money_is_conserved_to_the_last_digit(moves: list[tuple[str, int, int]], margin_type: MarginType) -> None:
    ledger = Ledger(D(10_000), INSTRUMENTS)
    ledger.position(ETH).margin_type = margin_type
    cash, held = D(0), D(0)
    for i, (kind, amount, cents) in enumerate(moves):
        price = D(cents) / 100
        if kind == "fill":
            quantity = D(amount) / 1000
            effect = ledger.fill(ETH, quantity, price, TAKER, i)
            cash -= quantity * price + effect.fee
            held += quantity
        else:
            cash += ledger.settle_funding(ETH, D(amount) / 100_000, price, i)
        assert ledger.wallet == ledger.deposited + ledger.realised - ledger.fees + ledger.funding + ledger.insured
        assert ledger.position(ETH).quantity == held
        assert ledger.position(ETH).isolated_wallet >= 0
    assert sum((i.amount for i in ledger.history), D(0)) == ledger.wallet - ledger.deposited
    # Cash spent plus the position at any price is equity: book-keeping by entry price adds nothing and loses nothing but rounding.
    price = D(2600)
    equity = ledger.wallet + ledger.position(ETH).unrealised(price)
    assert abs(equity - (ledger.deposited + cash + held * price)) < D("1e-6")


def test_every_entry_of_the_history_has_an_id_and_deposits_are_no_profit() -> None:
    ledger = Ledger(D(1_000), INSTRUMENTS, first_id=70)
    ledger.fill(ETH, D(1), D(2_000), D("0.0004"), 1)
    ledger.transfer(D("250.5"), 2)
    ledger.settle_funding(ETH, D("0.0001"), D(2_000), 3)
    ledger.transfer(D(-50), 4)
    assert [(i.id, i.kind, i.amount) for i in ledger.history] == [
        (70, "COMMISSION", D("-0.8")), (71, "TRANSFER", D("250.5")), (72, "FUNDING_FEE", D("-0.2")), (73, "TRANSFER", D(-50)),
    ]  # fmt: skip
    assert ledger.wallet == ledger.deposited + ledger.realised - ledger.fees + ledger.funding == D("1199.5")
    assert ledger.deposited == D("1200.5")
