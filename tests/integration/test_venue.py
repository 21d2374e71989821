"""The simulated venue over real sockets: what a client of Binance relies on."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from pydantic import SecretStr

from connectors.exchange.simulated.endpoint import Credentials
from connectors.exchange.simulated.instruments import Product, instrument
from connectors.exchange.simulated.server import AccountSettings, FollowServer, VenueServer

CREDENTIALS = Credentials("a-key", SecretStr("a-secret"))
ETH = "ETHUSDT"


class Client:
    """A plain client that signs."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self.http = http
        self.base = base

    async def call(self, method: str, path: str, *, signed: bool = False, key: str | None = None, **params: Any) -> tuple[int, Any]:
        query = urlencode(params)
        if signed:
            query = urlencode({"timestamp": time.time_ns() // 1_000_000, **params})
            query += f"&signature={CREDENTIALS.sign(query)}"
        headers = {"X-MBX-APIKEY": key or CREDENTIALS.key} if signed or key else {}
        async with self.http.request(method, f"{self.base}{path}?{query}", headers=headers) as answer:
            return answer.status, await answer.json()

    async def fault(self, **fault: Any) -> Any:
        async with self.http.post(f"{self.base}/control/fault", json=fault) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


@pytest.fixture
async def server() -> AsyncIterator[VenueServer]:
    account = AccountSettings(CREDENTIALS, latency=0.001)
    async with VenueServer(("BTCUSDT", ETH), seed=3, history_minutes=15, account=account) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
def usdm(server: VenueServer, http: aiohttp.ClientSession) -> Client:
    return Client(http, server.url(Product.USDM))


@pytest.fixture
def spot(server: VenueServer, http: aiohttp.ClientSession) -> Client:
    return Client(http, server.url(Product.SPOT))


async def listen(client: Client, path: str, frames: list[Any], ready: asyncio.Event) -> None:
    async with client.http.ws_connect(client.base + path) as socket:
        ready.set()
        while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            frames.append(json.loads(message.data))


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    for _ in range(round(seconds / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"nothing came of it in {seconds} s")


@pytest.mark.parametrize("product", list(Product))
async def test_streams_join_with_history_and_snapshot(server: VenueServer, http: aiohttp.ClientSession, product: Product) -> None:
    client = Client(http, server.url(product))
    prefix = "/fapi/v1" if product is Product.USDM else "/api/v3"
    received: list[Any] = []
    ready = asyncio.Event()
    streams = "ethusdt@trade/ethusdt@aggTrade/ethusdt@bookTicker/ethusdt@depth@100ms/ethusdt@kline_1m/ethusdt@markPrice@1s"
    reader = asyncio.create_task(listen(client, f"/stream?streams={streams}", received, ready))
    await ready.wait()
    _, snapshot = await client.call("GET", f"{prefix}/depth", symbol=ETH, limit=1000)
    await asyncio.sleep(4)
    _, final = await client.call("GET", f"{prefix}/depth", symbol=ETH, limit=1000)
    await asyncio.sleep(0.3)
    reader.cancel()
    by_kind: dict[str, list[Any]] = {}
    for frame in received:
        by_kind.setdefault(frame["stream"].partition("@")[2], []).append(frame["data"])

    trades = by_kind["trade"]
    assert [t["t"] for t in trades] == list(range(trades[0]["t"], trades[0]["t"] + len(trades)))
    _, history = await client.call("GET", f"{prefix}/historicalTrades", key="a-key", symbol=ETH, fromId=trades[0]["t"] - 5, limit=6)
    assert [row["id"] for row in history] == list(range(trades[0]["t"] - 5, trades[0]["t"] + 1))
    assert (history[-1]["price"], history[-1]["qty"], history[-1]["time"]) == (trades[0]["p"], trades[0]["q"], trades[0]["T"])
    aggregates = by_kind["aggTrade"]
    assert all(b["a"] == a["a"] + 1 and b["f"] == a["l"] + 1 for a, b in itertools.pairwise(aggregates))

    book = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
    diffs = [d for d in by_kind["depth@100ms"] if d["u"] > snapshot["lastUpdateId"] and d["u"] <= final["lastUpdateId"]]
    assert diffs[0]["U"] <= snapshot["lastUpdateId"] + 1
    assert diffs[-1]["u"] <= final["lastUpdateId"]
    for before, after in itertools.pairwise(diffs):
        assert after["U"] == before["u"] + 1
        assert product is Product.SPOT or after["pu"] == before["u"]
    rest = [d for d in by_kind["depth@100ms"] if d["u"] > final["lastUpdateId"]][:1]
    for diff in diffs:
        for side in "ba":
            book[side].update(dict(diff[side]))
    # The snapshot at the end may lie within one frame more: levels that this frame does not touch must agree.
    open_levels = {side: {p for d in rest for p, _ in d[side]} for side in "ba"}
    for side, name in (("b", "bids"), ("a", "asks")):
        kept = {p: q for p, q in book[side].items() if float(q) and p not in open_levels[side]}
        assert kept == {p: q for p, q in final[name] if p not in open_levels[side]}
    assert len(by_kind["bookTicker"]) > 30
    assert ("markPrice@1s" in by_kind) is (product is Product.USDM)
    assert by_kind["kline_1m"][-1]["k"]["n"] > 0


async def test_history_by_rest(usdm: Client, spot: Client) -> None:
    _, bars = await usdm.call("GET", "/fapi/v1/klines", symbol=ETH, interval="1m", limit=10)
    assert [b[0] for b in bars] == [bars[0][0] + i * 60_000 for i in range(10)]
    start = bars[2][0]
    _, rows = await usdm.call("GET", "/fapi/v1/aggTrades", symbol=ETH, startTime=start, endTime=start + 59_999, limit=1000)
    assert sum(Decimal(r["q"]) for r in rows) == Decimal(bars[2][5])
    assert max(Decimal(r["p"]) for r in rows) == Decimal(bars[2][2])
    _, page = await usdm.call("GET", "/fapi/v1/aggTrades", symbol=ETH, fromId=rows[3]["a"], limit=4)
    assert page == rows[3:7]
    _, seconds = await spot.call("GET", "/api/v3/klines", symbol=ETH, interval="1s", limit=100)
    assert len(seconds) == 100
    assert all(b[8] > 0 or (b[1] == b[4] and Decimal(b[5]) == 0) for b in seconds)
    status, error = await usdm.call("GET", "/fapi/v1/klines", symbol=ETH, interval="1s")
    assert (status, error["code"]) == (400, -1120)
    status, error = await usdm.call("GET", "/fapi/v1/aggTrades", symbol=ETH, startTime=0, endTime=3_600_000)
    assert (status, error["code"]) == (400, -1127)
    _, funding = await usdm.call("GET", "/fapi/v1/fundingRate", symbol=ETH, limit=5)
    assert len(funding) == 5
    _, info = await usdm.call("GET", "/fapi/v1/exchangeInfo")
    assert {f["filterType"] for f in info["symbols"][0]["filters"]} == {"PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "MIN_NOTIONAL"}


async def test_subscriptions_by_message(usdm: Client) -> None:
    async with usdm.http.ws_connect(usdm.base + "/ws") as socket:

        async def ask(text: str) -> Any:
            await socket.send_str(text)
            while True:
                answer = json.loads((await socket.receive(5)).data)
                if "id" in answer or "error" in answer:
                    return answer

        assert await ask('{"method":"SUBSCRIBE","params":["ethusdt@bookTicker","btcusdt@trade"],"id":1}') == {"result": None, "id": 1}
        assert json.loads((await socket.receive(5)).data)["e"] in ("bookTicker", "trade")
        assert await ask('{"method":"UNSUBSCRIBE","params":["ethusdt@bookTicker"],"id":2}') == {"result": None, "id": 2}
        assert await ask('{"method":"LIST_SUBSCRIPTIONS","id":3}') == {"result": ["btcusdt@trade"], "id": 3}
        assert (await ask('{"method":"SHOUT","id":4}'))["error"]["code"] == 2
        assert (await ask("no json"))["error"]["code"] == 3


async def test_keys_signatures_and_timestamps_are_checked(usdm: Client) -> None:
    path = "/fapi/v3/balance"
    assert (await usdm.call("GET", path, signed=True))[0] == 200
    assert await usdm.call("GET", path) == (401, {"code": -2014, "msg": "API-key format invalid."})
    assert (await usdm.call("GET", path, key="other"))[1]["code"] == -2015
    assert (await usdm.call("GET", path, key="a-key"))[1]["code"] == -1102
    now = time.time_ns() // 1_000_000
    wrong = await usdm.call("GET", path, key="a-key", timestamp=now, signature="00")
    assert wrong == (400, {"code": -1022, "msg": "Signature for this request is not valid."})
    assert (await usdm.call("GET", path, signed=True, timestamp=now - 6_000))[1]["code"] == -1021
    assert (await usdm.call("GET", path, signed=True, timestamp=now - 6_000, recvWindow=20_000))[0] == 200
    assert (await usdm.call("GET", path, signed=True, timestamp=now + 5_000))[1]["code"] == -1021
    # Parameters may be in the body; the signature covers query string and body as they were sent.
    query, body = "symbol=ETHUSDT&leverage=7", f"timestamp={now}"
    signature = CREDENTIALS.sign(query + body)
    url = f"{usdm.base}/fapi/v1/leverage?{query}"
    headers = {"X-MBX-APIKEY": "a-key", "Content-Type": "application/x-www-form-urlencoded"}
    async with usdm.http.post(url, data=f"{body}&signature={signature}", headers=headers) as answer:
        assert (await answer.json())["leverage"] == 7


async def test_an_order_its_events_and_the_account_agree(usdm: Client) -> None:
    _, opened = await usdm.call("POST", "/fapi/v1/listenKey", key="a-key")
    events: list[Any] = []
    ready = asyncio.Event()
    reader = asyncio.create_task(listen(usdm, f"/ws/{opened['listenKey']}", events, ready))
    await ready.wait()
    order = {"symbol": ETH, "side": "BUY", "type": "MARKET", "quantity": "0.500", "newClientOrderId": "first", "newOrderRespType": "RESULT"}
    status, filled = await usdm.call("POST", "/fapi/v1/order", signed=True, **order)
    assert (status, filled["status"], Decimal(filled["executedQty"])) == (200, "FILLED", Decimal("0.5"))
    status, again = await usdm.call("POST", "/fapi/v1/order", signed=True, **order)
    assert (status, again["code"]) == (400, -4116)
    _, ticker = await usdm.call("GET", "/fapi/v1/ticker/bookTicker", symbol=ETH)
    away = f"{Decimal(ticker['askPrice']) * 2:.2f}"
    limit = {"symbol": ETH, "side": "SELL", "type": "LIMIT", "timeInForce": "GTX", "reduceOnly": "true", "quantity": "0.2", "price": away}
    _, resting = await usdm.call("POST", "/fapi/v1/order", signed=True, newClientOrderId="rests", **limit)
    assert resting["status"] == "NEW"
    _, open_orders = await usdm.call("GET", "/fapi/v1/openOrders", signed=True, symbol=ETH)
    assert [o["clientOrderId"] for o in open_orders] == ["rests"]
    _, gone = await usdm.call("DELETE", "/fapi/v1/order", signed=True, symbol=ETH, origClientOrderId="rests")
    assert gone["status"] == "CANCELED"
    assert (await usdm.call("DELETE", "/fapi/v1/order", signed=True, symbol=ETH, origClientOrderId="rests"))[1]["code"] == -2011
    assert (await usdm.call("GET", "/fapi/v1/order", signed=True, symbol=ETH, origClientOrderId="never"))[1]["code"] == -2013
    _, risk = await usdm.call("GET", "/fapi/v3/positionRisk", signed=True)
    assert [(p["symbol"], Decimal(p["positionAmt"])) for p in risk] == [(ETH, Decimal("0.5"))]
    closing = {"symbol": ETH, "side": "SELL", "type": "MARKET", "quantity": "9", "reduceOnly": "true", "newOrderRespType": "RESULT"}
    _, closed = await usdm.call("POST", "/fapi/v1/order", signed=True, **closing)
    assert Decimal(closed["executedQty"]) == Decimal("0.5")
    _, trades = await usdm.call("GET", "/fapi/v1/userTrades", signed=True, symbol=ETH)
    _, balance = await usdm.call("GET", "/fapi/v3/balance", signed=True)
    wallet = Decimal(10_000) + sum(Decimal(t["realizedPnl"]) - Decimal(t["commission"]) for t in trades)
    assert Decimal(balance[0]["balance"]) == wallet
    await until(lambda: events and events[-1].get("o", {}).get("X") == "EXPIRED")
    updates = [e["o"] for e in events if e["e"] == "ORDER_TRADE_UPDATE"]
    assert {u["t"] for u in updates if u["x"] == "TRADE"} == {t["id"] for t in trades}
    assert [u["x"] for u in updates if u["c"] == "rests"] == ["NEW", "CANCELED"]
    assert Decimal([e for e in events if e["e"] == "ACCOUNT_UPDATE"][-1]["a"]["B"][0]["wb"]) == wallet
    _, public = await usdm.call("GET", "/fapi/v1/historicalTrades", key="a-key", symbol=ETH, fromId=trades[0]["id"], limit=1)
    assert (public[0]["id"], public[0]["price"]) == (trades[0]["id"], trades[0]["price"])  # the account's trades are on the tape
    reader.cancel()


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
    async with usdm.http.post(f"{usdm.base}/control/fault", json={"kind": "explode"}) as answer:
        assert answer.status == 400


async def test_a_reader_that_does_not_read_loses_its_connection(server: VenueServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.exchange.simulated.hub.QUEUE_FRAMES", 50)
    port = server.listeners[Product.USDM].port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    streams = "/".join(f"{s}@{k}" for s in ("btcusdt", "ethusdt") for k in ("bookTicker", "depth@100ms", "trade"))
    request = (
        f"GET /stream?streams={streams} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    writer.write(request.encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 101")
    hub = server._hubs[0]
    assert hub.connections == 1
    for _ in range(40):  # nobody reads while far more is published than buffers hold
        for market in server.market.markets[Product.USDM].values():
            for _ in range(500):
                hub.on_quote(market, market.quote_us)
        await asyncio.sleep(0)
    await until(lambda: hub.connections == 0)
    writer.close()


async def test_a_followed_market_fills_at_the_prices_that_are_fed(http: aiohttp.ClientSession) -> None:
    async with FollowServer([instrument(Product.USDM, ETH)], account=AccountSettings(CREDENTIALS, latency=0.0)) as server:
        client = Client(http, server.url(Product.USDM))
        frames: list[Any] = []
        ready = asyncio.Event()
        reader = asyncio.create_task(listen(client, "/stream?streams=ethusdt@bookTicker", frames, ready))
        await ready.wait()
        await asyncio.sleep(0.05)
        server.venue.on_quote(ETH, 2599.99, 4.0, 2600.0, 5.0, 1_723_161_255_000_000)
        order = {"symbol": ETH, "side": "BUY", "type": "MARKET", "quantity": "1", "newOrderRespType": "RESULT"}
        _, filled = await client.call("POST", "/fapi/v1/order", signed=True, **order)
        assert (Decimal(filled["avgPrice"]), filled["updateTime"]) == (Decimal(2600), 1_723_161_255_000)
        await until(lambda: frames)
        assert frames[0]["data"]["a"] == "2600.00"
        _, ticker = await client.call("GET", "/fapi/v1/ticker/bookTicker", symbol=ETH)
        assert ticker["bidPrice"] == "2599.99"
        reader.cancel()


def test_the_command_says_where_it_listens_and_ends_on_a_signal(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "connectors.exchange.simulated", "--seed", "9", "--history-minutes", "5", "--ready-file", str(ready)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 30
        while not ready.exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        said = json.loads(ready.read_text())
        assert said["pid"] == process.pid
        assert said["usdm"]["port"] != said["spot"]["port"]
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert json.loads(out) == said
    assert err == ""
