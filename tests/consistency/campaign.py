"""Workers as processes that are killed, stopped and started while records are fed, and the judgement afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer

from tests.consistency import broker

KEYS = 100


class WorkerProcess:
    """One process of the counting application.

    Parameters
    ----------
    number
        Its identity.
    environment
        What it gets besides the test's own environment.
    log
        Where its output goes.
    """

    def __init__(self, number: int, environment: Mapping[str, str], log: Path) -> None:
        self.number = number
        self._environment = {**os.environ, **environment, "WORKER": str(number)}
        self._log = log
        self._process = self._begin("")

    def _begin(self, fault: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.consistency.count_app"]
        with self._log.open("wb") as log:
            return subprocess.Popen(command, env={**self._environment, "QUANTUM_FAULT": fault}, stdout=log, stderr=log)

    def await_work(self, limit_s: float = 30.0) -> None:
        """Wait until it has its partitions."""
        deadline = time.monotonic() + limit_s
        while b" works on " not in self._log.read_bytes():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError(f"worker {self.number} does not work: {self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    @property
    def status(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.poll()

    def kill(self, next_fault: str = "") -> None:
        """Kill it and start it again, armed with a fault."""
        self._process.kill()
        self._process.wait()
        self._process = self._begin(next_fault)

    def await_fault(self, limit_s: float) -> None:
        """Wait until its fault has killed it, and start it again."""
        if self._process.wait(limit_s) != -signal.SIGKILL:
            raise AssertionError(f"worker {self.number} ended with {self._process.returncode}: {self._log.read_text()[-2000:]}")
        self._process = self._begin("")

    def stop(self, seconds: float) -> None:
        """Let it sleep."""
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> tuple[int, float]:
        """Ask it to stop; return its exit status and how long it took."""
        started = time.monotonic()
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            return self._process.wait(15), time.monotonic() - started
        finally:
            self._process.kill()
            self._process.wait()


class Feed(threading.Thread):
    """Writes numbered records at a rate until it is told to end; ``count`` is then a multiple of the keys."""

    def __init__(self, bootstrap: str, topic: str, rate: float) -> None:
        super().__init__(daemon=True)
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "enable.idempotence": True})
        self._topic = topic
        self._rate = rate
        self._end = threading.Event()
        self.count = 0

    def run(self) -> None:
        """Write."""
        started = time.monotonic()
        while not self._end.is_set():
            for number in range(self.count, self.count + KEYS):
                self._producer.produce(self._topic, str(number), str(number % KEYS))
            self.count += KEYS
            self._producer.poll(0)
            self._end.wait(max(0.0, started + self.count / self._rate - time.monotonic()))
        self._producer.flush()

    def finish(self) -> int:
        """End and return how many records were written."""
        self._end.set()
        self.join()
        return self.count


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the counts."""

    lost: int = 0
    doubled: int = 0
    over_counted: int = 0
    out_of_order: int = 0


def judge(rows: list[broker.Row], count: int) -> Verdict:
    """Return what is wrong with outputs: each key must show 1, 2, ..., count / keys, once and in order."""
    seen: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        seen[row.key].append(int(row.value))
    each = count // KEYS
    return Verdict(
        lost=sum(len(set(range(1, each + 1)) - set(seen[str(key)])) for key in range(KEYS)),
        doubled=sum(len(values) - len(set(values)) for values in seen.values()),
        over_counted=sum(value > each for values in seen.values() for value in set(values)),
        out_of_order=sum(values != sorted(values) for values in seen.values()),
    )


def table_of(rows: list[broker.Row]) -> Counter[str]:
    """Return the table that a changelog describes."""
    table: Counter[str] = Counter()
    for row in rows:
        table[row.key] = int(row.value)
    return table


@contextmanager
def workers(count: int, environment: Mapping[str, str], folder: Path) -> Iterator[list[WorkerProcess]]:
    """Run workers for the time of a block; however it ends they do."""
    started = [WorkerProcess(number, environment, folder / f"worker-{number}.log") for number in range(count)]
    try:
        yield started
    finally:
        for worker in started:
            worker.end()
