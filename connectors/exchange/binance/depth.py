"""Binance's depth frames: diffs of the stream, and snapshots by REST or of the partial-book streams.

A spot diff says its first and last update id, ``U`` and ``u``, and follows the diff that ended at ``U - 1``. Ids of futures
are shared by all symbols, so they have holes; there a diff names the end of the one that it follows, ``pu``.
"""

from __future__ import annotations

import msgspec

from connectors.exchange.book.update import DepthUpdate, exact_levels
from connectors.exchange.payload import corrupt, decoded
from connectors.exchange.venues import Channel
from schemas.exchange.records import ExchangeFrame

LIMITS = frozenset({5, 10, 20, 50, 100, 200, 500, 1_000, 5_000})
"""Depths that are asked for: a snapshot of one of these lengths has been cut there, a shorter one is the whole book."""

Texts = list[tuple[str, str]]


class _Diff(msgspec.Struct):
    first: int = msgspec.field(name="U")
    last: int = msgspec.field(name="u")
    bids: Texts = msgspec.field(name="b")
    asks: Texts = msgspec.field(name="a")
    previous: int | None = msgspec.field(name="pu", default=None)


class _Snapshot(msgspec.Struct):
    last: int = msgspec.field(name="lastUpdateId")
    bids: Texts
    asks: Texts


class _PartialBook(msgspec.Struct):
    """``@depth20`` of futures, which looks like a diff."""

    last: int = msgspec.field(name="u")
    bids: Texts = msgspec.field(name="b")
    asks: Texts = msgspec.field(name="a")


_DIFF = msgspec.json.Decoder(_Diff)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)
_PARTIAL_BOOK = msgspec.json.Decoder(_PartialBook)


def depth_of(frame: ExchangeFrame) -> DepthUpdate:
    """Return what a depth frame says; raises CorruptRecordError where it is not of the venue's form."""
    try:
        if frame.channel == Channel.DEPTH:
            return _diff(frame)
        return _snapshot(frame)
    except ValueError as error:
        raise corrupt(frame, str(error)) from error


def _diff(frame: ExchangeFrame) -> DepthUpdate:
    diff: _Diff = decoded(_DIFF, frame)
    previous = diff.first - 1 if diff.previous is None else diff.previous
    if previous >= diff.last:
        raise ValueError(f"updates {diff.first} to {diff.last} follow {previous}")
    price_places, size_places, bids, asks = exact_levels(diff.bids, diff.asks)
    return DepthUpdate(
        snapshot=False, previous=previous, last=diff.last,
        price_places=price_places, size_places=size_places, bids=bids, asks=asks,
    )  # fmt: skip


def _snapshot(frame: ExchangeFrame) -> DepthUpdate:
    snapshot: _Snapshot | _PartialBook = decoded(_SNAPSHOT if '"lastUpdateId"' in frame.payload else _PARTIAL_BOOK, frame)
    price_places, size_places, bids, asks = exact_levels(snapshot.bids, snapshot.asks)
    return DepthUpdate(
        snapshot=True, last=snapshot.last, whole_bids=len(bids) not in LIMITS, whole_asks=len(asks) not in LIMITS,
        price_places=price_places, size_places=size_places, bids=bids, asks=asks,
    )  # fmt: skip
