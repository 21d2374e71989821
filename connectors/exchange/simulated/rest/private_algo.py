"""REST endpoints of conditional orders of USD-margined perpetuals, which the venue calls algo orders."""

from __future__ import annotations

from typing import Any

from connectors.exchange.simulated.account.ledger import ZERO
from connectors.exchange.simulated.account.orders import Conditional, OrderRequest, OrderType, Side, TimeInForce, WorkingType
from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.dialect.account_frames import algo_row
from connectors.exchange.simulated.rest.endpoint import Endpoint, Params, Security
from connectors.exchange.simulated.rest.forms import choice, listed, needed, within, without
from connectors.exchange.simulated.venue.futures import FuturesVenue

_CLOSING = (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET)


class AlgoApi:
    """Handlers over the conditional orders of one account.

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
            Endpoint("POST", "/fapi/v1/algoOrder", self.place, 0, signed, order=True),
            Endpoint("GET", "/fapi/v1/algoOrder", self.query, 1, signed, query=True),
            Endpoint("DELETE", "/fapi/v1/algoOrder", self.cancel, 1, signed),
            Endpoint("DELETE", "/fapi/v1/algoOpenOrders", self.cancel_all, 1, signed),
            Endpoint("GET", "/fapi/v1/openAlgoOrders", self.open_orders, lambda p: 1 if p.optional("symbol") else 40, signed),
            Endpoint("GET", "/fapi/v1/allAlgoOrders", self.all_orders, 5, signed),
        ]

    async def place(self, params: Params) -> Any:
        """Place a conditional order."""
        if params.text("algoType") != "CONDITIONAL":
            raise refusal(-1130, "algoType")
        rules = listed(self._venue, params)
        side = choice(Side, params.text("side"), -1117)
        kind = choice(OrderType, params.text("type"), -1116)
        if not kind.conditional:
            raise refusal(-1116)
        if (params.optional("positionSide") or "BOTH") != "BOTH":
            raise refusal(-4061)
        closing = params.flag("closePosition")
        if closing:
            if kind not in _CLOSING:
                raise refusal(-1106, "closePosition")
            without(params, "quantity", "reduceOnly")
        price, in_force = ZERO, TimeInForce.GTC
        if kind.limited:
            price = needed(params, "price")
            in_force = choice(TimeInForce, params.optional("timeInForce") or "GTC", -1115)
        else:
            without(params, "price")
        callback = ZERO
        if kind is OrderType.TRAILING_STOP_MARKET:
            trigger, callback = params.decimal("activatePrice") or ZERO, needed(params, "callbackRate") / 100
        else:
            trigger = needed(params, "triggerPrice")
            without(params, "activatePrice", "callbackRate")
        request = OrderRequest(
            symbol=rules.symbol,
            side=side,
            type=kind,
            quantity=ZERO if closing else needed(params, "quantity"),
            price=price,
            time_in_force=in_force,
            reduce_only=params.flag("reduceOnly"),
            client_order_id=params.optional("clientAlgoId") or "",
            trigger=trigger,
            callback=callback,
            working_type=choice(WorkingType, params.optional("workingType") or "CONTRACT_PRICE", -1130),
            close_position=closing,
        )
        return algo_row(await self._venue.place_conditional(request))

    async def query(self, params: Params) -> Any:
        """Return one conditional order."""
        conditional = self._venue.conditionals.find(*self._identified(params))
        if conditional is None:
            raise refusal(-2013)
        return algo_row(conditional)

    async def cancel(self, params: Params) -> Any:
        """Cancel one waiting order."""
        conditional = await self._venue.cancel_conditional(*self._identified(params))
        return {"algoId": conditional.id, "clientAlgoId": conditional.client_id, "code": "200", "msg": "success"}

    async def cancel_all(self, params: Params) -> Any:
        """Cancel every waiting order of a symbol."""
        for conditional in self._venue.conditionals.every(listed(self._venue, params).symbol, waiting=True):
            await self._venue.cancel_conditional(conditional.id, None)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    async def open_orders(self, params: Params) -> Any:
        """Return the waiting orders of one symbol or all."""
        symbol = listed(self._venue, params).symbol if params.optional("symbol") else None
        return [algo_row(c) for c in self._venue.conditionals.every(symbol, waiting=True)]

    async def all_orders(self, params: Params) -> Any:
        """Return the conditional orders of a symbol, oldest first."""
        rows: list[Conditional] = self._venue.conditionals.every(listed(self._venue, params).symbol)
        from_id, limit = params.integer("algoId"), params.limit(500, 1000)
        if from_id is not None:
            return [algo_row(c) for c in rows if c.id >= from_id][:limit]
        return [algo_row(c) for c in within(rows, params.integer("startTime"), params.integer("endTime"), lambda c: c.created_us)][-limit:]

    @staticmethod
    def _identified(params: Params) -> tuple[int | None, str | None]:
        number, client_id = params.integer("algoId"), params.optional("clientAlgoId")
        if number is None and client_id is None:
            raise refusal(-1102, "clientAlgoId")
        return number, client_id
