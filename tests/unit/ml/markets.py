"""Generated bars for tests: a random walk whose drift persists, so that the last returns say something of the next."""

from __future__ import annotations

import numpy as np

from ml.training.bars import Bars

START = 1_700_000_000_000_000


def momentum_bars(
    count: int, seed: int, *, interval_us: int = 1_000_000, idle: float = 0.05, drift: float = 0.6, start: int = START
) -> Bars:
    """Return bars of 1 s whose drift is an AR(1) process with a memory of some 50 bars.

    Parameters
    ----------
    count
        Bars.
    seed
        Seed.
    interval_us
        Length of a bar, microseconds.
    idle
        Share of bars without a trade.
    drift
        Standard deviation of the drift over that of the noise.
    start
        Start of the first bar, microseconds.
    """
    random = np.random.default_rng(seed)
    noise = 2e-4
    shocks = random.standard_normal(count) * noise * drift * np.sqrt(1 - 0.98**2)
    hidden = np.zeros(count)
    for i in range(1, count):
        hidden[i] = 0.98 * hidden[i - 1] + shocks[i]
    traded = random.random(count) >= idle
    returns = np.where(traded, hidden + noise * random.standard_normal(count), 0.0)
    closes = 100.0 * np.exp(np.cumsum(returns))
    opens = np.concatenate([[100.0], closes[:-1]])
    wick = np.where(traded, np.abs(random.standard_normal((2, count))) * noise / 2, 0.0)
    highs = np.maximum(opens, closes) * (1 + wick[0])
    lows = np.minimum(opens, closes) * (1 - wick[1])
    volume = np.where(traded, random.lognormal(1.0, 0.7, count), 0.0)
    share = 1 / (1 + np.exp(-(hidden / noise) - random.standard_normal(count) * 0.5))
    open_ts = start - start % interval_us + np.arange(count, dtype=np.int64) * interval_us
    return Bars(open_ts, open_ts + interval_us, opens, highs, lows, closes, volume, volume * (highs + lows + closes) / 3, volume * share)
