"""Who trades between products: the perpetual against spot, for the distance of their prices or for the funding."""

from __future__ import annotations

from connectors.exchange.simulated.market.agents import Agent
from connectors.exchange.simulated.market.symbol import SymbolMarket

OPENS_AT = 5.0e-4
"""Distance of the basis from its average, as a fraction, that opens a trade."""
CLOSES_AT = 1.0e-4
AVERAGE_SECONDS = 600.0
WORTH = 1.0e-4
"""Funding rate from which on a settlement is worth a position: the usual one of a quiet market."""
LEAD_US = 120_000_000
"""How long before a settlement the funding trader comes in."""
SLICES = 8
"""A position is built and left in this many orders, one a second."""


class PairTrader(Agent):
    """Holds the perpetual against the opposite quantity of spot.

    Parameters
    ----------
    perpetual, spot
        The two markets of one symbol.
    most
        Most that it holds, value in the quote asset.
    """

    def __init__(self, name: str, perpetual: SymbolMarket, spot: SymbolMarket, most: float) -> None:
        super().__init__(name)
        self._perpetual = perpetual
        self._spot = spot
        self._most = most

    def _basis(self) -> float:
        return _mid(self._perpetual) / _mid(self._spot) - 1

    def _towards(self, wanted: int, ts_us: int) -> None:
        """Trade one slice towards -1 (all of it short the perpetual), 0 or 1."""
        price = _mid(self._perpetual)
        lots = round(self._most / price / float(self._perpetual.rules.step_size))
        missing = wanted * lots - self._perpetual.holding(self)
        amount = min(abs(missing), max(1, lots // SLICES))
        if amount:
            buys = missing > 0
            done = self._perpetual.sweep(self, amount, None, bid=buys, ts_us=ts_us)
            self._perpetual.quoted(ts_us)
            # Spot is brought to the opposite of what is held now, not of this slice: what one order leaves, the next makes good.
            held = self._perpetual.rules.quantity(self._perpetual.holding(self)) if done else None
            if held is not None:
                gap = -self._spot.rules.lots(held) - self._spot.holding(self)
                if gap:
                    self._spot.sweep(self, abs(gap), None, bid=gap > 0, ts_us=ts_us)
                    self._spot.quoted(ts_us)


class BasisTrader(PairTrader):
    """Sells what is dear against what is cheap, and closes when the two have met."""

    def __init__(self, perpetual: SymbolMarket, spot: SymbolMarket, most: float) -> None:
        super().__init__("basis trader", perpetual, spot, most)
        self._usual = self._basis()
        self._wanted = 0

    def act(self, ts_us: int) -> None:
        """Look once a second."""
        basis = self._basis()
        excess = basis - self._usual
        self._usual += excess / AVERAGE_SECONDS
        if abs(excess) > OPENS_AT:
            self._wanted = -1 if excess > 0 else 1
        elif abs(excess) < CLOSES_AT:
            self._wanted = 0
        self._towards(self._wanted, ts_us)


class FundingTrader(PairTrader):
    """Takes the side that is paid before a settlement, and leaves it afterwards."""

    def __init__(self, perpetual: SymbolMarket, spot: SymbolMarket, most: float) -> None:
        super().__init__("funding trader", perpetual, spot, most)

    def act(self, ts_us: int) -> None:
        """Look once a second."""
        mark = self._perpetual.mark
        near = mark.next_funding_us - ts_us <= LEAD_US
        rate = float(mark.rate)
        self._towards((-1 if rate > 0 else 1) if near and abs(rate) >= WORTH else 0, ts_us)


def _mid(market: SymbolMarket) -> float:
    return (market.book.bid + market.book.ask) / 2 * float(market.rules.tick_size)
