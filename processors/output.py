"""What a stage's logic gives back: records to be sent."""

from __future__ import annotations

from typing import NamedTuple

from schemas.record import Record


class Output(NamedTuple):
    """One record for one topic.

    Attributes
    ----------
    topic
        Name of a topic that the topology lets the stage write.
    key
        Key in the topic's form, for example ``paper:BTCUSDT``.
    record
        The record; its type is the topic's.
    """

    topic: str
    key: str
    record: Record
