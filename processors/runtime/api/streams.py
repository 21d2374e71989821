"""Faust's stream over an inbox: iteration by value, event or batch, inside the open epoch."""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, cast

from faust.exceptions import Skip
from faust.streams import Stream as FaustStream
from faust.streams import _current_event, maybe_forward
from faust.types import ChannelT, EventT
from faust.types.models import FieldDescriptorT
from mode import Seconds
from mode.utils.futures import maybe_async

from processors.runtime.api.event import RecordEvent
from processors.runtime.epochs.inbox import Inbox
from quantum.errors import ConfigurationError

if TYPE_CHECKING:
    from processors.runtime.epochs.engine import Engine


def unsupported(what: str, instead: str) -> NoReturn:
    """Raise the error that names a part of Faust which has no exactly-once form."""
    raise ConfigurationError(f"{what} is not supported by the exactly-once runtime", instead)


class Stream(FaustStream[Any]):
    """A stream whose events belong to the open epoch.

    The batches of :meth:`take` and :meth:`take_events` never mix partition numbers, so that a table that is used while
    a batch is worked on is the shard of all of its events, and they never wait for more than the epoch has.
    """

    def __init__(self, channel: Any, *, inbox: Inbox | None = None, **kwargs: Any) -> None:
        super().__init__(channel, **kwargs)
        self._engine: Engine = cast(Any, self.app).engine
        self.inbox = self._engine.attach(channel) if inbox is None else inbox
        self.current_event: EventT[Any] | None = None

    async def _take_one(self) -> RecordEvent:
        inbox = self.inbox
        if not inbox.queue:
            inbox.in_hand = ()
            await inbox.ready()
        event = inbox.queue.popleft()
        self._hold(event, (event,))
        return event

    def _hold(self, event: RecordEvent, events: Sequence[RecordEvent]) -> None:
        self.inbox.in_hand = events
        self.current_event = event
        _current_event.set(weakref.ref(event))

    async def _processed(self, event: RecordEvent) -> Any:
        value = event.value
        for processor in self._processors:
            value = await maybe_async(processor(value))
        return await self.on_merge(value)

    async def _values(self) -> AsyncGenerator[Any, None]:
        self._finalized = True
        while True:
            event = await self._take_one()
            if self._processors:
                try:
                    value = await self._processed(event)
                except Skip:
                    continue
                yield value
            else:
                yield event.value

    def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over values."""
        return self._values()

    async def events(self) -> AsyncGenerator[Any, None]:
        """Iterate over events."""
        self._finalized = True
        inbox = self.inbox
        queue = inbox.queue
        make_ref, set_current = weakref.ref, _current_event.set
        while True:
            if not queue:
                inbox.in_hand = ()
                await inbox.ready()
            event = queue.popleft()
            inbox.in_hand = (event,)
            self.current_event = event
            set_current(make_ref(event))
            if self._processors:
                try:
                    await self._processed(event)
                except Skip:
                    continue
            yield event

    async def _batches(self, limit: int) -> AsyncGenerator[list[RecordEvent], None]:
        if limit < 1:
            raise ConfigurationError(f"a batch of {limit} events was asked for", "ask for at least 1")
        self._finalized = True
        inbox = self.inbox
        queue = inbox.queue
        while True:
            if not queue:
                inbox.in_hand = ()
                await inbox.ready()
            partition = queue[0].source.partition
            batch: list[RecordEvent] = []
            while queue and len(batch) < limit and queue[0].source.partition == partition:
                batch.append(queue.popleft())
            self._hold(batch[-1], batch)
            yield batch

    async def take(self, max_: int, within: Seconds = 0) -> AsyncGenerator[Sequence[Any], None]:
        """Iterate over lists of up to ``max_`` values of one partition number.

        Parameters
        ----------
        max_
            The longest list.
        within
            How long the caller would wait for a full list; what the epoch has is given at once, so it never waits.
        """
        del within
        async for batch in self._batches(max_):
            if not self._processors:
                yield [event.value for event in batch]
                continue
            values: list[Any] = []
            for event in batch:
                self._hold(event, batch)
                try:
                    values.append(await self._processed(event))
                except Skip:
                    continue
            if values:
                yield values

    async def take_events(self, max_: int, within: Seconds = 0) -> AsyncGenerator[Sequence[EventT[Any]], None]:
        """Iterate over lists of up to ``max_`` events of one partition number; see :meth:`take`."""
        del within
        async for batch in self._batches(max_):
            if not self._processors:
                yield batch
                continue
            kept: list[EventT[Any]] = []
            for event in batch:
                self._hold(event, batch)
                try:
                    await self._processed(event)
                except Skip:
                    continue
                kept.append(event)
            if kept:
                yield kept

    def _enable_passive(self, channel: ChannelT[Any], *, declare: bool = False) -> None:
        if self._passive:
            return
        self._passive = True
        if declare:
            self._engine.declare(channel)
        self._engine.drain(self)

    def echo(self, *channels: Any) -> Any:
        """Send values to more topics, without reading these; a send that fails voids the epoch."""
        topics = [self.derive_topic(each) if isinstance(each, str) else each for each in channels]

        async def send_to_all(value: Any) -> Any:
            for topic in topics:
                await maybe_forward(value, topic)
            return value

        self.add_processor(send_to_all)
        return self

    async def _format_key(self, key: Any, value: Any) -> Any:
        """Return the key to group by; where it cannot be had the epoch is void, and no record is left out."""
        return key.getattr(value) if isinstance(key, FieldDescriptorT) else await maybe_async(key(value))

    async def throw(self, exc: BaseException) -> NoReturn:
        """Refuse, naming the alternative."""
        unsupported(f"stream.throw({exc!r})", "raise in the agent")

    def noack(self) -> NoReturn:
        """Refuse: an epoch acknowledges its records itself."""
        unsupported("stream.noack()", "iterate over the stream itself: an epoch's records are acknowledged by its commit")

    def noack_take(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse: an epoch acknowledges its records itself."""
        unsupported("stream.noack_take()", "use stream.take(n, within)")

    def take_with_timestamp(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse, naming the alternative."""
        unsupported("stream.take_with_timestamp()", "use stream.take_events(n): event.message.timestamp is the record's timestamp")

    def combine(self, *_nodes: Any, **_kwargs: Any) -> NoReturn:
        """Refuse, naming the alternative."""
        unsupported("stream.combine() (stream & stream)", "give the agent a topic of several names: app.topic('a', 'b')")

    def _join(self, join_strategy: Any) -> NoReturn:
        unsupported("stream.join() and its kin", f"keep one side in a table and look it up from the other's agent ({join_strategy!r})")
