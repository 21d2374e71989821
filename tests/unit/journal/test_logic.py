from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given

from processors.journal.logic import Book, on_exit_decision, on_result, on_transfer
from schemas.common import ExitAction, ExitReason, PositionSide, Regime, Side
from schemas.execution.records import ExecutionResult
from schemas.exits.records import ExitDecision
from schemas.journal.records import TradeClosed
from tests.unit.positions.results import FILLS, T0, D, fill, results, transfer, values


def run(*taken: ExecutionResult) -> list[TradeClosed]:
    book, closed = Book(), []
    for result in taken:
        for output in on_result("USDT", book, result):
            assert values(output.topic, output.key) == values("trade.closed", "paper")
            assert isinstance(output.record, TradeClosed)
            closed.append(output.record)
        book = msgspec.json.decode(msgspec.json.encode(book), type=Book)
    return closed


def test_a_trade_knows_the_funding_of_its_position() -> None:
    book = Book()
    list(on_result("USDT", book, fill(1, Side.BUY, "1", "100", fee="0.5")))
    for paid in (transfer("-1", T0 + 500_000), transfer("-0.2", T0 + 2_000_000), transfer("-0.2", T0 + 2_000_000)):
        on_transfer("USDT", book, paid)
    book = msgspec.json.decode(msgspec.json.encode(book), type=Book)
    [closed] = on_result("USDT", book, fill(3, Side.SELL, "1", "110", reduce_only=True))
    assert isinstance(closed.record, TradeClosed)
    assert values(closed.record.funding, closed.record.net_pnl) == values(D("-0.2"), D("9.3"))


def test_a_round_trip() -> None:
    exit_part: dict[str, Any] = {"reduce_only": True, "reason": "TAKE_PROFIT", "reference_price": D(111)}
    [trade] = run(
        fill(1, Side.BUY, "2", "101", fee="0.2", reference_price=D(100), risk_amount=D(10), stop_price=D(96)),
        fill(2, Side.SELL, "1", "111", fee="0.1", **exit_part),
        fill(2, Side.SELL, "1", "111", fee="0.1", **exit_part),
        fill(5, Side.SELL, "1", "107", fee="0.1", **{**exit_part, "reason": "TRAILING", "reference_price": D(109)}),
    )
    assert values(trade.side, trade.quantity, trade.entry_price, trade.exit_price) == values(PositionSide.LONG, 2, 101, 109)
    assert values(trade.gross_pnl, trade.fees, trade.net_pnl, trade.risk_amount) == values(16, D("0.4"), D("15.6"), 10)
    assert trade.r_multiple == pytest.approx(1.56)
    assert trade.entry_slippage_bps == pytest.approx(100)
    assert trade.exit_slippage_bps == pytest.approx((220 - 218) / 220 * 10_000)
    assert values(trade.exit_reason, trade.held_s, trade.opened_ts) == values(ExitReason.TRAILING, 4.0, T0 + 1_000_000)
    assert values(trade.entry_orders, trade.exit_orders, trade.event_id) == values(["o1"], ["o2", "o5"], "o1:closed")


def test_a_short_whose_buy_back_is_dearer_has_slippage_above_zero() -> None:
    [trade] = run(
        fill(1, Side.SELL, "1", "99", reference_price=D(100)),
        fill(2, Side.BUY, "1", "102", reference_price=D(100), reason="MANUAL", reduce_only=True),
    )
    assert trade.entry_slippage_bps == pytest.approx(100)
    assert trade.exit_slippage_bps == pytest.approx(200)
    assert values(trade.net_pnl, trade.r_multiple, trade.exit_reason) == values(-3, None, ExitReason.NONE)


def test_a_flip_closes_one_trade_and_begins_another() -> None:
    first, second = run(fill(1, Side.BUY, "1", "10"), fill(2, Side.SELL, "2", "12", fee="0.2"), fill(3, Side.BUY, "1", "11"))
    assert values(first.net_pnl, first.fees, first.side) == values(D("1.9"), D("0.1"), PositionSide.LONG)
    assert values(second.net_pnl, second.side, second.position_id) == values(D("0.9"), PositionSide.SHORT, "o2")


@given(FILLS)
def test_profits_of_round_trips_are_exits_less_entries(raw: list[tuple[Side, Decimal, Decimal, Decimal]]) -> None:
    taken = results(raw)
    trades = run(*taken)
    assert len({trade.event_id for trade in trades}) == len(trades)
    held, flat = D(0), 0
    for side, quantity, _, _ in raw:
        after = held + (quantity if side is Side.BUY else -quantity)
        flat += held != 0 and (after == 0 or (after > 0) != (held > 0))
        held = after
    assert len(trades) == flat
    for trade in trades:
        direction = 1 if trade.side is PositionSide.LONG else -1
        assert abs(trade.gross_pnl - direction * trade.quantity * (trade.exit_price - trade.entry_price)) < D("1e-8")
        assert abs(trade.net_pnl - (trade.gross_pnl - trade.fees)) < D("1e-9")
        assert trade.closed_ts >= trade.opened_ts


def test_a_trade_knows_the_profit_at_which_its_exit_was_decided() -> None:
    decision = ExitDecision(
        event_id="d1", event_ts=T0, ingest_ts=T0, account="paper", symbol="BTCUSDT", position_id="o1", action=ExitAction.CLOSE,
        reason=ExitReason.TRAILING, price=110.0, stop_price=110.5, r_multiple=1.8, quantity=D(1), held_s=3.0, regime=Regime.RANGE,
    )  # fmt: skip
    moved = msgspec.structs.replace(decision, action=ExitAction.MOVE_STOP, r_multiple=0.9)
    other = msgspec.structs.replace(decision, position_id="another")
    for decisions, expected in (([decision, moved], 1.8), ([moved], None), ([decision, other], None)):
        book = Book()
        assert list(on_result("USDT", book, fill(1, Side.BUY, "1", "100"))) == []
        for each in decisions:
            assert list(on_exit_decision(book, each)) == []
        [output] = on_result("USDT", book, fill(2, Side.SELL, "1", "109", reduce_only=True, reason="TRAILING"))
        assert isinstance(output.record, TradeClosed)
        assert output.record.decided_r == expected
