from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.learning import logic
from processors.learning.state import Shared, SymbolState
from schemas.common import Direction, ExitReason, Member, MemberStatus, ModelRole, PositionSide, Regime, SampleKind
from schemas.features.records import Features
from schemas.journal.records import TradeClosed
from schemas.learning.records import ModelActive, ModelSample, RlReward
from schemas.positions.records import PortfolioSnapshot
from schemas.signals.records import SignalGenerated, SignalScore

SECOND = 1_000_000
ZERO = Decimal(0)


def trade(r_multiple: float | None, held_s: float = 20.0) -> TradeClosed:
    return TradeClosed(
        event_id="p1:closed",
        event_ts=9,
        ingest_ts=8,
        account="paper",
        symbol="BTCUSDT",
        venue="binance-usdm",
        position_id="p1",
        strategy="ensemble",
        signal_id="s1",
        side=PositionSide.LONG,
        quantity=Decimal(1),
        entry_price=Decimal(100),
        exit_price=Decimal(101),
        opened_ts=1,
        closed_ts=9,
        held_s=held_s,
        gross_pnl=Decimal(1),
        fees=ZERO,
        net_pnl=Decimal(1),
        risk_amount=Decimal(1),
        r_multiple=r_multiple,
        entry_slippage_bps=0.0,
        exit_slippage_bps=0.0,
        exit_reason=ExitReason.TAKE_PROFIT,
        leverage=1.0,
        entry_orders=[],
        exit_orders=[],
    )


def active(version: str = "v1", *, model: str = "xgb", horizon_s: int | None = 30, role: ModelRole = ModelRole.CHAMPION) -> ModelActive:
    return ModelActive(
        event_id=f"{model}:{version}",
        event_ts=5,
        ingest_ts=5,
        model=model,
        version=version,
        sha256="a",
        role=role,
        author="operator",
        reason="",
        horizon_s=horizon_s,
    )


def snapshot(drawdown: float) -> PortfolioSnapshot:
    return PortfolioSnapshot(
        event_id="snap",
        event_ts=1,
        ingest_ts=1,
        account="paper",
        equity=ZERO,
        balance=ZERO,
        available=ZERO,
        unrealised_pnl=ZERO,
        realised_pnl=ZERO,
        fees=ZERO,
        daily_pnl=ZERO,
        peak_equity=ZERO,
        drawdown=drawdown,
        open_positions=0,
    )


def score(ts: int, *, model: str = "xgb", version: str = "v1") -> SignalScore:
    return SignalScore(
        event_id=f"{model}:{ts}",
        event_ts=ts,
        ingest_ts=ts,
        symbol="BTCUSDT",
        model=model,
        model_version=version,
        model_sha256="a",
        features_id="f",
        horizon_s=30,
        p_down=0.2,
        p_flat=0.3,
        p_up=0.5,
    )


def features(ts: int) -> Features:
    return Features(
        event_id=f"f{ts}",
        event_ts=ts,
        ingest_ts=ts,
        venue="binance-usdm",
        symbol="BTCUSDT",
        interval="1s",
        bar_close_ts=ts,
        close=1.0,
        warm=True,
    )


def signal(status: MemberStatus, version: str = "v1") -> SignalGenerated:
    member = Member(model="xgb", version=version, status=status, weight=0.0, reason="index 0.9")
    return SignalGenerated(
        event_id=f"sig:{version}",
        event_ts=7,
        ingest_ts=7,
        symbol="BTCUSDT",
        venue="binance-usdm",
        strategy="ensemble",
        direction=Direction.FLAT,
        confidence=0.0,
        p_down=0.0,
        p_flat=0.0,
        p_up=0.0,
        horizon_s=30,
        members=[member],
        quorum=1,
        features_id="f",
        regime=Regime.RANGE,
        price=1.0,
    )


@given(st.floats(-50, 50), st.floats(0, 1), st.floats(0, 1e6), st.one_of(st.none(), st.integers(1, 10_000)))
def test_the_parts_keep_their_bounds(r_multiple: float, drawdown: float, held_s: float, horizon_s: int | None) -> None:
    profit, down, holding = logic.reward_parts(r_multiple, drawdown, held_s, horizon_s)
    assert -3.0 <= profit <= 3.0
    assert -2.0 <= down <= 0.0
    assert -1.0 <= holding <= 0.0
    longer = logic.reward_parts(r_multiple, drawdown, held_s * 2, horizon_s)[2]
    assert longer <= holding


def test_a_trade_is_rewarded_by_profit_drawdown_and_time() -> None:
    shared = Shared()
    logic.on_active(shared, active())
    logic.on_snapshot(shared, snapshot(0.05))
    (output,) = logic.on_trade_closed(shared, trade(1.5, held_s=90.0))
    reward = output.record
    assert isinstance(reward, RlReward)
    assert (output.topic, output.key, reward.event_id) == ("rl.reward", "paper", "p1:closed:reward")
    assert (reward.profit_part, reward.drawdown_part, reward.holding_part) == pytest.approx((1.5, -0.1, -0.2))
    assert reward.reward == pytest.approx(1.2)


def test_nothing_is_taken_off_for_holding_while_no_horizon_is_known() -> None:
    shared = Shared()
    for record in (None, active(horizon_s=None)):
        if record is not None:
            logic.on_active(shared, record)
        (output,) = logic.on_trade_closed(shared, trade(1.0, held_s=1e6))
        assert isinstance(output.record, RlReward)
        assert output.record.reward == 1.0


def test_a_trade_without_a_stop_has_no_reward() -> None:
    assert not list(logic.on_trade_closed(Shared(), trade(None)))


def test_a_reward_counts_for_every_model_in_force() -> None:
    shared = Shared()
    logic.on_active(shared, active())
    logic.on_active(shared, active(model="lgbm", version="v7"))
    logic.on_active(shared, active(model="nhits"))
    logic.on_active(shared, active(model="nhits", role=ModelRole.RETIRED))
    (output,) = logic.on_trade_closed(shared, trade(1.0))
    assert isinstance(output.record, RlReward)
    samples = [(out.topic, out.key, out.record) for out in logic.on_reward(shared, output.record)]
    assert [(topic, key) for topic, key, _ in samples] == [("learning.sample", "xgb"), ("learning.sample", "lgbm")]
    for _, model, sample in samples:
        assert isinstance(sample, ModelSample)
        assert (sample.kind, sample.reward, sample.event_id) == (SampleKind.TRADE, 1.0, f"p1:closed:reward:{model}:sample")


def test_predictions_count_once_their_horizon_has_passed_and_never_overlap() -> None:
    state = SymbolState()
    counted = []
    for second in range(100):
        ts = second * SECOND
        counted += [output.record for output in logic.on_features(state, features(ts))]
        logic.on_score(state, score(ts))
        state = msgspec.json.decode(msgspec.json.encode(state), type=SymbolState)
    assert [(sample.event_ts // SECOND, sample.cause_id) for sample in counted if isinstance(sample, ModelSample)] == [
        (30, "xgb:0"),
        (60, "xgb:30000000"),
        (90, "xgb:60000000"),
    ]


def test_drift_is_told_once_a_version() -> None:
    state = SymbolState()
    told = [
        len(list(logic.on_signal(state, signal(status, version))))
        for status, version in (
            (MemberStatus.USED, "v1"),
            (MemberStatus.DRIFTED, "v1"),
            (MemberStatus.DRIFTED, "v1"),
            (MemberStatus.USED, "v1"),
            (MemberStatus.DRIFTED, "v1"),
            (MemberStatus.DRIFTED, "v2"),
        )
    ]
    assert told == [0, 1, 0, 0, 1, 1]
