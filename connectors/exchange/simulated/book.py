"""A synthetic order book around the best prices, with update ids and diffs.

The best level of each side is what the quotes say. Below it, every `grid`-th tick down to `levels` grid steps holds a random quantity.
Every change gets an update id and is noted, so that a diff stream over it joins with a snapshot by the venue's own rules.
"""

from __future__ import annotations

import random
from collections.abc import Iterator


class DepthFeed:
    """Collects the changes of a book between two frames of one diff stream."""

    def __init__(self, update_id: int) -> None:
        self.previous = update_id
        """Update id of the last frame."""
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}

    def take(self, update_id: int) -> tuple[int, int, int, dict[int, int], dict[int, int]] | None:
        """Return (first id, last id, previous frame's last id, bids, asks) of the changes since the last frame, or None without any."""
        if update_id == self.previous:
            return None
        frame = (self.previous + 1, update_id, self.previous, self.bids, self.asks)
        self.previous, self.bids, self.asks = update_id, {}, {}
        return frame


class Book:
    """Price levels in ticks with quantities in lots.

    Parameters
    ----------
    grid
        Ticks between two resting levels.
    levels
        Grid steps that are kept on each side.
    typical_lots
        Median quantity of a resting level.
    rng
        Source of the quantities.
    update_id
        First update id.
    """

    def __init__(self, *, grid: int, levels: int, typical_lots: float, rng: random.Random, update_id: int) -> None:
        self._grid = grid
        self._reach = grid * levels
        self._typical = typical_lots
        self._rng = rng
        self.update_id = update_id
        self.bid = self.ask = 0
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._feeds: list[DepthFeed] = []

    @property
    def bid_lots(self) -> int:
        """Quantity at the best bid."""
        return self._bids[self.bid]

    @property
    def ask_lots(self) -> int:
        """Quantity at the best ask."""
        return self._asks[self.ask]

    def feed(self) -> DepthFeed:
        """Return a new collector of changes from now on."""
        feed = DepthFeed(self.update_id)
        self._feeds.append(feed)
        return feed

    def drop(self, feed: DepthFeed) -> None:
        """Stop collecting for a feed."""
        self._feeds.remove(feed)

    def bids(self) -> Iterator[tuple[int, int]]:
        """Yield (price, quantity) of the bids, best first."""
        return iter(sorted(self._bids.items(), reverse=True))

    def asks(self) -> Iterator[tuple[int, int]]:
        """Yield (price, quantity) of the asks, best first."""
        return iter(sorted(self._asks.items()))

    def at(self, price: int, *, bid: bool) -> int:
        """Return the quantity that rests at a price of one side."""
        return (self._bids if bid else self._asks).get(price, 0)

    def quote(self, bid: int, ask: int, bid_lots: int, ask_lots: int) -> None:
        """Move the best prices; levels that the move uncovers or leaves are filled or dropped."""
        self._move(self._bids, self.bid, bid, bid_lots, -1)
        self._move(self._asks, self.ask, ask, ask_lots, 1)
        self.bid, self.ask = bid, ask
        self._jitter()

    def hit(self, lots: int, *, bid: bool) -> None:
        """Take `lots` from the best level of a side; makers restore a level that a trade of the generated flow empties."""
        price, side = (self.bid, self._bids) if bid else (self.ask, self._asks)
        left = side[price] - lots
        self._set(side, price, left if left > 0 else self._draw())

    def take(self, price: int, lots: int, *, bid: bool) -> None:
        """Take `lots` from one level for an order of the account; an emptied level is gone until the next quote, but the best never is."""
        side = self._bids if bid else self._asks
        left = side.get(price, 0) - lots
        if left <= 0 and len(side) > 1:
            self._set(side, price, 0)
        elif left > 0:
            self._set(side, price, left)
        self.bid, self.ask = max(self._bids), min(self._asks)

    def _move(self, side: dict[int, int], old: int, new: int, lots: int, away: int) -> None:
        """Set the best price of one side; `away` is the direction from the best price into the book."""
        grid = self._grid
        for price in [p for p in side if (new - p) * away > 0 or (p - new) * away > self._reach]:
            self._set(side, price, 0)
        if old and (old - new) * away > 0 and old % grid:  # the former best, now inside, is no resting level
            self._set(side, old, 0)
        first = (new // grid) * grid if away < 0 else -(-new // grid) * grid
        for price in range(first, new + away * self._reach, away * grid):
            if price <= 0:
                break
            if price not in side:
                self._set(side, price, self._draw())
        self._set(side, new, lots)

    def _jitter(self) -> None:
        """Change one resting level a side, as makers do."""
        for side, best, away in ((self._bids, self.bid, -1), (self._asks, self.ask, 1)):
            price = (best // self._grid + away * self._rng.randrange(1, 12)) * self._grid
            if price in side and price != best:
                self._set(side, price, self._draw())

    def _draw(self) -> int:
        return max(1, round(self._typical * self._rng.lognormvariate(0.0, 0.8)))

    def _set(self, side: dict[int, int], price: int, lots: int) -> None:
        before = side.get(price, 0)
        if before == lots:
            return
        if lots:
            side[price] = lots
        else:
            del side[price]
        self.update_id += 1
        for feed in self._feeds:
            (feed.bids if side is self._bids else feed.asks)[price] = lots
