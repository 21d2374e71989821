"""The transactional producer: the only owner of transaction state.

A transaction is open only while an epoch commits. Everything that the epoch's agents sent was kept until then, so that an
agent that fails needs no abort, and a transaction that the broker aborted is written again without running the agents.

librdkafka's transactions all have the epoch of their producer (KIP-890's new epoch for each needs a client that takes part), so a
request that was delayed, EndTxn above all, would act upon a later transaction of the same producer. Therefore a producer is used again
only after a commit, and only while every request that it has sent was answered: each connection answers in order, so none can be under
way as long as no connection has failed. Otherwise a new producer takes its place, whose InitProducerId raises the epoch: what comes
late is refused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from processors.runtime.api.topics import Outgoing
from processors.runtime.epochs.faults import Faults
from processors.runtime.kafka.connections import Connections
from processors.runtime.kafka.handle import Handle
from processors.runtime.kafka.poller import CLIENT, Reported
from quantum.errors import ConfigurationError, RetryError

log = logging.getLogger(__name__)

#: How long a request may go without an answer before its connection is given up; the commit's before its outcome is asked for.
ANSWER_S = 3.0
#: How long records may wait for an answer after a connection was lost.
_STALLED_S = 2 * ANSWER_S
#: How long a new producer may take to end what its transactional id left open, before another one tries.
_INIT_S = 10.0

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
            "retry.backoff.ms": 1,  # of what is refused because the request before has not been worked through yet
            "linger.ms": 0,
            "topic.metadata.propagation.max.ms": 5_000,
            "queue.buffering.max.messages": 2_000_000,
            "queue.buffering.max.kbytes": 1_048_576,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "socket.timeout.ms": int(min(ANSWER_S, timeout_s / 2) * 1000),
            **config,
            **Connections.SETTINGS,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": int(timeout_s * 1000),
            "error_cb": self._on_error,
            "on_delivery": self._on_delivery,
            "delivery.report.only.error": True,
        }
        self._timeout_s = timeout_s
        self._stopping = stopping
        self._faults = faults
        self._producer: Handle | None = None
        self._reported = Reported()
        self._undelivered: tuple[KafkaError, str] | None = None
        self.cause = ""

    def _on_error(self, error: KafkaError) -> None:
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
        self.close()
        while True:
            producer = Handle(self._config)
            try:
                self._patiently(partial(producer.call, "init_transactions"), _INIT_S)
                producer.call("poll", 0)
            except KafkaException as raised:
                error = raised.args[0]
                if not error.fatal() and not error.retriable() and error.code() not in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT):
                    raise
                problem = error.str()
            else:
                if not producer.connections.lost:
                    self._producer = producer
                    return
                problem = "a connection was lost"
            producer.drop()
            if self._stopping():
                raise RetryError(f"Kafka does not answer: {problem}", "start the broker")
            log.warning("init_transactions: %s; trying again", problem)
            time.sleep(0.2)

    def _patiently(self, call: Callable[[float], Any], limit_s: float) -> None:
        """Repeat a call while its error is one that asks for repetition.

        Not for ever: after a broker was away librdkafka may ask for it although it has given up what the call waits for.
        """
        deadline = time.monotonic() + limit_s
        while True:
            try:
                call(2.0)
            except KafkaException as raised:
                if not raised.args[0].retriable() or time.monotonic() > deadline:
                    raise
                if self._stopping():
                    raise RetryError(f"Kafka does not answer: {raised.args[0].str()}", "start the broker") from raised
                time.sleep(0.05)
            else:
                return

    def serve(self) -> None:
        """Hear what librdkafka has to say; unheard, its log grows while the broker is away, and its threads get slower with it."""
        if self._producer is not None:
            try:
                self._producer.call("poll", 0)
            except KafkaException as raised:  # fatal, between transactions: another process has the transactional id
                log.warning("the producer has ended: %s", raised.args[0].str())
                self.close()

    def _ready(self) -> Handle:
        """Return a producer of which no request is under way."""
        self.serve()
        if self._producer is None or self._producer.connections.lost:
            if self._producer is not None:
                log.info("a connection was lost with requests that may still arrive: the producer is made anew")
            self.renew()
        assert self._producer is not None
        return self._producer

    def commit(self, work: Work) -> Outcome:
        """Commit an epoch.

        1. Take the producer, a new one if a request of the last transaction may still be under way; begin.
        2. Write the epoch's records, outputs and changelogs alike.
        3. Add the input offsets under the group's generation of this assignment: a worker that lost it is refused here.
        4. Wait until the broker has all records. Whatever fails up to here, nothing was committed: abort.
        5. Ask for the commit, once. Whatever the answer is but yes, the outcome is unknown: the producer is given up, and the
           committed offsets tell once a new one has ended the transaction.
        """
        producer = self._ready()
        self._undelivered = None
        try:
            producer.call("begin_transaction")
            self._faults.reach("begun")
            producer.write(work.records)
            self._faults.reach("produced")
            if work.offsets:
                self._patiently(lambda wait: producer.send_offsets(work.offsets, work.group, wait), ANSWER_S)
            self._faults.reach("offsets")
            self._flush(producer)
        except (KafkaException, RetryError) as raised:
            return self._failed(producer, raised)
        try:
            producer.call("commit_transaction", ANSWER_S)
        except KafkaException as raised:
            error: KafkaError = raised.args[0]
            self.cause = error.name()
            self.close()
            log.warning("the commit was not answered with yes: %s", error.str())
            return Outcome.UNKNOWN
        self._faults.reach("committed")
        return Outcome.COMMITTED

    def _flush(self, producer: Handle) -> None:
        """Wait until every record is answered for; no longer than the transaction lives, and a while where a connection was lost.

        librdkafka may keep a record for ever, neither delivered nor given up. Nothing is committed yet, so a new producer
        writes it all again.
        """
        until = time.monotonic() + self._timeout_s
        lost = False
        while waiting := producer.call("flush", 1.0):
            if self._stopping():
                raise RetryError("Kafka does not answer: records are not delivered", "start the broker")
            if producer.connections.lost and not lost:
                lost = True
                until = min(until, time.monotonic() + _STALLED_S)
            if time.monotonic() > until:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{waiting} records are not answered in time"))
        if self._undelivered is not None:
            raise KafkaException(self._undelivered[0])

    def _failed(self, producer: Handle, raised: KafkaException | RetryError) -> Outcome:
        """Abort what cannot have been committed, and say why it failed."""
        if isinstance(raised, RetryError):
            self.cause = "stopping"
            self.close()
            return Outcome.ABORTED
        error: KafkaError = raised.args[0]
        why, topic = self._undelivered or (error, "")
        self.cause = why.name()
        log.warning("transaction failed: %s %s %s", error.str(), topic, why.str() if why is not error else "")
        try:  # so that readers need not wait for the next producer, which aborts in any case
            producer.call("abort_transaction", ANSWER_S)
        except KafkaException as again:
            log.warning("abort failed, the next producer aborts: %s", again.args[0].str())
        self.close()
        if why.code() in _NOWHERE:
            raise ConfigurationError(
                f"a record was sent to {topic or 'a topic'}, which does not exist or lacks the partition", "create the topic"
            )
        return Outcome.FENCED if error.code() in _FENCED else Outcome.REFUSED if why.code() in _CONTENT else Outcome.ABORTED

    def close(self) -> None:
        """Let the producer go; no transaction is open between epochs."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.drop()
