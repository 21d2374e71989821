"""Faust's topic, whose sends join the open epoch."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, cast

from faust.agents.agent import _current_agent
from faust.streams import _current_event
from faust.topics import Topic as FaustTopic
from faust.types import RecordMetadata
from faust.types.tuples import TP

from processors.runtime.api import serde
from processors.runtime.api.streams import unsupported

if TYPE_CHECKING:
    from processors.runtime.epochs.engine import Engine

HeaderList = list[tuple[str, bytes]]


#: A record for the epoch's transaction: topic, partition (-1 for murmur2 of the key), key, value, headers, and the
#: timestamp in milliseconds (0 for now).
Outgoing = tuple[str, int, bytes | None, bytes | None, HeaderList | None, int]


class Sent:
    """What a send returns: awaiting it does not wait for the commit, so its offset is not known (-1)."""

    __slots__ = ("_partition", "_topic")

    def __init__(self, topic: str, partition: int) -> None:
        self._topic = topic
        self._partition = partition

    def result(self) -> RecordMetadata:
        """Return where the record goes."""
        return RecordMetadata(self._topic, self._partition, TP(self._topic, self._partition), -1)

    def done(self) -> bool:
        """Return True: nothing is waited for."""
        return True

    def __await__(self) -> Generator[Any, None, RecordMetadata]:
        yield from ()
        return self.result()


class Stored(Sent):
    """What a send returns where no worker runs: it is stored already."""

    __slots__ = ("_metadata",)

    def __init__(self, metadata: RecordMetadata) -> None:
        super().__init__(metadata.topic, metadata.partition)
        self._metadata = metadata

    def result(self) -> RecordMetadata:
        """Return where the record is."""
        return self._metadata


def header_list(headers: Any) -> HeaderList | None:
    """Return headers of either of Faust's forms as a list of pairs, None where there are none."""
    if not headers:
        return None
    pairs = headers.items() if hasattr(headers, "items") else headers
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]


class Topic(FaustTopic):
    """A topic that sends into the transaction of the open epoch."""

    def __init__(self, *args: Any, acks: bool = True, internal: bool = False, **kwargs: Any) -> None:
        if not acks and not internal:
            unsupported("app.topic(acks=False)", "leave it out: an epoch commits the offsets of all that it has read")
        super().__init__(*args, acks=acks, internal=internal, **kwargs)

    @cached_property
    def _engine(self) -> Engine:
        return cast("Engine", cast(Any, self.app).engine)

    @cached_property
    def _encode_key(self) -> serde.Encode:
        return serde.encoder(self.app, self.schema.key_type, self.schema.key_serializer, key=True)

    @cached_property
    def _encode_value(self) -> serde.Encode:
        return serde.encoder(self.app, self.schema.value_type, self.schema.value_serializer, key=False)

    @cached_property
    def _name(self) -> str:
        return self.get_topic_name()

    @cached_property
    def _sent(self) -> Sent:
        return Sent(self._name, -1)

    @cached_property
    def _plain(self) -> bool:
        return serde.is_plain(self.schema)

    async def send(
        self,
        *,
        key: Any = None,
        value: Any = None,
        partition: int | None = None,
        timestamp: float | None = None,
        headers: Any = None,
        schema: Any = None,
        key_serializer: Any = None,
        value_serializer: Any = None,
        callback: Any = None,
        force: bool = False,
    ) -> Awaitable[RecordMetadata]:
        """Add a record to the open epoch; see :meth:`send_soon`."""
        del force
        to = -1 if partition is None else partition
        if schema is None and key_serializer is None and value_serializer is None and callback is None and self._plain:
            record: Outgoing = (
                self._name, to, self._encode_key(key), self._encode_value(value), header_list(headers) if headers else None,
                0 if timestamp is None else int(timestamp * 1000),
            )  # fmt: skip
        else:
            record = self._record(key, value, partition, timestamp, headers, schema, key_serializer, value_serializer, callback)
        event = _current_event.get(None)
        if event is None:
            return await self._send_alone(record)
        self._engine.send(record, event)
        return self._sent if to == -1 else Sent(self._name, to)

    @property
    def _by_worker(self) -> bool:
        """Whether a worker runs here, or agents run without one, in a re-run."""
        return bool(self.app.started) or _current_agent.get(None) is not None

    async def _send_alone(self, record: Outgoing) -> Awaitable[RecordMetadata]:
        if self._by_worker:
            return await self._engine.send_alone(record)
        stored = await cast(Any, self.app).outside.send(record)
        return Stored(stored)

    def send_soon(  # type: ignore[override]  # returns Sent, which has of Faust's future what can be known before the commit
        self,
        *,
        key: Any = None,
        value: Any = None,
        partition: int | None = None,
        timestamp: float | None = None,
        headers: Any = None,
        schema: Any = None,
        key_serializer: Any = None,
        value_serializer: Any = None,
        callback: Any = None,
        force: bool = False,
        eager_partitioning: bool = False,
    ) -> Sent:
        """Add a record to the open epoch, or, outside of an event, to an epoch of its own.

        Parameters
        ----------
        key, value
            What to send; serialised now, so that later changes to them do not matter.
        partition
            The partition; None for murmur2 of the key, as Java's producer has it.
        timestamp
            Seconds since 1970; None for now.
        headers
            A mapping or a list of pairs, name to bytes.
        schema, key_serializer, value_serializer
            Other ways to serialise than the topic's.
        callback
            Refused: a record's offset is not known before the commit.
        force, eager_partitioning
            Faust's; without effect here.
        """
        del force, eager_partitioning
        if not self._by_worker:
            unsupported("topic.send_soon() while no worker runs", "use await topic.send(...)")
        record = self._record(key, value, partition, timestamp, headers, schema, key_serializer, value_serializer, callback)
        self._engine.send(record, _current_event.get(None))
        return Sent(record[0], record[1])

    def _record(
        self, key: Any, value: Any, partition: int | None, timestamp: float | None, headers: Any, schema: Any, key_serializer: Any,
        value_serializer: Any, callback: Any,
    ) -> Outgoing:  # fmt: skip
        if callback is not None:
            unsupported("topic.send(callback=...)", "read the topic: whether a send lasts is known only after the commit")
        pairs: Any = dict(headers) if hasattr(headers, "items") else list(headers or ())
        if schema is None and key_serializer is None and value_serializer is None and self._plain:
            key_bytes, value_bytes = self._encode_key(key), self._encode_value(value)
        else:
            key_bytes, pairs = self.prepare_key(key, key_serializer, schema, pairs)
            value_bytes, pairs = self.prepare_value(value, value_serializer, schema, pairs)
        return (
            self._name, -1 if partition is None else partition, key_bytes, value_bytes, header_list(pairs),
            0 if timestamp is None else int(timestamp * 1000),
        )  # fmt: skip

    async def send_many(self, records: Iterable[tuple[Any, Any]], *, headers: Any = None) -> None:
        """Add many records, key and value, to the open epoch: what :meth:`send` does for each, for batches.

        Parameters
        ----------
        records
            Keys and values; each goes to the partition of its key.
        headers
            Headers of all of them.
        """
        name, encode_key, encode_value = self._name, self._encode_key, self._encode_value
        pairs = header_list(headers)
        self._engine.send_many(
            [(name, -1, encode_key(key), encode_value(value), pairs, 0) for key, value in records], _current_event.get(None)
        )

    async def put(self, event: Any) -> NoReturn:
        """Refuse: what lies in memory is lost with the worker, after its input was committed."""
        unsupported(f"topic.put({event!r})", "use await topic.send(...)")

    async def publish_message(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse, naming the alternative."""
        unsupported("topic.publish_message()", "use await topic.send(...)")

    async def get(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse: a record that is read outside of an agent is in no epoch."""
        unsupported("topic.get()", "read the topic in an agent: @app.agent(topic)")

    async def __anext__(self) -> NoReturn:
        unsupported("async for ... in topic", "read the topic in an agent: @app.agent(topic)")

    async def declare(self) -> None:
        """Let the engine create this topic where it is missing."""
        self._engine.declare(self)
