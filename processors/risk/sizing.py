"""The size of an entry: risk over stop distance, scaled, under every cap, rounded down to the lot."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from schemas.common import InstrumentRules, Limits, Side, SizingRules
from schemas.positions.records import PortfolioSnapshot

LEAST_RL, MOST_RL = 0.25, 1.5
DAY_STEP = 0.1
"""How much a day's result of one trade's risk moves the scale."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Initial stop: its distance from the price and its price, both in the quote currency and on the tick."""

    distance: Decimal
    price: Decimal


def exact(value: float) -> Decimal:
    """Return a market price or quantity as the decimal number that the venue wrote: the shortest that reads as this float."""
    return Decimal(repr(value))


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Return the largest multiple of a step that is not above a value; exact, with the step's decimals."""
    return ((value / step).to_integral_value(ROUND_FLOOR) * step).quantize(step) if step > 0 else value


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """Return the smallest multiple of a step that is not below a value; exact, with the step's decimals."""
    return ((value / step).to_integral_value(ROUND_CEILING) * step).quantize(step) if step > 0 else value


def initial_stop(side: Side, price: Decimal, atr: float, sizing: SizingRules, tick: Decimal) -> Stop:
    """Return the initial stop: ``stop_atr_mult`` ATR away, at least ``min_stop_bps``, and at least one tick.

    The distance is rounded up to the tick, so that rounding never makes the stop closer than the rules say. It may reach
    below zero where the ATR is larger than the price; a stop price of zero then stands for it.
    """
    wanted = max(exact(atr) * exact(sizing.stop_atr_mult), price * exact(sizing.min_stop_bps) / 10_000)
    distance = max(ceil_to(wanted, tick), tick)
    at = price - distance if side is Side.BUY else price + distance
    return Stop(distance, max(Decimal(0), at))


def confidence_scale(confidence: float, least: float) -> float:
    """Return the scale of the risk by confidence: from 0.5 at the least that is allowed to 1 at certainty, linear."""
    if least >= 1:
        return 1.0
    return 0.5 + 0.5 * min(1.0, max(0.0, (confidence - least) / (1.0 - least)))


def rl_scale(snapshot: PortfolioSnapshot, sizing: SizingRules, limits: Limits) -> float:
    """Return the scale of the risk by how the account fares, 0.25 to 1.5: the rule where a learned sizer is to decide.

    ``(1 + 0.1 d) (1 - u)``, where d is the day's profit in units of one trade's risk (equity times ``risk_per_trade``) and u
    the share of the allowed drawdown that is used. It grows after gains and shrinks with losses and drawdown, which is
    the direction that a sizer with these two inputs can learn; with neither it is 1.
    """
    unit = float(snapshot.equity) * sizing.risk_per_trade
    day = float(snapshot.daily_pnl) / unit if unit > 0 else 0.0
    used = min(1.0, max(0.0, snapshot.drawdown) / limits.max_drawdown) if limits.max_drawdown > 0 else 1.0
    return min(MOST_RL, max(LEAST_RL, (1.0 + DAY_STEP * day) * (1.0 - used)))


def most_notional(limits: Limits, equity: Decimal, leverage: float) -> Decimal:
    """Return the most notional that one entry may have: of an order, of a position, and equity times leverage."""
    return max(Decimal(0), min(limits.max_order_notional, limits.max_position_notional, equity * exact(leverage)))


def quantity_of(risk: Decimal, stop: Decimal, price: Decimal, most: Decimal, rules: InstrumentRules) -> Decimal:
    """Return the quantity: risk over stop distance, at most ``most`` of notional and the venue's maximum, rounded down to the lot.

    Parameters
    ----------
    risk
        Money to lose at the stop, quote currency.
    stop
        Distance of the stop, quote currency, positive.
    price
        Price of the entry, quote currency, positive.
    most
        Most notional, quote currency.
    rules
        What the venue accepts.

    Returns
    -------
    Decimal
        Quantity in the base asset; 0 where not even one lot fits.
    """
    wanted = min(max(Decimal(0), risk) / stop, most / price, rules.max_quantity)
    quantity = floor_to(wanted, rules.lot_size)
    # A division is rounded to 28 digits, which may have lifted the last one: then one lot less is the largest that fits.
    while quantity > 0 and (quantity * price > most or quantity * stop > max(Decimal(0), risk)):
        quantity -= rules.lot_size
    return max(Decimal(0), quantity)
