from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ml.artefacts import Artefact, ArtefactStore
from ml.drift.psi import DriftState
from ml.serving.ensemble import EnsembleRules
from ml.serving.scorer import Scorer
from processors.signals import logic
from processors.signals.agent import ModelCache
from processors.signals.state import ActiveModel, ActiveModels, LastRegime, SymbolState
from schemas.common import Direction, MemberStatus, ModelRole, Regime
from schemas.features.records import Features, MarketRegime
from schemas.learning.records import ModelActive
from schemas.signals.records import SignalGenerated, SignalScore
from tests.unit.ml.trained import artefact
from tests.unit.signals.vectors import VENUE, vectors

RULES = logic.Rules(VENUE, "1s", ("xgb",))
VECTORS = vectors(700, 31)


def shared(*models: str) -> ActiveModels:
    manifest = artefact().manifest
    return ActiveModels({model: ActiveModel(manifest.version, manifest.sha256, 1) for model in models})


def fixed(scorer: Scorer | logic.LoadFailure) -> Callable[[str, ActiveModel], Scorer | logic.LoadFailure]:
    return lambda _model, _active: scorer


def changed(**fields: object) -> Scorer:
    """Return the model with another manifest."""
    return Scorer(Artefact(msgspec.structs.replace(artefact().manifest, **fields), artefact().model))


def run(
    records: list[Features], rules: logic.Rules = RULES, scorer: Scorer | logic.LoadFailure | None = None
) -> tuple[SymbolState, list[SignalScore], list[SignalGenerated]]:
    state, active, last = SymbolState(), shared(*rules.models), LastRegime(Regime.RANGE)
    scorers = fixed(scorer or Scorer(artefact()))
    scores, signals = [], []
    for record in records:
        for output in logic.on_features(rules, scorers, state, active, last, record):
            assert output.key == record.symbol
            if isinstance(output.record, SignalScore):
                assert output.topic == "signal.score"
                scores.append(output.record)
            else:
                assert output.topic == "ai.signal_generated"
                assert isinstance(output.record, SignalGenerated)
                signals.append(output.record)
    return state, scores, signals


def test_every_warm_vector_gives_a_score_and_a_signal_and_no_other_does() -> None:
    _, scores, signals = run(VECTORS)
    warm = [record for record in VECTORS if record.warm]
    assert len(warm) == len(scores) == len(signals) > 600
    manifest = artefact().manifest
    for record, score, signal in zip(warm, scores, signals, strict=True):
        assert (score.event_id, signal.event_id) == (f"{record.event_id}:xgb:score", f"{record.event_id}:signal")
        assert (score.model_version, score.model_sha256, score.horizon_s) == (manifest.version, manifest.sha256, 30)
        assert score.features_id == signal.features_id == record.event_id
        assert (signal.p_down, signal.p_flat, signal.p_up) == (score.p_down, score.p_flat, score.p_up)
        assert (signal.price, signal.atr, signal.regime, signal.horizon_s) == (record.close, record.atr_14, Regime.RANGE, 30)
        assert signal.members[0].status is MemberStatus.USED
        assert (signal.direction is Direction.FLAT) == (signal.reason is not None)


def test_signals_of_momentum_are_right_more_often_than_not() -> None:
    _, _, signals = run(VECTORS)
    closes = {record.bar_close_ts: record.close for record in VECTORS}
    moves = []
    for signal in signals:
        later = closes.get(signal.event_ts + signal.horizon_s * 1_000_000)
        if later is not None and signal.direction is not Direction.FLAT:
            moves.append(math.log(later / signal.price) * (1 if signal.direction is Direction.LONG else -1))
    assert len(moves) > 100
    assert np.mean(np.array(moves) > 0) > 0.6


def test_the_same_records_give_the_same_signals_and_a_stored_state_goes_on() -> None:
    assert run(VECTORS)[1:] == run(VECTORS)[1:]
    state, active, last = SymbolState(), shared("xgb"), LastRegime()
    scorers = fixed(Scorer(artefact()))
    kept = run(VECTORS[:200])[0]
    for record in VECTORS[:200]:
        state = msgspec.json.decode(msgspec.json.encode(state), type=SymbolState)
        list(logic.on_features(RULES, scorers, state, active, last, record))
    assert msgspec.to_builtins(state) == msgspec.to_builtins(kept)
    assert len(msgspec.json.encode(state)) < 20_000


def test_a_vector_seen_before_or_of_another_venue_gives_nothing() -> None:
    state, active, last = SymbolState(), shared("xgb"), LastRegime()
    scorers = fixed(Scorer(artefact()))
    for record in VECTORS[:100]:
        list(logic.on_features(RULES, scorers, state, active, last, record))
    before = msgspec.json.encode(state)
    assert not list(logic.on_features(RULES, scorers, state, active, last, VECTORS[99]))
    assert not list(logic.on_features(RULES, scorers, state, active, last, msgspec.structs.replace(VECTORS[100], venue="bybit")))
    minute = msgspec.structs.replace(VECTORS[100], interval="1m")
    assert not list(logic.on_features(RULES, scorers, state, active, last, minute))
    assert msgspec.json.encode(state) == before


def test_without_an_active_model_there_is_no_direction_and_the_record_says_so() -> None:
    outputs = list(logic.on_features(RULES, fixed(Scorer(artefact())), SymbolState(), ActiveModels(), LastRegime(), VECTORS[100]))
    assert len(outputs) == 1
    signal = outputs[0].record
    assert isinstance(signal, SignalGenerated)
    assert (signal.direction, signal.confidence, signal.horizon_s) == (Direction.FLAT, 0.0, 0)
    assert signal.members[0].status is MemberStatus.MISSING
    assert "0 of 1 models answered" in (signal.reason or "")


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"window_end_ts": 0}, MemberStatus.STALE, "720 h are allowed"),
        ({"interval": "1m"}, MemberStatus.FAILED, "bars of 1m"),
        ({"drift_limit": 0.0, "drift_block": 2}, MemberStatus.DRIFTED, "population stability"),
    ],
)
def test_a_model_that_does_not_fit_is_left_out_with_its_reason(fields: dict[str, object], status: MemberStatus, words: str) -> None:
    signal = run(VECTORS[:100], scorer=changed(**fields))[2][-1]
    assert signal.members[0].status is status
    assert words in (signal.members[0].reason or "")
    assert (signal.direction, signal.confidence) == (Direction.FLAT, 0.0)


def test_a_model_that_wants_what_the_vector_lacks_is_unwarmed() -> None:
    features = [*artefact().manifest.features[:-1], "funding_rate"]
    _, scores, signals = run(VECTORS[:100], scorer=changed(features=features))
    assert not scores
    assert signals[-1].members[0].status is MemberStatus.UNWARMED
    assert signals[-1].members[0].reason == "no funding_rate yet"


def test_a_drifted_model_goes_on_scoring_and_comes_back() -> None:
    state, _, signals = run(VECTORS[:120], scorer=changed(drift_limit=0.0, drift_block=2))
    assert signals[-1].members[0].status is MemberStatus.DRIFTED
    state.members["xgb"].drift = DriftState(score=0.0)
    outputs = list(logic.on_features(RULES, fixed(Scorer(artefact())), state, shared("xgb"), LastRegime(), VECTORS[120]))
    signal = outputs[-1].record
    assert isinstance(signal, SignalGenerated)
    assert signal.members[0].status is MemberStatus.USED


def test_log_loss_is_that_of_the_predictions_whose_horizon_has_passed() -> None:
    memory = 200
    state, scores, _ = run(VECTORS)
    manifest = artefact().manifest
    closes = {record.bar_close_ts: record.close for record in VECTORS}
    want, resolved = manifest.metrics["log_loss"], 0
    for score in scores:
        later = closes.get(score.event_ts + 30_000_000)
        if later is None:
            continue
        moved = math.log(later / closes[score.event_ts])
        given = score.p_up if moved > manifest.threshold else score.p_down if moved < -manifest.threshold else score.p_flat
        want += (-math.log(given) - want) * 2 / (memory + 1)
        resolved += 1
    member = state.members["xgb"]
    assert member.loss.resolved == resolved
    assert member.loss.mean == pytest.approx(want)
    assert len(member.pending) == 30


def test_predictions_whose_bar_never_came_are_dropped() -> None:
    state, _, _ = run(VECTORS[:100])
    waiting = len(state.members["xgb"].pending)
    later = msgspec.structs.replace(VECTORS[100], bar_close_ts=VECTORS[100].bar_close_ts + 10_000_000_000)
    list(logic.on_features(RULES, fixed(Scorer(artefact())), state, shared("xgb"), LastRegime(), later))
    member = state.members["xgb"]
    assert waiting == 30
    assert len(member.pending) == 1


def test_of_a_long_horizon_no_more_than_256_predictions_wait() -> None:
    state, _, _ = run(VECTORS, scorer=changed(horizon_s=3600))
    assert 30 < len(state.members["xgb"].pending) < 60


def test_the_better_of_two_members_weighs_more() -> None:
    rules = replace(RULES, models=("xgb", "lgbm"), ensemble=EnsembleRules(quorum=2))
    state = run(VECTORS[:100], rules)[0]
    state.members["lgbm"].loss.mean = 2.0
    outputs = list(logic.on_features(rules, fixed(Scorer(artefact())), state, shared("xgb", "lgbm"), LastRegime(), VECTORS[100]))
    signal = outputs[-1].record
    assert isinstance(signal, SignalGenerated)
    first, second = signal.members
    assert first.weight > second.weight > 0.0


def test_a_new_version_starts_its_own_record() -> None:
    state, _, _ = run(VECTORS[:200])
    newer = changed(version="newer", metrics={**artefact().manifest.metrics, "log_loss": 0.7})
    list(logic.on_features(RULES, fixed(newer), state, shared("xgb"), LastRegime(), VECTORS[200]))
    assert (state.members["xgb"].version, state.members["xgb"].loss.mean, len(state.members["xgb"].pending)) == ("newer", 0.7, 1)


def active(version: str, sha256: str, *, role: ModelRole = ModelRole.CHAMPION, ts: int = 5) -> ModelActive:
    return ModelActive(
        event_id=f"{version}:{ts}",
        event_ts=ts,
        ingest_ts=ts,
        model="xgb",
        version=version,
        sha256=sha256,
        role=role,
        author="operator",
        reason="test",
    )


def test_models_come_into_force_and_retire() -> None:
    models = ActiveModels()
    logic.on_active(models, active("v1", "a"))
    logic.on_active(models, active("v2", "b", role=ModelRole.SHADOW))
    assert models.models == {"xgb": ActiveModel("v1", "a", 5)}
    logic.on_active(models, active("v1", "a", role=ModelRole.RETIRED))
    assert models.models == {}


def test_the_regime_is_the_venues() -> None:
    last, elsewhere = LastRegime(), LastRegime()
    record = MarketRegime(event_id="r", event_ts=1, ingest_ts=1, venue=VENUE, symbol="AAAUSDT", regime=Regime.TREND_UP, since_ts=1)
    logic.on_regime(RULES, elsewhere, msgspec.structs.replace(record, venue="bybit"))
    assert elsewhere.regime is Regime.WARMING_UP
    logic.on_regime(RULES, last, record)
    assert last.regime is Regime.TREND_UP


def test_the_cache_loads_once_and_says_why_it_could_not(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    manifest = artefact().manifest
    cache = ModelCache(store)
    missing = cache("xgb", ActiveModel(manifest.version, manifest.sha256, 1))
    assert isinstance(missing, logic.LoadFailure)
    assert "cannot be read" in missing.reason
    store.save(artefact())
    loaded = cache("xgb", ActiveModel(manifest.version, manifest.sha256, 2))
    assert isinstance(loaded, Scorer), "a new record makes it try again"
    assert cache("xgb", ActiveModel(manifest.version, manifest.sha256, 2)) is loaded
    forged = cache("xgb", ActiveModel(manifest.version, "0" * 64, 3))
    assert isinstance(forged, logic.LoadFailure)
    signal = run(VECTORS[:100], scorer=forged)[2][-1]
    assert signal.members[0].status is MemberStatus.FAILED
    assert "SHA-256" in (signal.members[0].reason or "")
