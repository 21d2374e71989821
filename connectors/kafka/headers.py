"""Headers of a record as a dictionary."""

from __future__ import annotations

from confluent_kafka import Message


def header_map(message: Message) -> dict[str, bytes]:
    """Return the headers of a record; of a name that occurs twice, the last."""
    pairs = dict(message.headers() or ())
    return {name: value.encode() if isinstance(value, str) else value or b"" for name, value in pairs.items()}
