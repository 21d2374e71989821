"""How long records gather between small epochs, so that transactions do not take all of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from confluent_kafka import Message

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

    Records of some topics may gather: nothing waits for what they change, so that an epoch begins only some time after the first of them,
    with the others that have come until then, or at once with a record of another topic. A quarter of the transactions is then enough, and
    the records that are waited for find the worker and the broker free.

    Parameters
    ----------
    gather
        Seconds that records of a topic may gather, by topic.
    clock
        Seconds, from any beginning.
    """

    def __init__(self, gather: Mapping[str, float] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._gather = dict(gather or {})
        self._due: float | None = None
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

    def came(self, records: Iterable[Message]) -> None:
        """Say which records have come."""
        if not self._gather:
            return
        longest = min((self._gather.get(topic, 0.0) for topic in {str(record.topic()) for record in records}), default=None)
        if longest is not None:
            due = self._clock() + longest
            self._due = due if self._due is None else min(self._due, due)

    def begun(self) -> None:
        """Say that an epoch takes the records that have come."""
        self._due = None

    @property
    def gathering(self) -> float:
        """Seconds until the records that have come are worked on; 0 or less when they are."""
        return 0.0 if self._due is None else self._due - self._clock()

    @property
    def left(self) -> float:
        """Seconds until the next epoch may begin; 0 or less when it may."""
        return self._rested_at - self._clock()
