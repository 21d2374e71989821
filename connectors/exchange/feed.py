"""The live feed: every venue that the settings name, into one sink."""

from __future__ import annotations

import asyncio
from random import Random

from connectors.exchange.binance.feed import BinanceFeed
from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.frames import FrameSink
from connectors.exchange.settings import FeedSettings
from connectors.exchange.tasks import together
from connectors.exchange.venues import venue_named


async def run_feed(settings: FeedSettings, access: VenueSettings, sink: FrameSink, stop: asyncio.Event) -> None:
    """Follow all venues until ``stop`` is set.

    Parameters
    ----------
    settings
        What is followed.
    access
        Endpoints and credentials.
    sink
        Where frames go: instruments first, then for each symbol the trades by REST, then the stream.
    stop
        Ends the feed.

    Raises
    ------
    ConfigurationError
        A venue is not known, does not list a symbol, or its URL is not allowed.
    RetryError
        The sink could not store a frame.
    """
    feeds = [BinanceFeed(venue_named(name), access, settings, sink, Random()) for name in settings.venues]
    await together(*(feed.run(stop) for feed in feeds))
