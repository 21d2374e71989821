"""The bar features once more, from the whole history at once and in extended precision: the yardstick of the fold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.training.bars import Bars, Floats

Wide = NDArray[np.longdouble]
DAY = 86_400 * 1_000_000


def _windows(values: Wide, length: int) -> Wide:
    if len(values) < length:
        return np.empty((0, length), dtype=np.longdouble)
    return np.lib.stride_tricks.sliding_window_view(values, length)


def _pad(values: Wide, count: int) -> Wide:
    return np.concatenate([np.full(count - len(values), np.nan, dtype=np.longdouble), values])


def _average(values: Wide, length: int, above: int, below: int) -> Wide:
    """Exponential average of weight above/below, whose first value is the mean of the first ``length`` samples."""
    alpha = np.longdouble(above) / np.longdouble(below)
    out = np.full(len(values), np.nan, dtype=np.longdouble)
    if len(values) < length:
        return out
    out[length - 1] = values[:length].mean()
    for i in range(length, len(values)):
        out[i] = out[i - 1] * (1 - alpha) + values[i] * alpha
    return out


def reference(bars: Bars) -> dict[str, Floats]:
    """Return every bar feature, shape (bars,), NaN where it is not defined."""
    n = len(bars)
    o, h, low, c, v, q, b = (
        column.astype(np.longdouble)
        for column in (bars.open, bars.high, bars.low, bars.close, bars.volume, bars.quote_volume, bars.taker_buy_volume)
    )
    out: dict[str, Wide] = {}
    for lag in (1, 5, 15):
        out[f"log_return_{lag}"] = _pad(np.log(c[lag:]) - np.log(c[:-lag]), n)[:n]
    log2 = np.log(np.longdouble(2))
    span, body = np.log(h) - np.log(low), np.log(c) - np.log(o)
    out["volatility_parkinson"] = _pad(np.sqrt(_windows(span**2, 20).mean(axis=1) / (4 * log2)), n)
    out["volatility_garman_klass"] = _pad(np.sqrt(_windows(span**2 / 2 - (2 * log2 - 1) * body**2, 20).mean(axis=1)), n)
    before = c[:-1]
    ranges = np.maximum.reduce([h[1:] - low[1:], np.abs(h[1:] - before), np.abs(low[1:] - before)])
    out["atr_14"] = _pad(_average(ranges, 14, 1, 14), n)
    change = np.diff(c)
    gain, loss = (_average(np.maximum(sign * change, 0), 14, 1, 14) for sign in (1, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        out["rsi_14"] = _pad(np.where(gain + loss == 0, 50, 100 - 100 / (1 + gain / loss)), n)
    macd = _average(c, 12, 2, 13) - _average(c, 26, 2, 27)
    smooth = _pad(_average(macd[25:], 9, 2, 10), n)
    out["macd"] = 10_000 * macd / c
    out["macd_histogram"] = 10_000 * (macd - smooth) / c
    closes = _windows(c, 20)
    middle, width = closes.mean(axis=1), closes.std(axis=1)
    still = closes.max(axis=1) == closes.min(axis=1)
    lower = middle - 2 * width
    with np.errstate(invalid="ignore", divide="ignore"):
        out["bollinger_b"] = _pad(np.where(still, 0.5, (c[19:] - lower) / (4 * width)), n)
        out["vwap_distance"] = _pad(np.log(c[59:]) - np.log(_windows(q, 60).sum(axis=1) / _windows(v, 60).sum(axis=1)), n)
        volumes = _windows(v, 60)
        alike = volumes.max(axis=1) == volumes.min(axis=1)
        out["volume_zscore"] = _pad(np.where(alike, 0, (v[59:] - volumes.mean(axis=1)) / volumes.std(axis=1)), n)
        out["trade_imbalance"] = _pad((_windows(b, 20).sum(axis=1) - _windows(v - b, 20).sum(axis=1)) / _windows(v, 20).sum(axis=1), n)
    for name, length, shift in (("day", DAY, 0), ("week", 7 * DAY, 3 * DAY)):
        angle = 2 * np.pi * ((bars.close_ts + shift) % length) / length
        out[f"time_of_{name}_sin"], out[f"time_of_{name}_cos"] = np.sin(angle).astype(np.longdouble), np.cos(angle).astype(np.longdouble)
    return {name: values.astype(np.float64) for name, values in out.items()}
