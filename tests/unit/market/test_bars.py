from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.market.logic import VenueState, on_frame
from processors.market.rules import Rules
from quantum.errors import ConfigurationError
from schemas.exchange.records import ExchangeFrame
from schemas.market.records import MarketKline
from tests.unit.market.frames import T0, frame, heartbeat, rest_trade, trade

RULES = Rules()
LENGTHS = {"1s": 1, "1m": 60, "5m": 300, "15m": 900, "1h": 3600}


def bars(frames: list[ExchangeFrame], state: VenueState | None = None, rules: Rules = RULES) -> dict[str, list[MarketKline]]:
    state = state or VenueState()
    found: dict[str, list[MarketKline]] = defaultdict(list)
    for each in frames:
        for output in on_frame(rules, state, each):
            if isinstance(output.record, MarketKline):
                found[output.record.interval].append(output.record)
    return found


def test_a_bar_of_known_trades() -> None:
    [bar] = bars([trade(1, 100, 10, 2), trade(2, 300, 12, 1, sell=True), trade(3, 900, 9, 3), heartbeat(1000)])["1s"]
    assert (bar.open, bar.high, bar.low, bar.close) == (10, 12, 9, 9)
    assert (bar.volume, bar.quote_volume, bar.trades, bar.taker_buy_volume) == (6, 20 + 12 + 27, 3, 5)
    assert (bar.first_trade_id, bar.last_trade_id, bar.open_ts, bar.close_ts, bar.event_ts) == (1, 3, T0, T0 + 1_000_000, T0 + 1_000_000)
    assert bar.event_id == f"binance-usdm:BTCUSDT:1s:{T0}"


def test_a_trade_closes_a_bar_only_after_the_grace_and_one_out_of_order_is_in_its_bar() -> None:
    state = VenueState()
    assert not bars([trade(1, 100, 10), trade(2, 1240, 20)], state)
    [first] = bars([trade(3, 990, 15), trade(4, 1250, 30)], state)["1s"]
    assert (first.trades, first.high, first.last_trade_id) == (2, 15, 3)


def test_a_late_trade_is_counted_and_still_a_tick() -> None:
    state = VenueState()
    bars([trade(1, 100), heartbeat(1000)], state)
    [tick] = on_frame(RULES, state, trade(2, 900))
    assert tick.topic == "market.tick"
    assert state.bars.late_trades == 1
    [bar] = bars([heartbeat(2000)], state)["1s"]
    assert bar.volume == 0


def test_quotes_do_not_close_bars() -> None:
    quote = {"u": 1, "s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1", "T": T0 // 1000 + 5000}
    assert not bars([trade(1, 100), frame("quote", quote, T0 + 5_000_000)])


def test_silence_is_bars_of_volume_zero() -> None:
    found = bars([trade(1, 0, 42), heartbeat(3_600_000)])
    assert len(found["1s"]) == 3600
    assert all(bar.close == 42 for bar in found["1s"])
    assert [bar.volume for bar in found["1s"][1:]] == [0.0] * 3599
    assert {interval: len(each) for interval, each in found.items()} == {"1s": 3600, "1m": 60, "5m": 12, "15m": 4, "1h": 1}
    assert found["1s"][5].first_trade_id is None


def test_a_silence_that_is_too_long_begins_anew() -> None:
    state, rules = VenueState(), Rules(max_gap_us=10_000_000)
    found = bars([trade(1, 0, 42), trade(2, 100_500, 43), heartbeat(102_000)], state, rules)["1s"]
    assert [(bar.open_ts - T0) // 1_000_000 for bar in found] == [0, 100, 101]
    assert state.bars.resets == 1
    assert not bars([heartbeat(300_000)], state, rules)
    assert state.bars.resets == 2
    assert [bar.open for bar in bars([trade(3, 300_100, 7), heartbeat(301_000)], state, rules)["1s"]] == [7]


def test_the_second_after_such_a_silence_has_all_its_trades() -> None:
    state, rules = VenueState(), Rules(max_gap_us=10_000_000)
    found = bars([trade(1, 0), trade(2, 100_100), trade(3, 100_300), trade(4, 102_000)], state, rules)["1s"]
    assert [(bar.open_ts - T0, bar.trades) for bar in found] == [(0, 1), (100_000_000, 2)]
    assert state.bars.late_trades == 0


def test_a_longer_bar_needs_its_beginning() -> None:
    whole = bars([trade(1, 0), heartbeat(120_000)])
    assert [bar.open_ts for bar in whole["1m"]] == [T0, T0 + 60_000_000]
    partial = bars([trade(1, 1), heartbeat(120_000)])
    assert [bar.open_ts for bar in partial["1m"]] == [T0 + 60_000_000]
    assert len(partial["1s"]) == 120


def test_a_longer_bar_begins_with_its_first_trade_whenever_that_is() -> None:
    found = bars([trade(1, 0, 42), trade(2, 75_000, 50), trade(3, 80_000, 51), heartbeat(180_000)])["1m"]
    assert [(bar.open, bar.high, bar.low, bar.close, bar.trades) for bar in found] == [
        (42, 42, 42, 42, 1),
        (50, 51, 50, 51, 2),
        (51, 51, 51, 51, 0),
    ]


def test_trades_without_price_are_ticks_but_in_no_bar() -> None:
    state = VenueState()
    [tick] = on_frame(RULES, state, trade(1, 0, 0, 0))
    assert tick.record.event_id == "binance-usdm:BTCUSDT:t:1"
    [bar] = bars([trade(2, 10, 5), trade(3, 20, 0, 0), heartbeat(1000)], state)["1s"]
    assert (bar.low, bar.trades, bar.first_trade_id) == (5, 1, 2)


TRADES = st.lists(
    st.tuples(st.integers(0, 400_000), st.floats(0.01, 1e6), st.floats(0.001, 1e4), st.booleans(), st.booleans()), min_size=1, max_size=80
)


@given(TRADES, st.integers(1, 30))
def test_laws_of_bars(raw: list[tuple[int, float, float, bool, bool]], beats: int) -> None:
    """In order of time: contiguous, complete, high the maximum, and volumes of a bar those of its parts."""
    raw.sort(key=lambda each: each[0])
    frames = [
        (rest_trade if rest else trade)(number, at, price, quantity, sell=sell)
        for number, (at, price, quantity, sell, rest) in enumerate(raw, 1)
    ]
    frames += [heartbeat(raw[-1][0] + 20_000 * beat) for beat in range(1, beats + 1)]
    state = VenueState()
    found = bars(frames, state)
    state = msgspec.json.decode(msgspec.json.encode(state), type=VenueState)
    assert state.bars.late_trades == 0
    seconds = found["1s"]
    assert sum(bar.trades for bar in seconds) == len(raw)
    assert math.isclose(sum(bar.volume for bar in seconds), sum(each[2] for each in raw), rel_tol=1e-9)
    by_second = defaultdict(list)
    for at, price, quantity, _, _ in raw:
        by_second[T0 + at // 1000 * 1_000_000].append((price, quantity))
    for bar in seconds:
        inside = by_second.get(bar.open_ts)
        if inside:
            assert (bar.open, bar.high, bar.low, bar.close) == (
                inside[0][0], max(p for p, _ in inside), min(p for p, _ in inside), inside[-1][0],
            )  # fmt: skip
        else:
            assert bar.volume == 0
            assert bar.open == bar.high == bar.low == bar.close
        assert 0 <= bar.taker_buy_volume <= bar.volume
    for interval, each in found.items():
        length = LENGTHS[interval] * 1_000_000
        assert all(bar.open_ts % length == 0 and bar.close_ts == bar.open_ts + length for bar in each)
        assert all(later.open_ts == bar.close_ts for bar, later in pairwise(each))
        for bar in each:
            parts = [part for part in seconds if bar.open_ts <= part.open_ts < bar.close_ts]
            assert len(parts) == LENGTHS[interval]
            priced = [part for part in parts if part.trades] or parts
            assert (bar.open, bar.close) == (priced[0].open, parts[-1].close)
            assert (bar.high, bar.low) == (max(part.high for part in priced), min(part.low for part in priced))
            assert bar.trades == sum(part.trades for part in parts)
            assert math.isclose(bar.volume, sum(part.volume for part in parts), rel_tol=1e-9, abs_tol=1e-12)


@given(st.permutations(range(8)), st.integers(0, 24))
def test_order_within_the_grace_does_not_change_volume(order: list[int], spread: int) -> None:
    """Trades within the grace of each other may come in any order."""
    times = [900 + number * spread for number in range(8)]
    first = [trade(100, 850)]
    shuffled = [trade(101 + number, times[index], 10 + index, 1 + index) for number, index in enumerate(order)]
    in_order = [trade(101 + index, times[index], 10 + index, 1 + index) for index in range(8)]
    got, want = (
        [(bar.volume, bar.high, bar.low, bar.trades) for bar in bars([*first, *frames, heartbeat(5000)])["1s"] if bar.trades]
        for frames in (shuffled, in_order)
    )
    assert got == want


@pytest.mark.parametrize("make", [lambda: Rules(grace_us=-1), lambda: Rules(max_gap_us=0), lambda: Rules(stale_us=-5)])
def test_rules_have_ranges(make: Callable[[], Rules]) -> None:
    with pytest.raises(ConfigurationError, match="out of its range"):
        make()
