"""A book is right or says that it is not, whatever is lost, doubled or swapped on the way."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.exchange.book.book import BookRules, LocalBook
from connectors.exchange.book.update import DepthUpdate, exact_levels
from quantum.errors import CorruptRecordError
from schemas.common import BookState
from tests.unit.exchange.book.venue import CALM, Binance, Bybit, Coinbase, Reader, Speech, TrueVenue, deliver, depth_of
from tests.unit.market.frames import frame

SMALL = BookRules(keep=12, renew_below=6, least=2, held=50)
BATCHES, CLEAN = 40, 15
SPEECHES: dict[str, Callable[[], Speech]] = {
    "binance-spot": lambda: Binance("binance-spot"),
    "binance-usdm": lambda: Binance("binance-usdm"),
    "bybit": Bybit,
    "coinbase": Coinbase,
}


@pytest.mark.parametrize("venue", SPEECHES)
@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32),
    harms=st.dictionaries(st.integers(0, BATCHES), st.sampled_from(["remove", "double", "swap"]), max_size=10),
    limit=st.sampled_from([10, 20, 100]),
)
def test_never_a_wrong_book_and_in_the_end_the_right_one(venue: str, seed: int, harms: dict[int, str], limit: int) -> None:
    speech, true = SPEECHES[venue](), TrueVenue(seed, BATCHES + CLEAN, shared_ids=venue == "binance-usdm")
    reader = Reader(speech, true, LocalBook(), SMALL)
    for _ in deliver(reader, harms, limit, Random(seed)):
        stored = msgspec.json.encode(reader.book)
        assert msgspec.json.decode(stored, type=LocalBook) == reader.book
    # A snapshot that is as new as can be ends every doubt.
    last = true.batches[-1].last
    if reader.book.state is not BookState.LIVE:
        reader.read(speech.snapshot(last, true, limit))
    assert reader.book.state is BookState.LIVE
    assert speech.truth_of(reader.book) == last


@pytest.mark.parametrize("venue", SPEECHES)
def test_without_harm_a_book_is_thrown_away_never(venue: str) -> None:
    """The wish for a new snapshot comes early enough: the book stays live while the market runs through what it knew."""
    speech, true = SPEECHES[venue](), TrueVenue(7, 2_500, shared_ids=venue == "binance-usdm", steps=CALM)
    whole = venue == "bybit"  # it speaks of no more levels than are kept
    reader = Reader(speech, true, LocalBook(), BookRules() if whole else SMALL)
    first_live = None
    for position, _ in enumerate(deliver(reader, {}, 20, Random(1), late=0)):
        if reader.book.state is BookState.LIVE:
            first_live = position if first_live is None else first_live
        else:
            assert first_live is None, reader.book.reason
    assert first_live is not None
    assert reader.frames > len(true.batches) + (0 if whole else 2), "no snapshot has renewed the book"


def live_book(venue: TrueVenue, speech: Speech) -> LocalBook:
    reader = Reader(speech, venue, LocalBook(), BookRules())
    reader.read(speech.diff(venue.batches[0], venue))
    reader.read(speech.snapshot(venue.batches[0].last, venue, 1_000))
    assert reader.book.state is BookState.LIVE
    return reader.book


def test_a_gap_says_which_updates_are_missing_and_another_session_begins_anew() -> None:
    speech, venue = Binance("binance-spot"), TrueVenue(1, 5, shared_ids=False)
    book = live_book(venue, speech)
    assert not book.wants_snapshot(BookRules())
    book.take(BookRules(), "s", depth_of(speech.diff(venue.batches[2], venue)))
    missing = venue.batches[1]
    assert (book.state, book.reason) == (BookState.STALE, f"gap: updates {missing.first} to {missing.last} have not come")
    assert (book.resyncs, book.wants_snapshot(BookRules())) == (1, True)
    again = live_book(venue, speech)
    again.take(BookRules(), "other", depth_of(speech.diff(venue.batches[1], venue)))
    assert (again.state, again.resyncs, len(again.held)) == (BookState.SYNCING, 1, 1)


def test_a_crossed_book_is_thrown_away() -> None:
    book = live_book(TrueVenue(1, 1, shared_ids=False), Binance("binance-spot"))
    ask = book.levels(1)[1][0][0]
    update = DepthUpdate(snapshot=False, previous=book.last, last=book.last + 1, price_places=book.price_places, bids=[(-ask, 1)])
    book.take(BookRules(), "s", update)
    assert (book.state, book.reason) == (BookState.STALE, f"crossed at update {update.last}")


@given(st.lists(st.tuples(st.decimals(min_value="0.00000001", max_value=10**9, places=8), st.decimals(0, 10**9, places=5)), max_size=8))
def test_levels_are_the_venues_decimals_exactly(rows: list[tuple[Decimal, Decimal]]) -> None:
    written = [(f"{price:f}", f"{size:f}") for price, size in rows]
    price_places, size_places, bids, asks = exact_levels(written, written)
    assert [(Decimal(-key).scaleb(-price_places), Decimal(size).scaleb(-size_places)) for key, size in bids] == rows
    assert [(-key, size) for key, size in asks] == bids


@pytest.mark.parametrize(
    "level", [["0", "1"], ["-1", "1"], ["1", "-1"], ["1e3", "1"], ["", "1"], [".5", "1"], ["1", "nan"], ["1_0", "1"], ["1", 1]]
)
def test_levels_that_are_none_are_corrupt(level: list[object]) -> None:
    payload = {"U": 2, "u": 3, "b": [level], "a": []}
    with pytest.raises(CorruptRecordError, match="depth frame"):
        depth_of(frame("depth", payload))
    with pytest.raises(CorruptRecordError, match="depth_snapshot frame"):
        depth_of(frame("depth_snapshot", {"lastUpdateId": 1, "bids": [], "asks": [level]}))


def test_a_diff_that_ends_before_it_begins_is_corrupt() -> None:
    with pytest.raises(CorruptRecordError, match="follow"):
        depth_of(frame("depth", {"U": 9, "u": 3, "b": [], "a": []}))
