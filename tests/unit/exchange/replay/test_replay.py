"""Recordings, small ones made here and the real one where it is at hand."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import time
from collections import Counter, defaultdict
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from connectors.exchange.clock import SECOND
from connectors.exchange.replay.rules import Observed, instrument_of
from connectors.exchange.replay.settings import ReplaySettings
from connectors.exchange.replay.source import ReplaySummary, run_replay
from connectors.exchange.venues import SPOT, USDM
from quantum.errors import ConfigurationError, DependencyError
from schemas.exchange.records import ExchangeFrame

DATA = Path(os.environ.get("QUANTUM_DATA", Path(__file__).parents[5] / "shared" / "data")) / "binance_raw"
START_NS = 1_723_161_255_000_000_000
OFFSET_MS = 1_270


class Sink:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.frames: list[ExchangeFrame] = []

    def send(self, frame: ExchangeFrame) -> None:
        self.frames.append(frame)

    def of(self, channel: str) -> list[ExchangeFrame]:
        return [frame for frame in self.frames if frame.channel == channel]


def play(folder: Path, sink: Sink, ticks: list[int] | None = None, speed: str = "max") -> ReplaySummary:
    clock = [] if ticks is None else ticks
    return asyncio.run(run_replay(ReplaySettings(folder=folder, speed=speed), sink, clock.append, asyncio.Event()))


def trade(symbol: str, number: int, after_ms: int, price: str = "10.5", quantity: str = "2") -> bytes:
    """Return the line of a trade that is received ``after_ms`` after the start; the venue's clock is ahead by OFFSET_MS."""
    ts = START_NS // 1_000_000 + after_ms + OFFSET_MS
    data = {"e": "trade", "E": ts, "T": ts, "s": symbol, "t": number, "p": price, "q": quantity, "m": False}
    frame = {"stream": f"{symbol.lower()}@trade", "data": data}
    return f"{START_NS + after_ms * 1_000_000} {json.dumps(frame, separators=(',', ':'))}\n".encode()


def write(path: Path, lines: list[bytes], *, cut: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = b"".join(lines)
    if path.suffix == ".gz":
        raw = gzip.compress(raw)
    path.write_bytes(raw[: len(raw) - cut] if cut else raw)


def test_files_are_merged_by_time_of_receipt(tmp_path: Path) -> None:
    write(tmp_path / "usdm" / "aaausdt_20240808.gz", [trade("AAAUSDT", n, 200 * n) for n in range(10)])
    write(tmp_path / "deep" / "usdm" / "er" / "bbbusdt.jsonl", [trade("BBBUSDT", n, 200 * n + 100) for n in range(10)])
    sink = Sink()
    summary = play(tmp_path, sink)
    assert [(frame.symbol, json.loads(frame.payload)["t"]) for frame in sink.of("trade")] == [
        (symbol, n) for n in range(10) for symbol in ("AAAUSDT", "BBBUSDT")
    ]
    assert [frame.ingest_ts for frame in sink.of("trade")] == [START_NS // 1_000 + 100_000 * n for n in range(20)]
    assert (summary.late, summary.bad_lines, summary.malformed, summary.damaged, summary.unknown) == (0, 0, 0, [], {})


def test_heartbeats_and_ticks_close_every_second(tmp_path: Path) -> None:
    write(tmp_path / "usdm" / "aaausdt.gz", [trade("AAAUSDT", n, 300 * n) for n in range(20)])
    sink, ticks = Sink(), list[int]()
    summary = play(tmp_path, sink, ticks)
    beats = [frame.event_ts for frame in sink.of("heartbeat")]
    assert all(later - earlier == SECOND for earlier, later in pairwise(beats))
    assert beats[-1] >= summary.last_event_us - summary.last_event_us % SECOND + SECOND
    assert all(later - earlier == SECOND for earlier, later in pairwise(ticks))
    assert ticks[-1] == beats[-1]
    before: dict[str, int] = defaultdict(int)
    for frame in sink.frames:  # nothing comes after the heartbeat that vouched for it
        assert frame.event_ts >= before[frame.symbol]
        if frame.channel == "heartbeat":
            before[frame.symbol] = frame.event_ts


def test_what_cannot_be_read_is_counted_and_costs_nothing_else(tmp_path: Path) -> None:
    lines = [trade("AAAUSDT", n, n) for n in range(2_000)]
    write(tmp_path / "usdm" / "aaausdt_1.gz", lines, cut=200)
    odd = [
        b"no time here\n",
        b"\n",
        b"17\n",
        f"{START_NS} not json\n".encode(),
        f'{START_NS} {{"stream":"x@kline_1m","data":{{}}}}\n'.encode(),
    ]
    write(tmp_path / "usdm" / "bbbusdt_1.txt", [*odd, *(trade("BBBUSDT", n, n) for n in range(50))])
    write(tmp_path / "usdm" / "empty.gz", [])
    (tmp_path / "usdm" / "README.txt").write_text("about")
    sink = Sink()
    summary = play(tmp_path, sink)
    assert len(summary.damaged) == 1
    assert "aaausdt_1.gz" in summary.damaged[0]
    assert (summary.bad_lines, summary.malformed, summary.unknown) == (2, 1, {"binance-usdm:x@kline_1m": 1})
    read = [json.loads(frame.payload)["t"] for frame in sink.of("trade") if frame.symbol == "AAAUSDT"]
    assert read == list(range(len(read)))
    assert 1_000 < len(read) < 2_000
    assert summary.frames["binance-usdm:BBBUSDT:trade"] == 50


def test_a_replay_gives_the_same_frames_again(tmp_path: Path) -> None:
    write(tmp_path / "spot" / "aaausdt.gz", [trade("AAAUSDT", n, 100 * n) for n in range(30)])
    once, again = Sink(), Sink()
    assert play(tmp_path, once) == play(tmp_path, again)
    assert once.frames == again.frames
    assert len({frame.event_id for frame in once.frames}) == len(once.frames)


def test_the_rules_of_an_unknown_symbol_are_what_its_frames_are_multiples_of(tmp_path: Path) -> None:
    prices = ["10.50", "11.00", "12.25", "10.75"]
    write(tmp_path / "usdm" / "zzzusdt.gz", [trade("ZZZUSDT", n, n, price, "0.60" if n % 2 else "1.00") for n, price in enumerate(prices)])
    sink = Sink()
    play(tmp_path, sink)
    (frame,) = sink.of("instrument")
    assert frame is sink.frames[0]
    info = json.loads(frame.payload)
    assert (info["symbol"], info["baseAsset"], info["quoteAsset"]) == ("ZZZUSDT", "ZZZ", "USDT")
    assert info["filters"] == [
        {"filterType": "PRICE_FILTER", "tickSize": "0.25"},
        {"filterType": "LOT_SIZE", "stepSize": "0.2", "minQty": "0.2", "maxQty": "1.00"},
    ]


def test_the_rules_of_a_known_symbol_are_the_venues() -> None:
    text = instrument_of(USDM, "BTCUSDT", Observed())
    assert text is not None
    filters = {row["filterType"]: row for row in json.loads(text)["filters"]}
    assert (filters["PRICE_FILTER"]["tickSize"], filters["LOT_SIZE"]["stepSize"]) == ("0.10", "0.001")
    assert instrument_of(SPOT, "NOTHING", Observed()) is None


def test_a_hole_between_recordings_is_not_a_silence(tmp_path: Path) -> None:
    day_ms = 86_400_000
    write(tmp_path / "usdm" / "aaausdt.gz", [trade("AAAUSDT", 1, 0), trade("AAAUSDT", 2, day_ms)])
    sink = Sink()
    play(tmp_path, sink)
    assert len(sink.of("heartbeat")) < 10


def test_real_time_at_tenfold_speed(tmp_path: Path) -> None:
    write(tmp_path / "usdm" / "aaausdt.gz", [trade("AAAUSDT", n, 500 * n) for n in range(11)])
    began = time.monotonic()
    play(tmp_path, Sink(), speed="10")
    assert 0.45 < time.monotonic() - began < 4.0


async def test_it_stops_when_told(tmp_path: Path) -> None:
    write(tmp_path / "usdm" / "aaausdt.gz", [trade("AAAUSDT", n, n) for n in range(5_000)])
    stop = asyncio.Event()
    stop.set()
    sink = Sink()
    await run_replay(ReplaySettings(folder=tmp_path), sink, lambda _: None, stop)
    assert sink.of("trade") == []


def test_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="no folder"):
        play(tmp_path / "nowhere", Sink())
    with pytest.raises(DependencyError, match="no recorded file"):
        play(tmp_path, Sink())
    write(tmp_path / "usdm" / "aaausdt.gz", [b"nothing\n"])
    with pytest.raises(DependencyError, match="no line"):
        play(tmp_path, Sink())
    for speed in ("0", "-1", "fast", "nan"):
        with pytest.raises(ConfigurationError, match="speed"):
            ReplaySettings(folder=tmp_path, speed=speed)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data at {DATA}; set QUANTUM_DATA")
def test_the_recorded_data_is_complete() -> None:
    """Counts equal the files' own; nothing is late; the offsets and rules are those of the recording."""
    sink, ticks = Sink(), list[int]()
    summary = play(DATA, sink, ticks)
    trades = {name.removesuffix(":trade"): count for name, count in summary.frames.items() if name.endswith(":trade")}
    assert trades == {
        "binance-spot:BTCUSDT": 9_757,
        "binance-spot:ETHUSDT": 6_106,
        "binance-usdm:BTCUSDT": 21_313,
        "binance-usdm:ETHUSDT": 14_076,
        "binance-coinm:BTCUSD_PERP": 2_286,
        "binance-coinm:ETHUSD_PERP": 1_732,
    }
    assert (summary.late, summary.malformed, summary.bad_lines, summary.damaged, summary.unknown) == (0, 0, 0, [], {})
    assert summary.frames["binance-usdm:BTCUSDT:quote"] == 66_089
    assert summary.frames["binance-spot:BTCUSDT:depth_snapshot"] == 1
    assert Counter(frame.channel for frame in sink.frames)["instrument"] == 6
    ids: dict[str, list[int]] = defaultdict(list)
    for frame in sink.of("trade"):
        ids[f"{frame.venue}:{frame.symbol}"].append(json.loads(frame.payload)["t"])
    assert all(sorted(numbers) == list(range(min(numbers), max(numbers) + 1)) for numbers in ids.values())
    spot_quotes = [frame for frame in sink.of("quote") if frame.venue == SPOT.name]
    assert {frame.event_ts - frame.ingest_ts for frame in spot_quotes} <= set(range(1_260_000, 1_280_000))
    assert ticks == list(range(ticks[0], ticks[-1] + 1, SECOND))


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data at {DATA}; set QUANTUM_DATA")
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_inferred_rules_agree_with_the_real_ones(symbol: str) -> None:
    """What the inference finds in the recorded quotes of a known symbol is the venue's own tick and lot."""
    observed = Observed()
    sink = Sink()
    play(DATA / "usdm", sink)
    for frame in sink.of("quote")[:20_000]:
        if frame.symbol == symbol:
            observed.see(frame.payload)
    known = instrument_of(USDM, symbol, Observed())
    assert known is not None
    filters = {row["filterType"]: row for row in json.loads(known)["filters"]}
    assert observed.tick_size == Decimal(filters["PRICE_FILTER"]["tickSize"])
    assert observed.lot_size == Decimal(filters["LOT_SIZE"]["stepSize"])
