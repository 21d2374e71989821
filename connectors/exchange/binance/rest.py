"""REST client of one venue: signs, keeps within the weight limits, corrects the clock, and says of every failure what it means."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from enum import Enum
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
import msgspec
import yarl

from connectors.exchange.binance.limits import WeightBudget
from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.binance.signing import Parameter, query_of, signed_query
from connectors.exchange.errors import NotSentError, RateLimitedError, UnknownOutcomeError
from connectors.exchange.health.round_trips import RoundTrips
from connectors.exchange.venues import Venue
from quantum.errors import RetryError, VenueError

log = logging.getLogger(__name__)

TIMESTAMP_REFUSED = -1021
UNKNOWN_OUTCOMES = {-1000, -1001, -1006, -1007}  # "unknown", "disconnected", "unexpected response", "timeout waiting for the backend"
TOO_MANY = {-1003, -1008, -1015}
ATTEMPTS = 3
WORST_WAIT_S = 30.0
CLOCK_IS_GOOD_FOR_S = 300.0

AnswerT = TypeVar("AnswerT")


class Security(Enum):
    """What a request needs to be accepted."""

    NONE = "none"
    KEY = "key"
    SIGNED = "signed"


class _Problem(msgspec.Struct):
    code: int
    msg: str = ""


class _Time(msgspec.Struct):
    serverTime: int  # noqa: N815 - the venue's own name


class BinanceRest:
    """REST client of one venue; an asynchronous context manager.

    Parameters
    ----------
    venue
        The venue.
    settings
        Endpoint and credentials.
    """

    def __init__(self, venue: Venue, settings: VenueSettings) -> None:
        self.venue = venue
        self.budget = WeightBudget(venue.weight_limit)
        self.round_trips = RoundTrips(venue.name)
        self.offset_us = 0
        self.recv_window_ms = settings.recv_window_ms
        self._base = settings.rest_url(venue)
        self._key = settings.api_key.get_secret_value()
        self._secret = settings.api_secret.get_secret_value()
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s, connect=min(settings.timeout_s, 5.0))
        self._http: aiohttp.ClientSession | None = None
        self._clock_read = float("-inf")

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=self._timeout, headers={"X-MBX-APIKEY": self._key})
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    def now_us(self) -> int:
        """Return the venue's time, as well as it is known, microseconds since the epoch."""
        return time.time_ns() // 1_000 + self.offset_us

    async def read_clock(self) -> int:
        """Ask the venue for its time; return its clock minus ours, microseconds."""
        sent = time.time_ns() // 1_000
        answer = decoded(await self._once("GET", self.path("time"), "", urgent=True), _Time)
        received = time.time_ns() // 1_000
        self.offset_us = answer.serverTime * 1_000 - (sent + received) // 2
        self._clock_read = time.monotonic()
        return self.offset_us

    async def get(
        self,
        path: str,
        answer: type[AnswerT],
        parameters: Mapping[str, Parameter] | None = None,
        security: Security = Security.NONE,
        *,
        urgent: bool = False,
    ) -> AnswerT:
        """Ask for something; return the answer as the given type. Raises what `call` does."""
        return decoded(await self.call("GET", path, parameters, security, urgent=urgent), answer)

    def path(self, name: str) -> str:
        """Return the path of an endpoint of the venue's own version."""
        return f"{self.venue.prefix}/{name}"

    async def call(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Parameter] | None = None,
        security: Security = Security.NONE,
        *,
        urgent: bool = False,
        not_after: float | None = None,
    ) -> bytes:
        """Send a request; return the body of its answer.

        A request that the venue has certainly not acted on (429, -1021) is sent again, up to three times in all.

        Parameters
        ----------
        method
            HTTP method.
        path
            Path, with its version.
        parameters
            Parameters in the order in which they are sent.
        security
            Whether the request carries a time and a signature.
        urgent
            Whether it may use what is left of the weight limit: orders and their queries.
        not_after
            Monotonic time after which it is not signed any more. The venue refuses it ``recv_window_ms`` after it was signed, so
            that a process that was stopped in between cannot have it acted on later than the sum of the two.

        Raises
        ------
        VenueError
            Refused for good.
        NotSentError
            Not acted on; may be sent again later.
        UnknownOutcomeError
            May have been acted on.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if security is Security.SIGNED:
                    if time.monotonic() - self._clock_read > CLOCK_IS_GOOD_FOR_S:
                        await self.read_clock()
                    signed_ms = self.now_us() // 1_000
                    if not_after is not None and time.monotonic() > not_after:
                        raise NotSentError(
                            f"{method} {path} was held up for too long before it was sent", "it is sent again if it still may"
                        )
                    query = signed_query(self._secret, parameters or {}, signed_ms, self.recv_window_ms)
                else:
                    query = query_of(parameters or {})
                return await self._once(method, path, query, urgent=urgent)
            except RateLimitedError as error:
                if attempt == ATTEMPTS or error.retry_after_s > WORST_WAIT_S:
                    raise
                log.warning("%s: %s; waiting %.1f s", self.venue.name, error.message, error.retry_after_s)
            except VenueError as error:
                if error.code != TIMESTAMP_REFUSED:
                    raise
                if attempt == ATTEMPTS:
                    raise NotSentError(
                        f"{self.venue.name} refuses our time: {error.message}", "see whether this host's clock jumps"
                    ) from error
                log.warning("%s: our clock is off, was %d us; reading the venue's", self.venue.name, self.offset_us)
                await self.read_clock()
        raise AssertionError("unreachable")

    async def _once(self, method: str, path: str, query: str, *, urgent: bool) -> bytes:
        if self._http is None:
            raise NotSentError("the REST client is not open", "use it as an asynchronous context manager")
        wait = self.budget.wait_s(time.monotonic(), urgent=urgent)
        if wait > WORST_WAIT_S and urgent:
            raise RateLimitedError(f"{self.venue.name} allows no request for {wait:.0f} s", wait)
        await asyncio.sleep(wait)
        sent = time.monotonic()
        url = f"{self._base}{path}" + (f"?{query}" if query else "")
        try:
            async with self._http.request(method, _exactly(url)) as answer:
                body = await answer.read()
        except aiohttp.ClientConnectorError as error:
            raise NotSentError(f"{self.venue.name} cannot be reached at {self._base}: {error}", "see whether the venue runs") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnknownOutcomeError(f"{method} {path} of {self.venue.name} got no answer: {error!r}", "ask what became of it") from error
        self.round_trips.add(time.monotonic() - sent)
        used = answer.headers.get("X-MBX-USED-WEIGHT-1M")
        if used is not None and used.isdigit():
            self.budget.observe(int(used), time.monotonic(), self.now_us() / 1e6 % 60)
        if answer.status == 200:
            return body
        raise self._failure(method, path, answer.status, body, answer.headers.get("Retry-After"))

    def _failure(self, method: str, path: str, status: int, body: bytes, retry_after: str | None) -> RetryError | VenueError:
        try:
            problem = msgspec.json.decode(body, type=_Problem)
        except msgspec.DecodeError:
            problem = _Problem(0, body[:200].decode(errors="replace"))
        what = f"{method} {path} of {self.venue.name}: {status} {problem.code} {problem.msg}"
        if status in {429, 418} or problem.code in TOO_MANY:
            wait = float(retry_after) if retry_after is not None and retry_after.isdigit() else 1.0
            self.budget.block(wait, time.monotonic())
            return RateLimitedError(what, wait)
        if status >= 500 or status == 408 or problem.code in UNKNOWN_OUTCOMES:
            return UnknownOutcomeError(what, "ask what became of it before sending it again")
        if status == 403:
            return NotSentError(what, "the venue's firewall refuses this host; ask less")
        return VenueError(what, code=problem.code, status=status)


def decoded(body: bytes, answer: type[AnswerT]) -> AnswerT:
    """Return a body as a type; raises UnknownOutcomeError where it is not of that form."""
    try:
        return msgspec.json.decode(body, type=answer)
    except msgspec.DecodeError as error:
        raise UnknownOutcomeError(
            f"the answer {body[:200]!r} is no {answer}: {error}", "see whether the venue has changed its dialect"
        ) from error


def _exactly(url: str) -> yarl.URL:
    """Return a URL whose query is sent as it was signed."""
    return yarl.URL(url, encoded=True)
