"""Binance's user stream in the gateway's words. Pure.

Source: "User Data Streams" of Binance's spot and futures documentation.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec

from connectors.exchange.orders.dialect import ALGO_STATUS, MILLISECOND, STATUS, WAITING
from connectors.exchange.orders.events import FillSeen, OrderSeen
from schemas.common import Liquidity, OrderStatus


class _Execution(msgspec.Struct):
    """What an order event of the user stream says, by the venue's own one-letter names."""

    s: str
    c: str
    X: str
    x: str
    i: int
    z: Decimal
    l: Decimal  # noqa: E741
    L: Decimal
    T: int
    t: int = -1
    n: Decimal | None = None
    N: str | None = None
    m: bool = False
    C: str = ""
    rp: Decimal | None = None


class _Algo(msgspec.Struct):
    """What an event of an order that waits says."""

    s: str
    caid: str
    aid: int
    X: str
    ai: str = ""


class _Account(msgspec.Struct, frozen=True):
    """Why the account changed."""

    m: str = ""


class _Event(msgspec.Struct):
    e: str = ""
    E: int = 0
    T: int = 0
    o: msgspec.Raw = msgspec.Raw()
    a: _Account = _Account()


class UserEvent(NamedTuple):
    """What one event of the user stream means.

    Attributes
    ----------
    client_order_id, symbol, news
        News of one of the orders.
    money
        Whether the balance is another one than before.
    moved_ts
        When money moved other than by a fill, microseconds; 0 where none did.
    expired
        Whether the stream's key has run out.
    """

    client_order_id: str = ""
    symbol: str = ""
    news: tuple[OrderSeen | FillSeen, ...] = ()
    money: bool = False
    moved_ts: int = 0
    expired: bool = False


_MOVED_BY_ORDERS = {"ORDER", "MARGIN_TYPE_CHANGE"}


def user_event(text: str) -> UserEvent:
    """Return what an event of the user stream means; raises msgspec.DecodeError where it is not of the documented form."""
    event = msgspec.json.decode(text, type=_Event)
    if event.e == "ORDER_TRADE_UPDATE":
        return _execution(msgspec.json.decode(event.o, type=_Execution))
    if event.e == "ALGO_UPDATE":
        return _algo_update(msgspec.json.decode(event.o, type=_Algo), event.T)
    if event.e == "executionReport":
        return _execution(msgspec.json.decode(text, type=_Execution))
    if event.e == "listenKeyExpired":
        return UserEvent(expired=True)
    if event.e == "ACCOUNT_UPDATE":
        return UserEvent(money=True, moved_ts=0 if event.a.m in _MOVED_BY_ORDERS else event.T * MILLISECOND)
    return UserEvent(money=event.e in {"outboundAccountPosition", "balanceUpdate"})


def _algo_update(algo: _Algo, time_ms: int) -> UserEvent:
    status = ALGO_STATUS.get(algo.X)
    if status is None:  # finished: how, the order that it has made says
        return UserEvent(algo.caid, algo.s)
    seen = OrderSeen(
        client_order_id=algo.caid,
        venue_order_id=algo.ai or f"{WAITING}{algo.aid}",
        status=status,
        executed=Decimal(0),
        event_ts=time_ms * MILLISECOND,
    )
    return UserEvent(algo.caid, algo.s, (seen,))


def _execution(report: _Execution) -> UserEvent:
    # A cancellation on spot has an id of its own in c and the order's in C; elsewhere C is empty or the same.
    client_order_id = report.C if report.C not in ("", "null") else report.c
    event_ts = report.T * MILLISECOND
    news: list[OrderSeen | FillSeen] = []
    if report.x == "TRADE" and report.t >= 0:
        news.append(
            FillSeen(
                client_order_id=client_order_id,
                venue_order_id=str(report.i),
                trade_id=str(report.t),
                quantity=report.l,
                price=report.L,
                commission=report.n or Decimal(0),
                commission_asset=report.N or "",
                liquidity=Liquidity.MAKER if report.m else Liquidity.TAKER,
                event_ts=event_ts,
                realised=report.rp,
            )
        )
    news.append(
        OrderSeen(
            client_order_id=client_order_id,
            venue_order_id=str(report.i),
            status=STATUS.get(report.X, OrderStatus.UNKNOWN),
            executed=report.z,
            event_ts=event_ts,
        )
    )
    return UserEvent(client_order_id, report.s, tuple(news), money=report.x == "TRADE")
