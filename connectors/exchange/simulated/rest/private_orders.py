"""Order REST endpoints of USD-margined perpetuals."""

from __future__ import annotations

from typing import Any

from connectors.exchange.simulated.account.ledger import ZERO
from connectors.exchange.simulated.account.orders import OrderRequest, OrderType, Side, TimeInForce
from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.dialect import account_frames
from connectors.exchange.simulated.rest.endpoint import Endpoint, Params, Security
from connectors.exchange.simulated.rest.forms import choice, identified, listed, needed, within, without
from connectors.exchange.simulated.venue.futures import FuturesVenue


class OrderApi:
    """Handlers over the orders of one account.

    Parameters
    ----------
    venue
        The account.
    """

    def __init__(self, venue: FuturesVenue) -> None:
        self._venue = venue

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        signed = Security.SIGNED
        return [
            Endpoint("POST", "/fapi/v1/order", self.place, 0, signed, order=True),
            Endpoint("PUT", "/fapi/v1/order", self.modify, 1, signed),
            Endpoint("GET", "/fapi/v1/order", self.query, 1, signed, query=True),
            Endpoint("DELETE", "/fapi/v1/order", self.cancel, 1, signed),
            Endpoint("DELETE", "/fapi/v1/allOpenOrders", self.cancel_all, 1, signed),
            Endpoint("GET", "/fapi/v1/openOrder", self.open_order, 1, signed, query=True),
            Endpoint("GET", "/fapi/v1/openOrders", self.open_orders, lambda p: 1 if p.optional("symbol") else 40, signed),
            Endpoint("GET", "/fapi/v1/allOrders", self.all_orders, 5, signed),
            Endpoint("GET", "/fapi/v1/userTrades", self.user_trades, 5, signed),
        ]

    async def place(self, params: Params) -> Any:
        """Place an order; conditional ones have an endpoint of their own."""
        rules = listed(self._venue, params)
        side = choice(Side, params.text("side"), -1117)
        kind = choice(OrderType, params.text("type"), -1116)
        if kind.conditional:
            raise refusal(-4120)
        if (params.optional("positionSide") or "BOTH") != "BOTH":
            raise refusal(-4061)
        quantity = needed(params, "quantity")
        price, in_force = ZERO, TimeInForce.GTC
        if kind is OrderType.LIMIT:
            in_force = choice(TimeInForce, params.text("timeInForce"), -1115)
            price = needed(params, "price")
        else:
            without(params, "price", "timeInForce")
        without(params, "stopPrice", "callbackRate", "activationPrice")
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

    async def modify(self, params: Params) -> Any:
        """Change quantity and price of a resting limit order."""
        rules, order_id, client_id = identified(self._venue, params)
        side, quantity, price = choice(Side, params.text("side"), -1117), needed(params, "quantity"), needed(params, "price")
        order = self._venue.store.find(rules.symbol, order_id, client_id)
        if order is None or order.side is not side:
            raise refusal(-2013)
        return account_frames.order_row(await self._venue.amend(order, quantity, price), queried=False)

    async def query(self, params: Params) -> Any:
        """Return one order."""
        rules, order_id, client_id = identified(self._venue, params)
        order = self._venue.store.find(rules.symbol, order_id, client_id)
        if order is None:
            raise refusal(-2013)
        return account_frames.order_row(order, queried=True)

    async def cancel(self, params: Params) -> Any:
        """Cancel one order."""
        rules, order_id, client_id = identified(self._venue, params)
        return account_frames.order_row(await self._venue.cancel(rules.symbol, order_id, client_id), queried=False)

    async def cancel_all(self, params: Params) -> Any:
        """Cancel every open order of a symbol."""
        symbol = listed(self._venue, params).symbol
        for order in self._venue.store.open_orders(symbol):
            if order.is_open:
                await self._venue.cancel(symbol, order.id, None)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    async def open_order(self, params: Params) -> Any:
        """Return one open order."""
        rules, order_id, client_id = identified(self._venue, params)
        order = self._venue.store.find(rules.symbol, order_id, client_id)
        if order is None or not order.is_open:
            raise refusal(-2013)
        return account_frames.order_row(order, queried=True)

    async def open_orders(self, params: Params) -> Any:
        """Return the open orders of one symbol or all."""
        symbol = listed(self._venue, params).symbol if params.optional("symbol") else None
        return [account_frames.order_row(o, queried=True) for o in self._venue.store.open_orders(symbol)]

    async def all_orders(self, params: Params) -> Any:
        """Return the orders of a symbol, oldest first."""
        rows = self._venue.store.orders(listed(self._venue, params).symbol)
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
        fills = [f for f in self._venue.store.fills if f.symbol == symbol and order_id in (None, f.order_id)]
        if from_id is not None:
            return [account_frames.fill_row(f) for f in fills if f.trade_id >= from_id][:limit]
        found = within(fills, start, end, lambda f: f.ts_us)
        return [account_frames.fill_row(f) for f in (found[:limit] if start is not None else found[-limit:])]
