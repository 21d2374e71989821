"""Wiring of the stage ``features``."""

from __future__ import annotations

from collections.abc import Iterable

from ml.features.regime import RegimeState
from processors.features import context, logic, quality, quotes
from processors.features.rules import Rules
from processors.output import Output
from processors.wiring import Wiring
from schemas.governance.records import Policy
from schemas.market.records import MarketDepth, MarketFunding, MarketKline, MarketQuote


def create_agents(wiring: Wiring) -> None:
    """Bind the handlers; what changes at its own pace is a table of its own, so that a quote does not write sixty bars."""
    rules = Rules(wiring.settings.venue, wiring.settings.feature_interval, frozenset(wiring.settings.feature_intervals))
    touches = wiring.table("quotes", quotes.Quotes)
    flows = wiring.table("flows", quotes.Flows)
    books = wiring.table("books", context.Books)
    contexts = wiring.table("contexts", context.Context)
    bars = wiring.table("bars", logic.BarState)
    regimes = wiring.table("regimes", RegimeState)

    def on_quote(state: quotes.Quotes, record: MarketQuote) -> Iterable[Output]:
        return quotes.on_quote(rules, state, record)

    def on_depth(state: context.Books, record: MarketDepth) -> Iterable[Output]:
        return context.on_depth(rules, state, record)

    def on_funding(state: context.Context, record: MarketFunding) -> Iterable[Output]:
        return context.on_funding(rules, state, record)

    def on_kline(
        state: logic.BarState, regime: RegimeState, quoted: quotes.Quotes, flow: quotes.Flows, book: context.Books,
        around: context.Context, minute: quality.OpenMinute | None, window: quality.Window | None, known: quality.RulesInForce | None,
        bar: MarketKline,
    ) -> Iterable[Output]:  # fmt: skip
        # One handler for both, bar by bar: agents of one topic take its records at their own pace, and vectors forget what was before.
        measured = () if minute is None else quality.on_bar(market, minute, window, quoted, book, known, bar)
        return [*logic.on_kline(rules, state, regime, logic.Around(quoted, flow, book, around), bar), *measured]

    market = quality.Market(wiring.settings.account, wiring.settings.venue)
    minutes = wiring.table("minutes", quality.OpenMinute)
    windows = wiring.table("windows", quality.Window)
    chosen = wiring.table("rules", quality.RulesInForce)

    def on_policy(state: quality.RulesInForce, policy: Policy) -> Iterable[Output]:
        return quality.on_policy(market, state, policy)

    wiring.react("market.quote", on_quote, touches.by("symbol"))
    wiring.react("market.depth", on_depth, books.by("symbol"))
    wiring.react("market.funding", on_funding, contexts.by("symbol"))
    wiring.react("exchange.normalized", context.on_normalized, contexts.by("symbol"))
    wiring.react(
        "market.klines", on_kline, bars.by("symbol", "interval"), regimes.by("symbol"), touches.by("symbol"), flows.by("symbol"),
        books.by("symbol"), contexts.by("symbol"), minutes.by("symbol").when(market.counts), windows.by("symbol").when(market.ends_minute),
        chosen.at(market.account).when(market.ends_minute),
    )  # fmt: skip
    wiring.react("policy", on_policy, chosen.at(market.account))
