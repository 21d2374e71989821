"""One REST endpoint: its weight, its security, its parameters, and the answer in the venue's form."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum, auto
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web
from pydantic import SecretStr

from connectors.exchange.simulated.account.refusal import PartlyDoneError, refusal
from connectors.exchange.simulated.faults.plan import (
    AcceptThenTimeOut,
    Delay,
    Faults,
    Maintenance,
    Respond,
    UnknownOrder,
    WrongTime,
    error_of,
)
from connectors.exchange.simulated.market.instruments import Product
from connectors.exchange.simulated.rest.limits import Limits
from quantum.errors import VenueError

DEFAULT_RECV_WINDOW_MS = 5_000
MAX_RECV_WINDOW_MS = 60_000
AHEAD_MS = 1_000


class Security(Enum):
    """What a request must carry."""

    NONE = auto()
    KEY = auto()
    """The API key."""
    SIGNED = auto()
    """The API key, a timestamp and a signature."""


class Params:
    """Parameters of one request, from query string and body."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        """Return a mandatory parameter."""
        value = self._values.get(name, "")
        if not value:
            raise refusal(-1102, name)
        return value

    def optional(self, name: str) -> str | None:
        """Return an optional parameter."""
        return self._values.get(name) or None

    def integer(self, name: str, *, least: int = 0) -> int | None:
        """Return an optional whole number."""
        value = self.optional(name)
        if value is None:
            return None
        try:
            number = int(value)
        except ValueError:
            raise refusal(-1102, name) from None
        if number < least:
            raise refusal(-1130, name)
        return number

    def decimal(self, name: str) -> Decimal | None:
        """Return an optional decimal number."""
        value = self.optional(name)
        if value is None:
            return None
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise refusal(-1102, name) from None
        if not number.is_finite():
            raise refusal(-1102, name)
        return number

    def flag(self, name: str) -> bool:
        """Return an optional ``true`` or ``false``, false by default."""
        value = self.optional(name)
        if value is None:
            return False
        if value.lower() not in ("true", "false"):
            raise refusal(-1130, name)
        return value.lower() == "true"

    def limit(self, default: int, most: int) -> int:
        """Return `limit`, which the venue cuts to `most`."""
        value = self.integer("limit", least=1)
        return default if value is None else min(value, most)


Handler = Callable[[Params], Awaitable[Any]]
Weight = Callable[[Params], int]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path."""

    method: str
    path: str
    handler: Handler
    weight: int | Weight = 1
    security: Security = Security.NONE
    order: bool = False
    """Counts as an order, and may be told to time out after it was accepted."""
    query: bool = False
    """Asks for one order, and may be told that there is none."""

    @property
    def name(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The key that an account is reached with."""

    key: str
    secret: SecretStr

    def sign(self, payload: str) -> str:
        """Return the HMAC-SHA256 of `payload` in hex."""
        return hmac.new(self.secret.get_secret_value().encode(), payload.encode(), hashlib.sha256).hexdigest()


class Gate:
    """What every request of one listener passes: faults, weight, key, signature and timestamp.

    Parameters
    ----------
    product
        The product of the listener.
    credentials
        Of the account; None where no account is served.
    limits, faults
        Shared by all endpoints of the listener.
    clock
        Returns the server's time, microseconds.

    Attributes
    ----------
    limits
        Weights and orders of this listener.
    """

    def __init__(self, product: Product, credentials: Credentials | None, limits: Limits, faults: Faults, clock: Callable[[], int]) -> None:
        self._product = product
        self._credentials = credentials
        self.limits = limits
        self._faults = faults
        self._clock = clock

    def route(self, endpoint: Endpoint) -> web.RouteDef:
        """Return the route of an endpoint."""

        async def handle(request: web.Request) -> web.StreamResponse:
            headers: dict[str, str] = {}
            try:
                body = await self._answer(endpoint, request, headers)
            except VenueError as error:
                self._faults.requests[self._product, endpoint.name, error.code] += 1
                return self._response(error.status, {"code": error.code, "msg": error.message, **error_data(error)}, headers)
            self._faults.requests[self._product, endpoint.name, 200] += 1
            return self._response(200, body, headers)

        return web.route(endpoint.method, endpoint.path, handle)

    async def _answer(self, endpoint: Endpoint, request: web.Request, headers: dict[str, str]) -> Any:
        raw_query = request.raw_path.partition("?")[2]
        raw_body = await request.text() if request.can_read_body else ""
        params = Params(dict(parse_qsl(raw_query, keep_blank_values=True)) | dict(parse_qsl(raw_body, keep_blank_values=True)))
        weight = endpoint.weight if isinstance(endpoint.weight, int) else endpoint.weight(params)
        now = self._clock()
        refused = self.limits.spend(weight, now)
        headers.update(self.limits.headers(now))
        if self._faults.strike(Maintenance, self._product, endpoint.name, now) is not None:
            raise refusal(-1016, message="This service is under maintenance.", status=503)
        if (delay := self._faults.strike(Delay, self._product, endpoint.name, now)) is not None:
            await asyncio.sleep(delay.delay_seconds)
        if (fault := self._faults.strike(Respond, self._product, endpoint.name, now)) is not None:
            if fault.status in (418, 429):
                headers["Retry-After"] = str(fault.retry_after)
            raise error_of(fault)
        if refused is None and endpoint.order:
            refused = self.limits.order(now)
            headers.update(self.limits.order_headers(now))
        if refused is not None:
            headers["Retry-After"] = str(refused[1])
            raise refused[0]
        if endpoint.security is not Security.NONE:
            self._check_key(request)
        if endpoint.security is Security.SIGNED:
            if self._faults.strike(WrongTime, self._product, endpoint.name, now) is not None:
                raise refusal(-1021)
            self._check_signature(raw_query, raw_body, params)
        if endpoint.query and self._faults.strike(UnknownOrder, self._product, endpoint.name, now) is not None:
            raise refusal(-2013)
        answer = await endpoint.handler(params)
        if endpoint.order and (slow := self._faults.strike(AcceptThenTimeOut, self._product, endpoint.name, now)) is not None:
            if slow.hang_seconds:
                await asyncio.sleep(slow.hang_seconds)
                if request.transport is not None:
                    request.transport.abort()
            raise refusal(-1007)
        return answer

    def _check_key(self, request: web.Request) -> None:
        key = request.headers.get("X-MBX-APIKEY", "")
        if not key:
            raise refusal(-2014)
        if self._credentials is None or not hmac.compare_digest(key.encode(), self._credentials.key.encode()):
            raise refusal(-2015)

    def _check_signature(self, raw_query: str, raw_body: str, params: Params) -> None:
        """Check the signature over query string and body as sent, without the signature itself, then the timestamp."""
        signature = params.text("signature")
        payload = _unsigned(raw_query) + _unsigned(raw_body)
        if self._credentials is None or not hmac.compare_digest(signature.lower().encode(), self._credentials.sign(payload).encode()):
            raise refusal(-1022)
        timestamp = params.integer("timestamp")
        if timestamp is None:
            raise refusal(-1102, "timestamp")
        window = params.integer("recvWindow", least=1)
        window = DEFAULT_RECV_WINDOW_MS if window is None else window
        if window > MAX_RECV_WINDOW_MS:
            raise refusal(-1131, message="recvWindow must be less than 60000.")
        now = self._clock() // 1000
        if timestamp >= now + AHEAD_MS:
            raise refusal(-1021, message=f"Timestamp for this request was {AHEAD_MS}ms ahead of the server's time.")
        if now - timestamp > window:
            raise refusal(-1021)

    @staticmethod
    def _response(status: int, body: Any, headers: dict[str, str]) -> web.Response:
        return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json", headers=headers)


def error_data(error: VenueError) -> dict[str, Any]:
    """Return what an error says besides its code and message."""
    return {"data": error.data} if isinstance(error, PartlyDoneError) else {}


def _unsigned(raw: str) -> str:
    return "&".join(part for part in raw.split("&") if not part.startswith("signature="))
