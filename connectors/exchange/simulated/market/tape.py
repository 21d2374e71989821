"""Every trade of one market, in order, with contiguous trade ids and aggregate-trade ids, and the bars computed from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from connectors.exchange.simulated.market.flow import Ints
from connectors.exchange.simulated.market.generator import STEP_US
from connectors.exchange.simulated.market.instruments import Product

INTERVALS_US: dict[str, int] = {
    "1s": 1_000_000,
    "1m": 60_000_000,
    "5m": 300_000_000,
    "15m": 900_000_000,
    "1h": 3_600_000_000,
}


def has_klines(product: Product, interval: str) -> bool:
    """Return whether a product has bars of an interval: the futures have none of a second, and of contracts the venue makes none."""
    return interval in INTERVALS_US and product is not Product.COINM and (interval != "1s" or product is Product.SPOT)


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade: price in ticks, quantity in lots, time in microseconds."""

    id: int
    price: int
    lots: int
    ts_us: int
    buyer_maker: bool


@dataclass(frozen=True, slots=True)
class AggTrade:
    """Trades of one price and aggressor side within one 100 ms step; `first` and `last` are trade ids."""

    id: int
    price: int
    lots: int
    first: int
    last: int
    ts_us: int
    buyer_maker: bool


@dataclass(slots=True)
class Bar:
    """One bar: prices in ticks, volumes in lots and lot-ticks, `open_us` inclusive and `close_us` exclusive."""

    open_us: int
    close_us: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    turnover: int = 0
    trades: int = 0
    buy_volume: int = 0
    buy_turnover: int = 0
    first_id: int = -1
    last_id: int = -1

    def add(self, trade: Trade) -> None:
        """Add a trade of the bar's interval."""
        if not self.trades:
            self.open = self.high = self.low = trade.price
            self.first_id = trade.id
        self.high = max(self.high, trade.price)
        self.low = min(self.low, trade.price)
        self.close = trade.price
        self.volume += trade.lots
        self.turnover += trade.lots * trade.price
        self.trades += 1
        self.last_id = trade.id
        if not trade.buyer_maker:
            self.buy_volume += trade.lots
            self.buy_turnover += trade.lots * trade.price


class Tape:
    """The trades of one market; ids start at `first_id` and never skip.

    Parameters
    ----------
    first_id
        Id of the first trade.
    first_agg_id
        Id of the first aggregate trade.
    limit
        Trades that are kept; the oldest half is dropped when there are more.
    """

    def __init__(self, first_id: int, first_agg_id: int, limit: int = 2_000_000) -> None:
        self._limit = limit
        self._first_id = first_id
        self._size = 0
        self._ts: Ints = np.empty(4096, dtype=np.int64)
        self._price: Ints = np.empty(4096, dtype=np.int64)
        self._lots: Ints = np.empty(4096, dtype=np.int64)
        self._agg: Ints = np.empty(4096, dtype=np.int64)
        self._buyer_maker: npt.NDArray[np.bool_] = np.empty(4096, dtype=np.bool_)
        self._next_agg = first_agg_id

    @property
    def next_id(self) -> int:
        """The id that the next trade gets."""
        return self._first_id + self._size

    @property
    def first_id(self) -> int:
        """The id of the oldest trade that is kept."""
        return self._first_id

    @property
    def last(self) -> Trade | None:
        """The newest trade."""
        return self._trade(self._size - 1) if self._size else None

    def extend(self, ts: Ints, price: Ints, lots: Ints, buyer_maker: npt.NDArray[np.bool_]) -> None:
        """Append trades, in order of time."""
        n = len(ts)
        if not n:
            return
        self._reserve(n)
        at = slice(self._size, self._size + n)
        self._ts[at], self._price[at], self._lots[at], self._buyer_maker[at] = ts, price, lots, buyer_maker
        starts = np.empty(n, dtype=np.bool_)
        starts[0] = not self._joins(self._size, self._size - 1)
        starts[1:] = (price[1:] != price[:-1]) | (buyer_maker[1:] != buyer_maker[:-1]) | (ts[1:] // STEP_US != ts[:-1] // STEP_US)
        self._agg[at] = self._next_agg - 1 + np.cumsum(starts)
        self._next_agg = int(self._agg[self._size + n - 1]) + 1
        self._size += n

    def append(self, price: int, lots: int, ts_us: int, buyer_maker: bool) -> tuple[Trade, bool]:
        """Append one trade; return it, and whether it began a new aggregate trade."""
        self._reserve(1)
        i = self._size
        self._ts[i], self._price[i], self._lots[i], self._buyer_maker[i] = ts_us, price, lots, buyer_maker
        starts = not self._joins(i, i - 1)
        self._agg[i] = self._next_agg if starts else self._next_agg - 1
        self._next_agg += starts
        self._size += 1
        return Trade(self._first_id + i, price, lots, ts_us, buyer_maker), starts

    def by_id(self, from_id: int | None, limit: int) -> list[Trade]:
        """Return up to `limit` trades from id `from_id` on, or the newest."""
        start = max(self._size - limit, 0) if from_id is None else max(from_id - self._first_id, 0)
        return [self._trade(i) for i in range(start, min(start + limit, self._size))]

    def aggregates(
        self, *, from_id: int | None = None, start_us: int | None = None, end_us: int | None = None, limit: int
    ) -> list[AggTrade]:
        """Return up to `limit` aggregate trades from an id on, or within [`start_us`, `end_us`], or the newest."""
        agg, ts = self._agg[: self._size], self._ts[: self._size]
        if not self._size:
            return []
        if from_id is not None:
            low = int(np.searchsorted(agg, from_id))
            high = int(np.searchsorted(agg, from_id + limit))
        elif start_us is not None or end_us is not None:
            low = 0 if start_us is None else int(np.searchsorted(ts, start_us))
            high = self._size if end_us is None else int(np.searchsorted(ts, end_us, side="right"))
            if low < high:  # an aggregate belongs to the time of its first trade
                low = (
                    int(np.searchsorted(agg, agg[low]))
                    if start_us is None or ts[int(np.searchsorted(agg, agg[low]))] >= start_us
                    else int(np.searchsorted(agg, agg[low] + 1))
                )
                high = int(np.searchsorted(agg, agg[high - 1] + 1))
                if start_us is None:
                    low = max(low, int(np.searchsorted(agg, agg[high - 1] - limit + 1)))
                elif low < high:
                    high = min(high, int(np.searchsorted(agg, agg[low] + limit)))
        else:
            low, high = int(np.searchsorted(agg, agg[-1] - limit + 1)), self._size
        return self._group(low, high)

    def aggregate_ending(self, trade_id: int) -> AggTrade | None:
        """Return the aggregate trade that trade `trade_id` belongs to, up to that trade."""
        i = trade_id - self._first_id
        if not 0 <= i < self._size:
            return None
        low = i
        while low and self._agg[low - 1] == self._agg[i]:
            low -= 1
        return self._group(low, i + 1)[0]

    def bars(self, interval: str, start_us: int, end_us: int) -> list[Bar]:
        """Return the bars of `interval` that open within [`start_us`, `end_us`), from the first kept trade's on.

        An interval without a trade is a bar of zero volume at the close before it.

        Parameters
        ----------
        interval
            A key of :data:`INTERVALS_US`.
        start_us, end_us
            Multiples of the interval.
        """
        width = INTERVALS_US[interval]
        ts = self._ts[: self._size]
        if not self._size:
            return []
        start_us = max(start_us, int(ts[0]) // width * width)
        if start_us >= end_us:
            return []
        low, high = (int(x) for x in np.searchsorted(ts, [start_us, end_us]))
        count = (end_us - start_us) // width
        edges = np.searchsorted(ts[low:high], start_us + np.arange(count + 1, dtype=np.int64) * width) + low
        bars: list[Bar] = []
        close = int(self._price[low - 1]) if low else int(self._price[0])
        for i in range(count):
            a, b = int(edges[i]), int(edges[i + 1])
            bar = Bar(start_us + i * width, start_us + (i + 1) * width, close, close, close, close)
            if b > a:
                price, lots = self._price[a:b], self._lots[a:b]
                bought = ~self._buyer_maker[a:b]
                bar.open, bar.close = int(price[0]), int(price[-1])
                bar.high, bar.low = int(price.max()), int(price.min())
                bar.volume, bar.turnover = int(lots.sum()), int(np.dot(lots, price))
                bar.buy_volume, bar.buy_turnover = int(lots[bought].sum()), int(np.dot(lots[bought], price[bought]))
                bar.trades, bar.first_id, bar.last_id = b - a, self._first_id + a, self._first_id + b - 1
                close = bar.close
            bars.append(bar)
        return bars

    def _joins(self, i: int, before: int) -> bool:
        return (
            before >= 0
            and self._price[i] == self._price[before]
            and bool(self._buyer_maker[i] == self._buyer_maker[before])
            and self._ts[i] // STEP_US == self._ts[before] // STEP_US
        )

    def _trade(self, i: int) -> Trade:
        return Trade(self._first_id + i, int(self._price[i]), int(self._lots[i]), int(self._ts[i]), bool(self._buyer_maker[i]))

    def _group(self, low: int, high: int) -> list[AggTrade]:
        if low >= high:
            return []
        agg = self._agg[low:high]
        starts = np.flatnonzero(np.diff(agg, prepend=agg[0] - 1))
        lots = np.add.reduceat(self._lots[low:high], starts)
        ends = np.append(starts[1:], high - low) - 1
        return [
            AggTrade(
                id=int(agg[s]),
                price=int(self._price[low + s]),
                lots=int(q),
                first=self._first_id + low + int(s),
                last=self._first_id + low + int(e),
                ts_us=int(self._ts[low + s]),
                buyer_maker=bool(self._buyer_maker[low + s]),
            )
            for s, e, q in zip(starts.tolist(), ends.tolist(), lots.tolist(), strict=True)
        ]

    def _reserve(self, n: int) -> None:
        if self._size + n > self._limit:
            drop = int(np.searchsorted(self._agg[: self._size], self._agg[self._size // 2]))
            for name in ("_ts", "_price", "_lots", "_agg", "_buyer_maker"):
                column = getattr(self, name)
                column[: self._size - drop] = column[drop : self._size].copy()
            self._size -= drop
            self._first_id += drop
        if self._size + n > len(self._ts):
            room = max(2 * len(self._ts), self._size + n)
            for name in ("_ts", "_price", "_lots", "_agg", "_buyer_maker"):
                column = getattr(self, name)
                grown = np.empty(room, dtype=column.dtype)
                grown[: self._size] = column[: self._size]
                setattr(self, name, grown)
