"""Quotes and trades of one product, generated from the price path: pure and seeded, like the path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from connectors.exchange.simulated.generator import STEP_US, STEPS_PER_SECOND, Floats, PathBlock, symbol_seed
from connectors.exchange.simulated.instruments import Instrument, MarketProfile, Product

Ints = npt.NDArray[np.int64]
_QUOTE_JITTER_MS = 20
_TRADE_FROM_MS = 25
_SPOT_ACTIVITY = 0.7
"""Spot trades less than the perpetual does."""


@dataclass(frozen=True, slots=True)
class FlowBlock:
    """Quotes (one a step) and trades of one block. Prices in ticks, quantities in lots, times in microseconds, on whole milliseconds.

    Attributes
    ----------
    quote_ts, bid, ask, bid_lots, ask_lots : (steps,) int64
        Best prices from `quote_ts` on.
    trade_ts, price, lots : (trades,) int64
        Trades in order of time; each at the best price of its side then.
    buyer_maker : (trades,) bool
        The buyer was resting: the seller was the aggressor.
    """

    quote_ts: Ints
    bid: Ints
    ask: Ints
    bid_lots: Ints
    ask_lots: Ints
    trade_ts: Ints
    price: Ints
    lots: Ints
    buyer_maker: npt.NDArray[np.bool_]


class FlowGenerator:
    """Generates quotes and trades of one instrument.

    Parameters
    ----------
    instrument, profile
        The rules and the behaviour of the symbol.
    seed
        Seed of the venue.
    """

    def __init__(self, instrument: Instrument, profile: MarketProfile, seed: int) -> None:
        self._instrument = instrument
        self._profile = profile
        self._rng = np.random.default_rng(symbol_seed(seed, instrument.symbol, f"flow-{instrument.product}"))

    def generate(self, path: PathBlock, start_us: int) -> FlowBlock:
        """Return the quotes and trades of `path`, which starts at `start_us`."""
        rng = self._rng
        tick, lot = float(self._instrument.tick_size), float(self._instrument.step_size)
        mid = path.index if self._instrument.product is Product.SPOT else path.mid
        steps = len(mid)
        spread = 1 + rng.binomial(2, np.clip(0.08 + 0.10 * path.activity, 0.0, 0.6))
        bid = np.maximum(np.floor(mid / tick - (spread - 1) / 2), 1).astype(np.int64)
        ask = bid + spread
        tilt = 0.30 * path.momentum
        bid_lots = self._lots(self._profile.depth_notional, 0.7, mid, lot, tilt)
        ask_lots = self._lots(self._profile.depth_notional, 0.7, mid, lot, -tilt)
        starts = start_us + np.arange(steps, dtype=np.int64) * STEP_US
        quote_ts = starts + rng.integers(0, _QUOTE_JITTER_MS, steps) * 1000

        rate = self._profile.trades_per_second * (_SPOT_ACTIVITY if self._instrument.product is Product.SPOT else 1.0)
        counts = rng.poisson(rate / STEPS_PER_SECOND * path.activity * (0.6 + 0.5 * np.abs(path.surprise)))
        step = np.repeat(np.arange(steps), counts)
        trade_ts = np.sort(starts[step] + rng.integers(_TRADE_FROM_MS, STEP_US // 1000, len(step)) * 1000)
        lean = 0.42 * np.tanh(0.55 * path.momentum[step] + 0.45 * path.surprise[step])
        buyer_maker = rng.random(len(step)) >= 0.5 + lean
        lots = self._lots(self._profile.trade_notional, 1.3, mid[step], lot, np.zeros(len(step)))
        return FlowBlock(
            quote_ts=quote_ts,
            bid=bid,
            ask=ask,
            bid_lots=bid_lots,
            ask_lots=ask_lots,
            trade_ts=trade_ts,
            price=np.where(buyer_maker, bid[step], ask[step]),
            lots=lots,
            buyer_maker=buyer_maker,
        )

    def _lots(self, notional: float, sigma: float, price: Floats, lot: float, tilt: Floats) -> Ints:
        """Draw lognormal quantities of a median `notional`, at most 50 times it, at least one lot."""
        factor = np.minimum(np.exp(sigma * self._rng.standard_normal(len(price)) + tilt), 50.0)
        return np.maximum(np.rint(notional * factor / (price * lot)), 1).astype(np.int64)
