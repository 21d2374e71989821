"""The exit brain: what to do with one position at one price.

At each price, in this order:

1. the best price so far, and with it the stop: to the entry price once ``breakeven_r`` was reached, then behind the best price
   by ``trail_atr_mult`` times the ATR once ``trail_after_r`` was reached. A stop never moves away from the price;
2. leave the whole position: emergency stop, more than ``max_risk_r`` lost, the stop, a regime that turned against the position
   after it was opened, ``time_stop_s`` held;
3. scale out: at each rung of ``take_profit_r`` the share ``take_profit_share`` of the largest quantity; what the rungs leave
   is trailed.

R is the distance of the initial stop from the average entry price. Everything is symmetric: a short in a mirrored market is
treated as the long.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from processors.exits.state import Managed, Market
from schemas.common import ExitReason, ExitRules, InstrumentRules, PositionSide, Regime
from schemas.governance.records import Policy
from schemas.positions.records import PortfolioPosition

SECOND_US = 1_000_000
WHOLE = 1 - 1e-9
"""Shares of the ladder that add up to this are the whole position."""
_AGAINST = {PositionSide.LONG: Regime.TREND_DOWN, PositionSide.SHORT: Regime.TREND_UP}


class Scale(NamedTuple):
    """Rungs that are reached, and the quantity to take at them; 0 where it is too small to be an order."""

    rungs: int
    quantity: Decimal


def initial_risk(position: PortfolioPosition) -> float | None:
    """Return the price distance that is 1 R, or None where the position has neither a stop nor a risk."""
    direction = 1 if position.side is PositionSide.LONG else -1
    if position.initial_stop is not None:
        distance = direction * (position.entry_price - position.initial_stop)
        if distance > 0:
            return float(distance)
    if position.risk_amount is not None and position.risk_amount > 0:
        return float(position.risk_amount / position.initial_quantity)
    return None


def set_first_stop(managed: Managed, market: Market, rules: ExitRules | None) -> None:
    """Give a position its stop and its R.

    A position that came without a stop, by hand for instance, gets one at ``trail_atr_mult`` times the ATR once both are known:
    no position is without a stop.
    """
    position, entry = managed.position, float(managed.position.entry_price)
    managed.risk = initial_risk(position)
    if managed.risk is None and rules is not None and market.atr is not None and market.atr > 0:
        managed.risk = rules.trail_atr_mult * market.atr
    if position.initial_stop is not None:
        stop = float(position.initial_stop)
    elif managed.risk is not None:
        stop = entry - managed.direction * managed.risk
    else:
        return
    if managed.stop is None or managed.direction * (stop - managed.stop) > 0:
        managed.stop = managed.told_stop = stop


def move_stop(managed: Managed, price: float, market: Market, rules: ExitRules) -> None:
    """Take a price into the best one and bring the stop after it."""
    direction = managed.direction
    managed.best = max(managed.best, price) if direction > 0 else min(managed.best, price)
    if managed.stop is None:
        return
    reached, entry = managed.in_r(managed.best), float(managed.position.entry_price)
    if reached >= rules.breakeven_r and direction * (entry - managed.stop) > 0:
        managed.stop, managed.stop_kind = entry, ExitReason.BREAKEVEN
    if reached >= rules.trail_after_r and market.atr is not None and market.atr > 0:
        trailed = managed.best - direction * rules.trail_atr_mult * market.atr
        if direction * (trailed - managed.stop) > 0:
            managed.stop, managed.stop_kind = trailed, ExitReason.TRAILING


def stop_is_hit(managed: Managed, price: float) -> bool:
    """Return whether a price is at the stop or beyond it."""
    return managed.stop is not None and managed.direction * (price - managed.stop) <= 0


def reason_to_leave(managed: Managed, price: float, ts: int, market: Market, policy: Policy) -> ExitReason:
    """Return why the whole position must be closed; NONE where it need not."""
    rules, position = policy.exits, managed.position
    if policy.emergency_stop:
        return ExitReason.EMERGENCY
    if managed.risk is not None and managed.in_r(price) <= -rules.max_risk_r:
        return ExitReason.MAX_RISK
    if stop_is_hit(managed, price):
        return managed.stop_kind
    if market.regime is _AGAINST[position.side] and market.regime_since >= position.opened_ts:
        return ExitReason.REGIME_FLIP
    if ts - position.opened_ts >= rules.time_stop_s * SECOND_US:
        return ExitReason.TIME
    return ExitReason.NONE


def scale_out(managed: Managed, price: float, rules: ExitRules, instrument: InstrumentRules) -> Scale:
    """Return what the ladder takes at a price.

    The quantities are those of the whole ladder up to here, rounded down to the lot, less what was taken already, so that
    roundings do not add up. Where the venue would not take what is left (less than its least quantity), all of it goes.
    """
    reached, profit = managed.rungs, managed.in_r(price)
    while reached < len(rules.take_profit_r) and profit >= rules.take_profit_r[reached]:
        reached += 1
    if reached == managed.rungs:
        return Scale(reached, Decimal(0))
    held, share = managed.position.quantity, reached * rules.take_profit_share
    target = managed.position.initial_quantity if share >= WHOLE else managed.position.initial_quantity * Decimal(repr(share))
    quantity = floor_to(target - managed.laddered, instrument.lot_size)
    if quantity < instrument.min_quantity or quantity <= 0:
        return Scale(reached, Decimal(0))
    left = held - quantity
    return Scale(reached, held if left < max(instrument.min_quantity, instrument.lot_size) else quantity)


def floor_to(quantity: Decimal, step: Decimal) -> Decimal:
    """Return the largest multiple of a step that is not above a quantity."""
    return (quantity / step).to_integral_value(ROUND_FLOOR) * step
