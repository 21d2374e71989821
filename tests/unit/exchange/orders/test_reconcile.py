"""Which differences count: those that stand, by the same gap, however both sides move."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from connectors.exchange.orders.events import BalanceSeen, FillSeen, OpenSeen, PositionSeen
from connectors.exchange.orders.ledger import Ledger
from connectors.exchange.orders.reconcile import LOOKS, Reconciler
from connectors.exchange.orders.settings import OrdersSettings
from schemas.common import OrderStatus, ReconcileAction, ReconcileKind
from schemas.execution.records import ReconcileEvent
from tests.unit.exchange.orders.commands import command, filled, state


class Sides:
    """The venue and the platform's books, as they are at each look: positions of BTCUSDT there and here, wallet there, balance here."""

    def __init__(self, *looks: tuple[str, str, str, str], fills: tuple[FillSeen, ...] = (), open_: tuple[OpenSeen, ...] = ()) -> None:
        self.looks = 0
        self.again = 0
        self.adopted: list[str] = []
        self._each = looks
        self._fills = fills
        self._open = open_
        self.positions_here: dict[str, Decimal] = {}
        self.balance: Decimal | None = None

    @property
    def _now(self) -> tuple[Decimal, ...]:
        return tuple(Decimal(each) for each in self._each[min(self.looks, len(self._each)) - 1])

    async def open_orders(self) -> list[OpenSeen]:
        self.looks += 1
        return list(self._open)

    async def positions(self) -> list[PositionSeen]:
        held = self._now[0]
        one = PositionSeen(
            symbol="BTCUSDT", quantity=held, entry_price=held, mark_price=held, liquidation_price=None, leverage=1, isolated=False
        )
        return [one] if held else []

    async def balance_there(self, _asset: str) -> BalanceSeen:
        return BalanceSeen(wallet=self._now[2], available=Decimal(0))

    async def trades(self, _symbol: str, _since: int) -> list[FillSeen]:
        return list(self._fills)

    def refresh(self) -> None:
        _, here, _, balance = self._now
        self.positions_here = {"BTCUSDT": here} if here else {}
        self.balance = balance

    def close(self) -> None:
        """Nothing is open."""


class _Portfolio:
    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self.refresh, self.close = sides.refresh, sides.close

    @property
    def positions(self) -> dict[str, Decimal]:
        return self._sides.positions_here

    @property
    def balance(self) -> Decimal | None:
        return self._sides.balance


class _Account:
    def __init__(self, sides: Sides) -> None:
        self.open_orders, self.positions, self.balance, self.trades = sides.open_orders, sides.positions, sides.balance_there, sides.trades


def one_round(sides: Sides, ledger: Ledger | None = None) -> list[ReconcileEvent]:
    """Return what one round writes."""
    found: list[ReconcileEvent] = []

    class Sink:
        def send(self, _topic: str, _key: str, record: Any, _headers: Any = None) -> None:
            found.append(record)
            if record.kind is ReconcileKind.ROUND:
                stop.set()

    async def adopt(_symbol: str, fill: FillSeen) -> None:
        sides.adopted.append(fill.trade_id)

    def again() -> None:
        sides.again += 1

    async def run() -> None:
        account: Any = _Account(sides)
        portfolio: Any = _Portfolio(sides)
        settings = OrdersSettings(confirm_s=0.001, reconcile_s=5)
        reconciler = Reconciler(account, settings, ledger or Ledger(), portfolio, "reconcile.events", Sink(), again, adopt)
        reconciler.take(0)
        await asyncio.wait_for(reconciler.run(stop), 10)

    stop = asyncio.Event()
    asyncio.run(run())
    return found


def test_books_that_agree_are_one_look_and_one_record() -> None:
    sides = Sides(("0.5", "0.5", "1000", "1000.005"))
    [only] = one_round(sides)
    assert (only.kind, only.explained, only.differences, sides.looks) == (ReconcileKind.ROUND, True, 0, 1)


def test_what_is_under_way_does_not_count() -> None:
    sides = Sides(("0.5", "0", "990", "1000"), ("0.7", "0.5", "985", "990"))
    *differences, last = one_round(sides)
    assert {each.kind for each in differences} == {ReconcileKind.POSITION, ReconcileKind.BALANCE}
    assert all((each.explained, each.action) == (True, ReconcileAction.LOOKED_UP) for each in differences)
    assert (last.explained, sides.looks, sides.again) == (True, 2, 1)


@pytest.mark.parametrize("moves", ["0", "0.1"])
def test_a_gap_that_stays_counts_though_both_sides_move(moves: str) -> None:
    step = Decimal(moves)
    looks = [(str(Decimal("0.5") + n * step), str(Decimal("0.3") + n * step), "1000", "1000") for n in range(LOOKS)]
    sides = Sides(*looks)
    *differences, last = one_round(sides)
    standing = [each for each in differences if not each.explained]
    assert [(each.kind, each.action, each.detail) for each in standing] == [
        (ReconcileKind.POSITION, ReconcileAction.ALERTED, standing[0].detail)
    ]
    assert (last.explained, last.differences, sides.looks) == (False, 1, LOOKS)


def test_orders_and_fills_that_only_one_side_has() -> None:
    ledger = Ledger()
    ledger.expect(command("c1"), {}, 0)
    ledger.seen(state(OrderStatus.ACCEPTED), "c1")
    ledger.seen(filled(1), "c1")
    foreign = OpenSeen("BTCUSDT", "somebody's", "901")
    sides = Sides(("1", "1", "1000", "1000"), fills=(filled(1), filled(2)), open_=(foreign,))
    *differences, last = one_round(sides, ledger)
    assert {(each.kind, each.subject, each.expected, each.found) for each in differences} == {
        (ReconcileKind.ORDER, "somebody's", None, "open"),
        (ReconcileKind.ORDER, "c1", "open", None),
        (ReconcileKind.FILL, "BTCUSDT:2", None, "1"),
    }
    assert last.differences == 3
    assert set(sides.adopted) == {"2"}
