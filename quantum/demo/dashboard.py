"""Collects what the live view shows."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

from infra.local.stack import Stack
from infra.local.supervisor import Supervisor, WorkerState
from processors.app import application_id
from processors.topology import NODES, STAGES, TOPICS
from quantum.demo.observer import Observer
from quantum.demo.offsets import Offsets, Place, Progress
from quantum.demo.scrape import Buckets, Scrape, quantile, scrape
from quantum.demo.view import Frame, StageLine
from quantum.errors import RetryError
from quantum.settings import Settings
from schemas.common import HealthState

GROUPS = {**{stage: application_id(stage) for stage in STAGES}, "orders": "orders", "sink": "quantum-sink"}
INPUTS = ("feed", "clock")
COMMANDS = ("order.command",)
MEGABYTE = 1_000_000
WARM_UP_S = 15.0
WINDOW = 10


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    progress: Progress
    metrics: Scrape


class Dashboard:
    """The platform as it is now.

    Parameters
    ----------
    settings
        Settings of the platform.
    stack
        Its servers.
    supervisors
        Return those that watch its workers.
    observer
        What its topics say.
    source, total_s
        What the header shows.
    """

    def __init__(
        self,
        settings: Settings,
        stack: Stack,
        supervisors: Callable[[], list[Supervisor]],
        observer: Observer,
        source: str,
        total_s: float | None,
    ) -> None:
        self._settings = settings
        self._stack = stack
        self._supervisors = supervisors
        self.observer = observer
        self._source = source
        self._total_s = total_s
        self._offsets = Offsets(settings)
        self._started = time.monotonic()
        self._looks: deque[_Look] = deque(maxlen=WINDOW)
        self._warm: Scrape | None = None
        self.peak_mb: dict[str, float] = {}

    @property
    def elapsed_s(self) -> float:
        """Seconds since the dashboard began."""
        return time.monotonic() - self._started

    def workers(self) -> list[WorkerState]:
        """Return all workers."""
        return [worker for supervisor in self._supervisors() for worker in supervisor.workers()]

    def measure_memory(self) -> float:
        """Return the resident memory of servers and workers, MB, and keep the greatest."""
        parts = {server.name: (server.rss_bytes or 0) / MEGABYTE for server in self._stack.status()}
        parts["workers"] = sum(worker.rss_bytes for worker in self.workers()) / MEGABYTE
        total = sum(parts.values())
        if total > self.peak_mb.get("total", 0.0):
            self.peak_mb = {**{name: round(value) for name, value in parts.items()}, "total": round(total)}
        return total

    def frame(self) -> Frame:
        """Return everything that is shown now."""
        return Frame(self.elapsed_s, self._total_s, self._source, tuple(self._lines()), self.measure_memory())

    def latency(self) -> dict[str, Buckets]:
        """Return the latency histograms since the workers have warmed up."""
        now = scrape(self._settings.folders.run)
        return now.latency if self._warm is None else now.since(self._warm)

    def _lines(self) -> list[StageLine]:
        try:
            progress = self._offsets.look(TOPICS, GROUPS.values())
        except RetryError:  # the broker is busy or away: the next look may succeed, and the workers' states are shown anyway
            return []
        look = _Look(time.monotonic(), progress, scrape(self._settings.folders.run))
        if self._warm is None and self.elapsed_s >= WARM_UP_S:
            self._warm = look.metrics
        self._looks.append(look)
        workers: dict[str, list[WorkerState]] = defaultdict(list)
        for worker in self.workers():
            workers[worker.component].append(worker)
        latencies = look.metrics.since(self._looks[0].metrics)
        return [self._line(name, latencies.get(name, {}), workers[name]) for name in (*INPUTS, *GROUPS)]

    def _line(self, name: str, buckets: Buckets, workers: list[WorkerState]) -> StageLine:
        first, last = self._looks[0], self._looks[-1]
        if name in INPUTS:
            grown = last.progress.written(NODES[name].writes) - first.progress.written(NODES[name].writes)
        else:
            grown = round(last.metrics.taken.get(name, 0.0) - first.metrics.taken.get(name, 0.0))
        p50, p99 = quantile(buckets, 0.5), quantile(buckets, 0.99)
        return StageLine(
            name=name,
            rate=max(0, grown) / (last.at - first.at) if last.at > first.at else 0.0,
            lag=last.progress.lag(GROUPS[name], self._places(name)) if name in GROUPS else None,
            p50_ms=None if p50 is None else p50 * 1000,
            p99_ms=None if p99 is None else p99 * 1000,
            restarts=sum(worker.restarts for worker in workers),
            healthy=all(worker.state in (HealthState.HEALTHY, HealthState.STARTING) for worker in workers),
        )

    def _places(self, name: str) -> list[Place]:
        """Return the partitions that a node reads as a member of its group."""
        reads = COMMANDS if name == "orders" else NODES[name].reads
        return [
            (topic, partition)
            for topic in reads
            for partition in range(1 if name == "sink" and TOPICS[topic].broadcast else self._settings.partitions)
        ]
