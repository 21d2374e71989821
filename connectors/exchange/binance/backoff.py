"""Waiting times between attempts: exponential with full jitter, so that many clients do not come back together."""

from __future__ import annotations

from random import Random


class Backoff:
    """Waiting times of one thing that is tried again and again.

    Parameters
    ----------
    random
        Source of the jitter.
    first_s, most_s
        Bound of the first wait and of every wait, seconds.
    """

    def __init__(self, random: Random, first_s: float = 0.2, most_s: float = 30.0) -> None:
        self._random = random
        self._first = first_s
        self._most = most_s
        self._failures = 0

    def succeeded(self) -> None:
        """Begin anew."""
        self._failures = 0

    def next_s(self) -> float:
        """Return how long to wait after another failure: between a tenth of the bound and the bound."""
        bound = min(self._most, self._first * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return bound * (0.1 + 0.9 * self._random.random())
