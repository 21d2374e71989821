"""How long a venue takes to answer by REST."""

from __future__ import annotations

import time

from connectors.exchange.health.metrics import ROUND_TRIP
from connectors.exchange.health.window import Window


class RoundTrips:
    """Round trips of the newest requests to a venue; a request without an answer has none.

    Parameters
    ----------
    venue
        Name of the venue.
    """

    def __init__(self, venue: str) -> None:
        self._window = Window()
        self._histogram = ROUND_TRIP.labels(venue)

    def add(self, seconds: float) -> None:
        """Take the round trip of a request that was just answered."""
        self._window.add(time.monotonic(), seconds)
        self._histogram.observe(seconds)

    def values(self) -> list[float]:
        """Return those that are not old, oldest first, seconds."""
        return self._window.values(time.monotonic())
