"""What links of venues that are only looked at have in common: one REST client, the venue's clock, snapshots by the stream."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from connectors.exchange.errors import VenueAwayError
from connectors.exchange.health.round_trips import RoundTrips
from connectors.exchange.public_rest import PublicRest
from connectors.exchange.venues import Venue

AnswerT = TypeVar("AnswerT")


class PublicLink(ABC):
    """See `Link`.

    Parameters
    ----------
    venue
        The venue, or one of its products.
    rest_url
        Base URL of its REST interface.
    timeout_s
        Longest that a call may take, seconds.
    depth_stream
        The stream of order books, among those of the venue.
    depth
        Whether order books are followed.
    """

    def __init__(self, venue: Venue, rest_url: str, timeout_s: float, depth_stream: str, *, depth: bool) -> None:
        self.venue = venue
        self.offset_us = 0
        self._rest = PublicRest(venue.name, rest_url, venue.weight_limit, timeout_s)
        self._streams: Sequence[str] = [stream for stream in venue.streams if depth or stream != depth_stream]

    @property
    def round_trips(self) -> RoundTrips:
        """Round trips of the requests by REST."""
        return self._rest.round_trips

    async def __aenter__(self) -> Self:
        await self._rest.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._rest.__aexit__(kind, error, trace)

    def now_us(self) -> int:
        """Return the venue's time, microseconds since the epoch."""
        return time.time_ns() // 1_000 + self.offset_us

    async def read_clock(self) -> int:
        """Ask the venue for its time; return its clock minus ours, microseconds."""
        sent = time.time_ns() // 1_000
        theirs = await self._venue_time_us()
        received = time.time_ns() // 1_000
        self.offset_us = theirs - (sent + received) // 2
        return self.offset_us

    async def snapshot(self, symbol: str) -> None:
        """Return None: the stream sends a snapshot to who subscribes."""
        return None

    async def open_interest(self, symbol: str) -> None:
        """Return None: where there is any, the stream says it."""
        return None

    @abstractmethod
    async def _venue_time_us(self) -> int:
        """Ask the venue for its time, microseconds since the epoch."""


def decoded(body: bytes, kind: type[AnswerT], *, strict: bool = True) -> AnswerT:
    """Return an answer as what it should be; numbers may be in quotes where it is not ``strict``.

    Raises
    ------
    VenueAwayError
        It is something else.
    """
    try:
        return msgspec.json.decode(body, type=kind, strict=strict)
    except msgspec.DecodeError as error:
        raise VenueAwayError(f"the answer {body[:200]!r} is no {kind}: {error}", "see whether the venue has changed its dialect") from error
