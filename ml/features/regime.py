"""The regime of a symbol: thresholds with hysteresis over trend, volatility and liquidity."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from schemas.common import Regime

WINDOW = 60
SHORT = 20
_MEMORY = 1.0 / 240.0


@dataclass(frozen=True, slots=True)
class Band:
    """A threshold to enter and a lower one to stay, so that a value at the edge does not flip the regime with every bar."""

    enter: float
    stay: float

    def holds(self, value: float, inside: bool) -> bool:
        """Return whether a value is in the band, given whether the regime already was."""
        return value >= (self.stay if inside else self.enter)


@dataclass(frozen=True, slots=True)
class RegimeRules:
    """Thresholds.

    Attributes
    ----------
    spread_bps
        Spread that makes a market illiquid, basis points.
    idle
        Share of the last 60 bars without a trade that makes a market illiquid.
    volatility
        Short over long volatility that makes a market volatile.
    trend
        Drift in standard errors that makes a trend.
    """

    spread_bps: Band = Band(20.0, 15.0)
    idle: Band = Band(0.9, 0.8)
    volatility: Band = Band(2.0, 1.5)
    trend: Band = Band(2.5, 1.5)


class RegimeState(msgspec.Struct):
    """Regime of a symbol and what it is decided from.

    Attributes
    ----------
    returns : list[float]
        Log returns of the last 60 bars.
    idle : list[int]
        1 for each of the last 60 bars without a trade.
    long_variance : float
        Variance of a bar's log return over some 240 bars; it begins as the mean square of the first 60.
    regime : Regime
        Regime in force.
    since_ts : int
        When it began, microseconds.
    trend_score, volatility_ratio : float | None
        What it was decided from; None while warming up.
    """

    returns: list[float] = []
    idle: list[int] = []
    long_variance: float = 0.0
    regime: Regime = Regime.WARMING_UP
    since_ts: int = 0
    trend_score: float | None = None
    volatility_ratio: float | None = None

    def update(self, rules: RegimeRules, close_ts: int, log_return: float | None, volume: float, spread_bps: float | None) -> Regime:
        """Take a closed bar and return the regime.

        Parameters
        ----------
        rules
            Thresholds.
        close_ts
            End of the bar, microseconds.
        log_return
            Log return of the bar; None for the first of a history, which starts the warm-up.
        volume
            Traded quantity of the bar.
        spread_bps
            Spread of the last quote, basis points; None without a quote, and then only the trades say whether the market is liquid.
        """
        if self.since_ts == 0:
            self.since_ts = close_ts
        if log_return is None:
            self.returns.clear()
            self.idle.clear()
            self.trend_score = self.volatility_ratio = None
            return self._enter(Regime.WARMING_UP, close_ts)
        self.returns.append(log_return)
        self.idle.append(0 if volume > 0.0 else 1)
        if len(self.returns) < WINDOW:
            return self.regime
        if self.regime is Regime.WARMING_UP:
            self.long_variance = sum([value * value for value in self.returns]) / WINDOW
        else:
            self.long_variance += _MEMORY * (log_return * log_return - self.long_variance)
        if len(self.returns) > WINDOW:
            del self.returns[0], self.idle[0]
        self.trend_score = trend_score(self.returns)
        self.volatility_ratio = self._volatility_ratio()
        return self._enter(self._classify(rules, spread_bps), close_ts)

    def _volatility_ratio(self) -> float:
        """Return short over long volatility; 1 where the price has not moved for as long as the state remembers."""
        short = sum([value * value for value in self.returns[-SHORT:]]) / SHORT
        return math.sqrt(short / self.long_variance) if self.long_variance > 0.0 else 1.0

    def _classify(self, rules: RegimeRules, spread_bps: float | None) -> Regime:
        illiquid = self.regime is Regime.ILLIQUID
        wide = spread_bps is not None and rules.spread_bps.holds(spread_bps, illiquid)
        if wide or rules.idle.holds(sum(self.idle) / WINDOW, illiquid):
            return Regime.ILLIQUID
        trend, ratio = self.trend_score or 0.0, self.volatility_ratio or 0.0
        if rules.volatility.holds(ratio, self.regime is Regime.HIGH_VOLATILITY):
            return Regime.HIGH_VOLATILITY
        if rules.trend.holds(trend, self.regime is Regime.TREND_UP):
            return Regime.TREND_UP
        if rules.trend.holds(-trend, self.regime is Regime.TREND_DOWN):
            return Regime.TREND_DOWN
        return Regime.RANGE

    def _enter(self, regime: Regime, close_ts: int) -> Regime:
        if regime is not self.regime:
            self.regime = regime
            self.since_ts = close_ts
        return regime


def trend_score(returns: list[float]) -> float:
    """Return the mean return over its standard error (Student's t); 0 where the returns do not differ from one another."""
    count = len(returns)
    mean = sum(returns) / count
    variance = sum([(value - mean) ** 2 for value in returns]) / (count - 1)
    scale = math.sqrt(variance / count)
    return mean / scale if scale > 1e-12 * abs(mean) and scale > 0.0 else 0.0
