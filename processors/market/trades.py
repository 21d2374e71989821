"""Each trade exactly once, by the venue's trade id."""

from __future__ import annotations

import msgspec


class TradeIds(msgspec.Struct):
    """Trade ids of one symbol at one venue.

    Attributes
    ----------
    last : int
        Newest id; -1 before the first.
    gaps : list
        Ranges of ids that have not come, ``[first, last]``, by id.
    missing : int
        Ids that have not come, in ranges that are remembered or forgotten.
    duplicates : int
        Trades that came again and were dropped.
    """

    last: int = -1
    gaps: list[tuple[int, int]] = []
    missing: int = 0
    duplicates: int = 0

    def take(self, trade_id: int, gaps_kept: int) -> bool:
        """Return whether a trade is new, and remember it; at most ``gaps_kept`` gaps are remembered."""
        if trade_id > self.last:
            if 0 <= self.last < trade_id - 1:
                self.gaps.append((self.last + 1, trade_id - 1))
                self.missing += trade_id - 1 - self.last
                del self.gaps[:-gaps_kept]
            self.last = trade_id
            return True
        for position, (first, last) in enumerate(self.gaps):
            if first <= trade_id <= last:
                self.gaps[position : position + 1] = [part for part in ((first, trade_id - 1), (trade_id + 1, last)) if part[0] <= part[1]]
                self.missing -= 1
                return True
        self.duplicates += 1
        return False
