"""Intents become commands, each once, with ids that a venue takes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.execution import logic
from processors.execution.state import AccountState
from processors.output import Output
from schemas.clock.records import ClockTick
from schemas.common import OrderAction, OrderStatus, OrderType, Origin, Side, TimeInForce
from schemas.execution.records import OrderCommand
from schemas.risk.records import TradeIntent
from tests.unit.execution.builders import intent, result
from tests.unit.governance.builders import ACCOUNT, NOW, SECOND
from tests.unit.records import records

BINANCE = re.compile(r"^[.A-Z:/a-z0-9_-]{1,36}$")


def command_of(outputs: Any) -> OrderCommand:
    (output,) = outputs
    assert (output.topic, output.key) == ("order.command", ACCOUNT)
    assert isinstance(output.record, OrderCommand)
    return output.record


def tick(account: AccountState, at: int) -> list[Output]:
    return list(logic.on_clock(account, ClockTick(event_id=f"c{at}", event_ts=at, ingest_ts=at)))


def test_an_intent_is_commanded_once_with_everything_that_its_results_need() -> None:
    account = AccountState()
    command = command_of(logic.on_intent(account, intent()))
    assert (command.action, command.time_in_force, command.event_id, command.intent_id) == (
        OrderAction.SUBMIT, TimeInForce.IOC, "i1:command", "i1",
    )  # fmt: skip
    wanted = intent()
    for name in ("symbol", "venue", "side", "quantity", "leverage", "stop_price", "risk_amount", "reference_price", "signal_id", "origin"):
        assert getattr(command, name) == getattr(wanted, name)
    assert list(logic.on_intent(account, intent())) == []
    assert list(account.open) == [command.client_order_id]


def test_an_exit_passes_at_once_and_has_another_id() -> None:
    account = AccountState()
    entry = command_of(logic.on_intent(account, intent()))
    leave = intent(event_id="i2", origin=Origin.EXIT, side=Side.SELL, reduce_only=True, position_id=entry.client_order_id, signal_id=None)
    command = command_of(logic.on_intent(account, leave))
    assert command.reduce_only
    assert command.position_id == entry.client_order_id
    other_leg = command_of(logic.on_intent(account, intent(event_id="i3", reduce_only=True, position_id=entry.client_order_id, leg=1)))
    assert len({entry.client_order_id, command.client_order_id, other_leg.client_order_id}) == 3


@given(records(TradeIntent))
def test_an_id_is_what_venues_take_and_the_same_each_time(wanted: TradeIntent) -> None:
    order_id = logic.client_order_id(wanted)
    assert BINANCE.match(order_id)
    assert logic.client_order_id(wanted) == order_id
    again = msgspec.structs.replace(wanted, event_ts=wanted.event_ts + 1, quantity=wanted.quantity + 1, reason="other")
    assert logic.client_order_id(again) == order_id
    assert logic.client_order_id(msgspec.structs.replace(wanted, leg=wanted.leg + 1)) != order_id


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=60))
def test_however_often_intents_come_each_order_is_commanded_once(wanted: list[tuple[int, int, bool]]) -> None:
    account, sent = AccountState(), []
    for signal, leg, reduce_only in wanted:
        position = "p" if reduce_only else None
        sent += [
            o.record
            for o in logic.on_intent(account, intent(signal_id=f"s{signal}", leg=leg, reduce_only=reduce_only, position_id=position))
        ]
    ids = [command.client_order_id for command in sent if isinstance(command, OrderCommand)]
    assert len(ids) == len(set(ids)) == len({("p" if exit_ else signal, leg, exit_) for signal, leg, exit_ in wanted})


@pytest.mark.parametrize("status", [OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED])
def test_an_order_that_is_over_is_forgotten_but_never_commanded_again(status: OrderStatus) -> None:
    account = AccountState()
    order_id = command_of(logic.on_intent(account, intent())).client_order_id
    logic.on_result(account, result(client_order_id=order_id, status=status, event_ts=NOW - 1))
    assert account.open == {}
    assert list(logic.on_intent(account, intent())) == []


def test_an_order_without_a_word_is_shown_and_not_sent_again() -> None:
    account = AccountState()
    order_id = command_of(logic.on_intent(account, intent())).client_order_id
    assert tick(account, NOW + logic.RESULT_TIMEOUT_US - 1) == []
    assert not account.open[order_id].overdue
    assert tick(account, NOW + logic.RESULT_TIMEOUT_US) == []
    assert account.open[order_id].overdue
    logic.on_result(account, result(client_order_id=order_id, event_ts=NOW + 20 * SECOND))
    assert not account.open[order_id].overdue
    logic.on_result(account, result(client_order_id=order_id, status=OrderStatus.PARTIALLY_FILLED, event_ts=NOW + 10 * SECOND))
    assert account.open[order_id].status is OrderStatus.ACCEPTED  # an older result does not take it back


def test_a_limit_order_that_rests_too_long_is_cancelled_once() -> None:
    account = AccountState()
    wanted = intent(order_type=OrderType.LIMIT, limit_price=Decimal(59_000))
    command = command_of(logic.on_intent(account, wanted))
    assert command.time_in_force is TimeInForce.GTC
    logic.on_result(account, result(client_order_id=command.client_order_id))
    assert tick(account, NOW + logic.LIMIT_LIFETIME_US - 1) == []
    cancel = command_of(tick(account, NOW + logic.LIMIT_LIFETIME_US))
    assert (cancel.action, cancel.client_order_id, cancel.event_id) == (OrderAction.CANCEL, command.client_order_id, "i1:cancel")
    assert cancel.event_ts == NOW + logic.LIMIT_LIFETIME_US
    assert tick(account, NOW + 2 * logic.LIMIT_LIFETIME_US) == []


def test_memory_is_bounded_and_the_state_survives_its_changelog() -> None:
    account = AccountState()
    for n in range(logic.COMMANDED_KEPT + 50):
        order_id = command_of(logic.on_intent(account, intent(event_id=f"i{n}", signal_id=f"s{n}"))).client_order_id
        logic.on_result(account, result(client_order_id=order_id, status=OrderStatus.FILLED))
    assert len(account.commanded) == logic.COMMANDED_KEPT
    command_of(logic.on_intent(account, intent(event_id="last", signal_id="last")))
    assert msgspec.json.decode(msgspec.json.encode(account), type=AccountState) == account
