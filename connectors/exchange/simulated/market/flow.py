"""What the makers and takers of one product want, generated from the price path: pure and seeded, like the path.

Of the time before the venue starts these quotes and trades are the history; from then on
:mod:`connectors.exchange.simulated.market.agents` brings them to the book as orders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from connectors.exchange.simulated.market.generator import (
    BASIS_SECONDS,
    BLOCK_SECONDS,
    STEP_US,
    STEPS_PER_SECOND,
    Floats,
    PathBlock,
    symbol_seed,
)
from connectors.exchange.simulated.market.instruments import Instrument, MarketProfile, Product

Ints = npt.NDArray[np.int64]
_QUOTE_JITTER_MS = 20
_TRADE_FROM_MS = 25
_ACTIVITY = {Product.USDM: 1.0, Product.SPOT: 0.7, Product.COINM: 0.35}
"""Trades of a product beside those of the USD-margined perpetual."""
_COINM_SIGMA = 1.5e-4
"""Standard deviation of the COIN-margined mid's distance from the USD-margined one, as a fraction."""


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
    momentum : (trades,) bool
        The aggressor trades with the momentum; the others buy and sell alike.
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
    momentum: npt.NDArray[np.bool_]


class FlowGenerator:
    """Generates quotes and trades of one instrument.

    Parameters
    ----------
    instrument, profile
        The rules and the behaviour of the symbol.
    seed
        Seed of the venue.
    every
        Of the trades and quotes that there would be, one in so many is made.
    """

    def __init__(self, instrument: Instrument, profile: MarketProfile, seed: int, every: int = 1) -> None:
        self._every = every
        self._instrument = instrument
        self._profile = profile
        self._rng = np.random.default_rng(symbol_seed(seed, instrument.symbol, f"flow-{instrument.product}"))
        self._offset = 0.0

    def generate(self, path: PathBlock, start_us: int) -> FlowBlock:
        """Return the quotes and trades of `path`, which starts at `start_us`."""
        rng = self._rng
        tick = float(self._instrument.tick_size)
        mid = self._fair(path)
        steps = len(mid)
        spread = 1 + rng.binomial(2, np.clip(0.08 + 0.10 * path.activity, 0.0, 0.6))
        bid = np.maximum(np.floor(mid / tick - (spread - 1) / 2), 1).astype(np.int64)
        ask = bid + spread
        tilt = 0.30 * path.momentum
        bid_lots = self._lots(self._profile.depth_notional, 0.7, mid, tilt)
        ask_lots = self._lots(self._profile.depth_notional, 0.7, mid, -tilt)
        starts = start_us + np.arange(steps, dtype=np.int64) * STEP_US
        quote_ts = starts + rng.integers(0, _QUOTE_JITTER_MS, steps) * 1000

        rate = self._profile.trades_per_second * _ACTIVITY[self._instrument.product] / self._every
        counts = rng.poisson(rate / STEPS_PER_SECOND * path.activity * (0.6 + 0.5 * np.abs(path.surprise)))
        step = np.repeat(np.arange(steps), counts)
        trade_ts = np.sort(starts[step] + rng.integers(_TRADE_FROM_MS, STEP_US // 1000, len(step)) * 1000)
        lean = 0.42 * np.tanh(0.55 * path.momentum[step] + 0.45 * path.surprise[step])
        drawn = rng.random(len(step))
        buyer_maker = drawn >= 0.5 + lean
        # A share 2 * |lean| of the aggressors goes with the momentum, the rest either way: together they buy with chance 0.5 + lean.
        momentum = np.where(lean > 0, drawn < 2 * lean, drawn >= 1 + 2 * lean)
        lots = self._lots(self._profile.trade_notional, 1.3, mid[step], np.zeros(len(step)))
        return FlowBlock(
            quote_ts=quote_ts[:: self._every],
            bid=bid[:: self._every],
            ask=ask[:: self._every],
            bid_lots=bid_lots[:: self._every],
            ask_lots=ask_lots[:: self._every],
            trade_ts=trade_ts,
            price=np.where(buyer_maker, bid[step], ask[step]),
            lots=lots,
            buyer_maker=buyer_maker,
            momentum=momentum,
        )

    def _fair(self, path: PathBlock) -> Floats:
        """Return the mid that the product's touch maker quotes around: the products differ by their basis over the index, spot has none."""
        match self._instrument.product:
            case Product.SPOT:
                return path.index
            case Product.USDM:
                return path.mid
            case Product.COINM:
                offsets = np.empty(BLOCK_SECONDS)
                for second, shock in enumerate(self._rng.standard_normal(BLOCK_SECONDS).tolist()):
                    self._offset += (-self._offset + _COINM_SIGMA * math.sqrt(2 * BASIS_SECONDS) * shock) / BASIS_SECONDS
                    offsets[second] = self._offset
                return path.mid * (1 + np.repeat(offsets, STEPS_PER_SECOND))

    def _lots(self, notional: float, sigma: float, price: Floats, tilt: Floats) -> Ints:
        """Draw lognormal quantities of a median `notional`, at most 50 times it, at least one lot."""
        factor = np.minimum(np.exp(sigma * self._rng.standard_normal(len(price)) + tilt), 50.0)
        return np.maximum(np.rint(notional * factor / self._instrument.lot_value(price)), 1).astype(np.int64)
