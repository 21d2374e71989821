"""Wiring of the stage ``market``."""

from __future__ import annotations

from collections.abc import Iterable

from processors.market import consolidation, depth, leadlag, logic
from processors.market.rules import Rules
from processors.output import Output
from processors.wiring import Wiring
from schemas.exchange.records import ExchangeFrame
from schemas.market.records import MarketQuote


def create_agents(wiring: Wiring) -> None:
    """Bind the handlers: frames by venue and symbol, quotes of all venues by symbol.

    Books are a table of their own, which only depth frames write, and so are the sums of who leads whom, which few quotes change.
    """
    rules = Rules()
    venues = wiring.table("venues", logic.VenueState)
    books = wiring.table("books", depth.DepthState)
    symbols = wiring.table("symbols", consolidation.CrossState)
    leads = wiring.table("leads", leadlag.LeadState)

    def on_frame(state: logic.VenueState | None, book: depth.DepthState | None, frame: ExchangeFrame) -> Iterable[Output]:
        if book is not None:
            return depth.on_depth(rules, book, frame)
        assert state is not None, "a frame has the state of its book or that of its venue"
        return logic.on_frame(rules, state, frame)

    def on_quote(state: consolidation.CrossState, lead: leadlag.LeadState, quote: MarketQuote) -> Iterable[Output]:
        return consolidation.on_quote(rules, state, lead, quote)

    def is_other(frame: ExchangeFrame) -> bool:
        return not depth.is_depth(frame)

    key = ("venue", "symbol")
    wiring.react("exchange.raw", on_frame, venues.by(*key).when(is_other), books.by(*key).when(depth.is_depth))
    wiring.react("market.quote", on_quote, symbols.by("symbol"), leads.by("symbol"))
