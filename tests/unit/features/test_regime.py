from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.features.regime import WINDOW, Band, RegimeRules, RegimeState, trend_score
from schemas.common import Regime

RULES = RegimeRules()
SECOND = 1_000_000


def feed(
    state: RegimeState, returns: Sequence[float | None], *, volume: float = 1.0, spread: float | None = 1.0, start: int = 1
) -> list[Regime]:
    return [state.update(RULES, (start + i) * SECOND, value, volume, spread) for i, value in enumerate(returns)]


def noise(count: int, scale: float, seed: int, drift: float = 0.0) -> list[float]:
    values = np.random.default_rng(seed).standard_normal(count)
    values = (values - values.mean()) / values.std()
    return list(drift + scale * values)


def test_it_warms_up_for_its_window_and_never_again() -> None:
    state = RegimeState()
    seen = feed(state, [None, *noise(200, 1e-4, 1)])
    assert set(seen[:WINDOW]) == {Regime.WARMING_UP}
    assert Regime.WARMING_UP not in seen[WINDOW:]
    assert state.trend_score is not None
    assert state.volatility_ratio is not None


@pytest.mark.parametrize(("drift", "regime"), [(1e-4, Regime.TREND_UP), (-1e-4, Regime.TREND_DOWN), (0.0, Regime.RANGE)])
def test_drift_makes_a_trend(drift: float, regime: Regime) -> None:
    assert feed(RegimeState(), [None, *noise(WINDOW, 1e-4, 2, drift)])[-1] is regime


def test_a_burst_makes_high_volatility_and_calm_ends_it() -> None:
    state = RegimeState()
    feed(state, [None, *noise(200, 1e-4, 3)])
    burst = feed(state, noise(20, 5e-4, 4), start=300)
    assert burst[-1] is Regime.HIGH_VOLATILITY
    assert feed(state, noise(100, 1e-4, 5), start=400)[-1] is not Regime.HIGH_VOLATILITY


def test_a_wide_spread_or_no_trades_make_it_illiquid() -> None:
    state = RegimeState()
    feed(state, [None, *noise(WINDOW, 1e-4, 6)])
    assert feed(state, [0.0], spread=25.0, start=100) == [Regime.ILLIQUID]
    assert feed(state, [0.0], spread=17.0, start=101) == [Regime.ILLIQUID], "between the thresholds it stays"
    assert feed(state, [0.0], spread=14.0, start=102) != [Regime.ILLIQUID]
    assert feed(state, [0.0] * WINDOW, volume=0.0, spread=None, start=103)[-1] is Regime.ILLIQUID


def test_a_value_between_the_thresholds_keeps_the_regime_that_was() -> None:
    band = Band(2.0, 1.5)
    assert [band.holds(value, inside) for value, inside in ((1.7, False), (1.7, True), (2.0, False), (1.4, True))] == [
        False,
        True,
        True,
        False,
    ]


def test_since_changes_with_the_regime_only() -> None:
    state = RegimeState()
    previous, since = state.regime, 1 * SECOND
    returns: list[float | None] = [None, *noise(80, 1e-4, 7), *noise(60, 1e-4, 8, 2e-4), *noise(80, 1e-4, 9)]
    for i, value in enumerate(returns, start=1):
        regime = state.update(RULES, i * SECOND, value, 1.0, 1.0)
        since = i * SECOND if regime is not previous else since
        previous = regime
        assert state.since_ts == since


def test_a_hole_in_the_bars_warms_up_again() -> None:
    state = RegimeState()
    feed(state, [None, *noise(100, 1e-4, 10)])
    assert feed(state, [None], start=200) == [Regime.WARMING_UP]
    assert state.trend_score is None


@given(st.lists(st.floats(-0.1, 0.1), min_size=2, max_size=60))
@settings(max_examples=100, deadline=None)
def test_the_trend_of_a_falling_market_is_the_mirror_of_a_rising_one(returns: list[float]) -> None:
    assert trend_score([-value for value in returns]) == pytest.approx(-trend_score(returns), rel=1e-9, abs=1e-12)
