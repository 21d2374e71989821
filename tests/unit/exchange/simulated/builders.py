"""Books that a test fills, and an account whose orders stand in them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connectors.exchange.simulated.account.conditional import Conditionals
from connectors.exchange.simulated.account.ledger import Ledger
from connectors.exchange.simulated.account.margin import MarginAccounting
from connectors.exchange.simulated.account.matching import Matching
from connectors.exchange.simulated.account.orders import (
    Conditional,
    Event,
    Fill,
    Order,
    OrderRequest,
    OrderType,
    OrderUpdate,
    Side,
    TimeInForce,
    WorkingType,
)
from connectors.exchange.simulated.account.spot import SpotAccounting
from connectors.exchange.simulated.account.store import OrderStore
from connectors.exchange.simulated.account.traded import BookMarket
from connectors.exchange.simulated.market.agents import Agent, LadderMaker, TouchMaker
from connectors.exchange.simulated.market.book import OrderBook, Owner, Resting, UpdateIds
from connectors.exchange.simulated.market.instruments import Product, instrument
from connectors.exchange.simulated.market.symbol import MarkPrice, SymbolMarket
from connectors.exchange.simulated.market.tape import INTERVALS_US, Bar, Tape, Trade

D = Decimal
ETH = "ETHUSDT"
SOL = "SOLUSDT"
ONE = D(1)
INSTRUMENTS = {s: instrument(Product.USDM, s) for s in (ETH, SOL)}


def empty_market(symbol: str, product: Product = Product.USDM) -> SymbolMarket:
    """Return a market with nobody in it."""
    rules = instrument(product, symbol)
    ladder = LadderMaker(grid=1, levels=1, typical_lots=1.0, rng=random.Random(0))
    mark = MarkPrice(D(1), D(1), D(0), 10**18)
    market = SymbolMarket(rules, OrderBook(UpdateIds(0)), Tape(1, 1), mark, 10**15, TouchMaker(1.0), ladder)
    market.bars = {interval: Bar(0, width, 1, 1, 1, 1) for interval, width in INTERVALS_US.items()}
    return market


class World:
    """Two symbols whose books a crowd keeps, and an account with one order store and one ledger."""

    def __init__(self, balance: str = "10000", product: Product = Product.USDM) -> None:
        self.markets = {s: empty_market(s, product) for s in (ETH, SOL)}
        self.market = BookMarket(self.markets)
        self.store = OrderStore()
        self.crowd = Agent("crowd")
        self._resting: dict[str, list[Resting]] = {ETH: [], SOL: []}
        rules = {s: market.rules for s, market in self.markets.items()}
        self.ledger = Ledger(D(balance), rules)
        self.margin = MarginAccounting(self.ledger, self.store, self.market.mark)
        self.spot = SpotAccounting({"USDT": D(balance), "ETH": D(10)}, rules)
        accounting: Any = self.margin if product is Product.USDM else self.spot
        self.matching = Matching(self.market, accounting, rules, self.store)
        self.market.serve(self.matching)
        self.conditionals = Conditionals(self.matching, self.market, accounting)
        for market in self.markets.values():
            market.listeners.append(self)
        self._busy = False
        self.move(ETH, D(2600))
        self.move(SOL, D(160), D(100))

    def move(self, symbol: str, mid: Decimal, size: Decimal = ONE, levels: int = 5) -> None:
        """Put the crowd's levels, one tick apart and of one size, around a mid; it takes what stands in its way first."""
        market = self.markets[symbol]
        rules, tick = market.rules, market.rules.tick_size
        for resting in self._resting[symbol]:
            market.book.cancel(resting)
        market.mark.mark = mid
        rows: list[Resting] = []
        for bid, sign in ((True, -1), (False, 1)):
            first = rules.ticks(mid + sign * tick)
            market.sweep(self.crowd, rules.lots(size), first, bid=bid, ts_us=market.quote_us)
        for bid, sign in ((True, -1), (False, 1)):
            for level in range(1, levels + 1):
                price = rules.ticks(mid + sign * tick * level)
                if not market.book.crosses(price, bid=bid):
                    rows.append(market.book.add(self.crowd, price, rules.lots(size), bid=bid))
        self._resting[symbol] = rows
        market.quoted(market.quote_us)

    def crowd_trades(self, symbol: str, side: Side, quantity: Decimal, now_us: int) -> None:
        """Have the crowd send a market order; it does not meet its own."""
        market = self.markets[symbol]
        market.sweep(Agent("taker"), market.rules.lots(quantity), None, bid=side is Side.BUY, ts_us=now_us)
        market.quoted(now_us)

    def submit(self, request: OrderRequest, now_us: int) -> tuple[Order, list[Event]]:
        """Submit an order; return it and what has happened."""
        order = self.matching.submit(request, now_us)
        return order, self.drain()

    def wait(self, request: OrderRequest, now_us: int) -> Conditional:
        """Place a conditional order."""
        return self.conditionals.place(request, now_us)

    def drain(self) -> list[Event]:
        """Return what has happened since."""
        return self.conditionals.follow(self.matching.drain())

    # --- as the venue's follower does ---------------------------------------------------------------------------------------------------

    def on_quote(self, market: SymbolMarket, ts_us: int) -> None:
        """Let triggered orders work."""
        if not self._busy:
            self._busy = True
            self.conditionals.release(ts_us)
            self._busy = False

    def on_trade(self, market: SymbolMarket, trade: Trade, starts_aggregate: bool) -> None:
        """Take the last price."""
        self.conditionals.on_price(market.rules.symbol, market.rules.price(trade.price), WorkingType.CONTRACT_PRICE)

    def on_mark(self, market: SymbolMarket, ts_us: int) -> None:
        """Nothing waits for it here."""

    def on_funding(self, market: SymbolMarket, rate: Decimal, ts_us: int) -> None:
        """Nothing waits for it here."""


@dataclass(eq=False)
class Recorder:
    """An owner that remembers its fills."""

    name: str

    def __post_init__(self) -> None:
        self.fills: list[tuple[int, int, int]] = []
        self.prevents: list[int] = []

    def filled(self, resting: Resting, price: int, lots: int, trade_id: int, ts_us: int) -> None:
        """Remember it."""
        self.fills.append((resting.id, price, lots))

    def prevented(self, resting: Resting, ts_us: int) -> None:
        """Remember it."""
        self.prevents.append(resting.id)


def owner(name: str) -> Recorder:
    """Return an owner; it is one for the type checker too."""
    made = Recorder(name)
    checked: Owner = made
    assert checked is made
    return made


def market_order(side: Side, quantity: str | Decimal, *, symbol: str = ETH, reduce_only: bool = False, client: str = "") -> OrderRequest:
    return OrderRequest(symbol, side, OrderType.MARKET, D(quantity), reduce_only=reduce_only, client_order_id=client)


def limit_order(
    side: Side,
    quantity: str | Decimal,
    price: str | Decimal,
    *,
    symbol: str = ETH,
    in_force: TimeInForce = TimeInForce.GTC,
    reduce_only: bool = False,
) -> OrderRequest:
    return OrderRequest(symbol, side, OrderType.LIMIT, D(quantity), D(price), in_force, reduce_only)


def fills(events: list[Event]) -> list[Fill]:
    """Return the fills among events."""
    return [e.fill for e in events if isinstance(e, OrderUpdate) and e.fill is not None]
