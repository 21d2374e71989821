"""Each trade exactly once, by the venue's trade id where ids count up, else by time and id."""

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


class TimedTrades(msgspec.Struct):
    """Trades of a symbol at a venue whose ids do not count up: they come in the order of their times, or again.

    A gap in them cannot be seen. The feed reports one where REST does not reach back to the newest trade that it knows.

    Attributes
    ----------
    newest_ts : int
        Time of the newest trade, microseconds; -1 before the first.
    ids : list of int
        Ids of the trades of that time.
    duplicates : int
        Trades that came again, or after a newer one, and were dropped.
    """

    newest_ts: int = -1
    ids: list[int] = []
    duplicates: int = 0

    def take(self, trade_id: int, ts: int) -> bool:
        """Return whether a trade is new, and remember it."""
        if ts > self.newest_ts:
            self.newest_ts, self.ids = ts, [trade_id]
            return True
        if ts == self.newest_ts and trade_id not in self.ids:
            self.ids.append(trade_id)
            return True
        self.duplicates += 1
        return False
