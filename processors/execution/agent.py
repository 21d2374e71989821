"""Wiring of the execution stage."""

from __future__ import annotations

from processors.execution import logic
from processors.execution.state import AccountState
from processors.wiring import Wiring


def create_agents(wiring: Wiring) -> None:
    """Bind the execution logic to its topics and table."""
    accounts = wiring.table("accounts", AccountState)
    wiring.react("trade.intent", logic.on_intent, accounts.by("account"))
    wiring.react("execution.result", logic.on_result, accounts.by("account"))
    wiring.sweep("clock", logic.on_clock, accounts)
