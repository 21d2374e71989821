"""Carries topics into the tables of the history store, each record exactly once, by any number of sinks."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from connectors.clickhouse import metrics
from connectors.clickhouse.dead_letters import DeadLetters
from connectors.clickhouse.decode import Decoder, Raw
from connectors.clickhouse.lane import MAX_ROWS, Flushed, Lane
from connectors.clickhouse.store import Store
from connectors.clickhouse.tables import TableSpec
from connectors.kafka.config import client_config
from quantum.errors import ConfigurationError, FencedError, RetryError
from schemas.codec import SchemaIds

log = logging.getLogger(__name__)

_BATCH = 10_000
_POLL_S = 0.1
_BACKOFF_S = (0.2, 5.0)
_MAX_BYTES = 48_000_000
_FLUSHERS = 2
"""One decodes while the other waits for the store."""
_COMMIT_EVERY_S = 2.0
_LAG_EVERY_S = 5.0
_GC_THRESHOLD = 100_000
"""Rows are many objects that no cycle holds; looking for cycles among them costs a third of the throughput."""


class Sink:
    """One sink.

    One thread reads and decides; flushes of one turn run side by side and end within it. What it owns is a set of lanes (see
    ``connectors.clickhouse.lane``, which says how each record becomes exactly one row). A lane lives from an assignment to the
    first trouble: a rebalance, an error of the store, a pause of the process so long that the group may have given its
    partitions away. Then its rows are forgotten and a new lane starts behind the table's end. Offsets are committed to Kafka
    only so that others see the lag.

    Parameters
    ----------
    bootstrap
        Kafka's bootstrap servers.
    group
        Consumer group that the sinks share.
    tables
        The topics to carry, with their tables.
    client_factory
        Makes a client of the history store; raises RetryError while it is away.
    ids
        The schema registry.
    dead_letters
        Takes the records that cannot be kept.
    max_delay_s
        Longest time that a record waits for others, seconds.
    session_s
        How long the group waits for a sink that is silent before others get its partitions, seconds.
    client_id
        Name of this sink in Kafka's logs and group.
    """

    def __init__(
        self,
        bootstrap: str,
        group: str,
        tables: Sequence[TableSpec],
        client_factory: Callable[[], Client],
        ids: SchemaIds,
        dead_letters: DeadLetters,
        *,
        max_delay_s: float = 0.7,
        session_s: float = 30.0,
        client_id: str = "quantum-sink",
    ) -> None:
        self._specs = {spec.topic: spec for spec in tables}
        if len(self._specs) != len(tables):
            raise ConfigurationError("two tables for one topic", "give every topic one TableSpec")
        self._decoders = {spec.topic: Decoder(spec, ids) for spec in tables}
        self._store = Store(client_factory)
        self._dead_letters = dead_letters
        self._max_delay_s = max_delay_s
        self._stall_s = session_s / 3
        self._config = client_config(
            bootstrap,
            group_id=group,
            client_id=client_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            partition_assignment_strategy="range",
            session_timeout_ms=int(session_s * 1000),
            queued_max_messages_kbytes=32_768,
            queued_min_messages=100_000,
            fetch_queue_backoff_ms=20,
            fetch_wait_max_ms=100,
        )
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._owned: list[TopicPartition] = []
        self._flushers = ThreadPoolExecutor(_FLUSHERS, "flush")
        self._disturbed = False
        self._trouble = 0
        self._retry_at = 0.0
        self._last_poll = 0.0
        self._committed_at = 0.0
        self._measured_at = 0.0
        self._to_commit: dict[tuple[str, int], int] = {}

    def run(self, stop: threading.Event) -> None:
        """Carry records until ``stop`` is set; what has been read by then is stored first.

        Raises
        ------
        ConfigurationError
            A table is missing, or the store refuses the user.
        """
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD, 20, 100)
        consumer = Consumer(self._config)
        consumer.subscribe(list(self._specs), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
        self._last_poll = time.monotonic()
        try:
            while not stop.is_set():
                self._turn(consumer)
            self._flush(consumer, everything=True)
            self._commit(consumer, now=True)
        finally:
            self._flushers.shutdown()
            self._store.close()
            consumer.close()

    def _turn(self, consumer: Consumer) -> None:
        """Read what has come, store what is due."""
        messages = self._read(consumer)
        now = time.monotonic()
        if self._disturbed:  # the messages may be of partitions as they were before: read them again, from the table's end
            self._disturbed = False
            self._forget(consumer)
            return
        if not self._lanes and self._owned:
            if now >= self._retry_at:
                self._begin(consumer)
            return
        self._take(messages, now)
        self._flush(consumer)
        self._commit(consumer)
        self._measure(consumer)

    def _read(self, consumer: Consumer) -> list[Message]:
        """Poll; a long time since the last poll means that the partitions may be another's by now."""
        stalled = time.monotonic() - self._last_poll > self._stall_s
        messages = consumer.consume(_BATCH, 0)
        if not messages:
            first = consumer.poll(_POLL_S)
            messages = [] if first is None else [first, *consumer.consume(_BATCH, 0)]
        self._last_poll = time.monotonic()
        if stalled:
            log.warning("this process stood still for more than %.0f s: reading the tables' ends again", self._stall_s)
            self._disturbed = True
        return messages

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._owned = [each for each in partitions if each.partition == 0 or not self._specs[each.topic].first_partition_only]
        self._disturbed = True
        consumer.assign([])

    def _revoked(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._owned = []
        self._disturbed = True
        consumer.unassign()

    def _forget(self, consumer: Consumer) -> None:
        """Drop every lane; the next turn begins anew."""
        self._lanes.clear()
        self._to_commit.clear()
        if self._owned:
            consumer.assign([])

    def _begin(self, consumer: Consumer) -> None:
        """Make a lane for every partition owned, behind its table's end."""
        lanes: dict[tuple[str, int], Lane] = {}
        try:
            for topic in sorted({each.topic for each in self._owned}):
                spec = self._specs[topic]
                ends = self._store.ends(spec, [each.partition for each in self._owned if each.topic == topic])
                for partition, end in ends.items():
                    lanes[topic, partition] = Lane(spec, partition, self._decoders[topic], self._store, self._dead_letters, end)
        except RetryError as error:
            self._wait(error)
            return
        consumer.assign([TopicPartition(topic, partition, lane.end + 1) for (topic, partition), lane in lanes.items()])
        self._lanes = lanes
        self._trouble = 0
        log.info("carrying %d partitions", len(lanes))

    def _take(self, messages: list[Message], now: float) -> None:
        """Hand messages to their lanes."""
        groups: dict[tuple[str | None, int | None], list[Message]] = defaultdict(list)
        for message in messages:
            error = message.error()
            if error is None:
                groups[message.topic(), message.partition()].append(message)
            elif error.fatal():
                raise KafkaException(error)
            else:
                log.warning("Kafka: %s", error.str())
        for (topic, partition), group in groups.items():
            lane = None if topic is None or partition is None else self._lanes.get((topic, partition))
            if lane is not None:
                lane.extend([_raw(lane.partition, message) for message in group], now)

    def _flush(self, consumer: Consumer, *, everything: bool = False) -> None:
        """Store the lanes that are due: old enough, long enough, or all when together they hold too much."""
        now = time.monotonic()
        full = everything or sum(lane.size for lane in self._lanes.values()) > _MAX_BYTES
        due = [
            lane
            for lane in self._lanes.values()
            if lane.pending and (full or len(lane.pending) >= MAX_ROWS // 2 or now - lane.since >= self._max_delay_s)
        ]
        troubles: list[RetryError | FencedError] = []
        for lane, flushing in [(lane, self._flushers.submit(self._flush_lane, lane)) for lane in due]:
            try:
                done = flushing.result()
            except (RetryError, FencedError) as error:
                troubles.append(error)
                continue
            if done is not None:
                self._to_commit[lane.spec.topic, lane.partition] = done.next_offset
        if troubles:
            self._wait(troubles[0])
            self._forget(consumer)

    def _flush_lane(self, lane: Lane) -> Flushed | None:
        """Flush a lane, unless the partitions may be another's by now: then the next turn sees the stall and begins anew."""
        if time.monotonic() - self._last_poll > self._stall_s:
            return None
        with metrics.FLUSH_SECONDS.labels(lane.spec.table).time():
            done = lane.flush()
        metrics.ROWS.labels(lane.spec.table).inc(done.rows)
        metrics.BATCHES.labels(lane.spec.table).inc()
        if done.rejected:
            metrics.DEAD_LETTERS.labels(lane.spec.topic).inc(done.rejected)
            log.warning("%s: %d records cannot be kept; they are on %s", lane.spec.topic, done.rejected, lane.spec.dead_letters)
        return done

    def _wait(self, error: Exception) -> None:
        """Note a trouble and when to try again, later each time; polling goes on, so that the group keeps its member."""
        first, longest = _BACKOFF_S
        delay = min(first * 2.0**self._trouble, longest)
        self._trouble += 1
        self._retry_at = time.monotonic() + delay
        metrics.TROUBLES.inc()
        log.warning("%s; again in %.1f s", error, delay)

    def _commit(self, consumer: Consumer, *, now: bool = False) -> None:
        """Tell Kafka how far the tables are, for whoever looks at the group's lag."""
        if not self._to_commit or (not now and time.monotonic() - self._committed_at < _COMMIT_EVERY_S):
            return
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in self._to_commit.items()]
        try:
            if now:
                consumer.commit(offsets=offsets, asynchronous=False)
            else:
                consumer.commit(offsets=offsets)
        except KafkaException as error:
            log.info("offsets are not committed (only the lag shown is older): %s", error)
        self._to_commit.clear()
        self._committed_at = time.monotonic()

    def _measure(self, consumer: Consumer) -> None:
        """Set the lag metric from what the last fetches told."""
        if time.monotonic() - self._measured_at < _LAG_EVERY_S:
            return
        self._measured_at = time.monotonic()
        for place in consumer.position([TopicPartition(topic, partition) for topic, partition in self._lanes]):
            lane = self._lanes[place.topic, place.partition]
            low, high = consumer.get_watermark_offsets(place, cached=True)
            if high >= 0:
                begin = place.offset if place.offset >= 0 else max(low, lane.end + 1)
                metrics.LAG.labels(place.topic, str(place.partition)).set(max(high - begin, 0) + len(lane.pending))


def _raw(partition: int, message: Message) -> Raw:
    headers = message.headers() or ()
    pairs = tuple(headers.items()) if isinstance(headers, dict) else headers
    offset = message.offset()
    if offset is None:
        raise TypeError("a message without an error has an offset")
    return Raw(partition, offset, message.timestamp()[1], message.key(), message.value(), pairs)
