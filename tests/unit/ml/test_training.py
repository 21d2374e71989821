from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.artefacts import sha256_of
from ml.features import BAR_FEATURES, DAY_FEATURES, WEEK_FEATURES
from ml.features.bars import DAY_US
from ml.serving.scorer import Scorer
from ml.training.bars import Bars
from ml.training.calibration import fit_temperature, softmax
from ml.training.dataset import DOWN, FLAT, UP, build, forward_returns, labels, model_features, split
from ml.training.export import to_onnx
from ml.training.measure import base_rates, log_loss, measure
from ml.training.train import Plan, train
from quantum.errors import RetryError
from tests.unit.ml.markets import START, momentum_bars
from tests.unit.ml.trained import PLAN, SYMBOLS, artefact

SECOND = 1_000_000


def test_a_model_of_momentum_knows_more_than_the_base_rate() -> None:
    manifest = artefact().manifest
    assert manifest.metrics["log_loss"] < 0.95 * manifest.metrics["base_rate_log_loss"]
    assert manifest.metrics["directional_accuracy"] > 0.65
    assert manifest.metrics["skill"] == pytest.approx(1 - manifest.metrics["log_loss"] / manifest.metrics["base_rate_log_loss"])


def test_a_random_walk_teaches_nothing_and_the_metrics_say_so() -> None:
    walk = train({"AAAUSDT": momentum_bars(6000, 1, drift=0.0), "BBBUSDT": momentum_bars(6000, 2, drift=0.0)}, PLAN)
    assert walk.manifest.metrics["skill"] < 0.03


def test_the_manifest_says_what_was_done() -> None:
    manifest = artefact().manifest
    bars = momentum_bars(7200, 0)
    assert manifest.symbols == list(SYMBOLS)
    assert (manifest.window_start_ts, manifest.window_end_ts) == (int(bars.open_ts[0]), int(bars.close_ts[-1]))
    assert (manifest.interval, manifest.horizon_s, manifest.embargo_s, manifest.revision) == ("1s", 30, 30, "abc123")
    assert manifest.sha256 == sha256_of(artefact().model)
    assert manifest.version.endswith(manifest.sha256[:8])
    assert manifest.calibration.log_loss_after <= manifest.calibration.log_loss_before
    assert not {"atr_14", *DAY_FEATURES, *WEEK_FEATURES} & set(manifest.features)
    assert set(manifest.profiles) == {*manifest.features, "p_down", "p_flat", "p_up"}
    for profile in manifest.profiles.values():
        assert sum(profile.shares) == pytest.approx(1.0)
    assert manifest.drift_limit >= 0.25


def test_the_same_bars_and_plan_give_the_same_model() -> None:
    bars = {"AAAUSDT": momentum_bars(3000, 1), "BBBUSDT": momentum_bars(3000, 2)}
    assert train(bars, PLAN).manifest == train(bars, PLAN).manifest


def test_training_takes_seconds() -> None:
    start = time.process_time()
    train({symbol: momentum_bars(7200, seed) for seed, symbol in enumerate(SYMBOLS)}, PLAN)
    assert time.process_time() - start < 8  # some 0.7 s


def test_a_champion_is_measured_on_the_same_rows() -> None:
    champion = artefact()
    bars = {"AAAUSDT": momentum_bars(6000, 41)}
    plan = replace(PLAN, threshold=champion.manifest.threshold)
    metrics = train(bars, plan, champion).manifest.metrics
    assert 0.5 < metrics["champion_log_loss"] < metrics["base_rate_log_loss"]
    assert "champion_log_loss" not in train(bars, PLAN, champion).manifest.metrics, "another threshold predicts another thing"


@pytest.mark.parametrize("bars", [{}, {"AAAUSDT": momentum_bars(50, 1)}, {"AAAUSDT": momentum_bars(500, 1)}])
def test_too_little_history_is_said(bars: dict[str, Bars]) -> None:
    with pytest.raises(RetryError):
        train(bars, PLAN)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_exported_forest_answers_as_the_trained_one(classes: int) -> None:
    random = np.random.default_rng(classes)
    inputs = random.standard_normal((2000, 6)).astype(np.float32)
    chosen = (np.abs(inputs[:, 0] * 2 + inputs[:, 1]) + random.random(2000)).astype(int) % classes
    forest = xgboost.train(
        {"objective": "multi:softprob", "num_class": classes, "max_depth": 5, "nthread": 1, "verbosity": 0},
        xgboost.DMatrix(inputs, chosen),
        25,
    )
    import onnxruntime  # type: ignore[import-untyped]  # ships no types

    session = onnxruntime.InferenceSession(to_onnx(forest, list("abcdef"), classes, 1.7), providers=["CPUExecutionProvider"])
    edge = np.array([[0.0] * 6, [1e6] * 6, [-1e6] * 6], dtype=np.float32)
    for rows in (inputs, edge):
        wanted = softmax(forest.predict(xgboost.DMatrix(rows), output_margin=True).astype(np.float64) / 1.7)
        np.testing.assert_allclose(session.run(None, {"features": rows})[0], wanted, atol=1e-5)


def test_no_label_reaches_into_the_next_slice() -> None:
    times = START + np.arange(1000, dtype=np.int64) * SECOND
    parts = split(times, 30 * SECOND, 0.6, 0.2)
    assert not (parts.train & parts.calibration).any()
    assert not (parts.calibration & parts.test).any()
    assert times[parts.train].max() + 30 * SECOND < times[parts.calibration].min()
    assert times[parts.calibration].max() + 30 * SECOND < times[parts.test].min()
    assert int(parts.test.sum()) == 200


def test_a_return_never_spans_a_hole() -> None:
    bars = momentum_bars(100, 3)
    keep = np.arange(100) != 50
    holed = Bars(*(getattr(bars, name)[keep] for name in Bars.__slots__))
    returns = forward_returns(holed, 10, SECOND)
    assert np.isfinite(returns[:40]).all()
    assert np.isnan(returns[40:50]).all()
    assert np.isfinite(returns[50:89]).all()
    assert np.isnan(returns[89:]).all()
    assert returns[0] == pytest.approx(math.log(bars.close[10] / bars.close[0]))


def test_features_say_nothing_of_the_future() -> None:
    whole, part = momentum_bars(500, 4), momentum_bars(500, 4)
    part = Bars(*(getattr(part, name)[:300] for name in Bars.__slots__))
    early = build({"A": whole}, 10, SECOND)
    late = build({"A": part}, 10, SECOND)
    count = len(late.times)
    np.testing.assert_array_equal(early.features[:count], late.features)
    np.testing.assert_array_equal(early.returns[:count], late.returns)


def test_labels_are_beyond_the_threshold() -> None:
    assert labels(np.array([-0.02, -0.01, 0.0, 0.01, 0.02]), 0.01).tolist() == [DOWN, FLAT, FLAT, FLAT, UP]


def test_clock_features_need_two_rounds_of_the_clock() -> None:
    assert set(model_features(0, 3 * DAY_US)) == set(BAR_FEATURES) - {"atr_14", *WEEK_FEATURES}
    assert set(model_features(0, 15 * DAY_US)) == set(BAR_FEATURES) - {"atr_14"}


@given(st.integers(0, 2**31), st.floats(0.3, 8.0))
@settings(max_examples=25, deadline=None)
def test_a_temperature_is_found_again(seed: int, temperature: float) -> None:
    random = np.random.default_rng(seed)
    scores = random.standard_normal((4000, 3)) * 2
    chosen = np.array([random.choice(3, p=row) for row in softmax(scores)])
    found = fit_temperature(scores * temperature, chosen)
    assert found == pytest.approx(temperature, rel=0.25)
    assert log_loss(softmax(scores * temperature / found), chosen) <= log_loss(softmax(scores * temperature), chosen) + 1e-12


def test_metrics_of_known_answers() -> None:
    classes = np.array([0, 1, 2, 2])
    sure = np.eye(3)[classes]
    metrics = measure(sure, classes, base_rates(classes))
    assert (metrics["log_loss"], metrics["brier"], metrics["accuracy"], metrics["directional_accuracy"]) == (0.0, 0.0, 1.0, 1.0)
    even = measure(np.full((4, 3), 1 / 3), classes, np.full(3, 1 / 3))
    assert even["log_loss"] == pytest.approx(math.log(3))
    assert even["skill"] == pytest.approx(0.0)
    assert even["brier"] == pytest.approx(2 / 3)


def test_scoring_one_row_is_cheap() -> None:
    scorer = Scorer(artefact())
    values = dict.fromkeys(scorer.manifest.features, 0.1)
    best = math.inf
    for _ in range(3):
        start = time.thread_time()
        for _ in range(500):
            scorer.score(values)
        best = min(best, time.thread_time() - start)
    assert best / 500 < 150e-6  # some 9 us on an idle core


def test_a_plan_names_its_horizon_in_time() -> None:
    assert Plan("m", "5m", 3).horizon_us == 15 * 60 * SECOND
