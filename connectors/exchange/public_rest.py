"""REST of a venue that is only looked at: no keys, no orders. Keeps below its rate, and says of every failure what it means."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp

from connectors.exchange.errors import NotSentError, RateLimitedError, VenueAwayError
from connectors.exchange.health.round_trips import RoundTrips
from quantum.errors import VenueError

log = logging.getLogger(__name__)

ATTEMPTS = 3
WORST_WAIT_S = 30.0
TOO_MANY_S = {403: 600.0, 429: 1.0}
"""Answers to too many requests, and how long to wait where the venue does not say: Bybit shuts an address out for ten minutes."""


class Answer(NamedTuple):
    """Body and headers of an answer with status 200."""

    body: bytes
    headers: Mapping[str, str]


class PublicRest:
    """A REST client; an asynchronous context manager.

    Parameters
    ----------
    name
        Name of the venue.
    base
        Base URL.
    a_minute
        Requests a minute that the venue allows; they are spread evenly.
    timeout_s
        Longest that a call may take, seconds.
    """

    def __init__(self, name: str, base: str, a_minute: int, timeout_s: float) -> None:
        self.name = name
        self.round_trips = RoundTrips(name)
        self._base = base.rstrip("/")
        self._spacing_s = 60.0 / a_minute
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=min(timeout_s, 5.0))
        self._http: aiohttp.ClientSession | None = None
        self._free_at = 0.0

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=self._timeout, headers={"User-Agent": "quantum-trader"})
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    def block(self, wait_s: float) -> None:
        """Send nothing for a while: the venue says that it was asked too much."""
        self._free_at = max(self._free_at, time.monotonic() + wait_s)

    async def get(self, path: str, parameters: Mapping[str, str | int] | None = None) -> Answer:
        """Ask for something; what the venue refused for its rate is asked again, up to three times in all.

        Raises
        ------
        VenueError
            Refused for good.
        VenueAwayError
            No good answer; may be asked again later.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._once(path, parameters or {})
            except RateLimitedError as error:
                if attempt == ATTEMPTS or error.retry_after_s > WORST_WAIT_S:
                    raise
                log.warning("%s: %s; waiting %.1f s", self.name, error.message, error.retry_after_s)
        raise AssertionError("unreachable")

    async def _once(self, path: str, parameters: Mapping[str, str | int]) -> Answer:
        if self._http is None:
            raise NotSentError("the REST client is not open", "use it as an asynchronous context manager")
        now = time.monotonic()
        start = max(now, self._free_at)
        if start - now > WORST_WAIT_S:
            raise RateLimitedError(f"{self.name} may not be asked for {start - now:.0f} s", start - now)
        self._free_at = start + self._spacing_s
        await asyncio.sleep(start - now)
        sent = time.monotonic()
        try:
            async with self._http.get(f"{self._base}{path}", params=parameters) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise VenueAwayError(f"GET {path} of {self.name} got no answer: {error!r}", "see whether the venue can be reached") from error
        self.round_trips.add(time.monotonic() - sent)
        what = f"GET {path} of {self.name}: {answer.status} {body[:200].decode(errors='replace')}"
        if answer.status == 200:
            return Answer(body, answer.headers)
        if answer.status in TOO_MANY_S:
            stated = answer.headers.get("Retry-After", "")
            wait = float(stated) if stated.isdigit() else TOO_MANY_S[answer.status]
            self.block(wait)
            raise RateLimitedError(what, wait)
        if answer.status >= 500 or answer.status == 408:
            raise VenueAwayError(what, "see the venue's status page")
        raise VenueError(what, code=0, status=answer.status)
