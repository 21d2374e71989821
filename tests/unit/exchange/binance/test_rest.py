"""The REST client against a small server that answers as the venue does when something is wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from connectors.exchange.binance.market import trades_since
from connectors.exchange.binance.rest import BinanceRest, Security
from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.errors import NotSentError, RateLimitedError, UnknownOutcomeError
from connectors.exchange.venues import USDM
from quantum.errors import VenueError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def client(handler: Handler, ahead_ms: int = 0, timeout_s: float = 2.0) -> AsyncIterator[BinanceRest]:
    """Serve ``/fapi/v1/x`` by the handler and the time, ``ahead_ms`` ahead of ours."""

    async def tell_time(_: web.Request) -> web.Response:
        return web.json_response({"serverTime": time.time_ns() // 1_000_000 + ahead_ms})

    app = web.Application()
    app.router.add_get("/fapi/v1/time", tell_time)
    app.router.add_route("*", "/fapi/v1/x", handler)
    app.router.add_get("/fapi/v1/historicalTrades", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with BinanceRest(USDM, VenueSettings(usdm_url=url, timeout_s=timeout_s)) as rest:
            yield rest
    finally:
        await runner.cleanup()


def answers(*responses: tuple[int, dict[str, object], dict[str, str]]) -> tuple[Handler, list[web.Request]]:
    """Return a handler that gives these answers in turn, the last one for ever, and the requests that it gets."""
    requests: list[web.Request] = []

    async def handle(request: web.Request) -> web.Response:
        status, body, headers = responses[min(len(requests), len(responses) - 1)]
        requests.append(request)
        return web.json_response(body, status=status, headers=headers)

    return handle, requests


async def test_the_clock_is_corrected_when_the_venue_refuses_our_time() -> None:
    handler, requests = answers((400, {"code": -1021, "msg": "Timestamp outside of recvWindow"}, {}), (200, {}, {}))
    async with client(handler, ahead_ms=5_000) as rest:
        await rest.call("GET", "/fapi/v1/x", {"symbol": "BTCUSDT"}, Security.SIGNED)
        assert abs(rest.offset_us - 5_000_000) < 200_000
    assert len(requests) == 2
    second = int(requests[1].query["timestamp"])
    assert second - time.time_ns() // 1_000_000 > 4_000
    assert requests[1].headers["X-MBX-APIKEY"] == "paper"
    assert len(requests[1].query["signature"]) == 64


async def test_a_rate_limit_is_waited_out_and_a_long_one_is_raised() -> None:
    handler, requests = answers((429, {"code": -1003, "msg": "Too many requests"}, {"Retry-After": "1"}), (200, {"a": 1}, {}))
    async with client(handler) as rest:
        began = time.monotonic()
        assert await rest.call("GET", "/fapi/v1/x") == b'{"a": 1}'
        assert time.monotonic() - began >= 0.95
    assert len(requests) == 2
    handler, requests = answers((418, {"code": -1003, "msg": "banned"}, {"Retry-After": "120"}))
    async with client(handler) as rest:
        with pytest.raises(RateLimitedError) as caught:
            await rest.call("GET", "/fapi/v1/x")
        assert caught.value.retry_after_s == 120
        with pytest.raises(RateLimitedError, match="allows no request"):
            await rest.call("GET", "/fapi/v1/x", urgent=True)
    assert len(requests) == 1


async def test_used_weight_is_read_from_the_headers() -> None:
    handler, _ = answers((200, {}, {"X-MBX-USED-WEIGHT-1M": "2300"}))
    async with client(handler) as rest:
        await rest.call("GET", "/fapi/v1/x")
        assert rest.budget.used == 2_300
        assert rest.budget.wait_s(time.monotonic()) > 0
        assert rest.budget.wait_s(time.monotonic(), urgent=True) == 0


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (503, -1000, UnknownOutcomeError),
        (408, -1007, UnknownOutcomeError),
        (502, 0, UnknownOutcomeError),
        (403, 0, NotSentError),
        (400, -2019, VenueError),
    ],
)
async def test_what_a_failure_means(status: int, code: int, error: type[Exception]) -> None:
    handler, requests = answers((status, {"code": code, "msg": "no"}, {}))
    async with client(handler) as rest:
        with pytest.raises(error):
            await rest.call("POST", "/fapi/v1/x")
    assert len(requests) == 1


async def test_no_answer_is_doubt_and_no_connection_is_none() -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(1.0)
        return web.json_response({})

    async with client(hang, timeout_s=0.2) as rest:
        with pytest.raises(UnknownOutcomeError, match="no answer"):
            await rest.call("POST", "/fapi/v1/x")
    async with BinanceRest(USDM, VenueSettings(usdm_url="http://127.0.0.1:1")) as away:
        with pytest.raises(NotSentError, match="cannot be reached"):
            await away.call("POST", "/fapi/v1/x")


async def test_a_body_that_is_not_json_is_no_answer() -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>")

    async with client(page) as rest:
        with pytest.raises(UnknownOutcomeError, match="<html>"):
            await rest.get("/fapi/v1/x", dict)


@pytest.mark.parametrize(
    ("after", "most", "expected"),
    [
        (None, 700, range(300, 1_000)),
        (649, 2_000, range(650, 1_000)),
        (0, 100, range(900, 1_000)),
        (999, 2_000, range(0)),
        (5, 0, range(0)),
    ],
)
async def test_trades_are_paged_without_a_gap(after: int | None, most: int, expected: range) -> None:
    async def history(request: web.Request) -> web.Response:
        limit = int(request.query["limit"])
        first = int(request.query.get("fromId", 1_000 - limit))
        return web.json_response([{"id": n, "time": n, "price": "1"} for n in range(first, min(first + limit, 1_000))])

    async with client(history) as rest:
        trades = await trades_since(rest, "BTCUSDT", after, most)
    assert [trade.mark for trade in trades] == list(expected)
    assert all(trade.text == f'{{"id": {trade.mark}, "time": {trade.time_ms}, "price": "1"}}' for trade in trades)
