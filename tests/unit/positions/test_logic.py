from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.output import Output
from processors.positions import logic
from processors.positions.fills import Seen
from processors.positions.ledger import DAY_US, Account
from quantum.errors import DeadLetterError
from schemas.clock.records import ClockTick
from schemas.common import PositionSide, Side, SymbolNotional, TransferKind
from schemas.market.records import MarketQuote
from schemas.positions.records import PortfolioExposure, PortfolioMark, PortfolioPosition, PortfolioSnapshot
from tests.unit.positions.results import FILLS, T0, D, balance, fill, results, transfer, values

RULES = logic.Rules("binance-usdm")
RecordT = TypeVar("RecordT")


def of(kind: type[RecordT], outputs: Iterable[Output]) -> list[RecordT]:
    return [output.record for output in outputs if isinstance(output.record, kind)]


def clock(ts: int) -> ClockTick:
    return ClockTick(event_id=f"c{ts}", event_ts=ts, ingest_ts=ts)


def mark(position_id: str, price: str, ts: int) -> PortfolioMark:
    return PortfolioMark(
        event_id=f"m{ts}", event_ts=ts, ingest_ts=ts, account="paper", symbol="BTCUSDT", position_id=position_id, mark_price=D(price)
    )


def test_the_first_balance_is_the_first_snapshot() -> None:
    account = Account()
    [one] = of(PortfolioSnapshot, logic.on_balance(RULES, account, balance("1000")))
    assert values(one.equity, one.balance, one.available, one.daily_pnl, one.peak_equity, one.drawdown) == values(
        1000, 1000, 1000, 0, 1000, 0.0
    )
    assert not list(logic.on_balance(RULES, account, balance("1000", T0 + 5)))
    assert not list(logic.on_balance(RULES, Account(), balance("1", asset="BNB")))


def test_a_later_balance_that_differs_is_noted_not_taken() -> None:
    account = Account()
    logic.on_balance(RULES, account, balance("1000"))
    logic.on_balance(RULES, account, balance("990", T0 + 5))
    assert values(account.balance, account.drift) == values(1000, -10)
    logic.on_balance(RULES, account, balance("1000.001", T0 + 6))
    assert account.drift == 0


def test_funding_is_the_positions_own_and_counts_once() -> None:
    account, seen = Account(), Seen()
    logic.on_balance(RULES, account, balance("1000"))
    logic.on_result(RULES, account, seen, fill(1, Side.BUY, "1", "100", fee="0.5"))
    paid = transfer("-0.25", T0 + 5_000_000)
    [shown] = of(PortfolioPosition, logic.on_transfer(RULES, account, paid))
    assert shown.funding == D("-0.25")
    assert not list(logic.on_transfer(RULES, account, paid))
    [after] = of(PortfolioSnapshot, logic.on_transfer(RULES, account, transfer("0.1", T0 + 6_000_000, symbol="ETHUSDT")))
    assert values(after.balance, after.funding, after.transferred) == values(D("999.35"), D("-0.15"), 0)
    logic.on_balance(RULES, account, balance("999.35", T0 + 7_000_000))
    assert account.drift == 0


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(-500, 500), st.sampled_from(TransferKind)), max_size=12), st.integers(0, 12))
def test_the_balance_is_the_wallet_wherever_the_ledger_begins(moves: list[tuple[int, int, TransferKind]], begins_after: int) -> None:
    """Of the same transfers some come before the first balance and some after it, some are in it and some are not."""
    moved = [transfer(str(amount), T0 + at * 10 + n % 10, kind, event_id=f"m{n}") for n, (at, amount, kind) in enumerate(moves)]
    account, read_at = Account(), T0 + 100
    first = D(1000) + sum((each.amount for each in moved if each.event_ts <= read_at), D(0))
    for n, each in enumerate(moved):
        if n == begins_after:
            logic.on_balance(RULES, account, balance(str(first), read_at))
        logic.on_transfer(RULES, account, each)
        account = msgspec.json.decode(msgspec.json.encode(account), type=Account)
    if begins_after >= len(moved):
        logic.on_balance(RULES, account, balance(str(first), read_at))
    assert account.balance == D(1000) + sum((each.amount for each in moved), D(0))


def test_a_withdrawal_is_no_drawdown() -> None:
    account = Account()
    logic.on_balance(RULES, account, balance("1000"))
    [taken] = of(PortfolioSnapshot, logic.on_transfer(RULES, account, transfer("-400", T0 + 9, TransferKind.TRANSFER, "")))
    assert values(taken.equity, taken.drawdown, taken.daily_pnl, taken.transferred) == values(600, 0.0, 0, -400)


def test_what_the_venue_booked_for_a_fill_is_taken_as_it_is() -> None:
    account, seen = Account(), Seen()
    logic.on_balance(RULES, account, balance("1000"))
    logic.on_result(RULES, account, seen, fill(1, Side.BUY, "3", "100"))
    logic.on_result(RULES, account, seen, fill(2, Side.SELL, "1", "100.3333333333", realised_pnl=D("0.33333333")))
    assert account.balance == D("1000.33333333")


@pytest.mark.parametrize(("taken", "expected"), [(T0, "999.5"), (T0 + 2_000_000, "1000")])
def test_a_balance_after_the_first_fill_has_it_in_it(taken: int, expected: str) -> None:
    account = Account()
    outputs = logic.on_result(RULES, account, Seen(), fill(1, Side.BUY, "1", "100", fee="0.5"))
    assert not of(PortfolioSnapshot, outputs)
    logic.on_balance(RULES, account, balance("1000", taken))
    assert account.balance == D(expected)


def test_open_mark_close() -> None:
    account, seen = Account(), Seen()
    logic.on_balance(RULES, account, balance("1000"))
    outputs = list(logic.on_result(RULES, account, seen, fill(1, Side.SELL, "2", "100", fee="0.1", stop_price=D(105), risk_amount=D(10))))
    assert [(output.topic, output.key) for output in outputs] == [
        ("portfolio.position", "paper:BTCUSDT"), ("portfolio.snapshot", "paper"), ("portfolio.exposure", "paper"),
    ]  # fmt: skip
    [position] = of(PortfolioPosition, outputs)
    assert values(position.side, position.quantity, position.entry_price, position.margin) == values(PositionSide.SHORT, 2, 100, 100)
    assert values(position.position_id, position.initial_stop, position.risk_amount, position.initial_quantity) == values("o1", 105, 10, 2)
    [exposed] = of(PortfolioExposure, outputs)
    assert values(exposed.gross, exposed.net, exposed.margin) == values(200, -200, 100)
    assert exposed.symbols == [SymbolNotional(symbol="BTCUSDT", notional=D(-200))]

    outputs = list(logic.on_mark(account, mark("o1", "110", T0 + 2_000_000)))
    [one] = of(PortfolioSnapshot, outputs)
    assert values(one.equity, one.unrealised_pnl, one.balance, one.available) == values(D("979.9"), -20, D("999.9"), D("879.9"))
    assert values(one.peak_equity, one.daily_pnl) == values(1000, D("-20.1"))
    assert one.drawdown == pytest.approx(0.0201)
    assert not list(logic.on_mark(account, mark("another", "1", T0 + 2_000_000)))

    closing = fill(3, Side.BUY, "2", "95", fee="0.1", reduce_only=True)
    outputs = list(logic.on_result(RULES, account, seen, closing))
    [position] = of(PortfolioPosition, outputs)
    assert values(position.side, position.quantity, position.realised_pnl, position.position_id) == values(PositionSide.FLAT, 0, 10, "o1")
    [one] = of(PortfolioSnapshot, outputs)
    assert values(one.equity, one.realised_pnl, one.fees, one.open_positions) == values(D("1009.8"), 10, D("0.2"), 0)
    assert not list(logic.on_result(RULES, account, seen, closing))


def test_a_flip_shows_both_positions() -> None:
    account, seen = Account(), Seen()
    logic.on_result(RULES, account, seen, fill(1, Side.BUY, "1", "100"))
    closed, opened = of(PortfolioPosition, logic.on_result(RULES, account, seen, fill(2, Side.SELL, "3", "90")))
    assert values(closed.position_id, closed.side, closed.realised_pnl) == values("o1", PositionSide.FLAT, -10)
    assert values(opened.position_id, opened.side, opened.quantity) == values("o2", PositionSide.SHORT, 2)
    assert closed.event_id != opened.event_id


def test_a_refused_fill_changes_nothing() -> None:
    account, seen = Account(), Seen()
    bad = fill(1, Side.SELL, "1", "1", reduce_only=True)
    with pytest.raises(DeadLetterError):
        logic.on_result(RULES, account, seen, bad)
    assert values(account.holdings, account.realised, seen.ids) == values({}, 0, [])


def test_a_new_day_begins_with_the_equity_of_its_first_moment() -> None:
    account, seen = Account(), Seen()
    logic.on_balance(RULES, account, balance("1000"))
    logic.on_result(RULES, account, seen, fill(1, Side.BUY, "1", "100"))
    logic.on_mark(account, mark("o1", "120", T0 + 2_000_000))
    assert not list(logic.on_day(account, clock(T0 + 3_000_000)))
    [one] = of(PortfolioSnapshot, logic.on_day(account, clock(T0 + DAY_US)))
    assert values(one.daily_pnl, one.equity) == values(0, 1020)
    [one] = of(PortfolioSnapshot, logic.on_mark(account, mark("o1", "115", T0 + DAY_US + 1)))
    assert one.daily_pnl == -5


@given(FILLS)
def test_equity_identity(raw: list[tuple[Side, Decimal, Decimal, Decimal]]) -> None:
    """Equity is the starting balance plus realised profit less fees plus unrealised profit, through any state kept as JSON."""
    account, seen = Account(), Seen()
    logic.on_balance(RULES, account, balance("1000000"))
    for result in results(raw):
        outputs = list(logic.on_result(RULES, account, seen, result))
        assert not list(logic.on_result(RULES, account, seen, result))
        account = msgspec.json.decode(msgspec.json.encode(account), type=Account)
        [one] = of(PortfolioSnapshot, outputs)
        near = D("1e-8")
        assert abs(one.equity - (1_000_000 + one.realised_pnl - one.fees + one.unrealised_pnl)) < near
        assert abs(one.equity - one.balance - one.unrealised_pnl) < near
        assert one.peak_equity >= one.equity
        assert 0 <= one.drawdown <= 1
        [exposed] = of(PortfolioExposure, outputs)
        assert exposed.gross >= abs(exposed.net)
        assert len(exposed.symbols) == one.open_positions
        for position in of(PortfolioPosition, outputs):
            assert (position.quantity == 0) == (position.side is PositionSide.FLAT)
            assert position.quantity >= 0
    sign = {Side.BUY: 1, Side.SELL: -1}
    flows = sum((-sign[side] * quantity * price - fee for side, quantity, price, fee in raw), D(0))
    held = sum((sign[side] * quantity for side, quantity, _, _ in raw), D(0))
    assert account.equity is not None
    assert abs(account.equity - (1_000_000 + flows + held * raw[-1][2])) < D("1e-12")


def quote(mid: float, ts: int, venue: str = "binance-usdm") -> MarketQuote:
    return MarketQuote(
        event_id=f"q{ts}", event_ts=ts, ingest_ts=ts, venue=venue, symbol="BTCUSDT", update_id=ts, bid_price=mid - 1, bid_quantity=1,
        ask_price=mid + 1, ask_quantity=1,
    )  # fmt: skip


def test_the_symbol_side_marks_open_positions_when_the_price_changes() -> None:
    account, seen, book = Account(), Seen(), logic.Book()
    assert not logic.on_clock(book, clock(T0))
    logic.on_quote(RULES, book, quote(100, T0))
    logic.on_quote(RULES, book, quote(500, T0 + 1, "binance-spot"))
    for position in of(PortfolioPosition, logic.on_result(RULES, account, seen, fill(1, Side.BUY, "1", "100"))):
        logic.on_position(book, position)
    [output] = logic.on_clock(book, clock(T0 + 1_000_000))
    assert values(output.topic, output.key) == values("portfolio.mark", "paper")
    assert isinstance(output.record, PortfolioMark)
    assert values(output.record.mark_price, output.record.position_id) == values(100, "o1")
    assert not logic.on_clock(book, clock(T0 + 2_000_000))
    logic.on_quote(RULES, book, quote(101, T0 + 2_500_000))
    assert len(list(logic.on_clock(book, clock(T0 + 3_000_000)))) == 1
    for position in of(PortfolioPosition, logic.on_result(RULES, account, seen, fill(4, Side.SELL, "3", "100"))):
        logic.on_position(book, position)
    assert {name: opened.position_id for name, opened in book.positions.items()} == {"paper": "o4"}
    for position in of(PortfolioPosition, logic.on_result(RULES, account, seen, fill(5, Side.BUY, "2", "100"))):
        logic.on_position(book, position)
    assert not logic.on_clock(book, clock(T0 + 6_000_000))
