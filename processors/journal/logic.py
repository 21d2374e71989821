"""Round trips from fills: each position, from its first fill to flat; pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from processors.output import Output
from processors.positions.fills import Holding, Seen, apply, fill_of, fund, rounded
from schemas.common import ExitAction, ExitReason
from schemas.execution.records import AccountTransfer, ExecutionResult
from schemas.exits.records import ExitDecision
from schemas.journal.records import TradeClosed

BPS = 10_000
TRANSFERS_KEPT = 32
_REASONS = frozenset(ExitReason)


class Book(msgspec.Struct):
    """A symbol of an account.

    Attributes
    ----------
    held
        The open position, None when flat.
    seen
        The fills that were taken.
    transfers
        Ids of the newest funding that was taken.
    decided_position, decided_r
        The position that the last exit was decided for, and its profit in R then.
    """

    held: Holding | None = None
    seen: Seen = msgspec.field(default_factory=Seen)
    transfers: list[str] = []
    decided_position: str = ""
    decided_r: float | None = None


def on_exit_decision(book: Book, decision: ExitDecision) -> Iterable[Output]:
    """Remember at which profit an exit was decided, for the round trip that it ends."""
    if decision.action in (ExitAction.CLOSE, ExitAction.REDUCE):
        book.decided_position, book.decided_r = decision.position_id, decision.r_multiple
    return ()


def on_transfer(quote_asset: str, book: Book, transfer: AccountTransfer) -> Iterable[Output]:
    """Give funding to the open position that it was paid for, once."""
    if transfer.asset == quote_asset and transfer.event_id not in book.transfers and fund(book.held, transfer):
        book.transfers.append(transfer.event_id)
        del book.transfers[:-TRANSFERS_KEPT]
    return ()


def on_result(quote_asset: str, book: Book, result: ExecutionResult) -> Iterable[Output]:
    """Take a fill; write the round trip that it ends. Raises what `fill_of` and `apply` of the fill accounting do."""
    fill = fill_of(result, quote_asset)
    if fill is None or book.seen.has(result):
        return ()
    closed, book.held = apply(book.held, result, fill)
    book.seen.add(result)
    if closed is None:
        return ()
    decided_r = book.decided_r if book.decided_position == closed.position_id else None
    return (Output("trade.closed", result.account, round_trip(closed, result, decided_r)),)


def round_trip(closed: Holding, last: ExecutionResult, decided_r: float | None) -> TradeClosed:
    """Return the record of a position that its last fill made flat.

    Slippage is the average price against the average of the prices at which the orders were decided, weighted by quantity;
    it is positive where the fill was worse: dearer for what was bought, cheaper for what was sold.
    """
    net = closed.realised - closed.fees + closed.funding
    return TradeClosed(
        event_id=f"{closed.position_id}:closed", event_ts=last.event_ts, ingest_ts=last.ingest_ts, account=closed.account,
        symbol=closed.symbol, venue=closed.venue, position_id=closed.position_id, strategy=closed.strategy,
        signal_id=closed.signal_id, side=closed.side, quantity=closed.entered,
        entry_price=rounded(closed.entry_value / closed.entered), exit_price=rounded(closed.exit_value / closed.exited),
        opened_ts=closed.opened_ts, closed_ts=last.event_ts, held_s=(last.event_ts - closed.opened_ts) / 1e6,
        gross_pnl=rounded(closed.realised), fees=rounded(closed.fees), funding=rounded(closed.funding), net_pnl=rounded(net),
        risk_amount=None if closed.risk is None else rounded(closed.risk),
        r_multiple=float(net / closed.risk) if closed.risk else None,
        decided_r=decided_r,
        entry_slippage_bps=_slippage(closed.entry_value, closed.entry_reference, closed.direction),
        exit_slippage_bps=_slippage(closed.exit_value, closed.exit_reference, -closed.direction),
        exit_reason=ExitReason(closed.exit_reason) if closed.exit_reason in _REASONS else ExitReason.NONE,
        leverage=closed.leverage, entry_orders=closed.entry_orders, exit_orders=closed.exit_orders,
    )  # fmt: skip


def _slippage(value: Decimal, reference: Decimal, bought: int) -> float:
    """Return how much worse a value is than its reference, basis points; ``bought`` is 1 for purchases, -1 for sales."""
    return float(bought * (value / reference - 1) * BPS)
