"""A replay says in event time how well the venue was followed when it was recorded; the same recording says the same."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from connectors.exchange.replay.settings import ReplaySettings
from connectors.exchange.replay.source import run_replay
from connectors.exchange.settings import MOST_SILENT_S
from schemas.common import HealthState
from schemas.health.records import HealthEvent
from tests.unit.exchange.replay.test_replay import DATA, Sink, trade, write

SECOND_US = 1_000_000


def said(folder: Path) -> list[HealthEvent]:
    """Return what a replay says of the feed."""
    events: list[HealthEvent] = []
    settings = ReplaySettings(folder=folder)
    asyncio.run(run_replay(settings, Sink(), lambda _: None, asyncio.Event(), events.append))
    return events


def record(folder: Path, *, silent_s: int = 0, skipped: int = 0) -> None:
    """Write thirty seconds of trades of two symbols, ten a second; after ten of them the first is silent, or both lose some trades."""
    for symbol, silence in (("AAAUSDT", silent_s), ("BBBUSDT", 0)):
        silent = range(100, 100 + 10 * silence)
        tenths = [tenth for tenth in range(300 + 10 * silent_s) if tenth not in silent]
        lines = [trade(symbol, number + (skipped if number >= 100 else 0), 100 * tenth) for number, tenth in enumerate(tenths)]
        write(folder / "usdm" / f"{symbol.lower()}.gz", lines)


def test_what_flows_is_healthy_and_the_word_on_it_never_older_than_is_trusted(tmp_path: Path) -> None:
    record(tmp_path)
    events = said(tmp_path)
    venue = [event for event in events if event.symbol is None]
    assert venue[-1].state is HealthState.HEALTHY
    assert venue[-1].healthy_symbols == ["AAAUSDT", "BBBUSDT"]
    assert (venue[-1].gaps, venue[-1].reconnects, venue[-1].resyncs) == (0, 0, 0)
    assert all(event.event_ts % SECOND_US == 0 for event in events)
    steps = [later.event_ts - event.event_ts for event, later in pairwise(venue)]
    assert max(steps) <= MOST_SILENT_S / 2 * SECOND_US
    assert said(tmp_path) == events
    assert len({event.event_id for event in events}) == len(events)


def test_a_symbol_that_fell_silent_while_it_was_recorded_is_told_of_and_no_other(tmp_path: Path) -> None:
    record(tmp_path, silent_s=30)
    events = said(tmp_path)
    states = [(event.state, event.detail) for event in events if event.symbol == "AAAUSDT"]
    assert [state for state, _ in states][-3:] == [HealthState.HEALTHY, HealthState.DEGRADED, HealthState.HEALTHY]
    assert states[-2][1].startswith("no trade for 1")
    assert {event.state for event in events if event.symbol == "BBBUSDT"} <= {HealthState.STARTING, HealthState.HEALTHY}


def test_trades_that_were_lost_while_it_was_recorded_are_a_gap(tmp_path: Path) -> None:
    record(tmp_path, skipped=3)
    events = said(tmp_path)
    assert [event.gaps for event in events if event.symbol is None][-1] == 2
    assert {event.detail for event in events if event.state is HealthState.DEGRADED and event.symbol} == {"trades are missing"}


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the recorded data are not at {DATA}")
def test_in_the_recorded_data_nothing_is_called_stale_or_missing() -> None:
    events = said(DATA / "spot")
    states = {event.symbol: event.state for event in events if event.symbol}
    assert states == dict.fromkeys(("BTCUSDT", "ETHUSDT"), HealthState.HEALTHY)
    assert HealthState.DEGRADED not in {event.state for event in events}
    assert {event.gaps for event in events} == {0}
