"""What the venue does wrong when it is told to."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from connectors.exchange.simulated.dialect.frames import book_ticker
from connectors.exchange.simulated.market.instruments import Product
from connectors.exchange.simulated.server.server import VenueServer
from tests.integration.venue.client import ETH, Client, listen, until


async def test_an_accepted_order_may_time_out_and_is_found_afterwards(usdm: Client) -> None:
    await usdm.fault(kind="accept_then_time_out", count=1)
    order = {"symbol": ETH, "side": "BUY", "type": "MARKET", "quantity": "0.1"}
    assert (await usdm.call("POST", "/fapi/v1/order", signed=True, newClientOrderId="slow", **order))[0] == 408
    assert (await usdm.call("GET", "/fapi/v1/order", signed=True, symbol=ETH, origClientOrderId="slow"))[1]["status"] == "FILLED"
    await usdm.fault(kind="accept_then_time_out", count=1, hang_seconds=0.1)
    with pytest.raises(aiohttp.ClientError):
        await usdm.call("POST", "/fapi/v1/order", signed=True, newClientOrderId="silent", **order)
    assert (await usdm.call("GET", "/fapi/v1/order", signed=True, symbol=ETH, origClientOrderId="silent"))[1]["status"] == "FILLED"


async def test_requests_can_be_told_to_fail_and_sockets_to_drop(usdm: Client) -> None:
    await usdm.fault(kind="respond", status=429, count=2)
    answers = [await usdm.call("GET", "/fapi/v1/ping") for _ in range(3)]
    assert [a[0] for a in answers] == [429, 429, 200]
    async with usdm.http.ws_connect(usdm.base + "/stream?streams=ethusdt@bookTicker") as socket:
        await socket.receive(5)
        assert await usdm.fault(kind="drop_sockets") == {"dropped": 1}
        async with asyncio.timeout(5):
            async for _ in socket:
                pass
        assert socket.closed
    assert (await usdm.control("POST", "/faults", kind="explode"))[0] == 400
    await usdm.fault(kind="maintenance", seconds=30)
    assert (await usdm.call("GET", "/fapi/v1/ping"))[0] == 503
    assert (await usdm.control("DELETE", "/faults"))[0] == 200
    assert (await usdm.call("GET", "/fapi/v1/ping"))[0] == 200
    listed = await usdm.fault(kind="wrong_time", path="GET /fapi/v2/balance")
    _, rows = await usdm.control("GET", "/faults")
    assert [(row["id"], row["fault"]["kind"], row["left"]) for row in rows] == [(listed["id"], "wrong_time", 1)]
    assert [(await usdm.call("GET", "/fapi/v2/balance", signed=True))[0] for _ in range(2)] == [400, 200]
    assert (await usdm.control("DELETE", f"/faults/{listed['id']}"))[0] == 404
    _, counts = await usdm.control("GET", "/requests")
    assert {"product": "usdm", "request": "GET /fapi/v2/balance", "code": -1021, "count": 1} in counts


async def test_without_being_asked_for_there_is_no_control(http: aiohttp.ClientSession) -> None:
    async with VenueServer((ETH,), seed=3, history_minutes=1) as server:
        assert server.control is None
        async with http.post(f"{server.url(Product.USDM)}/faults", json={"kind": "drop_sockets"}) as answer:
            assert answer.status == 404


async def test_frames_of_a_stream_are_dropped_doubled_and_swapped(usdm: Client) -> None:
    received, reader = await listen(usdm, "/ws/ethusdt@trade")
    for kind in ("drop_frame", "duplicate_frame", "reorder_frame"):
        await usdm.fault(kind=kind, stream="ethusdt@trade", product="usdm")
    await until(lambda: len(received) > 6, 10)
    reader.cancel()
    ids = [frame["t"] for frame in received]
    assert len(set(ids)) < len(ids)
    assert set(ids) < set(range(min(ids) - 1, max(ids) + 1))
    assert ids != sorted(ids)


async def test_a_reader_that_does_not_read_loses_its_connection(server: VenueServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.exchange.simulated.server.connection.QUEUE_FRAMES", 50)
    port = server.listeners[Product.USDM].port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    streams = "/".join(f"{s}@{k}" for s in ("btcusdt", "ethusdt") for k in ("bookTicker", "depth@100ms", "trade"))
    request = (
        f"GET /stream?streams={streams} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    writer.write(request.encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 101")
    hub = server.hubs[Product.USDM]
    assert hub.connections == 1
    for _ in range(40):  # nobody reads while far more is published than buffers hold
        for market in server.market.markets[Product.USDM].values():
            for _ in range(500):
                hub.publish(f"{market.rules.symbol.lower()}@bookTicker", lambda market=market: book_ticker(market, 0))  # type: ignore[misc]
        await asyncio.sleep(0)
    await until(lambda: hub.connections == 0)
    writer.close()
