"""Tables of the history store, derived from the record types of the topics that they keep.

One table a topic; its columns are the record's fields in their order, then where the record stood on its topic:

``_partition``, ``_offset``
    Partition and offset. A table is the truth about what the sink has carried: it resumes behind the greatest offset.
``_timestamp``
    Kafka's time of the record; months of it are the table's partitions, and its age is what expires. Not ``event_ts``: a
    replay of old data must not expire as it arrives, and offsets grow with Kafka's time, so that one batch lies in one month.
``_traceparent``, ``_causation_id``
    The record's headers: trace context, and event_id of the record that caused it.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.clickhouse.columns import Column, columns, columns_of, literal
from quantum.errors import ConfigurationError
from schemas.codec import schema_text
from schemas.record import Record

DATABASE = "quantum"
DEDUPLICATION_WINDOW = 20_000
"""Inserts of a table that a late one of a fenced sink is compared with; see ``connectors.clickhouse.lane``."""

_LEADING = ("symbol", "account", "component", "model", "venue")


@dataclass(frozen=True, slots=True)
class TopicTable(ABC):
    """One topic and the table that keeps it.

    Attributes
    ----------
    topic
        Name of the topic.
    table
        Name of the table in database ``quantum``.
    retention_ms
        Age at which rows expire, milliseconds; None to keep them for ever.
    first_partition_only
        Whether every partition carries the same records (a broadcast topic), so that the table keeps partition 0's.
    """

    topic: str
    table: str
    retention_ms: int | None = field(default=None, kw_only=True)
    first_partition_only: bool = field(default=False, kw_only=True)

    @property
    def name(self) -> str:
        """Name of the table with its database."""
        return f"{DATABASE}.{self.table}"

    @property
    def part(self) -> str:
        """Name of what the table has of this topic; the table's own where that is all of it."""
        return self.table

    @property
    def only(self) -> str:
        """What narrows a condition of SQL to the rows of this topic; empty where all of the table's are."""
        return ""

    @property
    def token(self) -> str:
        """What the tokens of this topic's inserts begin with: topics of one table must not take each other's."""
        return ""

    @property
    def dead_letters(self) -> str:
        """Topic of the records that cannot be kept."""
        return f"{self.topic}.dlq"

    @property
    @abstractmethod
    def columns(self) -> tuple[Column, ...]:
        """Columns that its rows are stored with."""


@dataclass(frozen=True, slots=True)
class TableSpec(TopicTable):
    """A topic of records of one type, and the table that is its own.

    Attributes
    ----------
    record
        Type of the records.
    """

    record: type[Record]

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of the type's schema; see the function of that name."""
        return columns(self.record)


def create_sql(spec: TableSpec) -> str:
    """Return the statement that makes a table."""
    schema = json.loads(schema_text(spec.record))
    made = [replace(column, default="") for column in columns(spec.record)]  # every row of it has a value
    names = {column.name for column in made}
    lead = next((name for name in _LEADING if name in names and not _nullable(made, name)), None)
    order = ", ".join([*([lead] if lead else []), "event_ts", "_partition", "_offset"])
    return table_sql(spec, made, order, schema["doc"])


def table_sql(spec: TopicTable, made: Iterable[Column], order: str, doc: str, positions: str = "_partition") -> str:
    """Return the statement that makes a table of some columns.

    Parameters
    ----------
    spec
        The table, or any of the topics that it keeps.
    made
        Its columns.
    order
        Its sorting key.
    doc
        What its rows are.
    positions
        Columns that say which partition of which topic a row is of.
    """
    lines = ",\n    ".join(column.sql() for column in made)
    days = None if spec.retention_ms is None else max(spec.retention_ms // 86_400_000, 1)
    expiry = "" if days is None else f"\nTTL toDateTime(_timestamp) + toIntervalDay({days})"
    return (
        f"CREATE TABLE IF NOT EXISTS {spec.name}\n(\n    {lines},\n"
        f"    PROJECTION positions (SELECT {positions}, max(_offset), count() GROUP BY {positions})\n)\n"
        f"ENGINE = MergeTree\nPARTITION BY toYYYYMM(_timestamp)\nORDER BY ({order}){expiry}\n"
        f"SETTINGS non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}\n"
        f"COMMENT {literal(doc)}"
    )


def add_column_sql(spec: TableSpec, name: str, schema: dict[str, Any] | None = None) -> str:
    """Return the statement that adds a field's column to a table that was made before the field.

    Parameters
    ----------
    spec
        The table.
    name
        Name of the field.
    schema
        Schema that has it; None for the record type's own.
    """
    made = columns(spec.record) if schema is None else columns_of(schema)
    index = next((i for i, column in enumerate(made) if column.name == name), None)
    if index is None:
        raise ConfigurationError(f"{spec.record.__name__} has no field {name}")
    place = f"AFTER `{made[index - 1].name}`" if index else "FIRST"
    return f"ALTER TABLE {spec.name} ADD COLUMN IF NOT EXISTS {made[index].sql()} {place}"


def _nullable(made: Iterable[Column], name: str) -> bool:
    return any(column.name == name and "Nullable" in column.kind for column in made)
