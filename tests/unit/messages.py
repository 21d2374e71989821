"""Messages as Kafka's client hands them over."""

from __future__ import annotations

from confluent_kafka import TIMESTAMP_CREATE_TIME, Message

AT_MS = 1_767_225_600_000


def message(
    value: bytes | None,
    offset: int = 0,
    partition: int = 0,
    *,
    at_ms: int = AT_MS,
    key: bytes | None = b"k",
    headers: list[tuple[str, str | bytes | None]] | None = None,
) -> Message:
    """Return a record as it is read from a topic."""
    return Message("topic", partition, offset, key, value, headers, None, (TIMESTAMP_CREATE_TIME, at_ms))
