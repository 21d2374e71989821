"""Who moves first: found on walks that follow one another by a known lag, in any order of arrival, and not on walks that do not."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.market.consolidation import CrossState, on_quote
from processors.market.leadlag import Lead, LeadState
from processors.market.rules import Rules
from schemas.market.records import ExchangeNormalized, MarketQuote
from tests.unit.changelog import restored
from tests.unit.market.test_consolidation import T0, quote

RULES = Rules()
GRID_MS = RULES.lead_grid_us // 1_000
SECONDS = 240
Walk = list[tuple[int, float]]


def walk(seed: int, *, every_ms: float = 180.0) -> Walk:
    """Return a mid's changes: times in microseconds, irregular, and values."""
    random = np.random.default_rng(seed)
    steps = random.exponential(every_ms, int(SECONDS * 1_000 / every_ms))
    times = T0 + (np.cumsum(steps) * 1_000).astype(np.int64)
    return list(zip(times.tolist(), (100 * np.exp(np.cumsum(random.standard_t(4, len(steps)) * 1e-4))).tolist(), strict=True))


def following(leader: Walk, lag_ms: float, *, noise: float = 0.0, seed: int = 1) -> Walk:
    """Return another venue's changes: the same a while later, at another level, with noise of its own."""
    random = np.random.default_rng(seed)
    own = np.exp(np.cumsum(random.standard_normal(len(leader)) * 1e-4 * noise))
    return [(ts + int(lag_ms * 1_000), mid * 1.001 * factor) for (ts, mid), factor in zip(leader, own.tolist(), strict=True)]


def arrivals(venues: dict[str, Walk], delays_ms: dict[str, float]) -> list[MarketQuote]:
    """Return the venues' quotes in the order in which they arrive."""
    rows = [(ts + int(delays_ms.get(venue, 0) * 1_000), venue, ts, mid) for venue, changes in venues.items() for ts, mid in changes]
    return [quote(venue, mid, ts) for _, venue, ts, mid in sorted(rows)]


def last(quotes: list[MarketQuote], rules: Rules = RULES, *, stored: bool = False) -> tuple[Lead, LeadState]:
    """Return the last word on who leads, and the state; every hundredth state goes through the changelog where it is ``stored``."""
    cross, leads = CrossState(), LeadState()
    record = None
    for number, each in enumerate(quotes):
        if stored and number % 100 == 0:
            leads = restored(leads)
        for output in on_quote(rules, cross, leads, each):
            record = output.record
    assert isinstance(record, ExchangeNormalized)
    return Lead(record.lead_venue, record.lag_venue, record.lead_ms, record.lead_correlation), leads


@given(
    seed=st.integers(0, 1_000),
    lag_ms=st.floats(0, 440),
    noise=st.floats(0, 0.7),
    delays=st.tuples(st.floats(0, 400), st.floats(0, 400)),
    turned=st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_a_known_lag_is_found_within_a_step(seed: int, lag_ms: float, noise: float, delays: tuple[float, float], turned: bool) -> None:
    first, second = ("b", "a") if turned else ("a", "b")
    leader = walk(seed)
    quotes = arrivals({first: leader, second: following(leader, lag_ms, noise=noise, seed=seed + 1)}, dict(zip("ab", delays, strict=True)))
    found, _ = last(quotes)
    assert found.lead_ms is not None
    assert found.lead_correlation is not None
    assert abs(found.lead_ms - lag_ms) <= GRID_MS
    assert RULES.lead_correlation <= found.lead_correlation <= 1.0
    if lag_ms >= GRID_MS:
        assert (found.lead_venue, found.lag_venue) == (first, second)
    else:
        assert found.lead_venue in (first, None)


@given(seed=st.integers(0, 1_000), delays=st.tuples(st.floats(0, 240), st.floats(0, 240)))
@settings(max_examples=6, deadline=None)
def test_the_order_of_arrival_within_the_lateness_changes_nothing(seed: int, delays: tuple[float, float]) -> None:
    leader = walk(seed)
    venues = {"a": leader, "b": following(leader, 130, noise=0.5, seed=seed)}
    whole = replace(RULES, normalized_every_us=0)  # so that both end with the same steps folded
    end = [quote(venue, 100.0, leader[-1][0] + 2_000_000) for venue in venues]
    _, by_time = last([*arrivals(venues, {}), *end], whole)
    _, by_arrival = last([*arrivals(venues, dict(zip("ab", delays, strict=True))), *end], whole)
    assert msgspec.json.encode(by_arrival, order="sorted") == msgspec.json.encode(by_time, order="sorted")


def test_the_same_log_gives_the_same_state_also_through_the_changelog() -> None:
    leader = walk(5)
    quotes = arrivals({"a": leader, "b": following(leader, 200, noise=0.5), "c": walk(6)}, {"b": 300})
    again, stored = last(quotes), last(quotes, stored=True)
    assert last(quotes) == again == stored
    assert again[0][:3] == ("a", "b", 200)


def test_of_several_the_one_ahead_of_most_leads_and_the_closest_follows() -> None:
    leader = walk(7)
    venues = {"a": following(leader, 300), "b": leader, "c": following(leader, 100, noise=0.3)}
    found, leads = last(arrivals(venues, {}))
    assert found[:3] == ("b", "a", 300)  # c is nearer in time, but has noise of its own
    assert set(leads.products) == {"a b", "a c", "b c"}


@pytest.mark.parametrize("seed", range(8))
def test_walks_of_their_own_and_few_moves_say_nothing(seed: int) -> None:
    assert last(arrivals({"a": walk(seed), "b": walk(seed + 100)}, {}))[0] == Lead()
    few = walk(seed)[:15]
    assert last(arrivals({"a": few, "b": following(few, 100)}, {}))[0] == Lead()


def test_moves_after_a_silence_are_no_returns_and_memory_is_bounded() -> None:
    leader = walk(9)
    whole = arrivals({"a": leader, "b": following(leader, 100)}, {})
    away = [each for each in whole if each.venue == "a" or not T0 + 60_000_000 < each.event_ts < T0 + 90_000_000]
    _, leads = last(away)
    assert leads.tracks["b"].moves == pytest.approx(leads.tracks["a"].moves * 210 / 240, rel=0.15)
    biggest = max(abs(value) for _, value in leads.tracks["b"].returns)
    assert biggest < 0.01  # what happened in the 30 s is not one return
    cross, state = CrossState(), LeadState()
    longest = 0
    for each in whole:
        list(on_quote(RULES, cross, state, each))
        longest = max(longest, *(len(waiting) for waiting in cross.moves.values()), *(len(each.returns) for each in state.tracks.values()))
    assert longest <= (RULES.lead_lateness_us + 2 * RULES.normalized_every_us) // RULES.lead_grid_us + 2
    assert len(msgspec.json.encode(state)) < 4_000
