"""The price path of one symbol: a pure, seeded process, the same for the same seed and symbol whenever it runs.

A hidden state moves once a second; prices move every 100 ms (:data:`STEP_US`).

* *Regime*: a Markov chain over range, trend up, trend down and high volatility, minutes long.
* *Momentum* `m`: a unit-variance AR(1) with a time constant of :data:`MOMENTUM_SECONDS`. It adds ``MOMENTUM_WEIGHT * sigma * m`` to each
  second's return, and tilts trade sides and resting quantities, so the past of returns, trades and quotes tells something about the next
  30 to 60 seconds: a market that can be learnt, though most of its variance is noise.
* *Volatility*: the regime's level times an AR(1) log factor; noise is Student-t, so tails are fat.
* *Basis* of the perpetual over the index: a mean-reverting process of a few basis points; the funding rate follows its average.

Draws are made in blocks of :data:`BLOCK_SECONDS` in a fixed order, therefore the path does not depend on how it is consumed.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from connectors.exchange.simulated.market.instruments import MarketProfile

STEP_US = 100_000
STEPS_PER_SECOND = 10
BLOCK_SECONDS = 60
MOMENTUM_SECONDS = 25.0
MOMENTUM_WEIGHT = 0.40
TAIL_DEGREES = 4.0
ANCHOR_SECONDS = 6 * 3600.0
RANGE_SECONDS = 240.0
BASIS_SECONDS = 90.0
BASIS_SIGMA = 3.0e-4
PREMIUM_SECONDS = 1800.0
INTEREST_RATE = 1.0e-4
"""Interest part of the funding rate per 8 h, as the venue documents it."""
FUNDING_CLAMP = 5.0e-4

Floats = npt.NDArray[np.float64]


class Regime(IntEnum):
    """What kind of market it is."""

    RANGE = 0
    TREND_UP = 1
    TREND_DOWN = 2
    HIGH_VOLATILITY = 3


@dataclass(frozen=True, slots=True)
class RegimeProfile:
    """How a regime behaves."""

    drift: float
    """Drift of the log price per second, in units of the second's volatility."""
    volatility: float
    """Factor on the symbol's volatility."""
    activity: float
    """Factor on the rate of trades."""
    mean_seconds: float
    """Mean length."""


REGIMES: dict[Regime, RegimeProfile] = {
    Regime.RANGE: RegimeProfile(0.0, 0.9, 0.8, 240.0),
    Regime.TREND_UP: RegimeProfile(0.10, 1.2, 1.0, 200.0),
    Regime.TREND_DOWN: RegimeProfile(-0.10, 1.2, 1.0, 200.0),
    Regime.HIGH_VOLATILITY: RegimeProfile(0.0, 2.2, 1.6, 120.0),
}
_NEXT: dict[Regime, tuple[tuple[Regime, float], ...]] = {
    Regime.RANGE: ((Regime.TREND_UP, 0.4), (Regime.TREND_DOWN, 0.8), (Regime.HIGH_VOLATILITY, 1.0)),
    Regime.TREND_UP: ((Regime.RANGE, 0.6), (Regime.HIGH_VOLATILITY, 0.8), (Regime.TREND_DOWN, 1.0)),
    Regime.TREND_DOWN: ((Regime.RANGE, 0.6), (Regime.HIGH_VOLATILITY, 0.8), (Regime.TREND_UP, 1.0)),
    Regime.HIGH_VOLATILITY: ((Regime.RANGE, 0.5), (Regime.TREND_UP, 0.75), (Regime.TREND_DOWN, 1.0)),
}


@dataclass(frozen=True, slots=True)
class PathBlock:
    """One block of the path; `n` = :data:`BLOCK_SECONDS` * :data:`STEPS_PER_SECOND` steps.

    Attributes
    ----------
    mid, index : (n,) float64
        Mid of the perpetual and index price (mid of spot), USDT, from the start of each step on.
    surprise : (n,) float64
        The step's return in units of its volatility.
    momentum, activity : (n,) float64
        Hidden momentum (unit variance) and factor on the rate of trades.
    regime : (seconds,) int64
        Regime of each second.
    premium : (seconds,) float64
        Slow average of the basis, which the mark price and the funding rate follow.
    """

    mid: Floats
    index: Floats
    surprise: Floats
    momentum: Floats
    activity: Floats
    regime: npt.NDArray[np.int64]
    premium: Floats


def symbol_seed(seed: int, symbol: str, purpose: str) -> list[int]:
    """Return the seed words of one random stream, independent of every other symbol's and purpose's."""
    return [seed, zlib.crc32(symbol.encode()), zlib.crc32(purpose.encode())]


def funding_rate(premium: float) -> float:
    """Return the funding rate per 8 h for an average premium: ``P + clamp(I - P, -0.05%, 0.05%)``, the venue's formula."""
    return premium + min(max(INTEREST_RATE - premium, -FUNDING_CLAMP), FUNDING_CLAMP)


class PathGenerator:
    """Generates the path of one symbol, block after block.

    Parameters
    ----------
    symbol, profile
        The symbol and how its market behaves.
    seed
        Seed of the venue.
    """

    def __init__(self, symbol: str, profile: MarketProfile, seed: int) -> None:
        self._profile = profile
        self._rng = np.random.default_rng(symbol_seed(seed, symbol, "path"))
        self._anchor = math.log(profile.price)
        self._log_mid = self._anchor
        self._local = self._anchor
        self._regime = Regime(int(self._rng.integers(len(Regime))))
        self._momentum = float(self._rng.standard_normal())
        self._log_volatility = 0.0
        self._log_activity = 0.0
        self._basis = 0.0
        self._premium = float(self._rng.normal(INTEREST_RATE, BASIS_SIGMA / 3))

    def next_block(self) -> PathBlock:
        """Return the next :data:`BLOCK_SECONDS` of the path."""
        seconds, steps = BLOCK_SECONDS, STEPS_PER_SECOND
        normals = self._rng.standard_normal((4, seconds)).tolist()
        uniforms = self._rng.random((2, seconds)).tolist()
        noise = self._rng.standard_t(TAIL_DEGREES, (seconds, steps)) / math.sqrt(TAIL_DEGREES / (TAIL_DEGREES - 2))
        noise = np.clip(noise, -12.0, 12.0)

        phi = math.exp(-1 / MOMENTUM_SECONDS)
        shock = math.sqrt(1 - phi * phi)
        sigma = np.empty(seconds)
        momentum = np.empty(seconds)
        activity = np.empty(seconds)
        basis = np.empty(seconds)
        premium = np.empty(seconds)
        regimes = np.empty(seconds, dtype=np.int64)
        log_mid = np.empty((seconds, steps))
        surprise = np.empty((seconds, steps))
        for second in range(seconds):
            self._switch(uniforms[0][second], uniforms[1][second])
            regime = REGIMES[self._regime]
            self._momentum = phi * self._momentum + shock * normals[0][second]
            self._log_volatility = 0.985 * self._log_volatility + 0.05 * normals[1][second]
            self._log_activity = 0.9 * self._log_activity + 0.22 * normals[2][second]
            decay = 1 / BASIS_SECONDS
            self._basis += decay * (INTEREST_RATE - self._basis) + BASIS_SIGMA * math.sqrt(2 * decay) * normals[3][second]
            self._premium += (self._basis - self._premium) / PREMIUM_SECONDS
            scale = self._profile.volatility * regime.volatility * math.exp(self._log_volatility)
            pull = (self._anchor - self._log_mid) / ANCHOR_SECONDS
            if self._regime is Regime.RANGE:
                pull += (self._local - self._log_mid) / RANGE_SECONDS
            drift = scale * (MOMENTUM_WEIGHT * self._momentum + regime.drift) + pull
            returns = drift / steps + scale / math.sqrt(steps) * noise[second]
            log_mid[second] = self._log_mid + np.cumsum(returns)
            surprise[second] = returns / (scale / math.sqrt(steps))
            self._log_mid = float(log_mid[second, -1])
            self._local += (self._log_mid - self._local) / RANGE_SECONDS
            sigma[second], momentum[second], regimes[second] = scale, self._momentum, self._regime
            activity[second] = regime.activity * math.exp(self._log_activity)
            basis[second], premium[second] = self._basis, self._premium

        mid = np.exp(log_mid.ravel())
        return PathBlock(
            mid=mid,
            index=mid / (1 + np.repeat(basis, steps)),
            surprise=surprise.ravel(),
            momentum=np.repeat(momentum, steps),
            activity=np.repeat(activity, steps),
            regime=regimes,
            premium=premium,
        )

    def _switch(self, chance: float, choice: float) -> None:
        if chance < 1 / REGIMES[self._regime].mean_seconds:
            self._regime = next(regime for regime, upto in _NEXT[self._regime] if choice < upto)
