"""The exactly-once runtime: one worker on the counting task of the consistency tests, beside others on the same task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from quantum.errors import DependencyError
from tests.bench.environments import python_with
from tests.bench.figure import Figure, skipped
from tests.bench.peers import kafka_streams
from tests.bench.rate import Judge, module, rate
from tests.bench.servers import Bench
from tests.consistency import broker, campaign

COUNT = 600_000
ROUNDS = 2
QUIX = "quixstreams==3.28.1"
PEERS = Path(__file__).with_name("peers")
NOTE = f"counting by key, {broker.PARTITIONS} partitions, exactly once unless it says otherwise, steady after the first tenth"


@dataclass(frozen=True, slots=True)
class Contender:
    """One worker on the counting task.

    Attributes
    ----------
    name
        What it is called in the table.
    command
        How to start it; raises a DependencyError where it cannot be had here.
    environment
        What it gets besides the task's own variables.
    count
        Records of a round; fewer for a slow one.
    rounds
        Rounds, of which the best counts.
    """

    name: str
    command: Callable[[], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    count: int = COUNT
    rounds: int = ROUNDS


EVENT = Contender("runtime: stream.events()", lambda: module("tests.consistency.count_app"), {"AGENT": "event"})
BATCH = Contender("runtime: take_events(1000)", lambda: module("tests.consistency.count_app"), {"AGENT": "batch"})


def _others(bench: Bench) -> list[Contender]:
    quix = str(PEERS / "quix_streams.py")
    return [
        Contender("Kafka Streams, RocksDB", lambda: kafka_streams.command(bench.folder), {"TABLE": "rocksdb"}),
        Contender("Kafka Streams, in memory", lambda: kafka_streams.command(bench.folder), {"TABLE": "memory"}),
        Contender("bare confluent-kafka transaction loop", lambda: module("tests.bench.peers.bare_loop")),
        Contender("Quix Streams", lambda: [str(python_with(QUIX)), quix], count=COUNT // 5, rounds=1),
        Contender(
            "stock faust-streaming, at least once",
            lambda: module("tests.bench.peers.faust_stock", "worker", "--without-web", "-l", "warn"),
            count=COUNT // 40,
            rounds=1,
        ),
    ]


def runtime(bench: Bench) -> Iterator[Figure]:
    """Measure records/s of one worker, by event and in batches, beside others; the contenders take turns."""
    best: dict[str, float] = {}
    absent: dict[str, str] = {}
    contenders = [EVENT, BATCH, *_others(bench)]
    for number in range(ROUNDS):
        for contender in contenders:
            if number >= contender.rounds or contender.name in absent:
                continue
            try:
                command = contender.command()
            except DependencyError as error:
                absent[contender.name] = str(error)
                continue
            judge = _judge(contender) if number == 0 else None
            found = rate(bench, bench.unique(), command, _records(contender.count), contender.count, contender.environment, judge)
            best[contender.name] = max(best.get(contender.name, 0.0), found)
    own = {EVENT.name: best.pop(EVENT.name), BATCH.name: best.pop(BATCH.name)}
    for name, value in own.items():
        yield Figure(name=name, unit="records/s", value=value, peers=best, note=NOTE)
    for name, reason in absent.items():
        yield skipped(f"runtime: {name}", "records/s", reason)


def _records(count: int) -> Iterable[tuple[str, bytes]]:
    return ((str(number % campaign.KEYS), b"%d" % number) for number in range(count))


def _judge(contender: Contender) -> Judge:
    def judge(rows: list[broker.Row]) -> None:
        verdict = campaign.judge(rows, contender.count)
        if verdict != campaign.Verdict():
            raise AssertionError(f"{contender.name}: {verdict}")

    return judge
