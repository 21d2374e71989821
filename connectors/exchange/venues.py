"""Venues and the names that they give to things: one place for stream names, REST prefixes and channels."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from quantum.errors import ConfigurationError


class Channel(StrEnum):
    """Kind of content of a raw frame."""

    TRADE = "trade"
    QUOTE = "quote"
    DEPTH = "depth"
    DEPTH_SNAPSHOT = "depth_snapshot"
    MARK = "mark"
    INSTRUMENT = "instrument"
    HEARTBEAT = "heartbeat"


@dataclass(frozen=True, slots=True)
class Venue:
    """One market of an exchange.

    Attributes
    ----------
    name
        Name on the platform, for example ``binance-usdm``.
    folder
        Folder of a recording that holds its files, for example ``usdm``.
    prefix
        REST prefix of its market data and orders, for example ``/fapi/v1``.
    streams
        Suffixes of the streams that a symbol is followed by.
    futures
        Whether it trades perpetuals: leverage, mark price, reduce-only.
    weight_limit
        Request weight a minute that the venue documents; its headers say what is used.
    trades_page
        Most trades that one ``historicalTrades`` answer holds.
    """

    name: str
    folder: str
    prefix: str
    streams: tuple[str, ...]
    futures: bool
    weight_limit: int
    trades_page: int


SPOT = Venue("binance-spot", "spot", "/api/v3", ("trade", "bookTicker"), futures=False, weight_limit=6_000, trades_page=1_000)
USDM = Venue("binance-usdm", "usdm", "/fapi/v1", ("trade", "bookTicker", "markPrice@1s"), futures=True, weight_limit=2_400, trades_page=500)
COINM = Venue("binance-coinm", "cm", "/dapi/v1", ("trade", "bookTicker", "markPrice@1s"), futures=True, weight_limit=2_400, trades_page=500)

VENUES: dict[str, Venue] = {venue.name: venue for venue in (SPOT, USDM, COINM)}
FOLDERS: dict[str, Venue] = {folder: venue for venue in VENUES.values() for folder in (venue.folder, venue.name)} | {"coinm": COINM}

_CHANNELS = {"trade": Channel.TRADE, "bookTicker": Channel.QUOTE, "markPrice": Channel.MARK, "depth": Channel.DEPTH}
_PARTIAL_BOOKS = {f"depth{levels}": Channel.DEPTH_SNAPSHOT for levels in (5, 10, 20)}


def venue_named(name: str) -> Venue:
    """Return a venue by its name; raises ConfigurationError where there is none."""
    try:
        return VENUES[name]
    except KeyError:
        raise ConfigurationError(f"no venue is called {name!r}", f"use one of {', '.join(VENUES)}") from None


def channel_of(stream: str) -> tuple[str, Channel] | None:
    """Return symbol and channel of a stream name such as ``btcusdt@depth@100ms``; None where the channel is not known."""
    symbol, _, kind = stream.partition("@")
    name = kind.partition("@")[0]
    channel = _CHANNELS.get(name) or _PARTIAL_BOOKS.get(name)
    return None if channel is None or not symbol else (symbol.upper(), channel)


def stream_names(venue: Venue, symbol: str) -> list[str]:
    """Return the names of the streams that follow a symbol."""
    return [f"{symbol.lower()}@{suffix}" for suffix in venue.streams]
