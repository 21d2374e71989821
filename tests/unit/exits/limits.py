"""Limits that a policy must have; the exit brain reads none of them."""

from __future__ import annotations

from decimal import Decimal

from schemas.common import Limits

LIMITS = Limits(
    max_order_notional=Decimal(50), max_position_notional=Decimal(50), max_positions=1, max_gross_exposure=Decimal(50),
    max_net_exposure=Decimal(50), max_concentration=1.0, max_leverage=1.0, max_daily_trades=3, max_daily_loss=Decimal(200),
    max_drawdown=0.1, max_consecutive_stops=3, cooldown_s=600, max_orders_per_minute=5, max_data_age_ms=2000, max_spread_bps=10.0,
    min_depth_ratio=1.0, price_collar_bps=50.0, funding_window_s=60,
)  # fmt: skip
