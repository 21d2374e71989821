"""Exact quantiles of the newest values of a measure, in bounded memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple


class Quantiles(NamedTuple):
    """Median, 95th and 99th percentile, in the unit of the values."""

    p50: float
    p95: float
    p99: float


class Window:
    """The newest values of a measure.

    Parameters
    ----------
    size
        Most values that are kept.
    keep_s
        Age at which a value no longer counts, seconds.
    spacing_s
        Values that follow the one before sooner than this are left out, seconds, so that a burst does not push out all that was
        before it.
    """

    def __init__(self, size: int = 1_024, keep_s: float = 600.0, spacing_s: float = 0.0) -> None:
        self._values: deque[tuple[float, float]] = deque(maxlen=size)
        self._keep_s = keep_s
        self._spacing_s = spacing_s

    def add(self, now: float, value: float) -> None:
        """Take a value at a time, seconds of any clock that does not go back."""
        if not self._values or now - self._values[-1][0] >= self._spacing_s:
            self._values.append((now, value))

    def values(self, now: float) -> list[float]:
        """Return the values that count at a time, oldest first."""
        while self._values and now - self._values[0][0] > self._keep_s:
            self._values.popleft()
        return [value for _, value in self._values]


def quantiles(values: Iterable[float]) -> Quantiles | None:
    """Return the quantiles of some values: each is the least value that so large a share does not exceed; None without values."""
    ordered = sorted(values)
    if not ordered:
        return None
    return Quantiles(*(ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.95, 0.99)))
