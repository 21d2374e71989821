"""What each venue does in its own way; the rest of following a venue is `feed.VenueFeed` and `connection.Connection`."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from connectors.exchange.frames import FrameMaker
from connectors.exchange.health.round_trips import RoundTrips
from connectors.exchange.venues import Venue


class RestTrade(NamedTuple):
    """A trade as REST gives it.

    Attributes
    ----------
    mark
        What tells it from earlier ones: its id where ids count up, else its time in milliseconds.
    time_ms
        When it happened, milliseconds since the epoch.
    text
        Its own JSON text.
    """

    mark: int
    time_ms: int
    text: str


class Link(Protocol):
    """A venue's endpoints and dialect; an asynchronous context manager.

    Every call that asks the venue raises VenueAwayError or VenueError where it gets no good answer.

    Attributes
    ----------
    keep_alive
        Text that is to be sent every ``keep_alive_s`` seconds; empty where websocket pings are enough.
    """

    keep_alive: str
    keep_alive_s: float

    @property
    def venue(self) -> Venue:
        """The venue."""

    @property
    def offset_us(self) -> int:
        """Venue's clock minus ours, microseconds."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    @property
    def round_trips(self) -> RoundTrips:
        """Round trips of the requests by REST."""

    def now_us(self) -> int:
        """Return the venue's time, as well as it is known, microseconds since the epoch."""

    async def read_clock(self) -> int:
        """Ask the venue for its time; return its clock minus ours, microseconds."""

    async def instruments(self, symbols: Sequence[str]) -> dict[str, str]:
        """Return what the venue says of each symbol, as text; raises ConfigurationError where it does not list one."""

    async def trades_since(self, symbol: str, after: int | None, most: int) -> list[RestTrade]:
        """Return the trades after a mark up to now, in order, at most the newest ``most``; None asks for the newest ones."""

    async def snapshot(self, symbol: str) -> str | None:
        """Return a snapshot of the book by REST, as text; None where the venue sends them by the stream, see `again`."""

    async def open_interest(self, symbol: str) -> str | None:
        """Return the open interest by REST, as text; None where the venue has none, or says it by the stream."""

    def url(self, symbols: Sequence[str]) -> str:
        """Return the websocket's address."""

    def greetings(self, symbols: Sequence[str]) -> list[str]:
        """Return what is sent when the connection is open: subscriptions that the address does not say."""

    def again(self, symbol: str) -> list[str]:
        """Return what is sent to be given another snapshot of a book by the stream."""

    def reader(self, session: str) -> FrameMaker:
        """Return a reader of one connection's texts."""
