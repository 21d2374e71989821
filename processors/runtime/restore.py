"""Tables from their changelogs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from processors.runtime.poller import CLIENT
from processors.runtime.serde import Decode
from processors.runtime.store import Shard
from quantum.errors import RetryError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Changelog:
    """One partition of a table's changelog and the empty shard that it fills."""

    topic: str
    partition: int
    shard: Shard
    decode_key: Decode


def restore(config: Mapping[str, Any], changelogs: list[Changelog], stopping: Callable[[], bool]) -> int:
    """Fill shards from their changelogs and return the number of records read.

    1. The end is asked for as *read_uncommitted* has it, after the input offsets were read as stable: whatever transaction
       those offsets depend on lies before it.
    2. The changelog is read as *read_committed* until the reader's *position* has reached that end: transactions that were
       open are waited for, and markers, which are no records, are passed.

    Raises
    ------
    RetryError
        The worker wants to stop.
    """
    if not changelogs:
        return 0
    ends = _ends(AdminClient(dict(config)), changelogs, stopping)
    pending = {(log.topic, log.partition): log for log in changelogs if ends[log.topic, log.partition] > 0}
    if not pending:
        return 0
    settings: dict[str, Any] = {
        **CLIENT,
        "fetch.wait.max.ms": 20,
        "queued.max.messages.kbytes": 262_144,
        **config,
        "group.id": "restore",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
    }
    reader = Consumer(settings)
    by_partition = dict(pending)
    rows = 0
    try:
        reader.assign([TopicPartition(topic, partition, 0) for topic, partition in pending])
        while pending:
            messages = reader.consume(10_000, 0.02)
            for message in messages:
                if message.error() is not None:
                    log.warning("restore: %s", message.error())
                    continue
                changelog = by_partition[str(message.topic()), int(message.partition() or 0)]
                changelog.shard.restore(changelog.decode_key(message.key()), message.value())
                rows += 1
            if len(messages) < 10_000:
                for position in reader.position([TopicPartition(topic, partition) for topic, partition in pending]):
                    if position.offset >= ends[position.topic, position.partition]:
                        del pending[position.topic, position.partition]
            if stopping():
                raise RetryError("the restore of the tables was cut short", "start the worker again")
    finally:
        reader.close()
    return rows


def _ends(admin: AdminClient, changelogs: list[Changelog], stopping: Callable[[], bool]) -> dict[tuple[str, int], int]:
    request = {TopicPartition(log.topic, log.partition): OffsetSpec.latest() for log in changelogs}
    while True:
        try:
            return {
                (at.topic, at.partition): future.result().offset for at, future in admin.list_offsets(request, request_timeout=5.0).items()
            }
        except KafkaException as raised:
            if stopping():
                raise RetryError(f"the ends of the changelogs cannot be read: {raised}", "start the broker") from raised
            log.warning("ends of changelogs: %s", raised)
            time.sleep(0.1)
