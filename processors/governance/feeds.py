"""Which symbols' market data can be relied on, by the feeds' own word. Pure."""

from __future__ import annotations

from msgspec import Struct

from connectors.exchange.settings import MOST_SILENT_S
from schemas.health.records import HealthEvent
from schemas.signals.records import SignalGenerated

MOST_SILENT_US = int(MOST_SILENT_S * 1_000_000)
"""A word on a symbol is good for this long: a feed that has died says nothing any more."""
FORGOTTEN_US = 3_600_000_000
"""A symbol that was not heard of for this long is followed no more."""


class SymbolHealth(Struct):
    """The newest word on a symbol's feed at one venue; its time in microseconds since the epoch, UTC."""

    healthy: bool
    seen: int


Feeds = dict[str, dict[str, SymbolHealth]]
"""Health of feeds by venue and symbol."""


def on_health(feeds: Feeds, event: HealthEvent) -> None:
    """Keep what a venue's feed says of its symbols.

    What it says of one symbol is there for people; the same is in its word on the venue, which follows.
    """
    if event.venue is None or event.symbol is not None:
        return
    symbols = feeds.setdefault(event.venue, {})
    said = {**dict.fromkeys(event.healthy_symbols, True), **dict.fromkeys(event.unhealthy_symbols, False)}
    for symbol, healthy in said.items():
        known = symbols.get(symbol)
        if known is None or event.event_ts >= known.seen:
            symbols[symbol] = SymbolHealth(healthy, event.event_ts)
    for venue, kept in list(feeds.items()):
        for symbol in [symbol for symbol, known in kept.items() if event.event_ts - known.seen > FORGOTTEN_US]:
            del kept[symbol]
        if not kept:
            del feeds[venue]


def refusal(feeds: Feeds, signal: SignalGenerated) -> str | None:
    """Return why a signal may not be entered on its market data: the newest word on them is bad, too old, or there is none."""
    known = feeds.get(signal.venue, {}).get(signal.symbol)
    if known is not None and known.healthy and signal.event_ts - known.seen <= MOST_SILENT_US:
        return None
    return f"FEED_STALE:{signal.symbol}"
