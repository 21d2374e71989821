"""From polled records to events in inboxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message
from faust.types import AppT

from processors.runtime.api import serde
from processors.runtime.api.event import RecordEvent, Source, as_message
from processors.runtime.api.topics import Topic
from processors.runtime.epochs.dlq import root_cause
from processors.runtime.epochs.inbox import Barrier, Inbox
from quantum.errors import RetryError

Undecodable = tuple[Message, Source, Exception]


@dataclass(slots=True)
class Route:
    """How records of one topic become events, and whose."""

    topic: Topic
    inboxes: list[Inbox]
    decode: Callable[[Message, Source], tuple[Any, Any]] = field(init=False)
    whole: bool = field(init=False)

    def __post_init__(self) -> None:
        self.whole = not serde.is_plain(self.topic.schema)
        self.decode = self._decode_whole if self.whole else self._decoder()

    def reads_like(self, topic: Topic) -> bool:
        """Return whether records of another description of the topic decode to the same."""
        mine, other = self.topic.schema, topic.schema
        return not self.whole and all(
            getattr(mine, name) is getattr(other, name) or getattr(mine, name) == getattr(other, name)
            for name in ("key_type", "value_type", "key_serializer", "value_serializer", "allow_empty")
        )

    def _decoder(self) -> Callable[[Message, Source], tuple[Any, Any]]:
        """Return the function that reads a record's key and value, with nothing left in it to be looked up for each."""
        schema, app = self.topic.schema, self.topic.app
        allow_empty = bool(schema.allow_empty)
        decode_key = serde.decoder(app, schema.key_type, schema.key_serializer, key=True)
        decode_value = serde.decoder(app, schema.value_type, schema.value_serializer, key=False)

        def decode(raw: Message, _source: Source) -> tuple[Any, Any]:
            data = raw.value()
            return decode_key(raw.key()), None if data is None and allow_empty else decode_value(data)

        return decode

    def _decode_whole(self, raw: Message, source: Source) -> tuple[Any, Any]:
        """Return key and value of a record by a schema of the application's own."""
        schema = self.topic.schema
        message = as_message(raw, source.tp)
        value = None if message.value is None and schema.allow_empty else schema.loads_value(self.topic.app, message)
        return schema.loads_key(self.topic.app, message), value


class Dispatcher:
    """Delivers records to the inboxes of the agents that read their topics.

    Attributes
    ----------
    barrier
        Tells when all agents are done with what they were given.
    """

    def __init__(self, app: AppT) -> None:
        self._app = app
        self.barrier = Barrier()
        self._inboxes: dict[int, tuple[Topic, Inbox]] = {}
        self._routes: dict[str, list[Route]] = {}
        self._readers: dict[str | None, int] = {}

    @property
    def topics(self) -> dict[str, Topic]:
        """The topics that are read, by name."""
        return {name: routes[0].topic for name, routes in self._routes.items()}

    def attach(self, topic: Topic) -> Inbox:
        """Return the inbox of an iterated topic, counting one more actor; actors of one agent iterate over one topic object."""
        if id(topic) in self._inboxes:
            inbox = self._inboxes[id(topic)][1]
        else:
            inbox = Inbox(self.barrier)
            self._inboxes[id(topic)] = (topic, inbox)
            self._route()
        inbox.join()
        return inbox

    def detach(self, topic: Topic) -> None:
        """Count one actor less of an iterated topic."""
        inbox = self._inboxes[id(topic)][1]
        if inbox.leave():
            inbox.retire()
            del self._inboxes[id(topic)]
            self._route()

    def clear(self) -> None:
        """Take back what agents have not taken yet."""
        for _, inbox in self._inboxes.values():
            inbox.queue.clear()

    def _route(self) -> None:
        self._routes = {}
        for topic, inbox in self._inboxes.values():
            for name in topic.topics:
                routes = self._routes.setdefault(name, [])
                for route in routes:
                    if route.reads_like(topic):
                        route.inboxes.append(inbox)
                        break
                else:
                    routes.append(Route(topic, [inbox]))
        self._readers = {name: sum(len(route.inboxes) for route in routes) for name, routes in self._routes.items()}

    def runs(self, records: list[Message], *, ordered: bool, apart: bool) -> Iterator[list[Message]]:
        """Yield records in pieces that are worked through one after another.

        Parameters
        ----------
        records
            The records, in the order of their dispatch.
        ordered
            Whether all agents are to see them in that order: then a piece has one topic, and one record where several agents read it.
        apart
            Whether a piece is to have one topic partition.
        """
        if not ordered and not apart:
            yield records
            return
        start = 0
        for at in range(1, len(records) + 1):
            topic, partition = records[start].topic(), records[start].partition()
            if (
                at == len(records)
                or records[at].topic() != topic
                or (apart and records[at].partition() != partition)
                or (ordered and self._readers[topic] > 1)
            ):
                yield records[start:at]
                start = at

    def deliver(self, records: Sequence[Message], sources: dict[tuple[Any, Any], Source], epoch: int) -> tuple[int, list[Undecodable]]:
        """Decode records and give them to the agents.

        Returns
        -------
        How many records were delivered: fewer than given where a codec asked for a retry; and those that cannot be decoded.
        """
        app, routes = self._app, self._routes
        undecodable: list[Undecodable] = []
        delivered = 0
        for raw in records:
            name = raw.topic()
            source = sources[name, raw.partition()]
            try:
                made = []  # not by a comprehension, which is a call for each record
                for route in routes[name]:  # type: ignore[index]  # a polled record has a topic
                    key, value = route.decode(raw, source)
                    made.append((route.inboxes, RecordEvent(app, key, value, source, raw, epoch)))
            except Exception as error:  # noqa: BLE001  # whatever a codec raises is this record's error
                if isinstance(root_cause(error), RetryError):
                    break
                undecodable.append((raw, source, error))
            else:
                for inboxes, event in made:
                    for inbox in inboxes:
                        inbox.add(event)
            source.position = raw.offset() + 1  # type: ignore[operator]  # a polled record has an offset
            delivered += 1
        for _, inbox in self._inboxes.values():
            inbox.wake()
        return delivered, undecodable
