"""Open interest by REST, again and again, where a venue's stream does not say it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from connectors.exchange.errors import VENUE_IS_AWAY
from connectors.exchange.frames import FrameMaker, FrameSink
from connectors.exchange.link import Link
from connectors.exchange.tasks import sleep_unless
from connectors.exchange.venues import Channel
from quantum import clock
from schemas.common import FrameKind

log = logging.getLogger(__name__)


async def poll_open_interest(
    link: Link, symbols: Sequence[str], every_s: float, sink: FrameSink, reader: FrameMaker, stop: asyncio.Event
) -> None:  # fmt: skip
    """Ask for the open interest of each symbol in turn, evenly spread, and send the answers; ends at once where none is said by REST.

    The link keeps within the weight that the venue allows, so with very many symbols a turn takes longer.

    Parameters
    ----------
    link
        The venue.
    symbols
        Symbols that are followed.
    every_s
        How often each is asked for, seconds.
    sink
        Where frames go.
    reader
        Makes the frames; of a session of its own.
    stop
        Ends the polling.
    """
    while not stop.is_set():
        for symbol in symbols:
            began = time.monotonic()
            try:
                text = await link.open_interest(symbol)
            except VENUE_IS_AWAY as error:
                log.warning("%s %s: its open interest could not be read: %s", link.venue.name, symbol, error)
            else:
                if text is None:
                    return
                received = clock.now_us()
                event = received + link.offset_us
                sink.send(reader.frame(symbol, Channel.OPEN_INTEREST, FrameKind.REST, event, received, text))
            await sleep_unless(stop, max(0.0, every_s / len(symbols) - (time.monotonic() - began)))
            if stop.is_set():
                return
