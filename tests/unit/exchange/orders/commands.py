"""Commands and what a venue says of them, for the tests of the gateway's parts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from connectors.exchange.orders.events import FillSeen, OrderSeen
from schemas.common import Liquidity, OrderAction, OrderStatus, OrderType, Origin, Side, TimeInForce
from schemas.execution.records import OrderCommand

TRACE = b"00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"


def command(client_order_id: str = "c1", **changes: Any) -> OrderCommand:
    """Return a command to buy 3 BTC at the market."""
    base = OrderCommand(
        event_id=f"{client_order_id}:command", event_ts=1, ingest_ts=2, account="paper", symbol="BTCUSDT", venue="binance-usdm",
        client_order_id=client_order_id, action=OrderAction.SUBMIT, side=Side.BUY, order_type=OrderType.MARKET,
        time_in_force=TimeInForce.GTC, quantity=Decimal(3), reduce_only=False, strategy="trend", signal_id="signal", intent_id="intent",
        origin=Origin.ENTRY, reason="SIGNAL", leverage=2.7, stop_price=Decimal(90), risk_amount=Decimal(5), reference_price=Decimal(100),
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def state(status: OrderStatus, executed: int = 0, at: int = 10) -> OrderSeen:
    """Return a state of the order c1."""
    return OrderSeen(client_order_id="c1", venue_order_id="77", status=status, executed=Decimal(executed), event_ts=at)


def filled(trade_id: int, quantity: int = 1, price: int = 100) -> FillSeen:
    """Return a fill of the order c1; its time is 100 + its id."""
    return FillSeen(
        client_order_id="c1", venue_order_id="77", trade_id=str(trade_id), quantity=Decimal(quantity), price=Decimal(price),
        commission=Decimal("0.01"), commission_asset="USDT", liquidity=Liquidity.TAKER, event_ts=100 + trade_id,
    )  # fmt: skip
