"""A stream is measured by its own pace: a quiet market is no dead feed, and a dead feed is found out."""

from __future__ import annotations

import math
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from connectors.exchange.health.pace import FACTOR, LEAST_FRAMES, MEMORY_S, Pace
from connectors.exchange.health.window import Window, quantiles

FLOOR_S = 10.0
gaps = st.lists(st.floats(0.001, 60.0), min_size=LEAST_FRAMES, max_size=40)


def played(steps: list[float]) -> tuple[Pace, float]:
    """Return the pace of a stream after frames with these seconds between them, and the time of the last."""
    now = 1_000.0
    pace = Pace(now)
    for step in steps:
        now += step
        pace.saw(now, FLOOR_S)
    return pace, now


@given(gaps, st.floats(0, 1))
def test_a_silence_no_longer_than_the_floor_or_thrice_the_longest_remembered_means_nothing(steps: list[float], share: float) -> None:
    pace, now = played(steps)
    allowed = pace.patience_s(FLOOR_S)
    assert allowed is not None
    assert FLOOR_S <= allowed <= max(FLOOR_S, FACTOR * max(steps[1:])) * (1 + 1e-9)
    assert pace.silent_s(now + share * allowed * 0.999, FLOOR_S) is None
    assert pace.silent_s(now + allowed * 1.001 + 1e-6, FLOOR_S) is not None


@given(gaps)
def test_what_has_just_been_allowed_is_allowed_again(steps: list[float]) -> None:
    pace, now = played(steps)
    allowed = pace.patience_s(FLOOR_S)
    assert allowed is not None
    longest = allowed * 0.99
    pace.saw(now + longest, FLOOR_S)
    assert pace.silent_s(now + 2 * longest, FLOOR_S) is None


@given(st.lists(st.floats(0.001, 1e6), max_size=LEAST_FRAMES - 1), st.floats(0, 1e9))
def test_a_stream_of_which_little_is_known_is_not_judged(steps: list[float], silence: float) -> None:
    pace, now = played(steps)
    assert pace.silent_s(now + silence, FLOOR_S) is None


@given(st.floats(0.02, 2.0), st.floats(30.0, 10_000.0))
def test_one_failure_excuses_the_next_only_up_to_thrice_what_was_allowed(step: float, outage: float) -> None:
    pace, now = played([step] * LEAST_FRAMES)
    pace.saw(now + outage, FLOOR_S)
    allowed = pace.patience_s(FLOOR_S)
    assert allowed is not None
    assert allowed <= FACTOR * FLOOR_S * (1 + 1e-9)


def test_a_failure_is_forgotten_after_a_while() -> None:
    pace, now = played([1.0] * LEAST_FRAMES)
    pace.saw(now + 60.0, FLOOR_S)
    assert pace.patience_s(FLOOR_S) == FACTOR * FLOOR_S
    for second in range(2 * math.ceil(MEMORY_S) + 62):
        pace.saw(now + 61.0 + second, FLOOR_S)
    assert pace.patience_s(FLOOR_S) == FLOOR_S


def test_a_stream_that_died_stays_dead_however_long_it_takes() -> None:
    pace, now = played([0.1] * LEAST_FRAMES)
    assert all(pace.silent_s(now + seconds, FLOOR_S) == seconds for seconds in (11.0, 400.0, 86_400.0))


def test_a_lost_connection_is_not_the_streams_own_silence() -> None:
    pace, now = played([0.1] * LEAST_FRAMES)
    pace.resume(now + 50.0)
    assert pace.silent_s(now + 55.0, FLOOR_S) is None
    pace.saw(now + 55.0, FLOOR_S)
    assert pace.patience_s(FLOOR_S) == FACTOR * 5.0
    assert pace.silent_s(now + 71.0, FLOOR_S) is not None


def test_a_sparse_market_of_random_trades_is_hardly_ever_called_dead() -> None:
    """Six symbols that trade twice a minute on average, at random, for a day: some 17,000 silences, up to several minutes long."""
    random, alarms, silences = Random(3), 0, 0
    for _ in range(6):
        pace, now = Pace(0.0), 0.0
        while now < 86_400:
            step = random.expovariate(1 / 30.0)
            silences += 1
            alarms += pace.silent_s(now + step, FLOOR_S) is not None
            now += step
            pace.saw(now, FLOOR_S)
    assert silences > 15_000
    assert alarms <= silences * 0.002


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_quantiles_are_values_that_so_large_a_share_does_not_exceed(values: list[float]) -> None:
    found = quantiles(values)
    assert found is not None
    for share, value in zip((0.5, 0.95, 0.99), found, strict=True):
        assert value in values
        assert sum(each <= value for each in values) >= share * len(values)
        assert sum(each < value for each in values) < share * len(values)
    assert found.p50 <= found.p95 <= found.p99
    assert quantiles([]) is None


@given(st.lists(st.floats(0, 5), max_size=60))
def test_a_window_keeps_the_newest_and_no_more_than_it_may(steps: list[float]) -> None:
    window, now, given = Window(size=20, keep_s=30.0, spacing_s=0.1), 0.0, list[tuple[float, float]]()
    for number, step in enumerate(steps):
        now += step
        if not given or now - given[-1][0] >= 0.1:
            given.append((now, float(number)))
        window.add(now, float(number))
    assert window.values(now) == [value for at, value in given[-20:] if now - at <= 30.0]
