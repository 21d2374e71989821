"""The orders of one account, by their ids."""

from __future__ import annotations

from collections import deque

from connectors.exchange.simulated.account.orders import Fill, Order

KEPT_ORDERS = 200_000


class OrderStore:
    """Orders that are open, and those that are over as far as they are kept; and their fills.

    Parameters
    ----------
    first_id
        Id of the first order.
    """

    def __init__(self, first_id: int = 1) -> None:
        self._next_id = first_id
        self._orders: dict[int, Order] = {}
        self._by_client_id: dict[str, int] = {}
        self._open: dict[str, dict[int, Order]] = {}
        self.fills: deque[Fill] = deque(maxlen=KEPT_ORDERS)

    def next_id(self) -> int:
        """Return a new id."""
        self._next_id += 1
        return self._next_id - 1

    def orders(self, symbol: str) -> list[Order]:
        """Return every kept order of a symbol, oldest first."""
        return [o for o in self._orders.values() if o.symbol == symbol]

    def open_symbols(self) -> list[str]:
        """Return the symbols with an open order."""
        return [symbol for symbol, orders in self._open.items() if orders]

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return the open orders, oldest first."""
        symbols = list(self._open) if symbol is None else [symbol]
        return [o for s in symbols for o in self._open.get(s, {}).values()]

    def find(self, symbol: str, order_id: int | None, client_order_id: str | None) -> Order | None:
        """Return an order by either id."""
        if order_id is None:
            order_id = self._by_client_id.get(client_order_id or "")
        order = self._orders.get(order_id) if order_id is not None else None
        return order if order is not None and order.symbol == symbol else None

    def knows(self, client_order_id: str) -> bool:
        """Return whether an order with this id is kept."""
        return client_order_id in self._by_client_id

    def client_id_is_open(self, client_order_id: str) -> bool:
        """Return whether an open order has this id."""
        number = self._by_client_id.get(client_order_id)
        return number is not None and self._orders[number].is_open

    def add(self, order: Order) -> None:
        """Keep a new order; an older one of the same client id is found by its own id from now on."""
        self._orders[order.id] = order
        self._by_client_id[order.client_order_id] = order.id
        if len(self._orders) > KEPT_ORDERS:
            done = [o for o in self._orders.values() if not o.is_open]
            for old in done[: KEPT_ORDERS // 10]:
                del self._orders[old.id]
                if self._by_client_id.get(old.client_order_id) == old.id:
                    del self._by_client_id[old.client_order_id]

    def rests(self, order: Order) -> bool:
        """Return whether an order rests or waits."""
        return order.id in self._open.get(order.symbol, ())

    def opened(self, order: Order) -> None:
        """Take note that an order rests or waits."""
        self._open.setdefault(order.symbol, {})[order.id] = order

    def closed(self, order: Order) -> None:
        """Take note that an order is over."""
        self._open.get(order.symbol, {}).pop(order.id, None)
