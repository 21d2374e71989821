"""What is said of a venue: everything that changes, again every few seconds, and never that a symbol is well when it is not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.exchange.health.symbol import Lifeline
from connectors.exchange.health.venue import VenueHealth
from connectors.exchange.settings import HealthSettings
from schemas.common import FrameKind, HealthState
from schemas.exchange.records import ExchangeFrame
from schemas.health.records import HealthEvent

SYMBOLS = ("BTCUSDT", "ETHUSDT")
START_S = 1_000.0
EPOCH_US = 1_790_000_000_000_000
STEP_S = 0.5
OFFSET_US = 40_000


class World:
    """A venue that sends what it is told to, and the word on it, twice a second."""

    def __init__(self, **limits: float) -> None:
        self.settings = HealthSettings(**limits)
        self.health = VenueHealth("binance-usdm", SYMBOLS, self.settings, "t")
        self.now = START_S
        self.said: list[HealthEvent] = []
        self.lines: dict[str, Lifeline] = {}
        self.trades = dict.fromkeys(SYMBOLS, 100)
        self.sent = 0

    @property
    def now_us(self) -> int:
        return EPOCH_US + round((self.now - START_S) * 1e6)

    def connect(self, *symbols: str) -> None:
        line = self.health.opened(symbols or SYMBOLS, self.now)
        for symbol in symbols or SYMBOLS:
            self.lines[symbol] = line
            self.health.caught_up(symbol, self.now, self.trades[symbol], [self.trades[symbol]])

    def frame(self, symbol: str, channel: str = "quote", *, late_s: float = 0.05, kind: FrameKind = FrameKind.STREAM) -> None:
        self.sent += 1
        self.lines[symbol].heard = self.now
        event_us = self.now_us - round(late_s * 1e6)
        frame = ExchangeFrame(
            event_id=f"f{self.sent}", event_ts=event_us, ingest_ts=self.now_us - OFFSET_US, venue="binance-usdm", symbol=symbol,
            channel=channel, kind=kind, session="s", sequence=self.sent, payload="{}",
        )  # fmt: skip
        self.health.received(frame, self.now, OFFSET_US, self.trades[symbol] if channel == "trade" else None)

    def trade(self, symbol: str, skipped: int = 0) -> None:
        self.trades[symbol] += 1 + skipped
        self.frame(symbol, "trade")

    def run(self, seconds: float, *flowing: str, late_s: float = 0.05) -> list[HealthEvent]:
        """Let time pass in which some symbols send trades and quotes; return what is said meanwhile."""
        before = len(self.said)
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            for symbol in flowing:
                self.trade(symbol)
                self.frame(symbol, late_s=late_s)
            self.look()
        return self.said[before:]

    def look(self) -> None:
        self.said.extend(self.health.look(self.now, self.now_us, self.now_us - OFFSET_US))

    def newest(self, symbol: str | None = None) -> HealthEvent:
        return next(event for event in reversed(self.said) if event.symbol == symbol)


def well() -> World:
    """Return a venue whose symbols have been well for a while."""
    world = World()
    world.look()
    world.connect()
    world.run(15, *SYMBOLS)
    assert world.newest().state is HealthState.HEALTHY
    return world


def close(world: World) -> None:
    world.health.lost(world.lines["BTCUSDT"], "closed", world.now)


def lifeless(world: World) -> None:
    world.run(world.settings.lifeless_s + STEP_S)


def silent(world: World) -> None:
    world.run(world.settings.stale_s + STEP_S, "ETHUSDT")


def gap(world: World) -> None:
    world.trade("BTCUSDT", skipped=3)


def book_gap(world: World) -> None:
    world.health.book("BTCUSDT", "", live=True, now=world.now)
    world.health.book("BTCUSDT", "gap: updates 4 to 5 have not come", live=False, now=world.now)
    world.health.book("BTCUSDT", "", live=True, now=world.now)


def bookless(world: World) -> None:
    world.health.book("BTCUSDT", "", live=False, now=world.now)
    world.run(world.settings.stale_s + STEP_S, *SYMBOLS)


def late(world: World) -> None:
    world.run(15, *SYMBOLS, late_s=world.settings.late_s + 1)


@pytest.mark.parametrize(
    ("trouble", "state", "detail"),
    [
        (close, HealthState.DOWN, "no connection"),
        (lifeless, HealthState.DEGRADED, "the connection has given no sign of life for"),
        (silent, HealthState.DEGRADED, "no trade for 10.5 s"),
        (gap, HealthState.DEGRADED, "trades are missing"),
        (book_gap, HealthState.DEGRADED, "its order book was thrown away, gap"),
        (bookless, HealthState.DEGRADED, "its order book is not known for"),
        (late, HealthState.DEGRADED, "frames come 3.0 s late"),
    ],
)
def test_trouble_is_said_within_a_look_and_its_end_after_it_has_settled(
    trouble: Callable[[World], None], state: HealthState, detail: str
) -> None:
    world = well()
    trouble(world)
    world.look()
    symbol, venue = world.newest("BTCUSDT"), world.newest()
    assert (symbol.state, symbol.detail[: len(detail)]) == (state, detail)
    assert 0 <= world.now_us - venue.event_ts <= world.settings.every_s * 1e6
    assert "BTCUSDT" in venue.unhealthy_symbols
    assert "BTCUSDT" not in venue.healthy_symbols
    assert venue.state is not HealthState.HEALTHY
    world.connect()
    world.health.book("BTCUSDT", "", live=True, now=world.now)
    back = world.run(100, *SYMBOLS)
    states = [event.state for event in back if event.symbol == "BTCUSDT"]
    assert states[-1] is HealthState.HEALTHY
    assert world.newest().healthy_symbols == list(SYMBOLS)
    first = next(event for event in back if event.symbol == "BTCUSDT" and event.state is HealthState.HEALTHY)
    if state is HealthState.DEGRADED:
        assert first.event_ts >= venue.event_ts + (world.settings.settle_s - STEP_S) * 1e6


def test_a_connection_that_is_made_again_between_two_looks_is_told_of() -> None:
    world = well()
    close(world)
    world.connect()
    for symbol in SYMBOLS:
        world.trade(symbol)
    world.look()
    for symbol in SYMBOLS:
        assert (world.newest(symbol).state, world.newest(symbol).detail) == (HealthState.DEGRADED, "the connection was lost: closed")
    assert world.newest().unhealthy_symbols == list(SYMBOLS)


def test_a_venue_that_was_never_reached_is_down() -> None:
    world = World()
    world.look()
    assert world.newest().state is HealthState.STARTING
    world.health.lost(None, "unreachable", world.now)
    world.look()
    assert (world.newest().state, world.newest().reconnects) == (HealthState.DOWN, 1)


def test_figures_are_counted_and_measured() -> None:
    world = well()
    gap(world)
    book_gap(world)
    close(world)
    for seconds in (0.010, 0.020, 0.030):
        world.health.pinged(seconds, world.now)
    world.health.offset_us = OFFSET_US
    world.look()
    said = world.newest()
    assert (said.gaps, said.resyncs, said.reconnects, said.feed_age_ms) == (2, 1, 1, 0.0)
    assert (said.clock_offset_ms, said.ping_p50_ms, said.ping_p99_ms) == (40.0, 20.0, 30.0)
    assert (said.delay_p50_ms, said.delay_p99_ms, said.round_trip_p50_ms) == (50.0, 50.0, None)
    assert (said.component, said.worker, said.venue) == ("feed", "feed-binance-usdm", "binance-usdm")
    assert world.newest("ETHUSDT").gaps == 0


def test_trades_that_could_not_be_fetched_after_a_reconnect_are_a_gap_and_those_that_were_are_none() -> None:
    world = well()
    close(world)
    known = world.trades["BTCUSDT"]
    for symbol in SYMBOLS:
        world.trades[symbol] += 50  # while nobody listened
    world.health.opened(SYMBOLS, world.now)
    world.trade("BTCUSDT")
    world.trade("ETHUSDT")
    world.health.caught_up("BTCUSDT", world.now, known, list(range(known + 1, world.trades["BTCUSDT"] + 3)))
    world.health.caught_up("ETHUSDT", world.now, known, list(range(known + 9, world.trades["ETHUSDT"])))
    world.trade("BTCUSDT")
    world.look()
    assert (world.newest("BTCUSDT").gaps, world.newest("ETHUSDT").gaps) == (0, 1)


def test_what_was_fetched_is_no_sign_of_the_stream() -> None:
    world = World()
    world.connect()
    for _ in range(50):
        world.frame("BTCUSDT", "trade", late_s=3_600, kind=FrameKind.REST)
    world.look()
    assert world.newest("BTCUSDT").state is HealthState.STARTING
    assert world.newest().delay_p50_ms is None


ACTIONS: list[Callable[[World], Any]] = [
    lambda world: world.run(1.0, *SYMBOLS),
    lambda world: world.run(3.0, "ETHUSDT"),
    lambda world: world.run(12.0, "BTCUSDT"),
    lambda world: world.run(2.0),
    lambda world: world.run(7.0),
    gap,
    book_gap,
    close,
    lambda world: world.connect(),
    lambda world: world.connect("ETHUSDT"),
    lambda world: world.health.lost(None, "unreachable", world.now),
]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(ACTIONS), max_size=15), st.floats(0.5, 5.0))
def test_whatever_happens_every_change_is_said_and_nobody_is_well_without_frames(
    actions: list[Callable[[World], Any]], every_s: float
) -> None:
    world = World(every_s=every_s)
    world.look()
    world.connect()
    for action in actions:
        action(world)
        world.look()
        venue = world.newest()
        assert sorted([*venue.healthy_symbols, *venue.unhealthy_symbols]) == sorted(SYMBOLS)
        assert world.now_us - venue.event_ts <= (every_s + STEP_S) * 1e6
        for symbol in SYMBOLS:
            newest = world.newest(symbol)
            assert (symbol in venue.healthy_symbols) == (newest.state is HealthState.HEALTHY)
            if newest.state is HealthState.HEALTHY:
                assert world.lines[symbol].open
                assert world.now - world.lines[symbol].heard <= world.settings.lifeless_s
    assert len({event.event_id for event in world.said}) == len(world.said)
    for symbol in SYMBOLS:
        told = [event for event in world.said if event.symbol == symbol]
        assert all(one.state is not other.state for one, other in pairwise(told))
        counts = [(event.gaps or 0, event.resyncs or 0, event.reconnects or 0) for event in told]
        assert counts == sorted(counts)
    world.connect()
    world.run(100, *SYMBOLS)
    assert world.newest().state is HealthState.HEALTHY, "it does not come back"
