"""How far away a venue is, measured by following it for a while as the feed does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from random import Random

import msgspec

from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.feed import VenueFeed, link_of
from connectors.exchange.health.window import quantiles
from connectors.exchange.settings import FeedSettings
from connectors.exchange.tasks import sleep_unless
from schemas.common import HealthState
from schemas.exchange.records import ExchangeFrame
from schemas.health.records import HealthEvent

CLOCK_EVERY_S = 0.25
SAID_EVERY_S = 0.25
"""The last word on the venue is the answer, so it must not be old."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles of a measure, milliseconds, and of how many values; None without any."""

    count: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class VenueLatency(msgspec.Struct, frozen=True, kw_only=True):
    """How far away a venue is.

    Attributes
    ----------
    venue : str
        Name of the venue.
    state : HealthState
        How its feed was at the end.
    detail : str
        The same in words.
    clock_offset_ms : float or None
        The venue's clock minus ours; None where it did not say its time.
    round_trip : Figures
        From a REST request to the end of its answer.
    ping : Figures
        From a websocket's ping to its pong.
    delays : dict
        From the venue's time of an event to its receipt, by channel. A venue does not say the time of every channel.
    """

    venue: str
    state: HealthState
    detail: str
    clock_offset_ms: float | None
    round_trip: Figures
    ping: Figures
    delays: dict[str, Figures]

    @property
    def answered(self) -> bool:
        """Whether the venue answered at all."""
        return self.round_trip.count > 0


class _Nowhere:
    """A sink of frames that only their measures matter of."""

    def send(self, frame: ExchangeFrame) -> None:
        """Leave the frame."""


async def probe(name: str, access: VenueSettings, settings: FeedSettings, seconds: float) -> VenueLatency:
    """Follow a venue for some seconds and return what was measured.

    Parameters
    ----------
    name
        Name of the venue.
    access
        Binance's endpoints; other venues' settings are read here.
    settings
        Symbols that are followed; nothing is fetched that the stream does not need.
    seconds
        How long.

    Raises
    ------
    ConfigurationError
        The venue is not known, does not list a symbol, or its URL is not allowed.
    """
    said: list[HealthEvent] = []
    often = settings.health.model_copy(update={"every_s": SAID_EVERY_S})
    changes = {"backfill": 0, "gap_fill": 0, "clock_every_s": CLOCK_EVERY_S, "health": often}
    link = link_of(name, access, settings)
    feed = VenueFeed(link, settings.model_copy(update=changes), _Nowhere(), Random(), said.append)
    stop = asyncio.Event()
    following = asyncio.create_task(feed.run(stop))
    following.add_done_callback(lambda _: stop.set())
    await sleep_unless(stop, seconds)
    stop.set()
    await following
    newest, now, offset = next(event for event in reversed(said) if event.symbol is None), time.monotonic(), feed.health.offset_us
    return VenueLatency(
        venue=name, state=newest.state, detail=newest.detail, clock_offset_ms=None if offset is None else offset / 1e3,
        round_trip=_figures(link.round_trips.values()), ping=_figures(feed.health.pings.values(now)),
        delays={channel: _figures(window.values(now)) for channel, window in sorted(feed.health.delays.items())},
    )  # fmt: skip


def _figures(seconds: Sequence[float]) -> Figures:
    found = quantiles(seconds)
    p50, p95, p99 = (None, None, None) if found is None else (round(value * 1e3, 3) for value in found)
    return Figures(count=len(seconds), p50_ms=p50, p95_ms=p95, p99_ms=p99)
