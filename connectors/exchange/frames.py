"""Raw text of a venue to frames: the one piece of code that the live feed and the replay of a recording share.

Only what routes a frame is read of it: the stream's name, the event time and the trade id. The rest of the text goes on
as it came. The reader here knows Binance's dialect, live and recorded; other venues' are in their folders.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from typing import Protocol

import msgspec

from connectors.exchange.venues import Channel, Venue, channel_of
from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame

EMPTY = "{}"
MILLISECOND = 1_000


class FrameSink(Protocol):
    """Where frames go; ``send`` may block, which is how a slow reader slows the feed."""

    def send(self, frame: ExchangeFrame) -> None:
        """Take a frame; frames of one key come in the order in which they are to be stored."""


def key_of(frame: ExchangeFrame) -> str:
    """Return the key of a frame on ``exchange.raw``: ``venue:symbol``."""
    return f"{frame.venue}:{frame.symbol}"


class FrameMaker(ABC):
    """Makes the frames of one connection to a venue, live or recorded.

    Parameters
    ----------
    venue
        The venue.
    session
        Id of the connection; part of every frame's id, so it must never be used for another one.
    offset_us
        Venue's clock minus the receiver's, microseconds: a frame without a time of its own happened at the time of
        receipt plus this.

    Attributes
    ----------
    channels : Counter
        Frames by (symbol, channel).
    unknown : Counter
        Frames by the name of a stream that is not known; they make no frame.
    malformed : int
        Texts that are not JSON, or not of the venue's form.
    last_trade : dict
        Mark of the newest trade by symbol: its id, or its time where ids do not count up.
    """

    def __init__(self, venue: Venue, session: str, offset_us: int = 0) -> None:
        self.venue = venue
        self.session = session
        self.offset_us = offset_us
        self.channels: Counter[tuple[str, str]] = Counter()
        self.unknown: Counter[str] = Counter()
        self.malformed = 0
        self.last_trade: dict[str, int] = {}
        self._sequences: dict[str, int] = {}

    @abstractmethod
    def read(self, text: bytes | str, receive_us: int, file_symbol: str = "") -> ExchangeFrame | None:
        """Return the frame of a text as received; None where it makes none.

        Parameters
        ----------
        text
            JSON as received.
        receive_us
            Time of receipt by the receiver's clock, microseconds.
        file_symbol
            Symbol of a text that does not name its own.
        """

    def heartbeat(self, symbol: str, event_us: int, receive_us: int) -> ExchangeFrame:
        """Return the frame that says: every event of this symbol before ``event_us`` has been sent."""
        return self.frame(symbol, Channel.HEARTBEAT, FrameKind.HEARTBEAT, event_us, receive_us, EMPTY)

    def frame(self, symbol: str, channel: Channel, kind: FrameKind, event_us: int, receive_us: int, payload: str) -> ExchangeFrame:
        """Return a frame with the next sequence number of its symbol; times in microseconds."""
        sequence = self._sequences.get(symbol, 0)
        self._sequences[symbol] = sequence + 1
        number = self.channels[symbol, channel]
        self.channels[symbol, channel] = number + 1
        return ExchangeFrame(
            event_id=f"{self.venue.name}:{symbol}:{self.session}:{sequence}",
            event_ts=event_us,
            ingest_ts=receive_us,
            venue=self.venue.name,
            symbol=symbol,
            channel=channel,
            kind=kind,
            session=self.session,
            sequence=sequence,
            payload=payload,
            channel_sequence=number,
        )

    def note_trade(self, symbol: str, mark: int) -> None:
        """Remember the newest trade of a symbol."""
        if mark > self.last_trade.get(symbol, -1):
            self.last_trade[symbol] = mark


class _Envelope(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _Heading(msgspec.Struct):
    """What routes a frame, by the venue's own one-letter names; times in milliseconds."""

    T: int = 0
    E: int = 0
    t: int = -1


class _Snapshot(msgspec.Struct):
    last_update_id: int = msgspec.field(name="lastUpdateId")
    symbol: str = ""
    T: int = 0
    E: int = 0


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_HEADING = msgspec.json.Decoder(_Heading)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)


class FrameReader(FrameMaker):
    """Makes the frames of one connection to Binance; see `FrameMaker`."""

    def __init__(self, venue: Venue, session: str, offset_us: int = 0) -> None:
        super().__init__(venue, session, offset_us)
        self._routes: dict[str, tuple[str, Channel] | None] = {}

    def read(self, text: bytes | str, receive_us: int, file_symbol: str = "") -> ExchangeFrame | None:
        """Return the frame of a text of the combined stream, or of a recorded REST depth snapshot.

        Parameters
        ----------
        text
            JSON as received.
        receive_us
            Time of receipt by the receiver's clock, microseconds.
        file_symbol
            Symbol of a snapshot that does not name its own.

        Returns
        -------
        ExchangeFrame or None
            None where the text was counted as unknown or malformed.
        """
        try:
            envelope = _ENVELOPE.decode(text)
            if not envelope.stream:
                return self._snapshot(text, receive_us, file_symbol)
            route = self._route(envelope.stream)
            if route is None:
                self.unknown[envelope.stream] += 1
                return None
            symbol, channel = route
            heading = _HEADING.decode(envelope.data)
            payload = str(memoryview(envelope.data), "utf-8")
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.malformed += 1
            return None
        stated_ms = heading.E if channel is Channel.MARK else heading.T or heading.E  # a mark's T is the time of the next funding
        event_us = stated_ms * MILLISECOND
        if channel is Channel.TRADE:
            self.note_trade(symbol, heading.t)
        return self.frame(symbol, channel, FrameKind.STREAM, event_us or receive_us + self.offset_us, receive_us, payload)

    def _route(self, stream: str) -> tuple[str, Channel] | None:
        try:
            return self._routes[stream]
        except KeyError:
            route = self._routes[stream] = channel_of(stream)
            return route

    def _snapshot(self, text: bytes | str, receive_us: int, file_symbol: str) -> ExchangeFrame | None:
        snapshot = _SNAPSHOT.decode(text)
        symbol = snapshot.symbol or file_symbol
        if not symbol:
            self.unknown["depth snapshot without a symbol"] += 1
            return None
        event_us = (snapshot.T or snapshot.E) * MILLISECOND or receive_us + self.offset_us
        payload = text if isinstance(text, str) else text.decode()
        return self.frame(symbol, Channel.DEPTH_SNAPSHOT, FrameKind.REST, event_us, receive_us, payload)
