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
    OPEN_INTEREST = "open_interest"
    INSTRUMENT = "instrument"
    HEARTBEAT = "heartbeat"


DEPTH_CHANNELS = frozenset({Channel.DEPTH.value, Channel.DEPTH_SNAPSHOT.value})
"""Channels of the order book."""
DEPTH_STREAM = "depth@100ms"


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
        REST prefix of its market data and orders, for example ``/fapi/v1``; of Bybit the category of the product.
    streams
        What a symbol is followed by, in the venue's own words: at Binance suffixes of streams.
    futures
        Whether it trades perpetuals: leverage, mark price, reduce-only.
    weight_limit
        Request weight (at Bybit and Coinbase: requests) a minute that the venue documents; Binance's headers say what is used.
    trades_page
        Most trades that one answer of its REST interface holds.
    snapshot_levels
        Levels of a side that are asked for in a snapshot of the book by REST; 0 where the stream sends them.
    kept_levels
        Levels of a side of the book that are kept. A venue whose snapshots are costly has more of them.
    """

    name: str
    folder: str
    prefix: str
    streams: tuple[str, ...]
    futures: bool
    weight_limit: int
    trades_page: int
    snapshot_levels: int
    kept_levels: int = 200


SPOT = Venue(
    "binance-spot", "spot", "/api/v3", ("trade", "bookTicker", DEPTH_STREAM),
    futures=False, weight_limit=6_000, trades_page=1_000, snapshot_levels=200,
)  # fmt: skip
USDM = Venue(
    "binance-usdm", "usdm", "/fapi/v1", ("trade", "bookTicker", "markPrice@1s", DEPTH_STREAM),
    futures=True, weight_limit=2_400, trades_page=500, snapshot_levels=500,
)  # fmt: skip
COINM = Venue(
    "binance-coinm", "cm", "/dapi/v1", ("trade", "bookTicker", "markPrice@1s", DEPTH_STREAM),
    futures=True, weight_limit=2_400, trades_page=500, snapshot_levels=500,
)  # fmt: skip

BYBIT_LINEAR = Venue(
    "bybit-linear", "bybit_linear", "linear", ("publicTrade", "orderbook.1", "tickers", "orderbook.200"),
    futures=True, weight_limit=6_000, trades_page=1_000, snapshot_levels=0,
)  # fmt: skip
BYBIT_SPOT = Venue(
    "bybit-spot", "bybit_spot", "spot", ("publicTrade", "orderbook.1", "orderbook.200"),
    futures=False, weight_limit=6_000, trades_page=60, snapshot_levels=0,
)  # fmt: skip
COINBASE = Venue(
    "coinbase", "coinbase", "", ("matches", "ticker", "heartbeat", "level2_batch"),
    futures=False, weight_limit=300, trades_page=1_000, snapshot_levels=0, kept_levels=1_000,
)  # fmt: skip

BINANCE_VENUES: tuple[Venue, ...] = (SPOT, USDM, COINM)
VENUES: dict[str, Venue] = {venue.name: venue for venue in (*BINANCE_VENUES, BYBIT_LINEAR, BYBIT_SPOT, COINBASE)}
FOLDERS: dict[str, Venue] = {folder: venue for venue in VENUES.values() for folder in (venue.folder, venue.name)} | {
    "coinm": COINM,
    "um": USDM,
}
"""Folders of recordings and archives."""

_CHANNELS = {"trade": Channel.TRADE, "bookTicker": Channel.QUOTE, "markPrice": Channel.MARK, "depth": Channel.DEPTH}
_PARTIAL_BOOKS = {f"depth{levels}": Channel.DEPTH_SNAPSHOT for levels in (5, 10, 20)}


def venue_named(name: str) -> Venue:
    """Return a venue by its name; raises ConfigurationError where there is none."""
    try:
        return VENUES[name]
    except KeyError:
        raise ConfigurationError(f"no venue is called {name!r}", f"use one of {', '.join(VENUES)}") from None


def channel_of(stream: str) -> tuple[str, Channel] | None:
    """Return symbol and channel of Binance's stream name such as ``btcusdt@depth@100ms``; None where the channel is not known."""
    symbol, _, kind = stream.partition("@")
    name = kind.partition("@")[0]
    channel = _CHANNELS.get(name) or _PARTIAL_BOOKS.get(name)
    return None if channel is None or not symbol else (symbol.upper(), channel)


def stream_names(venue: Venue, symbol: str, *, depth: bool = True) -> list[str]:
    """Return the names of Binance's streams that follow a symbol, with its order book or without."""
    return [f"{symbol.lower()}@{suffix}" for suffix in venue.streams if depth or suffix != DEPTH_STREAM]
