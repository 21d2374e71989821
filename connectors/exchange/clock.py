"""The clock component: one tick for every whole second, of the wall clock or of a replayed recording."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

SECOND = 1_000_000
OnTick = Callable[[int], None]


class SimClock:
    """Ticks as event time passes whole seconds.

    Parameters
    ----------
    on_tick
        Called with each whole second that has passed, microseconds since the epoch, once and in order.
    max_gap_s
        Where time jumps further than this, the seconds between are left out: two recordings of different days are
        not one day of silence.
    """

    def __init__(self, on_tick: OnTick, max_gap_s: int = 300) -> None:
        self._on_tick = on_tick
        self._max_gap = max_gap_s * SECOND
        self._next: int | None = None

    def advance(self, now_us: int) -> None:
        """Tick for every whole second up to and including ``now_us``."""
        whole = now_us - now_us % SECOND
        if self._next is None or whole - self._next > self._max_gap:
            self._next = whole
        while self._next <= whole:
            self._on_tick(self._next)
            self._next += SECOND


class LiveClock:
    """Ticks at every whole second of the wall clock.

    Parameters
    ----------
    on_tick
        Called with the second, microseconds since the epoch. After a pause of the process the missed seconds are
        made up for, as long as they are fewer than ``max_gap_s``.
    """

    def __init__(self, on_tick: OnTick, max_gap_s: int = 60) -> None:
        self._clock = SimClock(on_tick, max_gap_s)

    async def run(self, stop: asyncio.Event) -> None:
        """Tick until ``stop`` is set."""
        while not stop.is_set():
            now = time.time_ns() // 1_000
            try:
                await asyncio.wait_for(stop.wait(), (SECOND - now % SECOND) / SECOND)
            except TimeoutError:
                self._clock.advance(time.time_ns() // 1_000)
