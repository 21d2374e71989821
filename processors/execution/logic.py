"""Execution: intents become order commands with deterministic client order ids, each once; resting orders expire. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

import msgspec

from processors.execution.state import AccountState, OpenOrder
from processors.output import Output
from schemas.clock.records import ClockTick
from schemas.common import OrderAction, OrderStatus, OrderType, TimeInForce
from schemas.execution.records import ExecutionResult, OrderCommand
from schemas.risk.records import TradeIntent

ID_PREFIX = "qt-"
ID_BYTES = 15
"""120 bits of the hash: 24 characters of base 32, so that an id has 27 of the 36 characters that venues allow."""
COMMANDED_KEPT = 256
RESULT_TIMEOUT_US = 10_000_000
"""An order of which nothing is heard for this long is shown as overdue."""
LIMIT_LIFETIME_US = 60_000_000
"""A limit order that rests for longer is cancelled."""

_OVER = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED})


def client_order_id(intent: TradeIntent) -> str:
    """Return the client order id of an intent.

    It is a hash of account, strategy, symbol, the position that an exit belongs to or else the signal (or the intent, where a
    person acts without one), and the leg; its characters are lower-case letters, digits and ``-``, which every venue takes.
    """
    cause = intent.position_id or intent.signal_id or intent.event_id
    kind = "exit" if intent.reduce_only else "entry"
    parts = (intent.account, intent.strategy, intent.symbol, kind, cause, str(intent.leg))
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()[:ID_BYTES]
    return ID_PREFIX + base64.b32encode(digest).decode().lower()


def on_intent(account: AccountState, intent: TradeIntent) -> Iterable[Output]:
    """Command an intent's order, once; exits and entries alike pass at once."""
    order_id = client_order_id(intent)
    if order_id in account.commanded:
        return ()
    command = OrderCommand(
        event_id=f"{intent.event_id}:command", event_ts=intent.event_ts, ingest_ts=intent.ingest_ts, account=intent.account,
        symbol=intent.symbol, venue=intent.venue, client_order_id=order_id, action=OrderAction.SUBMIT, side=intent.side,
        order_type=intent.order_type, time_in_force=TimeInForce.GTC if intent.order_type is OrderType.LIMIT else TimeInForce.IOC,
        quantity=intent.quantity, limit_price=intent.limit_price, reduce_only=intent.reduce_only, strategy=intent.strategy,
        signal_id=intent.signal_id, intent_id=intent.event_id, position_id=intent.position_id, origin=intent.origin,
        reason=intent.reason, leverage=intent.leverage, stop_price=intent.stop_price, risk_amount=intent.risk_amount,
        reference_price=intent.reference_price,
    )  # fmt: skip
    account.commanded.append(order_id)
    del account.commanded[:-COMMANDED_KEPT]
    account.open[order_id] = OpenOrder(command)
    return (Output("order.command", intent.account, command),)


def on_result(account: AccountState, result: ExecutionResult) -> Iterable[Output]:
    """Follow an order; one that is over is forgotten, and results out of order do not take it back."""
    order = account.open.get(result.client_order_id)
    if order is None:
        return ()
    if result.status in _OVER:
        del account.open[result.client_order_id]
    elif result.event_ts >= order.updated_ts:
        order.status, order.updated_ts, order.overdue = result.status, result.event_ts, False
    return ()


def on_clock(account: AccountState, tick: ClockTick) -> Iterable[Output]:
    """Show what is overdue, and cancel limit orders that have rested for too long."""
    outputs = []
    for order in account.open.values():
        age = tick.event_ts - order.command.event_ts
        order.overdue = order.status is OrderStatus.UNKNOWN and age >= RESULT_TIMEOUT_US
        if order.command.order_type is OrderType.LIMIT and not order.cancelling and age >= LIMIT_LIFETIME_US:
            order.cancelling = True
            outputs.append(Output("order.command", order.command.account, cancellation(order.command, tick.event_ts)))
    return outputs


def cancellation(command: OrderCommand, now: int) -> OrderCommand:
    """Return the command that cancels an order."""
    return msgspec.structs.replace(
        command, event_id=f"{command.intent_id}:cancel", event_ts=now, action=OrderAction.CANCEL, reason="LIMIT_EXPIRED"
    )
