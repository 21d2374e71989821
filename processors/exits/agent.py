"""Wiring of the stage ``exits``."""

from __future__ import annotations

from collections.abc import Iterable

from processors.exits import logic
from processors.exits.state import Shared, Symbol
from processors.output import Output
from processors.wiring import Wiring
from schemas.clock.records import ClockTick
from schemas.features.records import Features, MarketRegime
from schemas.market.records import MarketInstrument, MarketTick
from schemas.positions.records import PortfolioPosition


def create_agents(wiring: Wiring) -> None:
    """Bind the handlers: everything of a symbol in its partition, the policy in each."""
    rules = logic.Rules(wiring.settings.venue, wiring.settings.feature_interval)
    symbols, shared = wiring.table("symbols", Symbol), wiring.table("shared", Shared)
    symbol, everywhere = symbols.by("symbol"), shared.at("shared")

    def on_position(state: Symbol, policies: Shared, record: PortfolioPosition) -> Iterable[Output]:
        return logic.on_position(rules, state, policies, record)

    def on_tick(state: Symbol, policies: Shared, record: MarketTick) -> Iterable[Output]:
        return logic.on_tick(rules, state, policies, record)

    def on_clock(state: Symbol, policies: Shared, record: ClockTick) -> Iterable[Output]:
        return logic.on_clock(rules, state, policies, record)

    def on_regime(state: Symbol, record: MarketRegime) -> Iterable[Output]:
        return logic.on_regime(rules, state, record)

    def on_features(state: Symbol, record: Features) -> Iterable[Output]:
        return logic.on_features(rules, state, record)

    def on_instrument(state: Symbol, record: MarketInstrument) -> Iterable[Output]:
        return logic.on_instrument(rules, state, record)

    wiring.react("policy", logic.on_policy, everywhere)
    wiring.react("market.instrument", on_instrument, symbol)
    wiring.react("market.regime", on_regime, symbol)
    wiring.react("features", on_features, symbol)
    wiring.react("portfolio.position", on_position, symbol, everywhere)
    wiring.react("market.tick", on_tick, symbol, everywhere)
    wiring.sweep("clock", on_clock, symbols, everywhere)
