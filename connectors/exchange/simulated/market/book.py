"""An order book with price-time priority, its update ids, and the diffs between them. Pure; prices in ticks, quantities in lots.

Every change of a price level gets an update id from :class:`UpdateIds`. The venue's futures draw the ids of all symbols from one source,
so the ids of one symbol jump; on spot each symbol counts for itself. A diff stream over either joins with a snapshot by the venue's rules.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Owner(Protocol):
    """Whose orders rest in a book."""

    def filled(self, resting: Resting, price: int, lots: int, trade_id: int, ts_us: int) -> None:
        """Take note that a resting order of this owner was filled; the order holds what is left of it."""

    def prevented(self, resting: Resting, ts_us: int) -> None:
        """Take note that a resting order was taken out of the book, because it would have traded with its own owner."""


class Resting:
    """One order in the book."""

    __slots__ = ("bid", "id", "lots", "owner", "price")

    def __init__(self, number: int, owner: Owner, price: int, lots: int, *, bid: bool) -> None:
        self.id = number
        self.owner = owner
        self.price = price
        self.lots = lots
        self.bid = bid


class UpdateIds:
    """Source of update ids."""

    __slots__ = ("last",)

    def __init__(self, last: int) -> None:
        self.last = last

    def next(self) -> int:
        """Return the next id."""
        self.last += 1
        return self.last


class DepthChange(NamedTuple):
    """What one frame of a diff stream says: ids of its first and last change and of the last change before it, and new levels."""

    first: int
    last: int
    previous: int
    bids: dict[int, int]
    asks: dict[int, int]


class DepthFeed:
    """Collects the changes of a book between two frames of one diff stream."""

    def __init__(self, update_id: int) -> None:
        self.previous = update_id
        """Update id of the last frame."""
        self.first = 0
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}

    def note(self, update_id: int, price: int, lots: int, *, bid: bool) -> None:
        """Take a change."""
        self.first = self.first or update_id
        (self.bids if bid else self.asks)[price] = lots

    def take(self, update_id: int) -> DepthChange | None:
        """Return the changes since the last frame up to `update_id`, the newest; None without any."""
        if not self.first:
            return None
        change = DepthChange(self.first, update_id, self.previous, self.bids, self.asks)
        self.previous, self.first, self.bids, self.asks = update_id, 0, {}, {}
        return change


class _Side:
    """The levels of one side: orders by arrival, and what they sum to. `keys` are prices with the sign that puts the best one last."""

    __slots__ = ("keys", "levels", "sign", "totals")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, dict[int, Resting]] = {}
        self.totals: dict[int, int] = {}

    def best(self) -> int:
        return self.keys[-1] * self.sign if self.keys else 0

    def rows(self) -> Iterator[tuple[int, int]]:
        return ((key * self.sign, self.totals[key * self.sign]) for key in reversed(self.keys))


class OrderBook:
    """Orders by price, and by arrival within a price.

    Parameters
    ----------
    ids
        Source of update ids.
    """

    def __init__(self, ids: UpdateIds) -> None:
        self._ids = ids
        self.update_id = ids.last
        self._bids, self._asks = _Side(1), _Side(-1)
        self._feeds: list[DepthFeed] = []
        self._next_id = 1

    # --- queries -----------------------------------------------------------------------------------------------------------------------

    @property
    def bid(self) -> int:
        """Best bid, 0 without one."""
        return self._bids.best()

    @property
    def ask(self) -> int:
        """Best ask, 0 without one."""
        return self._asks.best()

    @property
    def bid_lots(self) -> int:
        """Quantity at the best bid."""
        return self._bids.totals.get(self._bids.best(), 0)

    @property
    def ask_lots(self) -> int:
        """Quantity at the best ask."""
        return self._asks.totals.get(self._asks.best(), 0)

    def bids(self) -> Iterator[tuple[int, int]]:
        """Yield (price, quantity) of the bids, best first."""
        return self._bids.rows()

    def asks(self) -> Iterator[tuple[int, int]]:
        """Yield (price, quantity) of the asks, best first."""
        return self._asks.rows()

    def at(self, price: int, *, bid: bool) -> int:
        """Return the quantity that rests at a price of one side."""
        return (self._bids if bid else self._asks).totals.get(price, 0)

    def queue(self, price: int, *, bid: bool) -> list[Resting]:
        """Return the orders at a price of one side, the first to be filled first."""
        return list((self._bids if bid else self._asks).levels.get(price, {}).values())

    def crosses(self, price: int, *, bid: bool) -> bool:
        """Return whether an order at a price would trade at once."""
        opposite = self.ask if bid else self.bid
        return bool(opposite) and (price >= opposite if bid else price <= opposite)

    def head(self, *, bid: bool) -> Resting | None:
        """Return the order of one side that is filled first."""
        side = self._bids if bid else self._asks
        return next(iter(side.levels[side.best()].values())) if side.keys else None

    # --- changes -----------------------------------------------------------------------------------------------------------------------

    def add(self, owner: Owner, price: int, lots: int, *, bid: bool) -> Resting:
        """Put an order that does not cross behind the others at its price; return it."""
        resting = Resting(self._next_id, owner, price, lots, bid=bid)
        self._next_id += 1
        side = self._bids if bid else self._asks
        level = side.levels.get(price)
        if level is None:
            level = side.levels[price] = {}
            insort(side.keys, price * side.sign)
        level[resting.id] = resting
        self._set(side, price, side.totals.get(price, 0) + lots)
        return resting

    def reduce(self, resting: Resting, lots: int) -> None:
        """Take `lots` off an order, which keeps its place; with nothing left it is gone."""
        side = self._bids if resting.bid else self._asks
        lots = min(lots, resting.lots)
        resting.lots -= lots
        if not resting.lots:
            level = side.levels[resting.price]
            del level[resting.id]
            if not level:
                del side.levels[resting.price]
                del side.keys[bisect_left(side.keys, resting.price * side.sign)]
        self._set(side, resting.price, side.totals[resting.price] - lots)

    def cancel(self, resting: Resting) -> None:
        """Take an order out; one that is gone already is left alone."""
        if resting.lots:
            self.reduce(resting, resting.lots)

    # --- diffs -------------------------------------------------------------------------------------------------------------------------

    def feed(self) -> DepthFeed:
        """Return a new collector of changes from now on."""
        feed = DepthFeed(self.update_id)
        self._feeds.append(feed)
        return feed

    def drop(self, feed: DepthFeed) -> None:
        """Stop collecting for a feed."""
        self._feeds.remove(feed)

    def _set(self, side: _Side, price: int, lots: int) -> None:
        if lots:
            side.totals[price] = lots
        else:
            del side.totals[price]
        self.update_id = self._ids.next()
        for feed in self._feeds:
            feed.note(self.update_id, price, lots, bid=side is self._bids)
