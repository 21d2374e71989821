"""Adaptive leverage from five inputs, then its caps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from schemas.common import Cap, Regime

LEAST, MOST = 5.0, 80.0
"""Leverage before the caps lies between these."""
ATR_SCALE = 0.005
"""ATR over price that takes the room above the least down by a factor e."""
VOLATILITY_SCALE = 2.0
"""Short over long volatility that does."""
DIVERGENCE_SCALE_BPS = 20.0
"""Divergence between venues that does, basis points."""
FUNDING_SCALE = 0.001
"""Absolute funding rate that does, fraction."""
REGIME_STRESS = {
    Regime.TREND_UP: 0.0,
    Regime.TREND_DOWN: 0.0,
    Regime.RANGE: 0.25,
    Regime.HIGH_VOLATILITY: 1.0,
    Regime.ILLIQUID: 2.0,
    Regime.WARMING_UP: 2.0,
}
"""Stress of each regime; 1 takes the room down by a factor e."""
STOPS_TO_LIQUIDATION = 2.0
"""Liquidation is at least this many stops away."""


@dataclass(frozen=True, slots=True)
class LeverageInputs:
    """The five inputs, and the price that the first is measured against.

    Attributes
    ----------
    atr_value
        ATR, quote currency.
    price
        Price, quote currency.
    volatility_factor
        Short volatility over long volatility.
    exchange_divergence
        Largest divergence between venues, basis points.
    funding_rate
        Coming funding rate, fraction of notional.
    regime
        Regime.
    """

    atr_value: float
    price: float
    volatility_factor: float
    exchange_divergence: float
    funding_rate: float
    regime: Regime


@dataclass(frozen=True, slots=True)
class Leverage:
    """Raw leverage, each cap, and what came of them; ``final`` is a whole number of at least 1, as venues want it."""

    raw: float
    cap_policy: float
    cap_venue_bracket: float
    cap_liquidation_distance: float
    final: float
    binding: Cap


def raw_leverage(inputs: LeverageInputs) -> float:
    """Return the leverage before the caps, 5 to 80.

    ``5 + 75 exp(-stress)``, where stress is the sum of the five inputs, each over its scale: ATR over price, short over long
    volatility, divergence, absolute funding rate, and the stress of the regime. It falls as any of them grows. A rate that
    is received counts like one that is paid, because a crowded side is what an extreme rate tells of.
    """
    stress = (
        max(0.0, inputs.atr_value / inputs.price) / ATR_SCALE
        + max(0.0, inputs.volatility_factor) / VOLATILITY_SCALE
        + abs(inputs.exchange_divergence) / DIVERGENCE_SCALE_BPS
        + abs(inputs.funding_rate) / FUNDING_SCALE
        + REGIME_STRESS[inputs.regime]
    )
    return LEAST + (MOST - LEAST) * math.exp(-stress)


def liquidation_cap(stop_fraction: float, maintenance_rate: float) -> float:
    """Return the largest leverage whose liquidation is ``STOPS_TO_LIQUIDATION`` stops away.

    With isolated margin a position at leverage L is liquidated when the price has moved against it by ``1/L - m`` of the
    entry price (m: maintenance rate, fees left out), which must be at least two stops: ``L <= 1 / (2 stop + m)``.

    Parameters
    ----------
    stop_fraction
        Distance of the stop, fraction of the price, positive.
    maintenance_rate
        Maintenance margin rate, fraction of notional.
    """
    return 1.0 / (STOPS_TO_LIQUIDATION * stop_fraction + maintenance_rate)


def decide(inputs: LeverageInputs, *, policy_cap: float, venue_cap: float, stop_fraction: float, maintenance_rate: float) -> Leverage:
    """Return the leverage of an entry: the raw value under every cap, rounded down to a whole number, at least 1.

    Where even 1 is above a cap, ``final`` is 1 and the leverage check denies the entry.
    """
    raw = raw_leverage(inputs)
    liquidation = liquidation_cap(stop_fraction, maintenance_rate)
    bounds = ((raw, Cap.NONE), (policy_cap, Cap.POLICY), (venue_cap, Cap.VENUE_BRACKET), (liquidation, Cap.LIQUIDATION_DISTANCE))
    least, binding = min(bounds, key=lambda bound: bound[0])
    return Leverage(
        raw=raw, cap_policy=policy_cap, cap_venue_bracket=venue_cap, cap_liquidation_distance=liquidation,
        final=max(1.0, float(math.floor(least))), binding=binding,
    )  # fmt: skip
