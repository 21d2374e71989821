"""What every record on a topic has."""

from __future__ import annotations

from msgspec import Struct


class Record(Struct, frozen=True, kw_only=True):
    """Base of the records of every topic.

    Attributes
    ----------
    event_id : str
        Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.
    event_ts : int
        Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.
    ingest_ts : int
        When the frame that started this chain of records was received, microseconds since the epoch, UTC.
    """

    event_id: str
    event_ts: int
    ingest_ts: int
