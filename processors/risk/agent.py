"""Wiring of the risk stage: sizing in the symbol's partition, checks in the account's."""

from __future__ import annotations

from processors.risk.logic import Risk
from processors.risk.state import AccountState, QuoteState, SharedState, SymbolState
from processors.wiring import Wiring


def create_agents(wiring: Wiring) -> None:
    """Bind the risk logic to its topics and tables.

    Quotes have a table of their own, because they are many and the rest of a symbol's state need not be written with each.
    """
    settings = wiring.settings
    risk = Risk(settings.account, settings.venue, settings.feature_interval)
    quotes = wiring.table("quotes", QuoteState)
    symbols = wiring.table("symbols", SymbolState)
    shared = wiring.table("shared", SharedState)
    accounts = wiring.table("accounts", AccountState)
    symbol, account, everywhere = symbols.by("symbol"), accounts.by("account"), shared.at("shared")
    wiring.react("market.quote", risk.on_quote, quotes.by("symbol"))
    wiring.react("features", risk.on_features, symbol)
    wiring.react("market.regime", risk.on_regime, symbol)
    wiring.react("exchange.normalized", risk.on_normalized, symbol)
    wiring.react("market.funding", risk.on_funding, symbol)
    wiring.react("market.instrument", risk.on_instrument, symbol)
    wiring.react("policy", risk.on_policy, everywhere)
    wiring.react("portfolio.snapshot", risk.on_snapshot, everywhere)
    wiring.react("ai.decision.made", risk.on_decision, symbol, quotes.by("symbol"), everywhere)
    wiring.react("sizing.decided", risk.on_sizing, account, everywhere)
    wiring.react("portfolio.exposure", risk.on_exposure, account, everywhere)
    wiring.react("account.balance", risk.on_balance, account)
    wiring.react("execution.result", risk.on_result, account)
    wiring.react("trade.closed", risk.on_trade_closed, account, everywhere)
