"""The score of a symbol: five scores from measurements and a person's reference points, and their weighted geometric mean.

Each measurement is set against two reference points, one that scores 0 and one that scores 1 (distance to a reference, Nardo et al.,
"Handbook on Constructing Composite Indicators", OECD 2008, section 5). What spans orders of magnitude (value, depth, spread) goes by its
logarithm. Volatility has a band instead: less than its lower end does not pay the costs, more than its upper end is a risk of its own.

The five are put together by a weighted geometric mean (section 6 there), because it lets none make up for another: a symbol without
depth is not saved by its volume, and one score of 0 makes all of it 0.
"""

from __future__ import annotations

import math

import msgspec

from schemas.common import UniverseRules

MINUTES_KEPT = 60
"""Longest window, minutes."""


class Measured(msgspec.Struct, frozen=True):
    """The measurements of ``SymbolQuality``, by its names and in its units."""

    window_s: int
    observed_s: int
    quote_volume: float
    traded_share: float
    spread_bps: float | None
    touch_notional: float | None
    depth_notional: float | None
    volatility: float | None
    missing_share: float
    stale_share: float
    book_stale_share: float | None
    lost_share: float


class Scores(msgspec.Struct, frozen=True):
    """The scores of ``SymbolQuality``, by its names, 0 to 1, and which of the five lowers the whole most."""

    volume_score: float
    depth_score: float
    spread_score: float
    volatility_score: float
    data_score: float
    score: float
    weakest: str | None


def problem_of(rules: UniverseRules) -> str | None:
    """Return what keeps rules from being gone by, in words; None where nothing does."""
    weights = (rules.volume_weight, rules.depth_weight, rules.spread_weight, rules.volatility_weight, rules.data_weight)
    ranges = {
        f"{low} must be above 0 and less than {high}": not 0 < getattr(rules, low) < getattr(rules, high) < math.inf
        for low, high in (
            ("volume_worst", "volume_best"), ("depth_worst", "depth_best"), ("spread_best", "spread_worst"),
            ("volatility_low", "volatility_high"),
        )
    }  # fmt: skip
    wrong = {
        "candidates must be named, each once": not rules.candidates or len(set(rules.candidates)) < len(rules.candidates),
        "size must be at least 1": rules.size < 1,
        "exit_score must be less than entry_score, both above 0 and at most 1": not 0 < rules.exit_score < rules.entry_score <= 1,
        "hold_s, min_observed_s and max_age_s must be at least 1": min(rules.hold_s, rules.min_observed_s, rules.max_age_s) < 1,
        f"window_minutes must be 1 to {MINUTES_KEPT}": not 1 <= rules.window_minutes <= MINUTES_KEPT,
        "min_observed_s must be within the window": rules.min_observed_s > 60 * rules.window_minutes,
        "weights must be finite, not negative, and not all 0": not 0 < sum(weights) < math.inf or min(weights) < 0,
        "data_worst must be 0 to less than 1": not 0 <= rules.data_worst < 1,
        **ranges,
    }
    return next((what for what, is_so in wrong.items() if is_so), None)


def scores(rules: UniverseRules, measured: Measured) -> Scores:
    """Return the scores of measurements; what could not be measured scores 0."""
    depth = measured.touch_notional if measured.book_stale_share is None else measured.depth_notional
    good = (1 - measured.missing_share) * (1 - measured.stale_share) * (1 - (measured.book_stale_share or 0.0)) * (1 - measured.lost_share)
    parts = {
        "volume": (rules.volume_weight, by_logarithm(measured.quote_volume, rules.volume_worst, rules.volume_best)),
        "depth": (rules.depth_weight, by_logarithm(depth, rules.depth_worst, rules.depth_best)),
        "spread": (rules.spread_weight, _spread(measured.spread_bps, rules)),
        "volatility": (rules.volatility_weight, in_band(measured.volatility, rules.volatility_low, rules.volatility_high)),
        "data": (rules.data_weight, _clamped((good - rules.data_worst) / (1 - rules.data_worst))),
    }
    losses = {name: weight * -math.log(part) if part > 0 else math.inf for name, (weight, part) in parts.items() if weight > 0}
    worst = max(losses, key=losses.__getitem__)
    return Scores(
        **{f"{name}_score": part for name, (_, part) in parts.items()},
        score=math.exp(-sum(losses.values()) / sum(weight for weight, _ in parts.values())),
        weakest=worst if losses[worst] > 0 else None,
    )


def by_logarithm(value: float | None, worst: float, best: float) -> float:
    """Return how far a value is from one that scores 0 to one that scores 1, in logarithms, 0 to 1; either may be the greater."""
    if value is None or value <= 0:
        return 0.0
    return _clamped((math.log(value) - math.log(worst)) / (math.log(best) - math.log(worst)))


def in_band(value: float | None, low: float, high: float) -> float:
    """Return 1 inside a band; below it the value over the band's end, above it the inverse, so that half and double score alike."""
    if value is None or value <= 0:
        return 0.0
    return min(1.0, value / low, high / value)


def _spread(spread_bps: float | None, rules: UniverseRules) -> float:
    """Return the score of a spread; no spread at all (bid and ask alike) is as good as the best."""
    return 1.0 if spread_bps == 0 else by_logarithm(spread_bps, rules.spread_worst, rules.spread_best)


def _clamped(value: float) -> float:
    return min(1.0, max(0.0, value))
