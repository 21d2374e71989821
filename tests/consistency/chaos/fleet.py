"""The workers of a campaign: killed, stopped, added and removed, and none may end by itself."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.consistency.campaign import WorkerProcess


@dataclass(slots=True)
class Tally:
    """What was done to workers, and what they did.

    Attributes
    ----------
    killed
        Which worker was killed when, by the monotonic clock; its next process was started at once.
    slept
        From when to when a worker slept.
    hit
        The points of the commit at which an armed process ended.
    ended_by_themselves
        Number and last words of workers that ended without being told to.
    yielded
        Which process of two with one identity ended, after how many seconds beside the other, and its last words.
    endings
        Exit status and seconds of those that were told to end.
    """

    killed: list[tuple[int, float]] = field(default_factory=list)
    hit: list[str] = field(default_factory=list)
    slept: list[tuple[float, float]] = field(default_factory=list)
    added: int = 0
    removed: int = 0
    ended_by_themselves: list[str] = field(default_factory=list)
    yielded: list[tuple[str, float, str]] = field(default_factory=list)
    endings: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rivals:
    """Two processes with one identity, and since when there are two."""

    older: WorkerProcess
    newer: WorkerProcess
    since: float


class Fleet:
    """Runs workers for the time of a block; however it ends they do.

    Parameters
    ----------
    environment
        What every worker gets besides the test's own environment.
    folder
        Where their logs go.
    say
        Told what happens.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path, say: Callable[[str], None]) -> None:
        self._environment = environment
        self._folder = folder
        self._say = say
        self._next = 0
        self.workers: list[WorkerProcess] = []
        self.asleep: dict[WorkerProcess, float] = {}
        self.armed: dict[WorkerProcess, str] = {}
        self.rivals: list[Rivals] = []
        self.tally = Tally()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for worker in self.workers:
            worker.signal(signal.SIGKILL)
        for worker in self.workers:
            worker.end()

    def start(self, number: int | None = None) -> WorkerProcess:
        """Start one more worker, of the next identity or of a given one."""
        if number is None:
            number, self._next = self._next, self._next + 1
        worker = WorkerProcess(number, self._environment, self._folder / f"worker-{number}-{len(list(self._folder.iterdir()))}.log")
        self.workers.append(worker)
        return worker

    def await_work(self, limit_s: float = 30.0) -> None:
        """Wait until all have their partitions."""
        for worker in self.workers:
            worker.await_work(limit_s)

    def eligible(self) -> list[WorkerProcess]:
        """Return those that work, are awake, are not about to end by an armed fault, and are alone in their identity."""
        paired = {worker for pair in self.rivals for worker in (pair.older, pair.newer)}
        out = {*self.asleep, *self.armed, *paired}
        return [worker for worker in self.workers if worker not in out and worker.works]

    def kill(self, worker: WorkerProcess, fault: str = "") -> None:
        """Kill a worker; its next process is armed with a fault."""
        self.tally.killed.append((worker.number, time.monotonic()))
        worker.kill(fault)
        if fault:
            self.armed[worker] = fault

    def stop(self, worker: WorkerProcess, seconds: float) -> None:
        """Let a worker sleep, by SIGSTOP, until :meth:`tend` wakes it."""
        worker.signal(signal.SIGSTOP)
        self.asleep[worker] = time.monotonic() + seconds
        self.tally.slept.append((time.monotonic(), time.monotonic() + seconds))

    def add(self) -> WorkerProcess:
        """Add a worker of a new identity."""
        self.tally.added += 1
        return self.start()

    def remove(self, worker: WorkerProcess) -> None:
        """Take a worker out of service for ever."""
        self.workers.remove(worker)
        self.tally.removed += 1
        self.tally.endings.append(worker.end())

    def restart(self, worker: WorkerProcess) -> None:
        """Stop a worker in order and start it again."""
        self.tally.endings.append(worker.end())
        worker.begin()

    def double(self, worker: WorkerProcess) -> None:
        """Start a second process with a worker's identity."""
        self.rivals.append(Rivals(worker, self.start(worker.number), time.monotonic()))

    def tend(self) -> None:
        """Wake those whose time has come; start again those that an armed fault, or they themselves, have ended."""
        now = time.monotonic()
        for worker, due in list(self.asleep.items()):
            if now >= due:
                worker.signal(signal.SIGCONT)
                del self.asleep[worker]
        for worker in list(self.workers):
            if worker.status is None or self._yielded(worker, now):
                continue
            fault = self.armed.pop(worker, "")
            if fault and worker.status == -signal.SIGKILL:
                self._say(f"worker {worker.number} was killed by {fault}")
                self.tally.hit.append(fault.partition(":")[0])
                self.tally.killed.append((worker.number, now))
            else:
                self._say(f"worker {worker.number} ended by itself with {worker.status}")
                self.tally.ended_by_themselves.append(f"worker {worker.number}: status {worker.status}: {worker.said[-1500:]}")
            worker.begin()

    def _yielded(self, worker: WorkerProcess, now: float) -> bool:
        """Take note of a process that ended beside another of its identity, which goes on."""
        for pair in self.rivals:
            if worker in (pair.older, pair.newer):
                which = "older" if worker is pair.older else "newer"
                self._say(f"of two workers {worker.number} the {which} ended with {worker.status}")
                self.tally.yielded.append((which, now - pair.since, worker.said[-1500:]))
                self.rivals.remove(pair)
                self.workers.remove(worker)
                return True
        return False

    def end(self) -> None:
        """Stop all in order."""
        while self.workers:
            self.tally.endings.append(self.workers.pop().end())
