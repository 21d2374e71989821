"""Order REST endpoints of USD-margined perpetuals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from connectors.exchange.simulated import account_frames
from connectors.exchange.simulated.endpoint import Endpoint, Params, Security
from connectors.exchange.simulated.instruments import Instrument
from connectors.exchange.simulated.ledger import ZERO
from connectors.exchange.simulated.orders import OrderRequest, OrderType, Side, TimeInForce
from connectors.exchange.simulated.refusal import refusal
from connectors.exchange.simulated.venue import SimulatedVenue

_Choice = TypeVar("_Choice", Side, OrderType, TimeInForce)
_Row = TypeVar("_Row")


class OrderApi:
    """Handlers over the orders of one account.

    Parameters
    ----------
    venue
        The account.
    """

    def __init__(self, venue: SimulatedVenue) -> None:
        self._venue = venue

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        signed = Security.SIGNED
        return [
            Endpoint("POST", "/fapi/v1/order", self.place, 0, signed, order=True),
            Endpoint("GET", "/fapi/v1/order", self.query, 1, signed),
            Endpoint("DELETE", "/fapi/v1/order", self.cancel, 1, signed),
            Endpoint("DELETE", "/fapi/v1/allOpenOrders", self.cancel_all, 1, signed),
            Endpoint("GET", "/fapi/v1/openOrder", self.open_order, 1, signed),
            Endpoint("GET", "/fapi/v1/openOrders", self.open_orders, lambda p: 1 if p.optional("symbol") else 40, signed),
            Endpoint("GET", "/fapi/v1/allOrders", self.all_orders, 5, signed),
            Endpoint("GET", "/fapi/v1/userTrades", self.user_trades, 5, signed),
        ]

    async def place(self, params: Params) -> Any:
        """Place an order."""
        rules = listed(self._venue, params)
        side = _choice(Side, params.text("side"), -1117)
        kind = _choice(OrderType, params.text("type"), -1116)
        if (params.optional("positionSide") or "BOTH") != "BOTH":
            raise refusal(-4061)
        quantity = params.decimal("quantity")
        if quantity is None:
            raise refusal(-1102, "quantity")
        price, in_force = ZERO, TimeInForce.GTC
        if kind is OrderType.LIMIT:
            in_force = _choice(TimeInForce, params.text("timeInForce"), -1115)
            given = params.decimal("price")
            if given is None:
                raise refusal(-1102, "price")
            price = given
        else:
            for name in ("price", "timeInForce"):
                if params.optional(name):
                    raise refusal(-1106, name)
        answer = params.optional("newOrderRespType") or "ACK"
        if answer not in ("ACK", "RESULT"):
            raise refusal(-1130, "newOrderRespType")
        request = OrderRequest(
            symbol=rules.symbol,
            side=side,
            type=kind,
            quantity=quantity,
            price=price,
            time_in_force=in_force,
            reduce_only=params.flag("reduceOnly"),
            client_order_id=params.optional("newClientOrderId") or "",
        )
        taken, order = await self._venue.place(request)
        return account_frames.order_row(order if answer == "RESULT" else taken, queried=False)

    async def query(self, params: Params) -> Any:
        """Return one order."""
        rules, order_id, client_id = self._identified(params)
        order = self._venue.matching.find(rules.symbol, order_id, client_id)
        if order is None:
            raise refusal(-2013)
        return account_frames.order_row(order, queried=True)

    async def cancel(self, params: Params) -> Any:
        """Cancel one order."""
        rules, order_id, client_id = self._identified(params)
        return account_frames.order_row(await self._venue.cancel(rules.symbol, order_id, client_id), queried=False)

    async def cancel_all(self, params: Params) -> Any:
        """Cancel every open order of a symbol."""
        symbol = listed(self._venue, params).symbol
        for order in self._venue.matching.open_orders(symbol):
            if order.is_open:
                await self._venue.cancel(symbol, order.id, None)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    async def open_order(self, params: Params) -> Any:
        """Return one open order."""
        rules, order_id, client_id = self._identified(params)
        order = self._venue.matching.find(rules.symbol, order_id, client_id)
        if order is None or not order.is_open:
            raise refusal(-2013)
        return account_frames.order_row(order, queried=True)

    async def open_orders(self, params: Params) -> Any:
        """Return the open orders of one symbol or all."""
        symbol = listed(self._venue, params).symbol if params.optional("symbol") else None
        return [account_frames.order_row(o, queried=True) for o in self._venue.matching.open_orders(symbol)]

    async def all_orders(self, params: Params) -> Any:
        """Return the orders of a symbol, oldest first."""
        rows = self._venue.matching.orders(listed(self._venue, params).symbol)
        from_id, limit = params.integer("orderId"), params.limit(500, 1000)
        start, end = params.integer("startTime"), params.integer("endTime")
        if from_id is not None:
            return [account_frames.order_row(o, queried=True) for o in rows if o.id >= from_id][:limit]
        return [account_frames.order_row(o, queried=True) for o in within(rows, start, end, lambda o: o.created_us)][-limit:]

    async def user_trades(self, params: Params) -> Any:
        """Return the account's fills of a symbol, oldest first."""
        symbol = listed(self._venue, params).symbol
        order_id, from_id, limit = params.integer("orderId"), params.integer("fromId"), params.limit(500, 1000)
        start, end = params.integer("startTime"), params.integer("endTime")
        if from_id is not None and (start is not None or end is not None):
            raise refusal(-1128)
        fills = [f for f in self._venue.matching.fills if f.symbol == symbol and order_id in (None, f.order_id)]
        if from_id is not None:
            return [account_frames.fill_row(f) for f in fills if f.trade_id >= from_id][:limit]
        found = within(fills, start, end, lambda f: f.ts_us)
        return [account_frames.fill_row(f) for f in (found[:limit] if start is not None else found[-limit:])]

    def _identified(self, params: Params) -> tuple[Instrument, int | None, str | None]:
        rules, order_id, client_id = listed(self._venue, params), params.integer("orderId"), params.optional("origClientOrderId")
        if order_id is None and client_id is None:
            raise refusal(-1102, "origClientOrderId")
        return rules, order_id, client_id


def listed(venue: SimulatedVenue, params: Params) -> Instrument:
    """Return the instrument that `symbol` names.

    Raises
    ------
    VenueError
        It is not listed (-1121).
    """
    rules = venue.instruments.get(params.text("symbol"))
    if rules is None:
        raise refusal(-1121)
    return rules


def within(rows: Iterable[_Row], start_ms: int | None, end_ms: int | None, ts_us: Callable[[_Row], int]) -> list[_Row]:
    """Return the rows of a time range, both ends inclusive and optional."""
    return [r for r in rows if (start_ms is None or ts_us(r) // 1000 >= start_ms) and (end_ms is None or ts_us(r) // 1000 <= end_ms)]


def _choice(kind: type[_Choice], value: str, code: int) -> _Choice:
    try:
        return kind(value)
    except ValueError:
        raise refusal(code) from None
