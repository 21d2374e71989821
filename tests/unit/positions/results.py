"""Execution results for the tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from schemas.common import Liquidity, OrderStatus, Origin, Side, TransferKind
from schemas.execution.records import AccountBalance, AccountTransfer, ExecutionResult

T0 = 1_700_000_000_000_000 // 86_400_000_000 * 86_400_000_000
"""Start of a UTC day, microseconds."""
D = Decimal


def fill(
    number: int,
    side: Side,
    quantity: str | Decimal,
    price: str | Decimal,
    *,
    fee: str | Decimal = "0",
    symbol: str = "BTCUSDT",
    **changes: Any,
) -> ExecutionResult:
    """Return an order that was filled at once; ``number`` is its second and part of its ids."""
    fields: dict[str, Any] = {
        "event_id": f"r{number}", "event_ts": T0 + number * 1_000_000, "ingest_ts": T0 + number * 1_000_000 + 5, "account": "paper",
        "symbol": symbol, "venue": "binance-usdm", "client_order_id": f"o{number}", "venue_order_id": str(number),
        "status": OrderStatus.FILLED, "side": side, "reduce_only": False, "quantity": D(quantity), "filled_quantity": D(quantity),
        "average_price": D(price), "trade_id": f"t{number}", "fill_quantity": D(quantity), "fill_price": D(price), "commission": D(fee),
        "commission_asset": "USDT", "liquidity": Liquidity.TAKER, "strategy": "ensemble", "signal_id": "s1", "intent_id": f"i{number}",
        "origin": Origin.ENTRY, "reason": "ENTRY", "leverage": 2.0, "reference_price": D(price),
    }  # fmt: skip
    return ExecutionResult(**{**fields, **changes})


def balance(wallet: str, ts: int = T0, **changes: Any) -> AccountBalance:
    """Return the venue's balance."""
    fields: dict[str, Any] = {
        "event_id": f"b{ts}", "event_ts": ts, "ingest_ts": ts, "account": "paper", "venue": "binance-usdm", "asset": "USDT",
        "wallet_balance": D(wallet), "available_balance": D(wallet),
    }  # fmt: skip
    return AccountBalance(**{**fields, **changes})


def transfer(amount: str, ts: int, kind: TransferKind = TransferKind.FUNDING, symbol: str = "BTCUSDT", **changes: Any) -> AccountTransfer:
    """Return money that moved; its time is its id."""
    fields: dict[str, Any] = {
        "event_id": f"{kind}:{ts}", "event_ts": ts, "ingest_ts": ts, "account": "paper", "venue": "binance-usdm", "asset": "USDT",
        "kind": kind, "symbol": symbol, "amount": D(amount), "transfer_id": str(ts), "venue_kind": "FUNDING_FEE",
    }  # fmt: skip
    return AccountTransfer(**{**fields, **changes})


def values(*of: object) -> tuple[object, ...]:
    """Return values to be compared with others whatever their types: a Decimal equals the integer of its value."""
    return of


FILLS = st.lists(
    st.tuples(
        st.sampled_from([Side.BUY, Side.SELL]),
        st.integers(1, 50).map(lambda units: D(units) / 1000),
        st.integers(1_000, 200_000).map(lambda ticks: D(ticks) / 10),
        st.integers(0, 5_000).map(lambda units: D(units) / 10_000),
    ),
    min_size=1,
    max_size=25,
)
"""Sides, quantities, prices and fees."""


def results(raw: list[tuple[Side, Decimal, Decimal, Decimal]]) -> list[ExecutionResult]:
    """Return one filled order for each."""
    return [fill(number, side, quantity, price, fee=fee) for number, (side, quantity, price, fee) in enumerate(raw, 1)]
