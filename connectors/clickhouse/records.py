"""Records of one partition, as Kafka's client hands them over, and what the sink asks of many of them at once.

A million of them a second go by: whatever is asked of every record is asked by loops that run in C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from confluent_kafka import Message
from numpy.typing import NDArray

from quantum.trace import CAUSATION, TRACEPARENT


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that cannot be kept.

    Attributes
    ----------
    record
        The record.
    error
        Why.
    kind
        Name of the error's type.
    """

    record: Message
    error: str
    kind: str = "DeadLetterError"


def offsets_of(records: Sequence[Message]) -> NDArray[np.uint64]:
    """Return the records' offsets, shape (n,)."""
    offsets: map[Any] = map(Message.offset, records)
    return np.fromiter(offsets, np.uint64, len(records))


def timestamps_of(records: Sequence[Message]) -> NDArray[np.int64]:
    """Return Kafka's times of the records, milliseconds, shape (n,)."""
    return np.fromiter(map(itemgetter(1), map(Message.timestamp, records)), np.int64, len(records))


def offset_of(record: Message) -> int:
    """Return a record's offset, which every record that was read has."""
    offset = record.offset()
    if offset is None:
        raise TypeError("a record that was read has an offset")
    return offset


def trace_columns(records: Sequence[Message]) -> tuple[pa.Array, pa.Array]:
    """Return the records' trace contexts and the ids of what caused them, text; empty where a record says nothing."""
    found: list[Any] = list(map(Message.headers, records))
    try:
        if {(first[0], second[0]) for first, second in found} == {(TRACEPARENT, CAUSATION)}:  # as the platform writes them
            columns = [pa.array([first[1] for first, _ in found], pa.string()), pa.array([second[1] for _, second in found], pa.string())]
            if not any(column.null_count for column in columns):
                return columns[0], columns[1]
    except (TypeError, ValueError):
        pass  # some have none, or others, or what is no text: look at each
    pairs = [_trace(headers) for headers in found]
    return pa.array([trace for trace, _ in pairs], pa.string()), pa.array([cause for _, cause in pairs], pa.string())


def _trace(headers: Any) -> tuple[str, str]:
    trace = cause = ""
    for name, value in headers or ():
        if isinstance(value, bytes):
            if name == TRACEPARENT:
                trace = value.decode("utf-8", "replace")
            elif name == CAUSATION:
                cause = value.decode("utf-8", "replace")
    return trace, cause
