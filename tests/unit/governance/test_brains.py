"""The brains: stricter than a person, never looser, with hysteresis and without a loop."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.governance import brains
from processors.governance.changes import base_of, changes, person_changes, rank
from processors.governance.defaults import PROFILES
from processors.governance.logic import Governance
from processors.governance.state import AccountState, SharedState
from processors.output import Output
from schemas.clock.records import ClockTick
from schemas.common import DenialCode, HealthState, Mode, ReconcileAction, ReconcileKind, RiskEventKind, Stance
from schemas.execution.records import ReconcileEvent
from schemas.governance.records import Policy, PolicyAudit
from schemas.risk.records import RiskEvent
from tests.unit.governance.builders import ACCOUNT, NOW, SECOND, health, policy, ready, snapshot, trade


def tick(governance: Governance, account: AccountState, shared: SharedState, at: int) -> list[Output]:
    """Let a second pass."""
    return list(governance.on_clock(account, shared, ClockTick(event_id=f"c{at}", event_ts=at, ingest_ts=at)))


def run(drawdown: float = 0.0, daily_pnl: Decimal = Decimal(0), profile: str = "DEFAULT") -> tuple[Governance, AccountState, SharedState]:
    """Return a stage at a drawdown and result of the day, after its first tick."""
    governance, shared = ready(profile)
    account = AccountState()
    governance.on_snapshot(shared, snapshot(drawdown=drawdown, daily_pnl=daily_pnl))
    tick(governance, account, shared, NOW)
    return governance, account, shared


def in_force(shared: SharedState) -> Policy:
    assert shared.policy is not None
    return shared.policy


def test_nothing_is_written_while_the_policy_is_right() -> None:
    governance, shared = ready()
    account = AccountState()
    assert [tick(governance, account, shared, NOW + n * SECOND) for n in range(200)] == [[]] * 200
    assert in_force(shared).version == 1


def test_a_change_is_one_new_version_with_its_audit_and_no_loop() -> None:
    governance, shared = ready()
    account = AccountState()
    governance.on_snapshot(shared, snapshot(drawdown=0.06))
    written, audited = tick(governance, account, shared, NOW + SECOND)
    new = written.record
    assert isinstance(new, Policy)
    assert isinstance(audited.record, PolicyAudit)
    assert (written.topic, audited.topic, written.key) == ("policy", "policy.audit", ACCOUNT)
    assert (new.version, new.stance, new.mode, new.author) == (2, Stance.DEFENSIVE, Mode.NORMAL, "ceo-brain+risk-brain")
    assert audited.record.changes["limits.max_order_notional"] == "50 -> 25"
    assert audited.record.changes["stance"] == "BALANCED -> DEFENSIVE"
    governance.on_policy(shared, new)  # it comes back by broadcast
    assert tick(governance, account, shared, NOW + 2 * SECOND) == []


@pytest.mark.parametrize(
    ("drawdown", "daily_pnl", "stance", "mode"),
    [
        (0.0, "0", Stance.BALANCED, Mode.NORMAL),
        (0.05, "0", Stance.DEFENSIVE, Mode.NORMAL),
        (0.10, "0", Stance.HALT, Mode.HALTED),
        (0.0, "-100", Stance.DEFENSIVE, Mode.NORMAL),
        (0.0, "-200", Stance.DEFENSIVE, Mode.REDUCE_ONLY),
    ],
)
def test_the_ceo_follows_drawdown_and_the_days_loss(drawdown: float, daily_pnl: str, stance: Stance, mode: Mode) -> None:
    _, _, shared = run(drawdown, Decimal(daily_pnl))
    assert (in_force(shared).stance, in_force(shared).mode) == (stance, mode)
    assert not in_force(shared).emergency_stop


def test_a_stricter_verdict_counts_at_once_and_a_looser_one_after_a_while() -> None:
    governance, account, shared = run(0.06)
    governance.on_snapshot(shared, snapshot(drawdown=0.0, event_ts=NOW + 1))
    assert tick(governance, account, shared, NOW + SECOND) == []
    assert tick(governance, account, shared, NOW + brains.HOLD_US) == []
    assert tick(governance, account, shared, NOW + SECOND + brains.HOLD_US) != []
    assert in_force(shared).stance is Stance.BALANCED
    assert in_force(shared).limits == PROFILES["DEFAULT"].limits


def test_at_the_edge_of_a_threshold_nothing_flaps() -> None:
    governance, account, shared = run(0.051)
    first = in_force(shared).version
    for n in range(1, 300):
        governance.on_snapshot(shared, snapshot(drawdown=0.0499 if n % 2 else 0.0501, event_ts=NOW + n))
        tick(governance, account, shared, NOW + n * SECOND)
    assert in_force(shared).version == first


def test_a_required_component_that_stays_down_halts_and_one_that_is_back_soon_does_not() -> None:
    governance, account, shared = run()
    governance.on_health(shared, health("risk", HealthState.DOWN, ts=NOW + SECOND))
    assert tick(governance, account, shared, NOW + 2 * SECOND) == []
    governance.on_health(shared, health("risk", HealthState.DOWN, ts=NOW + 9 * SECOND))
    assert tick(governance, account, shared, NOW + SECOND + brains.DOWN_GRACE_US) != []
    assert in_force(shared).mode is Mode.HALTED
    assert "risk" in in_force(shared).reason


def test_books_that_differ_make_the_account_reduce_only_until_a_round_finds_them_equal() -> None:
    governance, account, shared = run()

    def found(kind: ReconcileKind, *, explained: bool, at: int) -> Mode:
        event = ReconcileEvent(
            event_id=f"{kind}:{at}", event_ts=at, ingest_ts=at, account=ACCOUNT, venue="binance-usdm", kind=kind, subject="BTCUSDT",
            explained=explained, action=ReconcileAction.NONE, detail="", differences=int(not explained),
        )  # fmt: skip
        assert not list(governance.on_reconcile(account, event))
        tick(governance, account, shared, at)
        return in_force(shared).mode

    at = NOW + 10 * SECOND
    assert found(ReconcileKind.POSITION, explained=True, at=at) is Mode.NORMAL
    assert found(ReconcileKind.POSITION, explained=False, at=at + SECOND) is Mode.REDUCE_ONLY
    assert "differ" in in_force(shared).reason
    assert found(ReconcileKind.FILL, explained=True, at=at + 2 * SECOND) is Mode.REDUCE_ONLY
    assert found(ReconcileKind.ROUND, explained=False, at=at + 500 * SECOND) is Mode.REDUCE_ONLY
    assert found(ReconcileKind.ROUND, explained=True, at=at + 560 * SECOND) is Mode.REDUCE_ONLY, "what is looser must hold for a while"
    tick(governance, account, shared, at + 2_000 * SECOND)
    assert in_force(shared).mode is Mode.NORMAL


def test_a_breached_limit_makes_the_account_reduce_only_for_a_while() -> None:
    governance, account, shared = run()
    event = RiskEvent(
        event_id="r",
        event_ts=NOW,
        ingest_ts=NOW,
        account=ACCOUNT,
        kind=RiskEventKind.LIMIT_BREACH,
        code=DenialCode.GROSS_EXPOSURE,
        detail="x",
    )
    governance.on_risk_event(account, event)
    tick(governance, account, shared, NOW + SECOND)
    assert in_force(shared).mode is Mode.REDUCE_ONLY
    for n in range(2, 200):
        tick(governance, account, shared, NOW + n * SECOND)
    assert in_force(shared).mode is Mode.NORMAL


def test_the_emergency_stop_is_pulled_and_only_a_person_takes_it_off() -> None:
    governance, account, shared = run(0.16)
    stopped = in_force(shared)
    assert (stopped.emergency_stop, stopped.mode) == (True, Mode.HALTED)
    governance.on_snapshot(shared, snapshot(event_ts=NOW + 1))
    for n in range(1, 200):
        tick(governance, account, shared, NOW + n * SECOND)
    assert in_force(shared).emergency_stop
    resumed = person_changes(in_force(shared), now_us=NOW, author="anna", reason="looked at it", emergency_stop=False)
    governance.on_policy(shared, resumed)
    tick(governance, account, shared, NOW + 201 * SECOND)
    assert not in_force(shared).emergency_stop


def test_a_stop_that_a_person_took_off_is_not_pulled_again_by_the_same_drawdown() -> None:
    governance, account, shared = run(0.16)
    governance.on_policy(shared, person_changes(in_force(shared), now_us=NOW, author="anna", reason="known", emergency_stop=False))
    tick(governance, account, shared, NOW + SECOND)
    assert (in_force(shared).emergency_stop, in_force(shared).mode) == (False, Mode.HALTED)
    governance.on_snapshot(shared, snapshot(drawdown=0.22, event_ts=NOW + 1))
    tick(governance, account, shared, NOW + 2 * SECOND)
    assert in_force(shared).emergency_stop


def test_losing_strategies_weigh_less_and_winning_ones_no_more_than_a_person_said() -> None:
    governance, account, shared = run()
    for n in range(30):
        governance.on_trade_closed(account, trade(event_id=f"t{n}", r_multiple=-1.0))
    tick(governance, account, shared, NOW + SECOND)
    assert in_force(shared).strategies[0].weight == pytest.approx(1 - 0.75 * 30 / 40, abs=0.01)
    assert in_force(shared).author == "strategy-brain"
    for n in range(60):
        governance.on_trade_closed(account, trade(event_id=f"w{n}", r_multiple=2.0))
        tick(governance, account, shared, NOW + (2 + n) * SECOND)
    assert in_force(shared).strategies[0].weight == 1.0
    assert len(account.results["ensemble"]) == brains.RESULTS_KEPT


def test_growth_must_be_allowed_and_earned() -> None:
    governance, account, shared = run(profile="CHALLENGE")
    assert in_force(shared).stance is Stance.BALANCED
    assert in_force(shared).sizing.risk_per_trade == pytest.approx(0.015 * 0.8)
    for n in range(brains.RESULTS_TO_GROW):
        governance.on_trade_closed(account, trade(event_id=f"t{n}"))
    for n in range(1, 100):
        tick(governance, account, shared, NOW + n * SECOND)
    assert in_force(shared).stance is Stance.GROWTH
    assert in_force(shared).sizing.risk_per_trade == pytest.approx(0.015)


def test_a_persons_change_does_not_make_a_brains_strictness_the_limit() -> None:
    _, _, shared = run(0.06)
    assert in_force(shared).limits.max_order_notional == 25
    mine = person_changes(in_force(shared), now_us=NOW, author="anna", reason="why", mode=Mode.REDUCE_ONLY)
    assert (mine.limits, mine.base, mine.mode, mine.version) == (PROFILES["DEFAULT"].limits, None, Mode.REDUCE_ONLY, 3)
    assert base_of(mine).author == "anna"


def test_of_equal_versions_a_persons_counts_in_either_order() -> None:
    mine = policy(version=2)
    brains_own = msgspec.structs.replace(mine, base=base_of(policy()), author=brains.CEO, event_ts=NOW + 9)
    for order in ((mine, brains_own), (brains_own, mine)):
        shared = SharedState()
        for record in order:
            Governance(ACCOUNT).on_policy(shared, record)
        assert shared.policy == mine
    assert rank(policy(version=3, base=base_of(mine))) > rank(mine)


def test_changes_of_a_first_policy_name_every_field() -> None:
    first = changes(None, policy())
    assert first["mode"] == "none -> NORMAL"
    assert first["strategies"] == "none -> ensemble x 1"
    assert changes(policy(), policy(version=2, reason="same")) == {}


MONEY = ("max_order_notional", "max_position_notional", "max_gross_exposure", "max_net_exposure", "max_leverage")


@given(
    looks=st.lists(
        st.tuples(
            st.floats(0, 0.5), st.integers(-1000, 1000), st.lists(st.floats(-3, 3), max_size=4), st.booleans(), st.integers(1, 90)
        ),
        max_size=25,
    ),
    profile=st.sampled_from(sorted(PROFILES)),
    mode=st.sampled_from(list(Mode)),
)  # fmt: skip
def test_whatever_happens_the_brains_are_never_looser_than_the_person(looks: list[Any], profile: str, mode: Mode) -> None:
    governance, shared = ready(profile, mode=mode)
    person = in_force(shared)
    account, now = AccountState(), NOW
    for drawdown, daily, results, down, seconds in looks:
        now += seconds * SECOND
        governance.on_snapshot(shared, snapshot(drawdown=drawdown, daily_pnl=Decimal(daily), event_ts=now))
        governance.on_health(shared, health("orders", HealthState.DOWN if down else HealthState.HEALTHY, ts=now))
        for r in results:
            governance.on_trade_closed(account, trade(r_multiple=r))
        before = in_force(shared)
        outputs = tick(governance, account, shared, now)
        after = in_force(shared)
        assert len(outputs) in (0, 2)
        assert after.version == before.version + (1 if outputs else 0)
        assert (changes(before, after) != {}) == bool(outputs)
        assert not before.emergency_stop or after.emergency_stop
        for name in MONEY:
            assert getattr(after.limits, name) <= getattr(person.limits, name)
        assert after.limits.max_leverage >= min(1.0, person.limits.max_leverage)
        assert after.sizing.risk_per_trade <= person.sizing.risk_per_trade
        assert after.sizing.min_confidence >= person.sizing.min_confidence
        assert after.strategies[0].weight <= person.strategies[0].weight
        assert list(Mode).index(after.mode) <= list(Mode).index(person.mode)
        assert list(Stance).index(after.stance) <= list(Stance).index(person.stance)
        assert base_of(after) == base_of(person)
        restored = msgspec.json.decode(msgspec.json.encode(account), type=AccountState)
        assert restored == account
