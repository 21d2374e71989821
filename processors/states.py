"""A stage's states: tables by name, which all are one Faust table.

A transaction costs the broker more the more partitions it writes to, because the client sends a request and the broker writes a marker
for each. So the tables of a stage share one changelog. Its keys are ``<table>/<key>``, its values ``{"<table>": <state>}`` in JSON, so that
it can be read by eye.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from faust.serializers.codecs import Codec

from processors.runtime import App
from quantum.errors import ConfigurationError, CorruptRecordError

StateT = TypeVar("StateT", bound=msgspec.Struct)
KeyOf = Callable[[Any], str | None]
REMEDY = "restore the table from its changelog"


class StatesCodec(Codec):
    """The values of a stage's Faust table: a state under the name of its table.

    Attributes
    ----------
    kinds
        What reads the states of a table, by its name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kinds: dict[str, msgspec.json.Decoder[Any]] = {}
        self._encoder = msgspec.json.Encoder()
        self._outer = msgspec.json.Decoder(dict[str, msgspec.Raw])

    def _loads(self, s: bytes) -> Any:
        try:
            return {name: self.kinds[name].decode(state) for name, state in self._outer.decode(s).items()}
        except msgspec.DecodeError as error:
            raise CorruptRecordError(f"a table's value cannot be read: {error}", REMEDY) from error
        except KeyError as error:
            raise CorruptRecordError(f"a table's value is of {error}, which the stage does not have", REMEDY) from error

    def _dumps(self, obj: Any) -> bytes:
        return self._encoder.encode(obj)


@dataclass(frozen=True, slots=True)
class Binding:
    """One state that a handler is given: a table, and which of its keys a record means; none where the handler needs no state."""

    table: StateTable[Any]
    key: KeyOf

    def when(self, needed: Callable[[Any], bool]) -> Binding:
        """Bind the state only of records that need it; for the others the handler is given None, and nothing is written."""
        return Binding(self.table, lambda record: self.key(record) if needed(record) else None)

    def given(self, record: Any) -> tuple[str | None, Any]:
        """Return key and state that a record means; twice None where the handler needs none."""
        key = self.key(record)
        return key, None if key is None else self.table.get(key)


class StateTable(Generic[StateT]):
    """The states of one type, by key; read and written while an agent has an event.

    Parameters
    ----------
    table
        The stage's Faust table.
    name
        Name of this table within it.
    kind
        Type of its states; a key's first state is ``kind()``.
    """

    __slots__ = ("_kind", "_name", "_prefix", "_table")

    def __init__(self, table: Any, name: str, kind: type[StateT]) -> None:
        self._table = table
        self._name = name
        self._prefix = f"{name}/"
        self._kind = kind

    def by(self, *fields: str) -> Binding:
        """Bind the state whose key is these fields of the record, joined by a colon."""
        if len(fields) == 1:
            name = fields[0]
            return Binding(self, lambda record: str(getattr(record, name)))
        return Binding(self, lambda record: ":".join(str(getattr(record, name)) for name in fields))

    def at(self, key: str) -> Binding:
        """Bind the state of one key, whatever the record: what every record of a partition shares."""
        return Binding(self, lambda _record: key)

    def get(self, key: str) -> StateT:
        """Return the state of a key, which may be changed in place until it is put back."""
        value = self._table[self._prefix + key]
        found: StateT = self._kind() if value is None else value[self._name]
        return found

    def put(self, key: str, state: StateT) -> None:
        """Write the state of a key."""
        self._table[self._prefix + key] = {self._name: state}

    def keys(self, partition: int) -> list[str]:
        """Return the keys in one assigned partition."""
        start = len(self._prefix)
        return [key[start:] for key in self._table.partition_keys(partition) if key.startswith(self._prefix)]


class States:
    """The Faust table of a stage.

    Parameters
    ----------
    app
        The Faust application.
    name
        Name of the Faust table.
    partitions
        How many partitions its changelog has.
    """

    def __init__(self, app: App, name: str, partitions: int) -> None:
        self._codec = StatesCodec()
        self._table: Any = app.Table(
            name, default=lambda: None, key_type=str, key_serializer="raw", value_serializer=self._codec, partitions=partitions
        )

    def table(self, name: str, kind: type[StateT]) -> StateTable[StateT]:
        """Return the table of a name; each name is of one table."""
        if name in self._codec.kinds:
            raise ConfigurationError(f"two tables are called {name}", "give each of a stage's tables a name of its own")
        self._codec.kinds[name] = msgspec.json.Decoder(kind)
        return StateTable(self._table, name, kind)
