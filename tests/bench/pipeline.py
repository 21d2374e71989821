"""The whole platform at 500 ticks a second: how long it takes from a tick to the decision and the trade intent that it leads to.

Servers, simulated venue, policy, model and workers are those of ``quantum demo``, without the history's sink and the trainer, which are
not on the way. The venue's own trades of three symbols are joined by generated ones of others. What a record was caused by is read from
its headers, back to the frame that closed a bar; times are those that producers give records, and of the last topic the time at which a
read_committed reader has the record. A bar is written in the transaction of the tick that closed it.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from confluent_kafka import Consumer, TopicPartition

from connectors.exchange.venues import USDM
from connectors.kafka.config import client_config
from connectors.registry.client import Registry
from processors.components import codecs, node_publisher, read_from
from processors.runtime.api.event import header_map
from processors.topology import STAGES
from quantum.demo import workers
from quantum.demo.model import train_first_model
from quantum.demo.platform import Platform
from quantum.settings import Settings
from quantum.trace import CAUSATION
from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame
from tests.bench.figure import Figure, percentile, skipped
from tests.bench.servers import Bench

TICKS_PER_S = 500
PULSE_S = 0.01
OTHERS = tuple(f"LOAD{number}USDT" for number in range(6))
WARM_UP_S = 120.0  # the feed fetches what was before it, so vectors are warm soon; for two minutes more Kafka compiles what it does often
MEASURED_S = 120.0
SEED = 7
WAY = ("market.klines", "features", "ai.signal_generated", "ai.decision.made", "sizing.decided")
INTENT, DENIAL = "trade.intent", "risk.events"
VERDICT = "verdict"  # on a size: the intent, or the denial, which the same checks make of it in the same way; intents alone are few
ENDS = ("ai.decision.made", INTENT, DENIAL)
US, MS = 1_000_000, 1_000


class Load(threading.Thread):
    """Writes generated trades of other symbols to ``exchange.raw``, as a feed would."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._out = node_publisher(settings, "feed")
        self._stopping = threading.Event()

    def run(self) -> None:
        """Write on schedule until it is told to end."""
        random = np.random.default_rng(SEED)
        cents = dict.fromkeys(OTHERS, 6_180_000)
        started, number = time.monotonic(), 0
        while not self._stopping.wait(PULSE_S):
            while number < (time.monotonic() - started) * TICKS_PER_S:
                symbol = OTHERS[number % len(OTHERS)]
                cents[symbol] += int(random.integers(-3, 4))
                frame = _frame(symbol, number, cents[symbol] / 100, random.random() < 0.5)
                self._out.send("exchange.raw", f"{USDM.name}:{symbol}", frame)
                number += 1
        self._out.flush()

    def stop(self) -> None:
        """Stop writing."""
        self._stopping.set()
        self.join()


def _frame(symbol: str, number: int, price: float, sells: bool) -> ExchangeFrame:
    now = time.time_ns() // MS
    payload = {
        "e": "trade", "E": now // MS, "T": now // MS, "s": symbol, "t": number // len(OTHERS), "p": f"{price:.2f}", "q": "0.125",
        "X": "MARKET", "m": sells,
    }  # fmt: skip
    return ExchangeFrame(
        event_id=f"{USDM.name}:{symbol}:bench:{number}", event_ts=now, ingest_ts=now, venue=USDM.name, symbol=symbol, channel="trade",
        kind=FrameKind.STREAM, session="bench", sequence=number, payload=json.dumps(payload, separators=(",", ":")),
    )  # fmt: skip


class Ends(threading.Thread):
    """Notes when records of the last topics can be read, milliseconds since 1970 by topic, partition and offset."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self.seen: dict[tuple[str, int, int], float] = {}
        self._stopping = threading.Event()
        self._consumer = Consumer(
            client_config(settings.kafka, group_id="bench-ends", isolation_level="read_committed", enable_auto_commit=False)
        )
        self._consumer.assign([TopicPartition(topic, number, 0) for topic in ENDS for number in range(settings.partitions)])

    def run(self) -> None:
        """Read until it is told to end."""
        while not self._stopping.is_set():
            message = self._consumer.poll(0.2)
            now = time.time_ns() / US
            if message is not None and message.error() is None:
                self.seen[str(message.topic()), int(message.partition() or 0), int(message.offset() or 0)] = now

    def stop(self) -> None:
        """Stop reading."""
        self._stopping.set()
        self.join()
        self._consumer.close()


@dataclass(frozen=True, slots=True)
class Step:
    """A record on the way.

    Attributes
    ----------
    cause
        Id of the record that caused it.
    written_ms
        When its producer wrote it, milliseconds since 1970.
    read_ms
        When it could be read; None where nobody looked.
    """

    cause: str
    written_ms: float
    read_ms: float | None


Steps = dict[str, dict[str, Step]]


def pipeline(bench: Bench) -> Iterator[Figure]:
    """Measure one worker a stage."""
    with ExitStack() as cleanup:
        platform = Platform(bench.home, lambda _text: None, cleanup)
        platform.stack = bench.stack()
        settings = platform.up(keep_up=True)
        ends, since_ms = _run(platform, settings, cleanup)
    steps, frames_ms = _read(settings, ends, since_ms)
    yield _rate(settings, steps, since_ms)
    from_frame = [step.written_ms - frames_ms[step.cause] for step in steps["market.tick"].values() if step.cause in frames_ms]
    yield from _figures("exchange.raw to market.tick", from_frame)
    yield from _chains(steps, (*WAY, VERDICT), hops=True)
    yield from _chains(steps, (*WAY, INTENT), hops=False)
    yield from _chains(steps, WAY[:4], hops=False)


def _run(platform: Platform, settings: Settings, cleanup: ExitStack) -> tuple[Ends, float]:
    """Run the platform; return what was seen at its end, and when the measurement began."""
    access, env = platform.start_simulated_venue(settings, SEED)
    train_first_model(settings, access, lambda _text: None)
    platform.set_policy(settings, list(workers.SYMBOLS))
    platform.until_healthy(platform.supervise(settings, [*workers.stages(env), workers.component("orders", env)]))
    platform.supervise(settings, [workers.component("feed", env), workers.component("clock", env)])
    ends, load = Ends(settings), Load(settings)
    for thread in (ends, load):
        thread.start()
        cleanup.callback(thread.stop)
    time.sleep(WARM_UP_S)
    since_ms = time.time() * MS
    time.sleep(MEASURED_S)
    if platform.errors:
        raise AssertionError(f"workers had trouble: {platform.errors}")
    return ends, since_ms


def _read(settings: Settings, ends: Ends, since_ms: float) -> tuple[Steps, dict[str, float]]:
    """Read the topics of the way; return the records that were written in time, and the times of the frames, by id."""
    names = ("exchange.raw", "market.tick", *WAY, INTENT, DENIAL)
    steps: Steps = {name: {} for name in names}
    with Registry(settings.registry) as registry:
        by_topic = codecs(registry, names)
        for message in read_from(settings.kafka, {(name, number): 0 for name in names for number in range(settings.partitions)}):
            topic, written, value = str(message.topic()), message.timestamp()[1], message.value()
            if value is None or written < since_ms - MS:
                continue
            cause = header_map(message).get(CAUSATION, b"").decode()
            place = topic, int(message.partition() or 0), int(message.offset() or 0)
            record = by_topic[topic].decode(value)
            steps[topic][record.event_id] = Step(cause, written, ends.seen.get(place))
    frames = {name: step.written_ms for name, step in steps.pop("exchange.raw").items()}
    denials = {name: step for name, step in steps.pop(DENIAL).items() if step.cause in steps["sizing.decided"]}
    steps[VERDICT] = {**steps[INTENT], **denials}
    return {name: {key: step for key, step in found.items() if step.written_ms >= since_ms} for name, found in steps.items()}, frames


def _rate(settings: Settings, steps: Steps, since_ms: float) -> Figure:
    ticks = [step.written_ms for step in steps["market.tick"].values()]
    symbols = len(OTHERS) + len(workers.SYMBOLS)
    note = f"one worker a stage, {len(STAGES)} stages, {symbols} symbols, topics of {settings.partitions} partitions (QUANTUM_PARTITIONS)"
    return Figure(name="pipeline: market.tick", unit="records/s", value=len(ticks) / (max(ticks) - since_ms) * MS, note=note)


def _chains(steps: Steps, path: Sequence[str], *, hops: bool) -> Iterator[Figure]:
    """Follow each record at the end of a path back; give the time in all until it is committed, and that of every hop."""
    whole = f"market.tick to committed {path[-1]}"
    found_ms: dict[str, list[float]] = defaultdict(list, {whole: []})
    for last in steps[path[-1]].values():
        chain = [last]
        for topic in reversed(path[:-1]):
            found = steps[topic].get(chain[-1].cause)
            if found is None:
                break
            chain.append(found)
        if len(chain) < len(path) or last.read_ms is None:
            continue  # its beginning is before the measurement's
        chain.reverse()
        for (source, target), (before, after) in zip(pairwise(path), pairwise(chain), strict=True):
            found_ms[f"{source} to {target}"].append(after.written_ms - before.written_ms)
        found_ms[f"{path[-1]} to its reader"].append(last.read_ms - last.written_ms)
        found_ms[whole].append(last.read_ms - chain[0].written_ms)
    for name, values in found_ms.items():
        if hops or name == whole:
            yield from _figures(name, values)


def _figures(name: str, values: list[float]) -> Iterator[Figure]:
    if not values:
        yield skipped(f"pipeline: {name}", "ms", f"no record came this way within the {MEASURED_S:.0f} s that were measured")
        return
    for share in (50, 99):
        yield Figure(name=f"pipeline: {name}, p{share}", unit="ms", value=percentile(values, share), note=f"{len(values)} records")
