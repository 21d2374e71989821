"""Carries topics into the tables of the history store, each record exactly once, by any number of sinks."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Sequence
from itertools import groupby

from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.clickhouse import metrics
from connectors.clickhouse.dead_letters import DeadLetters
from connectors.clickhouse.decode import TableBehindError
from connectors.clickhouse.flights import Flights
from connectors.clickhouse.held import HOLD_S, Held
from connectors.clickhouse.lane import MAX_ROWS, Lane, RecordsNeededError
from connectors.clickhouse.makers import row_maker
from connectors.clickhouse.progress import Progress
from connectors.clickhouse.records import offset_of
from connectors.clickhouse.resume import Place, Resumption, Start
from connectors.clickhouse.store import Store
from connectors.clickhouse.tables import TopicTable
from connectors.kafka.config import client_config
from connectors.kafka.logs import Logs
from quantum.errors import ConfigurationError, RetryError
from schemas.codec import SchemaIds

log = logging.getLogger(__name__)

_BATCH = 1_000
"""Messages of one call: more of them fall out of the processor's caches before they are used."""
_POLL_S = 0.1
_BACKOFF_S = (0.2, 5.0)
_MAX_BYTES = 96_000_000
"""Of records in memory, pending and on their way; where there are more, reading waits."""
_REFUSED_S = 10.0
"""How long a partition whose topic ends before its table waits until both are looked at again."""
_BEHIND_S = 2.0
"""Longest wait for a long block while there is more to read than has been read; short ones keep to the sink's delay."""
_LONG = MAX_ROWS // 10
_MAX_FLYING = 2 * MAX_ROWS
"""Records on their way into the store behind which others wait: more rows a block are better than more blocks in a queue."""
_GC_THRESHOLD = 100_000
"""Records are many objects that no cycle holds, and most live for a moment; looking for cycles among them would be a fifth of the work."""


class Sink:
    """One sink.

    One thread reads and decides, and goes on reading while others store, at most one flush a lane at a time. What it owns is a set
    of lanes (see ``connectors.clickhouse.lane``, which says how each record becomes exactly one row). A lane lives from an assignment
    to the first trouble: a rebalance, an error of the store, a pause of the process so long that the group may have given its
    partitions away. Then its rows are forgotten, what is being stored ends as it may, and after that new lanes start behind the
    tables' ends. Offsets are committed to Kafka only so that others see the lag.

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
        tables: Sequence[TopicTable],
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
            raise ConfigurationError("two tables for one topic", "give every topic one table")
        self._store = Store(client_factory)
        self._resumption = Resumption(self._store, Logs(bootstrap))
        self._makers = {spec.topic: row_maker(spec, ids, self._store) for spec in tables}
        self._dead_letters = dead_letters
        self._max_delay_s = max_delay_s
        self._stall_s = session_s / 3
        self._config = client_config(
            bootstrap,
            group_id=group,
            client_id=client_id,
            enable_auto_commit=False,
            auto_offset_reset="error",
            isolation_level="read_committed",
            partition_assignment_strategy="range",
            session_timeout_ms=int(session_s * 1000),
            queued_max_messages_kbytes=8_192,
            queued_min_messages=50_000,
            fetch_queue_backoff_ms=20,
            fetch_wait_max_ms=100,
        )
        self._lanes: dict[Place, Lane] = {}
        self._held = Held()
        self._flights = Flights(self._stalled)
        self._keep_records: set[Place] = set()
        self._owned: list[Place] = []
        self._disturbed = False
        self._behind = False
        self._trouble = 0
        self._retry_at = 0.0
        self._last_poll = 0.0
        self._progress = Progress()

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
        consumer.subscribe(list(self._specs), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        self._last_poll = time.monotonic()
        try:
            while not stop.is_set():
                self._turn(consumer)
            self._end(consumer)
        finally:
            self._flights.close()
            self._store.close()
            consumer.close()

    def _end(self, consumer: Consumer) -> None:
        """Store what has been read."""
        try:
            self._land(consumer, everything=True)
            self._launch(consumer, everything=True)
            self._land(consumer, everything=True)
        except RetryError as error:
            log.warning("%s; the last records are left to the next sink", error)
        self._progress.commit(consumer, now=True)

    def _turn(self, consumer: Consumer) -> None:
        """Read what has come, store what is due."""
        messages = self._read(consumer)
        now = time.monotonic()
        if self._disturbed:  # the messages may be of partitions as they were before: read them again, from the table's end
            self._disturbed = False
            self._forget(consumer)
            return
        if not self._lanes and not self._held and self._owned:
            self._land(consumer)
            if now >= self._retry_at and not self._flights:
                self._begin(consumer)
            return
        try:
            self._take(consumer, messages, now)
            self._land(consumer)
            self._launch(consumer)
            self._release(consumer)
        except RetryError as error:  # the registry or the store is away
            self._wait(error)
            self._forget(consumer)
        self._progress.commit(consumer)
        self._progress.measure(consumer, self._lanes.values(), self._flights.counts())

    def _read(self, consumer: Consumer) -> list[Message]:
        """Poll; a long time since the last poll means that the partitions may be another's by now."""
        if self._flights and self._in_memory() > _MAX_BYTES:
            self._flights.wait(_POLL_S, one=True)
            return []
        stalled = self._stalled()
        messages = consumer.consume(_BATCH, 0)
        if not messages:
            first = consumer.poll(_POLL_S)
            messages = [] if first is None else [first, *consumer.consume(_BATCH, 0)]
        self._last_poll = time.monotonic()
        self._behind = len(messages) >= _BATCH
        if stalled:
            log.warning("this process stood still for more than %.0f s: reading the tables' ends again", self._stall_s)
            self._disturbed = True
        return messages

    def _stalled(self) -> bool:
        return time.monotonic() - self._last_poll > self._stall_s

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [(each.topic, each.partition) for each in partitions]
        self._owned = [place for place in places if place[1] == 0 or not self._specs[place[0]].first_partition_only]
        self._disturbed = True
        consumer.assign([])

    def _revoked(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._flights.wait(self._stall_s)  # the next owner then finds a table that does not move
        self._owned = []
        self._disturbed = True
        consumer.unassign()

    def _lost(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._owned = []
        self._disturbed = True
        consumer.unassign()

    def _forget(self, consumer: Consumer) -> None:
        """Drop every lane; when what is on its way has ended a later turn begins anew."""
        self._lanes.clear()
        self._held.forget()
        self._progress.forget()
        self._flights.cancel()
        if self._owned:
            consumer.assign([])

    def _begin(self, consumer: Consumer) -> None:
        """Make a lane for every partition owned, behind its table's end."""
        try:
            starts = self._resumption.starts(self._specs, self._owned)
        except RetryError as error:
            self._wait(error)
            return
        positions = [TopicPartition(*place, start.position) for place, start in starts.items()]
        consumer.assign(positions)
        consumer.resume(positions)  # one that was held is read again
        for place, start in starts.items():
            self._start(consumer, place, start)
        self._trouble = 0
        log.info("carrying %d partitions", len(self._lanes))

    def _start(self, consumer: Consumer, place: Place, start: Start) -> bool:
        """Make a partition's lane, or have it wait where its topic ends before its table; returns whether it has a lane."""
        if start.refused is not None:
            self._held.hold(consumer, place, start.refused, _REFUSED_S)
            return False
        spec, partition = self._specs[place[0]], place[1]
        self._lanes[place] = Lane(
            spec, partition, self._makers[spec.topic], self._store, self._dead_letters, start.end, place in self._keep_records
        )
        return True

    def _hold(self, consumer: Consumer, lane: Lane, error: TableBehindError) -> None:
        del self._lanes[lane.spec.topic, lane.partition]
        self._held.hold(consumer, (lane.spec.topic, lane.partition), error, HOLD_S)

    def _release(self, consumer: Consumer) -> None:
        """Read partitions that were held again, behind their tables' ends, when what they had on its way has ended."""
        due = self._held.due(self._flights.places)
        if due:
            for place, start in self._resumption.starts(self._specs, due).items():
                if self._start(consumer, place, start):
                    self._held.release(consumer, place, start.position)

    def _take(self, consumer: Consumer, messages: list[Message], now: float) -> None:
        """Hand messages to their lanes."""
        errors = [error for error in map(Message.error, messages) if error is not None]
        if errors:
            messages = [message for message in messages if message.error() is None]
        for error in errors:
            if error.fatal():
                raise KafkaException(error)
            log.warning("Kafka: %s", error.str())
            self._disturbed |= error.code() == KafkaError._AUTO_OFFSET_RESET  # the topic begins later, or ends earlier, than was seen
        first = 0
        for place, group in groupby(zip(map(Message.topic, messages), map(Message.partition, messages), strict=True)):
            after = first + len(list(group))
            lane = self._lanes.get(place)  # type: ignore[arg-type]  # a message that is no error has a topic and a partition
            if lane is not None and offset_of(messages[first]) <= lane.seen:
                log.warning("%s, partition %s, goes back to offset %s: looking where it begins and ends", *place, messages[first].offset())
                self._disturbed = True
            elif lane is not None:
                try:
                    lane.extend(messages[first:after], now)
                except TableBehindError as error:
                    self._hold(consumer, lane, error)
            first = after

    def _launch(self, consumer: Consumer, *, everything: bool = False) -> None:
        """Send the lanes off that are due: old enough, long enough, or all when together they hold too much."""
        now = time.monotonic()
        full = everything or self._in_memory() > _MAX_BYTES
        flying = self._flights.counts()
        waiting = [lane for lane in self._lanes.values() if lane.count and id(lane) not in flying]
        due = [lane for lane in waiting if full or lane.count >= MAX_ROWS or now - lane.since >= self._delay(lane)]
        records = self._flights.records
        for lane in sorted(due, key=lambda lane: lane.since):
            if records >= _MAX_FLYING and not everything:
                break
            try:
                load = lane.take()
            except TableBehindError as error:
                self._hold(consumer, lane, error)
                continue
            records += load.count
            self._flights.launch(lane, load)

    def _land(self, consumer: Consumer, *, everything: bool = False) -> None:
        """See what has become of what is on its way, where that is known by now; or wait until all of it is."""
        trouble: Exception | None = None
        for landed in self._flights.landed(everything=everything):
            place = landed.lane.spec.topic, landed.lane.partition
            if landed.trouble is not None:
                trouble = landed.trouble
                if isinstance(trouble, RecordsNeededError):
                    self._keep_records.add(place)
            elif landed.done is not None and self._lanes.get(place) is landed.lane:
                self._progress.reached(*place, landed.done.next_offset)
        if trouble is not None:
            self._wait(trouble)
            self._forget(consumer)

    def _delay(self, lane: Lane) -> float:
        """Return how long a lane's records wait for more."""
        return max(_BEHIND_S, self._max_delay_s) if self._behind and lane.count >= _LONG else self._max_delay_s

    def _in_memory(self) -> int:
        """Return the bytes of what is in memory, to be stored or being stored."""
        return sum(lane.size for lane in self._lanes.values()) + self._flights.size

    def _wait(self, error: Exception) -> None:
        """Note a trouble and when to try again, later each time; polling goes on, so that the group keeps its member."""
        first, longest = _BACKOFF_S
        delay = min(first * 2.0**self._trouble, longest)
        self._trouble += 1
        self._retry_at = time.monotonic() + delay
        metrics.TROUBLES.inc()
        log.warning("%s; again in %.1f s", error, delay)
