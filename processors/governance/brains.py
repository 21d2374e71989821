"""The brains: CEO (stance and mode), risk (limits), strategy (weights), universe; maybe stricter than a person's policy, never looser.

Each looks at facts only (equity, the day's result, health, breached limits, closed trades) and holds its verdict with
hysteresis: what is stricter counts at once; what is looser must be justified with a margin and for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from processors.governance import universe
from processors.governance.changes import base_of
from processors.governance.state import AccountState, SharedState, component_health
from schemas.common import HealthState, Limits, Mode, PolicyBase, SizingRules, Stance, StrategyWeight
from schemas.governance.records import Policy
from schemas.positions.records import PortfolioSnapshot

CEO, RISK, STRATEGY = "ceo-brain", "risk-brain", "strategy-brain"

HOLD_US = 60_000_000
"""How long a looser verdict must be justified before it counts."""
MARGIN = 1.25
"""The pressure is taken this much larger when a looser verdict is weighed."""
DOWN_GRACE_US = 10_000_000
"""How long a required component may be down before the CEO halts: a worker that is restarted is back sooner."""
BREACH_HOLD_US = 60_000_000
"""How long a breached limit keeps the account at REDUCE_ONLY."""
STOP_MULTIPLE = 1.5
"""The emergency stop is pulled at this multiple of the drawdown that is allowed."""
RESULTS_KEPT = 50
RESULTS_TO_GROW = 10
PRIOR_TRADES = 10
MULTIPLIER_STEP = 0.1
LEAST_MULTIPLIER = 0.25
DEFENSIVE_CONFIDENCE = 0.05
STANCE_SCALE = {Stance.HALT: 0.5, Stance.DEFENSIVE: 0.5, Stance.BALANCED: 0.8, Stance.GROWTH: 1.0}
"""Share of the risk per trade in each stance."""
TIERS = ((0.75, 0.25), (0.5, 0.5), (0.25, 0.75))
"""Share of the allowed drawdown that is used, and the factor that the limits then get."""

_STANCES = (Stance.HALT, Stance.DEFENSIVE, Stance.BALANCED, Stance.GROWTH)
_MODES = (Mode.HALTED, Mode.REDUCE_ONLY, Mode.NORMAL)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the brains look at.

    Attributes
    ----------
    drawdown_use, loss_use
        Drawdown and the day's loss as fractions of what is allowed.
    down
        Required components that have been down for longer than the grace.
    breached
        Whether a limit was breached of late.
    unreconciled
        Whether the platform and the venue differ without an explanation.
    mean_r
        Mean R multiple of the newest trades; None below ``RESULTS_TO_GROW`` trades.
    """

    drawdown_use: float
    loss_use: float
    down: tuple[str, ...]
    breached: bool
    unreconciled: bool
    mean_r: float | None

    @property
    def pressure(self) -> float:
        """The larger of the two uses."""
        return max(self.drawdown_use, self.loss_use)


def facts(
    account: AccountState, shared: SharedState, snapshot: PortfolioSnapshot, base: PolicyBase, required: Sequence[str], now: int
) -> Facts:
    """Return the facts at a time; a limit of zero is used up as soon as anything is lost."""
    loss = max(Decimal(0), -snapshot.daily_pnl)
    results = [r for kept in account.results.values() for r in kept]
    down = []
    for component in required:
        state, since = component_health(shared, component)
        if state is HealthState.DOWN and now - since >= DOWN_GRACE_US:
            down.append(component)
    return Facts(
        drawdown_use=_use(snapshot.drawdown, base.limits.max_drawdown),
        loss_use=_use(float(loss), float(base.limits.max_daily_loss)),
        down=tuple(down),
        breached=account.breach_ts > 0 and now - account.breach_ts < BREACH_HOLD_US,
        unreconciled=account.unreconciled,
        mean_r=sum(results) / len(results) if len(results) >= RESULTS_TO_GROW else None,
    )  # fmt: skip


def _use(value: float, limit: float) -> float:
    if value <= 0:
        return 0.0
    return value / limit if limit > 0 else float("inf")


def stance_of(known: Facts, pressure: float) -> Stance:
    """Return the CEO's stance at a pressure: HALT when a limit is used up or a required component is down."""
    if known.down or known.drawdown_use >= 1:
        return Stance.HALT
    if pressure >= 0.5:
        return Stance.DEFENSIVE
    if pressure < 0.1 and known.mean_r is not None and known.mean_r > 0:
        return Stance.GROWTH
    return Stance.BALANCED


def mode_of(known: Facts, stance: Stance, pressure: float) -> Mode:
    """Return the CEO's mode: HALTED in HALT, REDUCE_ONLY when the day's loss is used up, a limit was breached or the books differ."""
    if stance is Stance.HALT:
        return Mode.HALTED
    return Mode.REDUCE_ONLY if pressure >= 1 or known.breached or known.unreconciled else Mode.NORMAL


def factor_of(drawdown_use: float) -> float:
    """Return the factor of the limits: smaller the more of the allowed drawdown is used."""
    return next((factor for use, factor in TIERS if drawdown_use >= use), 1.0)


def multiplier_of(results: Sequence[float]) -> float:
    """Return a strategy's multiplier in [0.25, 1]: one plus 0.75 times its mean R, with ``PRIOR_TRADES`` trades of 0 R added."""
    shrunk = sum(results) / (len(results) + PRIOR_TRADES)
    return min(1.0, max(LEAST_MULTIPLIER, round(1.0 + 0.75 * shrunk, 2)))


def think(account: AccountState, shared: SharedState, now: int, received: int) -> Policy | None:
    """Return the policy that the brains want, or None where the one in force is right.

    The account's state keeps what they hold. ``now`` and ``received`` are the event time and the ingest time of the clock's tick.
    """
    policy, snapshot = shared.policy, shared.snapshot
    if policy is None or snapshot is None:
        return None
    base = base_of(policy)
    known = facts(account, shared, snapshot, base, policy.required_components, now)
    stance, mode, factor = _hold(account, known, now)
    _weigh(account)
    symbols, moves = universe.choose(account.universe, policy.universe_rules, policy.universe, now)
    emergency = policy.emergency_stop or _pulls_stop(account, known)
    wanted = msgspec.structs.replace(
        policy,
        mode=stricter(_MODES, base.mode, mode),
        stance=stricter(_STANCES, base.stance, stance),
        emergency_stop=emergency,
        universe=symbols,
        strategies=[StrategyWeight(name=s.name, weight=s.weight * account.multipliers.get(s.name, 1.0)) for s in base.strategies],
        limits=tighten(base.limits, factor),
        sizing=_sizing(base, stricter(_STANCES, base.stance, stance), factor),
    )  # fmt: skip
    if wanted == policy:
        return None
    authors = _authors(policy, wanted)
    version = policy.version + 1
    return msgspec.structs.replace(
        wanted,
        event_id=f"{policy.account}:policy:{version}:{authors}",
        event_ts=now,
        ingest_ts=received,
        version=version,
        author=authors,
        reason=moves if authors == universe.AUTHOR else "; ".join(filter(None, (_reason(known, factor, account), moves))),
        base=base,
    )


def stricter(order: Sequence[Any], one: Any, other: Any) -> Any:
    """Return the stricter of two values of an order that begins with the strictest."""
    return min(one, other, key=order.index)


def tighten(limits: Limits, factor: float) -> Limits:
    """Return limits whose money and leverage are scaled by a factor of at most 1; leverage stays at least 1."""
    scale = Decimal(str(factor))
    return msgspec.structs.replace(
        limits,
        max_order_notional=limits.max_order_notional * scale,
        max_position_notional=limits.max_position_notional * scale,
        max_gross_exposure=limits.max_gross_exposure * scale,
        max_net_exposure=limits.max_net_exposure * scale,
        max_leverage=min(limits.max_leverage, max(1.0, limits.max_leverage * factor)),
    )


def _sizing(base: PolicyBase, stance: Stance, factor: float) -> SizingRules:
    # A person's stance is where the whole risk per trade is used; a stricter one takes its share of that.
    scale = min(1.0, STANCE_SCALE[stance] / STANCE_SCALE[base.stance])
    confidence = base.sizing.min_confidence
    if stance in (Stance.HALT, Stance.DEFENSIVE) and base.stance not in (Stance.HALT, Stance.DEFENSIVE):
        confidence = min(1.0, confidence + DEFENSIVE_CONFIDENCE)
    return msgspec.structs.replace(base.sizing, risk_per_trade=base.sizing.risk_per_trade * scale * factor, min_confidence=confidence)


def _hold(account: AccountState, known: Facts, now: int) -> tuple[Stance, Mode, float]:
    """Hold stance, mode and factor with hysteresis and return them."""
    pressure, margined = known.pressure, known.pressure * MARGIN
    stance = _settle(account, "stance", account.stance, stance_of(known, pressure), stance_of(known, margined), _STANCES.index, now)
    mode = _settle(account, "mode", account.mode, mode_of(known, stance, pressure), mode_of(known, stance, margined), _MODES.index, now)
    use = known.drawdown_use
    factor = _settle(account, "factor", account.factor, factor_of(use), factor_of(use * MARGIN), float, now)
    account.stance, account.mode, account.factor = stance, mode, factor
    return stance, mode, factor


def _settle(account: AccountState, name: str, held: Any, verdict: Any, careful: Any, height: Callable[[Any], float], now: int) -> Any:
    """Return what is held from now on: a stricter verdict at once, a looser one after ``HOLD_US`` by the careful verdict."""
    if held is None or height(verdict) < height(held):
        account.looser_since.pop(name, None)
        return verdict
    if height(careful) <= height(held):
        account.looser_since.pop(name, None)
        return held
    if now - account.looser_since.setdefault(name, now) < HOLD_US:
        return held
    del account.looser_since[name]
    return careful


def _weigh(account: AccountState) -> None:
    for strategy, results in account.results.items():
        wanted = multiplier_of(results)
        held = account.multipliers.get(strategy, 1.0)
        if abs(wanted - held) >= MULTIPLIER_STEP or (wanted in (LEAST_MULTIPLIER, 1.0) and wanted != held):
            account.multipliers[strategy] = wanted


def _pulls_stop(account: AccountState, known: Facts) -> bool:
    """Return whether the emergency stop is pulled.

    After a person took it off, only a drawdown that has grown by half of what is allowed pulls it again.
    """
    if known.drawdown_use < 1:
        account.stop_drawdown = 0.0
    if known.drawdown_use < max(STOP_MULTIPLE, account.stop_drawdown + 0.5):
        return False
    account.stop_drawdown = known.drawdown_use
    return True


def _authors(old: Policy, new: Policy) -> str:
    authors = []
    if (old.mode, old.stance, old.emergency_stop) != (new.mode, new.stance, new.emergency_stop):
        authors.append(CEO)
    if (old.limits, old.sizing) != (new.limits, new.sizing):
        authors.append(RISK)
    if old.strategies != new.strategies:
        authors.append(STRATEGY)
    if old.universe != new.universe:
        authors.append(universe.AUTHOR)
    return "+".join(authors)


def _reason(known: Facts, factor: float, account: AccountState) -> str:
    parts = [f"drawdown uses {known.drawdown_use:.0%} and the day's loss {known.loss_use:.0%} of what is allowed"]
    if known.down:
        parts.append(f"down: {', '.join(known.down)}")
    if known.breached:
        parts.append("a limit was breached")
    if known.unreconciled:
        parts.append("the platform and the venue differ")
    if factor < 1:
        parts.append(f"limits at {factor:.0%}")
    reduced = [f"{name} x {multiplier:g}" for name, multiplier in account.multipliers.items() if multiplier < 1]
    if reduced:
        parts.append(f"strategies {', '.join(reduced)}")
    return "; ".join(parts)
