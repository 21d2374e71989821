"""Pre-trade checks of the whole account: positions and entries under way together, the day, and the rate of orders."""

from __future__ import annotations

from decimal import Decimal

from processors.risk.context import Context, Finding
from processors.risk.order_checks import above
from schemas.common import DenialCode


def duplicate(context: Context) -> Finding | None:
    """Deny a signal that has become an intent already."""
    if context.sizing.signal_id not in context.account.signals:
        return None
    return Finding(DenialCode.DUPLICATE_ORDER, None, None, f"signal {context.sizing.signal_id} has become an intent already")


def position_limit(context: Context) -> Finding | None:
    """Deny a second position or entry in a symbol, and one above the policy's notional."""
    symbol, limit = context.sizing.symbol, context.policy.limits.max_position_notional
    held = context.held.get(symbol)
    if held is not None:
        total = abs(held) + context.sizing.notional
        return Finding(
            DenialCode.POSITION_LIMIT, float(total), float(limit), f"{symbol} has a position or an entry under way of {held:.2f} already"
        )
    return above(DenialCode.POSITION_LIMIT, f"position in {symbol}", context.sizing.notional, limit)


def positions(context: Context) -> Finding | None:
    """Deny one position too many."""
    count, limit = len(context.held.keys() | {context.sizing.symbol}), context.policy.limits.max_positions
    if count <= limit:
        return None
    return Finding(DenialCode.MAX_POSITIONS, count, limit, f"it would be position {count}, {limit} allowed")


def gross_exposure(context: Context) -> Finding | None:
    """Deny what takes the sum of absolute notionals above the limit."""
    return above(
        DenialCode.GROSS_EXPOSURE, "gross exposure", context.gross + context.sizing.notional, context.policy.limits.max_gross_exposure
    )


def net_exposure(context: Context) -> Finding | None:
    """Deny what takes the absolute sum of signed notionals above the limit."""
    net = abs(sum(context.held.values(), Decimal(0)) + context.signed_notional)
    return above(DenialCode.NET_EXPOSURE, "net exposure", net, context.policy.limits.max_net_exposure)


def concentration(context: Context) -> Finding | None:
    """Deny where one symbol takes more than its share of the allowed gross exposure."""
    limits = context.policy.limits
    total = abs(context.held.get(context.sizing.symbol, Decimal(0))) + context.sizing.notional
    found = float(total / limits.max_gross_exposure) if limits.max_gross_exposure > 0 else float("inf")
    if found <= limits.max_concentration:
        return None
    return Finding(
        DenialCode.CONCENTRATION, found, limits.max_concentration,
        f"{context.sizing.symbol} would be {found:.1%} of the allowed gross exposure, {limits.max_concentration:.1%} allowed",
    )  # fmt: skip


def margin(context: Context) -> Finding | None:
    """Deny where the margin of this entry and of those under way is not free."""
    wanted = context.reserved_margin + context.sizing.margin
    return above(DenialCode.MARGIN_INSUFFICIENT, "margin with entries under way", wanted, context.free_balance)


def daily_trades(context: Context) -> Finding | None:
    """Deny one entry too many in a UTC day."""
    count, limit = context.account.trades_today + 1, context.policy.limits.max_daily_trades
    if count <= limit:
        return None
    return Finding(DenialCode.DAILY_TRADES, count, limit, f"it would be entry {count} of the day, {limit} allowed")


def daily_loss(context: Context) -> Finding | None:
    """Deny where the day's loss and what is put at risk, entries under way included, are above the limit."""
    at_risk = max(Decimal(0), -context.snapshot.daily_pnl) + context.reserved_risk + context.sizing.risk_amount
    return above(DenialCode.DAILY_LOSS, "the day's loss with what is put at risk", at_risk, context.policy.limits.max_daily_loss)


def drawdown(context: Context) -> Finding | None:
    """Deny at the limit of the drawdown."""
    found, limit = context.snapshot.drawdown, context.policy.limits.max_drawdown
    if found < limit:
        return None
    return Finding(DenialCode.DRAWDOWN, found, limit, f"drawdown is {found:.2%}, entries end at {limit:.2%}")


def cooldown(context: Context) -> Finding | None:
    """Deny in the pause after stop-outs in a row."""
    left_s = (context.account.cooldown_until - context.now) / 1_000_000
    if left_s <= 0:
        return None
    return Finding(DenialCode.COOLDOWN, left_s, 0.0, f"pause after stop-outs in a row, {left_s:.0f} s left")


def order_rate(context: Context) -> Finding | None:
    """Deny one entry too many in a minute."""
    count, limit = len(context.account.entry_times) + 1, context.policy.limits.max_orders_per_minute
    if count <= limit:
        return None
    return Finding(DenialCode.ORDER_RATE, count, limit, f"it would be entry {count} within a minute, {limit} allowed")
