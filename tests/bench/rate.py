"""The rate of one worker: records written before it starts, its committed output watched, and judged."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.kafka.config import client_config
from tests.bench.feed import send
from tests.bench.servers import Bench
from tests.consistency import broker

LIMIT_S = 120.0
GRACE_S = 15.0
POLL_S = 0.02
LAST_WORDS = 2_000

Judge = Callable[[list[broker.Row]], None]


def rate(
    bench: Bench, prefix: str, command: list[str], records: Iterable[tuple[str, bytes]], count: int, environment: Mapping[str, str],
    judge: Judge | None,
) -> float:  # fmt: skip
    """Return the records/s that a worker writes between the first tenth of its output and the last record.

    Parameters
    ----------
    bench
        The run.
    prefix
        Beginning of the topics' names; nothing else has it.
    command
        The worker; it sees PREFIX, WORKER, BOOTSTRAP and STATE, reads ``PREFIX-in`` and writes one record to ``PREFIX-out`` for each.
    records
        Keys and values that are written before it starts.
    count
        How many they are.
    environment
        What it gets besides.
    judge
        Raises an AssertionError where its output is not right; None where it was judged in another round.
    """
    bootstrap = bench.endpoints().kafka
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    producer = Producer(client_config(bootstrap, linger_ms=20, partitioner="murmur2_random"))
    for key, value in records:
        send(producer, f"{prefix}-in", value, key)
    producer.flush()
    folder = bench.folder / prefix
    with worker(command, {"PREFIX": prefix, "WORKER": "0", "BOOTSTRAP": bootstrap, **environment}, folder) as process:
        found = _watch(bootstrap, f"{prefix}-out", count, process, folder / "worker.log")
    if judge is not None:
        judge(broker.read(bootstrap, f"{prefix}-out", until=count))
    return found


@contextmanager
def worker(command: list[str], environment: Mapping[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for the time of a block, in a folder that it may keep its state in (STATE)."""
    folder.mkdir()
    python_path = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
    variables = {**os.environ, "PYTHONPATH": python_path, "STATE": str(folder), **environment}
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, env=variables, cwd=folder, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


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
                last_words = log.read_text(errors="replace")[-LAST_WORDS:]
                raise TimeoutError(f"{size} of {count} records on {topic}; the worker's last words: {last_words}")
            time.sleep(POLL_S)
    finally:
        reader.close()


def module(name: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this project as a process."""
    return [sys.executable, "-m", name, *arguments]
