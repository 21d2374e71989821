"""Pre-trade checks of the order itself and of the market: what can be said without the account's positions."""

from __future__ import annotations

from decimal import Decimal

from processors.risk.context import Context, Finding
from processors.risk.sizing import exact
from schemas.common import DenialCode, Mode, Side

BPS = 10_000.0


def emergency_stop(context: Context) -> Finding | None:
    """Deny everything while the emergency stop is on."""
    if not context.policy.emergency_stop:
        return None
    return Finding(DenialCode.EMERGENCY_STOP, None, None, f"emergency stop since policy version {context.policy.version}")


def mode(context: Context) -> Finding | None:
    """Deny everything unless the mode is NORMAL."""
    if context.policy.mode is Mode.NORMAL:
        return None
    return Finding(DenialCode.MODE_FORBIDS, None, None, f"mode is {context.policy.mode.value}")


def instrument_known(context: Context) -> Finding | None:
    """Deny a symbol whose rules at the venue are not known."""
    if context.sizing.rules is not None:
        return None
    return Finding(DenialCode.INSTRUMENT_UNKNOWN, None, None, f"no instrument {context.sizing.symbol} at {context.sizing.venue}")


def universe(context: Context) -> Finding | None:
    """Deny a symbol that is not in the policy's universe."""
    if context.sizing.symbol in context.policy.universe:
        return None
    return Finding(DenialCode.NOT_IN_UNIVERSE, None, None, f"{context.sizing.symbol} is not among {', '.join(context.policy.universe)}")


def price_precision(context: Context) -> Finding | None:
    """Deny a price or stop that is off the tick."""
    rules = context.sizing.rules
    if rules is None:
        return None
    for name, price in (("price", context.sizing.price), ("stop", context.sizing.stop_price)):
        if price % rules.tick_size != 0:
            return Finding(
                DenialCode.PRICE_PRECISION, float(price), float(rules.tick_size), f"{name} {price} is off the tick {rules.tick_size}"
            )
    return None


def quantity_precision(context: Context) -> Finding | None:
    """Deny a quantity that is off the lot."""
    rules, quantity = context.sizing.rules, context.sizing.quantity
    if rules is None or quantity % rules.lot_size == 0:
        return None
    return Finding(
        DenialCode.QUANTITY_PRECISION, float(quantity), float(rules.lot_size), f"quantity {quantity} is off the lot {rules.lot_size}"
    )


def least_quantity(context: Context) -> Finding | None:
    """Deny a quantity of zero or below the venue's minimum."""
    rules, quantity = context.sizing.rules, context.sizing.quantity
    if rules is None or (quantity > 0 and quantity >= rules.min_quantity):
        return None
    least = rules.min_quantity
    return Finding(
        DenialCode.QUANTITY_BELOW_MIN,
        float(quantity),
        float(least),
        f"quantity {quantity} is below {least}: the risk or a cap allows no more",
    )


def most_quantity(context: Context) -> Finding | None:
    """Deny a quantity above the venue's maximum."""
    rules, quantity = context.sizing.rules, context.sizing.quantity
    if rules is None or quantity <= rules.max_quantity:
        return None
    return Finding(
        DenialCode.QUANTITY_ABOVE_MAX, float(quantity), float(rules.max_quantity), f"quantity {quantity} is above {rules.max_quantity}"
    )


def least_notional(context: Context) -> Finding | None:
    """Deny a notional below the venue's minimum."""
    rules, notional = context.sizing.rules, context.sizing.notional
    if rules is None or notional >= rules.min_notional:
        return None
    return Finding(
        DenialCode.NOTIONAL_BELOW_MIN, float(notional), float(rules.min_notional), f"notional {notional} is below {rules.min_notional}"
    )


def most_notional(context: Context) -> Finding | None:
    """Deny a notional above the policy's for an order."""
    return above(DenialCode.NOTIONAL_ABOVE_MAX, "notional of the order", context.sizing.notional, context.policy.limits.max_order_notional)


def leverage(context: Context) -> Finding | None:
    """Deny a leverage above any of its caps, the policy's as it is now."""
    sizing = context.sizing
    cap = min(context.policy.limits.max_leverage, sizing.cap_venue_bracket, sizing.cap_liquidation_distance)
    if sizing.leverage <= cap:
        return None
    return Finding(DenialCode.LEVERAGE_CAP, sizing.leverage, cap, f"leverage {sizing.leverage:g} is above its cap {cap:.3g}")


def fresh_quote(context: Context) -> Finding | None:
    """Deny a size that rests on an old quote."""
    age_ms = (context.now - context.sizing.quote_ts) / 1000
    limit = context.policy.limits.max_data_age_ms
    if age_ms <= limit:
        return None
    return Finding(DenialCode.STALE_MARKET_DATA, age_ms, limit, f"the quote is {age_ms:.0f} ms old, {limit} allowed")


def divergence(context: Context) -> Finding | None:
    """Deny while a venue's price is far from the others': one of them is wrong, or the market is torn."""
    found, limit = context.sizing.exchange_divergence, context.policy.max_divergence_bps
    if found <= limit:
        return None
    return Finding(DenialCode.VENUES_DIVERGE, found, limit, f"a venue is {found:.1f} bps off the consolidated mid, {limit:g} allowed")


def spread(context: Context) -> Finding | None:
    """Deny in a wide spread."""
    sizing, limit = context.sizing, context.policy.limits.max_spread_bps
    mid = (sizing.bid_price + sizing.ask_price) / 2
    found = (sizing.ask_price - sizing.bid_price) / mid * BPS if mid > 0 else float("inf")
    if found <= limit:
        return None
    return Finding(DenialCode.SPREAD_TOO_WIDE, found, limit, f"spread is {found:.2f} bps, {limit:g} allowed")


def depth(context: Context) -> Finding | None:
    """Deny where the touch that would be taken holds too little of the order."""
    sizing, limit = context.sizing, context.policy.limits.min_depth_ratio
    at_touch = exact(sizing.ask_quantity if sizing.side is Side.BUY else sizing.bid_quantity)
    if at_touch >= sizing.quantity * exact(limit):
        return None
    found = float(at_touch / sizing.quantity)
    return Finding(DenialCode.DEPTH_TOO_THIN, found, limit, f"the touch holds {found:.3f} of the order, {limit:g} wanted")


def collar(context: Context) -> Finding | None:
    """Deny a price that is far from the mark price."""
    sizing, limit = context.sizing, context.policy.limits.price_collar_bps
    found = abs(float(sizing.price) / sizing.mark_price - 1) * BPS if sizing.mark_price > 0 else float("inf")
    if found <= limit:
        return None
    return Finding(
        DenialCode.PRICE_COLLAR,
        found,
        limit,
        f"price {sizing.price} is {found:.1f} bps off the mark {sizing.mark_price:g}, {limit:g} allowed",
    )


def funding(context: Context) -> Finding | None:
    """Deny just before a funding that this side would pay: longs pay a positive rate."""
    sizing, window = context.sizing, context.policy.limits.funding_window_s
    pays = sizing.funding_rate > 0 if sizing.side is Side.BUY else sizing.funding_rate < 0
    left_s = (sizing.next_funding_ts - context.now) / 1_000_000
    if not pays or not 0 <= left_s < window:
        return None
    return Finding(
        DenialCode.FUNDING_WINDOW, left_s, window, f"funding of {sizing.funding_rate:g} is due in {left_s:.0f} s, window {window} s"
    )


def above(code: DenialCode, name: str, value: Decimal, limit: Decimal) -> Finding | None:
    """Return a finding where a money value is above its limit."""
    if value <= limit:
        return None
    return Finding(code, float(value), float(limit), f"{name} {value:.2f} is above {limit:.2f}")
