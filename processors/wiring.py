"""How a stage's pure logic is bound to Faust: topics, tables and agents by the topology's names.

A stage's ``agent.py`` says which handler answers to which topic and which tables' states it is given::

    def create_agents(wiring: Wiring) -> None:
        symbols = wiring.table("symbols", SymbolState)
        wiring.react("market.quote", logic.on_quote, symbols.by("symbol"))
        wiring.sweep("clock", logic.on_clock, symbols)

A handler is ``handler(state, ..., record) -> Iterable[Output]``; it may change the states that it is given, which are
written back after it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from faust.serializers.codecs import Codec
from faust.types import EventT, StreamT, TopicT
from pydantic_settings import BaseSettings

from processors.components import partitions_of
from processors.output import Output
from processors.runtime import App
from processors.runtime.state.table import Table
from processors.topology import NODES, TOPICS
from quantum.errors import ConfigurationError, CorruptRecordError
from quantum.settings import DECISIVE, Settings
from quantum.trace import Headers, caused_headers
from schemas.codec import RecordCodec, SchemaIds

TABLE = "processors/topology.py"
StateT = TypeVar("StateT", bound=msgspec.Struct)
OptionsT = TypeVar("OptionsT", bound=BaseSettings)
Handler = Callable[..., Iterable[Output]]
KeyOf = Callable[[Any], str | None]


class AvroCodec(Codec):
    """A topic's values in Faust: records in Confluent's wire format."""

    def __init__(self, codec: RecordCodec[Any]) -> None:
        super().__init__()
        self.codec = codec

    def _loads(self, s: bytes) -> Any:
        return self.codec.decode(s)

    def _dumps(self, obj: Any) -> bytes:
        return self.codec.encode(obj)


class StateCodec(Codec):
    """A table's values in Faust: the stage's state as JSON, so that a changelog can be read by eye."""

    def __init__(self, state: type[msgspec.Struct]) -> None:
        super().__init__()
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(state)

    def _loads(self, s: bytes) -> Any:
        try:
            return self._decoder.decode(s)
        except msgspec.DecodeError as error:
            raise CorruptRecordError(f"a table's value cannot be read: {error}", "restore the table from its changelog") from error

    def _dumps(self, obj: Any) -> bytes:
        return self._encoder.encode(obj)


@dataclass(frozen=True, slots=True)
class Binding:
    """One state that a handler is given: a table, and which of its keys a record means; none where the handler needs no state."""

    table: Table
    key: KeyOf

    def when(self, needed: Callable[[Any], bool]) -> Binding:
        """Bind the state only of records that need it; for the others the handler is given None, and nothing is written."""
        return Binding(self.table, lambda record: self.key(record) if needed(record) else None)


@dataclass(frozen=True, slots=True)
class StateTable(Generic[StateT]):
    """A Faust table of a stage's states."""

    table: Table

    def by(self, *fields: str) -> Binding:
        """Bind the state whose key is these fields of the record, joined by a colon."""
        if len(fields) == 1:
            name = fields[0]
            return Binding(self.table, lambda record: str(getattr(record, name)))
        return Binding(self.table, lambda record: ":".join(str(getattr(record, name)) for name in fields))

    def at(self, key: str) -> Binding:
        """Bind the state of one key, whatever the record: what every record of a partition shares."""
        return Binding(self.table, lambda _record: key)


class Wiring:
    """Topics, tables and agents of one stage.

    Parameters
    ----------
    app
        The Faust application.
    stage
        Name of the stage in the topology; it can read and write only what the topology says.
    settings
        Settings of the platform.
    ids
        The schema registry.
    on_sent
        Called with each input event and output topic, for metrics.
    recorded
        The stage's own settings as they were recorded, by name of their type; without it they are read from the environment.

    Attributes
    ----------
    used
        The settings that the stage's decisions can depend on, by name of their type.
    """

    def __init__(
        self, app: App, stage: str, settings: Settings, ids: SchemaIds, on_sent: Callable[[EventT[Any], str], None],
        recorded: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:  # fmt: skip
        self.app = app
        self.settings = settings
        self.used: dict[str, dict[str, Any]] = {Settings.__name__: settings.model_dump(mode="json", include=set(DECISIVE))}
        self._recorded = recorded
        self._node = NODES[stage]
        self._ids = ids
        self._on_sent = on_sent
        self._topics: dict[str, TopicT] = {}
        self._outputs = frozenset(self._node.writes)

    def topic(self, name: str) -> TopicT:
        """Return the Faust topic of a name that the topology lets this stage read or write."""
        if name not in self._node.reads and name not in self._outputs:
            raise ConfigurationError(f"stage {self._node.name} uses {name}", f"add it to the stage's reads or writes: {TABLE}")
        if name not in self._topics:
            spec = TOPICS[name]
            codec: RecordCodec[Any] = RecordCodec(spec.subject, spec.record, self._ids)
            self._topics[name] = self.app.topic(
                name,
                key_type=str,
                key_serializer="raw",
                value_serializer=AvroCodec(codec),
                partitions=self.settings.partitions,
                allow_empty=True,
            )
        return self._topics[name]

    def options(self, kind: type[OptionsT]) -> OptionsT:
        """Return the stage's own settings of a type; they are written to the order log, so that a re-run has the same."""
        found = kind() if self._recorded is None else kind(**self._recorded.get(kind.__name__, {}))
        self.used[kind.__name__] = found.model_dump(mode="json")
        return found

    def table(self, name: str, state: type[StateT]) -> StateTable[StateT]:
        """Return a table ``<stage>-<name>`` of states; a key's first state is ``state()``."""
        table: Any = self.app.Table(
            f"{self._node.name}-{name}", default=state, key_type=str, key_serializer="raw",
            value_serializer=StateCodec(state), partitions=self.settings.partitions,
        )  # fmt: skip
        return StateTable(table)

    def react(self, topic: str, handler: Handler, *bindings: Binding) -> None:
        """Answer each record of a topic by ``handler(state, ..., record)``."""

        async def on_stream(stream: StreamT[Any]) -> None:
            async for event in stream.events():
                record = event.value
                keys = [binding.key(record) for binding in bindings]
                states = [None if key is None else binding.table[key] for binding, key in zip(bindings, keys, strict=True)]
                outputs = list(handler(*states, record))
                # Before anything is awaited: another agent of the partition must not be given an older state meanwhile.
                for binding, key, state in zip(bindings, keys, states, strict=True):
                    if key is not None:
                        binding.table[key] = state
                await self.send(event, outputs)

        self._agent(topic, handler, on_stream)

    def sweep(self, topic: str, handler: Handler, swept: StateTable[Any], *bindings: Binding) -> None:
        """Answer each record of a topic by ``handler(state, ..., record)`` for every key of ``swept`` in its partition."""

        async def on_stream(stream: StreamT[Any]) -> None:
            async for event in stream.events():
                record = event.value
                shared = [(binding, binding.key(record)) for binding in bindings]
                states = [binding.table[key] for binding, key in shared]
                outputs: list[Output] = []
                # Sorted, because a table that was restored has its keys in another order than one that grew.
                for key in sorted(swept.table.partition_keys(event.message.partition)):
                    state = swept.table[key]
                    outputs.extend(handler(state, *states, record))
                    swept.table[key] = state
                for (binding, key), state in zip(shared, states, strict=True):
                    binding.table[key] = state
                await self.send(event, outputs)

        self._agent(topic, handler, on_stream)

    def _agent(self, topic: str, handler: Handler, on_stream: Callable[[StreamT[Any]], Any]) -> None:
        source = self.topic(topic)
        self.app.agent(source, name=f"{self._node.name}.{topic}.{getattr(handler, '__name__', 'handler')}")(on_stream)

    async def send(self, event: EventT[Any], outputs: Iterable[Output]) -> None:
        """Send records that an event caused, each to its partition, or to all where the topic is broadcast."""
        cause_record: Any = event.value
        cause_id: str = cause_record.event_id
        cause: Headers | None = None
        for output in outputs:
            if output.topic not in self._outputs:
                raise ConfigurationError(f"stage {self._node.name} writes {output.topic}", f"add it to the stage's writes: {TABLE}")
            if cause is None:
                cause = dict(event.headers or {})
            spec = TOPICS[output.topic]
            headers: Headers = caused_headers(output.record.event_id, cause_id, cause)
            for partition in partitions_of(spec, self.settings.partitions, output.key):
                await self.topic(output.topic).send(key=output.key, value=output.record, partition=partition, headers=headers)
            self._on_sent(event, output.topic)
