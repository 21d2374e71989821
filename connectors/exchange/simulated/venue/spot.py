"""A spot account at the venue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from connectors.exchange.simulated.account.orders import Event
from connectors.exchange.simulated.account.spot import SpotAccounting
from connectors.exchange.simulated.account.store import OrderStore
from connectors.exchange.simulated.dialect import spot_frames
from connectors.exchange.simulated.market.instruments import Instrument
from connectors.exchange.simulated.venue.venue import DEFAULT_LATENCY_SECONDS, OrderMarket, SimulatedVenue


class SpotVenue(SimulatedVenue):
    """One spot account on one market.

    Parameters
    ----------
    market, instruments, clock, latency
        As of :class:`~connectors.exchange.simulated.venue.venue.SimulatedVenue`.
    balances
        First balances by asset.
    first_order_id
        Id of the first order.
    """

    def __init__(
        self,
        market: OrderMarket,
        instruments: Mapping[str, Instrument],
        *,
        clock: Callable[[], int],
        balances: Mapping[str, Decimal],
        latency: float = DEFAULT_LATENCY_SECONDS,
        first_order_id: int = 1,
    ) -> None:
        self.accounting = SpotAccounting(balances, instruments)
        store = OrderStore(first_order_id)
        super().__init__(market, instruments, store, self.accounting, spot_frames.user_event, clock=clock, latency=latency)

    def _news(self) -> list[Event]:
        events = super()._news()
        moved = self.accounting.moved(self.clock())
        return events if moved is None else [*events, moved]
