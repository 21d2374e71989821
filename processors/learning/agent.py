"""Wiring of the stage ``learning``."""

from __future__ import annotations

from collections.abc import Iterable

from processors.learning import logic, schedule
from processors.learning.settings import LearningSettings
from processors.learning.state import ModelState, Shared, SymbolState
from processors.output import Output
from processors.wiring import Wiring
from schemas.clock.records import ClockTick
from schemas.learning.records import ModelTraining

SHARED = "shared"


def schedule_rules(settings: LearningSettings) -> schedule.Rules:
    """Return the rules of the schedule from the settings."""
    return schedule.Rules(**{name: getattr(settings, name) for name in schedule.Rules.__slots__})


def create_agents(wiring: Wiring) -> None:
    """Bind the handlers: what waits by symbol, what counts by model, what is broadcast in every partition."""
    rules = schedule_rules(wiring.options(LearningSettings))
    shared = wiring.table("shared", Shared)
    symbols = wiring.table("symbols", SymbolState)
    models = wiring.table("models", ModelState)
    everywhere = shared.at(SHARED)

    def on_training(state: ModelState, common: Shared, record: ModelTraining) -> Iterable[Output]:
        return schedule.on_training(rules, state, common, record)

    def on_clock(state: ModelState, common: Shared, tick: ClockTick) -> Iterable[Output]:
        return schedule.on_clock(rules, state, common, tick)

    wiring.react("model.active", logic.on_active, everywhere)
    wiring.react("portfolio.snapshot", logic.on_snapshot, everywhere)
    wiring.react("trade.closed", logic.on_trade_closed, everywhere)
    wiring.react("rl.reward", logic.on_reward, everywhere)
    wiring.react("signal.score", logic.on_score, symbols.by("symbol"))
    wiring.react("features", logic.on_features, symbols.by("symbol"))
    wiring.react("ai.signal_generated", logic.on_signal, symbols.by("symbol"))
    wiring.react("learning.sample", schedule.on_sample, models.by("model"))
    wiring.react("model.training", on_training, models.by("model"), everywhere)
    wiring.sweep("clock", on_clock, models, everywhere)
