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
from functools import cached_property
from typing import Any, TypeVar

from faust.serializers.codecs import Codec
from faust.types import EventT, StreamT, TopicT
from pydantic_settings import BaseSettings

from processors.components import partitions_of
from processors.output import Output
from processors.runtime import App
from processors.states import Binding, States, StateT, StateTable
from processors.topology import NODES, TOPICS
from quantum.errors import ConfigurationError
from quantum.settings import DECISIVE, Settings
from quantum.trace import Headers, caused_headers
from schemas.codec import RecordCodec, SchemaIds

TABLE = "processors/topology.py"
OptionsT = TypeVar("OptionsT", bound=BaseSettings)
Handler = Callable[..., Iterable[Output]]


class AvroCodec(Codec):
    """A topic's values in Faust: records in Confluent's wire format."""

    def __init__(self, codec: RecordCodec[Any]) -> None:
        super().__init__()
        self.codec = codec

    def _loads(self, s: bytes) -> Any:
        return self.codec.decode(s)

    def _dumps(self, obj: Any) -> bytes:
        return self.codec.encode(obj)


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
        """Return a table of the stage's states; a key's first state is ``state()``."""
        return self._states.table(name, state)

    @cached_property
    def _states(self) -> States:
        return States(self.app, f"{self._node.name}-states", self.settings.partitions)

    def react(self, topic: str, handler: Handler, *bindings: Binding) -> None:
        """Answer each record of a topic by ``handler(state, ..., record)``."""

        async def on_stream(stream: StreamT[Any]) -> None:
            async for event in stream.events():
                record = event.value
                given = [binding.given(record) for binding in bindings]
                outputs = list(handler(*[state for _, state in given], record))
                # Before anything is awaited: another agent of the partition must not be given an older state meanwhile.
                _put_back(bindings, given)
                await self.send(event, outputs)

        self._agent(topic, handler, on_stream)

    def sweep(self, topic: str, handler: Handler, swept: StateTable[Any], *bindings: Binding) -> None:
        """Answer each record of a topic by ``handler(state, ..., record)`` for every key of ``swept`` in its partition."""

        async def on_stream(stream: StreamT[Any]) -> None:
            async for event in stream.events():
                record = event.value
                given = [binding.given(record) for binding in bindings]
                shared = [state for _, state in given]
                outputs: list[Output] = []
                # Sorted, because a table that was restored has its keys in another order than one that grew.
                for key in sorted(swept.keys(event.message.partition)):
                    state = swept.get(key)
                    outputs.extend(handler(state, *shared, record))
                    swept.put(key, state)
                _put_back(bindings, given)
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


def _put_back(bindings: Iterable[Binding], given: Iterable[tuple[str | None, Any]]) -> None:
    for binding, (key, state) in zip(bindings, given, strict=True):
        if key is not None:
            binding.table.put(key, state)
