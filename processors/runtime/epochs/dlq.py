"""Records that can never be processed: kept as they are, beside their offset's commit."""

from __future__ import annotations

import confluent_kafka
from faust.exceptions import DecodeError

from processors.runtime.api.event import as_bytes, header_pairs
from processors.runtime.api.topics import Outgoing

_LONGEST = 1000


def dead_letter(raw: confluent_kafka.Message, topic: str, partition: int, stage: str, error: BaseException) -> Outgoing:
    """Return the dead-letter record of a record: its own bytes and headers, and what went wrong.

    Parameters
    ----------
    raw
        The record.
    topic
        The dead-letter topic.
    partition
        Partition of that topic, -1 for the key's.
    stage
        The application's id.
    error
        Why it cannot be processed; where Faust wrapped a codec's error, that error.

    Notes
    -----
    Headers added: ``dlq.topic``, ``dlq.partition``, ``dlq.offset``, ``dlq.timestamp`` (milliseconds), ``dlq.stage``,
    ``dlq.error`` (the error's type) and ``dlq.message`` (its text, at most 1,000 characters), all UTF-8.
    """
    cause = root_cause(error)
    about = {
        "dlq.topic": raw.topic(), "dlq.partition": raw.partition(), "dlq.offset": raw.offset(), "dlq.timestamp": raw.timestamp()[1],
        "dlq.stage": stage, "dlq.error": type(cause).__name__, "dlq.message": str(cause)[:_LONGEST],
    }  # fmt: skip
    added = [(name, str(value).encode("utf-8", "replace")) for name, value in about.items()]
    return (topic, partition, as_bytes(raw.key()), as_bytes(raw.value()), header_pairs(raw) + added, 0)


def root_cause(error: BaseException) -> BaseException:
    """Return the error that a codec raised, where Faust has wrapped it in its own."""
    while isinstance(error, DecodeError) and error.__cause__ is not None:
        error = error.__cause__
    return error
