"""Records to bytes and back: Confluent's wire format (0x00, schema id, Avro) on fastavro.

Logical types are left out of the parsed schemas: timestamps stay integers of microseconds, decimals stay text until
msgspec turns them into ``Decimal``.
"""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import fastavro
import msgspec
from fastavro.types import AvroMessage

from quantum.errors import ConfigurationError, CorruptRecordError, UnknownSchemaError
from schemas.record import Record

ROOT = Path(__file__).parent
MAGIC = b"\x00"
HEADER_SIZE = 5
RecordT = TypeVar("RecordT", bound=Record)


class SchemaIds(Protocol):
    """What the codec needs of a registry."""

    def id_of(self, subject: str, schema: str) -> int:
        """Return the id of a schema that is registered under a subject; never registers."""

    def schema_of(self, schema_id: int) -> str:
        """Return the text of a schema; raises UnknownSchemaError where there is none with this id."""


@cache
def schema_text(record: type[Record], root: Path = ROOT) -> str:
    """Return the ``.avsc`` of a record type, as it is in git, or in another folder that is laid out as this one."""
    folder = root / record.__module__.split(".")[-2]
    for path in folder.glob("*.avsc"):
        text = path.read_text()
        if json.loads(text)["name"] == record.__name__:
            return text
    raise ConfigurationError(f"no .avsc of {record.__name__} in {folder}", "write it and run 'python -m schemas.generate'")


def without_logical_types(schema: Any) -> Any:
    """Return a copy of a schema without its logical types."""
    if isinstance(schema, list):
        return [without_logical_types(item) for item in schema]
    if isinstance(schema, dict):
        return {key: without_logical_types(value) for key, value in schema.items() if key != "logicalType"}
    return schema


def parse(text: str) -> Any:
    """Parse a schema for reading and writing plain values."""
    return fastavro.parse_schema(without_logical_types(json.loads(text)), named_schemas={})


class RecordCodec(Generic[RecordT]):
    """Encodes and decodes the records of one subject.

    Parameters
    ----------
    subject
        Subject of the registry, for example ``market.tick-value``.
    record
        Type of the records; its ``.avsc`` is the reader's schema and the writer's.
    ids
        The registry; asked once for each schema.
    """

    def __init__(self, subject: str, record: type[RecordT], ids: SchemaIds) -> None:
        self.subject = subject
        self.record = record
        self._ids = ids
        self._schema = parse(schema_text(record))
        self._header: bytes | None = None
        self._writers: dict[int, Any] = {}

    def encode(self, record: RecordT) -> bytes:
        """Return the bytes of a record; raises ConfigurationError where its schema is not registered."""
        if self._header is None:
            self._header = MAGIC + self._ids.id_of(self.subject, schema_text(self.record)).to_bytes(4, "big")
        buffer = io.BytesIO()
        buffer.write(self._header)
        fastavro.schemaless_writer(buffer, self._schema, msgspec.to_builtins(record))
        return buffer.getvalue()

    def decode(self, data: bytes) -> RecordT:
        """Return the record of some bytes.

        Raises
        ------
        CorruptRecordError
            The bytes are not Confluent's format, or not what their schema says.
        UnknownSchemaError
            The registry has no schema with their id.
        """
        if len(data) < HEADER_SIZE or data[:1] != MAGIC:
            raise CorruptRecordError(f"{self.subject}: {len(data)} bytes without Confluent's five-byte header")
        schema_id = int.from_bytes(data[1:HEADER_SIZE], "big")
        writer = self._writers.get(schema_id)
        if writer is None:
            writer = self._writers[schema_id] = self._writer_schema(schema_id)
        buffer = io.BytesIO(data)
        buffer.seek(HEADER_SIZE)
        try:
            value: AvroMessage = fastavro.schemaless_reader(buffer, writer, self._schema)
            if buffer.tell() != len(data):
                left = len(data) - buffer.tell()
                raise CorruptRecordError(f"{self.subject}: {left} bytes left over after the record of schema {schema_id}")
            return msgspec.convert(value, self.record)
        except CorruptRecordError:
            raise
        except Exception as error:  # fastavro raises whatever its reader stumbles over: EOFError, IndexError, UnicodeDecodeError, ...
            raise CorruptRecordError(f"{self.subject}: record of schema {schema_id} cannot be read: {error!r}") from error

    def _writer_schema(self, schema_id: int) -> Any:
        schema = parse(self._ids.schema_of(schema_id))
        name = schema["name"]
        if name != self._schema["name"]:
            raise UnknownSchemaError(f"{self.subject}: schema {schema_id} is of {name}, not of {self._schema['name']}")
        return self._schema if schema == self._schema else schema  # of one and the same, fastavro compares nothing a record
