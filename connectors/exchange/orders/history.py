"""What has been said of orders and transfers, read back from the log: the gateway keeps no state of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors.kafka.config import client_config
from connectors.kafka.headers import header_map
from quantum.errors import DeadLetterError, RetryError
from quantum.trace import Headers
from schemas.codec import RecordCodec, RecordT

log = logging.getLogger(__name__)

PATIENCE_S = 60.0


def read_said(
    bootstrap: str, topic: str, codec: RecordCodec[RecordT], partitions: Sequence[int], since_ms: int
) -> list[tuple[int, RecordT, Headers]]:
    """Return the records in some partitions since a time, up to their present end, in the order of the log.

    Parameters
    ----------
    bootstrap
        Kafka's bootstrap servers.
    topic, codec
        Where they lie.
    partitions
        Which partitions are read.
    since_ms
        Where reading begins, milliseconds since the epoch.

    Returns
    -------
    list of (int, Record, dict)
        Partition, record and headers. A record that cannot be read is left out, with an error in the log.

    Raises
    ------
    RetryError
        Kafka does not answer.
    """
    if not partitions:
        return []
    consumer = Consumer(client_config(bootstrap, group_id="orders-history", enable_auto_commit=False, fetch_wait_max_ms=20))
    try:
        wanted = [TopicPartition(topic, partition, since_ms) for partition in partitions]
        starts = {start.partition: start.offset for start in consumer.offsets_for_times(wanted, timeout=PATIENCE_S)}
        ends = {
            partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=PATIENCE_S)[1] for partition in partitions
        }
        left = {partition for partition in partitions if 0 <= starts[partition] < ends[partition]}
        if not left:
            return []
        consumer.assign([TopicPartition(topic, partition, starts[partition]) for partition in left])
        found: list[tuple[int, RecordT, Headers]] = []
        deadline = time.monotonic() + PATIENCE_S
        while left:
            if time.monotonic() > deadline:
                raise RetryError(f"{topic} cannot be read to its end", "see whether Kafka answers: quantum status")
            for message in consumer.consume(1_000, 0.05):
                partition = message.partition()
                if message.error() is not None or partition is None:
                    log.warning("kafka: %s", message.error())
                    continue
                try:
                    found.append((partition, codec.decode(message.value() or b""), header_map(message)))
                except DeadLetterError:
                    log.exception("%s %d %s cannot be read", topic, partition, message.offset())
            left -= {place.partition for place in consumer.position(consumer.assignment()) if place.offset >= ends[place.partition]}
        return found
    except KafkaException as error:
        raise RetryError(f"{topic} cannot be read: {error}", "see whether Kafka answers: quantum status") from error
    finally:
        consumer.close()
