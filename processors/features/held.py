"""What other topics said, second by second, until a bar closes: a vector knows what had happened before its bar's end, and nothing later.

Bars come after their end, and the topics of one stage are read at their own pace, so the newest record of a topic may be of a
later second than a bar. The last of each second is kept until a bar has passed it; where a bar is more than a minute behind, what was
said before its end is forgotten, and the vector has nulls rather than the future.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from processors.market.bars import SECOND

KEPT = 60
"""Most seconds that are kept."""


class Timed(Protocol):
    """Something said at an event time."""

    @property
    def ts(self) -> int:
        """When, microseconds."""


TimedT = TypeVar("TimedT", bound=Timed)


def keep(held: list[TimedT], said: TimedT) -> None:
    """Keep what was said, in the place of what its second had before; what is older than the newest is not taken."""
    if held:
        newest = held[-1].ts
        if said.ts < newest:
            return
        if said.ts // SECOND == newest // SECOND:
            held[-1] = said
            return
    held.append(said)
    del held[:-KEPT]


def last_before(held: list[TimedT], end_ts: int, oldest_ts: int) -> TimedT | None:
    """Return what was said last before ``end_ts``, and forget what was said before that; None where it is older than ``oldest_ts``."""
    while len(held) > 1 and held[1].ts < end_ts:
        del held[0]
    return held[0] if held and oldest_ts <= held[0].ts < end_ts else None
