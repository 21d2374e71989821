"""Workers as processes, the records that they are fed, and the judgement of what they wrote."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer

from infra.local import tether
from tests.consistency import broker

KEYS = 100
_GRACE_S = 15.0
_COMMAND = (sys.executable, "-m", "tests.consistency.count_app")


class WorkerProcess:
    """One process of the counting application.

    Parameters
    ----------
    number
        Its identity.
    environment
        What it gets besides the test's own environment.
    log
        Where its output goes; a process that takes its place appends.
    fault
        What its first process is armed with, see :mod:`processors.runtime.epochs.faults`.
    """

    def __init__(self, number: int, environment: Mapping[str, str], log: Path, fault: str = "") -> None:
        self.number = number
        self.dump = log.with_suffix(".json")
        self._environment = {**os.environ, **environment, "WORKER": str(number), "DUMP": str(self.dump)}
        self._log = log
        self._from = 0
        self._process = self.begin(fault)

    def begin(self, fault: str = "") -> subprocess.Popen[bytes]:
        """Start a process of this identity; it ends with the thread that starts it."""
        command = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), str(int(signal.SIGKILL)), *_COMMAND]
        with self._log.open("ab") as log:
            self._from = log.tell()
            self._process = subprocess.Popen(command, env={**self._environment, "QUANTUM_FAULT": fault}, stdout=log, stderr=log)
        return self._process

    @property
    def said(self) -> str:
        """What its process has written."""
        with self._log.open("rb") as log:
            log.seek(self._from)
            return log.read().decode(errors="replace")

    @property
    def works(self) -> bool:
        """Whether its process has had partitions."""
        return " works on [(" in self.said

    def await_work(self, limit_s: float = 30.0) -> None:
        """Wait until it has its partitions."""
        deadline = time.monotonic() + limit_s
        while not self.works:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError(f"worker {self.number} does not work: {self.said[-2000:]}")
            time.sleep(0.05)

    @property
    def status(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self, next_fault: str = "") -> None:
        """Kill it and start it again, armed with a fault."""
        self._process.kill()
        self._process.wait()
        self.begin(next_fault)

    def end(self) -> tuple[int, float]:
        """Ask it to stop; return its exit status and how long it took."""
        started = time.monotonic()
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            return self._process.wait(_GRACE_S), time.monotonic() - started
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL, time.monotonic() - started
        finally:
            self._process.kill()
            self._process.wait()


class Feed(threading.Thread):
    """Writes numbered records at a rate up to a limit or until it is told to end; ``count`` is then a multiple of the keys.

    Parameters
    ----------
    bootstrap
        Bootstrap servers.
    topic
        Where the records go.
    rate
        Records a second.
    limit
        How many to write, a multiple of the keys; None for no limit.

    Attributes
    ----------
    ended
        When the last record was acknowledged, by the monotonic clock.
    """

    def __init__(self, bootstrap: str, topic: str, rate: float, limit: int | None = None) -> None:
        super().__init__(daemon=True)
        settings = {"linger.ms": 5, "enable.idempotence": True, "log_level": 2, "on_delivery": self._delivered}
        self._producer = Producer({"bootstrap.servers": bootstrap, **settings})
        self._topic = topic
        self._rate = rate
        self._limit = limit
        self._end = threading.Event()
        self._undelivered: KafkaError | None = None
        self.count = 0
        self.ended = 0.0

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        self._undelivered = self._undelivered or error

    def run(self) -> None:
        """Write."""
        started = time.monotonic()
        while not self._end.is_set() and self.count != self._limit:
            for number in range(self.count, self.count + KEYS):
                self._produce(number)
            self.count += KEYS
            self._producer.poll(0)
            self._end.wait(max(0.0, started + self.count / self._rate - time.monotonic()))
        self._producer.flush()
        self.ended = time.monotonic()

    def _produce(self, number: int) -> None:
        while True:
            try:
                self._producer.produce(self._topic, str(number), str(number % KEYS))
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def stop(self) -> None:
        """End soon."""
        self._end.set()

    def finish(self) -> int:
        """End, with a limit once that is reached; wait until all is written, and return how many records that was.

        Raises
        ------
        AssertionError
            A record did not reach the broker: what follows would prove nothing.
        """
        if self._limit is None:
            self.stop()
        self.join()
        if self._undelivered is not None:
            raise AssertionError(f"the input itself is incomplete: {self._undelivered.str()}")
        return self.count


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the counts."""

    lost: int = 0
    doubled: int = 0
    over_counted: int = 0
    out_of_order: int = 0


def judge(rows: Iterable[broker.Row], count: int) -> Verdict:
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
