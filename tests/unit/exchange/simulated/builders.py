"""A market of fixed levels, and an account on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from connectors.exchange.simulated.instruments import Product, instrument
from connectors.exchange.simulated.ledger import Ledger
from connectors.exchange.simulated.matching import Matching
from connectors.exchange.simulated.orders import Event, Fill, OrderRequest, OrderType, OrderUpdate, Side, TimeInForce

D = Decimal
ETH = "ETHUSDT"
SOL = "SOLUSDT"
ONE = D(1)
INSTRUMENTS = {s: instrument(Product.USDM, s) for s in (ETH, SOL)}
Level = tuple[Decimal, Decimal]


@dataclass
class LevelMarket:
    """Levels per symbol that stay until a test moves them; what is taken is gone."""

    bids: dict[str, list[Level]] = field(default_factory=dict)
    asks: dict[str, list[Level]] = field(default_factory=dict)
    marks: dict[str, Decimal] = field(default_factory=dict)
    trades: int = 0

    def move(self, symbol: str, mid: Decimal, size: Decimal = ONE, levels: int = 5) -> None:
        """Put `levels` levels, one tick apart and of one size, around a mid."""
        tick = INSTRUMENTS[symbol].tick_size
        self.bids[symbol] = [(mid - tick * (i + 1), size) for i in range(levels)]
        self.asks[symbol] = [(mid + tick * (i + 1), size) for i in range(levels)]
        self.marks[symbol] = mid

    def best(self, symbol: str, *, bids: bool) -> Level | None:
        return next(iter(self.levels(symbol, bids=bids)), None)

    def levels(self, symbol: str, *, bids: bool) -> Iterable[Level]:
        return list((self.bids if bids else self.asks).get(symbol, []))

    def displayed(self, symbol: str, price: Decimal, *, bids: bool) -> Decimal:
        return dict(self.levels(symbol, bids=bids)).get(price, D(0))

    def take(self, symbol: str, price: Decimal, quantity: Decimal, *, bids: bool, ts_us: int) -> int:
        assert ts_us >= 0
        side = self.bids if bids else self.asks
        rows = [(p, q - quantity if p == price else q) for p, q in side[symbol]]
        assert all(q >= 0 for _, q in rows)
        side[symbol] = [row for row in rows if row[1]]
        self.trades += 1
        return self.trades

    def print_fill(self, symbol: str, price: Decimal, quantity: Decimal, *, buyer_maker: bool, ts_us: int) -> int:
        assert symbol in INSTRUMENTS
        assert min(price, quantity) > 0
        assert buyer_maker in (True, False)
        assert ts_us >= 0
        self.trades += 1
        return self.trades

    def mark(self, symbol: str) -> Decimal:
        return self.marks[symbol]


def account(balance: str = "10000") -> tuple[LevelMarket, Matching]:
    """Return a market at ETH 2,600 and SOL 160, and an account on it."""
    market = LevelMarket()
    market.move(ETH, D("2600"))
    market.move(SOL, D("160"), D(100))
    return market, Matching(market, Ledger(D(balance), INSTRUMENTS), INSTRUMENTS)


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
