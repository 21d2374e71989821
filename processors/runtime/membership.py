"""A worker's place in its group: what it is assigned, and the tables and clients that belong to it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

from confluent_kafka import Message

from processors.runtime.cluster import Cluster, Needed
from processors.runtime.event import Source
from processors.runtime.faults import Faults
from processors.runtime.leave import remove_member
from processors.runtime.metrics import metrics_of
from processors.runtime.poller import Fetched, Poller
from processors.runtime.producer import Committer, Outcome, Work
from processors.runtime.restore import Changelog, restore
from processors.runtime.store import Change, Shard
from processors.runtime.table import Table
from processors.runtime.thread import KafkaThread
from processors.runtime.topics import Outgoing, Topic
from quantum.errors import ConfigurationError, RetryError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from processors.runtime.app import App

log = logging.getLogger(__name__)

Changes = list[tuple[Table, int, Shard, list[Change]]]
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
        self.tables: list[Table] = []
        self.sources: dict[tuple[Any, Any], Source] = {}
        self.group: Any = None
        self._former: dict[tuple[Any, Any], Source] = {}
        self._counts: dict[str, int] = {}
        self._lag_at = 0.0
        self._poller: Poller | None = None
        self._topics: list[str] = []
        self._committer = Committer(self._config, self.name, self._options.transaction_timeout, stopping, faults)

    @property
    def cause(self) -> str:
        """Why the last transaction was not committed."""
        return self._committer.cause

    async def open(self, topics: dict[str, Topic], declared: dict[str, Topic]) -> None:
        """Check the topics, end what a process of this identity before left open, and join the group.

        Raises
        ------
        ConfigurationError
            A topic is missing, or the numbers of partitions do not fit together.
        """
        self._topics = sorted(topics)
        self.tables = [cast(Table, table) for table in self._app.tables.values()]
        for slot, table in enumerate(self.tables):
            table.slot = slot
        self._counts = await self._thread.call(self._ensure, topics, declared)
        self._check()
        await self._thread.call(self._committer.renew)
        self._poller = await self._thread.call(self._join)

    def _ensure(self, topics: dict[str, Topic], declared: dict[str, Topic]) -> dict[str, int]:
        conf = self._app.conf
        cluster = Cluster(self._config, conf.topic_replication_factor or 1, bool(conf.topic_allow_declare), self._stopping)
        first = min(topics, default="")
        needed = [_needed(name, topic, conf.topic_partitions) for name, topic in {**declared, **topics}.items()]
        counts = cluster.ensure(needed)
        more = [Needed(self._options.dead_letters(name), like=name) for name in topics]
        for table in self.tables:
            policy = "compact,delete" if table.window else "compact"
            config = [("cleanup.policy", policy), *((key, str(value)) for key, value in table.extra_topic_configs.items())]
            more.append(Needed(table.changelog_topic_name, table.partitions or 0, first, tuple(config)))
        return {**counts, **cluster.ensure(more)}

    def _check(self) -> None:
        if not self.tables:
            return
        counts = {name: self._counts[name] for name in [*self._topics, *(table.changelog_topic_name for table in self.tables)]}
        if len(set(counts.values())) > 1:
            raise ConfigurationError(
                f"the topics of an application with tables must have equally many partitions: {counts}",
                "give the topics that differ the same number of partitions, or put their agents into an application of their own",
            )

    def _join(self) -> Poller:
        conf = self._app.conf
        instance = self.identity.name if self._options.static else None
        return Poller(
            self._config,
            conf.id,
            instance,
            self._options.session_timeout,
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
        self.sources, rows = await self._thread.call(self._take_over, assigned)
        return rows, time.monotonic() - started

    def _take_over(self, assigned: list[tuple[str, int]]) -> tuple[dict[tuple[Any, Any], Source], int]:
        """Read the committed offsets, then restore the tables, then begin to read.

        A partition that comes back as it was left, by the metadata of its last commit, keeps its tables.
        """
        assert self._poller is not None
        committed = self._poller.committed(assigned)
        sources = {at: Source(*at, committed=offset, position=offset, metadata=metadata) for at, (offset, metadata) in committed.items()}
        for source in sources.values():
            if source.committed < 0:
                source.committed = source.position = self._poller.edge(source.topic, source.partition)
        if not assigned:
            return {}, 0
        numbers = sorted({partition for _, partition in assigned})
        shards: dict[int, list[Shard]] = {}
        changelogs: list[Changelog] = []
        for number in numbers:
            here = [source for source in sources.values() if source.partition == number]
            if self._is_as_it_was(here):
                shards[number] = self._former[here[0].topic, number].shards
                continue
            shards[number] = [table.new_shard() for table in self.tables]
            changelogs += [
                Changelog(table.changelog_topic_name, number, shard, table.decode_key)
                for table, shard in zip(self.tables, shards[number], strict=True)
            ]
        rows = restore(self._config, changelogs, self._stopping)
        for table in self.tables:
            table.close_partitions()
            for number in numbers:
                table.open_partition(number, shards[number][table.slot])
        for source in sources.values():
            source.shards = shards[source.partition]
        self._former = {}
        self._poller.start({at: source.committed for at, source in sources.items()})
        return cast("dict[tuple[Any, Any], Source]", sources), rows

    def _is_as_it_was(self, sources: list[Source]) -> bool:
        before = [self._former.get((source.topic, source.partition)) for source in sources]
        return all(
            old is not None and old.metadata and old.metadata == new.metadata and old.committed == new.committed
            for old, new in zip(before, sources, strict=True)
        )

    def changes(self) -> Changes:
        """Return what the open epoch changed in the tables, serialised."""
        found: Changes = []
        for table in self.tables:
            for partition, shard in table.shards.items():
                if shard.touched:
                    table.expire(partition, shard.written())
                    found.append((table, partition, shard, shard.changes()))
        return found

    def roll_back(self) -> None:
        """Forget what the open epoch wrote and how far it came."""
        for table in self.tables:
            for shard in table.shards.values():
                shard.rollback()
        for source in self.sources.values():
            source.position = source.committed

    async def commit(self, work: Work) -> Outcome:
        """Commit an epoch; where the answer is missing, find out."""
        return await self._thread.call(self._commit, work)

    def _commit(self, work: Work) -> Outcome:
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
        for table in self.tables:
            table.close_partitions()
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

    async def close(self) -> None:
        """Leave the group, so that the partitions move at once."""
        self._committer.close()
        leaving: list[Awaitable[Any]] = []
        if self._poller is not None:
            leaving.append(self._thread.call(self._poller.close))
            if self._options.static:
                servers = str(self._config["bootstrap.servers"])
                leaving.append(remove_member(servers, self._app.client_security(), self._app.conf.id, self.identity.name))
        try:
            await asyncio.wait_for(asyncio.gather(*leaving), _CLOSE_S)
        except (TimeoutError, RetryError) as error:
            log.warning("left without saying so, the group notices after %.0f s: %r", self._options.session_timeout, error)
        finally:
            self._thread.close()
            self.identity.release()


def _needed(name: str, topic: Topic, default_partitions: int | None) -> Needed:
    config = [(key, str(value)) for key, value in (topic.config or {}).items()]
    if topic.compacting:
        config.append(("cleanup.policy", "compact,delete" if topic.deleting else "compact"))
    partitions = topic.partitions or (default_partitions if topic.internal else 0) or 0
    return Needed(name, partitions, config=tuple(config))
