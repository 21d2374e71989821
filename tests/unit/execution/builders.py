"""Records that the tests of execution begin from."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from schemas.common import Liquidity, OrderStatus, OrderType, Origin, Side
from schemas.execution.records import ExecutionResult
from schemas.risk.records import TradeIntent
from tests.unit.governance.builders import ACCOUNT, NOW, VENUE, changed


def intent(**fields: Any) -> TradeIntent:
    """Return an entry at the market."""
    first = TradeIntent(
        event_id="i1", event_ts=NOW, ingest_ts=NOW - 5, account=ACCOUNT, symbol="BTCUSDT", venue=VENUE, origin=Origin.ENTRY,
        strategy="ensemble", side=Side.BUY, order_type=OrderType.MARKET, quantity=Decimal("0.010"), reduce_only=False, leverage=5.0,
        stop_price=Decimal(59_880), risk_amount=Decimal("1.2"), reference_price=Decimal(60_000), leg=0, signal_id="s1",
        sizing_id="d1:sizing", reason="ENTRY", policy_version=1,
    )  # fmt: skip
    return changed(first, fields)


def result(**fields: Any) -> ExecutionResult:
    """Return the venue's word that an order is accepted."""
    first = ExecutionResult(
        event_id="r1", event_ts=NOW + 1, ingest_ts=NOW + 1, account=ACCOUNT, symbol="BTCUSDT", venue=VENUE, client_order_id="c1",
        status=OrderStatus.ACCEPTED, side=Side.BUY, reduce_only=False, quantity=Decimal("0.010"), filled_quantity=Decimal(0),
        liquidity=Liquidity.NONE, strategy="ensemble", signal_id="s1", intent_id="i1", origin=Origin.ENTRY, reason="ENTRY", leverage=5.0,
        reference_price=Decimal(60_000),
    )  # fmt: skip
    return changed(first, fields)
