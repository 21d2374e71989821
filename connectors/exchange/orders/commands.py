"""The log of commands: a consumer on a thread of its own, and what earlier processes have already said.

All calls of the consumer happen on one thread, rebalances within them. What a poll brings is handed over whole: partitions
lost, results and transfers of partitions gained, commands.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import inf
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from connectors.exchange.orders.history import read_said
from connectors.exchange.orders.offsets import OffsetTracker
from connectors.exchange.orders.results import Place, ResultLog
from connectors.exchange.orders.settings import OrdersSettings
from connectors.kafka.config import client_config
from connectors.kafka.headers import header_map
from quantum.errors import DeadLetterError, FencedError, RetryError
from quantum.partition import partition_of
from quantum.trace import Headers
from schemas.codec import RecordCodec
from schemas.common import OrderAction, Origin
from schemas.execution.records import AccountTransfer, ExecutionResult, OrderCommand
from schemas.positions.records import PortfolioPosition, PortfolioSnapshot
from schemas.record import Record

log = logging.getLogger(__name__)

OnCorrupt = Callable[[Message, DeadLetterError], None]
POLL_S = 0.2
BATCH = 100
_FATAL = {"_FENCED", "FENCED_INSTANCE_ID", "_FATAL"}


@dataclass(frozen=True, slots=True)
class CommandTopics:
    """Topics of the gateway, all partitioned alike by account, and the codecs of those that it reads."""

    command_codec: RecordCodec[OrderCommand]
    result_codec: RecordCodec[ExecutionResult]
    transfer_codec: RecordCodec[AccountTransfer]
    position_codec: RecordCodec[PortfolioPosition]
    snapshot_codec: RecordCodec[PortfolioSnapshot]
    commands: str = "order.command"
    results: str = "execution.result"
    transfers: str = "account.transfer"
    balances: str = "account.balance"
    reconciles: str = "reconcile.events"
    positions: str = "portfolio.position"
    snapshots: str = "portfolio.snapshot"

    @property
    def said(self) -> dict[type[Record], Place]:
        """What is written once, by type of record."""
        return {ExecutionResult: Place(self.results, self.result_codec), AccountTransfer: Place(self.transfers, self.transfer_codec)}


@dataclass(frozen=True, slots=True)
class Delivered:
    """A command and where it lies.

    Attributes
    ----------
    tenure
        Which of this process's ownerships of the partition it was read under.
    uncertain
        Whether an earlier process may have sent it.
    expires_s
        Time after which it is no longer sent, seconds since the epoch.
    """

    command: OrderCommand
    headers: Headers
    partition: int
    offset: int
    tenure: int
    uncertain: bool
    expires_s: float


def is_entry(command: OrderCommand) -> bool:
    """Return whether a command opens or adds to a position; when it comes too late, its reason is gone."""
    return command.action is OrderAction.SUBMIT and command.origin is Origin.ENTRY and not command.reduce_only


@dataclass(slots=True)
class Polled:
    """What one poll has brought; to be taken in this order."""

    lost: list[int] = field(default_factory=list)
    said: list[tuple[int, ExecutionResult, Headers]] = field(default_factory=list)
    moved: list[tuple[int, AccountTransfer, Headers]] = field(default_factory=list)
    gained: list[int] = field(default_factory=list)
    commands: list[Delivered] = field(default_factory=list)


class CommandLog:
    """Commands of the partitions that this process owns.

    Parameters
    ----------
    bootstrap
        Kafka's bootstrap servers.
    topics
        Topics and codecs.
    settings
        Group, limits and times.
    on_corrupt
        Called on the consumer's thread with a command that cannot be read; it is passed over afterwards.
    results
        Written by whoever has the commands' partitions.
    """

    def __init__(self, bootstrap: str, topics: CommandTopics, settings: OrdersSettings, on_corrupt: OnCorrupt, results: ResultLog) -> None:
        self._results = results
        self._bootstrap = bootstrap
        self._topics = topics
        self._settings = settings
        self._on_corrupt = on_corrupt
        self._thread = ThreadPoolExecutor(1, "commands")
        self._polled = Polled()
        self._trackers: dict[int, OffsetTracker] = {}
        self._tenures: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._tenure = 0
        self._partitions = 0
        self._to_commit: dict[int, int] = {}
        self._last_poll = time.monotonic()
        self._poll_over = asyncio.Event()
        self._paused = False
        self._consumer = Consumer(
            client_config(
                bootstrap,
                group_id=settings.group,
                group_instance_id=settings.instance,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                partition_assignment_strategy="range",
                session_timeout_ms=10_000,
                fetch_wait_max_ms=50,
            )
        )
        self._consumer.subscribe([topics.commands], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    async def poll(self) -> Polled:
        """Commit what is done, then wait a moment for something new.

        Raises
        ------
        FencedError
            Another process has taken this one's place in the group.
        RetryError
            Kafka has refused for good; the process must begin again.
        """
        polled = await asyncio.get_running_loop().run_in_executor(self._thread, self._poll)
        self._last_poll = time.monotonic()
        self._poll_over.set()
        self._poll_over = asyncio.Event()
        return polled

    @property
    def heard(self) -> bool:
        """Whether the group was heard just now; not so after a long pause, in which partitions may have gone to others."""
        return time.monotonic() - self._last_poll <= self._settings.stall_s

    def has(self, partition: int | None) -> bool:
        """Return whether a partition is this process's, as far as it has heard."""
        return partition in self._tenures

    def home_of(self, account: str) -> int | None:
        """Return the partition of an account where it is this process's, None where it is not."""
        partition = partition_of(account, self._partitions) if self._partitions else None
        return partition if self.has(partition) else None

    async def has_been_told(self, partitions: Collection[int], timeout_s: float = 15.0) -> bool:
        """Return whether the group takes partitions away that Kafka says another process writes."""
        deadline = time.monotonic() + timeout_s
        while any(self.has(partition) for partition in partitions):
            if time.monotonic() > deadline:
                return False
            await self._poll_over.wait()
        return True

    async def owns(self, delivered: Delivered) -> bool:
        """Return whether a command is still this process's; after a long pause only once the group has been heard again."""
        while not self.heard:
            await self._poll_over.wait()
        return self._tenures.get(delivered.partition) == delivered.tenure

    def done(self, delivered: Delivered) -> None:
        """Note that the outcome of a command is known and stored."""
        tracker = self._trackers.get(delivered.partition)
        if tracker is None or self._tenures.get(delivered.partition) != delivered.tenure:
            return
        offset = tracker.done(delivered.offset)
        if offset is not None:
            self._to_commit[delivered.partition] = offset

    async def close(self) -> None:
        """Commit what is done; static members leave the group by their session's end, so that a successor takes over at once."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        self._commit()
        self._consumer.close()

    def _poll(self) -> Polled:
        self._commit()
        self._hold_back()
        for message in self._messages():
            self._take(message)
        polled, self._polled = self._polled, Polled()
        return polled

    def _messages(self) -> list[Message]:
        first = self._consumer.poll(POLL_S)
        if first is None:
            return []
        return [first, *self._consumer.consume(BATCH, 0)]

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.name() in _FATAL or error.fatal():
                raise FencedError(f"another process is {self._settings.instance} of group {self._settings.group} now: {error}")
            log.warning("kafka: %s", error)
            return
        partition, offset = message.partition(), message.offset()
        if partition is None or offset is None or partition not in self._trackers:
            return
        tracker = self._trackers[partition]
        tracker.take(offset)
        try:
            command = self._topics.command_codec.decode(message.value() or b"")
        except DeadLetterError as problem:
            self._on_corrupt(message, problem)
            committed = tracker.done(offset)
            if committed is not None:
                self._to_commit[partition] = committed
            return
        expires_s = message.timestamp()[1] / 1_000 + self._settings.max_age_s if is_entry(command) else inf
        self._polled.commands.append(
            Delivered(command, header_map(message), partition, offset, self._tenures[partition], offset < self._ends[partition], expires_s)
        )

    def _hold_back(self) -> None:
        full = sum(len(tracker) for tracker in self._trackers.values()) >= self._settings.in_hand
        if full is not self._paused:
            mine = [TopicPartition(self._topics.commands, partition) for partition in self._trackers]
            (self._consumer.pause if full else self._consumer.resume)(mine)
            self._paused = full

    def _commit(self) -> None:
        ready, self._to_commit = self._to_commit, {}
        offsets = [
            TopicPartition(self._topics.commands, partition, offset) for partition, offset in ready.items() if partition in self._trackers
        ]
        if not offsets:
            return
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as problem:
            if problem.args[0].name() in _FATAL or problem.args[0].fatal():
                raise FencedError(
                    f"another process is {self._settings.instance} of group {self._settings.group} now: {problem}"
                ) from problem
            log.warning("offsets are not committed, their commands will be looked up again: %s", problem)

    def _assigned(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._tenure += 1
        for partition in partitions:
            try:
                _, end = consumer.get_watermark_offsets(TopicPartition(self._topics.commands, partition.partition), timeout=10.0)
            except KafkaException as problem:
                raise RetryError(
                    f"the end of {partition} cannot be had: {problem}", "see whether Kafka answers: quantum status"
                ) from problem
            self._ends[partition.partition] = end
            self._tenures[partition.partition] = self._tenure
            self._trackers[partition.partition] = OffsetTracker()
            self._polled.gained.append(partition.partition)
        self._paused = False
        numbers = [partition.partition for partition in partitions]
        self._results.take(numbers)
        since_ms = int((time.time() - self._settings.history_s) * 1_000)
        topics = self._topics
        self._polled.said += read_said(self._bootstrap, topics.results, topics.result_codec, numbers, since_ms)
        self._polled.moved += read_said(self._bootstrap, topics.transfers, topics.transfer_codec, numbers, since_ms)
        self._partitions = len(consumer.list_topics(topics.commands, timeout=10.0).topics[topics.commands].partitions)

    def _revoked(self, _consumer: Any, partitions: list[TopicPartition]) -> None:
        self._commit()
        numbers = {partition.partition for partition in partitions}
        for number in numbers:
            self._tenures.pop(number, None)
        try:
            self._results.flush()
        except (FencedError, RetryError) as problem:
            log.warning("partitions %s are given up with results unsaid, their next owner finds them: %s", sorted(numbers), problem)
        self._results.drop(numbers)
        for number in numbers:
            self._trackers.pop(number, None)
            self._to_commit.pop(number, None)
        self._polled.lost += sorted(numbers)
        self._polled.commands = [delivered for delivered in self._polled.commands if delivered.partition not in numbers]
        self._polled.said = [said for said in self._polled.said if said[0] not in numbers]
        self._polled.moved = [moved for moved in self._polled.moved if moved[0] not in numbers]
        self._polled.gained = [number for number in self._polled.gained if number not in numbers]
