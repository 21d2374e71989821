"""From polled records to events in inboxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message
from faust.types import AppT

from processors.runtime import serde
from processors.runtime.dlq import root_cause
from processors.runtime.event import RecordEvent, Source, as_message
from processors.runtime.inbox import Barrier, Inbox
from processors.runtime.topics import Topic
from quantum.errors import RetryError

Undecodable = tuple[Message, Source, Exception]


@dataclass(slots=True)
class Route:
    """How records of one topic become events, and whose."""

    topic: Topic
    inboxes: list[Inbox]
    decode_key: serde.Decode = field(init=False)
    decode_value: serde.Decode = field(init=False)
    whole: bool = field(init=False)
    allow_empty: bool = field(init=False)

    def __post_init__(self) -> None:
        schema, app = self.topic.schema, self.topic.app
        self.allow_empty = bool(schema.allow_empty)
        self.whole = not serde.is_plain(schema)
        self.decode_key = serde.decoder(app, schema.key_type, schema.key_serializer, key=True)
        self.decode_value = serde.decoder(app, schema.value_type, schema.value_serializer, key=False)

    def reads_like(self, topic: Topic) -> bool:
        """Return whether records of another description of the topic decode to the same."""
        mine, other = self.topic.schema, topic.schema
        return not self.whole and all(
            getattr(mine, name) is getattr(other, name) or getattr(mine, name) == getattr(other, name)
            for name in ("key_type", "value_type", "key_serializer", "value_serializer", "allow_empty")
        )

    def decode(self, raw: Message, source: Source) -> tuple[Any, Any]:
        """Return key and value of a record."""
        if not self.whole:
            data = raw.value()
            return self.decode_key(raw.key()), None if data is None and self.allow_empty else self.decode_value(data)
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

    def runs(self, records: list[Message], *, ordered: bool) -> Iterator[list[Message]]:
        """Yield records in pieces within which the order between agents does not matter: all of them, or by topic where it does.

        Where several agents read a topic their order is made the same in every run by giving them one record at a time.
        """
        if not ordered:
            yield records
            return
        start = 0
        for at in range(1, len(records) + 1):
            topic = records[start].topic()
            if at == len(records) or records[at].topic() != topic or self._readers[topic] > 1:
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
                made = [(route, *route.decode(raw, source)) for route in routes[name]]  # type: ignore[index]  # a polled record has a topic
            except Exception as error:  # noqa: BLE001  # whatever a codec raises is this record's error
                if isinstance(root_cause(error), RetryError):
                    break
                undecodable.append((raw, source, error))
            else:
                for route, key, value in made:
                    event = RecordEvent(app, key, value, source, raw, epoch)
                    for inbox in route.inboxes:
                        inbox.add(event)
            source.position = raw.offset() + 1  # type: ignore[operator]  # a polled record has an offset
            delivered += 1
        for _, inbox in self._inboxes.values():
            inbox.wake()
        return delivered, undecodable
