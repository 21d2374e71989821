"""Wiring of the stage ``positions``."""

from __future__ import annotations

from collections.abc import Iterable

from processors.output import Output
from processors.positions import logic
from processors.positions.fills import Seen
from processors.positions.ledger import Account
from processors.wiring import Wiring
from schemas.execution.records import AccountBalance, AccountTransfer, ExecutionResult
from schemas.market.records import MarketQuote


def create_agents(wiring: Wiring) -> None:
    """Bind the handlers; the ids of fills are a table of their own, so that a mark does not write them."""
    rules = logic.Rules(wiring.settings.venue)
    accounts = wiring.table("accounts", Account)
    seen = wiring.table("seen", Seen)
    books = wiring.table("books", logic.Book)

    def on_result(account: Account, fills: Seen, result: ExecutionResult) -> Iterable[Output]:
        return logic.on_result(rules, account, fills, result)

    def on_balance(account: Account, balance: AccountBalance) -> Iterable[Output]:
        return logic.on_balance(rules, account, balance)

    def on_transfer(account: Account, transfer: AccountTransfer) -> Iterable[Output]:
        return logic.on_transfer(rules, account, transfer)

    def on_quote(book: logic.Book, quote: MarketQuote) -> Iterable[Output]:
        return logic.on_quote(rules, book, quote)

    wiring.react("execution.result", on_result, accounts.by("account"), seen.by("account", "symbol"))
    wiring.react("account.balance", on_balance, accounts.by("account"))
    wiring.react("account.transfer", on_transfer, accounts.by("account"))
    wiring.react("portfolio.mark", logic.on_mark, accounts.by("account"))
    wiring.sweep("clock", logic.on_day, accounts)
    wiring.react("portfolio.position", logic.on_position, books.by("symbol"))
    wiring.react("market.quote", on_quote, books.by("symbol"))
    wiring.sweep("clock", logic.on_clock, books)
