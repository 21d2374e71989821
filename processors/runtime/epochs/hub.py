"""Where streams, agents, topics and tables meet the engine: what they may do to the open epoch."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from faust.agents.agent import _current_agent
from faust.types import ChannelT, EventT, RecordMetadata, TopicT
from faust.types.tuples import TP

from processors.runtime.api.event import RecordEvent
from processors.runtime.api.streams import Stream
from processors.runtime.api.topics import Outgoing, Sent, Topic
from processors.runtime.epochs.dispatch import Dispatcher
from processors.runtime.epochs.inbox import Inbox
from quantum.errors import AbortTransactionError, ConfigurationError, RetryError

if TYPE_CHECKING:
    import weakref
    from collections.abc import Awaitable

    from processors.runtime.api.app import App

_MOST_LOOSE = 100_000


class Hub:
    """The open epoch as the application's parts see it.

    Attributes
    ----------
    epoch
        Number of the open epoch; an event of another number is over. Between epochs no event has it.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.epoch = 0
        self._dispatcher = Dispatcher(app)
        self._outbox: list[Outgoing] = []
        self._loose: list[Outgoing] = []
        self._answers: list[asyncio.Future[RecordMetadata] | None] = []
        self._placed = asyncio.Event()
        self._calling_back = False
        self._ended = False
        self._failures: list[tuple[Exception, list[RecordEvent]]] = []
        self._parked: list[Inbox] = []
        self._judged = asyncio.Event()
        self._drains: dict[int, asyncio.Task[None]] = {}
        self._declared: dict[str, Topic] = {}
        self._subscribed: frozenset[str] | None = None

    def attach(self, channel: Any) -> Inbox:
        """Return the inbox of an iterated topic."""
        if not isinstance(channel, Topic):
            raise ConfigurationError("a stream over something that is not a topic", "iterate over app.topic(...) in an agent")
        if channel.pattern is not None:
            raise ConfigurationError(
                "topics by pattern are not supported by the exactly-once runtime", "name the topics: app.topic('a', 'b')"
            )
        if _current_agent.get(None) is None:
            raise ConfigurationError(f"a stream of {channel.topics} outside of an agent", "read it in an agent: @app.agent(topic)")
        if self._subscribed is not None and not self._subscribed.issuperset(channel.topics):
            raise ConfigurationError(
                f"{channel.topics} is read by a stream that began after the worker", "derive streams before the first event of the agent"
            )
        return self._dispatcher.attach(channel)

    def _open(self) -> None:
        """Take it that all topics are known that will be read."""
        self._subscribed = frozenset(self._dispatcher.topics)

    def declare(self, channel: ChannelT[Any]) -> None:
        """Have a topic created at start."""
        if isinstance(channel, TopicT):
            for name in channel.topics:
                self._declared[name] = cast(Topic, channel)

    def drain(self, stream: Stream) -> None:
        """Run a stream that has processors and no agent (``group_by``, ``through``)."""
        self._drains[id(stream)] = asyncio.get_running_loop().create_task(self._drain(stream))

    async def _drain(self, stream: Stream) -> None:
        while True:
            try:
                async for _ in stream:
                    pass
            except Exception as error:  # noqa: BLE001  # whatever a processor raises voids the epoch, as an agent's error does
                self._fail(stream.inbox, error)
                await self._judged.wait()

    def send(self, record: Outgoing, reference: weakref.ref[EventT[Any]] | None) -> None:
        """Add a record to the open epoch, or, where there is no event, to an epoch of its own."""
        event: Any = reference() if reference is not None else None
        if event is None:
            if len(self._loose) >= _MOST_LOOSE:
                raise RetryError(f"{_MOST_LOOSE} records sent outside of events wait for a commit", "send less, or start the broker")
            if self._ended:
                raise RetryError(f"a send to {record[0]} after the worker has stopped", "send before the application stops")
            self._loose.append(record)
            self._answers.append(None)
        elif event.epoch == self.epoch:
            self._outbox.append(record)
        else:
            raise AbortTransactionError(
                f"a send to {record[0]} for an event whose epoch is over",
                "finish the work of an event before asking the stream for the next",
            )

    def send_many(self, records: list[Outgoing], reference: weakref.ref[EventT[Any]] | None) -> None:
        """Add many records; see :meth:`send`."""
        if not records:
            return
        self.send(records[0], reference)
        if reference is None or reference() is None:
            self._loose.extend(records[1:])
            self._answers.extend([None] * (len(records) - 1))
        else:
            self._outbox.extend(records[1:])

    async def send_alone(self, record: Outgoing) -> Awaitable[RecordMetadata]:
        """Add a record to an epoch of its own, as soon as the worker has partitions: without any it could not be fenced.

        Returns
        -------
        Awaited, it waits for the commit. In an agent that has no event yet, and while the engine calls back, it does not: the
        engine waits for them.
        """
        if _current_agent.get(None) is not None or self._calling_back:
            self.send(record, None)
            return Sent(record[0], record[1])
        while not self._placed.is_set() and not self._ended:
            await self._placed.wait()
        self.send(record, None)
        answer: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        self._answers[-1] = answer
        return answer

    def _settle(self, count: int) -> None:
        """Say that the first records that were sent outside of events are committed."""
        for record, answer in zip(self._loose[:count], self._answers[:count], strict=True):
            if answer is not None and not answer.done():
                topic, partition = record[0], record[1]
                answer.set_result(RecordMetadata(topic, partition, TP(topic, partition), -1))
        del self._loose[:count], self._answers[:count]

    def _end(self) -> None:
        """Refuse sends from here on; who waits for the commit of one learns that there will be none."""
        for task in self._drains.values():
            task.cancel()
        self._ended = True
        self._placed.set()
        for answer in self._answers:
            if answer is not None and not answer.done():
                answer.set_exception(RetryError("the worker ended before a send outside of an event was committed", "send it again"))
                answer.exception()

    def agent_failed(self, stream: Any, error: Exception) -> None:
        """Void the open epoch; the agent stays parked until the failure is judged."""
        self._fail(stream.get_active_stream().inbox, error)

    def _fail(self, inbox: Inbox, error: Exception) -> None:
        self._failures.append((error, list(inbox.in_hand)))
        inbox.in_hand = ()
        self._judged.clear()
        self._dispatcher.clear()
        self._parked.append(inbox)
        inbox.park()

    async def failure_judged(self) -> None:
        """Return when the agent may start again."""
        await self._judged.wait()

    def replace(self, stream: Any, agent: Any) -> Stream:
        """Return a new stream in the place of one whose agent raised; what was derived from it is gone."""
        node = stream
        while node is not None:
            task = self._drains.pop(id(node), None)
            if task is not None:
                task.cancel()
            if node is not stream:
                self._dispatcher.detach(node.channel)
            node = node._next
        return cast(Stream, agent.stream(channel=stream.channel, concurrency_index=stream.concurrency_index, inbox=stream.inbox))

    def _revive(self) -> None:
        """Let the agents that failed start again."""
        parked, self._parked = self._parked, []
        for inbox in parked:
            inbox.unpark()
        self._judged.set()
