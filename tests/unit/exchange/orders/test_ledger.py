"""Every fill and every state of an order is said once, in whatever order and however often the venue says it."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from connectors.exchange.orders.events import FillSeen, OrderSeen, Refused
from connectors.exchange.orders.ledger import Ledger, Result
from quantum.trace import CAUSATION, TRACEPARENT
from schemas.common import OrderStatus
from schemas.execution.records import ExecutionResult
from tests.unit.exchange.orders.commands import TRACE, command, filled, state


def ledger_with_order() -> Ledger:
    ledger = Ledger()
    ledger.expect(command(), {TRACEPARENT: TRACE}, 0)
    return ledger


def said(results: list[Result[ExecutionResult]]) -> list[str]:
    return [result.record.event_id for result in results]


def test_an_order_is_accepted_filled_and_over() -> None:
    ledger = ledger_with_order()
    assert not ledger.knows("c1")
    results = ledger.seen(state(OrderStatus.ACCEPTED), "c1")
    assert ledger.knows("c1")
    results += ledger.seen(filled(1, price=100), "c1")
    results += ledger.seen(filled(2, quantity=2, price=103), "c1")
    assert said(results) == ["c1:ACCEPTED", "c1:1", "c1:2"]
    assert [result.record.status for result in results] == [OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED]
    last = results[-1].record
    assert (last.filled_quantity, last.average_price, last.fill_price, last.trade_id) == (Decimal(3), Decimal(102), Decimal(103), "2")
    assert (last.event_ts, last.ingest_ts, last.venue_order_id) == (102, 2, "77")
    assert ledger.open_orders() == []
    assert ledger.knows("c1")


def test_results_carry_the_command_and_its_trace() -> None:
    (result,) = ledger_with_order().seen(state(OrderStatus.ACCEPTED), "c1")
    record = result.record
    assert (record.strategy, record.signal_id, record.intent_id, record.reason) == ("trend", "signal", "intent", "SIGNAL")
    assert (record.leverage, record.stop_price, record.risk_amount, record.reference_price) == (2.7, Decimal(90), Decimal(5), Decimal(100))
    assert result.headers[CAUSATION] == b"c1:command"
    assert result.headers[TRACEPARENT][:36] == TRACE[:36]
    assert result.headers[TRACEPARENT] != TRACE


def test_a_fill_that_overtakes_the_answer_accepts_the_order() -> None:
    ledger = ledger_with_order()
    assert said(ledger.seen(filled(1), "c1")) == ["c1:ACCEPTED", "c1:1"]
    assert said(ledger.seen(state(OrderStatus.ACCEPTED), "c1")) == []


def test_an_end_waits_for_its_fills() -> None:
    ledger = ledger_with_order()
    assert said(ledger.seen(state(OrderStatus.EXPIRED, executed=2, at=50), "c1")) == ["c1:ACCEPTED"]
    assert said(ledger.seen(filled(1), "c1")) == ["c1:1"]
    results = ledger.seen(filled(2), "c1")
    assert said(results) == ["c1:2", "c1:EXPIRED"]
    assert (results[-1].record.filled_quantity, results[-1].record.event_ts) == (Decimal(2), 50)
    assert ledger.open_orders() == []


def test_a_refusal_is_said_with_its_reason_once() -> None:
    ledger = ledger_with_order()
    refused = Refused(code="-2019", message="Margin is insufficient.", event_ts=9)
    (result,) = ledger.seen(refused, "c1")
    assert (result.record.status, result.record.error_code, result.record.error_message) == (OrderStatus.REJECTED, "-2019", refused.message)
    assert ledger.seen(refused, "c1") == []
    assert ledger.knows("c1")


def test_orders_of_others_are_not_spoken_of() -> None:
    assert Ledger().seen(filled(1), "c1") == []


def test_orders_of_a_lost_partition_are_dropped() -> None:
    ledger = ledger_with_order()
    ledger.seen(state(OrderStatus.ACCEPTED), "c1")
    ledger.expect(command("c2"), {}, 1)
    ledger.drop(0)
    assert not ledger.knows("c1")
    assert ledger.order("c2") is not None
    assert ledger.client_id_of("BTCUSDT", "77") == ""


FILLS = [filled(1, price=99), filled(2, price=101), filled(3, price=103)]
STATES = [state(OrderStatus.ACCEPTED), state(OrderStatus.PARTIALLY_FILLED, 1), state(OrderStatus.PARTIALLY_FILLED, 2)]


@given(
    st.permutations([*FILLS, *FILLS, *STATES, *STATES, state(OrderStatus.FILLED, 3)]),
    st.integers(0, 9),
)
def test_whatever_the_order_and_the_restarts_every_fill_is_said_once(events: list[FillSeen | OrderSeen], restart_at: int) -> None:
    ledger = ledger_with_order()
    results: list[Result[ExecutionResult]] = []
    for number, event in enumerate(events):
        if number == restart_at:  # killed, and the successor reads what was said
            ledger = Ledger()
            for result in results:
                ledger.restore(result.record, result.headers, 0)
            ledger.expect(command(), {TRACEPARENT: TRACE}, 0) if not ledger.knows("c1") else None
        results += ledger.seen(event, "c1")
    assert sorted(said(results)) == ["c1:1", "c1:2", "c1:3", "c1:ACCEPTED"]
    assert said(results)[0] == "c1:ACCEPTED"
    assert [result.record.filled_quantity for result in results] == [Decimal(n) for n in range(4)]
    assert results[-1].record.status is OrderStatus.FILLED
    assert results[-1].record.average_price == Decimal(101)
    assert ledger.open_orders() == []


@given(st.permutations([*FILLS[:2], *FILLS[:2], *STATES, state(OrderStatus.CANCELLED, 2), state(OrderStatus.CANCELLED, 2)]))
def test_a_cancellation_comes_last_and_once(events: list[FillSeen | OrderSeen]) -> None:
    ledger = ledger_with_order()
    results = [result for event in events for result in ledger.seen(event, "c1")]
    assert sorted(said(results)) == ["c1:1", "c1:2", "c1:ACCEPTED", "c1:CANCELLED"]
    assert said(results)[-1] == "c1:CANCELLED"
    assert results[-1].record.filled_quantity == Decimal(2)


def test_an_order_that_waited_trades_under_another_id_and_stays_one_order() -> None:
    ledger = ledger_with_order()
    waiting = msgspec.structs.replace(state(OrderStatus.ACCEPTED), venue_order_id="algo")
    assert said(ledger.seen(waiting, "c1")) == ["c1:ACCEPTED"]
    assert ledger.client_id_of("BTCUSDT", "algo") == "c1"
    assert said(ledger.seen(msgspec.structs.replace(waiting, venue_order_id="77"), "c1")) == []
    assert ledger.client_id_of("BTCUSDT", "77") == "c1" == ledger.client_id_of("BTCUSDT", "algo")
    (result,) = ledger.seen(filled(1, quantity=3), ledger.client_id_of("BTCUSDT", "77"))
    assert (result.record.status, result.record.venue_order_id) == (OrderStatus.FILLED, "77")
    assert ledger.client_id_of("BTCUSDT", "77") == "" == ledger.client_id_of("BTCUSDT", "algo")
