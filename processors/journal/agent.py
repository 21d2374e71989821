"""Wiring of the stage ``journal``."""

from __future__ import annotations

from collections.abc import Iterable

from processors.journal import logic
from processors.output import Output
from processors.positions.logic import Rules
from processors.wiring import Wiring
from schemas.execution.records import AccountTransfer, ExecutionResult


def create_agents(wiring: Wiring) -> None:
    """Bind the handlers: one book a symbol of an account, in the account's partition."""
    quote_asset = Rules(wiring.settings.venue).quote_asset
    books = wiring.table("books", logic.Book)

    def on_result(book: logic.Book, result: ExecutionResult) -> Iterable[Output]:
        return logic.on_result(quote_asset, book, result)

    def on_transfer(book: logic.Book, transfer: AccountTransfer) -> Iterable[Output]:
        return logic.on_transfer(quote_asset, book, transfer)

    wiring.react("account.transfer", on_transfer, books.by("account", "symbol"))
    wiring.react("execution.result", on_result, books.by("account", "symbol"))
    wiring.react("ai.exit.decision", logic.on_exit_decision, books.by("account", "symbol"))
