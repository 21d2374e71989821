"""Rows of the history, stored as the sink stores them: records in their wire format, decoded into blocks."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from types import UnionType
from typing import Any, NamedTuple, TypeVar

import msgspec
from clickhouse_connect.driver.client import Client

from connectors.clickhouse.decode import Decoder
from connectors.clickhouse.store import Store
from infra.clickhouse.generate import spec_of
from processors.topology import TOPICS
from quantum.trace import caused_headers
from schemas.codec import RecordCodec
from schemas.record import Record
from tests.integration.test_history_ddl import OneSchema
from tests.unit.messages import message

R = TypeVar("R", bound=msgspec.Struct)
_EMPTY: dict[Any, Any] = {str: "", int: 0, float: 0.0, bool: False, Decimal: Decimal(0)}


class Row(NamedTuple):
    """A record, when Kafka got it (microseconds), and the event_id of what caused it."""

    record: Record
    at_us: int
    cause: str = ""


def store(client: Client, topic: str, rows: Iterable[Row], first: int | None = None) -> int:
    """Append rows to a topic's table from an offset on, by default behind those that it has, and return how many."""
    spec = spec_of(TOPICS[topic])
    ids = OneSchema(spec)
    codec = RecordCodec(f"{topic}-value", spec.record, ids)
    tables = Store(lambda: client)
    if first is None:
        first = tables.ends(spec, [0])[0] + 1
    messages = [
        message(codec.encode(row.record), first + number, at_ms=row.at_us // 1000, headers=list(_headers(row).items()))
        for number, row in enumerate(rows)
    ]
    if messages:
        decoded = Decoder(spec, ids).decode(messages)
        assert (len(decoded.kept), decoded.rejected) == (len(messages), [])
        tables.append(spec, decoded.batch, f"rows-{first}")
    return len(messages)


def _headers(row: Row) -> dict[str, bytes]:
    return caused_headers(row.record.event_id, row.cause, {})


def blank(record: type[R], **fields: Any) -> R:
    """Return a record with some fields given and the others empty: the sample's own values are what a test is about."""
    hints = typing.get_type_hints(record)
    required = {field.name: hints[field.name] for field in msgspec.structs.fields(record) if field.required}
    return record(**{name: _empty(kind) for name, kind in required.items() if name not in fields}, **fields)


def _empty(kind: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin in (list, dict):
        return origin()
    if origin is UnionType:
        return None
    if issubclass(kind, StrEnum):
        return next(iter(kind))
    return blank(kind) if issubclass(kind, msgspec.Struct) else _EMPTY[kind]
