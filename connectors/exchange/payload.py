"""A frame's payload as typed values, or the error that says what is wrong with it."""

from __future__ import annotations

from typing import Any

import msgspec

from quantum.errors import CorruptRecordError
from schemas.exchange.records import ExchangeFrame

MILLISECOND = 1_000
"""Microseconds."""


def decoded(decoder: msgspec.json.Decoder[Any], frame: ExchangeFrame) -> Any:
    """Return a frame's payload in the decoder's type; raises CorruptRecordError where it is not of that form."""
    try:
        return decoder.decode(frame.payload)
    except msgspec.DecodeError as error:
        raise corrupt(frame, str(error)) from error


def corrupt(frame: ExchangeFrame, what: str) -> CorruptRecordError:
    """Return the error of a frame whose payload is not what its channel says."""
    return CorruptRecordError(f"{frame.channel} frame {frame.event_id}: {what}", "see whether the venue has changed its dialect")
