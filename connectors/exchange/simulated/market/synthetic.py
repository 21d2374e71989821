"""The generated markets: history at the start, then live play-out of the same seeded process.

The same seed gives the same decisions of makers and takers whenever :meth:`SyntheticMarket.play` is called and however often; what an
account's orders change in the book, and so in who trades with whom, is the only difference between two runs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from decimal import Decimal

import numpy as np

from connectors.exchange.simulated.market.agents import LadderMaker, TouchMaker
from connectors.exchange.simulated.market.arbitrage import BasisTrader, FundingTrader
from connectors.exchange.simulated.market.book import OrderBook, UpdateIds
from connectors.exchange.simulated.market.flow import FlowBlock, FlowGenerator
from connectors.exchange.simulated.market.generator import (
    BLOCK_SECONDS,
    STEPS_PER_SECOND,
    PathBlock,
    PathGenerator,
    funding_rate,
    symbol_seed,
)
from connectors.exchange.simulated.market.instruments import Instrument, MarketProfile, Product, instrument, profile
from connectors.exchange.simulated.market.symbol import MARK, QUOTE, RATE_SCALE, TAKE, MarkPrice, SymbolMarket
from connectors.exchange.simulated.market.tape import INTERVALS_US, Bar, Tape

BLOCK_US = BLOCK_SECONDS * 1_000_000
SECOND_US = 1_000_000
PRODUCTS = (Product.USDM, Product.SPOT)
_GRID_FRACTION = 3.0e-5
_BOOK_LEVELS = 60
_SETTLED = 100
"""Settlements of funding before the venue's path begins."""


class SyntheticMarket:
    """The generated markets of all symbols and products.

    Parameters
    ----------
    symbols
        Symbols, for example ``("BTCUSDT", "ETHUSDT")``; the COIN-margined product lists the perpetual beside each.
    seed
        Same seed, same markets.
    now_us
        Where history ends and live begins; rounded down to a minute for the start of the path.
    history_minutes
        Length of the history.
    funding_minutes
        Minutes between two settlements of funding.
    products
        Which products there are.
    every
        Of the trades, quotes and mark prices that there would be, one in so many is made: a thinner market.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        seed: int,
        now_us: int,
        history_minutes: int = 120,
        funding_minutes: int = 480,
        products: Sequence[Product] = PRODUCTS,
        every: int = 1,
    ) -> None:
        self._every = every
        self.start_us = now_us // BLOCK_US * BLOCK_US - history_minutes * BLOCK_US
        self._block_us = self.start_us
        self._paths = {s: PathGenerator(s, profile(s), seed) for s in symbols}
        self._flows = {(p, s): FlowGenerator(instrument(p, s), profile(s), seed, every) for p in products for s in symbols}
        self.markets: dict[Product, dict[str, SymbolMarket]] = {p: {} for p in products}
        self._update_ids = {p: UpdateIds(random.Random(f"{seed},{p}").randrange(10**9, 10**10)) for p in products if p.futures}
        flows: dict[tuple[Product, str], list[FlowBlock]] = {key: [] for key in self._flows}
        for _ in range(history_minutes):
            for key, (flow, _path) in self._next().items():
                flows[key].append(flow)
        live = self._next()
        for (product, symbol), history in flows.items():
            rules = instrument(product, symbol)
            market = self._open(rules, profile(symbol), seed, funding_minutes * 60_000_000, now_us)
            self.markets[product][rules.symbol] = market
            for flow in history:
                market.tape.extend(flow.trade_ts, flow.price, flow.lots, flow.buyer_maker)
            queue(market, *live[product, symbol], start_us=self._block_us - BLOCK_US, every=every)
            self._catch_up(market, live[product, symbol][0], now_us)
        self._act_us = now_us // SECOND_US * SECOND_US + SECOND_US
        self._traders = self._pair_traders(symbols)

    def play(self, now_us: int) -> None:
        """Let everything happen that is due up to `now_us`."""
        while self._act_us <= now_us:
            self._until(self._act_us)
            for trader in self._traders:
                trader.act(self._act_us)
            self._act_us += SECOND_US
        self._until(now_us)

    def each(self) -> Iterator[SymbolMarket]:
        """Yield every market."""
        for markets in self.markets.values():
            yield from markets.values()

    def _until(self, now_us: int) -> None:
        while now_us >= self._block_us:
            self._play(self._block_us - 1)
            start_us = self._block_us
            for (product, symbol), (flow, path) in self._next().items():
                queue(self.markets[product][instrument(product, symbol).symbol], flow, path, start_us=start_us, every=self._every)
        self._play(now_us)

    def _play(self, now_us: int) -> None:
        for market in self.each():
            market.play(now_us)

    def _next(self) -> dict[tuple[Product, str], tuple[FlowBlock, PathBlock]]:
        paths = {symbol: generator.next_block() for symbol, generator in self._paths.items()}
        flows = {(p, s): (flow.generate(paths[s], self._block_us), paths[s]) for (p, s), flow in self._flows.items()}
        self._block_us += BLOCK_US
        return flows

    def _open(self, rules: Instrument, behaviour: MarketProfile, seed: int, funding_us: int, now_us: int) -> SymbolMarket:
        rng = random.Random(",".join(map(str, symbol_seed(seed, rules.symbol, f"book-{rules.product}"))))
        typical = behaviour.depth_notional / rules.lot_value(behaviour.price)
        grid = max(1, round(behaviour.price * _GRID_FRACTION / float(rules.tick_size)))
        ladder = LadderMaker(grid=grid, levels=_BOOK_LEVELS, typical_lots=typical, rng=rng)
        ids = self._update_ids.get(rules.product) or UpdateIds(rng.randrange(10**9, 10**10))
        first = rng.randrange(10**8, 10**9)
        next_funding = (now_us // funding_us + 1) * funding_us
        price = Decimal(repr(behaviour.price))
        market = SymbolMarket(
            rules,
            OrderBook(ids),
            Tape(first, first // 2),
            MarkPrice(price, price, Decimal(0), next_funding),
            funding_us,
            TouchMaker(typical),
            ladder,
            before=round(typical * rng.uniform(1_000, 3_000)),
        )
        if rules.product.futures:
            market.funding_history = _past_funding(rng, price, next_funding, funding_us)
        return market

    def _catch_up(self, market: SymbolMarket, flow: FlowBlock, now_us: int) -> None:
        """Bring book, bars and mark price to `now_us` with no listener yet."""
        price = int(flow.bid[0])
        for interval, width in INTERVALS_US.items():
            start = (self._block_us - BLOCK_US) // width * width
            past = market.tape.bars(interval, start, start + width)
            market.bars[interval] = past[0] if past else Bar(start, start + width, price, price, price, price)
        market.play(max(now_us, int(flow.quote_ts[0])))

    def _pair_traders(self, symbols: Sequence[str]) -> list[BasisTrader | FundingTrader]:
        if not {Product.USDM, Product.SPOT} <= self.markets.keys():
            return []
        traders: list[BasisTrader | FundingTrader] = []
        for symbol in symbols:
            pair = self.markets[Product.USDM][symbol], self.markets[Product.SPOT][symbol]
            most = profile(symbol).depth_notional / 4
            traders += [BasisTrader(*pair, most), FundingTrader(*pair, most)]
        return traders


def queue(market: SymbolMarket, flow: FlowBlock, path: PathBlock, *, start_us: int, every: int = 1) -> None:
    """Give a market what its makers and takers want in the block that starts at `start_us`."""
    quotes = zip(flow.quote_ts.tolist(), flow.bid.tolist(), flow.ask.tolist(), flow.bid_lots.tolist(), flow.ask_lots.tolist(), strict=True)
    takers = zip(flow.trade_ts.tolist(), flow.lots.tolist(), flow.buyer_maker.tolist(), flow.momentum.tolist(), strict=True)
    events: list[tuple[int, ...]] = [(ts, QUOTE, bid, ask, bid_lots, ask_lots) for ts, bid, ask, bid_lots, ask_lots in quotes]
    events += [(ts, TAKE, lots, buyer_maker, momentum) for ts, lots, buyer_maker, momentum in takers]
    if market.rules.product.futures:
        tick = float(market.rules.tick_size)
        index = path.index[STEPS_PER_SECOND - 1 :: STEPS_PER_SECOND]
        marks = np.maximum(np.rint(index * (1 + path.premium) / tick), 1).astype(np.int64).tolist()
        indexes = np.maximum(np.rint(index / tick), 1).astype(np.int64).tolist()
        rates = [round(funding_rate(p) * 10**RATE_SCALE) for p in path.premium.tolist()]
        rows = zip(marks, indexes, rates, strict=True)
        events += [(start_us + (second + 1) * SECOND_US - 1000, MARK, *row) for second, row in enumerate(rows) if second % every == 0]
    events.sort(key=lambda event: event[:2])
    market.pending, market.cursor = events, 0


def _past_funding(rng: random.Random, price: Decimal, next_us: int, every_us: int) -> list[tuple[int, Decimal, Decimal]]:
    """Return the settlements before the venue's path began, near the interest rate as on a quiet market."""
    return [
        (next_us - back * every_us, Decimal(round(funding_rate(rng.gauss(1e-4, 2e-4)) * 10**RATE_SCALE)).scaleb(-RATE_SCALE), price)
        for back in range(_SETTLED, 0, -1)
    ]
