"""Coinbase's frames in the platform's form.

Books: level2 messages carry no number of their own; the venue promises that none is left out while a connection lasts. So the
connector's numbers are the sequence, which shows what is lost, doubled or swapped after it.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from connectors.exchange.book.update import DepthUpdate, exact_levels
from connectors.exchange.coinbase.frames import microseconds
from connectors.exchange.market_data import Instrument, Mark, OpenInterest, Quote, Trade, checked_quote, checked_trade, spot_rules
from connectors.exchange.payload import corrupt, decoded
from schemas.common import Side
from schemas.exchange.records import ExchangeFrame

NO_LIMIT = Decimal(10) ** 12
"""Most quantity of an order where the venue states none."""
_TAKERS = {"sell": Side.BUY, "buy": Side.SELL}
"""Side of the taker by that of the maker, which is what the venue says."""


class _Trade(msgspec.Struct):
    """A ``match``, or a row of ``trades``."""

    trade_id: int
    price: float
    quantity: float = msgspec.field(name="size")
    maker_side: str = msgspec.field(name="side")
    time: datetime


class _Ticker(msgspec.Struct):
    sequence: int
    best_bid: float
    best_ask: float
    time: datetime
    best_bid_size: float = 0.0
    best_ask_size: float = 0.0


class _Product(msgspec.Struct):
    base_currency: str
    quote_currency: str
    quote_increment: Decimal
    base_increment: Decimal
    base_min_size: Decimal | None = None
    base_max_size: Decimal | None = None
    min_market_funds: Decimal = Decimal(0)


class _Book(msgspec.Struct):
    """``snapshot`` or ``l2update``."""

    type: str
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []
    changes: list[tuple[str, str, str]] = []
    cut: int | None = None


_TRADE = msgspec.json.Decoder(_Trade, strict=False)
_TICKER = msgspec.json.Decoder(_Ticker, strict=False)
_PRODUCT = msgspec.json.Decoder(_Product, strict=False)
_BOOK = msgspec.json.Decoder(_Book)


class CoinbaseDialect:
    """See `Dialect`."""

    counts_trades = True

    def trades(self, frame: ExchangeFrame) -> list[Trade]:
        """Return the trade of a match, or of a row of REST."""
        said: _Trade = decoded(_TRADE, frame)
        side = _TAKERS.get(said.maker_side)
        if side is None:
            raise corrupt(frame, f"a maker's side of {said.maker_side!r}")
        return [checked_trade(frame, Trade(said.trade_id, said.price, said.quantity, microseconds(said.time), side))]

    def quote(self, frame: ExchangeFrame) -> Quote:
        """Return best bid and ask of a ticker, which comes with every match; a quantity is 0 where the venue does not say it."""
        said: _Ticker = decoded(_TICKER, frame)
        quote = Quote(said.sequence, said.best_bid, said.best_bid_size, said.best_ask, said.best_ask_size, microseconds(said.time))
        return checked_quote(frame, quote)

    def mark(self, frame: ExchangeFrame) -> Mark:
        """Refuse: spot has no mark price."""
        raise corrupt(frame, "spot has no mark price")

    def open_interest(self, frame: ExchangeFrame) -> OpenInterest:
        """Refuse: spot has no open interest."""
        raise corrupt(frame, "spot has no open interest")

    def instrument(self, frame: ExchangeFrame) -> Instrument:
        """Return a product."""
        product: _Product = decoded(_PRODUCT, frame)
        if product.quote_increment <= 0 or product.base_increment <= 0:
            raise corrupt(frame, f"increments of {product.quote_increment} and {product.base_increment}")
        rules = spot_rules(
            product.quote_increment, product.base_increment, product.base_min_size or product.base_increment,
            product.base_max_size or NO_LIMIT, product.min_market_funds,
        )  # fmt: skip
        return Instrument(product.base_currency, product.quote_currency, rules)

    def depth(self, frame: ExchangeFrame) -> DepthUpdate:
        """Return a snapshot, or the changes since the message before it."""
        book: _Book = decoded(_BOOK, frame)
        number = frame.channel_sequence
        if number is None:
            raise corrupt(frame, "no number says which message it follows")
        snapshot = book.type == "snapshot"
        sides = {"buy": book.bids, "sell": book.asks}
        try:
            for side, price, size in book.changes:
                sides[side].append((price, size))
            price_places, size_places, bids, asks = exact_levels(book.bids, book.asks)
        except (KeyError, ValueError) as error:
            raise corrupt(frame, repr(error)) from error
        return DepthUpdate(
            snapshot=snapshot, resets=snapshot, whole_bids=snapshot and len(bids) != book.cut,
            whole_asks=snapshot and len(asks) != book.cut, last=number,
            previous=-1 if snapshot else number - 1, mark=number,
            price_places=price_places, size_places=size_places, bids=bids, asks=asks,
        )  # fmt: skip
