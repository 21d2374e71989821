"""Policies to begin with: the profiles DEFAULT, CHALLENGE and DEMO, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from processors.features.score import problem_of
from processors.topology import STAGES
from quantum.errors import ConfigurationError
from schemas.common import ExitRules, Limits, Mode, SizingRules, Stance, StrategyWeight, UniverseRules
from schemas.governance.records import Policy

STRATEGY = "ensemble"
"""The strategy that the signals stage writes."""

REQUIRED_COMPONENTS = (*(stage for stage in STAGES if stage not in ("journal", "learning")), "orders")
"""Everything between a price and the exit of a position: without one of them an entry could not be made, or not be left."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A set of limits, sizing and exits that belong together.

    Attributes
    ----------
    limits, sizing, exits
        What the policy gets.
    stance
        Stance of the CEO brain at most.
    doc
        What it is for.
    max_divergence_bps
        Distance of a venue's mid from the consolidated one beyond which nothing is entered, basis points.
    """

    limits: Limits
    sizing: SizingRules
    exits: ExitRules
    stance: Stance
    doc: str
    max_divergence_bps: float = 50.0


PROFILES: dict[str, Profile] = {
    "DEFAULT": Profile(
        doc="A small account that learns: one position of 50 USD without leverage, three trades a day.",
        stance=Stance.BALANCED,
        limits=Limits(
            max_order_notional=Decimal(50), max_position_notional=Decimal(50), max_positions=1, max_gross_exposure=Decimal(50),
            max_net_exposure=Decimal(50), max_concentration=1.0, max_leverage=1.0, max_daily_trades=3, max_daily_loss=Decimal(200),
            max_drawdown=0.10, max_consecutive_stops=3, cooldown_s=3600, max_orders_per_minute=2, max_data_age_ms=5000,
            max_spread_bps=5.0, min_depth_ratio=1.0, price_collar_bps=50.0, funding_window_s=300,
        ),
        sizing=SizingRules(risk_per_trade=0.005, stop_atr_mult=2.0, min_stop_bps=10.0, min_confidence=0.45),
        exits=ExitRules(
            profile="DEFAULT", take_profit_r=[1.5, 3.0], take_profit_share=0.33, breakeven_r=1.0, trail_atr_mult=2.0, trail_after_r=1.0,
            time_stop_s=7200, max_risk_r=1.5,
        ),
    ),
    "CHALLENGE": Profile(
        doc="More risk for a bounded time: 1.5% of equity a trade, leverage to 5, three positions.",
        stance=Stance.GROWTH,
        limits=Limits(
            max_order_notional=Decimal(500), max_position_notional=Decimal(500), max_positions=3, max_gross_exposure=Decimal(1600),
            max_net_exposure=Decimal(1000), max_concentration=0.5, max_leverage=5.0, max_daily_trades=12, max_daily_loss=Decimal(200),
            max_drawdown=0.15, max_consecutive_stops=3, cooldown_s=1800, max_orders_per_minute=4, max_data_age_ms=5000,
            max_spread_bps=5.0, min_depth_ratio=1.0, price_collar_bps=50.0, funding_window_s=300,
        ),
        sizing=SizingRules(risk_per_trade=0.015, stop_atr_mult=1.5, min_stop_bps=10.0, min_confidence=0.45),
        exits=ExitRules(
            profile="CHALLENGE", take_profit_r=[1.0, 2.0, 4.0], take_profit_share=0.25, breakeven_r=1.0, trail_atr_mult=2.0,
            trail_after_r=1.5, time_stop_s=7200, max_risk_r=1.5,
        ),
    ),
    "DEMO": Profile(
        doc="Paper only: many short trades on one-second bars, so that a minute shows whole round trips.",
        stance=Stance.BALANCED,
        limits=Limits(
            max_order_notional=Decimal(1500), max_position_notional=Decimal(1500), max_positions=3, max_gross_exposure=Decimal(6000),
            max_net_exposure=Decimal(6000), max_concentration=0.5, max_leverage=10.0, max_daily_trades=5000, max_daily_loss=Decimal(500),
            max_drawdown=0.20, max_consecutive_stops=10, cooldown_s=10, max_orders_per_minute=60, max_data_age_ms=10_000,
            max_spread_bps=10.0, min_depth_ratio=0.05, price_collar_bps=50.0, funding_window_s=5,
        ),
        sizing=SizingRules(risk_per_trade=0.005, stop_atr_mult=6.0, min_stop_bps=12.0, min_confidence=0.40),
        exits=ExitRules(
            profile="DEMO", take_profit_r=[1.0, 2.0], take_profit_share=0.5, breakeven_r=0.75, trail_atr_mult=6.0, trail_after_r=1.0,
            time_stop_s=25, max_risk_r=1.5,
        ),
    ),
}  # fmt: skip


UNIVERSE = UniverseRules(
    candidates=[], size=10, entry_score=0.6, exit_score=0.45, hold_s=900, window_minutes=30, min_observed_s=600, max_age_s=180,
    volume_weight=1.0, depth_weight=1.0, spread_weight=1.0, volatility_weight=0.5, data_weight=1.0,
    volume_worst=10_000.0, volume_best=1_000_000.0, depth_worst=2_000.0, depth_best=200_000.0, spread_worst=10.0, spread_best=1.0,
    volatility_low=0.2, volatility_high=1.5, data_worst=0.9,
)  # fmt: skip
"""Universe rules to begin with, for perpetuals in USDT; a person names the candidates."""


def universe_rules(before: UniverseRules, **fields: Any) -> UniverseRules:
    """Return rules with some fields set.

    Raises
    ------
    ConfigurationError
        There is no such field, it cannot have that value, or the rules cannot be gone by.
    """
    try:
        rules = msgspec.convert({**msgspec.structs.asdict(before), **fields}, UniverseRules, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"universe rules: {error}", "quantum policy universe show has the rules in force") from error
    unknown = sorted(fields.keys() - {field.name for field in msgspec.structs.fields(UniverseRules)})
    problem = f"there is no {', '.join(unknown)}" if unknown else problem_of(rules)
    if problem:
        raise ConfigurationError(f"universe rules: {problem}", f"they have {', '.join(rules.__struct_fields__)}")
    return rules


def default_policy(
    account: str,
    *,
    now_us: int,
    author: str,
    universe: Sequence[str],
    profile: str = "DEFAULT",
    strategies: Sequence[str] = (STRATEGY,),
    required_components: Sequence[str] = REQUIRED_COMPONENTS,
    reason: str = "first policy",
    version: int = 1,
) -> Policy:
    """Return an account's policy of a profile.

    Parameters
    ----------
    account
        Account.
    now_us
        Time of the policy, microseconds since the epoch, UTC.
    author
        The person who sets it.
    universe
        Symbols that may be entered.
    profile
        Name of a profile.
    strategies
        Strategies that may be entered, each with weight 1.
    required_components
        Components that must be healthy for an entry.
    reason
        Why.
    version
        Version.

    Raises
    ------
    ConfigurationError
        There is no such profile.
    """
    chosen = profile_of(profile)
    return Policy(
        event_id=f"{account}:policy:{version}:{author}", event_ts=now_us, ingest_ts=now_us, account=account, version=version,
        author=author, reason=reason, mode=Mode.NORMAL, stance=chosen.stance, emergency_stop=False, universe=list(universe),
        strategies=[StrategyWeight(name=name, weight=1.0) for name in strategies], required_components=list(required_components),
        limits=chosen.limits, sizing=chosen.sizing, exits=chosen.exits, max_divergence_bps=chosen.max_divergence_bps,
    )  # fmt: skip


def profile_of(name: str) -> Profile:
    """Return a profile by name; raises ConfigurationError where there is none."""
    try:
        return PROFILES[name.upper()]
    except KeyError:
        raise ConfigurationError(f"there is no policy profile {name}", f"choose one of {', '.join(PROFILES)}") from None
