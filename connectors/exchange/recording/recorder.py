"""The recorder: reads ``exchange.raw`` by offsets of its own, and has them written together with the frames.

It is no member of a consumer group: which offsets are recorded, the recording alone knows (see `journal`). What it commits to Kafka under
its group's name is only there so that others see how far it is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.exchange.recording import metrics
from connectors.exchange.recording.journal import Hole, Journal, cut_back, read_journal
from connectors.exchange.recording.settings import RecorderSettings
from connectors.exchange.recording.writer import RecordingWriter
from connectors.exchange.venues import VENUES
from connectors.kafka.config import client_config
from connectors.kafka.logs import REMEDY, Bounds, Logs
from quantum.errors import ConfigurationError, DeadLetterError, DependencyError, RetryError
from schemas.codec import RecordCodec
from schemas.exchange.records import ExchangeFrame

log = logging.getLogger(__name__)

GROUP = "quantum-recorder"
_BATCH = 1_000
_POLL_S = 0.2
_MEGABYTE = 1_000_000


class Recorder:
    """Records one topic into one folder.

    Parameters
    ----------
    bootstrap
        Kafka's bootstrap servers.
    topic
        The topic of frames.
    codec
        Codec of its values.
    settings
        Where to, and how.

    Raises
    ------
    ConfigurationError
        The folder holds the recording of another topic, or there is no such topic.
    DependencyError
        A file of the recording is shorter than its journal says.
    RetryError
        Kafka does not answer.
    """

    def __init__(self, bootstrap: str, topic: str, codec: RecordCodec[ExchangeFrame], settings: RecorderSettings) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._codec = codec
        self._settings = settings
        self._holes: list[Hole] = []
        logs = Logs(bootstrap)
        journal = self._journal(logs)
        self._bounds = self._bounds_of(logs)
        cut = cut_back(settings.folder, journal)
        if cut:
            log.info("%d bytes that were not committed are cut off and will be recorded again", cut)
        self._offsets = {partition: self._start(partition, journal, bounds) for partition, bounds in self._bounds.items()}
        self._writer = RecordingWriter(settings.folder, journal, settings.rotate, settings.max_mb * _MEGABYTE)
        self._since = time.monotonic()

    @property
    def frames(self) -> int:
        """Frames in the files."""
        return self._writer.journal.frames

    @property
    def holes(self) -> list[Hole]:
        """What is missing of the topic."""
        return self._writer.journal.holes

    @property
    def behind(self) -> int:
        """Offsets up to the topic's end at the start that are still to be read."""
        return sum(max(0, bounds.end - self._offsets[partition]) for partition, bounds in self._bounds.items())

    def run(self, stop: threading.Event, *, to_end: bool = False) -> Iterator[int]:
        """Record until ``stop`` is set, or up to the present end of the topic; gives what `behind` is, after every commit.

        Raises
        ------
        RetryError
            Kafka does not answer, or has deleted what was to be read; another start goes on where this one ended.
        DependencyError
            The disk does not take it.
        """
        consumer = Consumer(
            client_config(
                self._bootstrap, group_id=GROUP, client_id=GROUP, enable_auto_commit=False, auto_offset_reset="error",
                isolation_level="read_committed", queued_max_messages_kbytes=65_536, fetch_wait_max_ms=100,
            )
        )  # fmt: skip
        try:
            consumer.assign([TopicPartition(self._topic, partition, offset) for partition, offset in self._offsets.items()])
            while not stop.is_set() and not (to_end and self.behind == 0):
                self._take(consumer)
                if self._due():
                    self._commit(consumer)
                    yield self.behind
            self._commit(consumer)
            yield self.behind
        except KafkaException as error:
            raise RetryError(f"{self._topic} could not be read: {error}", REMEDY) from error
        finally:
            consumer.close()

    def _take(self, consumer: Consumer) -> None:
        """Read what has come."""
        first = consumer.poll(_POLL_S)
        for message in [] if first is None else [first, *consumer.consume(_BATCH, 0)]:
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._ALL_BROKERS_DOWN or error.retriable():
                    log.warning("Kafka: %s", error.str())
                    continue
                raise RetryError(f"{self._topic} could not be read: {error.str()}", REMEDY)
            self._record(message)
        for place in consumer.position([TopicPartition(self._topic, partition) for partition in self._offsets]):
            if place.offset > self._offsets[place.partition]:  # markers of transactions have offsets, too
                self._offsets[place.partition] = place.offset

    def _record(self, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        if partition is None or offset is None:
            raise RetryError(f"a record of {self._topic} has no place", REMEDY)
        try:
            frame = self._codec.decode(message.value() or b"")
        except DeadLetterError as error:  # the market stage dead-letters the same record
            self._leave_out(partition, offset, str(error))
        else:
            if frame.venue in VENUES:
                self._writer.add(frame)
                metrics.FRAMES.labels(frame.venue).inc()
            else:
                self._leave_out(partition, offset, f"no venue is called {frame.venue}")
        self._offsets[partition] = offset + 1

    def _leave_out(self, partition: int, offset: int, why: str) -> None:
        metrics.LEFT_OUT.inc()
        log.warning("%s, partition %d, offset %d is left out: %s", self._topic, partition, offset, why)

    def _due(self) -> bool:
        return (
            self._writer.pending_bytes >= self._settings.pending_mb * _MEGABYTE or time.monotonic() - self._since >= self._settings.commit_s
        )

    def _commit(self, consumer: Consumer) -> None:
        self._since = time.monotonic()
        if self._offsets == self._writer.journal.offsets and not self._holes:
            return
        with self._on_disk():
            metrics.BYTES.inc(self._writer.commit(self._offsets, self._holes))
        self._holes = []
        consumer.commit(offsets=[TopicPartition(self._topic, *place) for place in self._offsets.items()], asynchronous=True)
        for partition, offset in self._offsets.items():
            _, end = consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
            metrics.LAG.labels(partition).set(max(0, end - offset))

    def _journal(self, logs: Logs) -> Journal:
        topic_id = logs.ids([self._topic]).get(self._topic)
        if topic_id is None:
            raise ConfigurationError(f"Kafka has no topic {self._topic}", "quantum topics apply")
        present = Journal(cluster=logs.cluster(), topic=self._topic, topic_id=topic_id)
        with self._on_disk():
            self._settings.folder.mkdir(parents=True, exist_ok=True)
            known = read_journal(self._settings.folder)
        if known is not None and (known.cluster, known.topic, known.topic_id) != (present.cluster, present.topic, present.topic_id):
            raise ConfigurationError(
                f"{self._settings.folder} records another {known.topic}: of another Kafka, or before it was made anew",
                "name another folder",
            )
        return known or present

    def _bounds_of(self, logs: Logs) -> dict[int, Bounds]:
        count = logs.partitions()[self._topic]
        return {partition: bounds for (_, partition), bounds in logs.bounds((self._topic, n) for n in range(count)).items()}

    def _start(self, partition: int, journal: Journal, bounds: Bounds) -> int:
        """Return where to read on; what Kafka has deleted since is noted as a hole."""
        offset = journal.offsets.get(partition)
        if offset is None:
            return bounds.begin
        if offset > bounds.end:
            raise ConfigurationError(
                f"{self._settings.folder} has partition {partition} of {self._topic} up to offset {offset}, the topic ends at {bounds.end}",
                "Kafka has lost records: record into another folder",
            )
        if offset < bounds.begin:
            log.error("%s, partition %d: offsets %d to %d are deleted and not recorded", self._topic, partition, offset, bounds.begin - 1)
            metrics.MISSED.inc(bounds.begin - offset)
            self._holes.append(Hole(partition, offset, bounds.begin))
            return bounds.begin
        return offset

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DependencyError(
                f"{self._settings.folder} cannot be written: {error}", "make room, or record into another folder"
            ) from error
