"""REST endpoints of spot accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.exchange.simulated.account.ledger import ZERO
from connectors.exchange.simulated.account.orders import Order, OrderRequest, OrderType, Side, TimeInForce
from connectors.exchange.simulated.account.refusal import PartlyDoneError, refusal
from connectors.exchange.simulated.dialect import spot_frames
from connectors.exchange.simulated.rest.endpoint import Endpoint, Params, Security
from connectors.exchange.simulated.rest.forms import choice, identified, listed, needed, within, without
from connectors.exchange.simulated.venue.spot import SpotVenue
from quantum.errors import VenueError

_TIMES = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)


class SpotApi:
    """Handlers over one spot account.

    Parameters
    ----------
    venue
        The account.
    clock
        Returns the server's time, microseconds; listen keys expire by it.
    """

    def __init__(self, venue: SpotVenue, clock: Callable[[], int]) -> None:
        self._venue = venue
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        signed, key = Security.SIGNED, Security.KEY
        return [
            Endpoint("POST", "/api/v3/order", self.place, 1, signed, order=True),
            Endpoint("POST", "/api/v3/order/cancelReplace", self.cancel_replace, 1, signed, order=True),
            Endpoint("GET", "/api/v3/order", self.query, 4, signed, query=True),
            Endpoint("DELETE", "/api/v3/order", self.cancel, 1, signed),
            Endpoint("DELETE", "/api/v3/openOrders", self.cancel_all, 1, signed),
            Endpoint("GET", "/api/v3/openOrders", self.open_orders, lambda p: 6 if p.optional("symbol") else 80, signed),
            Endpoint("GET", "/api/v3/allOrders", self.all_orders, 20, signed),
            Endpoint("GET", "/api/v3/myTrades", self.my_trades, 20, signed),
            Endpoint("GET", "/api/v3/account", self.account, 20, signed),
            Endpoint("POST", "/api/v3/userDataStream", self.open_stream, 2, key),
            Endpoint("PUT", "/api/v3/userDataStream", self.keep_stream, 2, key),
            Endpoint("DELETE", "/api/v3/userDataStream", self.close_stream, 2, key),
        ]

    async def place(self, params: Params) -> Any:
        """Place an order."""
        request = self._request(params)
        simple = request.type is OrderType.MARKET or request.type is OrderType.LIMIT
        answer = params.optional("newOrderRespType") or ("FULL" if simple else "ACK")
        if answer not in ("ACK", "RESULT", "FULL"):
            raise refusal(-1130, "newOrderRespType")
        taken, order = await self._venue.place(request)
        if answer == "ACK":
            return spot_frames.ack_row(taken)
        return spot_frames.result_row(order, [f for f in self._venue.store.fills if f.order_id == order.id] if answer == "FULL" else None)

    async def cancel_replace(self, params: Params) -> Any:
        """Cancel one order and place another."""
        mode = params.text("cancelReplaceMode")
        if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
            raise refusal(-1130, "cancelReplaceMode")
        symbol, order_id, client_id = (
            listed(self._venue, params).symbol,
            params.integer("cancelOrderId"),
            params.optional("cancelOrigClientOrderId"),
        )
        if order_id is None and client_id is None:
            raise refusal(-1102, "cancelOrigClientOrderId")
        request = self._request(params)
        cancelled: Order | VenueError
        placed: Order | VenueError | None = None
        try:
            cancelled = await self._venue.cancel(symbol, order_id, client_id)
        except VenueError as error:
            cancelled = error
        if isinstance(cancelled, Order) or mode == "ALLOW_FAILURE":
            try:
                placed = (await self._venue.place(request))[1]
            except VenueError as error:
                placed = error
        data = {
            "cancelResult": "SUCCESS" if isinstance(cancelled, Order) else "FAILURE",
            "newOrderResult": "NOT_ATTEMPTED" if placed is None else "SUCCESS" if isinstance(placed, Order) else "FAILURE",
            "cancelResponse": spot_frames.cancel_row(cancelled) if isinstance(cancelled, Order) else _problem(cancelled),
            "newOrderResponse": spot_frames.result_row(placed) if isinstance(placed, Order) else placed and _problem(placed),
        }
        if isinstance(cancelled, Order) and isinstance(placed, Order):
            return data
        if isinstance(cancelled, Order) or isinstance(placed, Order):
            raise PartlyDoneError("Order cancel-replace partially failed.", code=-2021, status=409, data=data)
        raise PartlyDoneError("Order cancel-replace failed.", code=-2022, status=400, data=data)

    async def query(self, params: Params) -> Any:
        """Return one order."""
        rules, order_id, client_id = identified(self._venue, params)
        order = self._venue.store.find(rules.symbol, order_id, client_id)
        if order is None:
            raise refusal(-2013)
        return spot_frames.order_row(order)

    async def cancel(self, params: Params) -> Any:
        """Cancel one order."""
        rules, order_id, client_id = identified(self._venue, params)
        return spot_frames.cancel_row(await self._venue.cancel(rules.symbol, order_id, client_id))

    async def cancel_all(self, params: Params) -> Any:
        """Cancel every open order of a symbol."""
        symbol = listed(self._venue, params).symbol
        orders = self._venue.store.open_orders(symbol)
        if not orders:
            raise refusal(-2011)
        return [spot_frames.cancel_row(await self._venue.cancel(symbol, order.id, None)) for order in orders if order.is_open]

    async def open_orders(self, params: Params) -> Any:
        """Return the open orders of one symbol or all."""
        symbol = listed(self._venue, params).symbol if params.optional("symbol") else None
        return [spot_frames.order_row(o) for o in self._venue.store.open_orders(symbol)]

    async def all_orders(self, params: Params) -> Any:
        """Return the orders of a symbol, oldest first."""
        rows = self._venue.store.orders(listed(self._venue, params).symbol)
        from_id, limit = params.integer("orderId"), params.limit(500, 1000)
        if from_id is not None:
            return [spot_frames.order_row(o) for o in rows if o.id >= from_id][:limit]
        found = within(rows, params.integer("startTime"), params.integer("endTime"), lambda o: o.created_us)
        return [spot_frames.order_row(o) for o in found[-limit:]]

    async def my_trades(self, params: Params) -> Any:
        """Return the account's fills of a symbol, oldest first."""
        symbol, limit = listed(self._venue, params).symbol, params.limit(500, 1000)
        order_id, from_id = params.integer("orderId"), params.integer("fromId")
        fills = [f for f in self._venue.store.fills if f.symbol == symbol and order_id in (None, f.order_id)]
        if from_id is not None:
            return [spot_frames.fill_row(f) for f in fills if f.trade_id >= from_id][:limit]
        return [spot_frames.fill_row(f) for f in within(fills, params.integer("startTime"), params.integer("endTime"), lambda f: f.ts_us)][
            -limit:
        ]

    async def account(self, _: Params) -> Any:
        """Return the balances."""
        return spot_frames.account_row(self._venue.accounting, self._clock() // 1000)

    async def open_stream(self, _: Params) -> Any:
        """Open the user stream."""
        return {"listenKey": self._venue.open_stream(self._clock())}

    async def keep_stream(self, params: Params) -> Any:
        """Keep the user stream for another hour."""
        if params.text("listenKey") != self._venue.listen_key:
            raise refusal(-1125)
        self._venue.keep_stream(self._clock())
        return {}

    async def close_stream(self, _: Params) -> Any:
        """Close the user stream."""
        self._venue.close_stream()
        return {}

    def _request(self, params: Params) -> OrderRequest:
        rules = listed(self._venue, params)
        side, name = choice(Side, params.text("side"), -1117), params.text("type")
        kind = spot_frames.TYPES.get(name)
        if kind is None:
            raise refusal(-1116)
        price, in_force, trigger = ZERO, TimeInForce.GTX if name == "LIMIT_MAKER" else TimeInForce.GTC, ZERO
        if kind.limited:
            price = needed(params, "price")
            if name == "LIMIT_MAKER":
                without(params, "timeInForce")
            else:
                in_force = choice(TimeInForce, params.text("timeInForce"), -1115)
                if in_force not in _TIMES:
                    raise refusal(-1115)
        else:
            without(params, "price", "timeInForce")
        if kind.conditional:
            trigger = needed(params, "stopPrice")
        else:
            without(params, "stopPrice")
        return OrderRequest(
            symbol=rules.symbol,
            side=side,
            type=kind,
            quantity=needed(params, "quantity"),
            price=price,
            time_in_force=in_force,
            client_order_id=params.optional("newClientOrderId") or "",
            trigger=trigger,
        )


def _problem(error: VenueError) -> dict[str, object]:
    return {"code": error.code, "msg": error.message}
