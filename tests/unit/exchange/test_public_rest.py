"""REST of venues that are only looked at: what is tried again, what is waited out, what is refused."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from connectors.exchange.errors import RateLimitedError, VenueAwayError
from connectors.exchange.public_rest import PublicRest
from quantum.errors import VenueError

Answers = list[web.Response]


@pytest.fixture
async def rest_of() -> AsyncIterator[Callable[[Answers], PublicRest]]:
    """Return a maker of a client whose venue gives these answers, one after another."""
    answers: Answers = []

    async def answer(_: web.Request) -> web.Response:
        return answers.pop(0)

    app = web.Application()
    app.router.add_get("/thing", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    def make(given: Answers) -> PublicRest:
        answers[:] = given
        return PublicRest("venue", f"http://127.0.0.1:{runner.addresses[0][1]}", a_minute=6_000, timeout_s=2.0)

    yield make
    await runner.cleanup()


async def test_a_rate_limit_is_waited_out_as_long_as_the_venue_says(rest_of: Callable[[Answers], PublicRest]) -> None:
    limited = web.Response(status=429, headers={"Retry-After": "1"})
    async with rest_of([limited, web.Response(text="yes")]) as rest:
        began = time.monotonic()
        assert (await rest.get("/thing")).body == b"yes"
        assert time.monotonic() - began >= 1.0
        assert len(rest.round_trips.values()) == 2
        assert max(rest.round_trips.values()) < 1.0, "the wait counts as a round trip"


async def test_a_venue_that_shuts_us_out_is_not_asked_again(rest_of: Callable[[Answers], PublicRest]) -> None:
    async with rest_of([web.Response(status=403, text="access too frequent")]) as rest:
        with pytest.raises(RateLimitedError, match="403") as refused:
            await rest.get("/thing")
        assert refused.value.retry_after_s == 600.0
        with pytest.raises(RateLimitedError, match="may not be asked"):
            await rest.get("/thing")


async def test_troubles_of_the_venue_and_refusals_are_told_apart(rest_of: Callable[[Answers], PublicRest]) -> None:
    async with rest_of([web.Response(status=503), web.Response(status=404, text="no such product")]) as rest:
        with pytest.raises(VenueAwayError, match="503"):
            await rest.get("/thing")
        with pytest.raises(VenueError, match="no such product") as refused:
            await rest.get("/thing")
        assert refused.value.status == 404


async def test_a_venue_that_cannot_be_reached_is_away() -> None:
    async with PublicRest("venue", "http://127.0.0.1:1", a_minute=6_000, timeout_s=1.0) as rest:
        with pytest.raises(VenueAwayError, match="no answer"):
            await rest.get("/thing")
        assert rest.round_trips.values() == []
