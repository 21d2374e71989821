"""The bar features: one definition, folded over live bars and over history alike.

Every window is bounded and recomputed from its elements, never kept as a running sum: a sum that subtracts what leaves
keeps the rounding error of the largest volume that ever passed. Ratios of nothing to nothing are null where they mean
that nothing was traded, and the centre of their range where price or volume merely stood still.
"""

from __future__ import annotations

import math
from typing import Protocol

import msgspec

from quantum.errors import CorruptRecordError

SHORT = 20
LONG = 60
WILDER = 14
FAST, SLOW, SIGNAL = 12, 26, 9
WARM_UP_BARS = LONG
"""Bars after which every feature is there, if anything was traded."""

DAY_US = 86_400_000_000
WEEK_US = 7 * DAY_US
_MONDAY_US = 3 * DAY_US  # the epoch was a Thursday: this much later the week of the first Monday's count begins
_PARKINSON = 4.0 * math.log(2.0)
_GARMAN_KLASS = 2.0 * math.log(2.0) - 1.0
_TAU = 2.0 * math.pi

Values = dict[str, float | None]


class Bar(Protocol):
    """What a bar must say; ``schemas.market.records.MarketKline`` does."""

    @property
    def open_ts(self) -> int:
        """Start, inclusive, microseconds."""

    @property
    def close_ts(self) -> int:
        """End, exclusive, microseconds."""

    @property
    def open(self) -> float:
        """First price."""

    @property
    def high(self) -> float:
        """Highest price."""

    @property
    def low(self) -> float:
        """Lowest price."""

    @property
    def close(self) -> float:
        """Last price."""

    @property
    def volume(self) -> float:
        """Traded quantity, base asset."""

    @property
    def quote_volume(self) -> float:
        """Traded value, quote currency."""

    @property
    def taker_buy_volume(self) -> float:
        """Part of the volume whose taker bought."""


def _seeded(value: float, sample: float, count: int, length: int, alpha: float) -> float:
    """Return an exponential average that begins as the mean of its first ``length`` samples; before that it is their sum."""
    if count > length:
        return value + alpha * (sample - value)
    return value + sample if count < length else (value + sample) / length


def _slide(window: list[float], value: float, length: int) -> None:
    window.append(value)
    if len(window) > length:
        del window[0]


def check_bar(bar: Bar) -> None:
    """Raise CorruptRecordError where a bar cannot be: prices not positive or out of order, volumes negative or not finite."""
    ordered = 0.0 < bar.low <= min(bar.open, bar.close) and max(bar.open, bar.close) <= bar.high < math.inf
    if not (
        ordered
        and 0.0 <= bar.taker_buy_volume <= bar.volume < math.inf
        and 0.0 <= bar.quote_volume < math.inf
        and bar.open_ts < bar.close_ts
    ):
        raise CorruptRecordError(
            f"bar {bar.open_ts}..{bar.close_ts} cannot be: open {bar.open}, high {bar.high}, low {bar.low}, close {bar.close}, "
            f"volume {bar.volume}, of it bought {bar.taker_buy_volume}, value {bar.quote_volume}"
        )


class BarFeatures(msgspec.Struct):
    """State of a symbol's bar features: the last 60 bars, reduced to what the features need.

    Bars must follow one another. One that is not newer than the last is not taken; one that begins later than the last
    ended starts the history anew, because no feature of a window with a hole means what its name says.

    Attributes
    ----------
    last_close_ts : int
        End of the last bar, microseconds; 0 before the first.
    bars : int
        Bars since the history began.
    closes, ranges, bodies, signed : list[float]
        Last 20 closes, squared log ranges, Garman-Klass terms, and bought less sold volumes.
    volumes, values : list[float]
        Last 60 volumes and traded values.
    atr, gain, loss, fast, slow, signal : float
        Exponential averages, each the sum of its samples until it has as many as its length.
    """

    last_close_ts: int = 0
    bars: int = 0
    closes: list[float] = []
    ranges: list[float] = []
    bodies: list[float] = []
    signed: list[float] = []
    volumes: list[float] = []
    values: list[float] = []
    atr: float = 0.0
    gain: float = 0.0
    loss: float = 0.0
    fast: float = 0.0
    slow: float = 0.0
    signal: float = 0.0

    def update(self, bar: Bar) -> Values | None:
        """Take a closed bar and return every bar feature, null where its history is too short; None for a bar seen before.

        Raises
        ------
        CorruptRecordError
            The bar cannot be.
        """
        check_bar(bar)
        if bar.close_ts <= self.last_close_ts:
            return None
        if bar.open_ts != self.last_close_ts and self.bars:
            self._forget()
        previous = self.closes[-1] if self.bars else None
        self.last_close_ts = bar.close_ts
        self.bars += 1
        close = bar.close
        log_range = math.log(bar.high / bar.low)
        body = math.log(close / bar.open)
        _slide(self.closes, close, SHORT)
        _slide(self.ranges, log_range * log_range, SHORT)
        _slide(self.bodies, 0.5 * log_range * log_range - _GARMAN_KLASS * body * body, SHORT)
        _slide(self.signed, 2.0 * bar.taker_buy_volume - bar.volume, SHORT)
        _slide(self.volumes, bar.volume, LONG)
        _slide(self.values, bar.quote_volume, LONG)
        if previous is not None:
            self._update_wilder(bar, previous)
        self._update_macd(close)
        return self._features(close, bar.close_ts)

    def _forget(self) -> None:
        for window in (self.closes, self.ranges, self.bodies, self.signed, self.volumes, self.values):
            window.clear()
        self.bars = 0
        self.atr = self.gain = self.loss = self.fast = self.slow = self.signal = 0.0

    def _update_wilder(self, bar: Bar, previous: float) -> None:
        count = self.bars - 1
        true_range = max(bar.high, previous) - min(bar.low, previous)
        change = bar.close - previous
        self.atr = _seeded(self.atr, true_range, count, WILDER, 1.0 / WILDER)
        self.gain = _seeded(self.gain, max(change, 0.0), count, WILDER, 1.0 / WILDER)
        self.loss = _seeded(self.loss, max(-change, 0.0), count, WILDER, 1.0 / WILDER)

    def _update_macd(self, close: float) -> None:
        self.fast = _seeded(self.fast, close, self.bars, FAST, 2.0 / (FAST + 1))
        self.slow = _seeded(self.slow, close, self.bars, SLOW, 2.0 / (SLOW + 1))
        if self.bars >= SLOW:
            self.signal = _seeded(self.signal, self.fast - self.slow, self.bars - SLOW + 1, SIGNAL, 2.0 / (SIGNAL + 1))

    def _features(self, close: float, close_ts: int) -> Values:
        bars = self.bars
        day = _TAU * (close_ts % DAY_US) / DAY_US
        week = _TAU * ((close_ts + _MONDAY_US) % WEEK_US) / WEEK_US
        return {
            "log_return_1": self._log_return(1),
            "log_return_5": self._log_return(5),
            "log_return_15": self._log_return(15),
            "volatility_parkinson": math.sqrt(sum(self.ranges) / (SHORT * _PARKINSON)) if bars >= SHORT else None,
            "volatility_garman_klass": math.sqrt(max(sum(self.bodies), 0.0) / SHORT) if bars >= SHORT else None,
            "atr_14": self.atr if bars > WILDER else None,
            "rsi_14": self._rsi() if bars > WILDER else None,
            "macd": 1e4 * (self.fast - self.slow) / close if bars >= SLOW else None,
            "macd_histogram": 1e4 * (self.fast - self.slow - self.signal) / close if bars >= SLOW + SIGNAL - 1 else None,
            "bollinger_b": self._bollinger(close) if bars >= SHORT else None,
            "vwap_distance": self._vwap_distance(close) if bars >= LONG else None,
            "volume_zscore": self._volume_zscore() if bars >= LONG else None,
            "trade_imbalance": self._trade_imbalance() if bars >= SHORT else None,
            "time_of_day_sin": math.sin(day),
            "time_of_day_cos": math.cos(day),
            "time_of_week_sin": math.sin(week),
            "time_of_week_cos": math.cos(week),
        }

    def _log_return(self, bars: int) -> float | None:
        return math.log(self.closes[-1] / self.closes[-1 - bars]) if len(self.closes) > bars else None

    def _rsi(self) -> float:
        moved = self.gain + self.loss
        return 100.0 * self.gain / moved if moved > 0.0 else 50.0

    def _bollinger(self, close: float) -> float:
        """Return where the close lies between the bands: 0 the lower, 1 the upper; 0.5 where the price stood still."""
        offsets = [value - close for value in self.closes]  # about the close, so that the squares keep their digits
        if not any(offsets):
            return 0.5
        mean = sum(offsets) / SHORT
        deviation = math.sqrt(sum([(offset - mean) ** 2 for offset in offsets]) / SHORT)
        return 0.5 - mean / (4.0 * deviation)

    def _vwap_distance(self, close: float) -> float | None:
        volume, value = sum(self.volumes), sum(self.values)
        return math.log(close * volume / value) if volume > 0.0 and value > 0.0 else None

    def _volume_zscore(self) -> float:
        """Return the last volume's distance from the mean in standard deviations; 0 where all volumes are the same."""
        last = self.volumes[-1]
        offsets = [value - last for value in self.volumes]
        if not any(offsets):
            return 0.0
        mean = sum(offsets) / LONG
        return -mean / math.sqrt(sum([(offset - mean) ** 2 for offset in offsets]) / LONG)

    def _trade_imbalance(self) -> float | None:
        volume = sum(self.volumes[-SHORT:])
        return sum(self.signed) / volume if volume > 0.0 else None


def is_warm(values: Values) -> bool:
    """Return whether every bar feature is there."""
    return None not in values.values()
