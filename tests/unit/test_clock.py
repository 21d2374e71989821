"""Event time: the wall clock's, or that of a venue whose markets run faster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from connectors.exchange.clock import SECOND, LiveClock
from quantum import clock


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A market that began now and runs a hundred times as fast; gives when it began."""
    began = time.time_ns() // 1_000
    monkeypatch.setenv("QUANTUM_CLOCK_SPEED", "100")
    monkeypatch.setenv("QUANTUM_CLOCK_ORIGIN_US", str(began))
    clock.settings.cache_clear()
    yield began
    monkeypatch.undo()
    clock.settings.cache_clear()


def test_without_a_word_it_is_the_wall_clock() -> None:
    assert clock.event_time(1_790_000_000_000_001) == 1_790_000_000_000_001
    assert abs(clock.now_us() - time.time_ns() // 1_000) < 5 * SECOND
    assert clock.span_us(0.25) == 250_000


def test_it_passes_at_the_speed_of_the_market(fast: int) -> None:
    assert [clock.event_time(fast + passed) - fast for passed in (0, 1, 1_500_000)] == [0, 100, 150_000_000]
    assert clock.span_us(0.25) == 25 * SECOND


def test_a_fast_clock_ticks_at_the_newest_second(fast: int) -> None:
    ticks: list[int] = []

    async def run() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.45, stop.set)
        await LiveClock(ticks.append).run(stop)

    asyncio.run(run())
    assert ticks == sorted(set(ticks))
    assert ticks[0] > fast
    assert {tick % SECOND for tick in ticks} == {0}
    assert 1 <= len(ticks) < 10, "not every second of the market, of which there are forty"
