"""The account side of the venue: takes orders after a latency, follows the market, and tells the user stream."""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from connectors.exchange.simulated import account_frames, frames
from connectors.exchange.simulated.followed import FollowedMarket, Number
from connectors.exchange.simulated.instruments import Instrument
from connectors.exchange.simulated.ledger import Ledger, Rates
from connectors.exchange.simulated.market import SymbolMarket
from connectors.exchange.simulated.matching import MarketView, Matching
from connectors.exchange.simulated.orders import Event, Execution, Order, OrderRequest, OrderUpdate, Side
from connectors.exchange.simulated.refusal import refusal
from connectors.exchange.simulated.tape import Trade

LISTEN_KEY_US = 3_600_000_000
DEFAULT_BALANCE = Decimal(10_000)
DEFAULT_LATENCY_SECONDS = 0.02

Publish = Callable[[str, Callable[[], frames.Json]], None]
"""Sends a frame to the readers of a stream; the frame is made only where there are any."""


class SimulatedVenue:
    """One paper account on one market.

    Parameters
    ----------
    market
        What orders trade against.
    instruments
        By symbol.
    clock
        Returns the time that orders and fills are stamped with, microseconds.
    balance
        First wallet balance, USDT.
    rates
        Fees.
    latency
        Seconds between an order's arrival and its match.
    first_order_id
        Id of the first order.
    """

    def __init__(
        self,
        market: MarketView,
        instruments: Mapping[str, Instrument],
        *,
        clock: Callable[[], int],
        balance: Decimal = DEFAULT_BALANCE,
        rates: Rates | None = None,
        latency: float = DEFAULT_LATENCY_SECONDS,
        first_order_id: int = 1,
    ) -> None:
        self.instruments = instruments
        self.market = market
        self.ledger = Ledger(balance, instruments, rates or Rates())
        self.matching = Matching(market, self.ledger, instruments, first_order_id)
        self._clock = clock
        self._latency = latency
        self._publish: Publish = lambda _name, _frame: None
        self.listen_key = ""
        self._listen_until_us = 0

    # --- orders ------------------------------------------------------------------------------------------------------------------------

    async def place(self, request: OrderRequest) -> tuple[Order, Order]:
        """Place an order; it reaches the market after the latency.

        Returns
        -------
        tuple[Order, Order]
            The order as it was taken, and as it is after matching.

        Raises
        ------
        VenueError
            The order is refused.
        """
        await asyncio.sleep(self._latency)
        order, events = self.matching.submit(request, self._clock())
        taken = next(e.order for e in events if isinstance(e, OrderUpdate) and e.execution is Execution.NEW)
        self._tell(events)
        return taken, order

    async def cancel(self, symbol: str, order_id: int | None, client_order_id: str | None) -> Order:
        """Cancel an order after the latency.

        Raises
        ------
        VenueError
            It is unknown or no longer open (-2011).
        """
        await asyncio.sleep(self._latency)
        order = self.matching.find(symbol, order_id, client_order_id)
        if order is None:
            raise refusal(-2011)
        self._tell(self.matching.cancel(order, self._clock()))
        return order

    # --- the market, generated or fed ----------------------------------------------------------------------------------------------------

    def quoted(self, symbol: str, ts_us: int) -> None:
        """Match resting orders against new best prices."""
        self._tell(self.matching.on_quote(symbol, ts_us))

    def traded(self, symbol: str, price: Decimal, quantity: Decimal, aggressor: Side, ts_us: int) -> None:
        """Match resting orders against a trade."""
        self._tell(self.matching.on_trade(symbol, price, quantity, aggressor, ts_us))

    def marked(self, ts_us: int) -> None:
        """Liquidate what the mark prices leave without margin."""
        self._tell(self.matching.liquidate(ts_us))

    def funded(self, symbol: str, rate: Decimal, ts_us: int) -> None:
        """Pay or receive funding."""
        self._tell(self.matching.settle_funding(symbol, rate, ts_us))

    # --- user stream -------------------------------------------------------------------------------------------------------------------

    def publish_to(self, publish: Publish) -> None:
        """Send user-stream events to `publish(stream, event)`."""
        self._publish = publish

    def open_stream(self, wall_us: int) -> str:
        """Return the listen key, a new one where none is valid; it is valid for an hour from now."""
        if not self.is_listening(wall_us):
            self.listen_key = secrets.token_hex(32)
        self._listen_until_us = wall_us + LISTEN_KEY_US
        return self.listen_key

    def keep_stream(self, wall_us: int) -> str:
        """Extend the listen key by an hour.

        Raises
        ------
        VenueError
            None is valid (-1125).
        """
        if not self.is_listening(wall_us):
            raise refusal(-1125)
        return self.open_stream(wall_us)

    def close_stream(self) -> None:
        """End the listen key."""
        self.listen_key = ""

    def is_listening(self, wall_us: int) -> bool:
        """Say whether a listen key is valid."""
        return bool(self.listen_key) and wall_us < self._listen_until_us

    def expire_stream(self, wall_us: int) -> None:
        """End the listen key when its hour is over, and say so on its stream."""
        if self.listen_key and not self.is_listening(wall_us):
            expired = {"e": "listenKeyExpired", "E": wall_us // 1000, "listenKey": self.listen_key}
            self._publish(self.listen_key, lambda: expired)
            self.listen_key = ""

    def tell_setting(self, symbol: str, leverage: int) -> None:
        """Tell the user stream that a leverage was set."""
        now_ms = self._clock() // 1000
        setting = {"e": "ACCOUNT_CONFIG_UPDATE", "E": now_ms, "T": now_ms, "ac": {"s": symbol, "l": leverage}}
        self._publish(self.listen_key, lambda: setting)

    def _tell(self, events: Iterable[Event]) -> None:
        if not self.listen_key:
            return
        for event in events:
            event_ms = max(self._clock(), event.ts_us) // 1000
            self._publish(self.listen_key, functools.partial(account_frames.user_event, event, event_ms, self.market.mark))


class MarketFollower:
    """Passes what happens on a generated market on to the account. A :class:`~connectors.exchange.simulated.market.Listener`."""

    def __init__(self, venue: SimulatedVenue) -> None:
        self._venue = venue

    def on_quote(self, market: SymbolMarket, ts_us: int) -> None:
        """Match resting orders."""
        self._venue.quoted(market.rules.symbol, ts_us)

    def on_trade(self, market: SymbolMarket, trade: Trade, starts_aggregate: bool) -> None:
        """Match resting orders."""
        rules = market.rules
        aggressor = Side.SELL if trade.buyer_maker else Side.BUY
        if self._venue.matching.open_orders(rules.symbol):
            self._venue.traded(rules.symbol, rules.price(trade.price), rules.quantity(trade.lots), aggressor, trade.ts_us)

    def on_mark(self, market: SymbolMarket, ts_us: int) -> None:
        """Check margins."""
        self._venue.marked(ts_us)

    def on_funding(self, market: SymbolMarket, rate: Decimal, ts_us: int) -> None:
        """Settle funding."""
        self._venue.funded(market.rules.symbol, rate, ts_us)


class FollowingVenue(SimulatedVenue):
    """A paper account on a market that is fed from outside: call :meth:`on_quote` and :meth:`on_trade` for each.

    Parameters
    ----------
    market
        The market that the calls feed.
    settings
        As of :class:`SimulatedVenue`; the clock is the market's own event time.
    """

    market: FollowedMarket

    def __init__(
        self,
        market: FollowedMarket,
        *,
        balance: Decimal = DEFAULT_BALANCE,
        rates: Rates | None = None,
        latency: float = DEFAULT_LATENCY_SECONDS,
        first_order_id: int = 1,
    ) -> None:
        super().__init__(
            market,
            market.instruments,
            clock=lambda: market.now_us,
            balance=balance,
            rates=rates,
            latency=latency,
            first_order_id=first_order_id,
        )

    def on_quote(self, symbol: str, bid: Number, bid_qty: Number, ask: Number, ask_qty: Number, ts_us: int) -> None:
        """Take the newest best prices of a symbol."""
        self.market.quote(symbol, bid, bid_qty, ask, ask_qty, ts_us)
        self._publish(f"{symbol.lower()}@bookTicker", lambda: self._book_ticker(symbol, ts_us))
        self.quoted(symbol, ts_us)
        self.marked(ts_us)

    def on_trade(self, symbol: str, price: Number, qty: Number, side: Side | str, ts_us: int) -> None:
        """Take a trade; `side` is the aggressor's, ``BUY`` or ``SELL``."""
        self.market.now_us = max(self.market.now_us, ts_us)
        if self.matching.open_orders(symbol):
            self.traded(symbol, Decimal(str(price)), Decimal(str(qty)), Side(side), ts_us)

    def on_mark(self, symbol: str, mark: Number, ts_us: int) -> None:
        """Take a mark price; without one the mid is the mark."""
        quote = self.market.quotes.get(symbol)
        if quote is not None:
            quote.mark = Decimal(str(mark))
            self.market.now_us = max(self.market.now_us, ts_us)
            self.marked(ts_us)

    def on_funding(self, symbol: str, rate: Number, ts_us: int) -> None:
        """Settle funding at a rate."""
        self.funded(symbol, Decimal(str(rate)), ts_us)

    def _book_ticker(self, symbol: str, ts_us: int) -> frames.Json:
        quote, rules = self.market.quotes[symbol], self.instruments[symbol]
        return {
            "e": "bookTicker",
            "u": quote.update_id,
            "s": symbol,
            "b": rules.price_text(rules.ticks(quote.bid)),
            "B": rules.quantity_text(rules.lots(quote.bid_quantity)),
            "a": rules.price_text(rules.ticks(quote.ask)),
            "A": rules.quantity_text(rules.lots(quote.ask_quantity)),
            "T": ts_us // 1000,
            "E": ts_us // 1000,
        }
