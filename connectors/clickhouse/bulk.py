"""Many values of one writer's schema at once, in compiled code: Confluent's wire format to Arrow's columns.

It takes values whole or not at all. A record that is cut short, has bytes left over, or holds what its schema forbids makes ``read``
answer None; the caller finds it by reading one record after another with fastavro, whose word is the last.

That no byte is left over is seen so: every value is read within its own bytes and eight more behind them, made up by this process,
which are the last field of the schema that is read. A record that does not end where its bytes end does not show them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
import pyruhvro  # type: ignore[import-untyped]  # it ships no stubs

from connectors.clickhouse.arrays import WRONG_VALUES, array_of, column_of
from connectors.clickhouse.columns import Column

_MARK = os.urandom(8)
_PRIMITIVES = frozenset({"int", "long", "float", "double", "boolean", "string"})
_HEADER = ("boolean", "float")
"""Confluent's header, 0x00 and four bytes, as fields: one byte and four."""


class BulkReader:
    """Reads values into the columns of the fields of a reader's schema.

    Parameters
    ----------
    columns
        Columns of the reader's fields, in their order.
    writer, reader
        Schemas of the values' writer and of the reader, parsed and without logical types.

    Raises
    ------
    NotImplementedError
        One of the schemas has what is read one by one only: maps, bytes, other unions than ``["null", T]``; or a field's types
        differ.
    """

    def __init__(self, columns: Sequence[Column], writer: Any, reader: Any) -> None:
        written = _fields(writer)
        names = list(written)
        self._kinds = [column.arrow for column in columns]
        self._sources: list[int | None] = []
        self._defaults: list[Any] = []
        for field, shape in zip(reader["fields"], _fields(reader).values(), strict=True):
            if "aliases" in field and writer != reader:
                raise NotImplementedError("aliases")
            same = written.get(field["name"]) == shape
            if not same and (field["name"] in written or "default" not in field):
                raise NotImplementedError(f"{field['name']} is written as another type, or is missing")
            self._sources.append(names.index(field["name"]) + len(_HEADER) if same else None)
            self._defaults.append(field.get("default"))
        self._mark = len(_HEADER) + len(names)
        self._schema = json.dumps(_Names().record([*_HEADER, *written.values(), "double"]))

    def read(self, values: list[Any]) -> list[pa.Array] | None:
        """Return the columns of values; None where not each of them is a record that begins as the first one does."""
        try:
            batch = pyruhvro.deserialize_array([value + _MARK for value in values], self._schema)
            batch.validate(full=True)  # that text is UTF-8 is not looked at before
            marks = batch.column(self._mark).to_numpy().view(np.uint64)
            ids = batch.column(1).to_numpy().view(np.uint32)
            if batch.column(0).true_count or (ids != ids[:1]).any() or (marks != int.from_bytes(_MARK, "little")).any():
                return None
            return [
                array_of([default] * len(values), kind) if source is None else column_of(batch.column(source), kind)
                for source, default, kind in zip(self._sources, self._defaults, self._kinds, strict=True)
            ]
        except WRONG_VALUES:
            return None


def _fields(record: Any) -> dict[str, Any]:
    """Return the shape of each field of a record's schema."""
    named: dict[str, Any] = {}
    return {field["name"]: _shape(field["type"], named) for field in record["fields"]}


def _shape(schema: Any, named: dict[str, Any]) -> Any:
    """Return what decides how values of a type are read: equal shapes are read alike. References are followed."""
    if isinstance(schema, list):
        others = [item for item in schema if item != "null"]
        if len(schema) != 2 or len(others) != 1:
            raise NotImplementedError(f"union {schema}")
        inner = _shape(others[0], named)
        if inner[0] == "array":
            raise NotImplementedError("an array that may be null")
        return ("union", schema[0] == "null", inner)
    if isinstance(schema, str):
        schema = named.get(schema, {"type": schema})
    if "name" in schema:
        named[schema["name"]] = schema
    match schema["type"]:
        case "enum":
            return ("enum", schema["name"], tuple(schema["symbols"]))
        case "record":
            return ("record", schema["name"], tuple((field["name"], _shape(field["type"], named)) for field in schema["fields"]))
        case "array":
            return ("array", _shape(schema["items"], named))
        case primitive if primitive in _PRIMITIVES:
            return (primitive,)
        case other:
            raise NotImplementedError(str(other))


class _Names:
    """Shapes back to schemas in which every type and field has a name of its own, for there are no references in them."""

    def __init__(self) -> None:
        self._made = 0

    def record(self, shapes: Sequence[Any]) -> dict[str, Any]:
        """Return the schema of a record with fields of some shapes."""
        name = self._name()
        return {
            "type": "record",
            "name": name,
            "fields": [{"name": f"f{at}", "type": self._type(shape)} for at, shape in enumerate(shapes)],
        }

    def _type(self, shape: Any) -> Any:
        match shape:
            case ("union", null_first, inner):
                return ["null", self._type(inner)] if null_first else [self._type(inner), "null"]
            case ("enum", _, symbols):
                return {"type": "enum", "name": self._name(), "symbols": list(symbols)}
            case ("record", _, fields):
                return self.record([inner for _, inner in fields])
            case ("array", items):
                return {"type": "array", "items": self._type(items)}
            case ("int",):
                return "long"  # so that one too large is seen where it becomes a column
            case (primitive,):
                return primitive
            case _:
                return shape

    def _name(self) -> str:
        self._made += 1
        return f"t{self._made}"
