"""Settings of the market stage."""

from __future__ import annotations

from dataclasses import dataclass

from quantum.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Rules:
    """What the market stage goes by; times in microseconds.

    Attributes
    ----------
    grace_us
        How long a bar waits for trades that come out of order, past its end. A heartbeat of the connector closes it at once,
        since it says that everything before it has been sent.
    max_gap_us
        Longest silence that is filled with empty bars.
    max_ahead_us
        How far an event time may be after the time of receipt: one wrong time would close every bar.
    gaps_kept
        Most ranges of missing trade ids that are remembered, so that the trades are taken when they come after all.
    stale_us
        Age at which a venue's quote no longer counts in the consolidated price.
    normalized_every_us
        Least time between two consolidated prices of a symbol.
    depth_levels
        Levels of a side in a record of the book.
    depth_every_us
        Least time between two records of a book; less than the 100 ms between two diffs, so that a diff which comes a little
        early is written too.
    funding_every_us
        Least time between two records of mark price and funding.
    perpetual_venue, spot_venue
        The two venues whose mids make the basis.
    lead_grid_us
        Length of a step of event time, by whole ones of which venues lead one another.
    lead_lags
        Greatest lead, steps.
    lead_lateness_us
        How long a step waits for quotes of venues that take longer.
    lead_window_us
        Time in which the weight of what has been seen of leads and lags falls by 1/e.
    lead_correlation
        Least correlation of two venues' returns at which one leads the other.
    """

    grace_us: int = 250_000
    max_gap_us: int = 86_400_000_000
    max_ahead_us: int = 86_400_000_000
    gaps_kept: int = 64
    stale_us: int = 5_000_000
    normalized_every_us: int = 250_000
    depth_levels: int = 10
    depth_every_us: int = 50_000
    funding_every_us: int = 500_000
    perpetual_venue: str = "binance-usdm"
    spot_venue: str = "binance-spot"
    lead_grid_us: int = 50_000
    lead_lags: int = 10
    lead_lateness_us: int = 500_000
    lead_window_us: int = 300_000_000
    lead_correlation: float = 0.25

    def __post_init__(self) -> None:
        if (
            min(self.grace_us, self.normalized_every_us, self.depth_every_us, self.funding_every_us, self.lead_lateness_us) < 0
            or min(self.max_gap_us, self.max_ahead_us, self.stale_us, self.lead_grid_us, self.lead_lags, self.lead_window_us) <= 0
        ):
            raise ConfigurationError(f"a time of {self} is out of its range", "times are positive, grace and throttle not negative")
