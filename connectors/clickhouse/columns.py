"""Columns of the history store, derived from Avro's types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs

from quantum.errors import ConfigurationError
from schemas.codec import schema_text
from schemas.record import Record

_LOW_CARDINALITY = frozenset(
    {"account", "asset", "base_asset", "commission_asset", "component", "interval",
        "model", "quote_asset", "strategy", "symbol", "venue", "worker"}
)  # fmt: skip
_MICROSECONDS = pa.timestamp("us", "UTC")
_MILLISECONDS = pa.timestamp("ms", "UTC")


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes
    ----------
    name
        Its name.
    kind
        ClickHouse's type.
    arrow
        Arrow's type that values are sent as; the store casts text to enums' and decimals' columns.
    doc
        What it means, with units.
    codec
        How it is compressed.
    default
        What rows read that were stored before the column, an expression; empty for the type's own: null, or nothing of it.
    """

    name: str
    kind: str
    arrow: pa.DataType
    doc: str
    codec: str = "ZSTD(1)"
    default: str = ""

    def sql(self) -> str:
        """Return the column's line of CREATE TABLE or ADD COLUMN."""
        default = f" DEFAULT {self.default}" if self.default else ""
        codec = f" CODEC({self.codec})" if self.codec else ""
        return f"`{self.name}` {self.kind}{default}{codec} COMMENT {literal(self.doc)}"


BOOKKEEPING: tuple[Column, ...] = (
    Column("_partition", "UInt32", pa.uint32(), "Partition of the topic that the record was on.", "ZSTD(1)"),
    Column("_offset", "UInt64", pa.uint64(), "Offset of the record in its partition.", "DoubleDelta, ZSTD(1)"),
    Column("_timestamp", "DateTime64(3, 'UTC')", _MILLISECONDS, "Kafka's time of the record, milliseconds, UTC."),
    Column("_traceparent", "String", pa.string(), "W3C trace context of the record; empty where it had none."),
    Column("_causation_id", "String", pa.string(), "event_id of the record that caused this one; empty for the first of a chain."),
)


def columns(record: type[Record]) -> tuple[Column, ...]:
    """Return the columns of a record's table: its fields, then the bookkeeping.

    Raises
    ------
    ConfigurationError
        A field has a type that no column can hold.
    """
    return columns_of(json.loads(schema_text(record)))


def columns_of(schema: dict[str, Any]) -> tuple[Column, ...]:
    """Return the columns of the table of a record's schema; see ``columns``."""
    types = _Types()
    return (*(types.column(field) for field in schema["fields"]), *BOOKKEEPING)


def literal(text: str) -> str:
    """Return text as a literal of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class _Types:
    """Avro's types to ClickHouse's and Arrow's, within one schema: named types are spelt out once and then referred to."""

    def __init__(self) -> None:
        self._named: dict[str, dict[str, Any]] = {}

    def column(self, field: dict[str, Any]) -> Column:
        """Return the column of a field."""
        name, schema = field["name"], field["type"]
        kind, arrow = self.types(schema, name)
        doc = "; ".join([field.get("doc", name).rstrip("."), *self._inner_docs(schema)])
        return Column(name, kind, arrow, f"{doc}.", _codec(name, kind), _default(field.get("default"), kind))

    def types(self, schema: Any, name: str, optional: bool = False) -> tuple[str, pa.DataType]:
        """Return ClickHouse's and Arrow's type of an Avro type.

        Parameters
        ----------
        schema
            The Avro type.
        name
            Name of the field; some names hold few different values.
        optional
            Whether it may be null.
        """
        if isinstance(schema, list):
            inner = [item for item in schema if item != "null"]
            if len(inner) != 1:
                raise ConfigurationError(f"{name}: no column can hold the union {schema}", "use ['null', T]")
            return self.types(inner[0], name, optional=True)
        if isinstance(schema, str):
            schema = self._named.get(schema, {"type": schema})
        if "name" in schema:
            self._named[f"{schema['namespace']}.{schema['name']}"] = self._named[schema["name"]] = schema
        match schema.get("logicalType", schema["type"]):
            case "enum":
                return _low_cardinality(optional), pa.string()
            case "record":
                # A record that may be null is a tuple of elements that may be null: Nullable(Tuple) is experimental.
                inner_types = [(item["name"], *self.types(item["type"], item["name"], optional)) for item in schema["fields"]]
                kinds = ", ".join(f"{inner_name} {kind}" for inner_name, kind, _ in inner_types)
                return f"Tuple({kinds})", pa.struct([(inner_name, arrow) for inner_name, _, arrow in inner_types])
            case "array":
                kind, arrow = self.types(schema["items"], name)
                return f"Array({kind})", pa.list_(arrow)
            case "map":
                kind, arrow = self.types(schema["values"], name)
                return f"Map(String, {kind})", pa.map_(pa.string(), arrow)
            case "timestamp-micros":
                return _nullable_kind("DateTime64(6, 'UTC')", optional), _MICROSECONDS
            case "decimal-string":
                return _nullable_kind("Decimal(38, 18)", optional), pa.string()
            case "string" if name in _LOW_CARDINALITY:
                return _low_cardinality(optional), pa.string()
            case primitive:
                if primitive not in _PRIMITIVES:
                    raise ConfigurationError(
                        f"{name}: no column can hold Avro's {primitive}", "choose another type, or teach connectors.clickhouse.tables"
                    )
                kind, arrow = _PRIMITIVES[primitive]
                return _nullable_kind(kind, optional), arrow

    def _inner_docs(self, schema: Any) -> Iterator[str]:
        """Yield what the fields of nested records mean; a tuple's elements have no comments of their own."""
        if isinstance(schema, list):
            for item in schema:
                yield from self._inner_docs(item)
        elif isinstance(schema, str):
            if schema in self._named and self._named[schema]["type"] == "record":
                yield from self._inner_docs(self._named[schema])
        elif schema["type"] == "record":
            for field in schema["fields"]:
                yield f"{field['name']}: {field['doc'].rstrip('.')}"
        elif schema["type"] == "array":
            yield from self._inner_docs(schema["items"])


_PRIMITIVES: dict[str, tuple[str, pa.DataType]] = {
    "string": ("String", pa.string()),
    "bytes": ("String", pa.binary()),
    "int": ("Int32", pa.int32()),
    "long": ("Int64", pa.int64()),
    "float": ("Float32", pa.float32()),
    "double": ("Float64", pa.float64()),
    "boolean": ("Bool", pa.bool_()),
}


def _default(default: Any, kind: str) -> str:
    """Return a default of Avro as an expression; empty where it is what the column's type has of its own."""
    match default:
        case None | []:
            return ""
        case dict() if not default:
            return ""
        case str():
            return literal(default)
        case bool():
            return str(default).lower()
        case int() if "DateTime64" in kind:
            return f"fromUnixTimestamp64Micro({default}, 'UTC')"
        case int() | float():
            return repr(default)
        case _:
            raise ConfigurationError(f"no column can have the default {default}", "make the field ['null', T] with default null")


def _nullable_kind(kind: str, optional: bool) -> str:
    return f"Nullable({kind})" if optional else kind


def _low_cardinality(optional: bool) -> str:
    return "LowCardinality(Nullable(String))" if optional else "LowCardinality(String)"


def _codec(name: str, kind: str) -> str:
    """Return the codec of a column; measured on irregular ticks, where Gorilla and DoubleDelta lose but for ids that count up."""
    if kind.startswith(("Tuple", "Map", "Array", "LowCardinality", "Bool")):
        return ""
    return "DoubleDelta, ZSTD(1)" if kind == "Int64" and name.endswith("_id") else "ZSTD(1)"
