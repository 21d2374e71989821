"""The consumer: polled only between epochs, so that rebalances never fall into one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from quantum.errors import FencedError, RetryError, StopError

log = logging.getLogger(__name__)

_PASSING = frozenset(
    {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._RESOLVE, KafkaError._MAX_POLL_EXCEEDED}
)
_OUTSIDE_S = 20.0
_TIMES = {"earliest": OFFSET_BEGINNING, "latest": OFFSET_END}


#: Settings of every client: come back fast when a broker does, and leave logging to the error callbacks.
CLIENT = {"retry.backoff.ms": 5, "retry.backoff.max.ms": 20, "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 500, "log_level": 2}


class Reported:
    """Logs a client's errors, the same one at most every few seconds: librdkafka reports each try to reconnect."""

    def __init__(self, every_s: float = 5.0) -> None:
        self._every_s = every_s
        self._at: dict[int, float] = {}

    def warn(self, client: str, error: KafkaError) -> None:
        """Log an error, unless it was logged just now."""
        now = time.monotonic()
        if now - self._at.get(error.code(), -self._every_s) >= self._every_s:
            self._at[error.code()] = now
            log.warning("%s: %s", client, error.str())


@dataclass(slots=True)
class Fetched:
    """What a poll brought: records, or a new assignment, which voids all records polled before.

    Attributes
    ----------
    assigned
        None where the assignment is what it was; otherwise the partitions that are now this worker's, maybe none.
    group
        The group's generation of that assignment, for the transactions under it.
    behind
        The partitions that have more on the broker, where that was asked for.
    """

    messages: list[Message] = field(default_factory=list)
    behind: list[tuple[str, int]] = field(default_factory=list)
    assigned: list[tuple[str, int]] | None = None
    group: Any = None


class Poller:
    """A member of the application's consumer group.

    Parameters
    ----------
    config
        librdkafka's settings of the cluster.
    group
        The group's id.
    instance
        Identity for static membership: a restarted worker gets its partitions back at once. None for none.
    session_timeout_s
        After this silence the group gives the worker's partitions to others.
    topics
        The input topics.
    reset
        ``earliest`` or ``latest``: where a partition begins that has no committed offset.
    """

    def __init__(
        self, config: Mapping[str, Any], group: str, instance: str | None, session_timeout_s: float, topics: Iterable[str], reset: str,
        stopping: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._topics = sorted(topics)
        self._reset = _TIMES[reset]
        self._stopping = stopping
        self._assigned: list[tuple[str, int]] | None = None
        self._group: Any = None
        self._rebalanced = False
        self._member_at = time.monotonic()
        self._reported = Reported()
        settings = {
            **CLIENT,
            "fetch.wait.max.ms": 100,
            "fetch.error.backoff.ms": 20,
            "fetch.queue.backoff.ms": 10,  # where much is waiting a full queue would otherwise stop fetching for a second, and then run dry
            "queued.max.messages.kbytes": 65_536,
            "max.poll.interval.ms": 600_000,
            "socket.timeout.ms": int(
                session_timeout_s * 1000
            ),  # a connection that died without a word is given up then, not after a minute
            **config,
            "group.id": group,
            "group.protocol": "classic",
            "partition.assignment.strategy": "range",
            "session.timeout.ms": int(session_timeout_s * 1000),
            "heartbeat.interval.ms": int(min(1.0, session_timeout_s / 6) * 1000),
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": reset,
            "error_cb": self._on_error,
        }
        self._bystander = dict(settings)
        if instance is not None:
            settings["group.instance.id"] = instance
        self._consumer = Consumer(settings)
        self._consumer.subscribe(self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    def _on_error(self, error: KafkaError) -> None:
        self._reported.warn("consumer", error)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        member = consumer.memberid()
        self._group = consumer.consumer_group_metadata()
        current = bool(member) and member == consumer.memberid()
        self._assigned = [(each.topic, each.partition) for each in partitions] if current else []
        self._rebalanced = True
        consumer.assign([])

    def _on_revoke(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._assigned = []
        self._rebalanced = True
        consumer.unassign()

    def poll(self, wait_s: float, limit: int) -> Fetched:
        """Wait for records, and take what has been fetched already, up to ``limit``.

        Raises
        ------
        FencedError
            Another process has this worker's identity, or this consumer has long been no member of its group.
        """
        self._rebalanced = False
        messages: list[Message] = []
        first = self._consumer.poll(wait_s)
        if first is not None:
            messages.append(first)
            if limit > 1:
                messages += self._consumer.consume(limit - 1, 0)
        failed = [message for message in messages if message.error() is not None]
        if failed:
            self._judge(failed)
            messages = [message for message in messages if message.error() is None]
        if not self._assigned:
            self._check_membership()
        if self._rebalanced:
            return Fetched(assigned=self._assigned, group=self._group)
        return Fetched(messages)

    def _check_membership(self) -> None:
        """Raise where this consumer has long been no member of its group: librdkafka has then given up joining."""
        now = time.monotonic()
        if self._consumer.memberid():
            self._member_at = now
        elif now - self._member_at > _OUTSIDE_S:
            raise FencedError(f"no member of the group for {_OUTSIDE_S:.0f} s", "look at the broker's log if it happens again")

    def _judge(self, failed: list[Message]) -> None:
        for message in failed:
            error = message.error()
            assert error is not None
            if error.code() in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID) or error.fatal():
                raise FencedError(f"the consumer ended: {error.str()}", "give every worker an identity of its own (worker=...)")
            if error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED):
                raise StopError(f"Kafka refuses: {error.str()}", "give this user the rights to read its topics and its group")
            if error.code() not in _PASSING:
                log.warning("consumer: %s", error.str())

    def committed(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, str]]:
        """Return the committed offset and its metadata of partitions; waits for transactions that could still change them.

        Asked again it is through a client that is no member of the group: one that was fenced never gets an answer.

        Raises
        ------
        RetryError
            The worker wants to stop and Kafka does not answer.
        """
        wanted = [TopicPartition(topic, partition) for topic, partition in partitions]
        asked = self._consumer
        try:
            while wanted:
                try:
                    answer = asked.committed(wanted, 2.0)
                    errors = [each.error for each in answer if each.error is not None]
                    if not errors:
                        return {(each.topic, each.partition): (each.offset, each.metadata or "") for each in answer}
                    problem: object = errors[0]
                except KafkaException as raised:
                    problem = raised.args[0]
                if self._stopping():
                    raise RetryError(f"committed offsets cannot be read: {problem}", "start the broker")
                log.info("committed offsets are not stable yet: %s", problem)
                time.sleep(0.05)
                if asked is self._consumer:
                    asked = Consumer(self._bystander)
        finally:
            if asked is not self._consumer:
                asked.close()
        return {}

    def edge(self, topic: str, partition: int) -> int:
        """Return where a partition begins that has no committed offset."""
        while True:
            try:
                low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=2.0)
            except KafkaException as raised:
                if self._stopping():
                    raise RetryError(f"the ends of {topic} cannot be read: {raised.args[0].str()}", "start the broker") from raised
                time.sleep(0.05)
            else:
                return low if self._reset == OFFSET_BEGINNING else high

    def start(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Begin to read the assigned partitions at offsets."""
        self._consumer.assign([TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()])

    def lag(self, positions: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        """Return how far the ends known from the last fetch are beyond positions."""
        ends = {}
        for (topic, partition), position in positions.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            if high not in (OFFSET_INVALID, None) and position >= 0:
                ends[topic, partition] = max(0, high - position)
        return ends

    def behind(self) -> list[tuple[str, int]]:
        """Return the assigned partitions that have more on the broker, by what is known of their ends, than was polled."""
        more: list[tuple[str, int]] = []
        assigned = self._consumer.assignment()
        for position in self._consumer.position(assigned) if assigned else ():
            _, high = self._consumer.get_watermark_offsets(position, cached=True)
            if high < 0 or position.offset < high:
                more.append((position.topic, position.partition))
        return more

    @property
    def member(self) -> str:
        """What the group calls this process; empty while it is no member."""
        return self._consumer.memberid() or ""

    def close(self) -> None:
        """Leave; a static member keeps its place until it is removed."""
        self._consumer.close()
