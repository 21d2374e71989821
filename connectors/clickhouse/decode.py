"""Records of one topic to one block of rows: Confluent's wire format into Arrow's columns.

Whole blocks go through compiled code (``connectors.clickhouse.bulk``). Where that does not take a block, it is read in pieces, and a
piece that it does not take either record by record with fastavro, which tells the records that cannot be rows from the others.
Both ways give the same rows.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from confluent_kafka import Message
from numpy.typing import NDArray

from connectors.clickhouse.arrays import WRONG_VALUES, array_of
from connectors.clickhouse.bulk import BulkReader
from connectors.clickhouse.columns import BOOKKEEPING, Column, columns, columns_of
from connectors.clickhouse.records import Rejected, offsets_of, timestamps_of, trace_columns
from connectors.clickhouse.tables import TableSpec
from quantum.errors import ConfigurationError, CorruptRecordError, DeadLetterError, RetryError, UnknownSchemaError
from schemas.codec import HEADER_SIZE, MAGIC, SchemaIds, parse, schema_text
from schemas.evolution import fields, united

_DEFAULT = "register a schema in which they have a default, and write with that one"
_PIECE = 500
"""Records that are read one by one where one among them cannot be kept."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of some records.

    Attributes
    ----------
    kept
        Those that are rows, in their order; none where they have been let go.
    batch
        Their rows, in the same order; None where there are none.
    rejected
        Those that cannot be rows, in their order.
    """

    kept: Sequence[Message]
    batch: pa.RecordBatch | None
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True)
class _Writer:
    """How records of one schema are read: ``reader`` is None where it is the writer's, ``bulk`` where there is no such way."""

    schema: Any
    reader: Any
    bulk: BulkReader | None


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of a block's records: the places of those that are rows, with their columns, and those that are not."""

    places: NDArray[np.intp]
    arrays: list[pa.Array]
    rejected: list[tuple[int, DeadLetterError]] = field(default_factory=list)


class Decoder:
    """Turns the records of one topic into rows of its table.

    Values are left as the wire has them (decimals and enums as text): the store's cast to the columns' types checks them.

    Parameters
    ----------
    spec
        The table.
    ids
        The registry; asked once for each schema.
    table
        Names the table's columns; without it they are those of the record type.
    in_bulk
        Whether many records are read at once where they can be; the rows are the same.

    A record of a schema that this code does not know yet keeps its new fields: rows get the columns that the table has got for
    them. Where the table has none yet, the record has to wait, for no field of a record is dropped.
    """

    def __init__(
        self, spec: TableSpec, ids: SchemaIds, table: Callable[[TableSpec], Collection[str]] | None = None, *, in_bulk: bool = True
    ) -> None:
        self._spec = spec
        self._ids = ids
        self._in_bulk = in_bulk
        self._table = table or _columns_of_the_code
        self._known: dict[str, Any] = json.loads(schema_text(spec.record))
        self._name = parse(schema_text(spec.record))["name"]
        self._reader: Any = None
        self._columns: tuple[Column, ...] = ()
        self._read_names: frozenset[str] = frozenset()
        self._writers: dict[bytes, _Writer] = {}

    def decode(self, records: Sequence[Message]) -> Decoded:
        """Return the rows of records of one partition, and the records that cannot be rows.

        A tombstone is neither: it says that a key's state is gone, which is nothing to keep.

        Raises
        ------
        RetryError
            A schema is not known here and the registry is away.
        TableBehindError
            A record has a field that the table has no column for.
        """
        values: list[Any] = list(map(Message.value, records))
        parts = self._at_once(values) or self._by_writer(values)
        refused = sorted((refusal for part in parts for refusal in part.rejected), key=lambda refusal: refusal[0])
        rejected = [Rejected(records[place], error.message, type(error).__name__) for place, error in refused]
        filled = [part for part in parts if len(part.places)]
        if not filled:
            return Decoded([], None, rejected)
        if len(filled) == 1:
            places, arrays = filled[0].places, filled[0].arrays
        else:
            unordered = np.concatenate([part.places for part in filled])
            order = np.argsort(unordered)
            places = unordered[order]
            arrays = [pa.concat_arrays(each).take(order) for each in zip(*(part.arrays for part in filled), strict=True)]
        kept = records if len(places) == len(records) else [records[place] for place in places]
        kinds = [*((column.name, column.arrow) for column in self._columns), *((column.name, column.arrow) for column in BOOKKEEPING)]
        batch = pa.RecordBatch.from_arrays([*arrays, *bookkeeping(kept)], schema=pa.schema(kinds))
        return Decoded(kept, batch, rejected)

    def _at_once(self, values: list[Any]) -> list[_Part]:
        """Read all the values with the first one's schema; nothing where that does not give a row of each."""
        with suppress(DeadLetterError):
            bulk = self._writer((values[0] or b"")[:HEADER_SIZE]).bulk
            arrays = None if bulk is None else bulk.read(values)
            if arrays is not None:
                return [_Part(np.arange(len(values)), arrays)]
        return []

    def _by_writer(self, values: list[Any]) -> list[_Part]:
        """Read the values of one schema after those of another."""
        places = _by_header(values)
        for header in places:  # what is read is decided before any of them is: all parts have the same columns
            with suppress(DeadLetterError):
                self._writer(header)
        return [part for header, found in places.items() for part in self._parts(header, found, values)]

    def _parts(self, header: bytes, places: NDArray[np.intp], every: list[Any]) -> Iterator[_Part]:
        """Read the values with one header, in pieces, and a piece that has one that is no row one by one."""
        try:
            writer = self._writer(header)
        except DeadLetterError as error:
            yield _Part(places[:0], [], [(place, error) for place in places.tolist()])
            return
        for first in range(0, len(places), _PIECE):
            where = places[first : first + _PIECE]
            piece = [every[place] for place in where.tolist()]
            arrays = None if writer.bulk is None else writer.bulk.read(piece)
            yield self._one_by_one(writer, piece, where) if arrays is None else _Part(where, arrays)

    def _one_by_one(self, writer: _Writer, values: list[bytes], places: NDArray[np.intp]) -> _Part:
        found: dict[int, dict[str, Any]] = {}
        rejected: list[tuple[int, DeadLetterError]] = []
        for place, bytes_of_it in zip(places.tolist(), values, strict=True):
            try:
                found[place] = _read(writer, bytes_of_it)
            except DeadLetterError as error:
                rejected.append((place, error))
        try:
            arrays = self._arrays(found.values())
        except WRONG_VALUES:
            for place, value in list(found.items()):
                try:
                    self._arrays([value])
                except WRONG_VALUES as error:
                    del found[place]
                    rejected.append((place, CorruptRecordError(f"its values do not fit the columns of {self._spec.table}: {error}")))
            arrays = self._arrays(found.values())
        return _Part(np.fromiter(found, np.intp, len(found)), arrays, rejected)

    def _arrays(self, values: Collection[dict[str, Any]]) -> list[pa.Array]:
        return [array_of([value[column.name] for value in values], column.arrow) for column in self._columns]

    def _writer(self, header: bytes) -> _Writer:
        found = self._writers.get(header)
        if found is None:
            if len(header) < HEADER_SIZE or header[:1] != MAGIC:
                raise CorruptRecordError("it does not begin with Confluent's five-byte header")
            found = self._writers[header] = self._writer_of(int.from_bytes(header[1:], "big"))
        return found

    def _writer_of(self, schema_id: int) -> _Writer:
        text = self._ids.schema_of(schema_id)
        writer = parse(text)
        if writer["name"] != self._name:
            raise UnknownSchemaError(f"schema {schema_id} is of {writer['name']}, not of {self._name}")
        self._widen(json.loads(text))
        bulk = None
        if self._in_bulk:
            with suppress(NotImplementedError):
                bulk = BulkReader(self._columns, writer, self._reader)
        # Of one and the same schema fastavro compares nothing a record.
        return _Writer(writer, None if writer == self._reader else self._reader, bulk)

    def _widen(self, written: dict[str, Any]) -> None:
        """Take a writer's fields among those that are read.

        Only fields that the table has a column for are read. What the code's schema has beyond that is no loss while no record has it.
        """
        names = [field["name"] for field in written["fields"]]
        if self._read_names.issuperset(names):
            return
        known = united(self._known, written)
        found = self._table(self._spec)
        missing = [name for name in names if name not in found]
        if missing:
            raise TableBehindError(
                f"{self._spec.name} has no column for {', '.join(missing)}, which records of {self._spec.topic} have",
                "they wait: write it (python -m infra.clickhouse.evolve --write NAME) and apply it (quantum schemas apply)",
            )
        before = fields(self._known)
        bare = [name for name, each in fields(written).items() if name not in before and "default" not in each]
        if bare:
            raise TableBehindError(f"{self._spec.topic} has records with {', '.join(bare)}, without a default for the others", _DEFAULT)
        read = known | {"fields": [each for name, each in fields(known).items() if name in found]}
        read = united(read, read)
        try:
            made = columns_of(read)
        except ConfigurationError as error:
            raise TableBehindError(f"{self._spec.topic} has records that no row can hold: {error.message}", error.remedy) from error
        self._known, self._reader = known, parse(json.dumps(read))
        self._columns = made[: len(made) - len(BOOKKEEPING)]
        self._read_names = frozenset(column.name for column in self._columns)
        self._writers.clear()


class TableBehindError(RetryError):
    """Records have a field that their table has no column for: they wait until it has."""


def _columns_of_the_code(spec: TableSpec) -> Collection[str]:
    return [column.name for column in columns(spec.record)]


def _by_header(values: list[Any]) -> dict[bytes, NDArray[np.intp]]:
    """Return the places of the values by their header; a tombstone has none."""
    places: dict[bytes, list[int]] = {}
    for place, value in enumerate(values):
        if value is not None:
            places.setdefault(value[:HEADER_SIZE], []).append(place)
    return {header: np.array(found, np.intp) for header, found in places.items()}


def _read(writer: _Writer, value: bytes) -> dict[str, Any]:
    buffer = io.BytesIO(value)
    buffer.seek(HEADER_SIZE)
    try:
        found: Any = fastavro.schemaless_reader(buffer, writer.schema, writer.reader)
    except Exception as error:  # fastavro raises whatever its reader stumbles over; the record goes to the dead letters
        raise CorruptRecordError(f"cannot be read by its schema: {error!r}") from error
    if buffer.tell() != len(value):
        raise CorruptRecordError(f"{len(value) - buffer.tell()} bytes are left over after the record")
    read: dict[str, Any] = found
    return read


def bookkeeping(records: Sequence[Message], latest_ms: int | None = None) -> list[pa.Array]:
    """Return the columns of ``BOOKKEEPING``; where a latest time is given, times beyond it or before the epoch are brought within."""
    kinds = {column.name: column.arrow for column in BOOKKEEPING}
    trace, cause = trace_columns(records)
    partition = records[0].partition()
    times = timestamps_of(records)
    if latest_ms is not None:
        times = np.clip(times, 0, latest_ms)
    return [
        pa.array(np.full(len(records), partition), kinds["_partition"]),
        pa.array(offsets_of(records), kinds["_offset"]),
        pa.array(times).cast(kinds["_timestamp"]),
        trace,
        cause,
    ]
