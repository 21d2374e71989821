"""Records that the checks lead to: intents, denials and breached limits."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from processors.governance.changes import base_of
from processors.risk.context import Finding
from processors.risk.order_checks import above
from processors.risk.state import SharedState
from schemas.common import DenialCode, OrderType, Origin, RiskEventKind
from schemas.governance.records import DecisionMade
from schemas.positions.records import PortfolioExposure
from schemas.risk.records import RiskEvent, SizingDecided, TradeIntent

BREACH_TOLERANCE = Decimal("1.1")
"""Marks move: exposure is breached only this far above the limit that entries keep to."""


def intent_of(sized: SizingDecided, policy_version: int) -> TradeIntent:
    """Return the intent of an entry that every check allows: a market order with its stop."""
    return TradeIntent(
        event_id=f"{sized.event_id}:intent", event_ts=sized.event_ts, ingest_ts=sized.ingest_ts, account=sized.account,
        symbol=sized.symbol, venue=sized.venue, origin=Origin.ENTRY, strategy=sized.strategy, side=sized.side,
        order_type=OrderType.MARKET, quantity=sized.quantity, reduce_only=False, leverage=sized.leverage, stop_price=sized.stop_price,
        risk_amount=sized.risk_amount, reference_price=sized.price, leg=0, signal_id=sized.signal_id, sizing_id=sized.event_id,
        reason="ENTRY", policy_version=policy_version,
    )  # fmt: skip


def unsized(decision: DecisionMade, finding: Finding) -> RiskEvent:
    """Return the denial of a decision that could not be sized."""
    return RiskEvent(
        event_id=f"{decision.event_id}:denial", event_ts=decision.event_ts, ingest_ts=decision.ingest_ts, account=decision.account,
        symbol=decision.symbol, kind=RiskEventKind.DENIAL, code=finding.code, signal_id=decision.signal_id, detail=finding.detail,
        value=finding.value, limit=finding.limit,
    )  # fmt: skip


def denial(sized: SizingDecided, failed: Sequence[Finding]) -> RiskEvent:
    """Return the denial of an entry: the first failing check's code and figures, and in words all that failed."""
    first, *others = failed
    detail = first.detail
    if others:
        detail += "; also " + "; ".join(f"{finding.code.value}: {finding.detail}" for finding in others)
    return RiskEvent(
        event_id=f"{sized.event_id}:denial", event_ts=sized.event_ts, ingest_ts=sized.ingest_ts, account=sized.account,
        symbol=sized.symbol, kind=RiskEventKind.DENIAL, code=first.code, sizing_id=sized.event_id, signal_id=sized.signal_id,
        detail=detail, value=first.value, limit=first.limit,
    )  # fmt: skip


def breaches(exposure: PortfolioExposure, shared: SharedState) -> list[Finding]:
    """Return the limits that the account is beyond, measured against what a person set, not what a brain has tightened."""
    if shared.policy is None:
        return []
    limits = base_of(shared.policy).limits
    found = [
        above(DenialCode.GROSS_EXPOSURE, "gross exposure", exposure.gross, limits.max_gross_exposure * BREACH_TOLERANCE),
        above(DenialCode.NET_EXPOSURE, "net exposure", abs(exposure.net), limits.max_net_exposure * BREACH_TOLERANCE),
    ]
    if shared.snapshot is not None:
        drawdown = shared.snapshot.drawdown
        found.append(above(DenialCode.DAILY_LOSS, "the day's loss", -shared.snapshot.daily_pnl, limits.max_daily_loss))
        if drawdown > limits.max_drawdown:
            detail = f"drawdown {drawdown:.2%} is above {limits.max_drawdown:.2%}"
            found.append(Finding(DenialCode.DRAWDOWN, drawdown, limits.max_drawdown, detail))
    return [finding for finding in found if finding is not None]


def breach_event(exposure: PortfolioExposure, finding: Finding) -> RiskEvent:
    """Return the record of a limit that is newly breached."""
    return RiskEvent(
        event_id=f"{exposure.event_id}:breach:{finding.code.value}", event_ts=exposure.event_ts, ingest_ts=exposure.ingest_ts,
        account=exposure.account, kind=RiskEventKind.LIMIT_BREACH, code=finding.code, detail=finding.detail, value=finding.value,
        limit=finding.limit,
    )  # fmt: skip
