"""How long a record takes through one stage that is otherwise idle: from its producer to a read_committed reader of the output."""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from statistics import median

from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.kafka.config import client_config
from quantum.errors import DependencyError
from tests.bench.figure import Figure, percentile, skipped
from tests.bench.peers import kafka_streams
from tests.bench.rate import module, worker
from tests.bench.servers import Bench
from tests.consistency import broker

COUNT = 500
EVERY_S = 0.02
WARM_UP = 1_000  # broker and contenders that run on Java compile what they do often: idle is not the same as just started
WARM_UP_EVERY_S = 0.008
BROKER_WARM_UP = 15_000  # two minutes, before the first round: so long Kafka compiles what it does often
ROUNDS = 5
LIMIT_S = 30.0
MS = 1e3
KEYS = 8
BARE = "bare confluent-kafka transaction loop"
STREAMS = "Kafka Streams, commit.interval.ms 100"


def latency(bench: Bench) -> Iterator[Figure]:
    """Measure the time through the counting application, one record at a time, beside others; the contenders take turns."""
    contenders = {
        "own": (module("tests.consistency.count_app"), {"AGENT": "event"}),
        BARE: (module("tests.bench.peers.bare_loop"), {}),
    }
    reason = ""
    try:
        contenders[STREAMS] = (kafka_streams.command(bench.folder), {"TABLE": "memory"})
    except DependencyError as error:
        reason = str(error)
    found: dict[str, list[list[float]]] = {name: [] for name in contenders}
    _round(bench, *contenders["own"], BROKER_WARM_UP)
    for number in range(ROUNDS):
        for name, (command, environment) in contenders.items():
            if name != STREAMS or number == 0:
                found[name].append(_round(bench, command, environment))
    count = f"{COUNT} of them after {WARM_UP} in quicker succession"
    note = f"one record every {EVERY_S * MS:.0f} ms, {count}, producer to read_committed reader; median of {ROUNDS} rounds; broker warm"
    for share in (50, 99):
        values = {name: median(percentile(each, share) for each in rounds) * MS for name, rounds in found.items()}
        yield Figure(name=f"latency: idle stage, p{share}", unit="ms", value=values.pop("own"), peers=values, note=note)
    if reason:
        yield skipped(f"latency: {STREAMS}", "ms", reason)


def _round(bench: Bench, command: list[str], environment: Mapping[str, str], warm_up: int = WARM_UP) -> list[float]:
    """Return the seconds that each record took, those of the warm-up left out."""
    bootstrap, prefix = bench.endpoints().kafka, bench.unique()
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    reader = Reader(bootstrap, f"{prefix}-out")
    with worker(command, {"PREFIX": prefix, "WORKER": "0", "BOOTSTRAP": bootstrap, **environment}, bench.folder / prefix):
        try:
            sent = _send(bootstrap, f"{prefix}-in", reader, warm_up)
        finally:
            reader.stop()
    return [reader.arrived[each] - sent[each] for each in sorted(sent, key=sent.__getitem__)[warm_up:]]


def _send(bootstrap: str, topic: str, reader: Reader, warm_up: int) -> dict[tuple[str, int], float]:
    """Send a record, wait until it has come through, then one after another on a schedule; return when each was sent."""
    producer = Producer(client_config(bootstrap, linger_ms=0, partitioner="murmur2_random"))
    counts: Counter[str] = Counter()
    sent: dict[tuple[str, int], float] = {}
    gc.collect()
    due = time.perf_counter()
    for number in range(COUNT + warm_up):
        key = str(number % KEYS)
        counts[key] += 1
        while (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        sent[key, counts[key]] = time.perf_counter()
        producer.produce(topic, str(number), key)
        producer.poll(0)
        if number == 0:
            reader.wait_for(1)
            due = time.perf_counter()
        due += EVERY_S if number >= warm_up else WARM_UP_EVERY_S
    producer.flush()
    reader.wait_for(len(sent))
    return sent


class Reader(threading.Thread):
    """Notes when each key's counts arrive.

    Attributes
    ----------
    arrived
        Time by key and count.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        super().__init__(daemon=True)
        self.arrived: dict[tuple[str, int], float] = {}
        self._stopping = threading.Event()
        self._consumer = Consumer(
            client_config(bootstrap, group_id=f"{topic}-latency", isolation_level="read_committed", enable_auto_commit=False)
        )
        self._consumer.assign([TopicPartition(topic, number, 0) for number in range(broker.PARTITIONS)])
        self.start()

    def run(self) -> None:
        """Read."""
        while not self._stopping.is_set():
            message = self._consumer.poll(0.1)
            now = time.perf_counter()
            if message is not None and message.error() is None:
                self.arrived[(message.key() or b"").decode(), int(message.value() or 0)] = now

    def wait_for(self, count: int) -> None:
        """Wait until so many have arrived."""
        deadline = time.monotonic() + LIMIT_S
        while len(self.arrived) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.arrived)} of {count} records came through")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop reading."""
        self._stopping.set()
        self.join()
        self._consumer.close()
