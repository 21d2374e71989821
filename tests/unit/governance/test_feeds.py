"""Entries stop for symbols whose market data cannot be relied on, by the feeds' word and by its absence."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.governance.feeds import FORGOTTEN_US, MOST_SILENT_US
from processors.governance.logic import Governance
from processors.governance.state import SharedState, component_health
from schemas.common import Action, HealthState
from schemas.governance.records import DecisionMade
from schemas.health.records import HealthEvent
from tests.unit.governance.builders import ACCOUNT, NOW, SECOND, changed, feed, health, ready, signal

STALE = "FEED_STALE:BTCUSDT"


def reason(shared: SharedState, *, at: int = NOW, symbol: str = "BTCUSDT", venue: str = "binance-usdm") -> str:
    """Return the reason of the decision on a signal at a time."""
    (output,) = Governance(ACCOUNT).on_signal(shared, signal(event_ts=at, symbol=symbol, venue=venue))
    assert isinstance(output.record, DecisionMade)
    assert (output.record.action is Action.NO_ENTRY) == (output.record.reason != "ACCEPTED")
    return output.record.reason


def test_a_symbol_that_is_not_well_is_not_entered_and_the_others_are() -> None:
    governance, shared = ready()
    governance.on_health(shared, feed(("ETHUSDT",), ("BTCUSDT",), ts=NOW + SECOND))
    assert reason(shared) == STALE
    assert reason(shared, symbol="ETHUSDT") == "ACCEPTED"
    governance.on_health(shared, feed(ts=NOW + 2 * SECOND))
    assert reason(shared) == "ACCEPTED"


def test_a_feed_that_says_nothing_any_more_is_dead() -> None:
    _, shared = ready()
    assert reason(shared, at=NOW + MOST_SILENT_US) == "ACCEPTED"
    assert reason(shared, at=NOW + MOST_SILENT_US + 1) == STALE


@pytest.mark.parametrize("lost", ["everything", "the symbol", "the venue"])
def test_what_no_feed_has_spoken_of_is_not_entered(lost: str) -> None:
    governance, shared = ready()
    if lost == "everything":
        shared.feeds = {}
    elif lost == "the symbol":
        shared.feeds = {}
        governance.on_health(shared, feed(("ETHUSDT",)))
    assert reason(shared, venue="coinbase" if lost == "the venue" else "binance-usdm") == STALE


def test_feeds_are_kept_beside_the_components() -> None:
    governance, shared = ready()
    components = msgspec.structs.replace(shared).health
    before = msgspec.json.encode(components)
    governance.on_health(shared, changed(feed((), ("BTCUSDT",)), {"state": HealthState.DOWN}))
    assert msgspec.json.encode(shared.health) == before
    assert component_health(shared, "feed") == (HealthState.UNKNOWN, 0)
    governance.on_health(shared, health("feed"))
    assert component_health(shared, "feed")[0] is HealthState.HEALTHY
    assert reason(shared) == STALE


def test_a_state_from_before_there_was_health_of_feeds_can_be_read() -> None:
    old = {"health": {"risk": {"risk-0": {"state": "HEALTHY", "since": NOW, "seen": NOW}}}}
    shared = msgspec.json.decode(msgspec.json.encode(old), type=SharedState)
    assert shared.feeds == {}
    assert component_health(shared, "risk") == (HealthState.HEALTHY, NOW)


words = st.builds(
    lambda symbols, at, name: changed(
        feed(
            tuple(symbol for symbol, well in symbols.items() if well), tuple(symbol for symbol, well in symbols.items() if not well), ts=at
        ),
        {"venue": name},
    ),
    st.dictionaries(st.sampled_from(["BTCUSDT", "ETHUSDT", "SOLUSDT"]), st.booleans(), max_size=3),
    st.integers(NOW - 2 * FORGOTTEN_US, NOW + 2 * FORGOTTEN_US),
    st.sampled_from(["binance-usdm", "binance-spot"]),
)


@given(st.lists(words, max_size=25), st.integers(NOW - FORGOTTEN_US, NOW + FORGOTTEN_US))
def test_the_newest_word_on_the_symbol_decides_and_only_while_it_is_fresh(said: list[HealthEvent], at: int) -> None:
    governance, shared = ready()
    shared.feeds = {}
    newest: tuple[int, bool] | None = None
    for event in said:
        governance.on_health(shared, event)
        if event.venue == "binance-usdm" and "BTCUSDT" in {*event.healthy_symbols, *event.unhealthy_symbols}:
            word = (event.event_ts, "BTCUSDT" in event.healthy_symbols)
            newest = word if newest is None or word[0] >= newest[0] else newest
        if newest is not None and event.event_ts - newest[0] > FORGOTTEN_US:
            newest = None
    good = newest is not None and newest[1] and at - newest[0] <= MOST_SILENT_US
    assert reason(shared, at=at) == ("ACCEPTED" if good else STALE)
    assert sum(len(symbols) for symbols in shared.feeds.values()) <= 6
