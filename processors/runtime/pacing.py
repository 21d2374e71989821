"""How long records gather between small epochs, so that transactions do not take all of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable

_SMALL = 500
_SHORTEST_S = 0.002
_LONGEST_S = 0.02
_MOST_IDLE_S = 0.05


class Pacing:
    """Bounds the share of the time that small epochs take.

    A transaction costs a worker and the broker much the same whether it has one record or a hundred. Where records come one by one
    in quick succession, epochs that begin at once would therefore take all of the time; resting, they take half of it, and have more
    records. One that begins after a time in which there was nothing to do is not delayed.

    After every small epoch there is a shortest rest, in which the broker writes the markers of its transaction: one that begins before
    they are written is refused, and librdkafka tries again only 5 to 20 ms later.

    Parameters
    ----------
    clock
        Seconds, from any beginning.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spare = 0.0
        self._ended_at = self._rested_at = clock()

    def ended(self, records: int, started: float) -> None:
        """Say that an epoch of so many records has ended, and when by the clock it had begun."""
        now = self._clock()
        if records < _SMALL:
            spare = min(_MOST_IDLE_S, self._spare + started - self._ended_at) - (now - started)
            self._spare = max(-_LONGEST_S, spare)
            self._rested_at = now + max(_SHORTEST_S, -self._spare)
        self._ended_at = now

    @property
    def left(self) -> float:
        """Seconds until the next epoch may begin; 0 or less when it may."""
        return self._rested_at - self._clock()
