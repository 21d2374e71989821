"""Positions, equity and exposure from fills, funding, balances and marks; pure.

The account's partition keeps the ledger. Prices are in the symbols' partitions: there each open position of the symbol is
marked at the mid once a second, and the mark goes to the account's partition by ``portfolio.mark``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from processors.output import Output
from processors.positions.fills import ZERO, Seen, apply, fill_of, fund
from processors.positions.ledger import Account, cause_of, exposure, position, snapshot
from schemas.clock.records import ClockTick
from schemas.common import PositionSide, TransferKind
from schemas.execution.records import AccountBalance, AccountTransfer, ExecutionResult
from schemas.market.records import MarketQuote
from schemas.positions.records import PortfolioMark, PortfolioPosition

TRANSFERS_KEPT = 512


@dataclass(frozen=True, slots=True)
class Rules:
    """What the stage goes by.

    Attributes
    ----------
    venue
        Venue whose quotes mark the positions.
    quote_asset
        Asset that the ledger is kept in.
    tolerance
        Difference between the venue's balance and the ledger's that is not worth a note, quote currency.
    """

    venue: str
    quote_asset: str = "USDT"
    tolerance: Decimal = Decimal("0.01")


class Opened(msgspec.Struct):
    """An open position as the symbol's partition knows it."""

    position_id: str
    marked: float = 0.0


class Book(msgspec.Struct):
    """A symbol at the venue: its name, last mid and its time in microseconds (0 without one), and open positions by account."""

    symbol: str = ""
    ts: int = 0
    mid: float = 0.0
    positions: dict[str, Opened] = {}


# The account's partition.


def on_result(rules: Rules, account: Account, seen: Seen, result: ExecutionResult) -> Iterable[Output]:
    """Take a fill; what is no fill, and a fill that came before, changes nothing. Raises what `fill_of` and `apply` do."""
    fill = fill_of(result, rules.quote_asset)
    if fill is None or seen.has(result):
        return ()
    account.name = result.account
    account.pass_time(result.event_ts)
    before = account.holdings.get(result.symbol)
    realised, fees = (ZERO, ZERO) if before is None else (before.realised, before.fees)
    closed, held = apply(before, result, fill)
    seen.add(result)
    cause = cause_of(result)
    outputs = []
    for each in (closed, held):
        if each is not None:
            known_realised, known_fees = (realised, fees) if each is before else (ZERO, ZERO)
            account.realised += each.realised - known_realised
            account.fees += each.fees - known_fees
            outputs.append(position(each, fill.price, cause))
    if held is None:
        del account.holdings[result.symbol], account.marks[result.symbol]
    else:
        account.holdings[result.symbol] = held
        account.marks[result.symbol] = fill.price
    return [*outputs, *snapshot(account, cause), exposure(account, cause)]


def on_balance(rules: Rules, account: Account, balance: AccountBalance) -> Iterable[Output]:
    """Begin the ledger with the venue's first balance; note where a later one differs."""
    if balance.asset != rules.quote_asset or balance.venue != rules.venue:
        return ()
    account.name = balance.account
    own = account.balance
    if own is None:
        # A balance that was taken after the first fills has them in it; one from before them has not.
        inside = account.moved if balance.event_ts >= account.ts else ZERO
        account.started, account.began = balance.wallet_balance - inside, balance.event_ts
        for transfer in account.early:
            if transfer.event_ts > account.began:
                _book(account, transfer)
        account.early.clear()
    else:
        drift = balance.wallet_balance - own
        account.drift = drift if abs(drift) > rules.tolerance else ZERO
    if not account.pass_time(balance.event_ts) and own is not None:
        return ()
    cause = cause_of(balance)
    return [*snapshot(account, cause), exposure(account, cause)]


def on_transfer(rules: Rules, account: Account, transfer: AccountTransfer) -> Iterable[Output]:
    """Take funding and other movements of the wallet; one from before the ledger's first balance is in that already.

    A deposit or a withdrawal is no profit and no loss: the peak and the day's first equity move with it.
    """
    if transfer.asset != rules.quote_asset or transfer.venue != rules.venue or transfer.event_id in account.transfers:
        return ()
    account.transfers.append(transfer.event_id)
    del account.transfers[:-TRANSFERS_KEPT]
    held = account.holdings.get(transfer.symbol)
    own = fund(held, transfer)
    if account.started is None:
        account.early.append(transfer)
        return ()
    if transfer.event_ts <= account.began:
        return ()
    account.pass_time(transfer.event_ts)
    _book(account, transfer)
    cause = cause_of(transfer)
    shown = [position(held, account.marks[transfer.symbol], cause)] if held is not None and own else []
    return [*shown, *snapshot(account, cause), exposure(account, cause)]


def _book(account: Account, transfer: AccountTransfer) -> None:
    if transfer.kind is TransferKind.FUNDING:
        account.funding += transfer.amount
        return
    account.transferred += transfer.amount
    if transfer.kind is TransferKind.TRANSFER:
        account.peak += transfer.amount
        account.day_equity += transfer.amount


def on_mark(account: Account, mark: PortfolioMark) -> Iterable[Output]:
    """Value a position at a new price; a mark of a position that is closed by now changes nothing."""
    held = account.holdings.get(mark.symbol)
    if held is None or held.position_id != mark.position_id:
        return ()
    account.pass_time(mark.event_ts)
    account.marks[mark.symbol] = mark.mark_price
    cause = cause_of(mark)
    return [position(held, mark.mark_price, cause), *snapshot(account, cause), exposure(account, cause)]


def on_day(account: Account, tick: ClockTick) -> Iterable[Output]:
    """Begin a new UTC day where the clock says so, though nothing else happens."""
    if not account.pass_time(tick.event_ts):
        return ()
    return snapshot(account, cause_of(tick))


# The symbol's partition.


def on_position(book: Book, record: PortfolioPosition) -> Iterable[Output]:
    """Remember which positions are open."""
    book.symbol = record.symbol
    known = book.positions.get(record.account)
    if record.side is PositionSide.FLAT:
        if known is not None and known.position_id == record.position_id:
            del book.positions[record.account]
    elif known is None or known.position_id != record.position_id:
        book.positions[record.account] = Opened(record.position_id)
    return ()


def on_quote(rules: Rules, book: Book, quote: MarketQuote) -> Iterable[Output]:
    """Keep the newest mid of the venue."""
    if quote.venue == rules.venue and quote.event_ts >= book.ts:
        book.symbol, book.ts, book.mid = quote.symbol, quote.event_ts, (quote.bid_price + quote.ask_price) / 2
    return ()


def on_clock(book: Book, tick: ClockTick) -> Iterable[Output]:
    """Mark the open positions of a symbol whose price has changed since they were marked."""
    outputs = []
    for account, opened in book.positions.items():
        if book.ts and book.mid != opened.marked:
            opened.marked = book.mid
            record = PortfolioMark(
                event_id=f"{opened.position_id}:mark:{tick.event_ts}", event_ts=tick.event_ts, ingest_ts=tick.ingest_ts,
                account=account, symbol=book.symbol, position_id=opened.position_id, mark_price=Decimal(repr(book.mid)),
            )  # fmt: skip
            outputs.append(Output("portfolio.mark", account, record))
    return outputs
