"""Generated trades, the same in every run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from schemas.common import Side
from schemas.market.records import MarketTick

START = 1_723_161_600_000_000
"""A whole hour of event time, microseconds."""
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")


def ticks(count: int, seed: int = 1) -> Iterator[MarketTick]:
    """Yield trades of four symbols in turn, 5 ms apart, their prices random walks in whole cents."""
    random = np.random.default_rng(seed)
    steps = random.integers(-3, 4, count).tolist()
    lots = random.integers(1, 5_000, count).tolist()
    buys = (random.random(count) < 0.5).tolist()
    cents = dict.fromkeys(SYMBOLS, 6_180_000)
    for number in range(count):
        symbol = SYMBOLS[number % len(SYMBOLS)]
        cents[symbol] += steps[number]
        ts = START + number * 5_000
        yield MarketTick(
            event_id=f"binance-usdm:{symbol}:t:{number}", event_ts=ts, ingest_ts=ts + 1_731, venue="binance-usdm", symbol=symbol,
            trade_id=number, price=cents[symbol] / 100, quantity=lots[number] / 1000, side=Side.BUY if buys[number] else Side.SELL,
        )  # fmt: skip
