"""Wiring of the stage ``features``."""

from __future__ import annotations

from collections.abc import Iterable

from processors.features import logic
from processors.output import Output
from processors.wiring import Wiring
from schemas.market.records import MarketDepth, MarketFunding, MarketKline, MarketQuote


def create_agents(wiring: Wiring) -> None:
    """Bind the handlers; quotes, books, context and bars are tables of their own, so that a quote does not write sixty bars."""
    rules = logic.Rules(wiring.settings.venue, wiring.settings.feature_interval)
    quotes = wiring.table("quotes", logic.Quote)
    books = wiring.table("books", logic.Depth)
    contexts = wiring.table("contexts", logic.Context)
    symbols = wiring.table("symbols", logic.SymbolState)

    def on_quote(quote: logic.Quote, record: MarketQuote) -> Iterable[Output]:
        return logic.on_quote(rules, quote, record)

    def on_depth(depth: logic.Depth, record: MarketDepth) -> Iterable[Output]:
        return logic.on_depth(rules, depth, record)

    def on_funding(context: logic.Context, record: MarketFunding) -> Iterable[Output]:
        return logic.on_funding(rules, context, record)

    def on_kline(
        state: logic.SymbolState, quote: logic.Quote, depth: logic.Depth, context: logic.Context, bar: MarketKline
    ) -> Iterable[Output]:
        return logic.on_kline(rules, state, quote, depth, context, bar)

    wiring.react("market.quote", on_quote, quotes.by("symbol"))
    wiring.react("market.depth", on_depth, books.by("symbol"))
    wiring.react("market.funding", on_funding, contexts.by("symbol"))
    wiring.react("exchange.normalized", logic.on_normalized, contexts.by("symbol"))
    wiring.react("market.klines", on_kline, symbols.by("symbol"), quotes.by("symbol"), books.by("symbol"), contexts.by("symbol"))
