"""What the features stage computes, and on what."""

from __future__ import annotations

from dataclasses import dataclass, field

from ml.features.regime import RegimeRules


@dataclass(frozen=True, slots=True)
class Rules:
    """What the stage computes on.

    Attributes
    ----------
    venue
        Venue whose bars, quotes, books and funding count.
    interval
        The primary bar, as ``market.klines`` names it: regimes are decided on it.
    intervals
        Bars at whose close a vector is written, besides the primary one.
    max_age_us
        Age at the close of a bar, microseconds, from which what another topic last said is null in the vector.
    regime
        Thresholds of the regimes.
    """

    venue: str
    interval: str
    intervals: frozenset[str] = frozenset()
    max_age_us: int = 60_000_000
    regime: RegimeRules = field(default_factory=RegimeRules)

    def wants(self, interval: str) -> bool:
        """Return whether vectors are written at the close of such bars."""
        return interval == self.interval or interval in self.intervals
