"""A worker's place in its group: what it is assigned, and the tables and clients that belong to it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from confluent_kafka import Message

from processors.runtime.api.event import Source
from processors.runtime.api.support import consumer_settings, producer_settings
from processors.runtime.api.topics import Outgoing, Topic
from processors.runtime.epochs.faults import Faults
from processors.runtime.epochs.metrics import metrics_of
from processors.runtime.kafka.cluster import Cluster
from processors.runtime.kafka.identity import newer, process_name
from processors.runtime.kafka.leave import remove_member
from processors.runtime.kafka.poller import Fetched, Poller
from processors.runtime.kafka.producer import Committer, Outcome, Work
from processors.runtime.kafka.provide import provide
from processors.runtime.kafka.thread import KafkaThread
from processors.runtime.state.changes import Changes, changes_of
from processors.runtime.state.table import Table
from processors.runtime.state.tables import Tables
from quantum.errors import ConfigurationError, RetryError, StopError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from processors.runtime.api.app import App

log = logging.getLogger(__name__)

_LAG_EVERY_S = 1.0
_CLOSE_S = 1.5
_TOPIC_OF = itemgetter(0)


class Membership:
    """The clients of one worker; all their calls are made on the Kafka thread.

    Attributes
    ----------
    sources
        The assigned partitions.
    group
        The group's generation of that assignment.
    """

    def __init__(self, app: App, thread: KafkaThread, faults: Faults, stopping: Callable[[], bool]) -> None:
        self._app = app
        self._thread = thread
        self._stopping = stopping
        self._options = app.runtime
        self._metrics = metrics_of(app.runtime.metrics)
        self._config = app.cluster_config()
        self.identity = app.identify()
        self.name = f"{app.conf.id}-{self.identity.name}"
        self.process = process_name(self.name)
        self._before: frozenset[str] | None = None
        self.tables: list[Table] = []
        self.sources: dict[tuple[Any, Any], Source] = {}
        self.group: Any = None
        self._former: dict[tuple[Any, Any], Source] = {}
        self._counts: dict[str, int] = {}
        self._lag_at = 0.0
        self._poller: Poller | None = None
        self._topics: list[str] = []
        self._held = self._hold()
        self._committer = Committer(
            {**producer_settings(app.conf), **self._config}, self.name, self._options.transaction_timeout, stopping, faults
        )

    @property
    def cause(self) -> str:
        """Why the last transaction was not committed."""
        return self._committer.cause

    async def open(self, topics: dict[str, Topic], declared: dict[str, Topic]) -> None:
        """Check the topics, end what a process of this identity before left open, and join the group.

        Raises
        ------
        ConfigurationError
            A topic is missing, the numbers of partitions do not fit together, or another process has this worker's tables on disk.
        """
        if not topics:
            raise ConfigurationError(
                "an application without an agent that reads a topic is not supported by the exactly-once runtime",
                "give it an agent; or send with await topic.send() from a script: without input there is nothing to be exactly once with",
            )
        self._topics = sorted(topics)
        self.tables = [cast(Table, table) for table in self._app.tables.values()]
        for slot, table in enumerate(self.tables):
            table.slot = slot
        self._held = self._hold()
        await self._thread.call(self._held.acquire)
        conf = self._app.conf
        cluster = Cluster(self._config, conf.topic_replication_factor or 1, bool(conf.topic_allow_declare), self._stopping)
        self._counts = await self._thread.call(provide, self._app, cluster, self.tables, topics, declared)
        await self._thread.call(self._committer.renew)
        self._poller = await self._thread.call(self._join)

    def _hold(self) -> Tables:
        folder = Path(self._app.conf.tabledir) / quote(self.name, safe="")
        return Tables(self.tables, self._config, folder, self._stopping)

    def _join(self) -> Poller:
        conf = self._app.conf
        instance = self.identity.name if self._options.static else None
        return Poller(
            {**consumer_settings(conf), **self._config},
            conf.id,
            instance,
            self._app.session_timeout,
            self._topics,
            str(conf.consumer_auto_offset_reset),
            self._stopping,
        )

    def dead_partition(self, topic: str, partition: int) -> int:
        """Return the partition of a dead-letter topic for a record of a partition: the same, where there is one."""
        return partition if partition < self._counts.get(topic, 0) else -1

    async def poll(self, wait_s: float, limit: int) -> Fetched:
        """Return what a poll brings."""
        return await self._thread.call(self._poll, wait_s, limit)

    def _poll(self, wait_s: float, limit: int) -> Fetched:
        assert self._poller is not None
        self._committer.serve()
        fetched = self._poller.poll(wait_s, limit)
        if self._options.event_time_order and fetched.assigned is None:
            fetched.behind = self._poller.behind()
        now = time.monotonic()
        if now - self._lag_at > _LAG_EVERY_S:
            self._lag_at = now
            positions = {at: source.committed for at, source in self.sources.items()}
            for (topic, partition), lag in self._poller.lag(positions).items():
                self._metrics.lag.labels(self._app.conf.id, topic, str(partition)).set(lag)
        return fetched

    async def take_over(self, assigned: list[tuple[str, int]], group: Any) -> tuple[int, float]:
        """Begin to work on an assignment; return how many rows were restored, and in how many seconds."""
        if self.sources:
            self._former = self.sources
        started = time.monotonic()
        self.sources, self.group = {}, group
        if not assigned:
            return 0, 0.0
        assert self._poller is not None
        sources = await self._thread.call(self._begin, assigned)
        self._held.drop(keep=self._unchanged(sources))
        opened, rows = await self._thread.call(self._held.restore, {partition for _, partition in assigned} - self._held.held.keys())
        self._held.serve(opened)
        for source in sources.values():
            source.shards = self._held.held[source.partition]
        self._former = {}
        await self._thread.call(self._poller.start, {at: source.committed for at, source in sources.items()})
        self.sources = sources
        return rows, time.monotonic() - started

    def _begin(self, assigned: list[tuple[str, int]]) -> dict[tuple[Any, Any], Source]:
        """Return the assigned partitions with their committed offsets, once no open transaction can change these."""
        assert self._poller is not None
        committed = self._poller.committed(assigned)
        self._yield_to_newer([metadata for _, metadata in committed.values()])
        sources: dict[tuple[Any, Any], Source] = {
            at: Source(*at, committed=offset, position=offset, metadata=metadata) for at, (offset, metadata) in committed.items()
        }
        for source in sources.values():
            if source.committed < 0:
                source.committed = source.position = self._poller.edge(source.topic, source.partition)
        return sources

    def _yield_to_newer(self, commits: list[str]) -> None:
        """Stop where a process of this identity that was started later works already.

        This one slept while it was replaced, or there are two. The group would let them take the place from each other for ever: it
        belongs to whoever asked for it last.
        """
        if self._before is None:
            self._before = frozenset(commit.rpartition(":")[0] for commit in commits)
        other = newer(self.process, commits, self._before)
        if other is not None:
            raise StopError(
                f"another process, {other}, works under this worker's identity {self.identity.name!r} and was started later",
                "if both are meant to run give each an identity of its own (worker=...); if not, nothing is to be done",
            )

    def _unchanged(self, sources: dict[tuple[Any, Any], Source]) -> set[int]:
        """Return the partition numbers that are as this worker left them, by the metadata of their last commit: they keep their tables."""
        changed: set[int] = set()
        for at, new in sources.items():
            old = self._former.get(at)
            if old is None or not old.metadata or (old.metadata, old.committed) != (new.metadata, new.committed):
                changed.add(new.partition)
        return self._held.held.keys() & {partition for _, partition in sources} - changed

    def changes(self) -> Changes:
        """Return what the open epoch changed in the tables, serialised."""
        return changes_of(self.tables)

    def roll_back(self) -> None:
        """Forget what the open epoch wrote and how far it came."""
        for table in self.tables:
            table.roll_back()
        for source in self.sources.values():
            source.position = source.committed

    async def commit(self, work: Work) -> Outcome:
        """Commit an epoch; where the answer is missing, find out."""
        return await self._thread.call(self._commit, work)

    def _commit(self, work: Work) -> Outcome:
        marks = self._held.marks() if work.offsets else []
        outcome = self._outcome(work)
        if outcome is Outcome.COMMITTED:
            for shard, mark in marks:
                shard.store.load((), mark)
        return outcome

    def _outcome(self, work: Work) -> Outcome:
        outcome = self._committer.commit(work)
        if outcome is not Outcome.UNKNOWN:
            return outcome
        cause = self._committer.cause
        log.warning("the outcome of %s is not known: %s; asking", work.epoch, cause)
        self._committer.renew()
        assert self._poller is not None
        found = self._poller.committed((each.topic, each.partition) for each in work.offsets)
        outcome = Outcome.COMMITTED if any(metadata == work.epoch for _, metadata in found.values()) else Outcome.ABORTED
        log.warning("%s: %s", work.epoch, outcome.name)
        return outcome

    async def rejoin(self) -> None:
        """Give up the place in the group and join again with nothing."""
        self._held.drop()
        self.sources, self._former = {}, {}
        old, self._poller = self._poller, None
        self._committer.close()
        if old is not None:
            await self._thread.call(old.close)
        await self._thread.call(self._committer.renew)
        self._poller = await self._thread.call(self._join)

    def count(self, taken: Sequence[Message], written: Sequence[Outgoing]) -> None:
        """Count the records of a committed epoch."""
        name = self._app.conf.id
        for topic, records in Counter(map(Message.topic, taken)).items():
            self._metrics.records_in.labels(name, topic).inc(records)
        for topic, records in Counter(map(_TOPIC_OF, written)).items():
            self._metrics.records_out.labels(name, topic).inc(records)

    async def _leave(self, poller: Poller) -> None:
        member = await self._thread.call(lambda: poller.member)
        closing = self._thread.call(poller.close)
        if self._options.static:
            servers = str(self._config["bootstrap.servers"])
            await remove_member(servers, self._app.client_security(), self._app.conf.id, self.identity.name, member)
        await closing

    async def close(self) -> None:
        """Leave the group, so that the partitions move at once."""
        self._committer.close()
        leaving: list[Awaitable[Any]] = []
        if self._poller is not None:
            leaving.append(self._leave(self._poller))
        try:
            await asyncio.wait_for(asyncio.gather(*leaving), _CLOSE_S)
        except (TimeoutError, RetryError) as error:
            log.warning("left without saying so, the group notices after %.0f s: %r", self._app.session_timeout, error)
        finally:
            self._thread.close()
            self._held.release()
            self.identity.release()
