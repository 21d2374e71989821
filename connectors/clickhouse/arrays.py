"""Values to Arrow's columns of a table: from Python's objects, and from what the bulk reader gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs

WRONG_VALUES = (pa.ArrowException, UnicodeDecodeError, TypeError, ValueError, OverflowError)
"""What Arrow raises where values do not fit a column."""


def array_of(items: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return values of a column, as fastavro reads them; raises one of ``WRONG_VALUES`` where they do not fit."""
    if pa.types.is_map(kind):
        items = [list(item.items()) for item in items]
    elif pa.types.is_struct(kind):
        empty = _nulls(kind)
        items = [empty if item is None else item for item in items]
    return pa.array(items, kind)


def column_of(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return an array of the bulk reader as an array of a column's type.

    A record that is null becomes a record whose elements are null, as in ``array_of``.

    Raises
    ------
    pyarrow.ArrowInvalid
        An integer is too large for the column.
    """
    if pa.types.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        children = [column_of(array.field(index), field.type) for index, field in enumerate(fields)]
        return pa.StructArray.from_arrays(children, fields=fields)
    if pa.types.is_list(kind):
        mask = array.is_null() if array.null_count else None
        return pa.ListArray.from_arrays(array.offsets, column_of(array.values, kind.value_type), type=kind, mask=mask)
    return array if array.type == kind else array.cast(kind)


def to_ipc(batch: pa.RecordBatch) -> memoryview:
    """Return a batch as one Arrow stream of one batch, which the store takes as one block."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return memoryview(sink.getvalue())


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
