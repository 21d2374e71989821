"""A venue whose book is known at every update id, and the feed's way of asking it for snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Protocol

import msgspec

from connectors.exchange.book.book import BookRules, LocalBook
from connectors.exchange.book.update import DepthUpdate
from connectors.exchange.dialects import dialect_of
from schemas.common import BookState, FrameKind
from schemas.exchange.records import ExchangeFrame
from tests.unit.market.frames import T0, frame

Truth = tuple[dict[int, int], dict[int, int]]
"""Sizes by price, both in hundredths, of bids and asks."""
TICKS = 100


def depth_of(got: ExchangeFrame) -> DepthUpdate:
    """Return what a depth frame says."""
    return dialect_of(got).depth(got)


WILD, CALM = (-12, -1, 0, 0, 1, 12), (*(0,) * 40, 1)
"""How far the mid moves at a change."""


@dataclass(frozen=True)
class Batch:
    """Changes that one diff carries: ids of the diff before it, of its own first and of its last, and the new sizes."""

    previous: int
    first: int
    last: int
    bids: dict[int, int]
    asks: dict[int, int]


class Speech(Protocol):
    """How a venue writes diffs and snapshots.

    Attributes
    ----------
    by_stream
        Whether snapshots come by the stream, the first before all diffs; else by REST, a little early or late.
    """

    venue: str
    by_stream: bool

    def diff(self, batch: Batch, true: TrueVenue) -> ExchangeFrame: ...

    def snapshot(self, last: int, true: TrueVenue, limit: int) -> ExchangeFrame: ...

    def truth_of(self, book: LocalBook) -> int:
        """Return the update id that a book is of."""


def texts(levels: dict[int, int] | list[tuple[int, int]]) -> list[list[str]]:
    """Write levels as a venue does, with as many decimal places as it takes."""
    rows = levels.items() if isinstance(levels, dict) else levels
    return [[f"{price / TICKS:.2f}".rstrip("0").rstrip("."), f"{size / TICKS:.8f}"] for price, size in rows]


def best(truth: Truth, limit: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the best levels of both sides."""
    return sorted(truth[0].items(), reverse=True)[:limit], sorted(truth[1].items())[:limit]


class Binance:
    """Diffs of the stream, snapshots by REST."""

    by_stream = False

    def __init__(self, venue: str) -> None:
        self.venue = venue

    def diff(self, batch: Batch, true: TrueVenue) -> ExchangeFrame:
        payload = {"e": "depthUpdate", "E": T0 // 1000, "s": "BTCUSDT", "U": batch.first, "u": batch.last}
        if self.venue == "binance-usdm":
            payload["pu"] = batch.previous
        return frame("depth", {**payload, "b": texts(batch.bids), "a": texts(batch.asks)}, venue=self.venue)

    def snapshot(self, last: int, true: TrueVenue, limit: int) -> ExchangeFrame:
        bids, asks = best(true.truths[last], limit)
        payload = {"lastUpdateId": last, "bids": texts(bids), "asks": texts(asks)}
        return frame("depth_snapshot", payload, kind=FrameKind.REST, venue=self.venue)

    def truth_of(self, book: LocalBook) -> int:
        return book.last


class Bybit:
    """Snapshots and deltas of the stream; now and then the service starts anew and counts from 1."""

    by_stream = True
    venue = "bybit-linear"

    def __init__(self) -> None:
        self._number = 400
        self._written = 0

    def diff(self, batch: Batch, true: TrueVenue) -> ExchangeFrame:
        self._number += 1
        self._written += 1
        if self._written % 17 == 0:
            self._number = 1
            return self.snapshot(batch.last, true, 1_000)
        return self._message("delta", batch.last, texts(batch.bids), texts(batch.asks))

    def snapshot(self, last: int, true: TrueVenue, limit: int) -> ExchangeFrame:
        bids, asks = best(true.truths[last], 1_000)
        return self._message("snapshot", last, texts(bids), texts(asks))

    def truth_of(self, book: LocalBook) -> int:
        return book.mark

    def _message(self, kind: str, sequence: int, bids: list[list[str]], asks: list[list[str]]) -> ExchangeFrame:
        data = {"s": "BTCUSDT", "b": bids, "a": asks, "u": self._number, "seq": sequence}
        ts = T0 // 1000
        return frame("depth", {"topic": "orderbook.200.BTCUSDT", "type": kind, "ts": ts, "data": data, "cts": ts}, venue=self.venue)


class Coinbase:
    """Snapshots and changes of the stream, numbered by the connector."""

    by_stream = True
    venue = "coinbase"

    def __init__(self) -> None:
        self._ids: list[int] = []

    def diff(self, batch: Batch, true: TrueVenue) -> ExchangeFrame:
        changes = [["buy", *row] for row in texts(batch.bids)] + [["sell", *row] for row in texts(batch.asks)]
        return self._message(batch.last, {"type": "l2update", "product_id": "BTC-USD", "time": "2026-11-21T18:00:00Z", "changes": changes})

    def snapshot(self, last: int, true: TrueVenue, limit: int) -> ExchangeFrame:
        bids, asks = best(true.truths[last], limit)
        cut = {"cut": limit} if limit < max(map(len, true.truths[last])) else {}
        return self._message(last, {"type": "snapshot", "product_id": "BTC-USD", "bids": texts(bids), "asks": texts(asks), **cut})

    def truth_of(self, book: LocalBook) -> int:
        return self._ids[book.last]

    def _message(self, last: int, payload: dict[str, object]) -> ExchangeFrame:
        self._ids.append(last)
        made = frame("depth", payload, venue=self.venue)
        return msgspec.structs.replace(made, channel_sequence=len(self._ids) - 1)


class TrueVenue:
    """A moving market of some twenty levels a side.

    Attributes
    ----------
    batches
        What the venue's diffs say, one after another.
    truths
        The book at each update id, by id; an id that no change had is the book before it.
    """

    def __init__(self, seed: int, batches: int, *, shared_ids: bool, steps: tuple[int, ...] = WILD) -> None:
        random = Random(seed)
        self.random = random
        self._mid = 10_000
        self._steps = steps
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._fill()
        last = 1_000
        self.truths: dict[int, Truth] = {last: (dict(self._bids), dict(self._asks))}
        self.batches: list[Batch] = []
        for _ in range(batches):
            previous, first = last, 0
            bids: dict[int, int] = {}
            asks: dict[int, int] = {}
            for _ in range(random.randint(1, 4)):
                step = random.randint(1, 3) if shared_ids else 1
                for skipped in range(last + 1, last + step):
                    self.truths[skipped] = self.truths[last]
                last += step
                first = first or last
                self._change(bids, asks)
                self.truths[last] = (dict(self._bids), dict(self._asks))
            self.batches.append(Batch(previous, first, last, bids, asks))

    def _change(self, bids: dict[int, int], asks: dict[int, int]) -> None:
        before = dict(self._bids), dict(self._asks)
        self._mid += self.random.choice(self._steps)
        self._fill()
        for side, was, changes in ((self._bids, before[0], bids), (self._asks, before[1], asks)):
            if side and self.random.random() < 0.5:
                side[self.random.choice(list(side))] = self.random.randint(1, 500)
            for price in side.keys() | was.keys():
                if side.get(price) != was.get(price):
                    changes[price] = side.get(price, 0)

    def _fill(self) -> None:
        """Give the sides the levels that lie around the mid: those that it has crossed go, some come."""
        for side, away in ((self._bids, -1), (self._asks, 1)):
            for price in [price for price in side if (price - self._mid) * away <= 0]:
                del side[price]
            while len(side) < 18:
                side.setdefault(self._mid + away * self.random.randint(1, 40), self.random.randint(1, 500))


@dataclass
class Reader:
    """Reads frames into a book, and holds it against the truth after each."""

    speech: Speech
    venue: TrueVenue
    book: LocalBook
    rules: BookRules
    frames: int = 0

    def read(self, got: ExchangeFrame) -> None:
        self.book.take(self.rules, got.session, depth_of(got))
        self.frames += 1
        self.check()

    def check(self) -> None:
        book = self.book
        if book.state is not BookState.LIVE:
            assert book.reason
            assert not book.bids.keys
            assert not book.asks.keys
            return
        bids, asks = book.levels(1_000)
        price, size = 10**book.price_places / TICKS, 10**book.size_places / TICKS
        true_bids, true_asks = best(self.venue.truths[self.speech.truth_of(book)], 1_000)
        for known, true, bound, away in ((bids, true_bids, book.bids.bound, -1), (asks, true_asks, book.asks.bound, 1)):
            expected = [(p * price, s * size) for p, s in true if bound is None or p * price * away <= bound]
            assert known == expected, f"at {book.last}"
            assert bound is None or len(known) >= min(self.rules.least, len(true))
        assert bids[0] < asks[0]


class Lossy:
    """A way that loses, doubles and swaps frames.

    Parameters
    ----------
    harms
        What happens to the frame of a position.
    """

    def __init__(self, harms: dict[int, str]) -> None:
        self._harms = harms
        self._position = 0
        self._late: list[tuple[int, ExchangeFrame]] = []

    def carry(self, got: ExchangeFrame) -> list[ExchangeFrame]:
        """Return what arrives when a frame is sent."""
        position, self._position = self._position, self._position + 1
        harm = self._harms.get(position)
        arrives = [] if harm in {"remove", "swap"} else [got]
        arrives += [late for due, late in self._late if due <= position]
        self._late = [(due, late) for due, late in self._late if due > position]
        if harm == "swap":
            self._late.append((position + 1, got))
        elif harm == "double":
            self._late.append((position + position % 5, got))
        return arrives


def deliver(reader: Reader, harms: dict[int, str], limit: int, random: Random, *, late: int = 3) -> Iterator[None]:
    """Deliver a venue's frames; a wish for a snapshot is fulfilled up to ``late`` frames late. Yields after each batch."""
    speech, venue, way = reader.speech, reader.venue, Lossy(harms)
    due: int | None = -1 if speech.by_stream else None
    for number, batch in enumerate(venue.batches):
        sent = []
        if due == -1:
            sent.append(speech.snapshot(batch.previous, venue, limit))
            due = None
        sent.append(speech.diff(batch, venue))
        if due is not None and number >= due:
            due = None
            at = venue.batches[min(max(0, number + random.randint(-2 if late else 0, 2)), len(venue.batches) - 1)]
            last = batch.last if speech.by_stream else random.randint(at.previous, at.last)
            sent.append(speech.snapshot(last, venue, limit))
        for each in sent:
            for got in way.carry(each):
                reader.read(got)
        if due is None and reader.book.wants_snapshot(reader.rules):
            due = number + 1 + random.randint(0, late)
        yield
