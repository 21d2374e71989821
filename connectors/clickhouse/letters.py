"""Dead letters as rows: every ``<topic>.dlq`` in one table.

The topics of dead letters are kept as all others are (see ``connectors.clickhouse.lane``), but for one thing: their table is shared, so
that whatever is asked of it, and every token of an insert, names the topic. Every message is a row; nothing that stands on such a topic
can be refused for what it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from confluent_kafka import Message

from connectors.clickhouse.columns import BOOKKEEPING, Column, literal
from connectors.clickhouse.decode import Decoded, bookkeeping
from connectors.clickhouse.tables import TopicTable, table_sql
from connectors.kafka.dead_letters import ABOUT, REPLAYED, SUFFIX, about, number
from connectors.kafka.placement import entry_of

TABLE = "dead_letters"
HEAD_BYTES = 65_536
"""Of a record; the topic has all of it as long as it keeps the letter."""
KEPT_MS = 90 * 86_400_000
_LATEST_MS = 4_102_444_800_000
"""2100: no column of the store holds every time that a client may claim."""
_MILLISECONDS = pa.timestamp("ms", "UTC")

COLUMNS: tuple[Column, ...] = (
    Column("topic", "LowCardinality(String)", pa.string(), "Topic that the record was on.", ""),
    Column("record_partition", "Nullable(Int64)", pa.int64(), "Partition of that topic; null where the letter does not say it."),
    Column("record_offset", "Nullable(Int64)", pa.int64(), "Offset of the record there; null where the letter does not say it."),
    Column("record_ts", "Nullable(DateTime64(3, 'UTC'))", _MILLISECONDS, "Kafka's time of the record, UTC; null where it is not said."),
    Column("stage", "LowCardinality(String)", pa.string(), "Who could not process it: a stage's application id, or the sink.", ""),
    Column("error", "LowCardinality(String)", pa.string(), "Type of the error.", ""),
    Column("message", "String", pa.string(), "Text of the error, at most 1,000 characters."),
    Column("key", "String", pa.binary(), "The record's key, as it was."),
    Column("value", "String", pa.binary(), f"The record's bytes, at most the first {HEAD_BYTES}."),
    Column("value_bytes", "Nullable(Int64)", pa.int64(), "Length of the whole record, bytes; null for a tombstone."),
    Column("headers", "Map(String, String)", pa.map_(pa.string(), pa.string()), "The record's own headers; no UTF-8 is escaped.", ""),
    Column("replays", "Nullable(Int64)", pa.int64(), "Null for a letter; else this row marks that the letter at this offset was put back."),
    *BOOKKEEPING,
)


@dataclass(frozen=True, slots=True)
class LetterTable(TopicTable):
    """The dead letters of one topic, in the table of all."""

    @property
    def source(self) -> str:
        """Topic that the records were on."""
        return self.topic.removesuffix(SUFFIX)

    @property
    def part(self) -> str:
        """Name of what the table has of this topic."""
        return f"{self.table}_{self.source.replace('.', '_').replace('-', '_')}"

    @property
    def only(self) -> str:
        """What narrows a condition to this topic's rows."""
        return f" AND topic = {literal(self.source)}"

    @property
    def token(self) -> str:
        """What the tokens of its inserts begin with."""
        return f"{self.source}:"

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of the table."""
        return COLUMNS


def letters_of(topic: str, table: str = TABLE) -> LetterTable:
    """Return the table of a topic's dead letters."""
    return LetterTable(f"{topic}{SUFFIX}", table, retention_ms=KEPT_MS)


def letters_sql(table: str = TABLE) -> str:
    """Return the statement that makes the table."""
    doc = "Records that could not be processed or kept, of all topics, and marks of those that were put back."
    order = "topic, _timestamp, _partition, _offset"
    return table_sql(letters_of("", table), COLUMNS, order, doc, "topic, _partition")


class LetterDecoder:
    """Turns the messages of one topic of dead letters into rows.

    Parameters
    ----------
    spec
        The table.
    """

    def __init__(self, spec: LetterTable) -> None:
        self._spec = spec

    def decode(self, records: Sequence[Message]) -> Decoded:
        """Return a row for every message of one partition."""
        rows = [_row(self._spec.source, record) for record in records]
        own = COLUMNS[: len(COLUMNS) - len(BOOKKEEPING)]
        arrays = [pa.array([row[column.name] for row in rows], column.arrow) for column in own]
        kinds = pa.schema([(column.name, column.arrow) for column in COLUMNS])
        return Decoded(records, pa.RecordBatch.from_arrays([*arrays, *bookkeeping(records, _LATEST_MS)], schema=kinds), [])


def _row(topic: str, record: Message) -> dict[str, Any]:
    entry, told = entry_of(record), about(record)
    record_ms = number(told.get("dlq.timestamp"))
    own = [(name, (value or b"").decode("utf-8", "backslashreplace")) for name, value in entry.headers if not name.startswith(ABOUT)]
    return {
        "topic": topic,
        "record_partition": number(told.get("dlq.partition")),
        "record_offset": number(told.get("dlq.offset")),
        "record_ts": None if record_ms is None else min(record_ms, _LATEST_MS),
        "stage": told.get("dlq.stage", ""),
        "error": told.get("dlq.error", ""),
        "message": told.get("dlq.message", ""),
        "key": entry.key or b"",
        "value": (entry.value or b"")[:HEAD_BYTES],
        "value_bytes": None if entry.value is None else len(entry.value),
        "headers": own,
        "replays": number(told.get(REPLAYED)),
    }
