"""Rows to learn from: the online features folded over history, labels at the horizon, and a purged split in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.features import BAR_FEATURES, DAY_FEATURES, SCALED_FEATURES, WEEK_FEATURES
from ml.features.bars import DAY_US, WEEK_US, BarFeatures, is_warm
from ml.training.bars import Bars, Floats, Ints

CLASSES = ("down", "flat", "up")
DOWN, FLAT, UP = range(3)
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled rows of several symbols in the order of time; every column has shape (rows, ...).

    Attributes
    ----------
    features
        Every bar feature, shape (rows, features), in the order of ``BAR_FEATURES``.
    returns
        Log return from the bar's close to the close one horizon later.
    times
        End of the bar, microseconds UTC.
    symbols
        Index of the row's symbol.
    """

    features: Floats
    returns: Floats
    times: Ints
    symbols: Ints


@dataclass(frozen=True, slots=True)
class Split:
    """Which rows are learnt from, which calibrate, and which test; no label of one reaches into the next."""

    train: Mask
    calibration: Mask
    test: Mask


def feature_rows(bars: Bars) -> tuple[Floats, Mask]:
    """Return every bar feature at every bar, shape (bars, features), NaN where it is null, and which bars are warm."""
    state = BarFeatures()
    rows = np.full((len(bars), len(BAR_FEATURES)), np.nan)
    warm = np.zeros(len(bars), dtype=np.bool_)
    for index, bar in enumerate(bars):
        values = state.update(bar)
        if values is not None:
            rows[index] = [np.nan if value is None else value for value in values.values()]
            warm[index] = is_warm(values)
    return rows, warm


def forward_returns(bars: Bars, horizon: int, interval_us: int) -> Floats:
    """Return the log return over the next ``horizon`` bars, NaN where history ends or has a hole before that."""
    out = np.full(len(bars), np.nan)
    if len(bars) > horizon:
        whole = bars.close_ts[horizon:] - bars.close_ts[:-horizon] == horizon * interval_us
        out[:-horizon] = np.where(whole, np.log(bars.close[horizon:] / bars.close[:-horizon]), np.nan)
    return out


def build(bars_by_symbol: Mapping[str, Bars], horizon: int, interval_us: int) -> Dataset:
    """Return the rows of every symbol that are warm and whose horizon lies in its history."""
    parts: list[tuple[Floats, Floats, Ints, Ints]] = []
    for index, symbol in enumerate(sorted(bars_by_symbol)):
        bars = bars_by_symbol[symbol]
        rows, warm = feature_rows(bars)
        returns = forward_returns(bars, horizon, interval_us)
        usable = warm & np.isfinite(returns)
        parts.append((rows[usable], returns[usable], bars.close_ts[usable], np.full(int(usable.sum()), index, dtype=np.int64)))
    features, returns, times, symbols = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(times, kind="stable")
    return Dataset(features[order], returns[order], times[order], symbols[order])


def labels(returns: Floats, threshold: float) -> Ints:
    """Return the class of each return: down below -threshold, up above it, flat between."""
    return np.where(returns > threshold, UP, np.where(returns < -threshold, DOWN, FLAT)).astype(np.int64)


def split(times: Ints, horizon_us: int, train: float, calibration: float) -> Split:
    """Return a split in time, in this order: train, calibration, test.

    A row whose label ends after its slice does is purged, so an embargo of one horizon lies between the slices.

    Parameters
    ----------
    times
        End of each row's bar, microseconds, shape (rows,).
    horizon_us
        Horizon, microseconds.
    train, calibration
        Shares of the time spanned; the rest tests.
    """
    start, end = int(times.min()), int(times.max())
    first = start + int((end - start) * train)
    second = start + int((end - start) * (train + calibration))
    return Split(
        train=times + horizon_us <= first,
        calibration=(times > first) & (times + horizon_us <= second),
        test=times > second,
    )


def model_features(start_ts: int, end_ts: int) -> list[str]:
    """Return the bar features that a model may learn from in a window.

    Those in a symbol's own money are left out, and so are the clock's where the window has not been round it twice: a
    model would take the hour of the day for the cause of what happened once.
    """
    left_out = set(SCALED_FEATURES)
    if end_ts - start_ts < 2 * DAY_US:
        left_out |= set(DAY_FEATURES)
    if end_ts - start_ts < 2 * WEEK_US:
        left_out |= set(WEEK_FEATURES)
    return [name for name in BAR_FEATURES if name not in left_out]
