"""The generated market: history at start, then live play-out in real time of the same seeded process."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

import numpy as np

from connectors.exchange.simulated.book import Book
from connectors.exchange.simulated.flow import FlowBlock, FlowGenerator
from connectors.exchange.simulated.generator import BLOCK_SECONDS, STEPS_PER_SECOND, PathBlock, PathGenerator, funding_rate, symbol_seed
from connectors.exchange.simulated.instruments import Instrument, Product, instrument, profile
from connectors.exchange.simulated.tape import INTERVALS_US, Bar, Tape, Trade

BLOCK_US = BLOCK_SECONDS * 1_000_000
_GRID_FRACTION = 3.0e-5
_BOOK_LEVELS = 60
_QUOTE, _TRADE, _MARK = 0, 1, 2


class Listener(Protocol):
    """What is told about a market as it happens."""

    def on_quote(self, market: SymbolMarket, ts_us: int) -> None:
        """Take note that the best prices or their quantities changed."""

    def on_trade(self, market: SymbolMarket, trade: Trade, starts_aggregate: bool) -> None:
        """Take note of a trade; `starts_aggregate` says that the aggregate before it is complete."""

    def on_mark(self, market: SymbolMarket, ts_us: int) -> None:
        """Take note of new mark and index prices (once a second)."""

    def on_funding(self, market: SymbolMarket, rate: Decimal, ts_us: int) -> None:
        """Take note that funding was settled."""


@dataclass(slots=True)
class MarkPrice:
    """Mark and index price (USDT), and the funding rate that would be settled now."""

    mark: Decimal
    index: Decimal
    rate: Decimal
    next_funding_us: int


@dataclass(slots=True)
class SymbolMarket:
    """One symbol of one product: its book, its trades, its mark price."""

    rules: Instrument
    book: Book
    tape: Tape
    mark: MarkPrice
    funding_us: int
    funding_history: list[tuple[int, Decimal, Decimal]] = field(default_factory=list)
    """Settled funding: (time, rate, mark price)."""
    listeners: list[Listener] = field(default_factory=list)
    pending: list[tuple[int, ...]] = field(default_factory=list)
    cursor: int = 0
    bars: dict[str, Bar] = field(default_factory=dict)
    quote_us: int = 0

    def play(self, now_us: int) -> None:
        """Publish every pending event up to `now_us`."""
        while self.cursor < len(self.pending) and self.pending[self.cursor][0] <= now_us:
            event = self.pending[self.cursor]
            self.cursor += 1
            match event[1]:
                case 0:  # quote
                    self.book.quote(event[2], event[3], event[4], event[5])
                    self._quoted(event[0])
                case 1:  # trade
                    self.print_trade(event[2], event[3], event[0], bool(event[4]), generated=True)
                case _:
                    self._mark(event)

    def print_trade(self, price: int, lots: int, ts_us: int, buyer_maker: bool, *, generated: bool) -> Trade:
        """Put a trade on the tape and tell the listeners; a trade of the account has taken its quantity from the book already."""
        last = self.tape.last
        ts_us = max(ts_us, last.ts_us if last else 0)
        if generated:
            # The account may have taken the level that the generated trade was meant for: trade at what is best now.
            price = self.book.bid if buyer_maker else self.book.ask
        trade, starts = self.tape.append(price, lots, ts_us, buyer_maker)
        for interval, width in INTERVALS_US.items():
            bar = self.bars[interval]
            if ts_us >= bar.close_us:
                start = ts_us // width * width
                bar = self.bars[interval] = Bar(start, start + width, bar.close, bar.close, bar.close, bar.close)
            bar.add(trade)
        for listener in self.listeners:
            listener.on_trade(self, trade, starts)
        if generated:
            self.book.hit(lots, bid=buyer_maker)
            self._quoted(ts_us)
        return trade

    def taken(self, ts_us: int) -> None:
        """Say that an order of the account changed the book."""
        self._quoted(ts_us)

    def _quoted(self, ts_us: int) -> None:
        self.quote_us = max(ts_us, self.quote_us)
        for listener in self.listeners:
            listener.on_quote(self, self.quote_us)

    def _mark(self, event: tuple[int, ...]) -> None:
        ts_us, _, mark_ticks, index_ticks, rate = event
        self.mark.mark, self.mark.index = self.rules.price(mark_ticks), self.rules.price(index_ticks)
        self.mark.rate = Decimal(rate).scaleb(-8)
        if ts_us >= self.mark.next_funding_us:
            at = self.mark.next_funding_us
            self.funding_history.append((at, self.mark.rate, self.mark.mark))
            self.mark.next_funding_us += self.funding_us
            for listener in self.listeners:
                listener.on_funding(self, self.mark.rate, at)
        for listener in self.listeners:
            listener.on_mark(self, ts_us)


class SyntheticMarket:
    """The generated markets of all symbols and both products.

    Parameters
    ----------
    symbols
        Listed symbols, for example ``("BTCUSDT", "ETHUSDT")``.
    seed
        Same seed, same paths.
    now_us
        Where history ends and live begins; rounded down to a minute for the start of the path.
    history_minutes
        Length of the history.
    funding_minutes
        Minutes between two settlements of funding.
    """

    def __init__(self, symbols: Sequence[str], *, seed: int, now_us: int, history_minutes: int = 120, funding_minutes: int = 480) -> None:
        self.start_us = now_us // BLOCK_US * BLOCK_US - history_minutes * BLOCK_US
        self._block_us = self.start_us
        self._paths = {s: PathGenerator(s, profile(s), seed) for s in symbols}
        self._flows = {(p, s): FlowGenerator(instrument(p, s), profile(s), seed) for p in Product for s in symbols}
        self.markets: dict[Product, dict[str, SymbolMarket]] = {p: {} for p in Product}
        flows: dict[tuple[Product, str], list[FlowBlock]] = {key: [] for key in self._flows}
        for _ in range(history_minutes):
            for key, (flow, _path) in self._next().items():
                flows[key].append(flow)
        live = self._next()
        for (product, symbol), history in flows.items():
            market = self._open(product, symbol, seed, funding_minutes * 60_000_000, now_us)
            self.markets[product][symbol] = market
            for flow in history:
                market.tape.extend(flow.trade_ts, flow.price, flow.lots, flow.buyer_maker)
            self._queue(market, *live[product, symbol], start_us=self._block_us - BLOCK_US)
            self._catch_up(market, live[product, symbol][0], now_us)

    def play(self, now_us: int) -> None:
        """Publish everything up to `now_us`, generating more where it runs out."""
        while now_us >= self._block_us:
            self._play(self._block_us - 1)
            start_us = self._block_us
            for (product, symbol), (flow, path) in self._next().items():
                self._queue(self.markets[product][symbol], flow, path, start_us=start_us)
        self._play(now_us)

    def each(self) -> Iterator[SymbolMarket]:
        """Yield every market."""
        for markets in self.markets.values():
            yield from markets.values()

    def _play(self, now_us: int) -> None:
        for market in self.each():
            market.play(now_us)

    def _next(self) -> dict[tuple[Product, str], tuple[FlowBlock, PathBlock]]:
        paths = {symbol: generator.next_block() for symbol, generator in self._paths.items()}
        flows = {(p, s): (flow.generate(paths[s], self._block_us), paths[s]) for (p, s), flow in self._flows.items()}
        self._block_us += BLOCK_US
        return flows

    def _open(self, product: Product, symbol: str, seed: int, funding_us: int, now_us: int) -> SymbolMarket:
        rules, behaviour = instrument(product, symbol), profile(symbol)
        rng = random.Random(",".join(map(str, symbol_seed(seed, symbol, f"book-{product}"))))
        grid = max(1, round(behaviour.price * _GRID_FRACTION / float(rules.tick_size)))
        typical = behaviour.depth_notional / behaviour.price / float(rules.step_size)
        book = Book(grid=grid, levels=_BOOK_LEVELS, typical_lots=typical, rng=rng, update_id=rng.randrange(10**9, 10**10))
        first = rng.randrange(10**8, 10**9)
        next_funding = (now_us // funding_us + 1) * funding_us
        price = Decimal(repr(behaviour.price))
        market = SymbolMarket(rules, book, Tape(first, first // 2), MarkPrice(price, price, Decimal(0), next_funding), funding_us)
        if product is Product.USDM:
            market.funding_history = _past_funding(rng, price, next_funding, funding_us)
        return market

    def _queue(self, market: SymbolMarket, flow: FlowBlock, path: PathBlock, *, start_us: int) -> None:
        events: list[tuple[int, ...]] = [
            (ts, _QUOTE, bid, ask, bid_lots, ask_lots)
            for ts, bid, ask, bid_lots, ask_lots in zip(
                flow.quote_ts.tolist(), flow.bid.tolist(), flow.ask.tolist(), flow.bid_lots.tolist(), flow.ask_lots.tolist(), strict=True
            )
        ]
        events += [
            (ts, _TRADE, price, lots, maker)
            for ts, price, lots, maker in zip(
                flow.trade_ts.tolist(), flow.price.tolist(), flow.lots.tolist(), flow.buyer_maker.tolist(), strict=True
            )
        ]
        if market.rules.product is Product.USDM:
            tick = float(market.rules.tick_size)
            index = path.index[STEPS_PER_SECOND - 1 :: STEPS_PER_SECOND]
            marks = np.maximum(np.rint(index * (1 + path.premium) / tick), 1).astype(np.int64).tolist()
            indexes = np.maximum(np.rint(index / tick), 1).astype(np.int64).tolist()
            rates = [round(funding_rate(p) * 1e8) for p in path.premium.tolist()]
            events += [
                (start_us + (i + 1) * 1_000_000 - 1000, _MARK, *row) for i, row in enumerate(zip(marks, indexes, rates, strict=True))
            ]
        events.sort(key=lambda event: event[:2])
        market.pending, market.cursor = events, 0

    def _catch_up(self, market: SymbolMarket, flow: FlowBlock, now_us: int) -> None:
        """Bring book, bars and mark price to `now_us` with no listener yet."""
        market.book.quote(int(flow.bid[0]), int(flow.ask[0]), int(flow.bid_lots[0]), int(flow.ask_lots[0]))
        price = int(flow.bid[0])
        for interval, width in INTERVALS_US.items():
            start = (self._block_us - BLOCK_US) // width * width
            past = market.tape.bars(interval, start, start + width)
            market.bars[interval] = past[0] if past else Bar(start, start + width, price, price, price, price)
        market.play(now_us)


def _past_funding(rng: random.Random, price: Decimal, next_us: int, every_us: int) -> list[tuple[int, Decimal, Decimal]]:
    """Return the 100 settlements before the venue's path began, near the interest rate as on a quiet market."""
    rows = [
        (next_us - back * every_us, Decimal(round(funding_rate(rng.gauss(1e-4, 2e-4)) * 1e8)).scaleb(-8), price)
        for back in range(100, 0, -1)
    ]
    return rows
