"""The transactional producer: the only owner of transaction state.

A transaction is open only while an epoch commits. Everything that the epoch's agents sent was kept until then, so that an
agent that fails needs no abort, and a transaction that the broker aborted is written again without running the agents.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from processors.runtime.faults import Faults
from processors.runtime.poller import CLIENT, Reported
from processors.runtime.topics import Outgoing
from quantum.errors import ConfigurationError, RetryError

log = logging.getLogger(__name__)

_FENCED = frozenset({
    KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.FENCED_INSTANCE_ID, KafkaError.REBALANCE_IN_PROGRESS,
})  # fmt: skip
_NOWHERE = frozenset({KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART})
_CONTENT = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD, KafkaError.RECORD_LIST_TOO_LARGE})


class Outcome(Enum):
    """What became of a transaction."""

    COMMITTED = auto()
    ABORTED = auto()  # nothing was written; the same content can be written again
    UNKNOWN = auto()  # the commit was asked for and not answered: renew the producer, then read the committed offsets
    FENCED = auto()  # this worker's assignment is not current any more
    REFUSED = auto()  # the broker will never take a record of it


@dataclass(slots=True)
class Work:
    """What one epoch commits.

    Attributes
    ----------
    epoch
        Names the epoch: written beside its offsets, so that they tell whether it was committed.
    """

    epoch: str
    records: list[Outgoing] = field(default_factory=list)
    offsets: list[TopicPartition] = field(default_factory=list)
    group: Any = None


class Committer:
    """Commits epochs.

    Parameters
    ----------
    config
        librdkafka's settings of the cluster (servers, security).
    transactional_id
        Stable for a worker, so that a new process ends what the one before left open.
    timeout_s
        After this time the broker aborts a transaction whose producer is silent.
    stopping
        Whether the worker wants to stop: then calls are not repeated for ever.
    """

    def __init__(
        self, config: Mapping[str, Any], transactional_id: str, timeout_s: float, stopping: Callable[[], bool], faults: Faults
    ) -> None:
        self._config = {
            **CLIENT,
            "linger.ms": 0,
            "topic.metadata.propagation.max.ms": 5_000,
            "queue.buffering.max.messages": 2_000_000,
            "queue.buffering.max.kbytes": 1_048_576,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            **config,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": int(timeout_s * 1000),
            "error_cb": self._on_error,
            "on_delivery": self._on_delivery,
            "delivery.report.only.error": True,
        }
        self._timeout_s = timeout_s
        self._stopping = stopping
        self._faults = faults
        self._producer: Producer | None = None
        self._shaken = False
        self._reported = Reported()
        self._undelivered: tuple[KafkaError, str] | None = None
        self.cause = ""

    def _on_error(self, error: KafkaError) -> None:
        self._shaken = True
        self._reported.warn("producer", error)

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._undelivered is None:
            self._undelivered = (error, str(message.topic()))

    def renew(self) -> None:
        """Make the producer anew and end what its transactional id left open; blocks until the broker answers.

        Raises
        ------
        RetryError
            The worker wants to stop and the broker is still away.
        KafkaException
            The broker refuses the producer.
        """
        self._producer = None
        while True:
            producer = Producer(self._config)
            try:
                self._patiently(producer.init_transactions)
            except KafkaException as raised:
                error = raised.args[0]
                if not error.fatal() and not error.retriable() and error.code() not in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT):
                    raise
                if self._stopping():
                    raise RetryError(f"Kafka does not answer: {error.str()}", "start the broker") from raised
                log.warning("init_transactions: %s; trying again", error.str())
                time.sleep(0.2)
                continue
            self._producer, self._shaken = producer, False
            return

    def _patiently(self, call: Callable[[float], Any], limit_s: float = float("inf")) -> None:
        """Repeat a call while its error is one that asks for repetition."""
        deadline = time.monotonic() + limit_s
        while True:
            try:
                call(2.0)
            except KafkaException as raised:
                if not raised.args[0].retriable() or time.monotonic() > deadline:
                    raise
                if self._stopping():
                    raise RetryError(f"Kafka does not answer: {raised.args[0].str()}", "start the broker") from raised
                self._shaken = True
                time.sleep(0.05)
            else:
                return

    def commit(self, work: Work) -> Outcome:
        """Commit an epoch.

        1. Renew the producer if the last transaction was not clean; begin.
        2. Write the epoch's records, outputs and changelogs alike.
        3. Add the input offsets under the group's generation of this assignment: a worker that lost it is refused here.
        4. Ask for the commit. The answer decides; without one the outcome is unknown until the producer is renewed.
        """
        if self._producer is None or self._shaken:
            self.renew()
        assert self._producer is not None
        producer = self._producer
        started = time.monotonic()
        self._undelivered = None
        try:
            producer.begin_transaction()
            self._faults.reach("begun")
            self._write(producer, work.records)
            self._faults.reach("produced")
            if work.offsets:
                self._patiently(lambda wait: producer.send_offsets_to_transaction(work.offsets, work.group, wait))
            self._faults.reach("offsets")
        except (KafkaException, RetryError) as raised:
            return self._failed(producer, raised, asked=False)
        try:
            self._patiently(producer.commit_transaction, self._timeout_s)
        except (KafkaException, RetryError) as raised:
            return self._failed(producer, raised, asked=True)
        self._faults.reach("committed")
        if time.monotonic() - started > self._timeout_s / 2:
            self._shaken = True
        return Outcome.COMMITTED

    def _write(self, producer: Producer, records: list[Outgoing]) -> None:
        produce: Any = producer.produce
        for topic, partition, key, value, headers, timestamp in records:
            while True:
                try:
                    if headers is None:
                        produce(topic, value, key, partition, timestamp=timestamp)
                    else:
                        produce(topic, value, key, partition, timestamp=timestamp, headers=headers)
                except BufferError:
                    producer.poll(0.01)
                else:
                    break

    def _failed(self, producer: Producer, raised: Exception, *, asked: bool) -> Outcome:
        """Abort, or give the producer up; say what is known of the transaction."""
        if isinstance(raised, RetryError):
            self.cause, self._producer = "stopping", None
            return Outcome.UNKNOWN if asked else Outcome.ABORTED
        error: KafkaError = raised.args[0]
        why, topic = self._undelivered or (error, "")
        self.cause = why.name()
        log.warning("transaction failed: %s %s %s", error.str(), topic, why.str() if why is not error else "")
        outcome = Outcome.FENCED if error.code() in _FENCED else Outcome.REFUSED if why.code() in _CONTENT else Outcome.ABORTED
        if error.fatal() or (asked and not error.txn_requires_abort()):
            self._producer = None
            return Outcome.UNKNOWN if asked else outcome
        try:
            producer.purge()
            self._patiently(producer.abort_transaction, self._timeout_s)
        except (KafkaException, RetryError) as again:
            log.warning("abort failed: %s", again)
            self._producer = None
            return Outcome.UNKNOWN if asked else outcome
        if why.code() in _NOWHERE:
            raise ConfigurationError(
                f"a record was sent to {topic or 'a topic'}, which does not exist or lacks the partition", "create the topic"
            )
        return outcome

    def close(self) -> None:
        """Let the producer go; no transaction is open between epochs."""
        self._producer = None
