"""Records that the tests of governance, risk and execution begin from."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from processors.governance.defaults import REQUIRED_COMPONENTS, default_policy
from processors.governance.logic import Governance
from processors.governance.state import SharedState
from schemas.common import Direction, ExitReason, HealthState, Member, MemberStatus, PositionSide, Regime
from schemas.governance.records import Policy
from schemas.health.records import HealthEvent
from schemas.journal.records import TradeClosed
from schemas.positions.records import PortfolioSnapshot
from schemas.signals.records import SignalGenerated

ACCOUNT = "paper"
VENUE = "binance-usdm"
NOW = 1_790_000_000_000_000
SECOND = 1_000_000
StructT = TypeVar("StructT", bound=msgspec.Struct)


def changed(record: StructT, fields: Mapping[str, Any]) -> StructT:
    """Return a record with some fields set."""
    return msgspec.structs.replace(record, **fields)


def policy(profile: str = "DEFAULT", **fields: Any) -> Policy:
    """Return version 1 of a policy of BTCUSDT and ETHUSDT."""
    first = default_policy(ACCOUNT, now_us=NOW, author="anna", universe=["BTCUSDT", "ETHUSDT"], profile=profile)
    return changed(first, fields)


def snapshot(**fields: Any) -> PortfolioSnapshot:
    """Return an account of 10,000 USDT that has gained and lost nothing."""
    first = PortfolioSnapshot(
        event_id="snapshot", event_ts=NOW, ingest_ts=NOW, account=ACCOUNT, equity=Decimal(10_000), balance=Decimal(10_000),
        available=Decimal(10_000), unrealised_pnl=Decimal(0), realised_pnl=Decimal(0), fees=Decimal(0), daily_pnl=Decimal(0),
        peak_equity=Decimal(10_000), drawdown=0.0, open_positions=0,
    )  # fmt: skip
    return changed(first, fields)


def health(component: str, state: HealthState = HealthState.HEALTHY, *, ts: int = NOW, worker: str = "0") -> HealthEvent:
    """Return a worker's health."""
    return HealthEvent(
        event_id=f"{component}-{worker}-{ts}", event_ts=ts, ingest_ts=ts, component=component, worker=f"{component}-{worker}",
        state=state, detail="", restarts=0, revision="r",
    )  # fmt: skip


def feed(healthy: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"), unhealthy: tuple[str, ...] = (), *, ts: int = NOW) -> HealthEvent:
    """Return the feed's word on the venue."""
    event = health("feed", ts=ts, worker=VENUE)
    return changed(event, {"venue": VENUE, "healthy_symbols": list(healthy), "unhealthy_symbols": list(unhealthy)})


def signal(**fields: Any) -> SignalGenerated:
    """Return a signal to go long in BTCUSDT that nothing speaks against."""
    first = SignalGenerated(
        event_id="s1", event_ts=NOW, ingest_ts=NOW - 5, symbol="BTCUSDT", venue=VENUE, strategy="ensemble", direction=Direction.LONG,
        confidence=0.6, p_down=0.1, p_flat=0.3, p_up=0.6, horizon_s=30,
        members=[Member(model="xgb", version="1", status=MemberStatus.USED, weight=1.0)], quorum=1, features_id="f1",
        regime=Regime.TREND_UP, price=60_000.0, atr=60.0,
    )  # fmt: skip
    return changed(first, fields)


def trade(**fields: Any) -> TradeClosed:
    """Return a round trip that made one R."""
    first = TradeClosed(
        event_id="t1", event_ts=NOW, ingest_ts=NOW, account=ACCOUNT, symbol="BTCUSDT", venue=VENUE, position_id="p1", strategy="ensemble",
        signal_id="s1", side=PositionSide.LONG, quantity=Decimal("0.01"), entry_price=Decimal(60_000), exit_price=Decimal(60_100),
        opened_ts=NOW - SECOND, closed_ts=NOW, held_s=1.0, gross_pnl=Decimal(1), fees=Decimal(0), net_pnl=Decimal(1),
        risk_amount=Decimal(1), r_multiple=1.0, entry_slippage_bps=0.0, exit_slippage_bps=0.0, exit_reason=ExitReason.TAKE_PROFIT,
        leverage=1.0, entry_orders=["p1"], exit_orders=["x1"],
    )  # fmt: skip
    return changed(first, fields)


def ready(profile: str = "DEFAULT", **fields: Any) -> tuple[Governance, SharedState]:
    """Return a stage that knows a policy, an account and that every required component and the feed are healthy."""
    governance, shared = Governance(ACCOUNT), SharedState()
    governance.on_policy(shared, policy(profile, **fields))
    governance.on_snapshot(shared, snapshot())
    for component in REQUIRED_COMPONENTS:
        governance.on_health(shared, health(component))
    governance.on_health(shared, feed())
    return governance, shared
