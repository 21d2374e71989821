"""The recorded files: every trade and quote once, and bars that equal another computation of them."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest

from processors.market.depth import DepthState, is_depth, on_depth
from processors.market.logic import VenueState, on_frame
from processors.market.rules import Rules
from schemas.common import FrameKind
from schemas.market.records import MarketKline, MarketTick
from tests.unit.market.frames import DATA, recorded

FILES = sorted(DATA.glob("*/*.gz"))
SECOND = 1_000_000

pytestmark = pytest.mark.skipif(not FILES, reason=f"no recorded frames in {DATA}; set QUANTUM_DATA")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name + "-" + path.name.split("_2")[0])
def test_counts_and_bars_equal_the_file(path: Path) -> None:
    frames = list(recorded(path))
    channels = Counter(frame.channel for frame in frames)
    end = max(frame.event_ts for frame in frames)
    frames.append(
        msgspec.structs.replace(frames[-1], channel="heartbeat", kind=FrameKind.HEARTBEAT, payload="{}", event_ts=end - end % SECOND)
    )
    state, books, rules = VenueState(), DepthState(), Rules()
    topics: Counter[str] = Counter()
    ids, bars = [], []
    began = time.process_time()
    for frame in frames:
        for output in on_depth(rules, books, frame) if is_depth(frame) else on_frame(rules, state, frame):
            topics[output.topic] += 1
            if isinstance(output.record, MarketTick):
                ids.append(output.record.trade_id)
            elif isinstance(output.record, MarketKline):
                bars.append(output.record)
    rate = len(frames) / (time.process_time() - began)
    print(f"{path.name}: {len(frames)} frames, {rate:,.0f} a second")
    assert topics["market.tick"] == channels["trade"] == len(set(ids))
    assert topics["market.quote"] == channels["quote"]
    assert topics["market.depth"] > 30
    assert (state.ids.missing, state.ids.duplicates, state.bars.late_trades) == (0, 0, 0)
    assert rate > 15_000

    raw = [msgspec.json.decode(frame.payload) for frame in frames if frame.channel == "trade"]
    price, quantity = (np.array([float(each[name]) for each in raw]) for name in "pq")
    buys = np.array([not each["m"] for each in raw])
    ts = np.array([each["T"] * 1000 for each in raw])
    for interval, length in (("1s", SECOND), ("1m", 60 * SECOND), ("5m", 300 * SECOND)):
        mine = [bar for bar in bars if bar.interval == interval]
        start = ts[0] - ts[0] % length if interval == "1s" else -(-ts[0] // length) * length
        stop = (end - end % SECOND) // length * length
        assert [bar.open_ts for bar in mine] == list(range(start, stop, length))
        for bar in mine:
            inside = np.flatnonzero((ts >= bar.open_ts) & (ts < bar.close_ts))
            assert bar.trades == len(inside)
            if not len(inside):
                assert (bar.volume, bar.open, bar.first_trade_id) == (0, bar.close, None)
                assert bar.close == price[ts < bar.open_ts][-1]
                continue
            p, q = price[inside], quantity[inside]
            assert (bar.open, bar.high, bar.low, bar.close) == (p[0], p.max(), p.min(), p[-1])
            assert bar.volume == pytest.approx(q.sum(), rel=1e-12)
            assert bar.quote_volume == pytest.approx((p * q).sum(), rel=1e-12)
            assert bar.taker_buy_volume == pytest.approx(q[buys[inside]].sum(), rel=1e-12)
            assert (bar.first_trade_id, bar.last_trade_id) == (raw[inside[0]]["t"], raw[inside[-1]]["t"])
