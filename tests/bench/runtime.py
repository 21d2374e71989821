"""The exactly-once runtime: one worker, the counting task of the consistency tests."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.kafka.config import client_config
from tests.bench.feed import send
from tests.bench.figure import Figure, skipped
from tests.bench.servers import Bench
from tests.consistency import broker, campaign

COUNT = 400_000
STOCK_COUNT = 20_000
ROUNDS = 2
LIMIT_S = 120.0
PEERS = Path(os.environ.get("QUANTUM_BENCH_PEERS", Path(__file__).parents[2] / ".." / "shared" / "bench" / "peers"))

COUNT_APP = ["-m", "tests.consistency.count_app"]
BARE_LOOP = ["-m", "tests.bench.peers.bare_loop"]
STOCK = ["-m", "tests.bench.peers.faust_stock", "worker", "--without-web", "-l", "warn"]


def runtime(bench: Bench) -> Iterator[Figure]:
    """Measure records/s of one worker, by event and in batches, beside others on the same task."""
    rates = dict.fromkeys(("event", "batch", "bare"), 0.0)
    for number in range(ROUNDS):
        for name in rates:
            command = BARE_LOOP if name == "bare" else COUNT_APP
            rates[name] = max(rates[name], _rate(bench, command, COUNT, {"AGENT": name}, judged=number == 0))
    peers = {"bare confluent-kafka transaction loop": rates["bare"]}
    peers["stock faust-streaming, at least once"] = _rate(bench, STOCK, STOCK_COUNT, {}, judged=True)
    quix = PEERS / "quix.py"
    if not quix.is_file():
        yield skipped("runtime: quixstreams", "records/s", "no quix.py in the folder that QUANTUM_BENCH_PEERS names")
    elif importlib.util.find_spec("quixstreams") is None:
        yield skipped("runtime: quixstreams", "records/s", "quixstreams is not installed")
    else:
        peers["quixstreams, exactly once"] = _rate(bench, [str(quix.absolute())], COUNT // 2, {}, judged=True)
    note = f"counting by key, {broker.PARTITIONS} partitions, steady after the first tenth"
    yield Figure(name="runtime: exactly once, stream.events()", unit="records/s", value=rates["event"], peers=peers, note=note)
    yield Figure(name="runtime: exactly once, take_events(1000)", unit="records/s", value=rates["batch"], peers=peers, note=note)


def _rate(bench: Bench, command: list[str], count: int, environment: dict[str, str], *, judged: bool) -> float:
    """Return the records/s that a worker writes between the first tenth of its output and the last record.

    Parameters
    ----------
    bench
        The run.
    command
        What Python is started with.
    count
        Records that are written before it starts.
    environment
        What it gets besides the task's own.
    judged
        Whether its output is read back and must be right: every count of every key once.
    """
    bootstrap, prefix = bench.endpoints().kafka, bench.unique()
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    producer = Producer(client_config(bootstrap, linger_ms=20, partitioner="murmur2_random"))
    for number in range(count):
        send(producer, f"{prefix}-in", b"%d" % number, str(number % campaign.KEYS))
    producer.flush()
    folder = bench.folder / prefix
    folder.mkdir()
    task = {"PREFIX": prefix, "WORKER": "0", "BOOTSTRAP": bootstrap, "STATE": str(folder)}
    python_path = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
    variables = {**os.environ, "PYTHONPATH": python_path, **task, **environment}
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            env=variables,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        try:
            rate = _watch(bootstrap, f"{prefix}-out", count, process, folder / "worker.log")
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    if judged:
        verdict = campaign.judge(broker.read(bootstrap, f"{prefix}-out", until=count), count)
        if verdict != campaign.Verdict():
            raise AssertionError(f"{' '.join(command)}: {verdict}")
    return rate


def _watch(bootstrap: str, topic: str, count: int, process: subprocess.Popen[bytes], log: Path) -> float:
    """Watch the committed end of the output; transaction markers, some in a thousand, count as records."""
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{topic}-watch", "isolation.level": "read_committed"})
    deadline = time.monotonic() + LIMIT_S
    first: tuple[float, int] | None = None
    try:
        while True:
            ends = [reader.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1] for number in range(broker.PARTITIONS)]
            size, now = sum(ends), time.monotonic()
            if first is None and size > count // 10:
                first = now, size
            if first is not None and size >= count and size > first[1]:
                return (size - first[1]) / (now - first[0])
            if now > deadline or process.poll() is not None:
                raise TimeoutError(f"{size} of {count} records on {topic}; the worker's last words: {log.read_text()[-2000:]}")
            time.sleep(0.05)
    finally:
        reader.close()
