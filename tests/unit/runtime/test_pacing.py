"""How long records gather between small epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from processors.runtime.epochs.pacing import Pacing


class Clock:
    """A clock that stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def epoch(pacing: Pacing, clock: Clock, idle: float, seconds: float, records: int = 1) -> float:
    """Let an epoch begin after some idle seconds; return how long the next has to wait."""
    clock.now += idle
    started = clock.now
    clock.now += seconds
    pacing.ended(records, started)
    return pacing.left


def test_an_epoch_after_idle_time_is_followed_by_the_shortest_rest_only() -> None:
    """What comes alone does not wait for more than the markers of the transaction before."""
    clock = Clock()
    assert epoch(Pacing(clock=clock), clock, idle=0.03, seconds=0.006) == pytest.approx(0.002)


def test_one_long_epoch_after_idle_time_delays_nothing() -> None:
    """A hiccup is paid for with the idle time before it."""
    clock = Clock()
    assert epoch(Pacing(clock=clock), clock, idle=1.0, seconds=0.045) == pytest.approx(0.002)


def test_small_epochs_in_quick_succession_take_half_of_the_time() -> None:
    """Each is followed by as long a rest as it took, once there is no idle time left to pay with."""
    clock = Clock()
    pacing = Pacing(clock=clock)
    began = clock.now
    rests = []
    for _ in range(100):
        rests.append(epoch(pacing, clock, idle=0.0, seconds=0.008))
        clock.now += rests[-1]
    assert rests[10:] == pytest.approx([0.008] * 90)
    assert (clock.now - began) == pytest.approx(100 * 0.016, rel=0.02)


def test_the_rest_has_an_end() -> None:
    """However long epochs take, no record waits for more than 20 ms between them."""
    clock = Clock()
    pacing = Pacing(clock=clock)
    assert epoch(pacing, clock, idle=0.0, seconds=5.0) == pytest.approx(0.02)
    clock.now += 0.02
    assert pacing.left == pytest.approx(0.0, abs=1e-9)
    assert epoch(pacing, clock, idle=0.0, seconds=0.004) == pytest.approx(0.004)


def test_large_epochs_follow_one_another_at_once() -> None:
    """Under load an epoch is worth its transaction, and there is no rest."""
    clock = Clock()
    assert epoch(Pacing(clock=clock), clock, idle=0.0, seconds=0.1, records=5_000) <= 0.0


@dataclass(frozen=True)
class Polled:
    """A record as far as the pacing looks at it."""

    name: str

    def topic(self) -> str:
        """Return its topic."""
        return self.name


def came(pacing: Pacing, *topics: str) -> None:
    """Let a record of each topic come."""
    pacing.came(cast(Any, [Polled(topic) for topic in topics]))


def test_records_that_may_gather_do_so_from_the_first_of_them() -> None:
    """Later ones do not put the epoch off."""
    clock = Clock()
    pacing = Pacing({"quotes": 0.05}, clock=clock)
    came(pacing, "quotes", "quotes")
    assert pacing.gathering == pytest.approx(0.05)
    clock.now += 0.03
    came(pacing, "quotes")
    assert pacing.gathering == pytest.approx(0.02)
    clock.now += 0.02
    assert pacing.gathering <= 1e-9


def test_a_record_that_is_waited_for_takes_the_gathered_along_at_once() -> None:
    """Whether it comes with them or after them."""
    clock = Clock()
    pacing = Pacing({"quotes": 0.05, "slow": 0.2}, clock=clock)
    came(pacing, "quotes")
    came(pacing, "decisions")
    assert pacing.gathering <= 0.0
    pacing.begun()
    came(pacing, "slow", "quotes")
    assert pacing.gathering == pytest.approx(0.05)
    pacing.begun()
    came(pacing, "slow", "decisions", "quotes")
    assert pacing.gathering <= 0.0


def test_an_epoch_takes_what_has_gathered() -> None:
    """What was put back after a failure does not gather again."""
    pacing = Pacing({"quotes": 0.05}, clock=Clock())
    came(pacing, "quotes")
    pacing.begun()
    assert pacing.gathering == 0.0
