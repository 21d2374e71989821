"""Wiring of the stage ``market``."""

from __future__ import annotations

from collections.abc import Iterable

from processors.market import consolidation, logic
from processors.market.rules import Rules
from processors.output import Output
from processors.wiring import Wiring
from schemas.exchange.records import ExchangeFrame
from schemas.market.records import MarketQuote


def create_agents(wiring: Wiring) -> None:
    """Bind the handlers: frames by venue and symbol, quotes of all venues by symbol."""
    rules = Rules()
    venues = wiring.table("venues", logic.VenueState)
    symbols = wiring.table("symbols", consolidation.CrossState)

    def on_frame(state: logic.VenueState, frame: ExchangeFrame) -> Iterable[Output]:
        return logic.on_frame(rules, state, frame)

    def on_quote(state: consolidation.CrossState, quote: MarketQuote) -> Iterable[Output]:
        return consolidation.on_quote(rules, state, quote)

    wiring.react("exchange.raw", on_frame, venues.by("venue", "symbol"))
    wiring.react("market.quote", on_quote, symbols.by("symbol"))
