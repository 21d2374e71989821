"""Wiring of the governance stage."""

from __future__ import annotations

from processors.governance.logic import Governance
from processors.governance.state import AccountState, SharedState
from processors.wiring import Wiring


def create_agents(wiring: Wiring) -> None:
    """Bind the governance logic to its topics and tables.

    What is broadcast goes into one state that every partition has; the brains' state is the account's, and the clock
    sweeps it in the account's own partition only, so that one worker writes the policy.
    """
    governance = Governance(wiring.settings.account)
    shared = wiring.table("shared", SharedState)
    accounts = wiring.table("accounts", AccountState)
    everywhere = shared.at("shared")
    wiring.react("policy", governance.on_policy, everywhere)
    wiring.react("health.events", governance.on_health, everywhere)
    wiring.react("portfolio.snapshot", governance.on_snapshot, everywhere)
    wiring.react("portfolio.exposure", governance.on_exposure, accounts.by("account"))
    wiring.react("risk.events", governance.on_risk_event, accounts.by("account"))
    wiring.react("reconcile.events", governance.on_reconcile, accounts.by("account"))
    wiring.react("trade.closed", governance.on_trade_closed, accounts.by("account"))
    wiring.react("universe.quality", governance.on_quality, accounts.by("account"))
    wiring.react("ai.signal_generated", governance.on_signal, everywhere)
    wiring.sweep("clock", governance.on_clock, accounts, everywhere)
