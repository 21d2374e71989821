"""The size of an entry: never above a cap, always on the lot."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.governance.defaults import PROFILES
from processors.risk import sizing
from schemas.common import InstrumentRules, Side
from tests.unit.governance.builders import changed, snapshot
from tests.unit.risk.builders import RULES

DEFAULT = PROFILES["DEFAULT"]


def money(least: str, most: str, places: int = 8) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(least), Decimal(most), places=places, allow_nan=False, allow_infinity=False)


LOTS = st.sampled_from([Decimal(10) ** -n for n in range(9)])
VENUES = st.builds(
    InstrumentRules, tick_size=LOTS, lot_size=LOTS, min_quantity=money("0", "1"), max_quantity=money("0", "100000"),
    min_notional=money("0", "100"), max_leverage=st.floats(1, 125), maintenance_rate=st.floats(0, 0.05),
)  # fmt: skip


@given(money("-100", "1000000"), money("0.00000001", "1000"), money("0.00000001", "1000000"), money("0", "1000000"), VENUES)
def test_a_size_is_never_above_a_cap_and_lies_on_the_lot(
    risk: Decimal, stop: Decimal, price: Decimal, most: Decimal, rules: InstrumentRules
) -> None:
    quantity = sizing.quantity_of(risk, stop, price, most, rules)
    assert 0 <= quantity <= rules.max_quantity
    assert quantity * price <= most
    assert quantity * stop <= max(risk, Decimal(0))
    assert quantity % rules.lot_size == 0


@given(money("0.01", "100000", 2), money("0.01", "1000", 2), money("0.01", "100000", 2), money("0.01", "1000000", 2))
def test_one_lot_more_would_break_a_cap(risk: Decimal, stop: Decimal, price: Decimal, most: Decimal) -> None:
    more = sizing.quantity_of(risk, stop, price, most, RULES) + RULES.lot_size
    assert more > RULES.max_quantity or more * price > most or more * stop > risk


@given(st.sampled_from([Side.BUY, Side.SELL]), money("1", "1000000", 2), st.floats(0, 1000), LOTS)
def test_a_stop_is_on_the_tick_on_the_losing_side_and_never_closer_than_the_rules(
    side: Side, price: Decimal, atr: float, tick: Decimal
) -> None:
    stop = sizing.initial_stop(side, price, atr, DEFAULT.sizing, tick)
    assert stop.distance % tick == 0
    assert stop.distance >= price * Decimal("0.001")
    assert float(stop.distance) >= 2 * atr * (1 - 1e-12)
    assert stop.price == max(Decimal(0), price - stop.distance if side is Side.BUY else price + stop.distance)


@pytest.mark.parametrize(("confidence", "scale"), [(0.45, 0.5), (0.3, 0.5), (1.0, 1.0), (0.725, 0.75)])
def test_confidence_scales_from_a_half_to_one(confidence: float, scale: float) -> None:
    assert sizing.confidence_scale(confidence, 0.45) == pytest.approx(scale)
    assert sizing.confidence_scale(1.0, 1.0) == 1.0


@pytest.mark.parametrize(
    ("daily_pnl", "drawdown", "scale"),
    [
        ("0", 0.0, 1.0),
        ("50", 0.0, 1.1),
        ("-100", 0.0, 0.8),
        ("0", 0.05, 0.5),
        ("100000", 0.0, 1.5),
        ("0", 0.2, 0.25),
        ("-100000", 0.0, 0.25),
    ],
)
def test_the_account_scales_the_risk(daily_pnl: str, drawdown: float, scale: float) -> None:
    state = snapshot(daily_pnl=Decimal(daily_pnl), drawdown=drawdown)
    assert sizing.rl_scale(state, DEFAULT.sizing, DEFAULT.limits) == pytest.approx(scale)


@given(st.floats(-1e6, 1e6), st.floats(0, 1), st.floats(0, 1e7))
def test_the_scale_stays_in_its_range_and_falls_with_drawdown(daily: float, drawdown: float, equity: float) -> None:
    state = snapshot(daily_pnl=Decimal(daily), drawdown=drawdown, equity=Decimal(equity))
    scale = sizing.rl_scale(state, DEFAULT.sizing, DEFAULT.limits)
    assert 0.25 <= scale <= 1.5
    deeper = changed(state, {"drawdown": drawdown + 0.01})
    if daily >= 0:
        assert sizing.rl_scale(deeper, DEFAULT.sizing, DEFAULT.limits) <= scale


@pytest.mark.parametrize("value", [0.1, 60000.5, 1e-7, 123456.789])
def test_a_market_price_becomes_the_number_that_was_written(value: float) -> None:
    assert float(sizing.exact(value)) == value
    assert len(sizing.exact(value).as_tuple().digits) <= 17


@pytest.mark.parametrize(
    ("value", "step", "down", "up"), [("1.2345", "0.01", "1.23", "1.24"), ("5", "0.5", "5.0", "5.0"), ("7", "10", "0", "10")]
)
def test_rounding_to_a_step(value: str, step: str, down: str, up: str) -> None:
    assert str(sizing.floor_to(Decimal(value), Decimal(step))) == down
    assert str(sizing.ceil_to(Decimal(value), Decimal(step))) == up
