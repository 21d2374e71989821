"""Definitions of the features, the same online and in training."""

from __future__ import annotations

BAR_FEATURES: tuple[str, ...] = (
    "log_return_1",
    "log_return_5",
    "log_return_15",
    "volatility_parkinson",
    "volatility_garman_klass",
    "atr_14",
    "rsi_14",
    "macd",
    "macd_histogram",
    "bollinger_b",
    "vwap_distance",
    "volume_zscore",
    "trade_imbalance",
    "time_of_day_sin",
    "time_of_day_cos",
    "time_of_week_sin",
    "time_of_week_cos",
)
"""Features that bars alone define, so that they exist for the whole of history."""

CONTEXT_FEATURES: tuple[str, ...] = (
    "spread_bps",
    "microprice_offset_bps",
    "top_imbalance",
    "funding_rate",
    "time_to_funding_s",
    "basis",
    "exchange_divergence_bps",
    "depth_imbalance_5",
    "depth_imbalance_10",
    "order_flow_imbalance",
    "open_interest_change",
)
"""Features of quotes, the book, funding, open interest and other venues at the close of a bar; null where one of them is missing."""

DAY_FEATURES: tuple[str, ...] = ("time_of_day_sin", "time_of_day_cos")
WEEK_FEATURES: tuple[str, ...] = ("time_of_week_sin", "time_of_week_cos")

SCALED_FEATURES: tuple[str, ...] = ("atr_14",)
"""Bar features in the symbol's own money; a model of several symbols would only learn from them which symbol it is."""
