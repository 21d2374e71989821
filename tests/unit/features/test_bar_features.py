from __future__ import annotations

import math
import os
import time
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as parquet  # type: ignore[import-untyped]  # ships no types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.features import BAR_FEATURES, CONTEXT_FEATURES
from ml.features.bars import WARM_UP_BARS, BarFeatures, is_warm
from ml.training.bars import BarRow, Bars
from ml.training.dataset import feature_rows
from quantum.errors import CorruptRecordError
from schemas.features.records import Features
from tests.unit.features.reference import reference
from tests.unit.ml.markets import momentum_bars

DATA = Path(os.environ.get("QUANTUM_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
MINUTE = 60_000_000


def assert_same(bars: Bars) -> None:
    rows, _ = feature_rows(bars)
    wanted = reference(bars)
    assert set(wanted) == set(BAR_FEATURES)
    for index, name in enumerate(BAR_FEATURES):
        want = wanted[name]
        got = rows[:, index]
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want), err_msg=name)
        scale = float(np.nanmax(np.abs(want))) or 1.0
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12 * scale, err_msg=name, equal_nan=True)


@pytest.mark.parametrize("seed", [1, 2])
def test_generated_bars_give_the_features_of_the_whole_history(seed: int) -> None:
    assert_same(momentum_bars(3000, seed, idle=0.3))


def test_a_market_that_stands_still_for_long_gives_the_same_too() -> None:
    bars = momentum_bars(400, 3)
    quiet = slice(150, 300)
    for column in (bars.volume, bars.quote_volume, bars.taker_buy_volume):
        column[quiet] = 0.0
    for column in (bars.open, bars.high, bars.low, bars.close):
        column[quiet] = bars.close[149]
    bars.open[300] = bars.close[149]
    bars.high[300], bars.low[300] = max(bars.high[300], bars.open[300]), min(bars.low[300], bars.open[300])
    assert_same(bars)


def joined(bars: Bars, count: int) -> Bars:
    """Return bars that are made of ``count`` each."""
    rows = len(bars) // count * count
    parts = {name: getattr(bars, name)[:rows].reshape(-1, count) for name in Bars.__slots__}
    return Bars(
        parts["open_ts"][:, 0], parts["close_ts"][:, -1], parts["open"][:, 0], parts["high"].max(axis=1), parts["low"].min(axis=1),
        parts["close"][:, -1], *(parts[name].sum(axis=1) for name in ("volume", "quote_volume", "taker_buy_volume")),
    )  # fmt: skip


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEUSDT"])
def test_real_bars_give_the_features_of_the_whole_history(symbol: str) -> None:
    path = DATA / "klines_1m" / f"{symbol}.parquet"
    if not path.exists():
        pytest.skip(f"no recorded bars at {path}")
    table = parquet.read_table(path).slice(0, 8000)
    o, h, low, c, v = (table[name].to_numpy() for name in ("open", "high", "low", "close", "volume"))
    opened = table["date"].cast("int64").to_numpy() // 1000
    share = np.random.default_rng(5).uniform(size=len(v))  # the recording does not say who took
    bars = Bars(opened, opened + MINUTE, o, h, low, c, v, v * (h + low + c) / 3, v * share)
    for minutes in (1, 5, 15, 60):
        assert_same(joined(bars, minutes))


def test_the_record_has_exactly_these_features() -> None:
    optional = {field.name for field in msgspec.structs.fields(Features) if field.default is None}
    assert optional == {*BAR_FEATURES, *CONTEXT_FEATURES}


def test_a_state_that_was_stored_and_read_goes_on_the_same() -> None:
    bars = list(momentum_bars(300, 4))
    kept, stored = BarFeatures(), BarFeatures()
    for bar in bars:
        stored = msgspec.json.decode(msgspec.json.encode(stored), type=BarFeatures)
        assert kept.update(bar) == stored.update(bar)
    assert len(msgspec.json.encode(kept)) < 8_000


def test_it_is_warm_after_the_longest_window() -> None:
    state = BarFeatures()
    warm = [is_warm(values) for bar in momentum_bars(100, 6) if (values := state.update(bar)) is not None]
    assert warm.index(True) == WARM_UP_BARS - 1
    assert all(warm[WARM_UP_BARS - 1 :])


def test_a_bar_seen_before_changes_nothing() -> None:
    state = BarFeatures()
    bars = list(momentum_bars(100, 7))
    for bar in bars:
        state.update(bar)
    before = msgspec.json.encode(state)
    assert state.update(bars[-1]) is None
    assert state.update(bars[10]) is None
    assert msgspec.json.encode(state) == before


def test_a_hole_in_the_bars_starts_the_history_anew() -> None:
    bars = list(momentum_bars(300, 8))
    state, fresh = BarFeatures(), BarFeatures()
    for bar in bars[:100]:
        state.update(bar)
    for bar in bars[101:]:
        assert state.update(bar) == fresh.update(bar)


@given(
    st.lists(
        st.tuples(
            st.floats(1e-6, 1e6),
            st.floats(0, 0.2),
            st.floats(0, 0.2),
            st.floats(-0.2, 0.2),
            st.sampled_from([0.0, 1e-8, 1.0, 1e12]),
            st.floats(0, 1),
        ),
        min_size=1,
        max_size=90,
    )
)
@settings(max_examples=60, deadline=None)
def test_every_feature_is_null_or_finite_and_within_its_bounds(rows: list[tuple[float, float, float, float, float, float]]) -> None:
    state = BarFeatures()
    for i, (open_, up, down, move, volume, share) in enumerate(rows):
        close = open_ * (1 + move)
        high, low = max(open_, close) * (1 + up), min(open_, close) * (1 - down)
        values = state.update(BarRow(i * MINUTE, (i + 1) * MINUTE, open_, high, low, close, volume, volume * close, volume * share))
        assert values is not None
        assert tuple(values) == BAR_FEATURES
        assert all(value is None or math.isfinite(value) for value in values.values())
        rsi, imbalance, atr = values["rsi_14"], values["trade_imbalance"], values["atr_14"]
        assert rsi is None or 0.0 <= rsi <= 100.0
        assert imbalance is None or -1.0 - 1e-9 <= imbalance <= 1.0 + 1e-9
        assert atr is None or atr >= 0.0


@pytest.mark.parametrize(
    "change",
    [
        {"high": math.nan},
        {"low": 0.0},
        {"close": 200.0},
        {"volume": math.inf},
        {"taker_buy_volume": 6.0},
        {"close_ts": 0},
        {"low": 101.0},
    ],
)
def test_a_bar_that_cannot_be_is_refused_and_leaves_no_trace(change: dict[str, float]) -> None:
    good = BarRow(0, MINUTE, 100.0, 101.0, 99.0, 100.5, 5.0, 500.0, 2.0)
    state = BarFeatures()
    with pytest.raises(CorruptRecordError):
        state.update(msgspec.structs.replace(good, **change))
    assert state == BarFeatures()


def test_an_update_is_cheap() -> None:
    bars = list(momentum_bars(3000, 9))
    state = BarFeatures()
    best = math.inf
    for part in range(3):
        start = time.thread_time()
        for bar in bars[part * 1000 : (part + 1) * 1000]:
            state.update(bar)
        best = min(best, time.thread_time() - start)
    assert best / 1000 < 100e-6  # some 16 us on an idle core; the bound leaves room for a busy one
