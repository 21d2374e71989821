"""Records of one topic to one block of rows: Confluent's wire format, by fastavro, into Arrow's columns."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import fastavro
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from msgspec import Struct

from connectors.clickhouse.tables import TableSpec, columns
from quantum.errors import CorruptRecordError, DeadLetterError, UnknownSchemaError
from quantum.trace import CAUSATION, TRACEPARENT
from schemas.codec import HEADER_SIZE, MAGIC, SchemaIds, parse, schema_text


class Raw(Struct, frozen=True, gc=False):
    """A record as it was on its topic: a Struct, because a million of them a second are made and dropped.

    Attributes
    ----------
    partition, offset
        Where it was.
    timestamp_ms
        Kafka's time of it, milliseconds.
    key
        Its key; None where it had none.
    value
        Its bytes; None for a tombstone.
    headers
        Its headers.
    """

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, str | bytes | None]]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that cannot be kept.

    Attributes
    ----------
    raw
        The record.
    error
        Why.
    kind
        Name of the error's type.
    """

    raw: Raw
    error: str
    kind: str = "DeadLetterError"


class Decoder:
    """Turns the records of one topic into rows of its table.

    Values are left as the wire has them (decimals and enums as text): the store's cast to the columns' types checks them.

    Parameters
    ----------
    spec
        The table.
    ids
        The registry; asked once for each schema.
    """

    def __init__(self, spec: TableSpec, ids: SchemaIds) -> None:
        self._spec = spec
        self._ids = ids
        self._text = schema_text(spec.record)
        self._reader = parse(self._text)
        self._writers: dict[bytes, tuple[Any, Any]] = {}
        self._columns = columns(spec.record)
        self._fields = tuple(column.name for column in self._columns if not column.name.startswith("_"))
        self.schema = pa.schema([(column.name, column.arrow) for column in self._columns])

    def decode(self, records: Sequence[Raw]) -> tuple[list[Raw], pa.RecordBatch | None, list[Rejected]]:
        """Return the records that are rows, those rows, and the records that cannot be rows.

        A tombstone is neither: it says that a key's state is gone, which is nothing to keep.
        """
        kept: list[Raw] = []
        values: list[dict[str, Any]] = []
        rejected: list[Rejected] = []
        for raw in records:
            if raw.value is None:
                continue
            try:
                values.append(self._value(raw.value))
                kept.append(raw)
            except DeadLetterError as error:
                rejected.append(Rejected(raw, error.message, type(error).__name__))
        if not kept:
            return [], None, rejected
        try:
            return kept, self._batch(kept, values), rejected
        except (pa.ArrowException, UnicodeDecodeError, TypeError, ValueError, OverflowError) as error:
            if len(kept) == 1:
                return (
                    [],
                    None,
                    [
                        *rejected,
                        Rejected(kept[0], f"its values do not fit the columns of {self._spec.table}: {error}", "CorruptRecordError"),
                    ],
                )
        return self._one_by_one(kept, values, rejected)

    def _one_by_one(
        self, kept: list[Raw], values: list[dict[str, Any]], rejected: list[Rejected]
    ) -> tuple[list[Raw], pa.RecordBatch | None, list[Rejected]]:
        """Find the records that spoil a batch, and return the batch without them."""
        good: list[int] = []
        for index, raw in enumerate(kept):
            try:
                self._batch([raw], [values[index]])
                good.append(index)
            except (pa.ArrowException, UnicodeDecodeError, TypeError, ValueError, OverflowError) as error:
                rejected.append(Rejected(raw, f"its values do not fit the columns of {self._spec.table}: {error}", "CorruptRecordError"))
        rest = [kept[index] for index in good]
        return rest, self._batch(rest, [values[index] for index in good]) if rest else None, rejected

    def _value(self, data: bytes) -> dict[str, Any]:
        if len(data) < HEADER_SIZE or data[:1] != MAGIC:
            raise CorruptRecordError(f"{len(data)} bytes without Confluent's five-byte header")
        header = data[:HEADER_SIZE]
        schemas = self._writers.get(header)
        if schemas is None:
            schemas = self._writers[header] = self._schemas(int.from_bytes(header[1:], "big"))
        writer, reader = schemas
        buffer = io.BytesIO(data)
        buffer.seek(HEADER_SIZE)
        try:
            value: Any = fastavro.schemaless_reader(buffer, writer, reader)
        except Exception as error:  # fastavro raises whatever its reader stumbles over; the record goes to the dead letters
            raise CorruptRecordError(f"cannot be read by its schema: {error!r}") from error
        if buffer.tell() != len(data):
            raise CorruptRecordError(f"{len(data) - buffer.tell()} bytes are left over after the record")
        found: dict[str, Any] = value
        return found

    def _schemas(self, schema_id: int) -> tuple[Any, Any]:
        """Return the writer's schema and the reader's; None for the reader's where they are the same, which is faster."""
        text = self._ids.schema_of(schema_id)
        writer = parse(text)
        if writer["name"] != self._reader["name"]:
            raise UnknownSchemaError(f"schema {schema_id} is of {writer['name']}, not of {self._reader['name']}")
        return writer, None if writer == self._reader else self._reader

    def _batch(self, kept: Sequence[Raw], values: Sequence[dict[str, Any]]) -> pa.RecordBatch:
        headers = [_headers(raw) for raw in kept]
        bookkeeping: dict[str, list[Any]] = {
            "_partition": [raw.partition for raw in kept],
            "_offset": [raw.offset for raw in kept],
            "_timestamp": [raw.timestamp_ms for raw in kept],
            "_traceparent": [found[0] for found in headers],
            "_causation_id": [found[1] for found in headers],
        }
        arrays = []
        for column in self._columns:
            name = column.name
            items: list[Any] = bookkeeping[name] if name in bookkeeping else [value[name] for value in values]
            if pa.types.is_map(column.arrow):
                items = [list(item.items()) for item in items]
            elif pa.types.is_struct(column.arrow):
                empty = _nulls(column.arrow)
                items = [empty if item is None else item for item in items]
            arrays.append(pa.array(items, column.arrow))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def to_ipc(batch: pa.RecordBatch) -> bytes:
    """Return a batch as one Arrow stream of one batch, which the store takes as one block."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _headers(raw: Raw) -> tuple[str, str]:
    trace = cause = ""
    for name, value in raw.headers:
        if isinstance(value, bytes):
            if name == TRACEPARENT:
                trace = value.decode("utf-8", "replace")
            elif name == CAUSATION:
                cause = value.decode("utf-8", "replace")
    return trace, cause


def _nulls(kind: pa.StructType) -> dict[str, Any]:
    """Return the value of a record that is null: every element null, arrays empty."""
    return {
        field.name: _nulls(field.type)
        if pa.types.is_struct(field.type)
        else []
        if pa.types.is_list(field.type) or pa.types.is_map(field.type)
        else None
        for field in (kind.field(index) for index in range(kind.num_fields))
    }
