"""One partition of one topic on its way into its table.

Exactly once
------------
The table is the truth: a lane starts behind the greatest offset that the table has, and never trusts anything else. Then

1. the rows of an insert are one block of one Kafka partition, in order of offset and within one month (one of the table's
   partitions): the store takes all of them or none;
2. an insert carries a token made of the partition and of the offset that it goes on from. The table takes a token once, so two
   owners of a partition, one of them fenced, cannot both append behind the same offset, however late one of them wakes. (How
   late: the table remembers its last 20,000 inserts.)
3. every insert is read back, also one of which the store says that it does not know what became of it. The table's end is the last
   row: stored. It is another offset: somebody else writes here. It has not moved: the engine was killed after it had kept the token
   and before it had kept the rows (measured: 2 in 560 kills), or the insert failed; then the next token of the same offset is
   tried, which is the very one that any other owner would try. Before that the lane waits longer than a commit that is under way
   takes. An insert that failed is tried again in halves, for it may have been too large for the memory that the store has left;
4. whatever goes wrong (no answer, a stall, a new owner) the lane is dropped with its rows, and a new one reads the table's end.

Rows are made as records come, some thousand at a time while they are in the processor's caches, and the records themselves
are let go. Where the store then refuses rows for their values, the records are needed for the dead letters: the partition is read again
by a lane that keeps them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, groupby

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from confluent_kafka import Message

from connectors.clickhouse.dead_letters import DeadLetters
from connectors.clickhouse.decode import Decoded
from connectors.clickhouse.makers import RowMaker
from connectors.clickhouse.records import Rejected, offset_of
from connectors.clickhouse.store import OutcomeUnknownError, RowsRefusedError, Store
from connectors.clickhouse.tables import TopicTable
from quantum.errors import FencedError, RetryError

MAX_ROWS = 100_000
"""Rows of one insert; far below the million at which the engine splits a block. Fewer cost it more a row."""
_SMALL = 5_000
"""Rows of an insert that is not tried again in halves when it fails: if those are too many for the store, it is down."""
_ATTEMPTS = 8
_AT_ONCE = 1_000
"""Records that are made rows together; under load, that is."""
_RECORD_BYTES = 1_000
"""Of a record in memory: its objects, its headers, its value."""
_COMMIT_S = 2.0
"""Longer than the store takes from keeping a token to showing the rows."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """What a flush did: rows stored, records given up, and the offset after the last record it dealt with."""

    rows: int
    rejected: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class Load:
    """What a lane hands over to be stored.

    Attributes
    ----------
    decoded
        Records, made rows.
    count, size
        How many records, and the bytes that they take.
    after, last
        Offset that they go on from, and of the last of them.
    """

    decoded: list[Decoded]
    count: int
    size: int
    after: int
    last: int


class RecordsNeededError(RetryError):
    """Rows are refused whose records have been let go: a lane that keeps them has to read them again."""


@dataclass(slots=True)
class Lane:
    """A partition that this sink owns. One thread fills it, another stores what the first one has taken out.

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
    keeps_records
        Whether the records of rows are kept until the store has the rows.
    wait
        Waits some seconds.
    count
        Records that wait to be taken out.
    size
        Bytes that they take, more or less.
    since
        When the oldest of them came, seconds of the sink's clock.
    """

    spec: TopicTable
    partition: int
    decoder: RowMaker
    store: Store
    dead_letters: DeadLetters
    end: int
    keeps_records: bool = False
    wait: Callable[[float], None] = time.sleep
    count: int = 0
    size: int = 0
    since: float = 0.0
    _records: list[Message] = field(default_factory=list)
    _decoded: list[Decoded] = field(default_factory=list)
    _seen: int = field(init=False)
    _taken: int = field(init=False)
    _dealt_with: int = field(init=False)

    def __post_init__(self) -> None:
        self._seen = self._taken = self._dealt_with = self.end

    @property
    def seen(self) -> int:
        """Offset of the last record that came; the table's end before the first."""
        return self._seen

    def extend(self, records: list[Message], now: float) -> None:
        """Take records in the order of their offsets; those that the table has already are passed over.

        Raises
        ------
        RetryError
            A schema is not known here and the registry is away.
        TableBehindError
            A record has a field that the table has no column for: forget the lane, and start it again when it may have.
        """
        if records and offset_of(records[0]) <= self._seen:
            records = [record for record in records if offset_of(record) > self._seen]
        if not records:
            return
        self._seen = offset_of(records[-1])
        if not self.count:
            self.since = now
        self.count += len(records)
        self.size += _RECORD_BYTES * len(records)
        self._records += records
        if len(self._records) >= _AT_ONCE:
            self._decode()

    def take(self) -> Load:
        """Take out what waits, to be stored; raises what ``extend`` raises."""
        self._decode()
        load = Load(self._decoded, self.count, self.size, self._taken, self._seen)
        self._decoded, self.count, self.size, self._taken = [], 0, 0, self._seen
        return load

    def _decode(self) -> None:
        if not self._records:
            return
        decoded = self.decoder.decode(self._records)
        if not self.keeps_records:
            self.size -= _RECORD_BYTES * (len(self._records) - len(decoded.rejected))
            decoded = Decoded([], decoded.batch, decoded.rejected)
        self.size += 0 if decoded.batch is None else decoded.batch.nbytes
        self._decoded.append(decoded)
        self._records = []

    def flush(self, load: Load) -> Flushed:
        """Store what was taken out.

        Raises
        ------
        RetryError
            The store or the dead-letter topic is away: forget the lane and start behind the table's end again.
        RecordsNeededError
            The same, with a lane that keeps the records.
        FencedError
            Another sink has written behind the same offset: the same, and rejoin.
        """
        if load.after != self._dealt_with:  # one before it has not been stored: storing this one would leave a hole
            raise RetryError(f"{self.spec.table}: partition {self.partition} is stored up to {self._dealt_with}, not up to {load.after}")
        rejected = [letter for decoded in load.decoded for letter in decoded.rejected]
        self._give_up(rejected)
        rows, given_up = 0, len(rejected)
        filled = [(decoded.batch, decoded.kept) for decoded in load.decoded if decoded.batch is not None]
        for _, alike in groupby(filled, lambda pair: pair[0].schema):  # rows behind a new field have a column more
            batches, kept = zip(*alike, strict=True)
            batch = pa.concat_batches(batches)
            records = list(chain.from_iterable(kept))
            for run in _runs(batch["_timestamp"]):
                stored, refused = self._store(batch.slice(run.start, len(run)), records[run.start : run.stop])
                rows, given_up = rows + stored, given_up + refused
        self._dealt_with = load.last
        return Flushed(rows, given_up, self._dealt_with + 1)

    def _store(self, batch: pa.RecordBatch, records: Sequence[Message]) -> tuple[int, int]:
        """Store rows; where the store refuses or fails them, halve until those are alone. Returns rows stored and given up."""
        try:
            self._append(batch)
        except (RowsRefusedError, OutcomeUnknownError) as error:
            refused = isinstance(error, RowsRefusedError)
            if refused and not records:
                raise RecordsNeededError(error.message, "nothing; they are read again") from error
            if len(batch) > (1 if refused else _SMALL):
                half = len(batch) // 2
                first = self._store(batch.slice(0, half), records[:half])
                second = self._store(batch.slice(half), records[half:])
                return first[0] + second[0], first[1] + second[1]
            if not refused:
                raise
            self._give_up([Rejected(records[0], error.message, type(error).__name__)])
            return 0, 1
        return len(batch), 0

    def _append(self, batch: pa.RecordBatch) -> None:
        last = batch["_offset"][-1].as_py()
        for attempt in range(_ATTEMPTS):
            failure: OutcomeUnknownError | None = None
            try:
                self.store.append(self.spec, batch, f"{self.spec.token}{self.partition}:{self.end}:{attempt}")
            except OutcomeUnknownError as error:
                failure = error
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
            if failure is not None:
                raise failure
        raise RetryError(
            f"{self.spec.table}: the store acknowledges rows behind offset {self.end} of partition {self.partition} and does not have them"
        )

    def _end(self) -> int:
        return self.store.ends(self.spec, [self.partition])[self.partition]

    def _give_up(self, rejected: list[Rejected]) -> None:
        if rejected:
            self.dead_letters.send(self.spec, rejected)


def _runs(times: pa.Array) -> list[range]:
    """Cut rows, given Kafka's times of their records, into runs that lie in one month and are at most ``MAX_ROWS`` long."""
    at_ms = times.cast(pa.int64()).to_numpy()
    runs: list[range] = []
    first = 0
    while first < len(at_ms):
        start_ms, end_ms = _month(int(at_ms[first]))
        longest = at_ms[first : first + MAX_ROWS]
        outside = np.flatnonzero((longest < start_ms) | (longest >= end_ms))
        runs.append(range(first, first + (int(outside[0]) if len(outside) else len(longest))))
        first = runs[-1].stop
    return runs


def _month(timestamp_ms: int) -> tuple[int, int]:
    """Return the first millisecond of a time's month, and of the next, UTC."""
    start = datetime.fromtimestamp(timestamp_ms / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = start.replace(year=start.year + 1, month=1) if start.month == 12 else start.replace(month=start.month + 1)
    return int(start.timestamp() * 1000), int(following.timestamp() * 1000)
