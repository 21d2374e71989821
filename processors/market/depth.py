"""The order book of a symbol at a venue, and the records of its best levels; pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from connectors.exchange.book.book import LocalBook
from connectors.exchange.dialects import book_rules, dialect_of
from connectors.exchange.venues import DEPTH_CHANNELS
from processors.market.rules import Rules
from processors.output import Output
from schemas.common import BookState
from schemas.exchange.records import ExchangeFrame
from schemas.market.records import MarketDepth


class DepthState(msgspec.Struct):
    """What is remembered of one book; kept by itself because it is large and only depth frames change it.

    Attributes
    ----------
    book : LocalBook
        The book.
    written_ts : int
        Event time of the last record, microseconds.
    written_id : int
        Update id of the last record.
    """

    book: LocalBook = msgspec.field(default_factory=LocalBook)
    written_ts: int = 0
    written_id: int = -1


def is_depth(frame: ExchangeFrame) -> bool:
    """Return whether a frame is about the order book."""
    return frame.channel in DEPTH_CHANNELS


def on_depth(rules: Rules, state: DepthState, frame: ExchangeFrame) -> Iterable[Output]:
    """Take a depth frame; write the best levels where they have changed and the last record is old enough, and every loss of the book.

    Raises
    ------
    CorruptRecordError
        The payload is not what the channel says; the state is as before.
    """
    update = dialect_of(frame).depth(frame)
    book, before = state.book, state.book.state
    book.take(book_rules(frame.venue), frame.session, update)
    if book.state is not BookState.LIVE:
        if before is not BookState.LIVE:
            return ()
    elif before is BookState.LIVE and (book.last == state.written_id or frame.event_ts - state.written_ts < rules.depth_every_us):
        return ()
    state.written_ts, state.written_id = frame.event_ts, book.last
    return (Output("market.depth", frame.symbol, _record(rules, book, frame)),)


def _record(rules: Rules, book: LocalBook, frame: ExchangeFrame) -> MarketDepth:
    live = book.state is BookState.LIVE
    bids, asks = book.levels(rules.depth_levels)
    price, size = 10.0**book.price_places, 10.0**book.size_places
    return MarketDepth(
        event_id=f"{frame.event_id}:d", event_ts=frame.event_ts, ingest_ts=frame.ingest_ts, venue=frame.venue, symbol=frame.symbol,
        state=book.state, reason=None if live else book.reason, update_id=book.last if live else None,
        bid_prices=[each / price for each, _ in bids], bid_quantities=[each / size for _, each in bids],
        ask_prices=[each / price for each, _ in asks], ask_quantities=[each / size for _, each in asks],
        resyncs=book.resyncs,
    )  # fmt: skip
