"""Governance: the decision on every signal, and what the stage learns from the other topics. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from processors.governance import brains, feeds, universe
from processors.governance.changes import audit, rank
from processors.governance.state import AccountState, SharedState, WorkerHealth, component_health
from processors.output import Output
from schemas.clock.records import ClockTick
from schemas.common import Action, Direction, HealthState, MemberStatus, Mode, ReconcileKind, Regime, RiskEventKind
from schemas.execution.records import ReconcileEvent
from schemas.governance.records import DecisionMade, Policy
from schemas.health.records import HealthEvent
from schemas.journal.records import TradeClosed
from schemas.positions.records import PortfolioExposure, PortfolioSnapshot
from schemas.risk.records import RiskEvent
from schemas.signals.records import SignalGenerated
from schemas.universe.records import SymbolQuality

ACCEPTED = "ACCEPTED"


class Governance:
    """Handlers of the governance stage for one account.

    Parameters
    ----------
    account
        Account that decisions are for.
    """

    def __init__(self, account: str) -> None:
        self.account = account

    def on_policy(self, shared: SharedState, policy: Policy) -> Iterable[Output]:
        """Keep the newest policy of the account."""
        known = shared.policy
        if policy.account == self.account and (known is None or known.account != self.account or rank(policy) > rank(known)):
            shared.policy = policy
        return ()

    def on_health(self, shared: SharedState, event: HealthEvent) -> Iterable[Output]:
        """Keep the newest health of every worker, and of the venues' feeds beside it."""
        if event.venue is not None:
            feeds.on_health(shared.feeds, event)
            return ()
        workers = shared.health.setdefault(event.component, {})
        known = workers.get(event.worker)
        if known is None or event.event_ts >= known.seen:
            since = known.since if known is not None and known.state is event.state else event.event_ts
            workers[event.worker] = WorkerHealth(event.state, since, event.event_ts)
        return ()

    def on_snapshot(self, shared: SharedState, snapshot: PortfolioSnapshot) -> Iterable[Output]:
        """Keep the newest state of the account."""
        known = shared.snapshot
        if snapshot.account == self.account and (known is None or known.account != self.account or snapshot.event_ts >= known.event_ts):
            shared.snapshot = snapshot
        return ()

    def on_exposure(self, _account: AccountState, _exposure: PortfolioExposure) -> Iterable[Output]:
        """Begin the account's state; the brains of an account think from its first exposure on."""
        return ()

    def on_risk_event(self, account: AccountState, event: RiskEvent) -> Iterable[Output]:
        """Keep the time of a breached limit."""
        if event.kind is RiskEventKind.LIMIT_BREACH:
            account.breach_ts = max(account.breach_ts, event.event_ts)
        return ()

    def on_reconcile(self, account: AccountState, event: ReconcileEvent) -> Iterable[Output]:
        """Keep whether the platform and the venue differ without an explanation; the next round that finds nothing ends it."""
        if event.account == self.account and (event.kind is ReconcileKind.ROUND or not event.explained):
            account.unreconciled = not event.explained
        return ()

    def on_trade_closed(self, account: AccountState, trade: TradeClosed) -> Iterable[Output]:
        """Keep the result of a trade by strategy."""
        if trade.r_multiple is not None:
            kept = account.results.setdefault(trade.strategy, [])
            kept.append(trade.r_multiple)
            del kept[: -brains.RESULTS_KEPT]
        return ()

    def on_quality(self, account: AccountState, quality: SymbolQuality) -> Iterable[Output]:
        """Keep the newest score of a symbol."""
        universe.on_quality(account.universe, quality)
        return ()

    def on_clock(self, account: AccountState, shared: SharedState, tick: ClockTick) -> Iterable[Output]:
        """Let the brains think; a policy is written only where it differs from the one in force.

        The policy is taken into the shared state at once, so that the next second does not write it again.
        """
        policy = brains.think(account, shared, tick.event_ts, tick.ingest_ts)
        if policy is None:
            return ()
        written = audit(shared.policy, policy)
        shared.policy = policy
        return Output("policy", self.account, policy), Output("policy.audit", self.account, written)

    def on_signal(self, shared: SharedState, signal: SignalGenerated) -> Iterable[Output]:
        """Decide on a signal: an entry, or none with the reason."""
        policy = shared.policy
        reason = refusal(shared, signal)
        entry = Action.ENTER_LONG if signal.direction is Direction.LONG else Action.ENTER_SHORT
        weight = 0.0 if policy is None else next((s.weight for s in policy.strategies if s.name == signal.strategy), 0.0)
        decision = DecisionMade(
            event_id=f"{signal.event_id}:decision", event_ts=signal.event_ts, ingest_ts=signal.ingest_ts, account=self.account,
            symbol=signal.symbol, venue=signal.venue, action=entry if reason is None else Action.NO_ENTRY, reason=reason or ACCEPTED,
            strategy=signal.strategy,
            strategy_weight=weight, signal_id=signal.event_id, features_id=signal.features_id, confidence=signal.confidence,
            horizon_s=signal.horizon_s, policy_version=0 if policy is None else policy.version,
            mode=Mode.HALTED if policy is None else policy.mode, regime=signal.regime, price=signal.price, atr=signal.atr,
        )  # fmt: skip
        return (Output("ai.decision.made", signal.symbol, decision),)


def refusal(shared: SharedState, signal: SignalGenerated) -> str | None:
    """Return the code of the first reason against an entry, or None where there is none."""
    policy = shared.policy
    if policy is None:
        return "NO_POLICY"
    return _forbidden(policy, signal) or _unhealthy(shared, policy) or feeds.refusal(shared.feeds, signal) or _unconvincing(policy, signal)


def _forbidden(policy: Policy, signal: SignalGenerated) -> str | None:
    if policy.emergency_stop:
        return "EMERGENCY_STOP"
    if policy.mode is not Mode.NORMAL:
        return f"MODE_{policy.mode.value}"
    if signal.symbol not in policy.universe:
        return "NOT_IN_UNIVERSE"
    if not any(strategy.name == signal.strategy and strategy.weight > 0 for strategy in policy.strategies):
        return "STRATEGY_NOT_ALLOWED"
    return None


def _unhealthy(shared: SharedState, policy: Policy) -> str | None:
    for component in policy.required_components:
        if component_health(shared, component)[0] is not HealthState.HEALTHY:
            return f"STAGE_UNHEALTHY:{component}"
    return None


def _unconvincing(policy: Policy, signal: SignalGenerated) -> str | None:
    if signal.regime in (Regime.WARMING_UP, Regime.ILLIQUID):
        return f"REGIME_{signal.regime.value}"
    if sum(member.status is MemberStatus.USED for member in signal.members) < signal.quorum:
        return "BELOW_QUORUM"
    if signal.direction is Direction.FLAT:
        return "FLAT_SIGNAL"
    if signal.confidence < policy.sizing.min_confidence:
        return "CONFIDENCE_TOO_LOW"
    return None
