"""Point-in-time parity: the vectors that the stages make of frames as they come are those of the whole history, feature by feature."""

from __future__ import annotations

import heapq
from itertools import groupby

import msgspec
import numpy as np
import pytest

from ml.features import BAR_FEATURES, CONTEXT_FEATURES
from schemas.common import BookState, FrameKind
from schemas.exchange.records import ExchangeFrame
from schemas.features.records import Features
from schemas.market.records import MarketDepth
from schemas.record import Record
from tests.unit.features.history import INTERVALS, VENUE, log_of, recomputed, vectors_of
from tests.unit.market.frames import DATA, T0, frame, heartbeat, recorded, trade

NAMES = (*BAR_FEATURES, *CONTEXT_FEATURES)
HOURS = 2.2
US, MS = 1_000_000, 1_000


def assert_parity(log: list[Record]) -> dict[str, dict[str, int]]:
    """Check every feature of every bar; return how many values there are by interval and name."""
    found: dict[str, dict[str, int]] = {}
    vectors = sorted(vectors_of(log), key=lambda vector: (vector.interval, vector.bar_close_ts))
    for interval, group in groupby(vectors, key=lambda vector: vector.interval):
        rows: list[Features] = list(group)
        wanted = recomputed(log, interval)
        assert set(wanted) == set(NAMES)
        found[interval] = {}
        for name in NAMES:
            values = [getattr(row, name) for row in rows]
            got, want = np.array([np.nan if value is None else value for value in values]), wanted[name]
            np.testing.assert_array_equal(np.isnan(got), np.isnan(want), err_msg=f"{interval} {name}")
            scale = np.nanmax(np.abs(want), initial=0.0) or 1.0  # 0 is 0 within the rounding of what is subtracted
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12 * scale, err_msg=f"{interval} {name}", equal_nan=True)
            found[interval][name] = int(np.count_nonzero(~np.isnan(want)))
    return found


def bars_without(found: dict[str, dict[str, int]], interval: str) -> set[str]:
    """Return the features that no bar of an interval had."""
    return {name for name, count in found[interval].items() if not count}


@pytest.mark.skipif(not DATA.exists(), reason=f"no recorded frames in {DATA}; set QUANTUM_DATA")
@pytest.mark.parametrize("symbol", ["ethusdt", pytest.param("btcusdt", marks=pytest.mark.campaign)])
def test_recorded_frames_of_two_venues(symbol: str) -> None:
    files = [recorded(DATA / venue / f"{symbol}_20240808.gz") for venue in ("usdm", "spot")]
    frames = list(heapq.merge(*files, key=lambda each: each.ingest_ts))
    end = max(each.event_ts for each in frames)
    last = next(each for each in reversed(frames) if each.venue == VENUE)
    frames.append(msgspec.structs.replace(last, channel="heartbeat", kind=FrameKind.HEARTBEAT, payload="{}", event_ts=end - end % US))
    found = assert_parity(log_of(frames))
    assert set(found) == {"1s", "1m", "5m"}  # it is six minutes long
    assert bars_without(found, "1s") == {"funding_rate", "time_to_funding_s", "open_interest_change"}  # nor has it marks
    assert found["1s"]["order_flow_imbalance"] > 300
    assert found["5m"]["order_flow_imbalance"] == 1


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(2, 12))])
def test_every_interval_of_a_market_with_pauses_late_bars_and_lost_books(seed: int) -> None:
    found = assert_parity(log_of(market(seed)))
    assert set(found) == set(INTERVALS)
    assert bars_without(found, "1s") == bars_without(found, "1m") == set()
    for interval, bars in (("1s", 7_900), ("1m", 130), ("5m", 25), ("15m", 7), ("1h", 1)):
        assert found[interval]["log_return_1"] >= bars - 1
        assert found[interval]["order_flow_imbalance"] > 0.8 * bars


def market(seed: int) -> list[ExchangeFrame | Record]:
    """Return two venues' frames and a book's records of some hours by arrival; now and then one of the sources says nothing."""
    random = np.random.default_rng(seed)
    count = int(HOURS * 3_600)
    arrivals: list[tuple[int, int, ExchangeFrame | Record]] = []

    def arrive(ts: int, item: ExchangeFrame | Record, delay_ms: int = 5) -> None:
        arrivals.append((ts + delay_ms * MS, len(arrivals), item))

    cents = 10_000
    silent = {name: random.random(count // 100 + 1) < 0.08 for name in ("quote", "spot", "mark", "depth", "interest")}
    for second in range(count):
        at = second * 1_000
        says = {name: not pauses[second // 100] for name, pauses in silent.items()}
        for number in range(int(random.integers(0, 3))):
            cents = max(cents + int(random.integers(-3, 4)), 5_000)
            at_ms = at + int(random.integers(0, 1_000)) if number == 0 and second else at + 999 * number
            made = trade(second * 3 + number, at_ms, cents / 100, float(random.integers(1, 90)) / 8, sell=bool(random.integers(0, 2)))
            arrive(T0 + at_ms * MS, made)
        for offset in sorted(random.integers(0, 1_000, int(random.integers(0, 3)))):
            ts_ms = T0 // MS + at + int(offset)
            spread = int(random.integers(1, 4))
            sizes = random.integers(0, 40, 2) / 4
            payload = {
                "u": ts_ms * 10, "b": f"{(cents - spread) / 100}", "B": f"{sizes[0]}", "a": f"{(cents + spread) / 100}",
                "A": f"{sizes[1]}", "T": ts_ms, "E": ts_ms,
            }  # fmt: skip
            if says["quote"]:
                arrive(ts_ms * MS, frame("quote", payload, ts_ms * MS))
            if says["spot"]:
                arrive(ts_ms * MS, frame("quote", payload | {"b": f"{cents / 100 - 0.05}"}, ts_ms * MS, venue="binance-spot"))
        ts_ms = T0 // MS + at + 400
        if says["mark"]:
            mark = {"p": "100.5", "i": "100.25", "r": f"{random.normal() / 1e4:.8f}", "T": T0 // MS + 3_600_000, "E": ts_ms}
            arrive(ts_ms * MS, frame("mark", mark, ts_ms * MS))
        if second % 7 == 0 and says["interest"]:
            interest = {"openInterest": f"{1_000 + random.integers(0, 999) / 10}", "symbol": "BTCUSDT", "time": ts_ms - 300}
            arrive(ts_ms * MS, frame("open_interest", interest, ts_ms * MS, FrameKind.REST))
        if says["depth"]:
            arrive(ts_ms * MS, book(ts_ms * MS + 123, random))
        # what closes a bar comes a moment after its end, now and then seconds after it: what came meanwhile is of later bars
        arrive(T0 + at * MS, heartbeat(at), 3_200 if second % 90 == 0 else 260)
    return [item for _, _, item in sorted(arrivals, key=lambda each: each[:2])]


def book(ts: int, random: np.random.Generator) -> MarketDepth:
    levels = int(random.integers(4, 11)) if random.random() < 0.9 else 0
    bids, asks = random.integers(1, 100, (2, levels)) / 8
    steps = np.arange(levels) / 100
    return MarketDepth(
        event_id=f"d{ts}", event_ts=ts, ingest_ts=ts, venue=VENUE, symbol="BTCUSDT",
        state=BookState.LIVE if levels else BookState.STALE, bid_prices=(100 - steps).tolist(), bid_quantities=bids.tolist(),
        ask_prices=(101 + steps).tolist(), ask_quantities=asks.tolist(), resyncs=0,
    )  # fmt: skip
