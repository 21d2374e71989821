from __future__ import annotations

from dataclasses import replace

import pytest

from processors.learning import schedule
from processors.learning.agent import schedule_rules
from processors.learning.settings import LearningSettings
from processors.learning.state import Champion, ModelState, Shared
from schemas.clock.records import ClockTick
from schemas.common import ModelRole, SampleKind, TrainingPhase
from schemas.learning.records import ModelActive, ModelRetrain, ModelSample, ModelTraining

SECOND = 1_000_000
HOUR = 3600 * SECOND
START = 1_700_000_000 * SECOND
RULES = schedule.Rules()
BETTER = {"log_loss": 0.9, "champion_log_loss": 1.0, "base_rate_log_loss": 1.1}


def tick(ts: int) -> ClockTick:
    return ClockTick(event_id=f"clock:{ts}", event_ts=ts, ingest_ts=ts)


def sample(kind: SampleKind = SampleKind.PREDICTION, ts: int = START, reward: float | None = None) -> ModelSample:
    return ModelSample(
        event_id=f"{ts}",
        event_ts=ts,
        ingest_ts=ts,
        model="xgb",
        version="v1",
        symbol="BTCUSDT",
        kind=kind,
        cause_id="c",
        reward=reward,
        detail="index",
    )


def counted(count: int) -> ModelState:
    state = ModelState()
    for _ in range(count):
        schedule.on_sample(state, sample())
    return state


def in_force() -> Shared:
    return Shared({"xgb": Champion("v1", "aa", START, 30)})


def requests(state: ModelState, shared: Shared, *times: int, rules: schedule.Rules = RULES) -> list[ModelRetrain]:
    out = []
    for ts in times:
        for output in schedule.on_clock(rules, state, shared, tick(ts)):
            assert (output.topic, output.key) == ("model.retrain", "xgb")
            assert isinstance(output.record, ModelRetrain)
            out.append(output.record)
    return out


def training(run_id: str, phase: TrainingPhase, ts: int, metrics: dict[str, float] | None = None) -> ModelTraining:
    done = phase is TrainingPhase.COMPLETED
    return ModelTraining(
        event_id=f"{run_id}:{phase}",
        event_ts=ts,
        ingest_ts=ts,
        model="xgb",
        run_id=run_id,
        phase=phase,
        version="v2" if done else None,
        sha256="bb" if done else None,
        samples=1000,
        metrics=metrics or {},
        detail="",
        horizon_s=30 if done else None,
    )


def test_a_training_is_due_when_both_samples_and_hours_are_there() -> None:
    week = START + 168 * HOUR
    assert not requests(counted(49), in_force(), week)
    assert not requests(counted(50), in_force(), week - SECOND)
    (request,) = requests(counted(50), in_force(), week)
    assert (request.why, request.samples, request.event_id) == ("SCHEDULE", 50, f"xgb:{week}:retrain")
    assert (request.window_start_ts, request.window_end_ts) == (week - 14 * 24 * HOUR, week)
    assert (request.champion_version, request.champion_sha256) == ("v1", "aa")


def test_drift_is_due_sooner_and_needs_no_samples() -> None:
    state = ModelState()
    schedule.on_sample(state, sample(SampleKind.DRIFT, START + HOUR))
    assert not requests(state, in_force(), START + 5 * HOUR)
    (request,) = requests(state, in_force(), START + 6 * HOUR)
    assert (request.why, request.detail, request.samples) == ("DRIFT", "index", 0)


def test_one_request_at_a_time_and_again_when_nobody_answers() -> None:
    week = START + 168 * HOUR
    state = counted(50)
    made = requests(state, in_force(), *(week + i * 60 * SECOND for i in range(70)))
    assert [request.event_ts for request in made] == [week, week + HOUR]


def test_without_a_sample_nothing_is_requested() -> None:
    assert not requests(ModelState(), in_force(), START + 1000 * HOUR)


def test_a_failed_training_is_tried_again_later() -> None:
    week = START + 168 * HOUR
    state, shared = counted(50), in_force()
    (request,) = requests(state, shared, week)
    assert not list(schedule.on_training(RULES, state, shared, training(request.event_id, TrainingPhase.STARTED, week)))
    assert not list(schedule.on_training(RULES, state, shared, training(request.event_id, TrainingPhase.FAILED, week)))
    assert state.samples == 50
    assert not requests(state, shared, week + HOUR - SECOND)
    assert len(requests(state, shared, week + HOUR)) == 1


def test_a_better_challenger_is_put_into_force_and_counting_starts_anew() -> None:
    week = START + 168 * HOUR
    state, shared = counted(50), in_force()
    schedule.on_sample(state, sample(SampleKind.TRADE, reward=1.5))
    (request,) = requests(state, shared, week)
    (output,) = schedule.on_training(RULES, state, shared, training(request.event_id, TrainingPhase.COMPLETED, week, BETTER))
    active = output.record
    assert isinstance(active, ModelActive)
    assert (output.topic, output.key, active.version, active.sha256, active.role) == ("model.active", "xgb", "v2", "bb", ModelRole.CHAMPION)
    assert (active.author, active.horizon_s, active.event_id) == ("learning", 30, f"{request.event_id}:active")
    assert "0.9000 against the champion's 1.0000" in active.reason
    assert (state.samples, state.trades, state.reward, state.trained_ts, state.request_id) == (0, 0, 0.0, week, "")
    assert not requests(state, shared, week + HOUR)


def test_a_challenger_that_is_not_better_stays_on_the_shelf() -> None:
    week = START + 168 * HOUR
    state, shared = counted(50), in_force()
    (request,) = requests(state, shared, week)
    worse = {**BETTER, "log_loss": 1.01}
    assert not list(schedule.on_training(RULES, state, shared, training(request.event_id, TrainingPhase.COMPLETED, week, worse)))
    assert (state.samples, state.trained_ts) == (0, week)


def test_a_challenger_does_not_replace_a_version_it_was_not_measured_against() -> None:
    week = START + 168 * HOUR
    state, shared = counted(50), in_force()
    (request,) = requests(state, shared, week)
    shared.champions["xgb"] = Champion("v9", "cc", week, 30)
    assert not list(schedule.on_training(RULES, state, shared, training(request.event_id, TrainingPhase.COMPLETED, week, BETTER)))


@pytest.mark.parametrize(
    ("metrics", "margin", "promoted"),
    [
        (BETTER, 0.0, True),
        (BETTER, 0.2, False),
        ({"log_loss": 1.0, "champion_log_loss": 1.0, "base_rate_log_loss": 1.1}, 0.0, False),
        ({"log_loss": 1.0, "base_rate_log_loss": 1.1}, 0.0, True),
        ({"log_loss": 1.2, "base_rate_log_loss": 1.1}, 0.0, False),
    ],
)
def test_promotion_wants_a_lower_loss(metrics: dict[str, float], margin: float, promoted: bool) -> None:
    assert (schedule.promotion(replace(RULES, promotion_margin=margin), metrics) is not None) == promoted


def test_the_settings_are_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    assert schedule_rules(LearningSettings()) == RULES
    monkeypatch.setenv("QUANTUM_LEARNING_RETRAIN_SAMPLES", "5")
    monkeypatch.setenv("QUANTUM_LEARNING_RETRAIN_INTERVAL_S", "30")
    assert schedule_rules(LearningSettings()) == replace(RULES, retrain_samples=5, retrain_interval_s=30)
