"""How far stores on disk cover their changelogs, asked for now and then while epochs commit.

A mark says that every committed record of a changelog before an offset L is in the store. It need not be the last such offset, since a
record of a changelog is a key's whole value: reading one again does no harm as long as the changelog is then read to its end. So the
delivery of single records need not be followed. Instead:

1. Before a transaction begins, the changelog's last stable offset L is asked for, and an answer that has come by then is noted. Everything
   that this worker has committed so far has been applied to its stores.
2. The transaction commits. The group's generation was checked with its offsets, so until then nobody else owned the partition: no
   transaction of another worker that wrote to this changelog after the restore has been committed, or ever will be. Hence
   each committed record before L was read by the restore, or was written by this worker in an epoch before this one.
3. The mark L is written, then the epoch's changes are applied, each store's in one write. Their records lie beyond L.

A worker that has lost its partitions without knowing it fails at step 2, so it never writes a mark beyond what it has. A kill after any
of the steps leaves a mark that is true, with values that may be newer than it, and the changelog from there has the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec

from processors.runtime.kafka.poller import CLIENT
from processors.runtime.state.store import Mark, Shard

Place = tuple[str, int]


class Checkpoints:
    """Marks for the stores of one worker; its calls are made on the Kafka thread and do not wait.

    Parameters
    ----------
    config
        librdkafka's settings of the cluster.
    every_s
        How often a mark is asked for; a restart reads what was written since the last one.
    """

    def __init__(self, config: Mapping[str, Any], every_s: float = 3.0, clock: Callable[[], float] = time.time) -> None:
        self._config = {**CLIENT, **config}
        self._every_s = every_s
        self._clock = clock
        self._admin: AdminClient | None = None
        self._asked_at = 0.0
        self._asked: list[tuple[Shard, Future[ListOffsetsResultInfo]]] = []

    def before(self, shards: Callable[[], Iterable[tuple[Place, Shard]]]) -> list[tuple[Shard, Mark]]:
        """Return the marks that hold once the transaction that is about to begin is committed; ask for later ones when it is time.

        Parameters
        ----------
        shards
            The assigned changelogs and their shards.
        """
        if self._asked:
            if not all(answer.done() for _, answer in self._asked):
                return []
            asked, self._asked = self._asked, []
            return [(shard, mark) for shard, answer in asked if (mark := self._mark(shard, answer)) is not None]
        if abs(self._clock() - self._asked_at) >= self._every_s:
            self._ask({TopicPartition(*place): shard for place, shard in shards() if shard.store.durable})
        return []

    def _ask(self, shards: Mapping[TopicPartition, Shard]) -> None:
        self._asked_at = self._clock()
        if not shards:
            return
        if self._admin is None:
            self._admin = AdminClient(self._config)
        request = {place: OffsetSpec.latest() for place in shards}
        answers = self._admin.list_offsets(request, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=5.0)
        self._asked = [(shards[place], answer) for place, answer in answers.items()]

    def _mark(self, shard: Shard, answer: Future[ListOffsetsResultInfo]) -> Mark | None:
        """Return a shard's mark; None where the broker did not answer, or it would be no further than the one before."""
        try:
            stable = answer.result().offset
        except KafkaException:
            return None
        before = shard.store.mark
        return None if before is None or stable < before.position else replace(before, position=stable, since=self._asked_at)

    def forget(self) -> None:
        """Drop what was asked for: the assignment is another one."""
        self._asked = []
