"""Collects what the live view shows."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from infra.local.stack import Stack
from infra.local.supervisor import Supervisor, WorkerState
from processors.app import application_id
from processors.topology import NODES, STAGES, TOPICS
from quantum.demo.observer import Observer
from quantum.demo.offsets import Offsets, Progress
from quantum.demo.scrape import quantile, stage_latencies
from quantum.demo.view import Frame, StageLine
from quantum.errors import RetryError
from quantum.settings import Settings
from schemas.common import HealthState

GROUPS = {**{stage: application_id(stage) for stage in STAGES}, "orders": "orders", "sink": "quantum-sink"}
INPUTS = ("feed", "clock")
MEGABYTE = 1_000_000


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
        self._before: tuple[float, Progress] | None = None
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

    def _lines(self) -> list[StageLine]:
        try:
            progress = self._offsets.look(TOPICS, GROUPS.values())
        except RetryError:  # the broker is busy or away: the next look may succeed, and the workers' states are shown anyway
            return []
        now = time.monotonic()
        before, self._before = self._before, (now, progress)
        latencies = stage_latencies(self._settings.folders.run)
        workers: dict[str, list[WorkerState]] = defaultdict(list)
        for worker in self.workers():
            workers[worker.component].append(worker)
        return [self._line(name, progress, before, now, latencies, workers[name]) for name in (*INPUTS, *GROUPS)]

    def _line(
        self,
        name: str,
        progress: Progress,
        before: tuple[float, Progress] | None,
        now: float,
        latencies: Mapping[str, Mapping[float, float]],
        workers: list[WorkerState],
    ) -> StageLine:
        node = NODES[name]
        rate = 0.0
        if before is not None and now > before[0]:
            written, written_before = progress.written(node.writes), before[1].written(node.writes)
            rate = (written - written_before) / (now - before[0])
        buckets = latencies.get(name, {})
        p50, p99 = quantile(buckets, 0.5), quantile(buckets, 0.99)
        return StageLine(
            name=name,
            rate=rate,
            lag=progress.lag(GROUPS[name], node.reads) if name in GROUPS else None,
            p50_ms=None if p50 is None else p50 * 1000,
            p99_ms=None if p99 is None else p99 * 1000,
            restarts=sum(worker.restarts for worker in workers),
            healthy=all(worker.state in (HealthState.HEALTHY, HealthState.STARTING) for worker in workers),
        )
