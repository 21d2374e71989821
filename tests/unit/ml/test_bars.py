from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.training.bars import Bars, bars_from_trades

SECOND = 1_000_000
Trade = tuple[int, float, float, bool]
TRADES = st.lists(
    st.tuples(st.integers(0, 20 * SECOND), st.floats(0.01, 1000), st.floats(1e-6, 1e6), st.booleans()), min_size=1, max_size=60
).map(lambda trades: sorted(trades, key=lambda trade: trade[0]))


def made(trades: list[Trade]) -> Bars:
    times, prices, quantities, makers = (np.array(column) for column in zip(*trades, strict=True))
    return bars_from_trades(times.astype(np.int64), prices.astype(float), quantities.astype(float), makers.astype(bool), SECOND)


@given(TRADES)
@settings(max_examples=150, deadline=None)
def test_bars_hold_their_trades_and_an_empty_one_the_last_close(trades: list[Trade]) -> None:
    bars = list(made(trades))
    assert (bars[0].open_ts, bars[-1].open_ts) == (trades[0][0] // SECOND * SECOND, trades[-1][0] // SECOND * SECOND)
    previous = None
    for bar in bars:
        inside = [trade for trade in trades if bar.open_ts <= trade[0] < bar.close_ts]
        prices = [price for _, price, _, _ in inside]
        if inside:
            assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
            assert bar.volume == pytest.approx(sum(quantity for _, _, quantity, _ in inside))
            assert bar.quote_volume == pytest.approx(sum(price * quantity for _, price, quantity, _ in inside))
            assert bar.taker_buy_volume == pytest.approx(sum(quantity for _, _, quantity, sold in inside if not sold))
        else:
            assert previous is not None
            assert (bar.open, bar.high, bar.low, bar.close) == (previous.close,) * 4
            assert (bar.volume, bar.quote_volume, bar.taker_buy_volume) == (0.0, 0.0, 0.0)
        assert previous is None or bar.open_ts == previous.close_ts
        previous = bar


def test_a_trade_at_the_edge_belongs_to_the_bar_that_begins() -> None:
    bars = made([(999_999, 1.0, 1.0, False), (1_000_000, 2.0, 1.0, True)])
    assert bars.close.tolist() == [1.0, 2.0]
    assert bars.taker_buy_volume.tolist() == [1.0, 0.0]


def test_no_trades_and_unordered_trades_are_refused() -> None:
    none = np.array([], dtype=np.int64)
    with pytest.raises(ValueError, match="no trades"):
        bars_from_trades(none, none.astype(float), none.astype(float), none.astype(bool), SECOND)
    with pytest.raises(ValueError, match="order"):
        made([(2, 1.0, 1.0, False), (1, 1.0, 1.0, False)])
