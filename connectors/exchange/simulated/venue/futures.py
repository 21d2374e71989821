"""A futures account at the venue: positions, margin, funding, liquidation; on the generated markets or on one that is fed from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from connectors.exchange.simulated.account.followed import FollowedMarket, Number
from connectors.exchange.simulated.account.ledger import Ledger, Rates
from connectors.exchange.simulated.account.margin import MarginAccounting
from connectors.exchange.simulated.account.orders import Event, Side, WorkingType
from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.account.store import OrderStore
from connectors.exchange.simulated.dialect import account_frames
from connectors.exchange.simulated.dialect.frames import Json
from connectors.exchange.simulated.market.instruments import Instrument
from connectors.exchange.simulated.market.symbol import SymbolMarket
from connectors.exchange.simulated.venue.venue import DEFAULT_LATENCY_SECONDS, MarketFollower, OrderMarket, SimulatedVenue

DEFAULT_BALANCE = Decimal(10_000)


class FuturesVenue(SimulatedVenue):
    """One futures account on one market.

    Parameters
    ----------
    market, instruments, clock, latency
        As of :class:`~connectors.exchange.simulated.venue.venue.SimulatedVenue`.
    balance
        First wallet balance, USDT.
    rates
        Fees.
    first_order_id
        Id of the first order.
    """

    def __init__(
        self,
        market: OrderMarket,
        instruments: Mapping[str, Instrument],
        *,
        clock: Callable[[], int],
        balance: Decimal = DEFAULT_BALANCE,
        rates: Rates | None = None,
        latency: float = DEFAULT_LATENCY_SECONDS,
        first_order_id: int = 1,
    ) -> None:
        self.ledger = Ledger(balance, instruments, rates or Rates(), first_order_id)
        store = OrderStore(first_order_id)
        self.margin = MarginAccounting(self.ledger, store, market.mark)
        super().__init__(market, instruments, store, self.margin, self._frame, clock=clock, latency=latency)

    def marked(self, symbol: str, ts_us: int) -> None:
        """Take a mark price: conditional orders that wait for it, and positions that it leaves without margin."""
        if self.conditionals.waits(symbol):
            self.priced(symbol, self.market.mark(symbol), WorkingType.MARK_PRICE)
        if self.ledger.held():
            with self._acting():
                self.margin.liquidate(self.matching, ts_us)
        else:
            self.settle()

    def funded(self, symbol: str, rate: Decimal, ts_us: int) -> None:
        """Pay or receive funding."""
        with self._acting():
            self.margin.settle_funding(self.matching, symbol, rate, ts_us)

    def transferred(self, amount: Decimal) -> None:
        """Deposit money, or withdraw it where the amount is negative; raises VenueError where it is not there (-2019)."""
        if -amount > self.margin.available():
            raise refusal(-2019)
        with self._acting():
            self.margin.transfer(self.matching, amount, self.clock())

    def tell_setting(self, symbol: str, leverage: int) -> None:
        """Tell the user stream that a leverage was set."""
        now_ms = self.clock() // 1000
        setting = {"e": "ACCOUNT_CONFIG_UPDATE", "E": now_ms, "T": now_ms, "ac": {"s": symbol, "l": leverage}}
        self._publish(self.listen_key, lambda: setting)

    def _frame(self, event: Event, event_ms: int) -> Json:
        return account_frames.user_event(event, event_ms, self.market.mark)


class FuturesFollower(MarketFollower):
    """Passes marks and funding on as well."""

    def __init__(self, venue: FuturesVenue) -> None:
        super().__init__(venue)
        self._futures = venue

    def on_mark(self, market: SymbolMarket, ts_us: int) -> None:
        """Check margins."""
        self._futures.marked(market.rules.symbol, ts_us)

    def on_funding(self, market: SymbolMarket, rate: Decimal, ts_us: int) -> None:
        """Settle funding."""
        self._futures.funded(market.rules.symbol, rate, ts_us)


class FollowingVenue(FuturesVenue):
    """A paper account on a market that is fed from outside: call :meth:`on_quote` and :meth:`on_trade` for each.

    Parameters
    ----------
    market
        The market that the calls feed.
    balance, rates, latency, first_order_id
        As of :class:`FuturesVenue`; the clock is the market's own event time.
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
        if self.store.open_orders(symbol):
            with self._acting():
                self.market.on_quote(symbol, ts_us)
        self.marked(symbol, ts_us)

    def on_trade(self, symbol: str, price: Number, qty: Number, side: Side | str, ts_us: int) -> None:
        """Take a trade; `side` is the aggressor's, ``BUY`` or ``SELL``."""
        self.market.now_us = max(self.market.now_us, ts_us)
        if self.store.open_orders(symbol) or self.conditionals.waits(symbol):
            exact = Decimal(str(price))
            self.priced(symbol, exact, WorkingType.CONTRACT_PRICE)
            with self._acting():
                self.market.on_trade(symbol, exact, Decimal(str(qty)), Side(side), ts_us)

    def on_mark(self, symbol: str, mark: Number, ts_us: int) -> None:
        """Take a mark price; without one the mid is the mark."""
        quote = self.market.quotes.get(symbol)
        if quote is not None:
            quote.mark = Decimal(str(mark))
            self.market.now_us = max(self.market.now_us, ts_us)
            self.marked(symbol, ts_us)

    def on_funding(self, symbol: str, rate: Number, ts_us: int) -> None:
        """Settle funding at a rate."""
        self.funded(symbol, Decimal(str(rate)), ts_us)

    def _book_ticker(self, symbol: str, ts_us: int) -> Json:
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
