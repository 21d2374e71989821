"""The results and transfers of the partitions that this process has: what is on their logs was said once, by whoever had them.

Each partition is written with a transactional id of its own. Whoever takes a partition makes a producer with that id, and from then on
Kafka refuses what an earlier owner still has on its way, and has decided what that one left open: what is read from the log after
:meth:`ResultLog.take` is all that has been said of its orders, and nothing comes after it from anybody else. (Transactional ids of
partitions are what KIP-447 made unnecessary for readers of many partitions; here there are few, and no offsets to commit.)
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.exchange.orders.history import PATIENCE_S, read_said
from connectors.exchange.orders.ledger import Said
from connectors.exchange.orders.sink import FLUSH_S
from connectors.kafka.config import client_config
from quantum.errors import FencedError, RetryError
from schemas.codec import RecordCodec
from schemas.record import Record

log = logging.getLogger(__name__)

TRANSACTION_S = 10.0
LOOK_BACK_S = 600.0
_FENCED = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})


@dataclass(frozen=True, slots=True)
class Place:
    """A topic, and the codec of its records."""

    topic: str
    codec: RecordCodec[Any]


class ResultLog:
    """Writes results and transfers; its calls may come from several threads.

    Parameters
    ----------
    bootstrap
        Kafka's bootstrap servers.
    topics
        By type of record: where it lies. All are partitioned alike, and the first one names the transactional ids.
    group
        The gateways' group, the beginning of the transactional ids.

    Attributes
    ----------
    lost
        Partitions that another process has taken, as Kafka said when they were written.
    """

    def __init__(self, bootstrap: str, topics: Mapping[type[Record], Place], group: str) -> None:
        self._bootstrap = bootstrap
        self._topics = topics
        self._topic = next(iter(topics.values())).topic
        self._group = group
        self._lock = threading.Lock()
        self._producers: dict[int, Producer] = {}
        self._waiting: dict[int, list[Said]] = {}
        self.lost: set[int] = set()

    def take(self, partitions: Iterable[int]) -> None:
        """Become the one who writes partitions; to be called before their log is read.

        Raises
        ------
        RetryError
            Kafka does not answer.
        """
        with self._lock:
            for partition in partitions:
                self._waiting[partition] = []
                self._begin(partition, time.monotonic() + PATIENCE_S)
                self.lost.discard(partition)

    def _begin(self, partition: int, deadline: float) -> None:
        self._producers.pop(partition, None)
        settings = client_config(
            self._bootstrap,
            transactional_id=f"{self._group}-{self._topic}-{partition}",
            transaction_timeout_ms=int(TRANSACTION_S * 1000),
            linger_ms=0,
            compression_type="lz4",
        )
        producer = Producer(settings)
        while True:
            try:
                producer.init_transactions(5.0)
            except KafkaException as error:
                if error.args[0].fatal() or time.monotonic() > deadline:
                    raise RetryError(
                        f"{self._topic} {partition} cannot be taken: {error}", "see whether Kafka answers: quantum status"
                    ) from error
                time.sleep(0.1)
            else:
                self._producers[partition] = producer
                return

    def drop(self, partitions: Iterable[int]) -> None:
        """Write partitions no more."""
        with self._lock:
            for partition in partitions:
                self._producers.pop(partition, None)
                self._waiting.pop(partition, None)
                self.lost.discard(partition)

    def add(self, result: Said) -> None:
        """Have something written by the next :meth:`flush`; of a partition that another process has, nothing."""
        waiting = self._waiting.get(result.partition)
        if waiting is not None and result.partition not in self.lost:
            waiting.append(result)

    def flush(self, timeout_s: float = FLUSH_S) -> None:
        """Write what was added; it is stored when this returns.

        A transaction whose outcome is not clear is not repeated: a new producer ends it, and what of it is on the log is not written
        again.

        Raises
        ------
        FencedError
            Another process has taken a partition; what was to be said of it is dropped.
        RetryError
            Kafka does not answer for ``timeout_s`` seconds; everything is still waiting.
        """
        deadline = time.monotonic() + timeout_s
        with self._lock:
            for partition, waiting in self._waiting.items():
                while waiting:
                    batch = list(waiting)
                    problem = self._write(partition, batch)
                    if problem is None:
                        del waiting[: len(batch)]
                    elif problem.code() in _FENCED:
                        waiting.clear()
                        self.lost.add(partition)
                        raise FencedError(f"another process writes {self._topic} {partition} now: {problem.str()}")
                    else:
                        log.warning("%s %d: %s", self._topic, partition, problem.str())
                        self._begin(partition, deadline)
                        waiting[: len(batch)] = self._not_said(partition, batch)

    def _write(self, partition: int, batch: list[Said]) -> KafkaError | None:
        """Write results in one transaction; return why it may not have been committed, that another process writes above all."""
        producer = self._producers[partition]
        problems: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                problems.append(error)

        try:
            producer.begin_transaction()
            for result in batch:
                place = self._topics[type(result.record)]
                value, key = place.codec.encode(result.record), result.record.account
                producer.produce(place.topic, value, key, partition, on_delivery=delivered, headers=dict(result.headers))
            producer.flush(TRANSACTION_S)
            (producer.abort_transaction if problems else producer.commit_transaction)(TRANSACTION_S)
        except KafkaException as error:
            problems.append(error.args[0])
        except SystemError as error:  # the binding's, where a callback follows upon a fatal error
            if not isinstance(error.__cause__, KafkaException):
                raise
            problems.append(error.__cause__.args[0])
        return next((problem for problem in problems if problem.code() in _FENCED), problems[0] if problems else None)

    def _not_said(self, partition: int, batch: Sequence[Said]) -> list[Said]:
        since_ms = int((time.time() - LOOK_BACK_S) * 1_000)
        said = {
            record.event_id
            for place in self._topics.values()
            for _, record, _ in read_said(self._bootstrap, place.topic, place.codec, [partition], since_ms)
        }
        return [result for result in batch if result.record.event_id not in said]
