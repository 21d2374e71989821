"""The venue's words for orders; the events are the examples of Binance's documentation, shortened to the fields that are read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from connectors.exchange.orders import dialect, user_events
from connectors.exchange.orders.events import FillSeen, OrderSeen
from connectors.exchange.venues import SPOT, USDM
from schemas.common import Liquidity, OrderStatus, OrderType, TimeInForce, TransferKind
from tests.unit.exchange.orders.commands import command

FUTURES_FILL = """{"e":"ORDER_TRADE_UPDATE","E":1568879465651,"T":1568879465650,"o":{"s":"BTCUSDT","c":"c1",
"S":"BUY","o":"MARKET","f":"GTC",
"q":"3","p":"0","ap":"100","sp":"0","x":"TRADE","X":"PARTIALLY_FILLED","i":8886774,"l":"1","z":"1","L":"100.5","N":"USDT","n":"0.04",
"T":1568879465651,"t":42,"b":"0","a":"0","m":false,"R":false,"wt":"CONTRACT_PRICE","ot":"MARKET","ps":"BOTH","cp":false,"rp":"0.5"}}"""
SPOT_CANCEL = """{"e":"executionReport","E":1499405658658,"s":"ETHBTC","c":"cancel-id","S":"BUY","o":"LIMIT","f":"GTC","q":"1","p":"0.1",
"C":"c1","x":"CANCELED","X":"CANCELED","r":"NONE","i":4293153,"l":"0","z":"0.4","L":"0","n":"0","N":null,"T":1499405658657,"t":-1,"m":false}"""


def test_a_fill_of_the_futures_stream() -> None:
    event = user_events.user_event(FUTURES_FILL)
    fill, state = event.news
    assert isinstance(fill, FillSeen)
    assert isinstance(state, OrderSeen)
    assert (event.client_order_id, event.money) == ("c1", True)
    assert (fill.trade_id, fill.quantity, fill.price, fill.commission, fill.commission_asset) == (
        "42", Decimal(1), Decimal("100.5"), Decimal("0.04"), "USDT"
    )  # fmt: skip
    assert (fill.liquidity, fill.event_ts, fill.realised) == (Liquidity.TAKER, 1_568_879_465_651_000, Decimal("0.5"))
    assert (state.status, state.executed, state.venue_order_id) == (OrderStatus.PARTIALLY_FILLED, Decimal(1), "8886774")


@pytest.mark.parametrize(("reason", "moved"), [("ORDER", 0), ("FUNDING_FEE", 1_564_745_798_938_000), ("DEPOSIT", 1_564_745_798_938_000)])
def test_the_stream_tells_when_money_moved_other_than_by_an_order(reason: str, moved: int) -> None:
    text = (
        '{"e":"ACCOUNT_UPDATE","E":1564745798939,"T":1564745798938,"a":{"m":"%s",'
        '"B":[{"a":"USDT","wb":"122624.12345678","cw":"100.12345678","bc":"50.12345678"}],"P":[]}}'
    )
    assert user_events.user_event(text % reason) == user_events.UserEvent(money=True, moved_ts=moved)


def test_rows_of_the_accounts_history() -> None:
    rows = msgspec.json.decode(
        b"""[{"symbol":"","incomeType":"TRANSFER","income":"-0.37500000","asset":"USDT","info":"TRANSFER","time":1570608000000,
        "tranId":9689322392,"tradeId":""},{"symbol":"BTCUSDT","incomeType":"COMMISSION","income":"-0.01000000","asset":"USDT",
        "info":"COMMISSION","time":1570636800000,"tranId":9689322393,"tradeId":"2059192"},{"symbol":"BTCUSDT","incomeType":"FUNDING_FEE",
        "income":"0.00134317","asset":"USDT","info":"FUNDING_FEE","time":1570636800001,"tranId":9689322394,"tradeId":""},{"symbol":"",
        "incomeType":"REFERRAL_KICKBACK","income":"1","asset":"USDT","info":"","time":1570636800002,"tranId":1,"tradeId":""}]""",
        type=list[dialect.IncomeAnswer],
    )
    assert [seen and (seen.kind, seen.symbol, seen.amount, seen.transfer_id) for seen in map(dialect.transfer, rows)] == [
        (TransferKind.TRANSFER, "", Decimal("-0.375"), "9689322392"),
        None,
        (TransferKind.FUNDING, "BTCUSDT", Decimal("0.00134317"), "9689322394"),
        (TransferKind.OTHER, "", Decimal(1), "1"),
    ]


def test_a_cancellation_of_the_spot_stream_is_of_the_order_not_of_itself() -> None:
    event = user_events.user_event(SPOT_CANCEL)
    (state,) = event.news
    assert isinstance(state, OrderSeen)
    assert (event.client_order_id, state.status, state.executed) == ("c1", OrderStatus.CANCELLED, Decimal("0.4"))


def test_other_events() -> None:
    assert user_events.user_event('{"e":"listenKeyExpired","E":1}').expired
    assert user_events.user_event('{"e":"ACCOUNT_UPDATE","E":1,"a":{}}').money
    assert user_events.user_event('{"e":"SOMETHING_NEW"}') == user_events.UserEvent()
    with pytest.raises(msgspec.DecodeError):
        user_events.user_event('{"e":"ORDER_TRADE_UPDATE","o":{"s":1}}')


def test_orders_of_rest() -> None:
    text = (
        b'{"orderId":22542179,"symbol":"BTCUSDT","status":"EXPIRED_IN_MATCH","clientOrderId":"c1","executedQty":"0.1",'
        b'"updateTime":5,"time":3}'
    )
    seen = dialect.seen(msgspec.json.decode(text, type=dialect.OrderAnswer))
    assert (seen.venue_order_id, seen.status, seen.executed, seen.event_ts) == ("22542179", OrderStatus.EXPIRED, Decimal("0.1"), 5_000)


def test_parameters_of_new_orders() -> None:
    endpoint, market = dialect.new_order(command(reduce_only=True, quantity=Decimal("0.010")), USDM)
    assert endpoint == "order"
    assert market == {
        "symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": Decimal("0.010"), "reduceOnly": True, "newClientOrderId": "c1",
        "newOrderRespType": "RESULT",
    }  # fmt: skip
    post_only = command(order_type=OrderType.LIMIT, time_in_force=TimeInForce.GTX, limit_price=Decimal(99))
    assert dialect.new_order(post_only, USDM).parameters["timeInForce"] == "GTX"
    spot = dialect.new_order(post_only, SPOT).parameters
    assert (spot["type"], spot["price"], "timeInForce" in spot, "reduceOnly" in spot) == ("LIMIT_MAKER", Decimal(99), False, False)


STOP = command(order_type=OrderType.STOP_MARKET, trigger_price=Decimal(95), reduce_only=True, quantity=Decimal(1))
LIMIT = {"order_type": OrderType.TAKE_PROFIT_LIMIT, "trigger_price": Decimal(110), "limit_price": Decimal(111)}
TRAILING = {"order_type": OrderType.TRAILING_STOP, "trigger_price": None, "callback_rate": Decimal("0.005")}


@pytest.mark.parametrize(
    ("changes", "kind", "parameters"),
    [
        ({}, "STOP_MARKET", {"triggerPrice": Decimal(95)}),
        (LIMIT, "TAKE_PROFIT", {"triggerPrice": Decimal(110), "price": Decimal(111), "timeInForce": "GTC"}),
        (LIMIT | {"order_type": OrderType.STOP_LIMIT}, "STOP", {"triggerPrice": Decimal(110), "price": Decimal(111), "timeInForce": "GTC"}),
        ({"order_type": OrderType.TAKE_PROFIT_MARKET}, "TAKE_PROFIT_MARKET", {"triggerPrice": Decimal(95)}),
        (TRAILING, "TRAILING_STOP_MARKET", {"callbackRate": Decimal("0.5")}),
        (TRAILING | {"trigger_price": Decimal(99)}, "TRAILING_STOP_MARKET", {"activatePrice": Decimal(99), "callbackRate": Decimal("0.5")}),
    ],
)
def test_orders_that_wait_go_to_an_endpoint_of_their_own_on_the_futures(changes: dict[str, Any], kind: str, parameters: object) -> None:
    request = dialect.new_order(msgspec.structs.replace(STOP, **changes), USDM)
    common = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "BUY", "type": kind, "quantity": Decimal(1)}
    assert request == ("algoOrder", {**common, **parameters, "reduceOnly": True, "clientAlgoId": "c1"})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("changes", "kind", "parameters"),
    [
        ({}, "STOP_LOSS", {"stopPrice": Decimal(95)}),
        (LIMIT, "TAKE_PROFIT_LIMIT", {"price": Decimal(111), "timeInForce": "GTC", "stopPrice": Decimal(110)}),
        (TRAILING, "STOP_LOSS", {"trailingDelta": 50}),
    ],
)
def test_on_spot_they_are_orders_like_others(changes: dict[str, Any], kind: str, parameters: dict[str, object]) -> None:
    request = dialect.new_order(msgspec.structs.replace(STOP, **changes), SPOT)
    common = {"symbol": "BTCUSDT", "side": "BUY", "type": kind, "quantity": Decimal(1)}
    assert request == ("order", {**common, **parameters, "newClientOrderId": "c1", "newOrderRespType": "RESULT"})


ALGO_UPDATE = """{"e":"ALGO_UPDATE","T":1750515742297,"E":1750515742303,"o":{"caid":"c1","aid":2148719,"at":"CONDITIONAL","o":"TAKE_PROFIT",
"s":"BNBUSDT","S":"SELL","ps":"BOTH","f":"GTC","q":"0.01","X":"%s","ai":"%s","ap":"0.00000","aq":"0.00000","act":"0","tp":"750","p":"750",
"V":"EXPIRE_MAKER","wt":"CONTRACT_PRICE","pm":"NONE","cp":false,"pP":false,"R":false,"tt":0,"gtd":0,"rm":"Reduce Only reject"}}"""


@pytest.mark.parametrize(
    ("said", "made", "status"),
    [
        ("NEW", "", OrderStatus.ACCEPTED),
        ("TRIGGERED", "77", OrderStatus.ACCEPTED),
        ("CANCELED", "", OrderStatus.CANCELLED),
        ("EXPIRED", "", OrderStatus.EXPIRED),
        ("REJECTED", "", OrderStatus.EXPIRED),
        ("FINISHED", "77", None),
    ],
)
def test_an_order_that_waits_is_told_of_by_its_own_event(said: str, made: str, status: OrderStatus | None) -> None:
    event = user_events.user_event(ALGO_UPDATE % (said, made))
    assert (event.client_order_id, event.symbol) == ("c1", "BNBUSDT")
    assert [(n.venue_order_id, n.status, n.event_ts) for n in event.news if isinstance(n, OrderSeen)] == (
        [] if status is None else [(made or "algo-2148719", status, 1_750_515_742_297_000)]
    )
    answer = dialect.AlgoAnswer(client_algo_id="c1", algo_id=2148719, algo_status=said, actual_order_id=made, create_time=1)
    assert dialect.algo_seen(answer).status is (status or OrderStatus.UNKNOWN)


@pytest.mark.parametrize(("leverage", "whole"), [(0.4, 1), (1.0, 1), (2.7, 2), (19.999, 19), (20.0, 20)])
def test_leverage_is_never_rounded_up(leverage: float, whole: int) -> None:
    assert dialect.leverage_of(command(leverage=leverage)) == whole


def test_duplicates() -> None:
    assert dialect.is_duplicate(-4116, "ClientOrderId is duplicated")
    assert dialect.is_duplicate(-2010, "Duplicate order sent.")
    assert not dialect.is_duplicate(-2010, "Account has insufficient balance for requested action.")
