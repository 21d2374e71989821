"""Who reads the texts of which venue, and what of them a replay from the middle looks for."""

from __future__ import annotations

from connectors.exchange.bybit.frames import BybitReader
from connectors.exchange.coinbase.frames import CoinbaseReader
from connectors.exchange.frames import FrameMaker, FrameReader
from connectors.exchange.recording.line import Noted, note_of
from connectors.exchange.venues import BINANCE_VENUES, COINBASE, DEPTH_CHANNELS, Channel, Venue

_HEAD = 256
_TAIL = 512
_INSTRUMENT = b'"channel":"instrument"'


def reader_of(venue: Venue, session: str, offset_us: int = 0) -> FrameMaker:
    """Return a reader of a venue's texts, as the live feed has it."""
    if venue in BINANCE_VENUES:
        return FrameReader(venue, session, offset_us)
    return CoinbaseReader(venue, session, offset_us) if venue is COINBASE else BybitReader(venue, session, offset_us)


def may_be_snapshot(text: bytes) -> bool:
    """Return whether a text may be a snapshot of a book; looks at its beginning only."""
    head = text[:_HEAD]
    return b'"lastUpdateId"' in head or b'"snapshot"' in head


def is_instrument(text: bytes) -> bool:
    """Return whether a line's text is an instrument."""
    if _INSTRUMENT not in text[-_TAIL:]:
        return False
    note = note_of(text)
    return note is not None and note.channel == Channel.INSTRUMENT


def is_depth(peek: FrameMaker, said: bytes | Noted, receive_us: int, symbol: str) -> bool:
    """Return whether a line is about the book; ``peek`` reads texts without a note, and nobody sees its frames."""
    note = note_of(said) if isinstance(said, bytes) else said
    if note is not None:
        return note.channel in DEPTH_CHANNELS
    assert isinstance(said, bytes)
    frame = peek.read(said, receive_us, symbol)
    return frame is not None and frame.channel in DEPTH_CHANNELS
