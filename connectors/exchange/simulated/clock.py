"""The venue's two clocks: that of its servers, which requests are signed by, and that of its markets, which may run faster."""

from __future__ import annotations

import time


def wall_clock_us() -> int:
    """Return the time, microseconds UTC."""
    return time.time_ns() // 1000


class MarketClock:
    """Time of the markets: begins now, and runs `speed` times as fast as the wall clock.

    Parameters
    ----------
    speed
        Market seconds a second.

    Attributes
    ----------
    began_us
        Wall time at which it began, microseconds.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self.began_us = wall_clock_us()

    def __call__(self) -> int:
        """Return the time, microseconds UTC."""
        now = wall_clock_us()
        return now if self.speed == 1.0 else self.began_us + round((now - self.began_us) * self.speed)
