"""Records that the tests of risk begin from: an entry that every check allows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from processors.risk.context import Context
from processors.risk.logic import Risk
from processors.risk.state import AccountState, QuoteState, SharedState, SymbolState
from schemas.common import Action, Cap, InstrumentRules, Mode, Regime, Side, SymbolNotional
from schemas.features.records import MarketRegime
from schemas.governance.records import DecisionMade, Policy
from schemas.market.records import ExchangeNormalized, MarketFunding, MarketInstrument, MarketQuote
from schemas.positions.records import PortfolioExposure, PortfolioSnapshot
from schemas.risk.records import SizingDecided
from tests.unit.governance.builders import ACCOUNT, NOW, SECOND, VENUE, changed, policy, snapshot

RULES = InstrumentRules(
    tick_size=Decimal("0.10"), lot_size=Decimal("0.001"), min_quantity=Decimal("0.001"), max_quantity=Decimal(120),
    min_notional=Decimal(5), max_leverage=125.0, maintenance_rate=0.004,
)  # fmt: skip


def sizing(**fields: Any) -> SizingDecided:
    """Return an entry of 600 USDT in BTCUSDT at leverage 5."""
    first = SizingDecided(
        event_id="d1:sizing", event_ts=NOW, ingest_ts=NOW - 5, account=ACCOUNT, symbol="BTCUSDT", venue=VENUE, decision_id="d1",
        signal_id="s1", features_id="f1", strategy="ensemble", side=Side.BUY, policy_version=1, equity=Decimal(10_000),
        risk_fraction=0.005, confidence=0.6, confidence_scale=0.7, rl_scale=1.0, stop_distance=Decimal("120.00"),
        stop_price=Decimal("59880.00"), risk_amount=Decimal("1.2"), atr_value=20.0, volatility_factor=1.0, exchange_divergence=1.0,
        funding_rate=0.0001, regime=Regime.TREND_UP, raw_leverage=40.0, cap_policy=10.0, cap_venue_bracket=125.0,
        cap_liquidation_distance=100.0, leverage=5.0, binding_cap=Cap.POLICY, quantity=Decimal("0.010"), price=Decimal("60000.0"),
        notional=Decimal(600), margin=Decimal(120), bid_price=59999.9, bid_quantity=3.0, ask_price=60000.0, ask_quantity=2.0,
        quote_ts=NOW - 1000, mark_price=60001.0, next_funding_ts=NOW + 3600 * SECOND, rules=RULES,
    )  # fmt: skip
    return changed(first, fields)


def exposure(*symbols: tuple[str, int], **fields: Any) -> PortfolioExposure:
    """Return an exposure of signed notionals by symbol."""
    first = PortfolioExposure(
        event_id="x", event_ts=NOW, ingest_ts=NOW, account=ACCOUNT, gross=Decimal(sum(abs(n) for _, n in symbols)),
        net=Decimal(sum(n for _, n in symbols)), margin=Decimal(0),
        symbols=[SymbolNotional(symbol=symbol, notional=Decimal(n)) for symbol, n in symbols],
    )  # fmt: skip
    return changed(first, fields)


def context(
    sized: SizingDecided | None = None,
    account: AccountState | None = None,
    *,
    in_force: Policy | None = None,
    state: PortfolioSnapshot | None = None,
) -> Context:
    """Return what the checks are given, by default under the profile DEMO."""
    return Context(sized or sizing(), in_force or policy("DEMO"), state or snapshot(), account or AccountState())


def limited(**limits: Any) -> Policy:
    """Return the policy of the profile DEMO with some limits set."""
    demo = policy("DEMO", mode=Mode.NORMAL)
    return changed(demo, {"limits": changed(demo.limits, limits)})


def decision(**fields: Any) -> DecisionMade:
    """Return the decision to go long in BTCUSDT."""
    first = DecisionMade(
        event_id="d1", event_ts=NOW, ingest_ts=NOW - 5, account=ACCOUNT, symbol="BTCUSDT", venue=VENUE, action=Action.ENTER_LONG,
        reason="ACCEPTED", strategy="ensemble", strategy_weight=1.0, signal_id="s1", features_id="f1", confidence=0.6, horizon_s=30,
        policy_version=1, mode=Mode.NORMAL, regime=Regime.TREND_UP, price=60_000.0, atr=20.0,
    )  # fmt: skip
    return changed(first, fields)


def quote(**fields: Any) -> MarketQuote:
    """Return a quote of one tick around 60,000."""
    first = MarketQuote(
        event_id="q", event_ts=NOW - 1000, ingest_ts=NOW, venue=VENUE, symbol="BTCUSDT", update_id=1, bid_price=59999.9, bid_quantity=3.0,
        ask_price=60000.0, ask_quantity=2.0,
    )  # fmt: skip
    return changed(first, fields)


def funding(**fields: Any) -> MarketFunding:
    """Return a funding rate of a basis point."""
    first = MarketFunding(
        event_id="m", event_ts=NOW, ingest_ts=NOW, venue=VENUE, symbol="BTCUSDT", mark_price=60001.0, index_price=60000.0,
        funding_rate=0.0001, next_funding_ts=NOW + 3600 * SECOND,
    )  # fmt: skip
    return changed(first, fields)


def regime(**fields: Any) -> MarketRegime:
    """Return a rising market of usual volatility."""
    first = MarketRegime(
        event_id="g", event_ts=NOW, ingest_ts=NOW, venue=VENUE, symbol="BTCUSDT", regime=Regime.TREND_UP, since_ts=NOW,
        trend_score=3.0, volatility_ratio=1.0, spread_bps=0.1,
    )  # fmt: skip
    return changed(first, fields)


def instrument(**fields: Any) -> MarketInstrument:
    """Return the instrument of the rules above."""
    first = MarketInstrument(
        event_id="i", event_ts=NOW, ingest_ts=NOW, venue=VENUE, symbol="BTCUSDT", base_asset="BTC", quote_asset="USDT", rules=RULES
    )
    return changed(first, fields)


def normalized(divergence_bps: float = 1.0) -> ExchangeNormalized:
    """Return a divergence between venues."""
    return ExchangeNormalized(
        event_id="n", event_ts=NOW, ingest_ts=NOW, symbol="BTCUSDT", mid=60_000.0, divergence_bps=divergence_bps, venues=[], stale_venues=[]
    )


def ready(in_force: Policy | None = None) -> tuple[Risk, SymbolState, QuoteState, SharedState]:
    """Return a stage that knows everything that a size needs."""
    risk, symbol, touch, shared = Risk(ACCOUNT, VENUE, "1s"), SymbolState(), QuoteState(), SharedState()
    risk.on_quote(touch, quote())
    risk.on_funding(symbol, funding())
    risk.on_regime(symbol, regime())
    risk.on_instrument(symbol, instrument())
    risk.on_normalized(symbol, normalized())
    risk.on_policy(shared, in_force or policy("DEMO"))
    risk.on_snapshot(shared, snapshot())
    return risk, symbol, touch, shared
