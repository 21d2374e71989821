"""The account side of the venue: takes orders after a latency, follows the market, and tells the user stream."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Protocol

from connectors.exchange.simulated.account.conditional import Conditionals
from connectors.exchange.simulated.account.matching import Accounting, MarketView, Matching
from connectors.exchange.simulated.account.orders import Conditional, Event, Execution, Order, OrderRequest, OrderUpdate, WorkingType
from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.account.store import OrderStore
from connectors.exchange.simulated.account.traded import Fillable
from connectors.exchange.simulated.dialect.frames import Json
from connectors.exchange.simulated.market.instruments import Instrument
from connectors.exchange.simulated.market.symbol import SymbolMarket
from connectors.exchange.simulated.market.tape import Trade

LISTEN_KEY_US = 3_600_000_000
DEFAULT_LATENCY_SECONDS = 0.02

Publish = Callable[[str, Callable[[], Json]], None]
"""Sends a frame to the readers of a stream; the frame is made only where there are any."""
Frames = Callable[[Event, int], Json]
"""Makes the user stream's frame of an event, with the time of the frame in milliseconds."""


class OrderMarket(MarketView, Protocol):
    """A market that an account's orders stand in."""

    def serve(self, account: Fillable) -> None:
        """Name whose orders these are."""


class SimulatedVenue:
    """One account on one market: orders, conditional orders, user stream.

    Parameters
    ----------
    market
        What orders trade against.
    instruments
        By symbol.
    store
        Where orders are kept.
    accounting
        The account's money.
    frames
        The user stream's dialect.
    clock
        Returns the time that orders and fills are stamped with, microseconds.
    latency
        Seconds between an order's arrival and its match.
    """

    def __init__(
        self,
        market: OrderMarket,
        instruments: Mapping[str, Instrument],
        store: OrderStore,
        accounting: Accounting,
        frames: Frames,
        *,
        clock: Callable[[], int],
        latency: float = DEFAULT_LATENCY_SECONDS,
    ) -> None:
        self.instruments = instruments
        self.market = market
        self.store = store
        self.matching = Matching(market, accounting, instruments, store)
        self.conditionals = Conditionals(self.matching, market, accounting, first_id=store.next_id())
        market.serve(self.matching)
        self.clock = clock
        self._frames = frames
        self._latency = latency
        self._publish: Publish = lambda _name, _frame: None
        self._settling = False
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
        with self._acting():
            if request.type.conditional:
                order = self.conditionals.place_on_spot(request, self.clock())
            else:
                order = self.matching.submit(request, self.clock())
            events = self._told()
        taken = next(e.order for e in events if isinstance(e, OrderUpdate) and e.order.id == order.id and e.execution is Execution.NEW)
        return taken, order

    async def place_conditional(self, request: OrderRequest) -> Conditional:
        """Place a conditional order of the futures after the latency; raises VenueError where it is refused."""
        await asyncio.sleep(self._latency)
        with self._acting():
            return self.conditionals.place(request, self.clock())

    async def cancel_conditional(self, number: int | None, client_id: str | None) -> Conditional:
        """Cancel a waiting order of the futures after the latency; raises VenueError where it does not wait (-2011)."""
        await asyncio.sleep(self._latency)
        conditional = self.conditionals.find(number, client_id)
        if conditional is None:
            raise refusal(-2011)
        with self._acting():
            self.conditionals.cancel(conditional, self.clock())
        return conditional

    async def cancel(self, symbol: str, order_id: int | None, client_order_id: str | None) -> Order:
        """Cancel an order after the latency.

        Raises
        ------
        VenueError
            It is unknown or no longer open (-2011).
        """
        await asyncio.sleep(self._latency)
        order = self.store.find(symbol, order_id, client_order_id)
        if order is None:
            raise refusal(-2011)
        with self._acting():
            self.matching.cancel(order, self.clock())
        return order

    async def amend(self, order: Order, quantity: Decimal, price: Decimal) -> Order:
        """Change a resting order after the latency; raises VenueError where that is refused."""
        await asyncio.sleep(self._latency)
        with self._acting():
            self.matching.amend(order, quantity, price, self.clock())
        return order

    # --- the market, generated or fed ----------------------------------------------------------------------------------------------------

    def priced(self, symbol: str, price: Decimal, working_type: WorkingType) -> None:
        """Take a price that conditional orders may wait for; what it triggers works with the next :meth:`settle`."""
        self.conditionals.on_price(symbol, price, working_type)

    def settle(self) -> None:
        """Let triggered orders work, and tell the user stream what has happened."""
        if not self._settling and (self.conditionals.fired or self.matching.has_news):
            with self._acting():
                pass

    @contextlib.contextmanager
    def _acting(self) -> Iterator[None]:
        """Keep what the market says of an order that acts from acting in between; afterwards tell the user stream."""
        self._settling = True
        try:
            yield
            self.conditionals.release(self.clock())
        finally:
            self._settling = False
            self._told()

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

    def _news(self) -> list[Event]:
        return self.conditionals.follow(self.matching.drain())

    def _told(self) -> list[Event]:
        events = self._news()
        if self.listen_key:
            for event in events:
                event_ms = max(self.clock(), event.ts_us) // 1000
                self._publish(self.listen_key, functools.partial(self._frames, event, event_ms))
        return events


class MarketFollower:
    """Passes what happens on a generated market on to the account. A :class:`~connectors.exchange.simulated.market.symbol.Listener`."""

    def __init__(self, venue: SimulatedVenue) -> None:
        self._venue = venue

    def on_quote(self, market: SymbolMarket, ts_us: int) -> None:
        """Let triggered orders work, and say what was filled."""
        self._venue.settle()

    def on_trade(self, market: SymbolMarket, trade: Trade, starts_aggregate: bool) -> None:
        """Take the last price."""
        rules = market.rules
        if self._venue.conditionals.waits(rules.symbol):
            self._venue.priced(rules.symbol, rules.price(trade.price), WorkingType.CONTRACT_PRICE)

    def on_mark(self, market: SymbolMarket, ts_us: int) -> None:
        """Do nothing: spot has no mark price."""

    def on_funding(self, market: SymbolMarket, rate: Decimal, ts_us: int) -> None:
        """Do nothing: spot has no funding."""
