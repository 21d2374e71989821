r"""A frame as a line of a recording, and back.

``<receive time, ns> <JSON>``, as recordings of combined streams have it, with a *note* at the end of the JSON: an extra key ``frame`` that
says what the text itself does not. So who reads the format without notes reads on, and a replay gives back the very frame::

    1723161254087896568 {"stream":"btcusdt@trade","data":{"e":"trade",...},"frame":{"symbol":"BTCUSDT","channel":"trade",...}}
    1723161254206652067 {"lastUpdateId":50093239218,"bids":[...],"asks":[...],"frame":{"symbol":"BTCUSDT",...,"kind":"REST"}}

The payload stands in the line in one of three forms, letter for letter:

``data``
    Binance's streams: the payload is the value of ``data``.
``whole``
    Everything else that is an object: the line is the payload with the note as its last key.
``text``
    What cannot be a line's object (none, or with a line break): a JSON string, the value of ``text``.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

import msgspec

from connectors.exchange.venues import BINANCE_VENUES, VENUES, channel_of
from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame

_KEY = b'"frame":'
_TEXT = b'{"text":'
_DATA = b',"data":'
NANOSECONDS = 1_000
"""A microsecond."""


class Note(msgspec.Struct, omit_defaults=True):
    """What a line says of its frame besides the payload; fields as in `ExchangeFrame`, and the payload's ``form``.

    An ``event_id`` is only there where it is not made of venue, symbol, session and sequence, as the connectors' are. Without a ``session``
    the frame has no numbers of its own, and who plays it gives it some.
    """

    symbol: str
    channel: str
    kind: FrameKind
    event_ts: int
    session: str
    sequence: int
    channel_sequence: int | None = None
    form: Literal["whole", "data", "text"] = "whole"
    event_id: str | None = None


class Numbers(NamedTuple):
    """How a frame was numbered when it was recorded; fields as in `ExchangeFrame`, ``event_id`` is None for the usual one."""

    session: str
    sequence: int
    channel_sequence: int | None
    event_id: str | None = None


class Noted(NamedTuple):
    """A frame that is known but for its venue and time of receipt.

    Attributes
    ----------
    symbol, channel, kind, payload
        As in `ExchangeFrame`.
    event_us
        Its event time, microseconds.
    numbers
        Its numbers; None where who plays it numbers it.
    """

    symbol: str
    channel: str
    kind: FrameKind
    event_us: int
    payload: str
    numbers: Numbers | None = None


_ENCODER = msgspec.json.Encoder()
_NOTE = msgspec.json.Decoder(Note)
_STRING = msgspec.json.Decoder(str)


def line_of(frame: ExchangeFrame) -> bytes:
    """Return a frame's line, with its line break."""
    stream = _stream_of(frame.venue, frame.symbol, frame.channel) if frame.kind is FrameKind.STREAM else ""
    payload = frame.payload.encode()
    form: Literal["whole", "data", "text"] = "data" if stream else "whole"
    if b"\n" in payload or b"\r" in payload or not (payload.startswith(b"{") and payload.endswith(b"}")):
        form, before = "text", _TEXT + _ENCODER.encode(frame.payload) + b","
    elif stream:
        before = b'{"stream":"' + stream.encode() + b'"' + _DATA + payload + b","
    elif payload == b"{}":
        before = b"{"
    else:
        before = payload[:-1] + b","
    usual = frame.event_id == _event_id(frame.venue, frame.symbol, frame.session, frame.sequence)
    note = Note(
        frame.symbol, frame.channel, frame.kind, frame.event_ts, frame.session, frame.sequence, frame.channel_sequence, form,
        None if usual else frame.event_id,
    )  # fmt: skip
    return b"%d %b%b%b}\n" % (frame.ingest_ts * NANOSECONDS, before, _KEY, _ENCODER.encode(note))


def noted(text: bytes) -> Noted | None:
    """Return the frame of a line's JSON text; None where it has no note, or what stands before the note is not as the note says."""
    note = note_of(text)
    if note is None:
        return None
    before = text[: text.rfind(_KEY)]
    if note.form == "data":
        start = before.find(_DATA)
        payload = before[start + len(_DATA) : -1] if start >= 0 else None
    elif note.form == "text":
        try:
            payload = _STRING.decode(before[len(_TEXT) : -1]).encode()
        except msgspec.DecodeError:
            payload = None
    else:
        payload = before[:-1] + b"}" if len(before) > 1 else b"{}"
    try:
        return None if payload is None else _noted(note, payload.decode())
    except UnicodeDecodeError:
        return None


def note_of(text: bytes) -> Note | None:
    """Return the note of a line's JSON text, without a look at the rest; None where it has none."""
    at = text.rfind(_KEY)
    if at < 1:
        return None
    try:
        return _NOTE.decode(text[at + len(_KEY) : -1])
    except msgspec.DecodeError:
        return None


def _noted(note: Note, payload: str) -> Noted:
    numbers = Numbers(note.session, note.sequence, note.channel_sequence, note.event_id) if note.session else None
    return Noted(note.symbol, note.channel, note.kind, note.event_ts, payload, numbers)


def frame_of(venue: str, receive_us: int, known: Noted, numbers: Numbers) -> ExchangeFrame:
    """Return a frame with the numbers that it was recorded with."""
    session, sequence, channel_sequence, event_id = numbers
    if event_id is None:
        event_id = _event_id(venue, known.symbol, session, sequence)
    return ExchangeFrame(
        event_id=event_id, event_ts=known.event_us, ingest_ts=receive_us, venue=venue, symbol=known.symbol, channel=known.channel,
        kind=known.kind, session=session, sequence=sequence, payload=known.payload, channel_sequence=channel_sequence,
    )  # fmt: skip


def _event_id(venue: str, symbol: str, session: str, sequence: int) -> str:
    return f"{venue}:{symbol}:{session}:{sequence}"


@cache
def _stream_of(venue: str, symbol: str, channel: str) -> str:
    """Return the name of Binance's stream that a symbol's frames of a channel come by; empty where there is none."""
    if VENUES.get(venue) not in BINANCE_VENUES:
        return ""
    for suffix in VENUES[venue].streams:
        name = f"{symbol.lower()}@{suffix}"
        if channel_of(name) == (symbol, channel) and name.isascii() and name.isprintable() and not set('"\\') & set(name):
            return name
    return ""
