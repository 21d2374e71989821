"""One record as an agent sees it, and the assigned partition that it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import confluent_kafka
from faust.events import Event
from faust.types import AppT, Message
from faust.types.tuples import TP

if TYPE_CHECKING:
    from processors.runtime.state.store import Shard


@dataclass(slots=True, eq=False)
class Source:
    """An assigned partition of an input topic.

    Attributes
    ----------
    shards
        The shards of the application's tables that belong to this partition number, by the table's slot.
    committed
        The next offset by the last commit, -1 where nothing was committed yet.
    position
        The next offset by what was dispatched in the open epoch.
    metadata
        What the last commit wrote beside the offset: which epoch of which worker it was.
    """

    topic: str
    partition: int
    committed: int = -1
    position: int = -1
    metadata: str = ""
    shards: list[Shard] = field(default_factory=list)
    tp: TP = field(init=False)

    def __post_init__(self) -> None:
        self.tp = TP(self.topic, self.partition)


class RecordEvent(Event):
    """Faust's event over a record of librdkafka; headers and message are built only when they are asked for."""

    __slots__ = ("_headers", "_message", "epoch", "raw", "source")
    acked = False  # of the class: one is made a record, and each attribute that is set costs

    _headers: dict[str, bytes]
    _message: Message

    def __init__(self, app: AppT, key: Any, value: Any, source: Source, raw: confluent_kafka.Message, epoch: int) -> None:
        self.app = app
        self.key = key
        self.value = value
        self.source = source
        self.raw = raw
        self.epoch = epoch

    @property
    def headers(self) -> Mapping[str, bytes]:  # type: ignore[override]  # an attribute in Faust, built on demand here
        """The record's headers; of a name that occurs twice, the last."""
        try:
            return self._headers
        except AttributeError:
            self._headers = header_map(self.raw)
            return self._headers

    @property
    def message(self) -> Message:  # type: ignore[override]  # an attribute in Faust, built on demand here
        """The record as Faust describes it; the timestamp is in seconds."""
        try:
            return self._message
        except AttributeError:
            self._message = as_message(self.raw, self.source.tp)
            return self._message

    def ack(self) -> bool:
        """Do nothing: an epoch's records are done when its transaction commits."""
        return False


def header_map(raw: confluent_kafka.Message) -> dict[str, bytes]:
    """Return the headers of a record as a dictionary."""
    return dict(header_pairs(raw))


def header_pairs(raw: confluent_kafka.Message) -> list[tuple[str, bytes]]:
    """Return headers as a record has them, names in order and repeated; a null value as empty."""
    pairs: Any = raw.headers()
    return [(name, value.encode() if isinstance(value, str) else value or b"") for name, value in pairs or ()]


def as_message(raw: confluent_kafka.Message, tp: TP) -> Message:
    """Return Faust's description of a record."""
    kind, milliseconds = raw.timestamp()
    return Message(
        tp.topic, tp.partition, raw.offset() or 0, timestamp=milliseconds / 1000.0, timestamp_type=kind, headers=header_pairs(raw),
        key=as_bytes(raw.key()), value=as_bytes(raw.value()), checksum=None, tp=tp,
    )  # fmt: skip


def as_bytes(data: str | bytes | None) -> bytes | None:
    """Return a record's key or value as bytes."""
    return data.encode() if isinstance(data, str) else data
