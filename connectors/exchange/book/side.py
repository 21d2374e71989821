"""One side of a book, and how far down it is known."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

import msgspec

from connectors.exchange.book.update import Level


class Side(msgspec.Struct):
    """Levels of one side, best first.

    Attributes
    ----------
    keys : list of int
        Keys of the levels, rising; see :data:`~connectors.exchange.book.update.Level`.
    sizes : list of int
        Sizes at those keys; never 0.
    bound : int or None
        Greatest key up to which every level is known; what lies beyond it is not kept. None where the side is known whole.
    reach : int
        How many levels there were up to the bound when it was set.
    """

    keys: list[int] = []
    sizes: list[int] = []
    bound: int | None = None
    reach: int = 0

    @classmethod
    def of(cls, levels: Iterable[Level], *, whole: bool) -> Side:
        """Return the side of a snapshot; of an incomplete one nothing is known beyond the last level."""
        found = sorted(level for level in levels if level[1])
        keys = [key for key, _ in found]
        return cls(keys, [size for _, size in found], None if whole or not keys else keys[-1], len(keys))

    def put(self, levels: Iterable[Level], price_factor: int, size_factor: int) -> None:
        """Take the new sizes of some levels, whose keys and sizes are in units of these factors."""
        keys, sizes, bound = self.keys, self.sizes, self.bound
        for key, size in levels:
            key *= price_factor
            if bound is not None and key > bound:
                continue
            position = bisect_left(keys, key)
            if position < len(keys) and keys[position] == key:
                if size:
                    sizes[position] = size * size_factor
                else:
                    del keys[position], sizes[position]
            elif size:
                keys.insert(position, key)
                sizes.insert(position, size * size_factor)

    def trim(self, keep: int) -> None:
        """Forget what lies beyond the best ``keep`` levels, once a quarter more than that has come together."""
        if len(self.keys) > keep + keep // 4:
            del self.keys[keep:], self.sizes[keep:]
            self.bound, self.reach = self.keys[-1], keep

    def finer(self, price_factor: int, size_factor: int) -> None:
        """Change the units: every key and size is multiplied."""
        self.keys = [key * price_factor for key in self.keys]
        self.sizes = [size * size_factor for size in self.sizes]
        if self.bound is not None:
            self.bound *= price_factor

    def thin(self, least: int) -> bool:
        """Return whether fewer than ``least`` levels are known, although there may be more."""
        return self.bound is not None and len(self.keys) < least

    def nearly_used_up(self, least: int, renew_below: int) -> bool:
        """Return whether so few levels are known that more should be asked for; three quarters of a short snapshot may go first."""
        return self.thin(max(least, min(renew_below, self.reach // 4)))
