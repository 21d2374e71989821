"""Keeping within the request weight that the venue announces, and away while it says so. Times are seconds of one monotonic clock."""

from __future__ import annotations

WINDOW_S = 60.0
ORDINARY_SHARE = 0.8  # what is left belongs to orders and their queries


class WeightBudget:
    """Request weight of the current minute.

    Parameters
    ----------
    limit
        Weight a minute that the venue allows.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._window_ends = 0.0
        self._blocked_until = 0.0

    def wait_s(self, now: float, *, urgent: bool = False) -> float:
        """Return how long to wait before the next request; an urgent one may use the whole limit."""
        if now < self._blocked_until:
            return self._blocked_until - now
        if now >= self._window_ends:
            return 0.0
        allowed = self.limit if urgent else self.limit * ORDINARY_SHARE
        return self._window_ends - now if self.used >= allowed else 0.0

    def observe(self, used: int, now: float, second_of_minute: float) -> None:
        """Take the weight used from an answer's ``X-MBX-USED-WEIGHT-1M``; the venue's window is its clock's minute."""
        self.used = used
        self._window_ends = now + WINDOW_S - second_of_minute

    def block(self, retry_after_s: float, now: float) -> None:
        """Send nothing for a while: the venue answered 429 or 418 with ``Retry-After``."""
        self._blocked_until = max(self._blocked_until, now + retry_after_s)
