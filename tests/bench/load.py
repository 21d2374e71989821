"""Many symbols at a high rate through connector, market and features stages: how late, how much memory, and the highest rate that holds.

``python -m tests.bench --only load`` raises the rate until it does not hold; ``python -m tests.bench.load --seconds 600`` stays at
one. The venue is `load_venue`, a process of its own on the same machine. Late is what a *read_committed* reader of `market.tick` or
`features` has a record after its frame, or the frame that closed its bar, was received by the feed.
"""

from __future__ import annotations

import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import click
import psutil
from confluent_kafka import Consumer, TopicPartition

from connectors.kafka.config import client_config
from connectors.registry.client import Registry
from infra.local.supervisor import WorkerSpec
from processors.components import codecs
from quantum.demo import workers
from quantum.demo.platform import Platform
from quantum.settings import Settings
from tests.bench.figure import Figure, percentile
from tests.bench.servers import Bench

SYMBOLS = tuple(f"LOAD{number:03}USDT" for number in range(100))
TICKS_PER_S = 2_000
RATES = (500, 1_000, 1_500, 2_000, 2_500, 3_000, 4_000, 5_000, 6_000)
HOLDS_MS = 1_000.0
SETTLE_S, STEP_S = 15.0, 30.0
MEMORY_EVERY_S = 5.0
TICKS, VECTORS = "market.tick", "features"
STAGES = ("market", "features")
IDLE = ("registry", "store")  # servers that have nothing to do with it
US, MS, MEGABYTE = 1_000_000, 1_000, 1e6


class Tail(threading.Thread):
    """Notes how late records can be read.

    Attributes
    ----------
    late_ms
        By topic, when a record was read (seconds, monotonic) and how late it was, milliseconds.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self.late_ms: dict[str, list[tuple[float, float]]] = {TICKS: [], VECTORS: []}
        self._settings = settings
        self._stopping = threading.Event()
        self._consumer = Consumer(
            client_config(settings.kafka, group_id="bench-load", isolation_level="read_committed", enable_auto_commit=False)
        )
        self._consumer.assign([TopicPartition(topic, number, 0) for topic in self.late_ms for number in range(settings.partitions)])

    def run(self) -> None:
        """Read until it is told to end."""
        with Registry(self._settings.registry) as registry:
            by_topic = codecs(registry, tuple(self.late_ms))
            while not self._stopping.is_set():
                for message in self._consumer.consume(1_000, 0.05):
                    value = message.value()
                    if message.error() is None and value is not None:
                        topic = str(message.topic())
                        late = time.time_ns() / US - by_topic[topic].decode(value).ingest_ts / MS
                        self.late_ms[topic].append((time.monotonic(), late))

    def since(self, topic: str, moment: float) -> list[float]:
        """Return how late a topic's records were that were read since a moment."""
        return [late for read, late in list(self.late_ms[topic]) if read >= moment]

    def stop(self) -> None:
        """Stop reading."""
        self._stopping.set()
        self.join()
        self._consumer.close()


@dataclass(slots=True)
class Held:
    """What one rate was like.

    Attributes
    ----------
    wanted, ticks_per_s
        The rate that was asked for, and what was read.
    late_ms
        By topic, how late, milliseconds.
    memory_mb
        By process, resident megabytes, every 5 s.
    cores
        By process, processor time over the time that passed.
    """

    wanted: float
    ticks_per_s: float = 0.0
    late_ms: dict[str, list[float]] = field(default_factory=dict)
    memory_mb: dict[str, list[float]] = field(default_factory=dict)
    cores: dict[str, float] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether all records came, 99 of 100 of them within a second."""
        return self.ticks_per_s > 0.97 * self.wanted and all(percentile(late, 99) < HOLDS_MS for late in self.late_ms.values())

    def growth(self, process: str) -> float:
        """Return how much more memory a process has in the last third than in the middle third, megabytes: medians."""
        sizes = self.memory_mb[process]
        third = max(1, len(sizes) // 3)
        return median(sizes[-third:]) - median(sizes[third : 2 * third] or sizes[:third])


class Load:
    """Servers, venue, feed and the two stages.

    Parameters
    ----------
    bench
        The run's servers.
    cleanup
        Ends what was started.
    symbols
        Symbols that are followed.
    """

    def __init__(self, bench: Bench, cleanup: ExitStack, symbols: Sequence[str] = SYMBOLS) -> None:
        self._platform = Platform(bench.home, lambda _text: None, cleanup)
        self._platform.stack = bench.stack()
        settings = self._platform.up(keep_up=True)
        port = workers.free_port()
        self._url = f"http://127.0.0.1:{port}"
        env = workers.environment(settings, self._url, self._url, "paper", "paper-secret") | {
            "QUANTUM_FEED_SYMBOLS": "[" + ",".join(f'"{symbol}"' for symbol in symbols) + "]",
            "QUANTUM_FEED_VENUES": f'["{settings.venue}"]',
            "QUANTUM_FEED_DEPTH": "false",
            "QUANTUM_FEED_BACKFILL": "0",
        }
        venue = [sys.executable, "-m", "tests.bench.load_venue", str(port), *symbols]
        root = {"PYTHONPATH": str(Path(__file__).parents[2])}
        self._platform.supervise(settings, [WorkerSpec(name="venue-0", component="venue", argv=venue, env=root)])
        stages = [spec for spec in workers.stages(env) if spec.component in STAGES]
        self._platform.until_healthy(self._platform.supervise(settings, stages))
        self._platform.supervise(settings, [workers.component("feed", env)])
        self.tail = Tail(settings)
        self.tail.start()
        cleanup.callback(self.tail.stop)

    def hold(self, ticks_per_s: float, seconds: float, settle_s: float = SETTLE_S) -> Held:
        """Let so many trades a second come; return what it was like after a while.

        Raises
        ------
        AssertionError
            A process had trouble.
        """
        self._set(ticks_per_s)
        time.sleep(settle_s)
        held, since, before = Held(ticks_per_s), time.monotonic(), self._processor_s()
        while time.monotonic() - since < seconds:
            time.sleep(min(MEMORY_EVERY_S, seconds))
            for name, process in self._processes().items():
                held.memory_mb.setdefault(name, []).append(process.memory_info().rss / MEGABYTE)
        if self._platform.errors:
            raise AssertionError(f"processes had trouble: {self._platform.errors}")
        held.late_ms = {topic: self.tail.since(topic, since) for topic in (TICKS, VECTORS)}
        passed = time.monotonic() - since
        held.ticks_per_s = len(held.late_ms[TICKS]) / passed
        held.cores = {name: (spent - before[name]) / passed for name, spent in self._processor_s().items()}
        return held

    def _set(self, ticks_per_s: float) -> None:
        with urllib.request.urlopen(urllib.request.Request(f"{self._url}/load?ticks={ticks_per_s}", method="PUT")) as answer:
            answer.read()

    def _processes(self) -> dict[str, psutil.Process]:
        workers_of = [worker for supervisor in self._platform.supervisors for worker in supervisor.workers()]
        pids = {worker.component: worker.pid for worker in workers_of} | {
            server.name: server.pid for server in self._platform.stack.status()
        }
        return {name: psutil.Process(pid) for name, pid in pids.items() if pid is not None and name not in IDLE}

    def _processor_s(self) -> dict[str, float]:
        return {name: sum(process.cpu_times()[:2]) for name, process in self._processes().items()}


def load(bench: Bench) -> Iterator[Figure]:
    """Raise the rate until it does not hold."""
    with ExitStack() as cleanup:
        platform = Load(bench, cleanup)
        held: list[Held] = []
        for rate in RATES:
            found = platform.hold(rate, STEP_S)
            if not found.holds:
                break
            held.append(found)
    best = held[-1].ticks_per_s if held else None
    note = f"{len(SYMBOLS)} symbols, each trade with a best price; 99 of 100 ticks and vectors within {HOLDS_MS:.0f} ms, steps {RATES}"
    yield Figure(name="load: highest rate that holds", unit="ticks/s", value=best, note=note)
    for each in held:
        for topic, late in each.late_ms.items():
            yield Figure(
                name=f"load: {topic} at {each.wanted:,} ticks/s, p99", unit="ms", value=percentile(late, 99), note=f"{len(late)} records"
            )


@click.command()
@click.option("--seconds", default=600.0, show_default=True, help="How long.")
@click.option("--rate", default=float(TICKS_PER_S), show_default=True, help="Trades a second of all symbols together.")
@click.option("--symbols", default=len(SYMBOLS), show_default=True, type=click.IntRange(1, len(SYMBOLS)), help="How many symbols.")
def main(seconds: float, rate: float, symbols: int) -> None:
    """Stay at one rate; the exit status is 1 where it does not hold."""
    with Bench() as bench, ExitStack() as cleanup:
        held = Load(bench, cleanup, SYMBOLS[:symbols]).hold(rate, seconds)
    print(f"{symbols} symbols, {held.ticks_per_s:,.0f} of {rate:,.0f} ticks/s for {seconds:.0f} s")
    for topic, late in held.late_ms.items():
        print(
            f"{topic}: {len(late):,} records, late p50 {percentile(late, 50):.0f}, p99 {percentile(late, 99):.0f}, worst {max(late):.0f} ms"
        )
    for name, sizes in held.memory_mb.items():
        memory = f"{sizes[0]:.0f} MB at first, {max(sizes):.0f} at most, {held.growth(name):+.1f} in the last third"
        print(f"{name}: {held.cores[name]:.2f} cores, {memory}")
    print("holds" if held.holds else "does not hold")
    sys.exit(not held.holds)


if __name__ == "__main__":
    main()
