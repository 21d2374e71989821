"""What the venue tells of its markets, by stream and by REST."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from connectors.exchange.simulated.market.instruments import Product, instrument
from connectors.exchange.simulated.rest.exchange_info import PREFIX
from connectors.exchange.simulated.server.server import AccountSettings, FollowServer, VenueServer
from tests.integration.venue.client import CREDENTIALS, ETH, Client, client_of, listen, until


@pytest.mark.parametrize("product", list(Product))
async def test_streams_join_with_history_and_snapshot(server: VenueServer, http: aiohttp.ClientSession, product: Product) -> None:
    client = client_of(server, http, product)
    prefix, symbol = PREFIX[product], ETH if product is not Product.COINM else "ETHUSD_PERP"
    kinds = ("trade", "aggTrade", "bookTicker", "depth@100ms", "kline_1m", "markPrice@1s")
    streams = "/".join(f"{symbol.lower()}@{kind}" for kind in kinds)
    received, reader = await listen(client, f"/stream?streams={streams}")
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


async def test_quotes_are_told_when_they_change_and_only_then(usdm: Client) -> None:
    received, reader = await listen(usdm, "/ws/ethusdt@bookTicker")
    _, ticker = await usdm.call("GET", "/fapi/v1/ticker/bookTicker", symbol=ETH)
    far = {"symbol": ETH, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1"}
    for n in range(20):  # orders behind the best prices change the book, not the quote
        await usdm.call("POST", "/fapi/v1/order", signed=True, price=f"{Decimal(ticker['bidPrice']) * Decimal('0.9') - n:.2f}", **far)
    await until(lambda: len(received) > 10)
    reader.cancel()
    best = [(frame["b"], frame["B"], frame["a"], frame["A"]) for frame in received]
    assert all(before != after for before, after in itertools.pairwise(best))


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


async def test_a_followed_market_fills_at_the_prices_that_are_fed(http: aiohttp.ClientSession) -> None:
    async with FollowServer([instrument(Product.USDM, ETH)], account=AccountSettings(CREDENTIALS, latency=0.0)) as server:
        client = Client(http, server.url(Product.USDM))
        frames, reader = await listen(client, "/stream?streams=ethusdt@bookTicker")
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


async def test_a_faster_venue_lives_through_more_market_time_and_signs_by_the_wall_clock(http: aiohttp.ClientSession) -> None:
    async with VenueServer((ETH,), seed=3, history_minutes=1, account=AccountSettings(CREDENTIALS), speed=20) as server:
        client = Client(http, server.url(Product.USDM))
        began = server.clock()
        await asyncio.sleep(1.5)
        assert server.clock() - began > 20 * 1_000_000
        _, trades = await client.call("GET", "/fapi/v1/trades", symbol=ETH, limit=1)
        assert trades[-1]["time"] * 1_000 > time.time_ns() // 1_000 + 10 * 1_000_000
        assert (await client.call("GET", "/fapi/v2/balance", signed=True))[0] == 200
