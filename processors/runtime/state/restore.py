"""Tables from their changelogs: whole ones, or the tail that a store on disk lacks."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from processors.runtime.kafka.poller import CLIENT
from processors.runtime.state.store import Mark, Shard
from processors.runtime.state.survey import Facts, distrust, survey
from quantum.errors import RetryError

log = logging.getLogger(__name__)

_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Changelog:
    """One partition of a table's changelog and the shard that it fills."""

    topic: str
    partition: int
    shard: Shard


@dataclass(slots=True)
class _Reading:
    """How far a changelog has been read, and since when that can be relied on."""

    shard: Shard
    facts: Facts
    position: int
    since: float

    def mark(self) -> Mark:
        return Mark(self.facts.topic_id, self.position, self.since)


def restore(config: Mapping[str, Any], changelogs: list[Changelog], stopping: Callable[[], bool]) -> int:
    """Fill shards from their changelogs and return the number of records read.

    1. The end is asked for as *read_uncommitted* has it, after the input offsets were read as stable: whatever transaction
       those offsets depend on lies before it.
    2. A store on disk that can be trusted (:func:`processors.runtime.state.survey.distrust`) begins at its mark, any other is wiped and
       begins at the changelog's beginning.
    3. The changelog is read as *read_committed* until the reader's *position* has reached that end: transactions that were
       open are waited for, and markers, which are no records, are passed. Stores on disk are told on the way how far they are, so
       that a restore that is cut short goes on from there.

    Raises
    ------
    RetryError
        The worker wants to stop.
    DependencyError
        A store's disk does not do what is asked of it.
    """
    if not changelogs:
        return 0
    began = time.time()
    durable = {changelog.topic for changelog in changelogs if changelog.shard.store.durable}
    facts = survey(config, [(changelog.topic, changelog.partition) for changelog in changelogs], durable, stopping)
    readings = {(each.topic, each.partition): _begin(each, facts[each.topic, each.partition], began) for each in changelogs}
    rows = _read(config, readings, stopping)
    for reading in readings.values():
        if reading.shard.store.durable:
            reading.since = began
            reading.shard.store.load((), reading.mark())
    return rows


def _begin(changelog: Changelog, facts: Facts, now: float) -> _Reading:
    store = changelog.shard.store
    if not store.durable:
        return _Reading(changelog.shard, facts, 0, now)
    mark = store.mark
    why = distrust(mark, facts, now)
    if mark is not None and not why:
        return _Reading(changelog.shard, facts, mark.position, mark.since)
    log.info("%s %d is restored in full: %s", changelog.topic, changelog.partition, why)
    store.wipe()
    return _Reading(changelog.shard, facts, 0, now)


def _read(config: Mapping[str, Any], readings: Mapping[tuple[str, int], _Reading], stopping: Callable[[], bool]) -> int:
    pending = {place: reading for place, reading in readings.items() if reading.position < reading.facts.end}
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
    rows = 0
    try:
        reader.assign([TopicPartition(*place, reading.position) for place, reading in pending.items()])
        while pending:
            messages = reader.consume(_MOST, 0.02)
            rows += _load(messages, readings)
            if len(messages) < _MOST:
                for place in reader.position([TopicPartition(*place) for place in pending]):
                    reading = pending[place.topic, place.partition]
                    reading.position = max(reading.position, place.offset)
                    if reading.position >= reading.facts.end:
                        del pending[place.topic, place.partition]
            if stopping():
                raise RetryError("the restore of the tables was cut short", "start the worker again")
    finally:
        reader.close()
    return rows


def _load(messages: list[Message], readings: Mapping[tuple[str, int], _Reading]) -> int:
    """Give the shards what was read, and return how many records that was."""
    by_place: dict[tuple[str, int], list[Message]] = defaultdict(list)
    rows = 0
    for message in messages:
        if message.error() is not None:
            log.warning("restore: %s", message.error())
            continue
        by_place[str(message.topic()), int(message.partition() or 0)].append(message)
        rows += 1
    for place, found in by_place.items():
        reading = readings[place]
        reading.position = int(found[-1].offset() or 0) + 1
        records: Any = [(message.key(), message.value()) for message in found]
        reading.shard.store.load(records, reading.mark())
    return rows
