"""The recorded depth frames: the book against another reconstruction of it, and against the best prices that the venue itself sent."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.exchange.book.book import BookRules, LocalBook
from schemas.common import BookState
from schemas.exchange.records import ExchangeFrame
from tests.unit.exchange.book.venue import depth_of
from tests.unit.market.frames import DATA, recorded

FILES = sorted(DATA.glob("*/*.gz"))
ALL_OF_IT = BookRules(keep=1_000_000, renew_below=1, least=1, held=1_000)
Levels = dict[Decimal, Decimal]
Rows = list[tuple[Decimal, Decimal]]

pytestmark = pytest.mark.skipif(not FILES, reason=f"no recorded frames in {DATA}; set QUANTUM_DATA")


class Reconstruction:
    """The same book by plain dictionaries of decimals: every level of the snapshot, then every change of every later diff.

    Attributes
    ----------
    known
        Lowest bid and highest ask of the snapshot.
    """

    def __init__(self) -> None:
        self.bids: Levels = {}
        self.asks: Levels = {}
        self.last = -1
        self.known = Decimal(0), Decimal(0)
        self._early: list[dict[str, object]] = []

    def take(self, frame: ExchangeFrame) -> dict[str, Levels]:
        """Return what a frame changed."""
        said = msgspec.json.decode(frame.payload)
        if frame.channel == "depth_snapshot":
            self.bids, self.asks = ({Decimal(p): Decimal(q) for p, q in said[side]} for side in ("bids", "asks"))
            self.last = said["lastUpdateId"]
            self.known = min(self.bids), max(self.asks)
            for early in self._early:
                self._apply(early)
            return {"b": self.bids, "a": self.asks}
        if self.last < 0:
            self._early.append(said)
            return {"b": {}, "a": {}}
        return self._apply(said)

    def within(self) -> tuple[Levels, Levels]:
        """Return the levels of the prices that the snapshot reached down to: beyond, only what has changed is known."""
        floor, ceiling = self.known
        return {p: q for p, q in self.bids.items() if p >= floor}, {p: q for p, q in self.asks.items() if p <= ceiling}

    def _apply(self, said: dict[str, object]) -> dict[str, Levels]:
        if int(said["u"]) <= self.last:  # type: ignore[call-overload]  # it is the venue's JSON
            return {"b": {}, "a": {}}
        self.last = int(said["u"])  # type: ignore[call-overload]
        changed: dict[str, Levels] = {}
        for name, side in (("b", self.bids), ("a", self.asks)):
            rows: list[tuple[str, str]] = said[name]  # type: ignore[assignment]
            changed[name] = {Decimal(p): Decimal(q) for p, q in rows}
            side.update(changed[name])
            for price in [price for price, size in changed[name].items() if size == 0]:
                side.pop(price)
        return changed

    def snapshot(self, frame: ExchangeFrame, levels: int) -> ExchangeFrame:
        """Return what REST would have answered now."""
        bids = [[str(p), str(self.bids[p])] for p in sorted(self.bids, reverse=True)[:levels]]
        asks = [[str(p), str(self.asks[p])] for p in sorted(self.asks)[:levels]]
        text = msgspec.json.encode({"lastUpdateId": self.last, "bids": bids, "asks": asks}).decode()
        return msgspec.structs.replace(frame, channel="depth_snapshot", payload=text)


def levels(book: LocalBook) -> tuple[Levels, Levels]:
    def exact(rows: list[tuple[int, int]]) -> Levels:
        return {Decimal(p).scaleb(-book.price_places): Decimal(q).scaleb(-book.size_places) for p, q in rows}

    bids, asks = book.levels(10_000_000)
    return exact(bids), exact(asks)


def compare(path: Path, most: int | None) -> None:
    book, other = LocalBook(), Reconstruction()
    quotes: dict[int, list[Decimal]] = {}
    quoted, compared = 0, 0
    for frame in islice(recorded(path), most):
        if frame.channel == "quote":
            said = msgspec.json.decode(frame.payload)
            quotes[said["u"]] = [Decimal(said[name]) for name in "bBaA"]
        if not frame.channel.startswith("depth"):
            continue
        book.take(ALL_OF_IT, "file", depth_of(frame))
        changed = other.take(frame)
        if other.last < 0:
            continue
        if book.state is BookState.STALE:  # the market has left what the only snapshot reached down to
            assert "levels of a side are known" in book.reason
            assert min(map(len, other.within())) < ALL_OF_IT.least
            break
        assert (book.state, book.last) == (BookState.LIVE, other.last)
        # Every diff: what it changed, and how many levels there are; so by induction all of them. Now and then all of them.
        floor, ceiling = other.known
        within = sum(price >= floor for price in other.bids), sum(price <= ceiling for price in other.asks)
        assert (len(book.bids.keys), len(book.asks.keys)) == within
        for side, now, sign in ((book.bids, changed["b"], -1), (book.asks, changed["a"], 1)):
            now = {price: size for price, size in now.items() if (price >= floor if sign < 0 else price <= ceiling)}
            mine_now = dict(zip(side.keys, side.sizes, strict=True)) if now else {}
            for price, size in now.items():
                assert mine_now.get(sign * int(price.scaleb(book.price_places)), 0) == int(size.scaleb(book.size_places))
        if compared % 250 == 0:
            assert levels(book) == other.within()
        assert -book.bids.keys[0] < book.asks.keys[0]
        if book.last in quotes:
            places = (-book.price_places, -book.size_places)
            mine = [Decimal(number).scaleb(place) for rows in book.levels(1) for number, place in zip(rows[0], places, strict=True)]
            assert mine == quotes[book.last]
            quoted += 1
        compared += 1
    else:
        assert levels(book) == other.within()
    assert compared > 500
    print(f"{path.parent.name} {path.name}: {compared} diffs, {quoted} of the venue's own best prices")
    assert quoted > 10


def name_of(path: Path) -> str:
    return path.parent.name + "-" + path.name.split("_2")[0]


@pytest.mark.parametrize("path", FILES[::2], ids=name_of)
def test_the_book_equals_another_reconstruction(path: Path) -> None:
    compare(path, 8_000)


@pytest.mark.campaign
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_book_equals_another_reconstruction_over_all_frames(path: Path) -> None:
    compare(path, None)


@cache
def told(path: Path) -> tuple[list[ExchangeFrame], list[ExchangeFrame], dict[int, tuple[Rows, Rows]]]:
    """Return the first diffs, the snapshot that REST would have given before and after each, and the book by update id."""
    frames = [frame for frame in islice(recorded(path), 4_000) if frame.channel.startswith("depth")]
    diffs = [frame for frame in frames if frame.channel == "depth"][:150]
    other = Reconstruction()
    truths: dict[int, tuple[Rows, Rows]] = {}
    answers: list[ExchangeFrame] = []
    for frame in [next(frame for frame in frames if frame.channel == "depth_snapshot"), *diffs]:
        other.take(frame)
        bids, asks = other.within()
        truths[other.last] = sorted(bids.items(), reverse=True), sorted(asks.items())
        answers.append(other.snapshot(frame, 500))
    return diffs, answers, truths


def spoilt(frames: list[tuple[int, ExchangeFrame]], harms: list[tuple[int, str]]) -> list[tuple[int, ExchangeFrame]]:
    """Remove, double or swap frames."""
    out = list(frames)
    for place, harm in harms:
        position = place % (len(out) - 1)
        if harm == "remove":
            del out[position]
        elif harm == "double":
            out.insert(position + 1 + place % 5, out[position])
        else:
            out[position], out[position + 1] = out[position + 1], out[position]
    return out


@pytest.mark.parametrize("market", ["spot/ethusdt", "usdm/btcusdt", "cm/btcusd_perp"])
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    seed=st.integers(0, 2**32),
    harms=st.lists(st.tuples(st.integers(0, 150), st.sampled_from(["remove", "double", "swap"])), min_size=1, max_size=8),
)
def test_recorded_frames_that_are_lost_doubled_or_swapped(market: str, seed: int, harms: list[tuple[int, str]]) -> None:
    """The feed's part is played by the other reconstruction, which has all frames and answers a wish a few frames later."""
    path = next(path for path in FILES if str(path).startswith(str(DATA / market)))
    frames, answers, truths = told(path)
    random, rules = Random(seed), BookRules()
    book = LocalBook()
    numbered = spoilt(list(enumerate(frames[:-20])), harms) + list(enumerate(frames))[-20:]
    due: int | None = None
    for position, (number, frame) in enumerate(numbered):
        book.take(rules, "file", depth_of(frame))
        if due is not None and position >= due:
            due = None
            book.take(rules, "file", depth_of(answers[number + 1 + random.randint(-1, 0)]))
        elif due is None and book.wants_snapshot(rules):
            due = position + random.randint(0, 4)
        if book.state is not BookState.LIVE or (position % 10 and position < len(numbered) - 1):
            continue
        for mine, true in zip(levels(book), truths[book.last], strict=True):
            assert len(mine) >= rules.least
            assert list(mine.items()) == true[: len(mine)]
    if book.state is not BookState.LIVE:
        book.take(rules, "file", depth_of(answers[-1]))
    assert (book.state, book.last) == (BookState.LIVE, max(truths))
