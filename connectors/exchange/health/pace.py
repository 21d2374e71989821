"""How long a stream of frames is usually silent, and from when on a silence says that something is wrong.

A quiet market is no dead feed: what a liquid symbol never does, another one does all day. So a stream is measured by itself. Its silence
means something once it is several times as long as any of late, and longer than a floor; a stream of which few frames have come is not
judged at all.
"""

from __future__ import annotations

FACTOR = 3.0
"""A silence means something when it is this many times the longest of late."""
LEAST_FRAMES = 20
"""Frames without which a stream is not judged."""
MEMORY_S = 300.0
"""The longest silence is remembered for this long at least, and for twice as long at most."""


class Pace:
    """Pace of one stream. Times are seconds of a clock that does not go back.

    Attributes
    ----------
    frames
        Frames that have come.
    last
        When the newest came, or when the connection was made again.
    """

    __slots__ = ("_before", "_longest", "_turned", "frames", "last")

    def __init__(self, now: float) -> None:
        self.frames = 0
        self.last = now
        self._longest = 0.0
        self._before = 0.0
        self._turned = now

    def saw(self, now: float, floor_s: float) -> None:
        """Take a frame.

        Of a silence that was held against the stream only what was allowed is remembered: a market that grows quieter is understood
        after a few false alarms, and one failure does not excuse the next, longer one.
        """
        if now - self._turned >= MEMORY_S:
            self._before, self._longest, self._turned = self._longest, 0.0, now
        if self.frames:
            silence, allowed = now - self.last, self.patience_s(floor_s)
            self._longest = max(self._longest, silence if allowed is None else min(silence, allowed))
        self.frames += 1
        self.last = now

    def resume(self, now: float) -> None:
        """Begin anew after the connection was lost: the silence until now was not the stream's own."""
        self.last = now

    def patience_s(self, floor_s: float) -> float | None:
        """Return the longest silence that means nothing, seconds; None where too little is known of the stream."""
        if self.frames < LEAST_FRAMES:
            return None
        return max(floor_s, FACTOR * max(self._longest, self._before))

    def silent_s(self, now: float, floor_s: float) -> float | None:
        """Return how long the stream has been silent where that is too long, seconds; else None."""
        patience, silence = self.patience_s(floor_s), now - self.last
        return silence if patience is not None and silence > patience else None
