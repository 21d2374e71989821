"""The live feed against the simulated venue, which misbehaves."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal

import msgspec
import pytest

from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.book.book import BookRules, LocalBook
from connectors.exchange.dialects import dialect_of
from connectors.exchange.feed import run_feed
from connectors.exchange.settings import FeedSettings
from connectors.exchange.venues import DEPTH_CHANNELS
from quantum.errors import ConfigurationError, RetryError
from schemas.common import BookState, FrameKind
from schemas.exchange.records import ExchangeFrame
from tests.integration.venue_process import VenueProcess, running_venue

KEYS = {(venue, symbol) for venue in ("binance-usdm", "binance-spot") for symbol in ("BTCUSDT", "ETHUSDT")}


class Sink:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.frames: list[ExchangeFrame] = []

    def send(self, frame: ExchangeFrame) -> None:
        self.frames.append(frame)

    def by_key(self, channel: str) -> dict[tuple[str, str], list[ExchangeFrame]]:
        found: dict[tuple[str, str], list[ExchangeFrame]] = defaultdict(list)
        for frame in self.frames:
            if frame.channel == channel:
                found[frame.venue, frame.symbol].append(frame)
        return found


def books_of(sink: Sink, key: tuple[str, str]) -> list[LocalBook]:
    """Return the book of a venue's symbol after each of its depth frames, read as the market stage does."""
    book, found = LocalBook(), []
    for frame in sink.frames:
        if (frame.venue, frame.symbol) == key and frame.channel in DEPTH_CHANNELS:
            book.take(BookRules(), frame.session, dialect_of(frame).depth(frame))
            found.append(msgspec.convert(msgspec.to_builtins(book), LocalBook))
    return found


def trade_id(frame: ExchangeFrame) -> int:
    fields = json.loads(frame.payload)
    return int(fields["id"] if frame.kind is FrameKind.REST else fields["t"])


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    with running_venue(tmp_path_factory.mktemp("venue")) as process:
        yield process


async def follow(
    venue: VenueProcess, sink: Sink, settings: FeedSettings, act: Callable[[], None] = lambda: None, seconds: float = 3.0
) -> None:
    """Run the feed; once every symbol flows, act, and go on for some seconds."""
    stop = asyncio.Event()
    feed = asyncio.create_task(run_feed(settings, venue.access, sink, stop))
    try:
        async with asyncio.timeout(40):
            while set(sink.by_key("heartbeat")) != {(v, s) for v, s in KEYS if v in settings.venues}:
                assert not feed.done(), feed
                await asyncio.sleep(0.05)
        await asyncio.to_thread(act)
        await asyncio.sleep(seconds)
    finally:
        stop.set()
        await asyncio.wait_for(feed, 20)


async def test_instruments_then_backfill_then_the_stream(venue: VenueProcess) -> None:
    sink = Sink()
    await follow(venue, sink, FeedSettings(backfill=1_500, open_interest_s=1))
    assert set(sink.by_key("instrument")) == KEYS
    for (name, _), (frame,) in sink.by_key("instrument").items():
        info = json.loads(frame.payload)
        assert info["symbol"] == frame.symbol
        assert ("brackets" in info) == (name == "binance-usdm")
    channels = Counter((frame.venue, frame.channel) for frame in sink.frames)
    assert channels["binance-usdm", "mark"] >= 2
    assert channels["binance-spot", "quote"] > 0
    said = sink.by_key("open_interest")
    assert set(said) == {key for key in KEYS if key[0] == "binance-usdm"}
    assert all(float(json.loads(frame.payload)["openInterest"]) >= 0 for frames in said.values() for frame in frames)
    for frames in sink.by_key("trade").values():
        kinds = [frame.kind for frame in frames]
        rest = kinds.count(FrameKind.REST)
        assert rest >= 1_500
        assert kinds[:rest] == [FrameKind.REST] * rest
        assert kinds[rest:] == [FrameKind.STREAM] * (len(frames) - rest)
        ids = [trade_id(frame) for frame in frames]
        assert ids[:rest] == sorted(ids[:rest])
        assert set(ids) == set(range(min(ids), max(ids) + 1))
    vouched: dict[tuple[str, str], int] = defaultdict(int)
    for frame in sink.frames:
        if frame.channel == "heartbeat":
            assert frame.event_ts % 1_000_000 == 0
            assert frame.event_ts > vouched[frame.venue, frame.symbol]
            vouched[frame.venue, frame.symbol] = frame.event_ts
        elif frame.channel == "trade" and frame.kind is FrameKind.STREAM:
            assert frame.event_ts >= vouched[frame.venue, frame.symbol]
    assert len({frame.event_id for frame in sink.frames}) == len(sink.frames)
    for key in KEYS:
        states = [book.state for book in books_of(sink, key)]
        live = states.index(BookState.LIVE)
        assert set(states[:live]) <= {BookState.SYNCING}
        assert len(states) > live + 5
        assert set(states[live:]) == {BookState.LIVE}


async def test_dropped_connections_leave_no_gap(venue: VenueProcess) -> None:
    sink = Sink()

    def drop() -> None:
        venue.fault(kind="drop_sockets")

    await follow(venue, sink, FeedSettings(backfill=100), drop, seconds=6.0)
    sessions = {(frame.venue, frame.session) for frame in sink.frames if frame.channel == "heartbeat"}
    assert len(sessions) >= 4
    for frames in sink.by_key("trade").values():
        ids = {trade_id(frame) for frame in frames}
        assert ids == set(range(min(ids), max(ids) + 1))
        assert max(Counter(trade_id(frame) for frame in frames).values()) <= 2
    for key in KEYS:
        books = books_of(sink, key)
        first, last = books[0].session, books[-1]
        assert last.session != first
        assert last.state is BookState.LIVE
        assert last.resyncs == len({book.session for book in books}) - 1, "a book was thrown away without a new connection"


async def test_trades_that_a_stream_leaves_out_are_fetched(venue: VenueProcess) -> None:
    sink = Sink()

    def spoil() -> None:
        venue.fault(kind="drop_frame", stream="@trade", probability=0.2, seconds=3)

    await follow(venue, sink, FeedSettings(backfill=10), spoil, seconds=6.0)
    assert len({(frame.venue, frame.session) for frame in sink.frames if frame.channel == "heartbeat"}) == 2, "a connection was lost"
    fetched = 0
    for frames in sink.by_key("trade").values():
        ids = {trade_id(frame) for frame in frames}
        assert ids == set(range(min(ids), max(ids) + 1))
        streamed = [number for number, frame in enumerate(frames) if frame.kind is FrameKind.STREAM]
        fetched += sum(frame.kind is FrameKind.REST for frame in frames[streamed[0] :])
    assert fetched > 5
    vouched: dict[tuple[str, str], int] = {}
    for frame in sink.frames:
        if frame.channel == "heartbeat":
            vouched[frame.venue, frame.symbol] = frame.event_ts
        elif frame.channel == "trade" and frame.kind is FrameKind.STREAM:
            assert frame.event_ts >= vouched.get((frame.venue, frame.symbol), 0), "it was said that all trades before had been sent"


async def test_books_survive_lost_doubled_and_swapped_frames(venue: VenueProcess) -> None:
    """Every book is thrown away for its gaps and comes back; where it is live, its best prices are the venue's own."""
    sink = Sink()

    def spoil() -> None:
        for kind, chance in (("drop_frame", 0.25), ("duplicate_frame", 0.1), ("reorder_frame", 0.25)):  # of some 25 frames a book
            venue.fault(kind=kind, stream="@depth", probability=chance, seconds=3)

    await follow(venue, sink, FeedSettings(backfill=10), spoil, seconds=6.0)
    assert len({(frame.venue, frame.session) for frame in sink.by_key("heartbeat")["binance-usdm", "BTCUSDT"]}) == 1
    for key in KEYS:
        books = books_of(sink, key)
        assert books[-1].state is BookState.LIVE
        assert books[-1].resyncs > 0
        assert {book.reason.partition(":")[0] for book in books if book.state is BookState.STALE} == {"gap"}
        said = {quote["u"]: quote for frame in sink.by_key("quote")[key] for quote in [json.loads(frame.payload)]}
        compared = 0
        for book in books:
            if book.state is BookState.LIVE and book.last in said:
                (bid, ask), quote = (side[0][0] for side in book.levels(1)), said[book.last]
                assert [Decimal(price).scaleb(-book.price_places) for price in (bid, ask)] == [Decimal(quote["b"]), Decimal(quote["a"])]
                compared += 1
        assert compared > 3


async def test_a_rate_limit_is_waited_out(venue: VenueProcess) -> None:
    venue.fault(kind="respond", product="usdm", status=429, count=2)
    sink = Sink()
    await follow(venue, sink, FeedSettings(venues=("binance-usdm",), backfill=10), seconds=0.1)
    assert {key for key in KEYS if key[0] == "binance-usdm"} == set(sink.by_key("trade"))


async def test_renewal_before_the_venue_ends_the_connection(venue: VenueProcess) -> None:
    sink = Sink()
    await follow(venue, sink, FeedSettings(venues=("binance-usdm",), backfill=10, renew_s=2.0), seconds=5.0)
    assert len({frame.session for frame in sink.by_key("heartbeat")["binance-usdm", "BTCUSDT"]}) >= 3
    ids = {trade_id(frame) for frame in sink.by_key("trade")["binance-usdm", "BTCUSDT"]}
    assert ids == set(range(min(ids), max(ids) + 1))


async def test_a_symbol_that_is_not_listed_is_said_so(venue: VenueProcess) -> None:
    with pytest.raises(ConfigurationError, match="NOSUCHUSDT"):
        await run_feed(FeedSettings(symbols=("NOSUCHUSDT",)), venue.access, Sink(), asyncio.Event())


async def test_a_sink_that_fails_ends_the_feed(venue: VenueProcess) -> None:
    class Broken(Sink):
        def send(self, frame: ExchangeFrame) -> None:
            super().send(frame)
            if frame.channel == "quote":
                raise RetryError("a record could not be stored")

    with pytest.raises(RetryError, match="could not be stored"):
        await asyncio.wait_for(run_feed(FeedSettings(backfill=1), venue.access, Broken(), asyncio.Event()), 30)


async def test_a_venue_that_is_away_is_tried_again() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(1.0, stop.set)
    sink = Sink()
    await asyncio.wait_for(
        run_feed(FeedSettings(), VenueSettings(usdm_url="http://127.0.0.1:1", spot_url="http://127.0.0.1:1"), sink, stop), 10
    )
    assert sink.frames == []
