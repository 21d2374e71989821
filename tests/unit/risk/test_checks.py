"""Every pre-trade check: it lets a good entry pass, and denies at its own limit with its own code."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.risk import account_checks, order_checks
from processors.risk.checks import CHECKS, Check, findings
from processors.risk.context import Context
from processors.risk.state import AccountState, Reservation
from schemas.common import DenialCode, Mode, Side
from tests.unit.governance.builders import NOW, SECOND, changed, policy, snapshot
from tests.unit.risk.builders import RULES, context, exposure, limited, sizing

under_way = Reservation("ETHUSDT", Side.SELL, Decimal(900), Decimal(100), Decimal(3), NOW - SECOND, "s0")


def busy(**fields: Any) -> AccountState:
    state = AccountState()
    for name, value in fields.items():
        setattr(state, name, value)
    return state


DENIED: list[tuple[DenialCode, Check, Callable[[], Context]]] = [
    (DenialCode.EMERGENCY_STOP, order_checks.emergency_stop, lambda: context(in_force=policy("DEMO", emergency_stop=True))),
    (DenialCode.MODE_FORBIDS, order_checks.mode, lambda: context(in_force=policy("DEMO", mode=Mode.REDUCE_ONLY))),
    (DenialCode.MODE_FORBIDS, order_checks.mode, lambda: context(in_force=policy("DEMO", mode=Mode.HALTED))),
    (DenialCode.INSTRUMENT_UNKNOWN, order_checks.instrument_known, lambda: context(sizing(rules=None))),
    (DenialCode.NOT_IN_UNIVERSE, order_checks.universe, lambda: context(sizing(symbol="DOGEUSDT"))),
    (DenialCode.DUPLICATE_ORDER, account_checks.duplicate, lambda: context(account=busy(signals=["s0", "s1"]))),
    (DenialCode.STALE_MARKET_DATA, order_checks.fresh_quote, lambda: context(sizing(quote_ts=NOW - 11 * SECOND))),
    (DenialCode.QUANTITY_BELOW_MIN, order_checks.least_quantity, lambda: context(sizing(quantity=Decimal(0)))),
    (DenialCode.QUANTITY_BELOW_MIN, order_checks.least_quantity, lambda: context(sizing(quantity=Decimal("0.0005")))),
    (DenialCode.QUANTITY_ABOVE_MAX, order_checks.most_quantity, lambda: context(sizing(quantity=Decimal("120.001")))),
    (DenialCode.QUANTITY_PRECISION, order_checks.quantity_precision, lambda: context(sizing(quantity=Decimal("0.0105")))),
    (DenialCode.PRICE_PRECISION, order_checks.price_precision, lambda: context(sizing(price=Decimal("60000.05")))),
    (DenialCode.PRICE_PRECISION, order_checks.price_precision, lambda: context(sizing(stop_price=Decimal("59880.01")))),
    (DenialCode.NOTIONAL_BELOW_MIN, order_checks.least_notional, lambda: context(sizing(notional=Decimal("4.99")))),
    (DenialCode.NOTIONAL_ABOVE_MAX, order_checks.most_notional, lambda: context(sizing(notional=Decimal("1500.01")))),
    (DenialCode.POSITION_LIMIT, account_checks.position_limit, lambda: context(account=busy(exposure=exposure(("BTCUSDT", -10))))),
    (
        DenialCode.POSITION_LIMIT,
        account_checks.position_limit,
        lambda: context(sizing(symbol="ETHUSDT"), busy(reservations={"i": under_way})),
    ),
    (DenialCode.POSITION_LIMIT, account_checks.position_limit, lambda: context(in_force=limited(max_position_notional=Decimal(599)))),
    (
        DenialCode.MAX_POSITIONS,
        account_checks.positions,
        lambda: context(account=busy(exposure=exposure(("A", 1), ("B", 1)), reservations={"i": under_way})),
    ),
    (
        DenialCode.GROSS_EXPOSURE,
        account_checks.gross_exposure,
        lambda: context(account=busy(exposure=exposure(("A", 2500), ("B", -2100)), reservations={"i": under_way})),
    ),
    (DenialCode.NET_EXPOSURE, account_checks.net_exposure, lambda: context(account=busy(exposure=exposure(("A", 5401))))),
    (DenialCode.CONCENTRATION, account_checks.concentration, lambda: context(in_force=limited(max_gross_exposure=Decimal(1199)))),
    (DenialCode.LEVERAGE_CAP, order_checks.leverage, lambda: context(in_force=limited(max_leverage=4.9))),
    (DenialCode.LEVERAGE_CAP, order_checks.leverage, lambda: context(sizing(cap_liquidation_distance=4.9))),
    (DenialCode.MARGIN_INSUFFICIENT, account_checks.margin, lambda: context(state=snapshot(available=Decimal("119.99")))),
    (DenialCode.MARGIN_INSUFFICIENT, account_checks.margin, lambda: context(account=busy(available=Decimal("119.99")))),
    (
        DenialCode.MARGIN_INSUFFICIENT,
        account_checks.margin,
        lambda: context(account=busy(available=Decimal("219.99"), reservations={"i": under_way})),
    ),
    (DenialCode.DAILY_TRADES, account_checks.daily_trades, lambda: context(account=busy(trades_today=5000))),
    (DenialCode.DAILY_LOSS, account_checks.daily_loss, lambda: context(state=snapshot(daily_pnl=Decimal(-499)))),
    (DenialCode.DRAWDOWN, account_checks.drawdown, lambda: context(state=snapshot(drawdown=0.2))),
    (DenialCode.COOLDOWN, account_checks.cooldown, lambda: context(account=busy(cooldown_until=NOW + 1))),
    (DenialCode.ORDER_RATE, account_checks.order_rate, lambda: context(account=busy(entry_times=[NOW] * 60))),
    (DenialCode.VENUES_DIVERGE, order_checks.divergence, lambda: context(sizing(exchange_divergence=50.1))),
    (DenialCode.VENUES_DIVERGE, order_checks.divergence, lambda: context(in_force=policy("DEMO", max_divergence_bps=0.9))),
    (DenialCode.SPREAD_TOO_WIDE, order_checks.spread, lambda: context(sizing(bid_price=59930.0))),
    (DenialCode.DEPTH_TOO_THIN, order_checks.depth, lambda: context(sizing(ask_quantity=0.0004))),
    (DenialCode.DEPTH_TOO_THIN, order_checks.depth, lambda: context(sizing(side=Side.SELL, bid_quantity=0.0004))),
    (DenialCode.PRICE_COLLAR, order_checks.collar, lambda: context(sizing(mark_price=59000.0))),
    (DenialCode.PRICE_COLLAR, order_checks.collar, lambda: context(sizing(mark_price=0.0))),
    (DenialCode.FUNDING_WINDOW, order_checks.funding, lambda: context(sizing(next_funding_ts=NOW + 4 * SECOND))),
    (
        DenialCode.FUNDING_WINDOW,
        order_checks.funding,
        lambda: context(sizing(side=Side.SELL, funding_rate=-0.001, next_funding_ts=NOW + 4 * SECOND)),
    ),
]


def test_a_good_entry_passes_every_check() -> None:
    assert findings(context()) == []
    assert findings(context(sizing(side=Side.SELL, stop_price=Decimal("60120.0")))) == []


@pytest.mark.parametrize(("code", "check", "made"), DENIED, ids=[f"{code.value}-{n}" for n, (code, _, _) in enumerate(DENIED)])
def test_a_check_denies_with_its_code(code: DenialCode, check: Check, made: Callable[[], Context]) -> None:
    found = check(made())
    assert found is not None
    assert found.code is code
    assert found.detail
    assert code in [finding.code for finding in findings(made())]


def test_every_check_is_run_and_has_a_case_here() -> None:
    assert {check for _, check, _ in DENIED} == set(CHECKS)
    assert len({code for code, _, _ in DENIED}) == len(CHECKS) == 29


def test_a_side_that_receives_the_funding_may_enter_before_it() -> None:
    soon = NOW + 4 * SECOND
    stop = Decimal("60120.0")
    assert findings(context(sizing(side=Side.SELL, stop_price=stop, next_funding_ts=soon))) == []
    assert findings(context(sizing(funding_rate=-0.001, next_funding_ts=soon))) == []


def test_opposite_entries_under_way_do_not_cancel_in_the_gross() -> None:
    state = busy(exposure=exposure(("A", 500)), reservations={"i": under_way, "j": changed_reservation(side=Side.BUY)})
    seen = context(account=state)
    assert seen.gross == 500 + 1800
    assert seen.held == {"A": 500, "ETHUSDT": 0}
    assert seen.reserved_margin == 200


def changed_reservation(**fields: Any) -> Reservation:
    return changed(under_way, fields)


MONEY = st.decimals(Decimal(0), Decimal(20_000), places=2)


@given(
    notional=MONEY, held=st.dictionaries(st.sampled_from(["BTCUSDT", "ETHUSDT", "A", "B"]), st.integers(-4000, 4000), max_size=4),
    reserved=MONEY, available=MONEY, daily=st.integers(-800, 800), drawdown=st.floats(0, 0.5), leverage=st.floats(1, 80),
    trades=st.integers(0, 6000), rate=st.integers(0, 80), age_s=st.integers(-5, 30), spread=st.floats(0, 100), until=st.integers(-9, 9),
)  # fmt: skip
def test_an_entry_that_breaks_any_limit_is_denied(
    notional: Decimal, held: dict[str, int], reserved: Decimal, available: Decimal, daily: int, drawdown: float, leverage: float,
    trades: int, rate: int, age_s: int, spread: float, until: int,
) -> None:  # fmt: skip
    in_force = policy("DEMO")
    limits = in_force.limits
    margin = notional / Decimal(leverage)
    state = busy(
        exposure=exposure(*held.items()), trades_today=trades, entry_times=[NOW] * rate, cooldown_until=NOW + until * SECOND,
        reservations={"i": changed_reservation(symbol="SOLUSDT", notional=reserved, margin=Decimal(0), side=Side.BUY)},
    )  # fmt: skip
    sized = sizing(notional=notional, leverage=leverage, margin=margin, quote_ts=NOW - age_s * SECOND, bid_price=60000 * (1 - spread / 1e4))
    account = snapshot(available=available, daily_pnl=Decimal(daily), drawdown=drawdown)
    allowed = findings(context(sized, state, in_force=in_force, state=account)) == []
    gross = sum(abs(Decimal(n)) for n in held.values()) + reserved + notional
    broken = [
        notional < RULES.min_notional,
        notional > limits.max_order_notional,
        "BTCUSDT" in held,
        len(held.keys() | {"BTCUSDT", "SOLUSDT"}) > limits.max_positions,
        gross > limits.max_gross_exposure,
        abs(sum(held.values()) + reserved + notional) > limits.max_net_exposure,
        margin > available,
        max(0, -daily) + Decimal(3) + sized.risk_amount > limits.max_daily_loss,
        drawdown >= limits.max_drawdown,
        leverage > limits.max_leverage,
        trades >= limits.max_daily_trades,
        rate >= limits.max_orders_per_minute,
        age_s * 1000 > limits.max_data_age_ms,
        until > 0,
    ]
    if any(broken):
        assert not allowed
    elif spread < limits.max_spread_bps * 0.99:
        assert allowed
