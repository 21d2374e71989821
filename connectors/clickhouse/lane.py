"""One partition of one topic on its way into its table.

Exactly once
------------
The table is the truth: a lane starts behind the greatest offset that the table has, and never trusts anything else. Then

1. the rows of an insert are one block of one Kafka partition, in order of offset and within one month (one of the table's
   partitions): the store takes all of them or none;
2. an insert carries a token made of the partition and of the offset that it goes on from. The table takes a token once, so two
   owners of a partition, one of them fenced, cannot both append behind the same offset, however late one of them wakes. (How
   late: the table remembers its last 20,000 inserts.)
3. every insert is read back. The table's end is the last row: stored. It is another offset: somebody else writes here. It has
   not moved: the engine was killed after it had kept the token and before it had kept the rows (measured: 2 in 560 kills); then
   the next token of the same offset is tried, which is the very one that any other owner would try. Before that the lane waits
   longer than a commit that is under way takes;
4. whatever goes wrong (no answer, a stall, a new owner) the lane is dropped with its rows, and a new one reads the table's end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs

from connectors.clickhouse.dead_letters import DeadLetters
from connectors.clickhouse.decode import Decoder, Raw, Rejected
from connectors.clickhouse.store import RowsRefusedError, Store
from connectors.clickhouse.tables import TableSpec
from quantum.errors import FencedError, RetryError

MAX_ROWS = 40_000
"""Rows of one insert; far below the million at which the engine splits a block."""
_ATTEMPTS = 8
_RECORD_BYTES = 300
_COMMIT_S = 2.0
"""Longer than the store takes from keeping a token to showing the rows."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """What a flush did: rows stored, records given up, and the offset after the last record it dealt with."""

    rows: int
    rejected: int
    next_offset: int


@dataclass(slots=True)
class Lane:
    """A partition that this sink owns.

    Attributes
    ----------
    spec
        The table.
    partition
        The partition of its topic.
    decoder, store, dead_letters
        What it works with.
    end
        Greatest offset that the table has, as far as this lane knows; -1 for none.
    wait
        Waits some seconds.
    pending
        Records that have been read and are not stored.
    since
        When the oldest pending record came, seconds of the sink's clock.
    """

    spec: TableSpec
    partition: int
    decoder: Decoder
    store: Store
    dead_letters: DeadLetters
    end: int
    wait: Callable[[float], None] = time.sleep
    pending: list[Raw] = field(default_factory=list)
    size: int = 0
    since: float = 0.0
    _dealt_with: int = -1

    def extend(self, records: list[Raw], now: float) -> None:
        """Take records in the order of their offsets; those that the table has already are passed over."""
        known = max(self.end, self._dealt_with)
        if records and records[0].offset <= known:
            records = [raw for raw in records if raw.offset > known]
        if records and not self.pending:
            self.since = now
        self.pending += records
        self.size += sum(len(raw.value or b"") for raw in records) + _RECORD_BYTES * len(records)

    def flush(self) -> Flushed:
        """Store what is pending.

        Raises
        ------
        RetryError
            The store or the dead-letter topic is away: forget the lane and start behind the table's end again.
        FencedError
            Another sink has written behind the same offset: the same, and rejoin.
        """
        rows = given_up = 0
        for run in _runs(self.pending):
            kept, batch, rejected = self.decoder.decode(run)
            self._give_up(rejected)
            given_up += len(rejected)
            if batch is not None:
                stored, refused = self._store(kept, batch)
                rows, given_up = rows + stored, given_up + refused
            self._dealt_with = run[-1].offset
        self.pending.clear()
        self.size = 0
        return Flushed(rows, given_up, max(self.end, self._dealt_with) + 1)

    def _store(self, kept: list[Raw], batch: pa.RecordBatch) -> tuple[int, int]:
        """Store rows; where the store refuses them, halve until the ones that it refuses are alone. Returns rows stored and given up."""
        try:
            self._append(kept[-1].offset, batch)
        except RowsRefusedError as error:
            if len(kept) == 1:
                self._give_up([Rejected(kept[0], error.message, type(error).__name__)])
                return 0, 1
            half = len(kept) // 2
            first = self._store(kept[:half], batch.slice(0, half))
            second = self._store(kept[half:], batch.slice(half))
            return first[0] + second[0], first[1] + second[1]
        return len(kept), 0

    def _append(self, last: int, batch: pa.RecordBatch) -> None:
        for attempt in range(_ATTEMPTS):
            self.store.append(self.spec, batch, f"{self.partition}:{self.end}:{attempt}")
            found = self._end()
            if found == self.end:
                self.wait(_COMMIT_S)
                found = self._end()
            if found == last:
                self.end = last
                return
            if found != self.end:
                raise FencedError(
                    f"{self.spec.table}: partition {self.partition} ends at {found}, not at {self.end} or {last}: another sink writes it"
                )
        raise RetryError(
            f"{self.spec.table}: the store acknowledges rows behind offset {self.end} of partition {self.partition} and does not have them"
        )

    def _end(self) -> int:
        return self.store.ends(self.spec, [self.partition])[self.partition]

    def _give_up(self, rejected: list[Rejected]) -> None:
        if rejected:
            self.dead_letters.send(self.spec, rejected)


def _runs(records: list[Raw]) -> list[list[Raw]]:
    """Cut records into runs that lie in one month and are at most ``MAX_ROWS`` long."""
    runs: list[list[Raw]] = []
    month_end_ms = month_start_ms = 0
    for raw in records:
        if not runs or len(runs[-1]) >= MAX_ROWS or not month_start_ms <= raw.timestamp_ms < month_end_ms:
            runs.append([])
            month_start_ms, month_end_ms = _month(raw.timestamp_ms)
        runs[-1].append(raw)
    return runs


def _month(timestamp_ms: int) -> tuple[int, int]:
    """Return the first millisecond of a time's month, and of the next, UTC."""
    start = datetime.fromtimestamp(timestamp_ms / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = start.replace(year=start.year + 1, month=1) if start.month == 12 else start.replace(month=start.month + 1)
    return int(start.timestamp() * 1000), int(following.timestamp() * 1000)
