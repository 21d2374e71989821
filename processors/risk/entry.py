"""The size of an entry: the market that it is sized with, and the record that shows how."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from processors.risk import leverage, sizing
from processors.risk.context import Finding
from processors.risk.state import QuoteState, SymbolState
from schemas.common import Action, DenialCode, Side
from schemas.features.records import MarketRegime
from schemas.governance.records import DecisionMade, Policy
from schemas.market.records import MarketFunding, MarketInstrument
from schemas.positions.records import PortfolioSnapshot
from schemas.risk.records import SizingDecided

CENT = Decimal("0.00000001")
"""Money that is the result of a division is rounded up to this."""


class Market(NamedTuple):
    """The market that an entry is sized with; nothing in it is missing."""

    atr: float
    divergence_bps: float
    volatility_ratio: float
    regime: MarketRegime
    funding: MarketFunding
    instrument: MarketInstrument


def market_of(symbol: SymbolState, quote: QuoteState, decision: DecisionMade) -> Market | Finding:
    """Return the market of an entry, or a finding that names everything that is missing."""
    atr = decision.atr if decision.atr is not None else symbol.atr
    ratio = None if symbol.regime is None else symbol.regime.volatility_ratio
    instrument, regime, funding, divergence = symbol.instrument, symbol.regime, symbol.funding, symbol.divergence_bps
    two_sided = quote.bid_price > 0 and quote.ask_price > 0
    if instrument is None or atr is None or regime is None or ratio is None or divergence is None or funding is None or not two_sided:
        inputs = {
            "market.instrument": instrument, "market.quote": two_sided or None, "ATR": atr, "market.regime": ratio,
            "exchange.normalized": divergence, "market.funding": funding,
        }  # fmt: skip
        missing = ", ".join(name for name, value in inputs.items() if value is None)
        code = DenialCode.INSTRUMENT_UNKNOWN if instrument is None else DenialCode.STALE_MARKET_DATA
        return Finding(code, None, None, f"missing for {decision.symbol} at {decision.venue}: {missing}")
    return Market(atr, divergence, ratio, regime, funding, instrument)


def size(decision: DecisionMade, market: Market, quote: QuoteState, policy: Policy, snapshot: PortfolioSnapshot) -> SizingDecided:
    """Return the size and leverage of an entry, with every input and cap."""
    rules = market.instrument.rules
    side = Side.BUY if decision.action is Action.ENTER_LONG else Side.SELL
    price = sizing.exact(quote.ask_price if side is Side.BUY else quote.bid_price)
    stop = sizing.initial_stop(side, price, market.atr, policy.sizing, rules.tick_size)
    confidence = sizing.confidence_scale(decision.confidence, policy.sizing.min_confidence)
    learned = sizing.rl_scale(snapshot, policy.sizing, policy.limits)
    share = policy.sizing.risk_per_trade * confidence * learned * decision.strategy_weight
    inputs = leverage.LeverageInputs(
        atr_value=market.atr, price=float(price), volatility_factor=market.volatility_ratio, exchange_divergence=market.divergence_bps,
        funding_rate=market.funding.funding_rate, regime=market.regime.regime,
    )  # fmt: skip
    chosen = leverage.decide(
        inputs, policy_cap=policy.limits.max_leverage, venue_cap=rules.max_leverage, stop_fraction=float(stop.distance / price),
        maintenance_rate=rules.maintenance_rate,
    )  # fmt: skip
    most = sizing.most_notional(policy.limits, snapshot.equity, chosen.final)
    quantity = sizing.quantity_of(snapshot.equity * sizing.exact(share), stop.distance, price, most, rules)
    notional = quantity * price
    margin = (notional / sizing.exact(chosen.final)).quantize(CENT, ROUND_CEILING)
    return SizingDecided(
        event_id=f"{decision.event_id}:sizing", event_ts=decision.event_ts, ingest_ts=decision.ingest_ts, account=decision.account,
        symbol=decision.symbol, venue=decision.venue, decision_id=decision.event_id, signal_id=decision.signal_id,
        features_id=decision.features_id, strategy=decision.strategy, side=side, policy_version=policy.version, equity=snapshot.equity,
        risk_fraction=policy.sizing.risk_per_trade, confidence=decision.confidence, confidence_scale=confidence, rl_scale=learned,
        stop_distance=stop.distance, stop_price=stop.price, risk_amount=quantity * stop.distance, atr_value=market.atr,
        volatility_factor=market.volatility_ratio, exchange_divergence=market.divergence_bps, funding_rate=market.funding.funding_rate,
        regime=market.regime.regime, raw_leverage=chosen.raw, cap_policy=chosen.cap_policy, cap_venue_bracket=chosen.cap_venue_bracket,
        cap_liquidation_distance=chosen.cap_liquidation_distance, leverage=chosen.final, binding_cap=chosen.binding, quantity=quantity,
        price=price, notional=notional, margin=margin, bid_price=quote.bid_price,
        bid_quantity=quote.bid_quantity, ask_price=quote.ask_price, ask_quantity=quote.ask_quantity, quote_ts=quote.ts,
        mark_price=market.funding.mark_price, next_funding_ts=market.funding.next_funding_ts, rules=rules,
    )  # fmt: skip
