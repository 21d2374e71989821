"""The control endpoint: faults put in force, listed and taken out again by JSON over HTTP, on loopback only.

``POST /faults`` takes one fault, for example ``{"kind": "respond", "status": 429, "count": 3}`` or
``{"kind": "drop_frame", "stream": "@depth", "probability": 0.01}``, and answers ``{"id": 1}``; ``GET /faults`` lists what is in force and
how often it has struck, ``DELETE /faults/1`` and ``DELETE /faults`` take out one or all; ``GET /requests`` counts what was answered,
``GET /strikes`` what the faults have done since the start.
``POST /transfers`` takes ``{"amount": "250"}`` and pays it into the futures account, or out of it where it is negative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web

from connectors.exchange.simulated.faults.plan import DropSockets, Fault, Faults, Maintenance
from connectors.exchange.simulated.market.instruments import Product
from connectors.exchange.simulated.server.hub import Hub
from connectors.exchange.simulated.server.site import Site
from connectors.exchange.simulated.venue.futures import FuturesVenue
from quantum.errors import VenueError


class _Transfer(msgspec.Struct, forbid_unknown_fields=True):
    amount: Decimal


class Control:
    """The control endpoint of one venue.

    Parameters
    ----------
    faults
        The faults of all its products.
    hubs
        By product.
    clock
        Returns the time, microseconds.
    futures
        The futures account, where there is one.
    """

    def __init__(self, faults: Faults, hubs: Mapping[Product, Hub], clock: Callable[[], int], futures: FuturesVenue | None) -> None:
        self._futures = futures
        self._faults = faults
        self._hubs = hubs
        self._clock = clock
        app = web.Application()
        app.router.add_get("/faults", self._list)
        app.router.add_post("/faults", self._add)
        app.router.add_delete("/faults", self._clear)
        app.router.add_delete(r"/faults/{number:\d+}", self._remove)
        app.router.add_get("/requests", self._requests)
        app.router.add_get("/strikes", self._strikes)
        app.router.add_post("/transfers", self._transfer)
        self.site = Site(app)

    async def _list(self, _: web.Request) -> web.Response:
        return _json(self._faults.rows(self._clock()))

    async def _add(self, request: web.Request) -> web.Response:
        try:
            fault = msgspec.json.decode(await request.read(), type=Fault)
        except msgspec.DecodeError as error:
            return _json({"error": str(error)}, 400)
        answer: dict[str, Any] = {}
        if isinstance(fault, DropSockets | Maintenance):
            answer["dropped"] = sum(hub.drop_all() for product, hub in self._hubs.items() if fault.product in (None, product))
        if not isinstance(fault, DropSockets):
            answer["id"] = self._faults.add(fault, self._clock())
        return _json(answer)

    async def _clear(self, _: web.Request) -> web.Response:
        self._faults.clear()
        return _json({})

    async def _remove(self, request: web.Request) -> web.Response:
        found = self._faults.remove(int(request.match_info["number"]))
        return _json({}, 200 if found else 404)

    async def _strikes(self, _: web.Request) -> web.Response:
        rows = [
            {"kind": kind, "product": product, "what": what, "count": count}
            for (kind, product, what), count in sorted(self._faults.strikes.items())
        ]
        return _json(rows)

    async def _transfer(self, request: web.Request) -> web.Response:
        if self._futures is None:
            return _json({"error": "no futures account"}, 404)
        try:
            amount = msgspec.json.decode(await request.read(), type=_Transfer).amount
            self._futures.transferred(amount)
        except (msgspec.DecodeError, VenueError) as error:
            return _json({"error": str(error)}, 400)
        return _json({"amount": amount})

    async def _requests(self, _: web.Request) -> web.Response:
        rows = [
            {"product": product, "request": request, "code": code, "count": count}
            for (product, request, code), count in sorted(self._faults.requests.items())
        ]
        return _json(rows)


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")
