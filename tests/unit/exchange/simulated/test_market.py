from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.exchange.simulated.market.agents import Agent
from connectors.exchange.simulated.market.instruments import Product
from connectors.exchange.simulated.market.symbol import SymbolMarket
from connectors.exchange.simulated.market.synthetic import PRODUCTS, SyntheticMarket
from connectors.exchange.simulated.market.tape import INTERVALS_US, Bar, Tape, Trade

NOW = 1_790_000_123_456_000
SECOND = 1_000_000


@dataclass
class Heard:
    trades: list[Trade] = field(default_factory=list)
    quotes: int = 0
    marks: int = 0
    funding: list[tuple[Decimal, int]] = field(default_factory=list)

    def on_quote(self, market: SymbolMarket, ts_us: int) -> None:
        assert market.book.bid < market.book.ask
        assert market.book.bid_lots > 0
        assert market.book.ask_lots > 0
        assert ts_us <= NOW + 1000 * SECOND
        self.quotes += 1

    def on_trade(self, market: SymbolMarket, trade: Trade, starts_aggregate: bool) -> None:
        assert trade.lots > 0
        assert starts_aggregate or self.trades
        self.trades.append(trade)

    def on_mark(self, market: SymbolMarket, ts_us: int) -> None:
        assert market.mark.mark > 0
        assert ts_us > 0
        self.marks += 1

    def on_funding(self, market: SymbolMarket, rate: Decimal, ts_us: int) -> None:
        assert market.rules.product.futures
        self.funding.append((rate, ts_us))


@pytest.fixture
def generated() -> SyntheticMarket:
    return SyntheticMarket(("BTCUSDT", "SOLUSDT"), seed=5, now_us=NOW, history_minutes=10, funding_minutes=1, products=tuple(Product))


def test_history_runs_into_live_with_contiguous_ids_and_bars_that_add_up(generated: SyntheticMarket) -> None:
    heard = {id(market): Heard() for market in generated.each()}
    ids = {id(market): market.tape.next_id for market in generated.each()}
    for market in generated.each():
        market.listeners.append(heard[id(market)])
    for step in range(150 * 10):
        generated.play(NOW + step * SECOND // 10)
    for market in generated.each():
        listener = heard[id(market)]
        first = ids[id(market)]
        assert [t.id for t in listener.trades] == list(range(first, first + len(listener.trades)))
        assert len(listener.trades) > 150
        assert 1000 < listener.quotes < 6000
        everything = market.tape.by_id(market.tape.first_id, 10**6)
        assert [t.id for t in everything] == list(range(market.tape.first_id, market.tape.next_id))
        assert all(a.ts_us <= b.ts_us for a, b in itertools.pairwise(everything))
        assert everything[0].ts_us - generated.start_us < 5 * SECOND
        assert sum(market.holdings.values()) == sum(market.cash.values()) == sum(market.funding.values()) == 0
        assert market.open_interest() > market.before
        if market.rules.product.futures:
            assert listener.marks == pytest.approx(150, abs=2)
            assert 2 <= len(listener.funding) <= 3
            assert len(market.funding_history) == 100 + len(listener.funding)
        for interval, width in INTERVALS_US.items():
            bars = market.tape.bars(
                interval, generated.start_us // width * width, (NOW // width + 1) * width + 200 * SECOND // width * width
            )
            assert sum(b.volume for b in bars) == sum(t.lots for t in everything if t.ts_us < bars[-1].close_us)
            assert all(b.low <= min(b.open, b.close) <= max(b.open, b.close) <= b.high for b in bars)
            assert [b.open_us for b in bars] == [bars[0].open_us + i * width for i in range(len(bars))]
            live = market.bars[interval]
            assert live in bars or live.open_us + width > bars[-1].open_us


def test_the_same_seed_gives_the_same_trades() -> None:
    markets = [SyntheticMarket(("ETHUSDT",), seed=5, now_us=NOW, history_minutes=5) for _ in range(2)]
    markets[0].play(NOW + 130 * SECOND)
    for step in range(1, 131 * 7):  # however often it is asked to play
        markets[1].play(min(NOW + step * SECOND // 7, NOW + 130 * SECOND))
    for product in PRODUCTS:
        first, second = (m.markets[product]["ETHUSDT"].tape.by_id(None, 10**6) for m in markets)
        assert first == second
        books = [(m.markets[product]["ETHUSDT"].book.update_id, list(m.markets[product]["ETHUSDT"].book.bids())) for m in markets]
        assert books[0] == books[1]
    other = SyntheticMarket(("ETHUSDT",), seed=6, now_us=NOW, history_minutes=5)
    assert other.markets[Product.USDM]["ETHUSDT"].tape.by_id(None, 10) != markets[0].markets[Product.USDM]["ETHUSDT"].tape.by_id(None, 10)


def test_products_have_slightly_different_prices_of_one_thing() -> None:
    market = SyntheticMarket(("BTCUSDT",), seed=5, now_us=NOW, history_minutes=1, products=tuple(Product))
    apart: dict[Product, list[float]] = {product: [] for product in Product}
    for step in range(1, 300):
        market.play(NOW + step * SECOND)
        mids = {
            p: (m.book.bid + m.book.ask) / 2 * float(m.rules.tick_size) for p, (m,) in ((p, m.values()) for p, m in market.markets.items())
        }
        for product, mid in mids.items():
            apart[product].append(mid / mids[Product.SPOT] - 1)
    for product in (Product.USDM, Product.COINM):
        assert 1e-5 < np.mean(np.abs(apart[product])) < 2e-3
    assert np.mean(np.abs(np.array(apart[Product.USDM]) - np.array(apart[Product.COINM]))) > 1e-5


def test_the_book_is_deep_on_both_sides_and_what_takers_empty_is_filled_again() -> None:
    market = SyntheticMarket(("BTCUSDT",), seed=5, now_us=NOW, history_minutes=1)
    (perpetual,) = market.markets[Product.USDM].values()
    robber = Agent("robber")
    before = perpetual.book.bid
    perpetual.sweep(robber, 10_000, None, bid=False, ts_us=NOW)
    assert perpetual.book.bid < before
    market.play(NOW + 2 * SECOND)
    for rows in (list(perpetual.book.bids()), list(perpetual.book.asks())):
        assert 50 <= len(rows) <= 70
        far = abs(rows[-1][0] / rows[0][0] - 1)
        assert 1.2e-3 < far < 2.5e-3
        gaps = [abs(a[0] - b[0]) for a, b in itertools.pairwise(rows)]
        assert max(gaps) <= 2 * 19  # the ladder of BTCUSDT has an order every 19 ticks
    assert perpetual.holding(robber) == -10_000


def test_an_account_that_stands_in_the_way_of_the_makers_is_taken_and_never_crossed() -> None:
    market = SyntheticMarket(("BTCUSDT",), seed=5, now_us=NOW, history_minutes=1)
    (perpetual,) = market.markets[Product.USDM].values()
    wall = Agent("wall")
    order = perpetual.book.add(wall, perpetual.book.ask, 2_000_000, bid=False)
    crossed = 0
    for step in range(1, 600):
        market.play(NOW + step * SECOND // 10)
        crossed += perpetual.book.bid >= perpetual.book.ask
    assert crossed == 0
    assert 0 < -perpetual.holding(wall) == 2_000_000 - order.lots


def test_who_trades_between_products_holds_the_opposite_in_the_other_and_leaves_again() -> None:
    market = SyntheticMarket(("BTCUSDT",), seed=5, now_us=NOW, history_minutes=1, funding_minutes=10)
    perpetual, spot = (market.markets[product]["BTCUSDT"] for product in PRODUCTS)
    basis, funding = market._traders
    held: dict[object, list[int]] = {basis: [], funding: []}
    for step in range(1, 1_200):
        market.play(NOW + step * SECOND)
        for trader, positions in held.items():
            assert isinstance(trader, Agent)
            positions.append(perpetual.holding(trader))
            apart = perpetual.rules.quantity(positions[-1]) + spot.rules.quantity(spot.holding(trader))
            assert abs(apart) < Decimal("0.001")
    for positions in held.values():
        opened = next(i for i, position in enumerate(positions) if position)
        assert 0 in positions[opened:], "it has closed what it opened"
    paid = [at - NOW for at, _, _ in perpetual.funding_history if at > NOW]
    for at in paid:
        settled = at // SECOND
        assert held[funding][settled - 10] < 0, "longs pay, so it is short before the settlement"
        assert settled + 30 > len(held[funding]) or held[funding][settled + 20] == 0
    assert perpetual.funding[funding] > 0
    assert len(paid) == 2


def test_snapshot_and_diffs_make_the_same_book(generated: SyntheticMarket) -> None:
    market = generated.markets[Product.USDM]["BTCUSDT"]
    feed = market.book.feed()
    generated.play(NOW + SECOND)
    snapshot_id = market.book.update_id
    book = {"bids": dict(market.book.bids()), "asks": dict(market.book.asks())}
    last = 0
    for step in range(300):
        generated.play(NOW + SECOND + step * 100_000)
        frame = feed.take(market.book.update_id)
        if frame is None:
            continue
        first, final, previous, bids, asks = frame
        assert previous < first <= final  # futures count over all symbols
        assert last in (0, previous)
        last = final
        if final <= snapshot_id:
            continue
        for name, changes in (("bids", bids), ("asks", asks)):
            for price, lots in changes.items():
                book[name][price] = lots
        book = {name: {p: q for p, q in side.items() if q} for name, side in book.items()}
        assert book == {"bids": dict(market.book.bids()), "asks": dict(market.book.asks())}
    assert last == market.book.update_id


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(90, 92), st.integers(1, 50), st.integers(0, 90_000), st.booleans()),
        min_size=1,
        max_size=80,
    )
)
def test_a_tape_is_the_same_however_it_is_filled(rows: list[tuple[int, int, int, bool]]) -> None:
    ts = np.cumsum([r[2] for r in rows]).astype(np.int64)
    whole, one_by_one = Tape(1000, 500), Tape(1000, 500)
    columns = [np.array([r[i] for r in rows]) for i in (0, 1, 3)]
    whole.extend(ts, columns[0], columns[1], columns[2])
    bar = Bar(0, 10**12, 0, 0, 0, 0)
    for (price, lots, _, maker), at in zip(rows, ts.tolist(), strict=True):
        trade, _ = one_by_one.append(price, lots, at, maker)
        bar.add(trade)
    assert whole.by_id(None, 1000) == one_by_one.by_id(None, 1000)
    aggregates = whole.aggregates(limit=1000)
    assert aggregates == one_by_one.aggregates(limit=1000)
    assert [a.id for a in aggregates] == list(range(500, 500 + len(aggregates)))
    assert aggregates[0].first == 1000
    assert aggregates[-1].last == 999 + len(rows)
    assert all(a.last + 1 == b.first for a, b in itertools.pairwise(aggregates))
    assert sum(a.lots for a in aggregates) == bar.volume == sum(r[1] for r in rows)
    assert bar.high == max(r[0] for r in rows)
    assert bar.low == min(r[0] for r in rows)
    for aggregate in aggregates:
        assert whole.aggregate_ending(aggregate.last) == aggregate
    by_time = whole.aggregates(start_us=int(ts[0]), end_us=int(ts[-1]), limit=1000)
    assert by_time == aggregates
    assert whole.aggregates(from_id=aggregates[-1].id, limit=5) == aggregates[-1:]
    assert whole.aggregates(start_us=0, limit=2) == aggregates[:2]
    assert whole.aggregates(end_us=int(ts[-1]), limit=2) == aggregates[-2:]


def test_a_tape_forgets_its_oldest_half_and_keeps_counting() -> None:
    tape = Tape(1, 1, limit=100)
    for i in range(1000):
        tape.append(10 + i % 2, 1, i * SECOND, False)
    assert tape.next_id == 1001
    kept = tape.by_id(None, 1000)
    assert 50 <= len(kept) <= 100
    assert [t.id for t in kept] == list(range(tape.first_id, 1001))
    assert [a.last for a in tape.aggregates(limit=3)] == [998, 999, 1000]
