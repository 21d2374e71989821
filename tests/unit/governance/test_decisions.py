"""The decision on a signal."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from processors.governance.defaults import REQUIRED_COMPONENTS
from processors.governance.logic import Governance
from processors.governance.state import SharedState
from schemas.common import Action, Direction, HealthState, Member, MemberStatus, Mode, Regime, StrategyWeight
from schemas.governance.records import DecisionMade
from tests.unit.governance.builders import ACCOUNT, NOW, SECOND, health, policy, ready, signal


def decide(governance: Governance, shared: SharedState, **fields: Any) -> DecisionMade:
    """Return the one decision on a signal."""
    (output,) = governance.on_signal(shared, signal(**fields))
    assert (output.topic, output.key) == ("ai.decision.made", "BTCUSDT")
    assert isinstance(output.record, DecisionMade)
    return output.record


@pytest.mark.parametrize(("direction", "action"), [(Direction.LONG, Action.ENTER_LONG), (Direction.SHORT, Action.ENTER_SHORT)])
def test_a_convincing_signal_is_entered(direction: Direction, action: Action) -> None:
    decision = decide(*ready(), direction=direction)
    assert (decision.action, decision.reason, decision.event_id) == (action, "ACCEPTED", "s1:decision")
    assert (decision.account, decision.policy_version, decision.strategy_weight, decision.atr) == (ACCOUNT, 1, 1.0, 60.0)
    assert (decision.signal_id, decision.features_id, decision.event_ts, decision.ingest_ts) == ("s1", "f1", NOW, NOW - 5)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"emergency_stop": True}, "EMERGENCY_STOP"),
        ({"mode": Mode.HALTED}, "MODE_HALTED"),
        ({"mode": Mode.REDUCE_ONLY}, "MODE_REDUCE_ONLY"),
        ({"universe": ["ETHUSDT"]}, "NOT_IN_UNIVERSE"),
        ({"strategies": []}, "STRATEGY_NOT_ALLOWED"),
        ({"strategies": [StrategyWeight(name="ensemble", weight=0.0)]}, "STRATEGY_NOT_ALLOWED"),
    ],
)
def test_the_policy_forbids(fields: dict[str, Any], reason: str) -> None:
    decision = decide(*ready(**fields))
    assert (decision.action, decision.reason) == (Action.NO_ENTRY, reason)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"regime": Regime.WARMING_UP}, "REGIME_WARMING_UP"),
        ({"regime": Regime.ILLIQUID}, "REGIME_ILLIQUID"),
        ({"members": [Member(model="xgb", status=MemberStatus.MISSING, weight=0.0, reason="none")]}, "BELOW_QUORUM"),
        ({"direction": Direction.FLAT}, "FLAT_SIGNAL"),
        ({"confidence": 0.44}, "CONFIDENCE_TOO_LOW"),
        ({"strategy": "other"}, "STRATEGY_NOT_ALLOWED"),
        ({"symbol": "DOGEUSDT"}, "NOT_IN_UNIVERSE"),
    ],
)
def test_the_signal_does_not_convince(fields: dict[str, Any], reason: str) -> None:
    governance, shared = ready()
    (output,) = governance.on_signal(shared, signal(**fields))
    assert isinstance(output.record, DecisionMade)
    assert (output.record.action, output.record.reason) == (Action.NO_ENTRY, reason)


def test_without_a_policy_nothing_is_entered() -> None:
    decision = decide(Governance(ACCOUNT), SharedState())
    assert (decision.action, decision.reason, decision.mode, decision.policy_version) == (Action.NO_ENTRY, "NO_POLICY", Mode.HALTED, 0)


@pytest.mark.parametrize("component", REQUIRED_COMPONENTS)
@pytest.mark.parametrize("state", [HealthState.UNKNOWN, HealthState.STARTING, HealthState.DEGRADED, HealthState.DOWN])
def test_no_entry_unless_every_required_component_is_healthy(component: str, state: HealthState) -> None:
    governance, shared = ready()
    governance.on_health(shared, health(component, state, ts=NOW + 1))
    decision = decide(governance, shared)
    assert (decision.action, decision.reason) == (Action.NO_ENTRY, f"STAGE_UNHEALTHY:{component}")


@pytest.mark.parametrize("component", REQUIRED_COMPONENTS)
def test_a_component_that_never_reported_is_not_healthy(component: str) -> None:
    governance, shared = ready()
    del shared.health[component]
    assert decide(governance, shared).reason == f"STAGE_UNHEALTHY:{component}"


def test_one_bad_worker_makes_its_component_unhealthy_until_it_is_back() -> None:
    governance, shared = ready()
    governance.on_health(shared, health("risk", HealthState.DOWN, worker="1", ts=NOW + SECOND))
    assert decide(governance, shared).reason == "STAGE_UNHEALTHY:risk"
    governance.on_health(shared, health("risk", HealthState.HEALTHY, worker="1", ts=NOW + 2 * SECOND))
    assert decide(governance, shared).action is Action.ENTER_LONG


def test_old_news_does_not_overwrite_new() -> None:
    governance, shared = ready()
    newer = policy(version=3, mode=Mode.HALTED)
    governance.on_policy(shared, newer)
    governance.on_policy(shared, policy(version=2))
    governance.on_health(shared, health("risk", HealthState.DOWN, ts=NOW - 1))
    assert shared.policy == newer
    assert shared.health["risk"]["risk-0"].state is HealthState.HEALTHY


def test_another_accounts_policy_is_not_ours() -> None:
    governance, shared = ready()
    governance.on_policy(shared, policy(account="other", version=9, mode=Mode.HALTED))
    assert decide(governance, shared).action is Action.ENTER_LONG


def test_the_state_survives_its_changelog() -> None:
    governance, shared = ready()
    restored = msgspec.json.decode(msgspec.json.encode(shared), type=SharedState)
    assert restored == shared
    assert decide(governance, restored) == decide(governance, shared)
