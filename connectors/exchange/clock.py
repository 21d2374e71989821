"""The clock component: one tick for every whole second, of the wall clock or of a replayed recording."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from quantum import clock

SECOND = 1_000_000
FAST_S = 0.1
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
    """Ticks at every whole second of event time; where that runs faster than the wall clock, ten times a second, at the newest one.

    Parameters
    ----------
    on_tick
        Called with the second, microseconds since the epoch. After a pause of the process the missed seconds are
        made up for, as long as they are fewer than ``max_gap_s``.
    """

    def __init__(self, on_tick: OnTick, max_gap_s: int = 60) -> None:
        self._fast = clock.settings().speed > 1
        self._clock = SimClock(on_tick, 0 if self._fast else max_gap_s)

    async def run(self, stop: asyncio.Event) -> None:
        """Tick until ``stop`` is set."""
        while not stop.is_set():
            wait = FAST_S if self._fast else (SECOND - clock.now_us() % SECOND) / SECOND
            try:
                await asyncio.wait_for(stop.wait(), wait)
            except TimeoutError:
                self._clock.advance(clock.now_us())
