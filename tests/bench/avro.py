"""The exactly-once runtime with Avro records and a table of Records: the task of :mod:`tests.bench.avro_app`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from msgspec.structs import replace

from connectors.registry.client import Registry
from schemas.codec import RecordCodec, schema_text
from schemas.market.records import MarketKline, MarketTick
from tests.bench.figure import Figure
from tests.bench.rate import module, rate
from tests.bench.servers import Bench
from tests.bench.ticks import ticks

COUNT = 200_000
SYMBOLS = 100
ROUNDS = 2
NAMES = {"event": "stream.events()", "batch": "take(1000)"}


def avro(bench: Bench) -> Iterator[Figure]:
    """Measure records/s of one worker, by event and in batches."""
    made = [replace(tick, symbol=f"S{number % SYMBOLS}USDT") for number, tick in enumerate(ticks(COUNT))]
    best = dict.fromkeys(NAMES, 0.0)
    for _ in range(ROUNDS):
        for agent in NAMES:
            best[agent] = max(best[agent], _round(bench, agent, made))
    for agent, value in best.items():
        yield Figure(
            name=f"runtime: Avro and Records, {NAMES[agent]}",
            unit="records/s",
            value=value,
            note="market.tick in, a table of Faust's Records, market.klines out, exactly once, steady after the first tenth",
        )


def _round(bench: Bench, agent: str, made: list[MarketTick]) -> float:
    prefix = bench.unique()
    with Registry(bench.endpoints().registry) as registry:
        registry.register(f"{prefix}-in-value", schema_text(MarketTick))
        registry.register(f"{prefix}-out-value", schema_text(MarketKline))
        source = RecordCodec(f"{prefix}-in-value", MarketTick, registry)
        bars = RecordCodec(f"{prefix}-out-value", MarketKline, registry)
        records = ((tick.symbol, source.encode(tick)) for tick in made)
        environment = {"AGENT": agent, "REGISTRY": registry.url}
        command = module("tests.bench.avro_app")
        return rate(
            bench, prefix, command, records, COUNT, environment, lambda rows: _judge([bars.decode(row.value) for row in rows], made)
        )


def _judge(bars: list[MarketKline], made: list[MarketTick]) -> None:
    """Compare with a recomputation: the bars of a symbol count its trades one by one, and the last one has all their volume."""
    trades: dict[str, list[int]] = defaultdict(list)
    volumes: dict[str, float] = {}
    for bar in bars:
        trades[bar.symbol].append(bar.trades)
        volumes[bar.symbol] = bar.volume
    expected: dict[str, float] = defaultdict(float)
    for tick in made:
        expected[tick.symbol] += tick.quantity
    each = list(range(1, len(made) // SYMBOLS + 1))
    wrong = [symbol for symbol, volume in expected.items() if trades[symbol] != each or volumes[symbol] != volume]
    if wrong:
        raise AssertionError(f"the bars of {', '.join(sorted(wrong))} are not what their trades say")
