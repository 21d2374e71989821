from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from processors.positions.fills import SEEN_KEPT, Holding, Seen, apply, fill_of
from quantum.errors import CorruptRecordError, DeadLetterError
from schemas.common import PositionSide, Side
from schemas.execution.records import ExecutionResult
from tests.unit.positions.results import FILLS, D, fill, results, values


def run(*taken: ExecutionResult) -> tuple[list[Holding], Holding | None]:
    held, flat = None, []
    for result in taken:
        one = fill_of(result, "USDT")
        assert one is not None
        closed, held = apply(held, result, one)
        if closed is not None:
            flat.append(closed)
    return flat, held


def test_entries_average_and_exits_realise() -> None:
    closed, held = run(
        fill(1, Side.BUY, "1", "100", fee="0.1", stop_price=D(95), risk_amount=D(5)), fill(2, Side.BUY, "3", "104", fee="0.3"),
        fill(3, Side.SELL, "2", "110", fee="0.2", reduce_only=True, reason="TAKE_PROFIT"),
    )  # fmt: skip
    assert not closed
    assert held is not None
    assert values(held.position_id, held.side, held.quantity, held.largest) == values("o1", PositionSide.LONG, 2, 4)
    assert values(held.entry_price, held.realised, held.fees) == values(103, 14, D("0.6"))
    assert values(held.initial_stop, held.risk, held.margin) == values(95, 5, 103)
    assert held.unrealised(D(100)) == -6
    assert values(held.entry_orders, held.exit_orders, held.exit_reason) == values(["o1", "o2"], ["o3"], "TAKE_PROFIT")


def test_partial_fills_take_their_part_of_the_risk() -> None:
    part: dict[str, Any] = {"risk_amount": D(8), "stop_price": D(2), "client_order_id": "a"}
    _, held = run(fill(1, Side.SELL, "4", "1", fill_quantity=D(1), **part), fill(2, Side.SELL, "4", "1", fill_quantity=D(2), **part))
    assert held is not None
    assert values(held.risk, held.side, held.quantity, held.entry_orders) == values(6, PositionSide.SHORT, 3, ["a"])


def test_a_flip_closes_then_opens() -> None:
    [closed], held = run(fill(1, Side.BUY, "1", "100"), fill(2, Side.SELL, "3", "90", fee="0.3"))
    assert held is not None
    assert values(closed.realised, closed.fees, closed.quantity) == values(-10, D("0.1"), 0)
    assert values(held.side, held.quantity, held.position_id, held.fees) == values(PositionSide.SHORT, 2, "o2", D("0.2"))


def test_reduce_only_never_opens() -> None:
    with pytest.raises(DeadLetterError, match="finds 0 to reduce"):
        run(fill(1, Side.BUY, "1", "100", reduce_only=True))
    _, held = run(fill(1, Side.BUY, "1", "100"))
    assert held is not None
    too_much = fill(2, Side.SELL, "2", "100", reduce_only=True)
    one = fill_of(too_much, "USDT")
    assert one is not None
    with pytest.raises(DeadLetterError, match="finds 1 to reduce"):
        apply(held, too_much, one)
    assert held.quantity == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"fill_quantity": None},
        {"fill_price": D(0)},
        {"commission": None},
        {"reference_price": D(0)},
        {"leverage": 0.0},
        {"side": Side.UNKNOWN},
    ],
)
def test_a_fill_with_something_missing_is_corrupt(changes: dict[str, object]) -> None:
    with pytest.raises(CorruptRecordError, match="fill r1"):
        fill_of(fill(1, **{"side": Side.BUY, "quantity": "1", "price": "1", **changes}), "USDT")  # type: ignore[arg-type]  # several types


def test_a_fee_in_another_asset_is_a_dead_letter_and_no_fill_is_none() -> None:
    with pytest.raises(DeadLetterError, match="BNB"):
        fill_of(fill(1, Side.BUY, "1", "1", fee="1", commission_asset="BNB"), "USDT")
    assert fill_of(fill(1, Side.BUY, "1", "1", trade_id=None), "USDT") is None


def test_seen_is_bounded() -> None:
    seen = Seen()
    for number in range(SEEN_KEPT + 5):
        seen.add(fill(number, Side.BUY, "1", "1"))
    assert len(seen.ids) == SEEN_KEPT
    assert seen.has(fill(SEEN_KEPT, Side.BUY, "1", "1"))


@given(FILLS)
def test_realised_and_unrealised_are_the_cash_that_flowed(raw: list[tuple[Side, Decimal, Decimal, Decimal]]) -> None:
    """Cash paid and received plus the value of what is held is the profit, whatever the order of the fills."""
    closed, held = run(*results(raw))
    sign = {Side.BUY: 1, Side.SELL: -1}
    cash = sum((-sign[side] * quantity * price for side, quantity, price, _ in raw), D(0))
    net = sum((sign[side] * quantity for side, quantity, _, _ in raw), D(0))
    mark = raw[-1][2]
    profit = sum((each.realised for each in closed), D(0))
    if held is not None:
        profit += held.realised + held.unrealised(mark)
        assert held.direction * held.quantity == net
        assert 0 < held.quantity <= held.largest
    else:
        assert net == 0
    assert abs(profit - (cash + net * mark)) < D("1e-15")
    for each in closed:
        assert values(each.quantity, each.cost) == values(0, 0)
        assert each.entered == each.exited
        assert abs(each.realised - each.direction * (each.exit_value - each.entry_value)) < D("1e-15")
    fees = sum((each.fees for each in [*closed, *([held] if held else [])]), D(0))
    assert fees == sum((fee for *_, fee in raw), D(0))
