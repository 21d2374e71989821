"""Which offset may be committed while commands are worked on side by side: the first one that is not done. Pure."""

from __future__ import annotations

import heapq


class OffsetTracker:
    """Offsets of one partition that are in hand."""

    def __init__(self) -> None:
        self._in_hand: list[int] = []
        self._done: set[int] = set()
        self._next: int | None = None

    def __len__(self) -> int:
        return len(self._in_hand)

    def take(self, offset: int) -> None:
        """Note that work on an offset begins."""
        heapq.heappush(self._in_hand, offset)
        self._next = offset + 1 if self._next is None else max(self._next, offset + 1)

    def done(self, offset: int) -> int | None:
        """Note that work on an offset is over; return the offset to be committed, or None where an earlier one is in hand."""
        self._done.add(offset)
        moved = False
        while self._in_hand and self._in_hand[0] in self._done:
            self._done.discard(heapq.heappop(self._in_hand))
            moved = True
        if not moved:
            return None
        return self._in_hand[0] if self._in_hand else self._next
