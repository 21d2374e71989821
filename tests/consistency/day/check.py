"""The end of the day: the venue's own books against the platform's, to the last digit, and the gaps in the data."""

from __future__ import annotations

import re
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

from connectors.clickhouse.client import connect
from processors.components import newest, read_all
from processors.topology import TOPICS
from quantum.demo.offsets import Offsets
from quantum.metrics import addresses
from quantum.settings import Settings
from schemas.common import BookState, PositionSide, ReconcileKind, TransferKind
from schemas.execution.records import AccountBalance, AccountTransfer, ExecutionResult, ReconcileEvent
from schemas.journal.records import TradeClosed
from schemas.market.records import MarketDepth, MarketKline, MarketTick
from schemas.positions.records import PortfolioPosition, PortfolioSnapshot
from tests.consistency.day.venue import Venue

ZERO = Decimal(0)
MINUTE_US = 60_000_000
GAP = re.compile(r'^quantum_feed_gaps_total\{of="(\w+)",symbol="(\w+)",venue="[^"]*"\} ([\d.e+]+)$', re.MULTILINE)


@dataclass(slots=True)
class Findings:
    """What was compared, and what is wrong."""

    figures: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def same(self, what: str, platform: object, venue: object) -> None:
        """Note where two things differ that must not."""
        if platform != venue:
            self.wrong.append(f"{what}: {platform} at the platform, {venue} at the venue")


def signed_positions(settings: Settings) -> dict[str, Decimal]:
    """Return the platform's open positions, negative where short."""
    found: dict[str, Decimal] = {}
    for position in newest(settings, "portfolio.position").values():
        assert isinstance(position, PortfolioPosition)
        if position.side is not PositionSide.FLAT:
            found[position.symbol] = position.quantity if position.side is PositionSide.LONG else -position.quantity
    return found


def books(settings: Settings, venue: Venue, symbols: tuple[str, ...]) -> Findings:
    """Compare positions, balances, fills, fees, realised profit, funding and transfers: topics, history and venue."""
    out = Findings()
    snapshot = newest(settings, "portfolio.snapshot").get(settings.account)
    balance = newest(settings, "account.balance").get(settings.account)
    if not isinstance(snapshot, PortfolioSnapshot) or not isinstance(balance, AccountBalance):
        out.wrong.append("there is no snapshot or no balance of the account")
        return out
    wallet = venue.wallet()
    out.same("positions", signed_positions(settings), venue.positions())
    out.same("portfolio.snapshot's balance", snapshot.balance, wallet)
    out.same("account.balance", balance.wallet_balance, wallet)
    fills = {(row["symbol"], str(row["id"])): row for symbol in symbols for row in venue.fills(symbol)}
    said = [record for _, record in read_all(settings, "execution.result") if isinstance(record, ExecutionResult) and record.trade_id]
    out.same("fills, each once", Counter((each.symbol, each.trade_id or "") for each in said), Counter(dict.fromkeys(fills, 1)))
    income = venue.income()
    money = {kind: sum((Decimal(row["income"]) for row in income if row["incomeType"] == kind), ZERO) for kind in
             ("REALIZED_PNL", "COMMISSION", "FUNDING_FEE", "TRANSFER")}  # fmt: skip
    out.same("realised profit", snapshot.realised_pnl, money["REALIZED_PNL"])
    out.same("fees", snapshot.fees, -money["COMMISSION"])
    out.same("funding", snapshot.funding, money["FUNDING_FEE"])
    out.same("other transfers", snapshot.transferred, money["TRANSFER"])
    moved = [record for _, record in read_all(settings, "account.transfer") if isinstance(record, AccountTransfer)]
    others = Counter((row["incomeType"], str(row["tranId"])) for row in income if row["incomeType"] not in ("REALIZED_PNL", "COMMISSION"))
    out.same("transfers, each once", Counter((each.venue_kind, each.transfer_id) for each in moved), others)
    closed = [record for _, record in read_all(settings, "trade.closed") if isinstance(record, TradeClosed)]
    out.figures = {
        "fills": len(fills), "wallet": str(wallet), "realised": str(money["REALIZED_PNL"]), "fees": str(snapshot.fees),
        "funding": str(money["FUNDING_FEE"]), "settlements": sum(each.kind is TransferKind.FUNDING for each in moved),
        "transfers": str(money["TRANSFER"]), "closed_trades": len(closed),
        "closed_with_funding": sum(bool(each.funding) for each in closed),
        "open_positions": {symbol: str(quantity) for symbol, quantity in venue.positions().items()},
    }  # fmt: skip
    return out


def history(settings: Settings, venue: Venue, symbols: tuple[str, ...]) -> Findings:
    """Compare what the history says by SQL with the venue: fills, fees, realised profit, funding, wallet."""
    out = Findings()
    client = connect(settings)

    def asked(sql: str) -> Any:
        (row,) = client.query(sql).result_rows
        return row

    try:
        fees, realised, fills = asked("SELECT sum(commission), sum(realised_pnl), count() FROM execution_result WHERE trade_id IS NOT NULL")
        (funding,) = asked("SELECT sum(amount) FROM account_transfer WHERE kind = 'FUNDING'")
        (wallet,) = asked("SELECT argMax(wallet_balance, event_ts) FROM account_balance")
        (balance,) = asked("SELECT argMax(balance, (_partition, _offset)) FROM portfolio_snapshot")
    finally:
        client.close()
    income = venue.income()
    own = venue.wallet()
    out.same("fills by SQL", fills, sum(len(venue.fills(symbol)) for symbol in symbols))
    out.same("fees by SQL", fees, -sum((Decimal(row["income"]) for row in income if row["incomeType"] == "COMMISSION"), ZERO))
    out.same("realised by SQL", realised, sum((Decimal(row["income"]) for row in income if row["incomeType"] == "REALIZED_PNL"), ZERO))
    out.same("funding by SQL", funding, sum((Decimal(row["income"]) for row in income if row["incomeType"] == "FUNDING_FEE"), ZERO))
    out.same("wallet by SQL", wallet, own)
    out.same("balance by SQL", balance, own)
    return out


def gap_counts(settings: Settings) -> dict[tuple[str, str], int]:
    """Return how many gaps the feed has reported, by what was missing and symbol, as its metrics say."""
    found: dict[tuple[str, str], int] = {}
    for name, port in addresses(settings.folders.run):
        if name.startswith("feed"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                for of, symbol, count in GAP.findall(answer.read().decode()):
                    found[of, symbol] = int(float(count))
    return found


def data(settings: Settings, symbols: tuple[str, ...], strikes: list[dict[str, Any]], reported: dict[tuple[str, str], int]) -> Findings:
    """Find every hole in what the platform has of the market, and whether it was reported; and whether the books have healed."""
    out = Findings()
    ids: dict[str, set[int]] = {symbol: set() for symbol in symbols}
    for _, tick in read_all(settings, "market.tick"):
        if isinstance(tick, MarketTick):
            if tick.trade_id in ids[tick.symbol]:
                out.wrong.append(f"trade {tick.trade_id} of {tick.symbol} is there twice")
            ids[tick.symbol].add(tick.trade_id)
    books: dict[str, BookState] = {}
    for _, depth in read_all(settings, "market.depth"):
        if isinstance(depth, MarketDepth):
            books[depth.symbol] = depth.state
    minutes: dict[str, list[int]] = {symbol: [] for symbol in symbols}
    for _, bar in read_all(settings, "market.klines"):
        if isinstance(bar, MarketKline) and bar.interval == "1m":
            minutes[bar.symbol].append(bar.open_ts)
    for symbol in symbols:
        holes = [(before, after) for before, after in pairwise(sorted(ids[symbol])) if after > before + 1]
        lost = sum(after - before - 1 for before, after in holes)
        found = reported.get(("trade", symbol), 0)
        if len(holes) > found:
            out.wrong.append(f"{symbol}: {len(holes)} holes in the trades, {found} gaps reported")
        struck = _struck(strikes, symbol, "@depth", ("drop_frame", "gap"))
        if struck and not reported.get(("book", symbol), 0):
            out.wrong.append(f"{symbol}: {struck} depth frames were kept back, and no gap of the book was reported")
        if books.get(symbol) is not BookState.LIVE:
            out.wrong.append(f"{symbol}: its book is {books.get(symbol)} at the end")
        skipped = [after for before, after in pairwise(minutes[symbol]) if after != before + MINUTE_US]
        if skipped:
            out.wrong.append(f"{symbol}: bars of a minute are missing before {skipped}")
        out.figures[symbol] = {
            "trades": len(ids[symbol]), "trades_lost": lost, "holes": len(holes), "trade_gaps_reported": found,
            "trade_frames_struck": _struck(strikes, symbol, "@trade", ("drop_frame", "gap", "reorder_frame")),
            "book_gaps_reported": reported.get(("book", symbol), 0), "depth_frames_struck": struck, "minute_bars": len(minutes[symbol]),
        }  # fmt: skip
    return out


def _struck(strikes: list[dict[str, Any]], symbol: str, stream: str, kinds: tuple[str, ...]) -> int:
    return sum(row["count"] for row in strikes if row["kind"] in kinds and row["what"].startswith(f"{symbol.lower()}{stream}"))


def reconciled(settings: Settings) -> Findings:
    """Look at what reconciliation has written: no difference may have stood, and the last round must have found none."""
    out = Findings()
    events = [record for _, record in read_all(settings, "reconcile.events") if isinstance(record, ReconcileEvent)]
    rounds = [event for event in events if event.kind is ReconcileKind.ROUND]
    out.wrong += [f"unexplained: {event.detail}" for event in events if not event.explained]
    if not rounds:
        out.wrong.append("there was no round of reconciliation")
    out.figures = {"rounds": len(rounds), "differences_under_way": sum(event.kind is not ReconcileKind.ROUND for event in events)}
    return out


def dead_letters(settings: Settings) -> Findings:
    """Look for records that a stage could not process."""
    out = Findings()
    names = [topic.dead_letters for topic in TOPICS.values()]
    ends = Offsets(settings).look(names, ()).ends
    out.wrong += [f"{name} has records" for (name, _), end in ends.items() if end]
    return out
