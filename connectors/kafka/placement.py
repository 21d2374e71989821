"""A new topic made to go on where another ended.

A topic that is made anew begins at offset 0. Where a history has been carried from a topic of the same name before, the new one
has to begin behind it: then (partition, offset) stays the name of one record for ever, and order by offset stays the order in
which records came. Offsets are passed over with an *aborted transaction*, whose records no reader of committed records ever
sees, and the topic's beginning is moved behind them. That is public protocol, so that it works on any broker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from connectors.kafka.config import client_config
from connectors.kafka.logs import REMEDY, TIMEOUT_S, Logs, answers
from quantum.errors import DependencyError, RetryError

_TRANSACTION = 2_000_000
"""Offsets passed over by one transaction: a second or two, far below its timeout."""
_PIECE = 10_000
_POLL_S = 0.002


@dataclass(frozen=True, slots=True)
class Entry:
    """A record with the offset that it has.

    Attributes
    ----------
    offset
        Its offset.
    timestamp_ms
        Kafka's time of it, milliseconds.
    key, value
        Its bytes; None where it has none.
    headers
        Its headers.
    """

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def entry_of(message: Message) -> Entry:
    """Return what a message is, for it to be written elsewhere."""
    headers = message.headers() or ()
    pairs = headers.items() if isinstance(headers, dict) else headers
    plain = tuple((name, value.encode() if isinstance(value, str) else value) for name, value in pairs)
    return Entry(message.offset() or 0, message.timestamp()[1], message.key(), message.value(), plain)


class LogWriter:
    """Writes partitions that hold nothing, at offsets that are chosen.

    Parameters
    ----------
    logs
        The topics.
    """

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    @cached_property
    def _filler(self) -> _Filler:
        return _Filler(self._logs.bootstrap, self._settle)

    def advance(self, targets: Mapping[tuple[str, int], int]) -> None:
        """Make partitions that hold nothing begin at an offset, or go on beyond it already.

        What is interrupted may be repeated: it goes on where it was.

        Parameters
        ----------
        targets
            The offset of the next record, by topic and partition.

        Raises
        ------
        DependencyError
            A partition holds records before that offset, or somebody else writes to it meanwhile.
        """
        found = self._logs.bounds(targets)
        ahead = {place: target for place, target in targets.items() if found[place].begin < target}
        if not ahead:
            return
        self._refuse_records({place: found[place].begin for place in ahead if not found[place].empty})
        with self._deletable({topic for topic, _ in ahead}), answers(self._logs.bootstrap):
            for (topic, partition), target in sorted(ahead.items()):
                self._filler.skip(topic, partition, found[topic, partition].end, target)
            self._logs.delete_before(ahead)

    def write(self, topic: str, partition: int, entries: Sequence[Entry], end: int) -> None:
        """Write records to a partition that holds nothing, each at the very offset that it has.

        Parameters
        ----------
        topic, partition
            Where to; it ends at or before the first record's offset.
        entries
            The records in order of their offsets.
        end
            Offset of the next record that others will write.

        Raises
        ------
        DependencyError
            Somebody else writes to the partition meanwhile.
        """
        first = entries[0].offset if entries else end
        self.advance({(topic, partition): first})
        with answers(self._logs.bootstrap):
            for entry, following in pairwise(entries):
                self._filler.put(topic, partition, entry, following.offset)
            if entries:
                self._filler.put(topic, partition, entries[-1], end)

    def _refuse_records(self, begins: Mapping[tuple[str, int], int]) -> None:
        """Refuse partitions that hold more than what was passed over before an interruption."""
        for (topic, partition), offset in self.first_records(begins).items():
            raise DependencyError(
                f"{topic} partition {partition} holds a record at offset {offset}: it cannot be made to begin later", "use an empty home"
            )

    def first_records(self, begins: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        """Return the offset of the first record from an offset on, of those partitions that hold one and not only what was passed over."""
        found: dict[tuple[str, int], int] = {}
        if not begins:
            return found
        consumer = Consumer(
            client_config(
                self._logs.bootstrap, group_id="quantum-logs", enable_auto_commit=False, isolation_level="read_committed",
                enable_partition_eof=True, fetch_wait_max_ms=20,
            )
        )  # fmt: skip
        try:
            consumer.assign([TopicPartition(topic, partition, offset) for (topic, partition), offset in begins.items()])
            unread = set(begins)
            while unread:
                message = consumer.poll(TIMEOUT_S)
                place = ("", 0) if message is None else (message.topic() or "", message.partition() or 0)
                error = None if message is None else message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(place)
                elif message is None or error is not None:
                    raise RetryError(f"{sorted(unread)} could not be read: {error or 'no answer'}", REMEDY)
                elif place in unread and (message.key() or message.value() is not None):
                    found[place] = message.offset() or 0
                    unread.discard(place)
        finally:
            consumer.close()
        return found

    def _settle(self, topic: str, partition: int, end: int) -> None:
        """Wait until a partition ends at an offset: a transaction's end is written some time after it was answered."""
        deadline = time.monotonic() + TIMEOUT_S
        while (found := self._logs.bounds([(topic, partition)])[topic, partition].end) != end:
            if found > end or time.monotonic() > deadline:
                raise _disturbed((topic, partition), end, found)
            time.sleep(_POLL_S)

    @contextmanager
    def _deletable(self, topics: set[str]) -> Iterator[None]:
        """Let records be deleted before an offset, which a topic that is only compacted does not allow, and nothing by age."""
        before = self._logs.settings(topics)
        barred = {topic: config for topic, config in before.items() if "delete" not in config.get("cleanup.policy", "delete")}
        meanwhile = {"cleanup.policy": "delete", "retention.ms": "-1"}
        self._logs.alter({topic: dict(meanwhile) for topic in barred})
        try:
            yield
        finally:
            self._logs.alter({topic: {name: config.get(name) for name in meanwhile} for topic, config in barred.items()})


class _Filler:
    """Writes at offsets that are chosen, by passing over those before; the only writer of its partitions."""

    def __init__(self, bootstrap: str, settle: Callable[[str, int, int], None]) -> None:
        common = client_config(bootstrap, linger_ms=20, batch_num_messages=1_000_000, batch_size=900_000, compression_type="lz4")
        self._plain = Producer({**common, "enable.idempotence": True})
        self._sender = Producer(
            {**common, "transactional.id": "quantum-logs", "queue.buffering.max.messages": 1_000_000, "message.timeout.ms": 50_000}
        )
        self._sender.init_transactions(TIMEOUT_S)
        self._settle = settle

    def skip(self, topic: str, partition: int, offset: int, target: int) -> None:
        """Pass over the offsets from one to another; one alone is a record without key and value, which its caller deletes."""
        if target - offset == 1:
            self._one(self._plain, topic, partition, None)
            return
        while offset < target:
            now = min(target - offset, _TRANSACTION)
            if target - offset - now == 1:  # a transaction takes two at least: a record and its end
                now -= 1
            self._sender.begin_transaction()
            left = now - 1
            while left:
                left -= self._sender.produce_batch(topic, [{"key": b"", "value": None}] * min(left, _PIECE), partition=partition)
                self._sender.poll(0)
            if self._sender.flush(TIMEOUT_S):
                raise RetryError(f"{topic} could not be written: no answer", REMEDY)
            self._sender.abort_transaction(TIMEOUT_S)
            offset += now
            self._settle(topic, partition, offset)

    def put(self, topic: str, partition: int, entry: Entry, following: int) -> None:
        """Write a record, and pass over the offsets up to the following; one offset is the end of the record's own transaction."""
        if following - entry.offset == 2:
            self._sender.begin_transaction()
            self._one(self._sender, topic, partition, entry)
            self._sender.commit_transaction(TIMEOUT_S)
            self._settle(topic, partition, following)
            return
        self._one(self._plain, topic, partition, entry)
        self.skip(topic, partition, entry.offset + 1, following)

    def _one(self, producer: Producer, topic: str, partition: int, entry: Entry | None) -> None:
        reports: list[tuple[KafkaError | None, int | None]] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            reports.append((error, message.offset()))

        if entry is None:
            producer.produce(topic, None, b"", partition, on_delivery=delivered)
        else:
            producer.produce(
                topic, entry.value, entry.key, partition,
                on_delivery=delivered, timestamp=entry.timestamp_ms, headers=list(entry.headers),
            )  # fmt: skip
        producer.flush(TIMEOUT_S)
        error, offset = reports[0] if reports else (None, None)
        if error is not None or offset is None:
            raise RetryError(f"{topic} could not be written: {error or 'no answer'}", REMEDY)
        if entry is not None and offset != entry.offset:
            raise _disturbed((topic, partition), entry.offset, offset)


def _disturbed(place: tuple[str, int], wanted: int, found: int) -> DependencyError:
    return DependencyError(
        f"{place[0]} partition {place[1]} is at offset {found}, not at {wanted}: somebody else writes to it",
        "end what writes to Kafka, then begin again",
    )
