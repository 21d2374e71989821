"""The market side that orders meet: the generated markets, or one that is fed from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from connectors.exchange.simulated.instruments import Instrument
from connectors.exchange.simulated.market import SymbolMarket

Number = Decimal | float | str
ASSUMED_LEVELS = 20
"""Levels below the best price that a followed market is taken to have."""


class GeneratedView:
    """The generated markets of one product, as orders see them."""

    def __init__(self, markets: Mapping[str, SymbolMarket]) -> None:
        self._markets = markets

    def best(self, symbol: str, *, bids: bool) -> tuple[Decimal, Decimal] | None:
        """Return (price, quantity) of the best level."""
        market = self._markets[symbol]
        rules, book = market.rules, market.book
        price, lots = (book.bid, book.bid_lots) if bids else (book.ask, book.ask_lots)
        return rules.price(price), rules.quantity(lots)

    def levels(self, symbol: str, *, bids: bool) -> Iterable[tuple[Decimal, Decimal]]:
        """Return (price, quantity) of the levels, best first."""
        market = self._markets[symbol]
        rows = market.book.bids() if bids else market.book.asks()
        return [(market.rules.price(p), market.rules.quantity(q)) for p, q in rows]

    def displayed(self, symbol: str, price: Decimal, *, bids: bool) -> Decimal:
        """Return the quantity that stands at a price."""
        market = self._markets[symbol]
        return market.rules.quantity(market.book.at(market.rules.ticks(price), bid=bids))

    def take(self, symbol: str, price: Decimal, quantity: Decimal, *, bids: bool, ts_us: int) -> int:
        """Take a quantity from one level and print the trade; return its id."""
        market = self._markets[symbol]
        ticks, lots = market.rules.ticks(price), market.rules.lots(quantity)
        market.book.take(ticks, lots, bid=bids)
        trade = market.print_trade(ticks, lots, ts_us, bids, generated=False)
        market.taken(ts_us)
        return trade.id

    def print_fill(self, symbol: str, price: Decimal, quantity: Decimal, *, buyer_maker: bool, ts_us: int) -> int:
        """Print the trade of a resting order's fill; return its id."""
        market = self._markets[symbol]
        return market.print_trade(market.rules.ticks(price), market.rules.lots(quantity), ts_us, buyer_maker, generated=False).id

    def mark(self, symbol: str) -> Decimal:
        """Return the mark price."""
        return self._markets[symbol].mark.mark


class FollowedQuote:
    """The newest quote of one symbol, less what the account took from it.

    Prices and quantities become exact, on the instrument's grid, only when something asks for them: most quotes pass unseen.
    """

    __slots__ = ("_raw", "_rules", "mark", "taken_ask", "taken_bid", "update_id")

    def __init__(self, rules: Instrument, raw: tuple[Number, Number, Number, Number], mark: Decimal | None, update_id: int) -> None:
        self._rules = rules
        self._raw = raw
        self.mark = mark
        self.update_id = update_id
        self.taken_bid = self.taken_ask = Decimal(0)

    @property
    def bid(self) -> Decimal:
        """Best bid."""
        return _on_grid(self._raw[0], self._rules.tick_size)

    @property
    def bid_quantity(self) -> Decimal:
        """Quantity at the best bid."""
        return _on_grid(self._raw[1], self._rules.step_size)

    @property
    def ask(self) -> Decimal:
        """Best ask."""
        return _on_grid(self._raw[2], self._rules.tick_size)

    @property
    def ask_quantity(self) -> Decimal:
        """Quantity at the best ask."""
        return _on_grid(self._raw[3], self._rules.step_size)


class FollowedMarket:
    """A market whose quotes and trades come from outside.

    Only the best level is known. Behind it the market is taken to have :data:`ASSUMED_LEVELS` further levels, one tick apart, each with
    the quantity of the best: an order that is larger than the best quantity pays more, level by level. What the account takes is gone
    until the next quote.

    Parameters
    ----------
    instruments
        By symbol: what is listed.
    """

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self.instruments = dict(instruments)
        self.quotes: dict[str, FollowedQuote] = {}
        self.now_us = 0
        """Time of the newest quote or trade of any symbol."""
        self._trade_id = 0
        self._update_id = 0

    def quote(self, symbol: str, bid: Number, bid_quantity: Number, ask: Number, ask_quantity: Number, ts_us: int) -> FollowedQuote:
        """Take a new quote; prices and quantities are rounded to the instrument's ticks and lots."""
        before = self.quotes.get(symbol)
        self._update_id += 1
        mark = before.mark if before else None
        quote = FollowedQuote(self.instruments[symbol], (bid, bid_quantity, ask, ask_quantity), mark, self._update_id)
        self.quotes[symbol] = quote
        self.now_us = max(self.now_us, ts_us)
        return quote

    def best(self, symbol: str, *, bids: bool) -> tuple[Decimal, Decimal] | None:
        """Return (price, quantity) of the best level that is left, or None before the first quote."""
        return next(iter(self.levels(symbol, bids=bids)), None)

    def levels(self, symbol: str, *, bids: bool) -> Iterable[tuple[Decimal, Decimal]]:
        """Return (price, quantity) of the known and the assumed levels, best first."""
        quote = self.quotes.get(symbol)
        if quote is None:
            return []
        price, size, taken = (quote.bid, quote.bid_quantity, quote.taken_bid) if bids else (quote.ask, quote.ask_quantity, quote.taken_ask)
        tick = self.instruments[symbol].tick_size * (-1 if bids else 1)
        rows: list[tuple[Decimal, Decimal]] = []
        for level in range(1 + ASSUMED_LEVELS):
            gone = min(taken, size)
            taken -= gone
            if size - gone > 0 and price + tick * level > 0:
                rows.append((price + tick * level, size - gone))
        return rows

    def displayed(self, symbol: str, price: Decimal, *, bids: bool) -> Decimal:
        """Return the quantity that is taken to stand at a price: the best level's, or none before it."""
        best = self.best(symbol, bids=bids)
        if best is None or (price > best[0] if bids else price < best[0]):
            return Decimal(0)
        return best[1]

    def take(self, symbol: str, price: Decimal, quantity: Decimal, *, bids: bool, ts_us: int) -> int:
        """Take a quantity from the best side; return the id of the account's trade."""
        quote = self.quotes[symbol]
        if bids:
            quote.taken_bid += quantity
        else:
            quote.taken_ask += quantity
        return self._next_trade_id()

    def print_fill(self, symbol: str, price: Decimal, quantity: Decimal, *, buyer_maker: bool, ts_us: int) -> int:
        """Return the id of the account's trade; the outside market prints none."""
        return self._next_trade_id()

    def mark(self, symbol: str) -> Decimal:
        """Return the mark price that was fed, or the mid; zero before the first quote."""
        quote = self.quotes.get(symbol)
        if quote is None:
            return Decimal(0)
        return quote.mark if quote.mark is not None else (quote.bid + quote.ask) / 2

    def _next_trade_id(self) -> int:
        self._trade_id += 1
        return self._trade_id


def _on_grid(value: Number, unit: Decimal) -> Decimal:
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    return (number / unit).to_integral_value() * unit
