"""The loop of a worker: poll, dispatch, wait for the agents, commit, apply."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from confluent_kafka import Message, TopicPartition

from processors.runtime.epochs.dispatch import Undecodable
from processors.runtime.epochs.dlq import dead_letter, root_cause
from processors.runtime.epochs.faults import Faults
from processors.runtime.epochs.order import by_partition
from processors.runtime.epochs.pacing import Pacing
from processors.runtime.epochs.recovery import Recovery
from processors.runtime.kafka.membership import Membership
from processors.runtime.kafka.producer import Outcome, Work
from processors.runtime.kafka.thread import KafkaThread
from processors.runtime.state.changes import changelog_records
from quantum.errors import DeadLetterError, FencedError, RetryError, StopError

if TYPE_CHECKING:
    from processors.runtime.api.app import App

log = logging.getLogger(__name__)

_POLL_S = 0.1
_HELD_S = 0.005
_LEAST_ROOM = 500
_FENCES = 10
_FENCE_WINDOW_S = 60.0
_CHUNK_S = 0.01


class Engine(Recovery):
    """Runs the epochs of one worker.

    Parameters
    ----------
    app
        The application.
    """

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self.joined = asyncio.Event()
        self._thread = KafkaThread()
        self._faults = Faults.from_environment()
        self._fences: deque[float] = deque()
        self._chunk = 100
        self._pacing = Pacing(app.runtime.gather)

    @property
    def assigned(self) -> Collection[tuple[Any, Any]]:
        """The topics and partitions that the worker works on."""
        return self._worker.sources if self.joined.is_set() else ()

    @property
    def inputs(self) -> Collection[str]:
        """The topics that agents read."""
        return self._dispatcher.topics

    # The loop.

    async def run(self) -> None:
        """Work until :meth:`stop`; an error that ends the worker is raised."""
        self._worker = Membership(self.app, self._thread, self._faults, lambda: self.stopping)
        try:
            await self._quiet()
            self._open()
            await self._worker.open(self._dispatcher.topics, self._declared)
            while not self.stopping:
                await self._turn()
            if self._loose and self._worker.sources:
                self._buffer.clear()
                await self._epoch()
        except RetryError:
            if not self.stopping:
                raise
        finally:
            self._stop.set()
            self._end()
            self._roll_back()
            await self._worker.close()

    def stop(self) -> None:
        """Finish the open epoch, commit it and leave."""
        self._stop.set()

    async def _turn(self) -> None:
        pending = self._buffer.ready or (self._loose and self._worker.sources)
        wait = 0.0 if pending else _HELD_S if self._buffer else _POLL_S
        room = max(_LEAST_ROOM, self.options.max_records - len(self._buffer))
        try:
            if (left := self._pacing.left) > 0:
                await self._pause(left)
            if self._gathering:  # the first record to come may be one that is waited for
                wait = min(self._pacing.gathering, _POLL_S)
            fetched = await self._worker.poll(wait, room)
            if fetched.assigned is not None:
                await self._adopt(fetched.assigned, fetched.group)
                return
            self._buffer.extend(fetched.messages)
            self._buffer.expect(fetched.behind)
            self._pacing.came(fetched.messages)
            if (self._buffer.ready and not self._gathering) or (self._loose and self._worker.sources):
                self._pacing.begun()
                await self._epoch()
        except FencedError as fenced:
            await self._rejoin(fenced)

    @property
    def _gathering(self) -> bool:
        """Whether the records that were polled wait for more of their kind."""
        return 0 < len(self._buffer) < _LEAST_ROOM and not self._loose and self._pacing.gathering > 0

    async def _adopt(self, assigned: list[tuple[str, int]], group: Any) -> None:
        """Take a new assignment: what was polled under the one before is void."""
        self._buffer.clear()
        self._pacing.begun()
        self._trial.plan.clear()
        if self._order is not None:
            self._order.assigned()
        rows, seconds = await self._worker.take_over(assigned, group)
        self._metrics.restore_rows.labels(self.app.conf.id).set(rows)
        self._metrics.restore_seconds.labels(self.app.conf.id).set(seconds)
        log.info("%s works on %s, restored %d rows in %.3f s", self._worker.name, sorted(assigned), rows, seconds)
        await self._call_back()
        self.joined.set()

    async def _call_back(self) -> None:
        """Tell the application that its tables are there, and what it works on."""
        self._calling_back = True
        try:
            for table in self._worker.tables:
                await table.call_recover_callbacks()
            await self.app.announce(self._worker.sources)
        finally:
            self._calling_back = False
        (self._placed.set if self._worker.sources else self._placed.clear)()

    async def _rejoin(self, fenced: FencedError) -> None:
        now = time.monotonic()
        self._fences.append(now)
        while now - self._fences[0] > _FENCE_WINDOW_S:
            self._fences.popleft()
        self._metrics.aborts.labels(self.app.conf.id, "fenced").inc()
        log.warning("fenced, joining again: %s", fenced)
        if len(self._fences) > _FENCES:
            raise StopError(
                f"fenced {_FENCES} times within a minute: {fenced.message}", "give every worker an identity of its own (worker=...)"
            ) from fenced
        self._roll_back()
        self._buffer.clear()
        self._trial.plan.clear()
        await self._worker.rejoin()

    # One epoch.

    async def _epoch(self) -> None:
        """Run one epoch.

        1. Dispatch records in pieces, and wait after each until all agents are done, until the records, the plan or the
           time of the epoch are used up.
        2. Close it: a send or write for one of its events is refused from here on.
        3. Serialise what the tables have changed, each key once.
        4. Commit outputs, changelogs and offsets in one transaction; repeat it while the broker aborts it.
        5. Apply the changes to the committed state. If an agent raised, drop everything instead and plan the records again.
        """
        await self._quiet()
        started = time.monotonic()
        self.epoch += 1
        allowed = self._trial.plan.next(self.options.max_records)
        taken: list[Message] = []
        while len(taken) < allowed and self._buffer:
            piece_started = time.monotonic()
            piece = self._buffer.take(min(self._chunk, allowed - len(taken)))
            if not piece:
                break
            if self._order is not None and not self.options.event_time_order:
                piece = by_partition(piece)
            done = 0
            for run in self._dispatcher.runs(piece, ordered=self.options.event_time_order, apart=self._order is not None):
                delivered = self._deliver(run)
                done += delivered
                await self._dispatcher.barrier.wait()
                if self._failures or delivered < len(run):
                    break
            taken += piece[:done]
            self._buffer.put_back(piece[done:])
            if self._failures:
                await self._failed(taken)
                return
            if done < len(piece):
                if not taken:
                    await self._pause(0.2)
                break
            now = time.monotonic()
            self._pace(len(piece), now - piece_started)
            if now - started > self.options.max_seconds:
                break
        self._trial.plan.unused(allowed - len(taken))
        self.epoch += 1
        self._faults.reach("closed")
        if taken or self._loose:
            self._metrics.epoch_seconds.labels(self.app.conf.id).observe(time.monotonic() - started)
            await self._finish(taken)
            self._pacing.ended(len(taken), started)

    def _pace(self, records: int, seconds: float) -> None:
        """Choose the size of the next piece, so that the event loop is not held much longer than 10 ms."""
        if records == self._chunk and seconds < _CHUNK_S / 2:
            self._chunk = min(self._chunk * 2, 5_000)
        elif seconds > _CHUNK_S * 2:
            self._chunk = max(1, self._chunk // 2)

    def _deliver(self, records: list[Message]) -> int:
        """Deliver records and return how many; one that is known to be dead is buried, alone."""
        records, dead = self._trial.until_dead(records)
        if dead is not None:
            raw = records[0]
            source = self._worker.sources[raw.topic(), raw.partition()]
            source.position = (raw.offset() or 0) + 1
            self._bury((raw, source, dead))
            self._note(records, dead=True)
            return 1
        delivered, undecodable = self._dispatcher.deliver(records, self._worker.sources, self.epoch)
        self._note(records[:delivered])
        for each in undecodable:
            self._bury(each)
        return delivered

    def _note(self, records: list[Message], *, dead: bool = False) -> None:
        if self._order is not None:
            self._order.add(records, dead=dead)

    def _bury(self, undecodable: Undecodable) -> None:
        raw, source, error = undecodable
        topic = self.options.dead_letters(source.topic)
        self._metrics.dead.labels(self.app.conf.id, source.topic, type(root_cause(error)).__name__).inc()
        log.error("%s %s offset %s goes to %s: %s", source.topic, source.partition, raw.offset(), topic, error)
        self._outbox.append(dead_letter(raw, topic, self._worker.dead_partition(topic, source.partition), self.app.conf.id, error))

    async def _finish(self, taken: list[Message]) -> None:
        try:
            changes = self._worker.changes()
        except Exception as error:  # noqa: BLE001  # a value that cannot be serialised is the fault of the agent that wrote it
            self._failures.append((error, []))
            await self._failed(taken)
            return
        loose = len(self._loose)
        sources = [source for source in self._worker.sources.values() if source.position != source.committed]
        if not sources:
            sources = list(self._worker.sources.values())[:1]
        work = Work(f"{self._worker.process}:{self.epoch}", [*self._outbox, *self._loose[:loose], *changelog_records(changes)])
        if self._order is not None:
            work.records += self._order.records(work.epoch)
        work.offsets = [TopicPartition(each.topic, each.partition, each.position, metadata=work.epoch) for each in sources]
        work.group = self._worker.group
        outcome = await self._commit(work)
        if outcome is Outcome.REFUSED:
            if not taken:
                raise StopError(f"Kafka refuses a record that was sent outside of an event: {self._worker.cause}", "send smaller records")
            self._failures.append(
                (DeadLetterError(f"Kafka refuses what was sent for it: {self._worker.cause}", "send smaller records"), [])
            )
            await self._failed(taken)
            return
        if outcome is not Outcome.COMMITTED:
            raise FencedError(f"epoch {work.epoch} was not committed: {self._worker.cause}")
        for source in sources:
            source.committed, source.metadata = source.position, work.epoch
        for _, _, shard, changed in changes:
            shard.apply(changed)
        self._faults.reach("applied")
        self._settle(loose)
        self._outbox = []
        if self._order is not None:
            self._order.committed()
        self._count(taken, work)

    def _count(self, taken: list[Message], work: Work) -> None:
        name = self.app.conf.id
        self._metrics.epoch_records.labels(name).observe(len(taken))
        self._trial.acquit(taken)
        self._worker.count(taken, work.records)

    async def _commit(self, work: Work) -> Outcome:
        """Commit until the outcome is known and is not one that the same content can change."""
        delay = 0.02
        while True:
            started = time.monotonic()
            outcome = await self._worker.commit(work)
            self._metrics.commit_seconds.labels(self.app.conf.id).observe(time.monotonic() - started)
            if outcome is Outcome.COMMITTED:
                return outcome
            self._metrics.aborts.labels(self.app.conf.id, self._worker.cause).inc()
            if outcome in (Outcome.FENCED, Outcome.REFUSED):
                return outcome
            if self.stopping:
                raise RetryError(f"the last epoch was not committed: {self._worker.cause}", "start the worker again")
            await self._pause(delay)
            delay = min(1.0, delay * 2)
