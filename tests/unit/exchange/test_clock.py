"""Clocks tick once for every second."""

from __future__ import annotations

import asyncio
import time

from hypothesis import given
from hypothesis import strategies as st

from connectors.exchange.clock import SECOND, LiveClock, SimClock


@given(st.lists(st.integers(0, 5 * SECOND), min_size=1, max_size=50))
def test_every_second_ticks_once_in_order(steps: list[int]) -> None:
    ticks: list[int] = []
    clock = SimClock(ticks.append)
    now = start = 1_000 * SECOND + 17
    for step in steps:
        now += step
        clock.advance(now)
    first = (start + steps[0]) // SECOND
    assert ticks == [second * SECOND for second in range(first, now // SECOND + 1)]


def test_a_hole_is_left_out() -> None:
    ticks: list[int] = []
    clock = SimClock(ticks.append, max_gap_s=10)
    clock.advance(5 * SECOND)
    clock.advance(1_000 * SECOND)
    assert ticks == [5 * SECOND, 1_000 * SECOND]


async def test_the_live_clock_ticks_on_the_second() -> None:
    ticks: list[tuple[int, int]] = []
    stop = asyncio.Event()
    task = asyncio.create_task(LiveClock(lambda ts: ticks.append((ts, time.time_ns() // 1_000))).run(stop))
    await asyncio.sleep(2.1)
    stop.set()
    await task
    assert [ts % SECOND for ts, _ in ticks] == [0] * len(ticks)
    assert len(ticks) in (2, 3)
    assert all(0 <= now - ts < SECOND // 2 for ts, now in ticks)
