"""The book's own laws: price, then time; never crossed; what one loses another gains; diffs make the snapshot."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.exchange.simulated.market.book import OrderBook, Resting, UpdateIds

from .builders import ETH, Recorder, empty_market, owner

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("limit"), st.integers(0, 3), st.booleans(), st.integers(95, 105), st.integers(1, 9)),
        st.tuples(st.just("market"), st.integers(0, 3), st.booleans(), st.just(0), st.integers(1, 25)),
        st.tuples(st.just("cancel"), st.integers(0, 3), st.booleans(), st.integers(0, 60), st.just(0)),
        st.tuples(st.just("reduce"), st.integers(0, 3), st.booleans(), st.integers(0, 60), st.integers(1, 5)),
    ),
    max_size=60,
)


@dataclass
class Waiting:
    """An order of the reference: a plain list kept in order of arrival."""

    number: int
    owner: int
    bid: bool
    price: int
    lots: int


class Reference:
    """What a book must do, in the plainest words."""

    def __init__(self) -> None:
        self.orders: list[Waiting] = []

    def take(self, who: int, lots: int, limit: int | None, *, bid: bool) -> tuple[list[tuple[int, int, int]], int]:
        """Return the fills (order, price, lots) of an order, and what is left of it."""
        done = []
        while lots:
            others = [o for o in self.orders if o.bid is not bid and (limit is None or (o.price <= limit if bid else o.price >= limit))]
            if not others:
                break
            best = min(others, key=lambda o: (o.price if bid else -o.price, o.number))
            if best.owner == who:
                self.orders.remove(best)
                continue
            part = min(lots, best.lots)
            done.append((best.number, best.price, part))
            lots -= part
            best.lots -= part
            if not best.lots:
                self.orders.remove(best)
        return done, lots


@settings(max_examples=200, deadline=None)
@given(OPERATIONS)
def test_fills_go_by_price_then_time_and_nothing_is_lost(operations: list[tuple[str, int, bool, int, int]]) -> None:
    market, reference = empty_market(ETH), Reference()
    owners: list[Recorder] = [owner(str(n)) for n in range(4)]
    resting: list[Resting] = []
    feed = market.book.feed()
    mirror: dict[bool, dict[int, int]] = {True: {}, False: {}}
    for now, (kind, who, bid, price, lots) in enumerate(operations):
        if kind in ("limit", "market"):
            limit = price if kind == "limit" else None
            before = sum(len(each.fills) for each in owners)
            expected, left = reference.take(who, lots, limit, bid=bid)
            got, wanted = [], lots
            while wanted and (taken := market.take(owners[who], wanted, limit, bid=bid, ts_us=now)) is not None:
                got.append((taken.price, taken.lots))
                wanted -= taken.lots
            assert got == [(p, q) for _, p, q in expected]
            assert wanted == left
            told = [fill for each in owners for fill in each.fills]
            assert len(told) == before + len(expected)
            assert {fill[0] for fill in expected} <= {fill[0] for fill in told}
            if limit is not None and left:
                resting.append(market.book.add(owners[who], price, left, bid=bid))
                reference.orders.append(Waiting(resting[-1].id, who, bid, price, left))
        elif resting:
            order = resting[price % len(resting)]
            less = order.lots if kind == "cancel" else min(lots, order.lots)
            if order.lots:
                market.book.reduce(order, less)
                (same,) = [o for o in reference.orders if o.number == order.id]
                same.lots -= less
                reference.orders = [o for o in reference.orders if o.lots]
        book = market.book
        assert not (book.bid and book.ask) or book.bid < book.ask
        for side, rows in ((True, book.bids()), (False, book.asks())):
            levels = dict(rows)
            wanted_levels: dict[int, int] = {}
            for o in reference.orders:
                if o.bid is side:
                    wanted_levels[o.price] = wanted_levels.get(o.price, 0) + o.lots
            assert levels == wanted_levels
            assert list(levels) == sorted(levels, reverse=side)
            for at in levels:
                assert [r.id for r in book.queue(at, bid=side)] == [o.number for o in reference.orders if o.bid is side and o.price == at]
        assert sum(market.holdings.values()) == 0
        assert sum(market.cash.values()) == 0
        if now % 3 == 0 and (change := feed.take(book.update_id)) is not None:
            assert change.previous < change.first <= change.last == book.update_id
            for side, changed in ((True, change.bids), (False, change.asks)):
                mirror[side] = {p: q for p, q in (mirror[side] | changed).items() if q}
            assert mirror == {True: dict(book.bids()), False: dict(book.asks())}
    ids = [fill[0] for each in owners for fill in each.fills]
    for order in resting:
        mine = sum(fill[2] for each in owners for fill in each.fills if fill[0] == order.id)
        assert (order.id in ids) == (mine > 0)
    traded = sum(trade.lots for trade in market.tape.by_id(None, 10_000))
    assert traded == sum(fill[2] for each in owners for fill in each.fills)


def test_reducing_keeps_the_place_in_the_queue_and_adding_does_not() -> None:
    book, one, two = OrderBook(UpdateIds(0)), owner("one"), owner("two")
    first, second = book.add(one, 100, 5, bid=True), book.add(two, 100, 5, bid=True)
    book.reduce(first, 3)
    assert [r is first for r in book.queue(100, bid=True)] == [True, False]
    assert (book.bid, book.bid_lots, book.at(100, bid=True)) == (100, 7, 7)
    book.cancel(first)
    book.cancel(first)  # a second time is no harm
    assert book.queue(100, bid=True) == [second]
    assert book.head(bid=False) is None


def test_symbols_of_one_sequence_have_ids_that_jump_but_frames_that_join() -> None:
    sequence, me = UpdateIds(10), owner("me")
    one, two = OrderBook(sequence), OrderBook(sequence)
    feed = one.feed()
    one.add(me, 100, 1, bid=True)
    two.add(me, 7, 1, bid=True)
    two.add(me, 8, 1, bid=True)
    first = feed.take(one.update_id)
    one.add(me, 99, 1, bid=True)
    second = feed.take(one.update_id)
    assert first is not None
    assert second is not None
    assert (first.previous, first.first, first.last) == (10, 11, 11)
    assert (second.previous, second.first, second.last) == (11, 14, 14)
    assert feed.take(one.update_id) is None
