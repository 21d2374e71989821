"""Orders at the venue, what is told of them, and the account."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

from tests.integration.venue.client import CREDENTIALS, ETH, Client, listen, until


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
    events, reader = await listen(usdm, f"/ws/{opened['listenKey']}")
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


async def test_conditional_orders_have_endpoints_of_their_own(usdm: Client) -> None:
    _, opened = await usdm.call("POST", "/fapi/v1/listenKey", key="a-key")
    events, reader = await listen(usdm, f"/ws/{opened['listenKey']}")
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
    events, reader = await listen(spot, f"/ws/{opened['listenKey']}")
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
