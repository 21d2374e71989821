"""Bars from ticks: the view's bars are the stage's, field by field, whatever order the trades come in."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from connectors.clickhouse import migrate
from processors.market.bars import INTERVALS, SECOND
from processors.market.depth import is_depth
from processors.market.logic import VenueState, on_frame
from processors.market.rules import Rules
from schemas.exchange.records import ExchangeFrame
from schemas.market.records import MarketKline, MarketTick
from tests.integration.history_process import StoreProcess
from tests.integration.history_rows import Row, store
from tests.unit.market.frames import DATA, recorded, trade

FILES = sorted(DATA.glob("*/*.gz"))
LENGTHS = {"1s": 1, **{interval: length // SECOND for interval, length in INTERVALS}}
FIELDS = (
    "event_id", "event_ts", "venue", "symbol", "interval", "open_ts", "close_ts", "open", "high", "low", "close", "volume", "quote_volume",
    "trades", "taker_buy_volume", "first_trade_id", "last_trade_id",
)  # fmt: skip
SUMS = ("volume", "quote_volume", "taker_buy_volume")
#: The stage adds trade to second, second to minute and so on; the engine adds in blocks and threads. Addition of floats is not
#: associative: n terms differ by at most n * 2**-53 of the sum of their sizes, 6e-12 for the recorded day's 55,000 trades.
RELATIVE = 1e-11
SILENCES_MS = (86_399_000, 86_400_000, 86_401_000, 86_402_000, 200_000_000)


class Streamed(NamedTuple):
    """What the stage made of frames: ticks and bars in their order."""

    ticks: list[MarketTick]
    bars: list[MarketKline]
    late_trades: int


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    process = StoreProcess(tmp_path_factory.mktemp("store")).start()
    opened = process.client("default")
    migrate.apply(opened)
    opened.close()
    opened = process.client()
    yield opened
    opened.close()
    process.stop()


@pytest.fixture(autouse=True)
def empty(client: Client) -> None:
    client.command("TRUNCATE TABLE market_tick")


def streamed(frames: Iterable[ExchangeFrame]) -> Streamed:
    state, rules = VenueState(), Rules()
    records = [output.record for frame in frames for output in on_frame(rules, state, frame)]
    ticks = [record for record in records if isinstance(record, MarketTick)]
    return Streamed(ticks, [record for record in records if isinstance(record, MarketKline)], state.bars.late_trades)


def keep(client: Client, ticks: Iterable[MarketTick]) -> None:
    now_us = int(time.time()) * SECOND
    store(client, "market.tick", (Row(tick, now_us) for tick in ticks))


def bars(client: Client, seconds: int) -> dict[str, list[dict[str, object]]]:
    """Return the view's bars of every symbol in the order of time."""
    times = {name: f"toUnixTimestamp64Micro({name}) AS {name}" for name in FIELDS if name.endswith("_ts")}
    names = ", ".join(times.get(name, name) for name in FIELDS)
    found = client.query(f"SELECT * FROM (SELECT {names} FROM v_bars(seconds = {seconds})) ORDER BY symbol, open_ts")
    by_symbol: dict[str, list[dict[str, object]]] = {}
    for row in found.result_rows:
        bar = dict(zip(FIELDS, row, strict=True))
        by_symbol.setdefault(str(bar["symbol"]), []).append(bar)
    return by_symbol


def check(found: list[dict[str, object]], wanted: list[MarketKline]) -> None:
    assert [bar["open_ts"] for bar in found] == [bar.open_ts for bar in wanted]
    for bar, kline in zip(found, wanted, strict=True):
        whole = {name: getattr(kline, name) for name in FIELDS}
        for name in SUMS:
            value, expected = bar[name], whole.pop(name)
            assert isinstance(value, float)
            assert math.isclose(value, expected, rel_tol=RELATIVE), (name, bar, kline)
        assert {name: bar[name] for name in whole} == whole


def disorderly(seed: int) -> list[ExchangeFrame]:
    """Return the trades of one symbol: bursts, pauses, trades out of order and too late, some of size 0, silences of days."""
    chance = random.Random(seed)
    at, frames = chance.randrange(5_000), []
    for number in range(chance.randrange(1, 150)):
        kind = chance.random()
        if kind < 0.05:
            at += chance.randrange(2_000, 150_000)
        elif kind < 0.5:
            at += chance.randrange(900)
        if chance.random() < 0.03:
            at -= at % 1000
        elif chance.random() < 0.02:
            at += 60_000 - at % 60_000
        if seed % 8 == 0 and number == 60:
            at += chance.choice(SILENCES_MS) + chance.randrange(-1500, 1500)
            frames.append(trade(10_000, at, 104.0, 1.0))
            at += 5_000
        sent = at
        if chance.random() < 0.25:
            sent = max(0, at - chance.choice((50, 200, 249, 250, 251, 300, 800, 1000, 1250, 1300, 2000, 60_000)))
        elif chance.random() < 0.02:
            sent = at + chance.choice((300, 1200))
        price, quantity = round(100 + 5 * chance.random(), 2), 0.0 if chance.random() < 0.04 else round(0.001 + 3 * chance.random(), 3)
        frames.append(trade(number + 1 if number < 60 else 10_001 + number, sent, price, quantity, sell=chance.random() < 0.5))
    # Whatever its event time, a trade is received now: none is refused for being ahead of its receipt.
    last = max(frame.event_ts for frame in frames)
    return [msgspec.structs.replace(frame, symbol=f"S{seed}", ingest_ts=last) for frame in frames]


def test_bars_equal_the_stages_whatever_the_order_of_trades(client: Client) -> None:
    streams = {seed: streamed(disorderly(seed)) for seed in range(32)}
    keep(client, (tick for stream in streams.values() for tick in stream.ticks))
    assert sum(stream.late_trades for stream in streams.values()) > 50
    compared = dict.fromkeys(LENGTHS, 0)
    for interval, seconds in LENGTHS.items():
        found = bars(client, seconds)
        for seed, stream in streams.items():
            wanted = [bar for bar in stream.bars if bar.interval == interval]
            compared[interval] += len(wanted)
            check(found.get(f"S{seed}", []), wanted)
    assert min(compared.values()) > 10, compared


def test_the_bars_of_a_span_are_those_of_all_time_that_lie_in_it(client: Client) -> None:
    ticks = [tick for seed in range(0, 24, 8) for tick in streamed(disorderly(seed)).ticks]
    keep(client, ticks)
    times = sorted(tick.event_ts for tick in ticks)
    compared = 0
    for seconds, first, last in ((1, 5, 40), (60, 30, 200), (300, 0, -1), (900, 100, -1)):
        span = f"fromUnixTimestamp64Micro({times[first]}, 'UTC')", f"fromUnixTimestamp64Micro({times[last]}, 'UTC')"
        inside = client.query(
            f"SELECT * FROM v_bars_between(seconds = {seconds}, since = {span[0]}, until = {span[1]}) ORDER BY symbol, open_ts"
        )
        wanted = client.query(
            f"SELECT * FROM v_bars(seconds = {seconds}) WHERE open_ts >= {span[0]} AND close_ts <= {span[1]} ORDER BY symbol, open_ts"
        )
        exact = [place for place, name in enumerate(wanted.column_names) if name not in SUMS]
        assert [[row[place] for place in exact] for row in inside.result_rows] == [
            [row[place] for place in exact] for row in wanted.result_rows
        ]
        compared += wanted.row_count
    assert compared > 100


@pytest.mark.parametrize("seconds", [7, 120, 7_200])
def test_bars_of_any_length_are_made_of_seconds(client: Client, seconds: int) -> None:
    chance = random.Random(seconds)
    frames = [trade(number, 3_000 + number * 40 * seconds, 100 + chance.random(), 1 + chance.random()) for number in range(400)]
    last = frames[-1].event_ts
    stream = streamed(msgspec.structs.replace(frame, ingest_ts=last) for frame in frames)
    keep(client, stream.ticks)
    folded: dict[int, list[MarketKline]] = {}
    for bar in stream.bars:
        if bar.interval == "1s":
            folded.setdefault(bar.open_ts // SECOND // seconds, []).append(bar)
    wanted = [
        (number * seconds * SECOND, priced[0].open, max(part.high for part in priced), min(part.low for part in priced), parts[-1].close,
            math.fsum(part.volume for part in parts), sum(part.trades for part in parts))
        for number, parts in folded.items()
        for priced in ([part for part in parts if part.trades] or parts,)
        if len(parts) == seconds and number * seconds * SECOND >= stream.ticks[0].event_ts
    ]  # fmt: skip
    made = bars(client, seconds)["BTCUSDT"]
    assert [tuple(bar[name] for name in ("open_ts", "open", "high", "low", "close", "trades")) for bar in made] == [
        (*prices, trades) for *prices, _, trades in wanted
    ]
    assert [bar["volume"] for bar in made] == pytest.approx([volume for *_, volume, _ in wanted], rel=RELATIVE)
    assert len(wanted) >= 8
    assert {bar["interval"] for bar in made} == {f"{seconds}s"}


@pytest.mark.skipif(not FILES, reason=f"no recorded frames in {DATA}; set QUANTUM_DATA")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name + "-" + path.name.split("_2")[0])
def test_bars_equal_the_stages_for_the_recorded_files(client: Client, path: Path) -> None:
    stream = streamed(frame for frame in recorded(path) if not is_depth(frame))
    keep(client, stream.ticks)
    for interval, seconds in LENGTHS.items():
        wanted = [bar for bar in stream.bars if bar.interval == interval]
        assert wanted or seconds >= 300, "the recordings are minutes long"
        check(bars(client, seconds).get(stream.ticks[0].symbol, []), wanted)


def test_bars_read_the_trades_of_their_symbol_alone(client: Client) -> None:
    keep(client, (tick for seed in range(1, 4) for tick in streamed(disorderly(seed)).ticks))
    plan = client.query("EXPLAIN indexes = 1 SELECT * FROM v_bars(seconds = 60) WHERE symbol = 'S1'").result_rows
    reads = sum("ReadFromMergeTree" in line for (line,) in plan)
    assert reads > 0
    assert sum("symbol in ['S1', 'S1']" in line.replace("\\", "") for (line,) in plan) == reads


@pytest.mark.parametrize("seconds", [0, 86_401])
def test_a_bar_is_a_second_to_a_day(client: Client, seconds: int) -> None:
    keep(client, streamed(disorderly(1)).ticks)
    with pytest.raises(ClickHouseError, match=r"1 to 86400 seconds|Division by zero"):
        client.query(f"SELECT * FROM v_bars(seconds = {seconds})")
