from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from connectors.exchange.simulated.market.flow import FlowBlock, FlowGenerator
from connectors.exchange.simulated.market.generator import BLOCK_SECONDS, STEPS_PER_SECOND, PathBlock, PathGenerator, Regime, funding_rate
from connectors.exchange.simulated.market.instruments import Product, instrument, known_symbols, profile
from connectors.exchange.simulated.market.synthetic import BLOCK_US

Floats = npt.NDArray[np.float64]


def generate(symbol: str, seed: int, blocks: int, product: Product = Product.USDM) -> tuple[list[PathBlock], list[FlowBlock]]:
    path = PathGenerator(symbol, profile(symbol), seed)
    flow = FlowGenerator(instrument(product, symbol), profile(symbol), seed)
    paths = [path.next_block() for _ in range(blocks)]
    return paths, [flow.generate(p, i * BLOCK_US) for i, p in enumerate(paths)]


def test_the_same_seed_gives_the_same_path_and_another_seed_or_symbol_another() -> None:
    first, second = generate("BTCUSDT", 7, 3), generate("BTCUSDT", 7, 3)
    for a, b in zip(first[0], second[0], strict=True):
        np.testing.assert_array_equal(a.mid, b.mid)
    for x, y in zip(first[1], second[1], strict=True):
        np.testing.assert_array_equal(x.trade_ts, y.trade_ts)
        np.testing.assert_array_equal(x.lots, y.lots)
    assert not np.array_equal(first[0][0].mid, generate("BTCUSDT", 8, 1)[0][0].mid)
    relative = first[0][0].mid / first[0][0].mid[0]
    eth = generate("ETHUSDT", 7, 1)[0][0].mid
    assert not np.allclose(relative, eth / eth[0], rtol=1e-9)


@pytest.mark.parametrize("symbol", known_symbols())
@pytest.mark.parametrize("product", list(Product))
def test_quotes_and_trades_are_whole_ordered_and_at_the_best_price(symbol: str, product: Product) -> None:
    paths, flows = generate(symbol, 3, 5, product)
    for i, (path, flow) in enumerate(zip(paths, flows, strict=True)):
        assert path.mid.shape == (BLOCK_SECONDS * STEPS_PER_SECOND,)
        assert (path.mid > 0).all()
        assert (flow.bid > 0).all()
        spread = flow.ask - flow.bid
        assert spread.min() >= 1
        assert spread.max() <= 3
        assert (flow.bid_lots > 0).all()
        assert (flow.ask_lots > 0).all()
        assert (flow.lots > 0).all()
        assert (np.diff(flow.trade_ts) >= 0).all()
        assert (np.diff(flow.quote_ts) > 0).all()
        for ts in (flow.trade_ts, flow.quote_ts):
            assert ts.min() >= i * BLOCK_US
            assert ts.max() < (i + 1) * BLOCK_US
            assert (ts % 1000 == 0).all()
        quoted = np.searchsorted(flow.quote_ts, flow.trade_ts, side="right") - 1
        np.testing.assert_array_equal(flow.price, np.where(flow.buyer_maker, flow.bid[quoted], flow.ask[quoted]))


def test_rates_tails_and_moves_are_those_of_a_lively_market() -> None:
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
        paths, flows = generate(symbol, 7, 240)
        seconds = 240 * BLOCK_SECONDS
        assert 4 < sum(len(f.price) for f in flows) / seconds < 12
        log_mid = np.log(np.concatenate([p.mid for p in paths])[STEPS_PER_SECOND - 1 :: STEPS_PER_SECOND])
        returns = np.diff(log_mid)
        assert ((returns - returns.mean()) ** 4).mean() / returns.var() ** 2 > 4  # a normal law has 3
        moves = np.abs(log_mid[45:] - log_mid[:-45])
        assert 10e-4 < np.quantile(moves, 0.75) < 45e-4
        regimes = np.concatenate([p.regime for p in paths])
        assert {Regime.RANGE, Regime.TREND_UP, Regime.TREND_DOWN} <= set(regimes.tolist())
        basis = np.concatenate([p.mid / p.index - 1 for p in paths])
        assert np.abs(basis).max() < 25e-4


def test_momentum_takers_go_with_the_momentum_and_noise_takers_either_way() -> None:
    paths, flows = generate("BTCUSDT", 7, 60)
    bought = {True: 0, False: 0}
    count = {True: 0, False: 0}
    for path, flow in zip(paths, flows, strict=True):
        step = (flow.trade_ts - flow.trade_ts[0] // BLOCK_US * BLOCK_US) // 100_000
        lean = np.tanh(0.55 * path.momentum[step] + 0.45 * path.surprise[step])
        assert ((lean > 0) == ~flow.buyer_maker)[flow.momentum].all()
        for kind in (True, False):
            chosen = flow.momentum == kind
            count[kind] += int(chosen.sum())
            bought[kind] += int((~flow.buyer_maker)[chosen].sum())
    assert min(count.values()) > 5_000
    assert abs(bought[False] / count[False] - 0.5) < 0.02


def average(values: Floats, seconds: float) -> Floats:
    """Exponential average that sees the past only."""
    out, state = np.empty_like(values), 0.0
    for i, value in enumerate(values):
        state += (value - state) / seconds
        out[i] = state
    return out


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "SOLUSDT"])
def test_past_returns_and_trade_signs_predict_the_next_45_seconds_out_of_sample(symbol: str) -> None:
    paths, flows = generate(symbol, 11, 240)
    log_mid = np.log(np.concatenate([p.mid for p in paths])[STEPS_PER_SECOND - 1 :: STEPS_PER_SECOND])
    returns = np.diff(log_mid, prepend=log_mid[0])
    signs = np.zeros(len(log_mid))
    for flow in flows:
        np.add.at(signs, flow.trade_ts // 1_000_000, np.where(flow.buyer_maker, -1.0, 1.0))
    columns = [average(x, s) for x in (returns, signs) for s in (5, 15, 40, 120)]
    horizon = 45
    features = np.column_stack([*columns, np.ones(len(log_mid))])[200:-horizon]
    target = (log_mid[horizon:] - log_mid[:-horizon])[200:]
    cut = len(target) // 2
    weights = np.linalg.lstsq(features[:cut], target[:cut], rcond=None)[0]
    predicted, happened = features[cut + horizon :] @ weights, target[cut + horizon :]
    assert np.corrcoef(predicted, happened)[0, 1] > 0.2
    assert np.mean(np.sign(predicted) == np.sign(happened)) > 0.55


@pytest.mark.parametrize(("premium", "rate"), [(0.0, 0.0001), (0.0003, 0.0001), (0.002, 0.0015), (-0.002, -0.0015)])
def test_funding_is_the_premium_with_a_clamped_interest(premium: float, rate: float) -> None:
    assert funding_rate(premium) == pytest.approx(rate)
