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
from click.testing import CliRunner
from pydantic import SecretStr

from connectors.exchange.simulated.dialect.frames import book_ticker
from connectors.exchange.simulated.market.instruments import Product, instrument
from connectors.exchange.simulated.rest.endpoint import Credentials
from connectors.exchange.simulated.rest.exchange_info import PREFIX
from connectors.exchange.simulated.server.server import AccountSettings, FollowServer, VenueServer
from quantum.cli import main

CREDENTIALS = Credentials("a-key", SecretStr("a-secret"))
ETH = "ETHUSDT"


class Client:
    """A plain client that signs."""

    def __init__(self, http: aiohttp.ClientSession, base: str, control_url: str = "") -> None:
        self.http = http
        self.base = base
        self.control_url = control_url

    async def call(self, method: str, path: str, *, signed: bool = False, key: str | None = None, **params: Any) -> tuple[int, Any]:
        query = urlencode(params)
        if signed:
            query = urlencode({"timestamp": time.time_ns() // 1_000_000, **params})
            query += f"&signature={CREDENTIALS.sign(query)}"
        headers = {"X-MBX-APIKEY": key or CREDENTIALS.key} if signed or key else {}
        async with self.http.request(method, f"{self.base}{path}?{query}", headers=headers) as answer:
            return answer.status, await answer.json()

    async def control(self, method: str, at: str, **body: Any) -> tuple[int, Any]:
        async with self.http.request(method, f"{self.control_url}{at}", json=body or None) as answer:
            return answer.status, await answer.json()

    async def fault(self, **fault: Any) -> Any:
        status, answer = await self.control("POST", "/faults", **fault)
        assert status == 200, answer
        return answer


@pytest.fixture
async def server() -> AsyncIterator[VenueServer]:
    account = AccountSettings(CREDENTIALS, latency=0.001)
    settings: dict[str, Any] = {"history_minutes": 15, "account": account, "products": tuple(Product), "control": True}
    async with VenueServer(("BTCUSDT", ETH), seed=3, **settings) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
def usdm(server: VenueServer, http: aiohttp.ClientSession) -> Client:
    return client_of(server, http, Product.USDM)


@pytest.fixture
def spot(server: VenueServer, http: aiohttp.ClientSession) -> Client:
    return client_of(server, http, Product.SPOT)


def client_of(server: VenueServer, http: aiohttp.ClientSession, product: Product) -> Client:
    assert server.control is not None
    return Client(http, server.url(product), server.control.site.url)


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
    client = client_of(server, http, product)
    prefix, symbol = PREFIX[product], ETH if product is not Product.COINM else "ETHUSD_PERP"
    received: list[Any] = []
    ready = asyncio.Event()
    kinds = ("trade", "aggTrade", "bookTicker", "depth@100ms", "kline_1m", "markPrice@1s")
    streams = "/".join(f"{symbol.lower()}@{kind}" for kind in kinds)
    reader = asyncio.create_task(listen(client, f"/stream?streams={streams}", received, ready))
    await ready.wait()
    _, snapshot = await client.call("GET", f"{prefix}/depth", symbol=symbol, limit=1000)
    await asyncio.sleep(3)
    _, final = await client.call("GET", f"{prefix}/depth", symbol=symbol, limit=1000)
    await asyncio.sleep(0.3)
    reader.cancel()
    by_kind: dict[str, list[Any]] = {}
    for frame in received:
        by_kind.setdefault(frame["stream"].partition("@")[2], []).append(frame["data"])

    trades = by_kind["trade"]
    assert [t["t"] for t in trades] == list(range(trades[0]["t"], trades[0]["t"] + len(trades)))
    _, history = await client.call("GET", f"{prefix}/historicalTrades", key="a-key", symbol=symbol, fromId=trades[0]["t"] - 5, limit=6)
    assert [row["id"] for row in history] == list(range(trades[0]["t"] - 5, trades[0]["t"] + 1))
    assert (history[-1]["price"], history[-1]["qty"], history[-1]["time"]) == (trades[0]["p"], trades[0]["q"], trades[0]["T"])
    aggregates = by_kind["aggTrade"]
    assert all(b["a"] == a["a"] + 1 and b["f"] == a["l"] + 1 for a, b in itertools.pairwise(aggregates))

    book = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
    diffs = [d for d in by_kind["depth@100ms"] if d["u"] > snapshot["lastUpdateId"] and d["u"] <= final["lastUpdateId"]]
    # Spot joins by U, which follows upon the frame before; futures by pu, since their ids count over all symbols.
    assert diffs[0]["U" if product is Product.SPOT else "pu"] <= snapshot["lastUpdateId"] + (product is Product.SPOT)
    assert diffs[-1]["u"] <= final["lastUpdateId"]
    for before, after in itertools.pairwise(diffs):
        assert after["U"] == before["u"] + 1 if product is Product.SPOT else after["pu"] == before["u"] < after["U"]
    rest = [d for d in by_kind["depth@100ms"] if d["u"] > final["lastUpdateId"]][:1]
    for diff in diffs:
        for side in "ba":
            book[side].update(dict(diff[side]))
    # The snapshot at the end may lie within one frame more: levels that this frame does not touch must agree.
    open_levels = {side: {p for d in rest for p, _ in d[side]} for side in "ba"}
    for side, name in (("b", "bids"), ("a", "asks")):
        kept = {p: q for p, q in book[side].items() if float(q) and p not in open_levels[side]}
        assert kept == {p: q for p, q in final[name] if p not in open_levels[side]}
    assert len(by_kind["bookTicker"]) > 20
    assert ("markPrice@1s" in by_kind) is product.futures
    assert product is Product.COINM or by_kind["kline_1m"][-1]["k"]["n"] > 0


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
    received: list[Any] = []
    ready = asyncio.Event()
    reader = asyncio.create_task(listen(usdm, "/ws/ethusdt@trade", received, ready))
    await ready.wait()
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


async def test_conditional_orders_have_endpoints_of_their_own(usdm: Client) -> None:
    _, opened = await usdm.call("POST", "/fapi/v1/listenKey", key="a-key")
    events: list[Any] = []
    ready = asyncio.Event()
    reader = asyncio.create_task(listen(usdm, f"/ws/{opened['listenKey']}", events, ready))
    await ready.wait()
    path = "/fapi/v1/algoOrder"
    await usdm.call("POST", "/fapi/v1/order", signed=True, symbol=ETH, side="BUY", type="MARKET", quantity="1")
    stop = {"symbol": ETH, "side": "SELL", "type": "STOP_MARKET", "triggerPrice": "1000", "quantity": "1", "reduceOnly": "true"}
    assert (await usdm.call("POST", "/fapi/v1/order", signed=True, **stop))[1]["code"] == -4120
    common = {"algoType": "CONDITIONAL", "symbol": ETH, "side": "SELL"}
    _, far = await usdm.call(
        "POST", path, signed=True, **common, type="STOP_MARKET", triggerPrice="1000", closePosition="true", clientAlgoId="far"
    )
    _, trailing = await usdm.call("POST", path, signed=True, **common, type="TRAILING_STOP_MARKET", callbackRate="1", quantity="1")
    assert (far["algoStatus"], far["closePosition"], trailing["callbackRate"]) == ("NEW", True, "1")
    for wrong, code in (
        ({"type": "STOP_MARKET", "triggerPrice": "99999", "quantity": "1"}, -2021),
        ({"type": "TRAILING_STOP_MARKET", "callbackRate": "11", "quantity": "1"}, -2007),
        ({"type": "STOP_MARKET", "quantity": "1"}, -1102),
        ({"type": "LIMIT", "quantity": "1"}, -1116),
        ({"type": "STOP_MARKET", "triggerPrice": "1000", "quantity": "1", "closePosition": "true"}, -1106),
    ):
        assert (await usdm.call("POST", path, signed=True, **common, **wrong))[1]["code"] == code
    _, open_ones = await usdm.call("GET", "/fapi/v1/openAlgoOrders", signed=True, symbol=ETH)
    assert [row["algoId"] for row in open_ones] == [far["algoId"], trailing["algoId"]]
    _, ticker = await usdm.call("GET", "/fapi/v1/ticker/bookTicker", symbol=ETH)
    near = []
    for side, best, sign in (("BUY", ticker["askPrice"], 1), ("SELL", ticker["bidPrice"], -1)):  # the market will go one way or the other
        trigger = Decimal(best) + sign * Decimal("0.05")
        price = f"{trigger * (2 if sign > 0 else Decimal('0.5')):.2f}"
        terms = {"type": "STOP", "timeInForce": "IOC", "quantity": "0.1", "triggerPrice": f"{trigger:.2f}", "price": price}
        near.append((await usdm.call("POST", path, signed=True, algoType="CONDITIONAL", symbol=ETH, side=side, **terms))[1])
    for _ in range(300):
        rows = [(await usdm.call("GET", path, signed=True, algoId=each["algoId"]))[1] for each in near]
        if any(row["algoStatus"] == "FINISHED" for row in rows):
            break
        await asyncio.sleep(0.05)
    row = next(row for row in rows if row["algoStatus"] == "FINISHED")
    soon = row
    _, actual = await usdm.call("GET", "/fapi/v1/order", signed=True, symbol=ETH, orderId=row["actualOrderId"])
    assert (actual["type"], actual["origType"], actual["status"]) == ("LIMIT", "STOP", "FILLED")
    await usdm.call("DELETE", path, signed=True, clientAlgoId="far")
    assert (await usdm.call("DELETE", path, signed=True, clientAlgoId="far"))[1]["code"] == -2011
    assert (await usdm.call("GET", path, signed=True, clientAlgoId="never"))[1]["code"] == -2013
    await usdm.call("DELETE", "/fapi/v1/algoOpenOrders", signed=True, symbol=ETH)
    _, every = await usdm.call("GET", "/fapi/v1/allAlgoOrders", signed=True, symbol=ETH)
    assert [r["algoStatus"] for r in every][:2] == ["CANCELED", "CANCELED"]
    assert {r["algoStatus"] for r in every} == {"CANCELED", "FINISHED"}
    await until(lambda: [e["o"]["X"] for e in events if e["e"] == "ALGO_UPDATE" and e["o"]["aid"] == soon["algoId"]][-1:] == ["FINISHED"])
    reader.cancel()
    told = [(e["o"]["aid"], e["o"]["X"]) for e in events if e["e"] == "ALGO_UPDATE"]
    assert told[:2] == [(far["algoId"], "NEW"), (trailing["algoId"], "NEW")]
    assert [x for aid, x in told if aid == soon["algoId"]] == ["NEW", "TRIGGERED", "FINISHED"]


async def test_quotes_are_told_when_they_change_and_only_then(usdm: Client) -> None:
    received: list[Any] = []
    ready = asyncio.Event()
    reader = asyncio.create_task(listen(usdm, "/ws/ethusdt@bookTicker", received, ready))
    await ready.wait()
    _, ticker = await usdm.call("GET", "/fapi/v1/ticker/bookTicker", symbol=ETH)
    far = {"symbol": ETH, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1"}
    for n in range(20):  # orders behind the best prices change the book, not the quote
        await usdm.call("POST", "/fapi/v1/order", signed=True, price=f"{Decimal(ticker['bidPrice']) * Decimal('0.9') - n:.2f}", **far)
    await until(lambda: len(received) > 10)
    reader.cancel()
    best = [(frame["b"], frame["B"], frame["a"], frame["A"]) for frame in received]
    assert all(before != after for before, after in itertools.pairwise(best))


async def test_a_resting_order_is_amended(usdm: Client) -> None:
    _, ticker = await usdm.call("GET", "/fapi/v1/ticker/bookTicker", symbol=ETH)
    low = Decimal(ticker["bidPrice"]) * Decimal("0.9")
    common = {"symbol": ETH, "side": "BUY", "quantity": "0.2", "price": f"{low:.2f}"}
    _, order = await usdm.call("POST", "/fapi/v1/order", signed=True, type="LIMIT", timeInForce="GTC", **common)
    changed = common | {"quantity": "0.3", "orderId": order["orderId"]}
    _, amended = await usdm.call("PUT", "/fapi/v1/order", signed=True, **changed)
    assert (amended["orderId"], amended["origQty"], amended["status"]) == (order["orderId"], "0.3", "NEW")
    assert (await usdm.call("PUT", "/fapi/v1/order", signed=True, **changed))[1]["code"] == -5027
    assert (await usdm.call("PUT", "/fapi/v1/order", signed=True, **(changed | {"orderId": 1})))[1]["code"] == -2013


async def test_spot_orders_their_events_and_balances_agree(spot: Client) -> None:
    _, opened = await spot.call("POST", "/api/v3/userDataStream", key="a-key")
    events: list[Any] = []
    ready = asyncio.Event()
    reader = asyncio.create_task(listen(spot, f"/ws/{opened['listenKey']}", events, ready))
    await ready.wait()
    path = "/api/v3/order"
    status, filled = await spot.call(
        "POST", path, signed=True, symbol=ETH, side="BUY", type="MARKET", quantity="1", newClientOrderId="first"
    )
    assert (status, filled["status"]) == (200, "FILLED")
    paid = sum(Decimal(f["price"]) * Decimal(f["qty"]) for f in filled["fills"])
    fee = sum(Decimal(f["commission"]) for f in filled["fills"])
    _, ticker = await spot.call("GET", "/api/v3/ticker/bookTicker", symbol=ETH)
    away = f"{Decimal(ticker['askPrice']) * 2:.2f}"
    maker = {"symbol": ETH, "side": "SELL", "type": "LIMIT_MAKER", "quantity": "0.5", "price": away}
    _, resting = await spot.call("POST", path, signed=True, newClientOrderId="rests", **maker)
    under = f"{Decimal(ticker['bidPrice']) / 2:.2f}"
    assert (await spot.call("POST", path, signed=True, **(maker | {"price": under})))[1]["code"] == -2010
    stop = {"symbol": ETH, "side": "SELL", "type": "STOP_LOSS", "quantity": "0.2", "stopPrice": under}
    _, waiting = await spot.call("POST", path, signed=True, newClientOrderId="stop", newOrderRespType="RESULT", **stop)
    _, account = await spot.call("GET", "/api/v3/account", signed=True)
    balances = {row["asset"]: (Decimal(row["free"]), Decimal(row["locked"])) for row in account["balances"]}
    assert balances["USDT"] == (Decimal(10_000) - paid, Decimal(0))
    assert balances["ETH"] == (Decimal("0.3") - fee, Decimal("0.7"))
    _, open_orders = await spot.call("GET", "/api/v3/openOrders", signed=True, symbol=ETH)
    assert [(o["clientOrderId"], o["type"], o["isWorking"]) for o in open_orders] == [
        ("rests", "LIMIT_MAKER", True),
        ("stop", "STOP_LOSS", False),
    ]
    replace = {
        "symbol": ETH,
        "side": "SELL",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.4",
        "price": away,
        "cancelReplaceMode": "STOP_ON_FAILURE",
    }
    _, replaced = await spot.call("POST", f"{path}/cancelReplace", signed=True, cancelOrderId=resting["orderId"], **replace)
    assert (replaced["cancelResult"], replaced["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    status, failed = await spot.call("POST", f"{path}/cancelReplace", signed=True, cancelOrderId=resting["orderId"], **replace)
    assert (status, failed["code"], failed["data"]["newOrderResult"]) == (400, -2022, "NOT_ATTEMPTED")
    allowed = replace | {"cancelReplaceMode": "ALLOW_FAILURE", "quantity": "0.01"}
    status, partly = await spot.call("POST", f"{path}/cancelReplace", signed=True, cancelOrderId=resting["orderId"], **allowed)
    assert (status, partly["code"], partly["data"]["newOrderResult"]) == (409, -2021, "SUCCESS")
    _, gone = await spot.call("DELETE", path, signed=True, symbol=ETH, origClientOrderId="stop")
    assert (gone["status"], gone["origClientOrderId"]) == ("CANCELED", "stop")
    assert (await spot.call("GET", path, signed=True, symbol=ETH, orderId=waiting["orderId"]))[1]["status"] == "CANCELED"
    _, trades = await spot.call("GET", "/api/v3/myTrades", signed=True, symbol=ETH, orderId=filled["orderId"])
    assert sum(Decimal(t["quoteQty"]) for t in trades) == paid
    await until(lambda: [e for e in events if e.get("C") == "stop"])
    reader.cancel()
    reports = [e for e in events if e["e"] == "executionReport"]
    assert {e["t"] for e in reports if e["x"] == "TRADE"} == {t["id"] for t in trades}
    assert [e["x"] for e in reports if "rests" in (e["c"], e["C"])] == ["NEW", "CANCELED"]
    last = {row["a"]: Decimal(row["f"]) + Decimal(row["l"]) for e in events if e["e"] == "outboundAccountPosition" for row in e["B"]}
    assert last == {"ETH": 1 - fee, "USDT": Decimal(10_000) - paid}


async def test_open_interest_and_what_is_listed(server: VenueServer, http: aiohttp.ClientSession) -> None:
    for product, symbol in ((Product.USDM, ETH), (Product.COINM, "ETHUSD_PERP")):
        client = client_of(server, http, product)
        _, interest = await client.call("GET", f"{PREFIX[product]}/openInterest", symbol=symbol)
        assert (interest["symbol"], Decimal(interest["openInterest"]) > 0) == (symbol, True)
        _, premium = await client.call("GET", f"{PREFIX[product]}/premiumIndex", symbol=symbol)
        row = premium[0] if product is Product.COINM else premium
        assert abs(Decimal(row["markPrice"]) / Decimal(row["indexPrice"]) - 1) < Decimal("0.01")
    _, info = await client.call("GET", "/dapi/v1/exchangeInfo")
    assert [(s["symbol"], s["contractSize"], s["marginAsset"]) for s in info["symbols"]] == [
        ("BTCUSD_PERP", 100, "BTC"),
        ("ETHUSD_PERP", 10, "ETH"),
    ]


async def test_a_faster_venue_lives_through_more_market_time_and_signs_by_the_wall_clock(http: aiohttp.ClientSession) -> None:
    async with VenueServer((ETH,), seed=3, history_minutes=1, account=AccountSettings(CREDENTIALS), speed=20) as server:
        client = Client(http, server.url(Product.USDM))
        began = server.clock()
        await asyncio.sleep(1.5)
        assert server.clock() - began > 20 * 1_000_000
        _, trades = await client.call("GET", "/fapi/v1/trades", symbol=ETH, limit=1)
        assert trades[-1]["time"] * 1_000 > time.time_ns() // 1_000 + 10 * 1_000_000
        assert (await client.call("GET", "/fapi/v2/balance", signed=True))[0] == 200


def run_venue(tmp_path: Path, *options: str) -> tuple[subprocess.Popen[str], Any]:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "quantum", "venue", "--seed", "9", "--history-minutes", "5", "--ready-file", str(ready), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not ready.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    return process, json.loads(ready.read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_where_it_listens_and_ends_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    process, said = run_venue(tmp_path, *(["--json", "--control"] if number == signal.SIGTERM else []))
    try:
        assert said["pid"] == process.pid
        assert len({said[product.value]["port"] for product in Product}) == 3
        assert said["coinm"]["symbols"] == ["BTCUSD_PERP", "ETHUSD_PERP", "SOLUSD_PERP"]
    finally:
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")
    if number == signal.SIGTERM:
        assert json.loads(out) == said
        assert said["control"].startswith("http://127.0.0.1:")
    else:
        assert "control" not in said
        assert all(said[product.value]["rest"] in out for product in Product)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--symbols", "NOPEUSDT"], "does not list NOPEUSDT"),
        (["--products", "options"], "there is no such product"),
        (["--balance", "-3"], "is no amount of money"),
    ],
)
def test_the_command_says_what_is_wrong(options: list[str], complaint: str) -> None:
    done = CliRunner().invoke(main, ["venue", *options])
    assert done.exit_code in (1, 2)
    assert complaint in done.output
