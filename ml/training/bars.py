"""Bars of one symbol as columns, and bars from trades."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

INTERVALS_US: dict[str, int] = {"1s": 1_000_000, "1m": 60_000_000, "5m": 300_000_000, "15m": 900_000_000, "1h": 3_600_000_000}
"""Lengths of the bars, microseconds."""


class BarRow(msgspec.Struct, frozen=True):
    """One bar of the columns."""

    open_ts: int
    close_ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    taker_buy_volume: float


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of one symbol, oldest first; every column has shape (bars,).

    Attributes
    ----------
    open_ts, close_ts
        Start, inclusive, and end, exclusive, microseconds UTC.
    open, high, low, close
        Prices, quote currency.
    volume, quote_volume, taker_buy_volume
        Traded quantity (base asset), its value (quote currency), and the quantity whose taker bought.
    """

    open_ts: Ints
    close_ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    quote_volume: Floats
    taker_buy_volume: Floats

    def __len__(self) -> int:
        return len(self.close)

    def __iter__(self) -> Iterator[BarRow]:
        columns = (
            self.open_ts,
            self.close_ts,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.quote_volume,
            self.taker_buy_volume,
        )
        return (BarRow(*row) for row in zip(*(column.tolist() for column in columns), strict=True))


def bars_from_trades(times: Ints, prices: Floats, quantities: Floats, buyer_is_maker: NDArray[np.bool_], interval_us: int) -> Bars:
    """Return the bars of trades, from the bar of the first trade to the bar of the last.

    A bar takes the trades of ``[open_ts, close_ts)``, its start a multiple of the interval; one without a trade has
    volume 0 and the last close for its prices.

    Parameters
    ----------
    times
        Microseconds UTC, not falling, shape (trades,).
    prices, quantities
        Quote currency and base asset, shape (trades,).
    buyer_is_maker
        Whether the taker sold, shape (trades,).
    interval_us
        Length of a bar, microseconds.

    Raises
    ------
    ValueError
        There is no trade, or times fall.
    """
    if len(times) == 0:
        raise ValueError("no trades: there is no price to begin a bar with")
    if np.any(np.diff(times) < 0):
        raise ValueError("trades must be in the order of their times")
    slots = times // interval_us
    first = np.flatnonzero(np.diff(slots, prepend=slots[0] - 1))
    last = np.append(first[1:], len(times)) - 1
    traded = slots[first] - slots[0]
    count = int(traded[-1]) + 1
    latest = np.searchsorted(traded, np.arange(count), side="right") - 1
    closes = prices[last]

    def spread_prices(values: Floats) -> Floats:
        column: Floats = closes[latest]
        column[traded] = values
        return column

    def spread_sums(values: Floats) -> Floats:
        column = np.zeros(count)
        column[traded] = np.add.reduceat(values, first)
        return column

    open_ts = (slots[0] + np.arange(count, dtype=np.int64)) * interval_us
    return Bars(
        open_ts=open_ts,
        close_ts=open_ts + interval_us,
        open=spread_prices(prices[first]),
        high=spread_prices(np.maximum.reduceat(prices, first)),
        low=spread_prices(np.minimum.reduceat(prices, first)),
        close=closes[latest],
        volume=spread_sums(quantities),
        quote_volume=spread_sums(prices * quantities),
        taker_buy_volume=spread_sums(np.where(buyer_is_maker, 0.0, quantities)),
    )
