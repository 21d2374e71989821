"""Every pre-trade check, in the order in which the first failing one names the denial."""

from __future__ import annotations

from collections.abc import Callable

from processors.risk import account_checks, order_checks
from processors.risk.context import Context, Finding

Check = Callable[[Context], Finding | None]

CHECKS: tuple[Check, ...] = (
    order_checks.emergency_stop,
    order_checks.mode,
    order_checks.instrument_known,
    order_checks.universe,
    account_checks.duplicate,
    order_checks.fresh_quote,
    order_checks.least_quantity,
    order_checks.most_quantity,
    order_checks.quantity_precision,
    order_checks.price_precision,
    order_checks.least_notional,
    order_checks.most_notional,
    account_checks.position_limit,
    account_checks.positions,
    account_checks.gross_exposure,
    account_checks.net_exposure,
    account_checks.concentration,
    order_checks.leverage,
    account_checks.margin,
    account_checks.daily_trades,
    account_checks.daily_loss,
    account_checks.drawdown,
    account_checks.cooldown,
    account_checks.order_rate,
    order_checks.divergence,
    order_checks.spread,
    order_checks.depth,
    order_checks.collar,
    order_checks.funding,
)


def findings(context: Context) -> list[Finding]:
    """Return every check that fails; an empty list allows the entry."""
    return [finding for check in CHECKS if (finding := check(context)) is not None]
