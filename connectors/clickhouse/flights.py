"""What a sink has on its way into the store: one flush a lane at a time, by threads that wait for the store most of the time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from connectors.clickhouse import metrics
from connectors.clickhouse.lane import Flushed, Lane, Load
from quantum.errors import FencedError, RetryError

log = logging.getLogger(__name__)

_FLUSHERS = 4


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of a load: ``done`` is None where it was left, or failed for the ``trouble``."""

    lane: Lane
    done: Flushed | None
    trouble: RetryError | FencedError | None = None


class Flights:
    """The loads under way.

    Parameters
    ----------
    stalled
        Whether the process has stood still so long that its partitions may be another's by now: then a load is left, not stored.
    """

    def __init__(self, stalled: Callable[[], bool]) -> None:
        self._stalled = stalled
        self._flushers = ThreadPoolExecutor(_FLUSHERS, "flush")
        self._flights: dict[Future[Flushed | None], tuple[Lane, Load]] = {}

    def __bool__(self) -> bool:
        return bool(self._flights)

    @property
    def records(self) -> int:
        """How many records are under way."""
        return sum(load.count for _, load in self._flights.values())

    @property
    def size(self) -> int:
        """Bytes that they take."""
        return sum(load.size for _, load in self._flights.values())

    @property
    def places(self) -> set[tuple[str, int]]:
        """Partitions that have something under way."""
        return {(lane.spec.topic, lane.partition) for lane, _ in self._flights.values()}

    def counts(self) -> dict[int, int]:
        """Return the records under way by the lane's ``id``."""
        return {id(lane): load.count for lane, load in self._flights.values()}

    def launch(self, lane: Lane, load: Load) -> None:
        """Have a load stored."""
        self._flights[self._flushers.submit(self._flush, lane, load)] = lane, load

    def landed(self, *, everything: bool = False) -> Iterator[Landed]:
        """Give what has become of those that have ended; or wait until all have."""
        for future in wait(self._flights, None if everything else 0).done:
            lane, _ = self._flights.pop(future)
            if future.cancelled():
                continue
            try:
                yield Landed(lane, future.result())
            except (RetryError, FencedError) as error:
                yield Landed(lane, None, error)

    def wait(self, timeout_s: float, *, one: bool = False) -> None:
        """Wait until all have ended, or one has; no longer than some seconds."""
        wait(self._flights, timeout_s, FIRST_COMPLETED if one else "ALL_COMPLETED")

    def cancel(self) -> None:
        """Leave those that have not begun."""
        for future in self._flights:
            future.cancel()

    def close(self) -> None:
        """Leave those that have not begun, and wait for the others."""
        self._flushers.shutdown(cancel_futures=True)

    def _flush(self, lane: Lane, load: Load) -> Flushed | None:
        """Store a load, unless the partitions may be another's by now: then the sink's next turn sees the stall and begins anew."""
        if self._stalled():
            return None
        with metrics.FLUSH_SECONDS.labels(lane.spec.table).time():
            done = lane.flush(load)
        metrics.ROWS.labels(lane.spec.table).inc(done.rows)
        metrics.BATCHES.labels(lane.spec.table).inc()
        if done.rejected:
            metrics.DEAD_LETTERS.labels(lane.spec.topic).inc(done.rejected)
            log.warning("%s: %d records cannot be kept; they are on %s", lane.spec.topic, done.rejected, lane.spec.dead_letters)
        return done
