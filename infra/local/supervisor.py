"""Workers that come back: started, watched, restarted with growing delays, and given up on when they will not stay up."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
import psutil

from infra.local import process
from quantum.errors import ConfigurationError, QuantumError, StopError
from quantum.home import Home
from schemas.common import HealthState

log = logging.getLogger("quantum.supervisor")

POLL_S = 0.1
SETTLE_S = 2.0
FORGIVE_S = 60.0
TRIM_INTERVAL_S = 30.0
STALE_GRACE_S = 10.0


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A worker to keep running.

    Attributes
    ----------
    name : str
        Unique within the home, for example ``features-0``.
    component : str
        What it is a worker of, for example ``features``.
    argv : list of str
        Program and arguments.
    env : dict of str to str
        Added to this process's environment.
    """

    name: str
    component: str
    argv: list[str]
    env: dict[str, str] = msgspec.field(default_factory=dict)


class WorkerChange(msgspec.Struct, frozen=True, kw_only=True):
    """A worker changed its state.

    Attributes
    ----------
    name : str
        The worker.
    component : str
        What it is a worker of.
    state : HealthState
        STARTING: just started; HEALTHY: stayed up for two seconds; DEGRADED: ended, will be restarted; DOWN: ended, will not.
    detail : str
        Why.
    restarts : int
        How often it has been restarted so far.
    """

    name: str
    component: str
    state: HealthState
    detail: str
    restarts: int


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as it is now.

    Attributes
    ----------
    name : str
        The worker.
    component : str
        What it is a worker of.
    state : HealthState
        As in `WorkerChange`.
    detail : str
        Why.
    pid : int, optional
        Process id; None while it does not run.
    restarts : int
        How often it has been restarted so far.
    rss_bytes : int
        Resident memory; 0 while it does not run.
    """

    name: str
    component: str
    state: HealthState
    detail: str
    pid: int | None
    restarts: int
    rss_bytes: int


class _Worker:
    """What the watcher knows of a worker. Only the watcher's thread changes it."""

    def __init__(self, spec: WorkerSpec, budget: int) -> None:
        self.spec = spec
        self.record: process.ProcessRecord | None = None
        self.state = HealthState.UNKNOWN
        self.detail = "not started"
        self.started = 0.0
        self.due: float | None = 0.0  # monotonic time of the next start; None for never
        self.failures = 0  # in a row, without having stayed up in between
        self.restarts = 0
        self.recent = deque[float](maxlen=budget)


class Supervisor:
    """Keeps workers running.

    A worker that ends is started again at once the first time, then after ``backoff[0]`` seconds, twice as long each further time, at most
    ``backoff[1]``; after a minute without ending it is forgiven. A worker that was restarted ``budget`` times within ``window_s`` is
    given up on.

    Every worker is started by one thread that lives as long as the supervisor, because Linux ends tethered children with the thread
    that started them: so they end also when this process is killed.

    Parameters
    ----------
    home
        Where records and logs go.
    specs
        The workers.
    on_change
        Called from the watcher's thread with each change. If it raises, that is logged and the watch goes on.
    backoff
        Shortest and longest delay of a restart, seconds.
    budget
        Restarts allowed within the window.
    window_s
        The window, seconds.
    """

    def __init__(
        self,
        home: Home,
        specs: Sequence[WorkerSpec],
        on_change: Callable[[WorkerChange], None],
        backoff: tuple[float, float] = (0.5, 30.0),
        budget: int = 10,
        window_s: float = 600.0,
    ) -> None:
        names = [spec.name for spec in specs]
        if len(set(names)) != len(names):
            raise ConfigurationError(
                f"two workers have the same name among {', '.join(sorted(names))}", "give each worker a name of its own"
            )
        self.home = home
        self._workers = [_Worker(spec, budget) for spec in specs]
        self._on_change = on_change
        self._backoff = backoff
        self._budget = budget
        self._window_s = window_s
        self._bound_to_stack = False
        self._stopping = threading.Event()
        self._begun = threading.Event()
        self._grace_s = 10.0
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start every worker; returns when each was started once (they may still be starting up)."""
        self._thread.start()
        self._begun.wait()

    def stop(self, grace_s: float = 10.0) -> None:
        """End every worker: SIGTERM to all, SIGKILL after the grace time. Safe to call again."""
        self._grace_s = grace_s
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def workers(self) -> list[WorkerState]:
        """Return every worker as it is now, in the order in which they were given."""
        return [_snapshot(worker) for worker in self._workers]

    def _watch(self) -> None:
        try:
            self._end_stale()
            next_trim = 0.0
            while not self._stopping.is_set():
                now = time.monotonic()
                self._bound_to_stack = self._bound_to_stack or self.home.endpoints_file.exists()
                for worker in self._workers:
                    self._guarded(worker, now)
                self._begun.set()
                if now >= next_trim:
                    next_trim = now + TRIM_INTERVAL_S
                    self._trim_logs()
                self._stopping.wait(POLL_S)
        finally:
            self._begun.set()
            self._end_all()

    def _guarded(self, worker: _Worker, now: float) -> None:
        """Look after one worker; an unexpected failure is logged and must not end the watch over the others."""
        try:
            self._look_after(worker, now)
        except Exception:
            log.exception("watching %s failed; the watch goes on", worker.spec.name)

    def _look_after(self, worker: _Worker, now: float) -> None:
        if worker.record is not None:
            code = process.exit_code(worker.record.pid)
            if code is not None:
                self._ended(worker, now, _describe(code))
            elif worker.state is HealthState.STARTING and now - worker.started >= SETTLE_S:
                self._change(worker, HealthState.HEALTHY, "stays up")
            elif worker.failures and now - worker.started >= FORGIVE_S:
                worker.failures = 0
        elif worker.due is not None and now >= worker.due:
            self._start(worker, now)

    def _start(self, worker: _Worker, now: float) -> None:
        if self._bound_to_stack and not self.home.endpoints_file.exists():
            worker.due = None
            self._change(worker, HealthState.DOWN, "the stack was taken down")
            return
        again = worker.state is not HealthState.UNKNOWN
        if again:
            worker.restarts += 1
            worker.recent.append(now)
        worker.started, worker.due = now, None
        try:
            worker.record = process.spawn(
                self.home,
                worker.spec.name,
                worker.spec.argv,
                kind="worker",
                log=self.home.logs / f"{worker.spec.name}.log",
                env={"MALLOC_ARENA_MAX": "2", **os.environ, **worker.spec.env},  # many small processes: fewer arenas each
                cwd=self.home.root,
                die_with_parent=signal.SIGTERM,
            )
        except (QuantumError, OSError) as error:
            self._ended(worker, now, f"cannot be started: {error}")
        else:
            self._change(worker, HealthState.STARTING, f"restart {worker.restarts}" if again else "started")

    def _ended(self, worker: _Worker, now: float, why: str) -> None:
        worker.record = None
        process.forget(self.home, worker.spec.name)
        worker.failures += 1
        while worker.recent and now - worker.recent[0] > self._window_s:
            worker.recent.popleft()
        if len(worker.recent) >= self._budget:
            worker.due = None
            minutes = self._window_s / 60
            self._change(worker, HealthState.DOWN, f"budget spent: {self._budget} restarts in {minutes:g} minutes; last: {why}")
            return
        delay = 0.0 if worker.failures == 1 else min(self._backoff[1], self._backoff[0] * 2.0 ** (worker.failures - 2))
        worker.due = now + delay
        self._change(worker, HealthState.DEGRADED, f"{why}; restart in {delay:g} s")

    def _change(self, worker: _Worker, state: HealthState, detail: str) -> None:
        worker.state, worker.detail = state, detail
        level = logging.INFO if state in (HealthState.STARTING, HealthState.HEALTHY) else logging.WARNING
        log.log(level, "%s: %s, %s", worker.spec.name, state.value, detail)
        change = WorkerChange(name=worker.spec.name, component=worker.spec.component, state=state, detail=detail, restarts=worker.restarts)
        try:
            self._on_change(change)
        except Exception:
            log.exception("a change of %s could not be reported: %s, %s", worker.spec.name, state.value, detail)

    def _end_stale(self) -> None:
        """End workers of an earlier supervisor that have not ended with it: two of one name must not run."""
        names = {worker.spec.name for worker in self._workers}
        try:
            process.terminate([found for name, found in process.marked(self.home) if name in names], STALE_GRACE_S)
        except StopError:
            log.exception("workers of an earlier run still run")

    def _trim_logs(self) -> None:
        for worker in self._workers:
            try:
                process.trim(self.home.logs / f"{worker.spec.name}.log")
            except OSError:
                log.exception("the log of %s cannot be rotated", worker.spec.name)

    def _end_all(self) -> None:
        running = [worker for worker in self._workers if worker.record is not None]
        found = [process.find(self.home, worker.record) for worker in running if worker.record is not None]
        try:
            process.terminate([each for each in found if each is not None], self._grace_s)
        except StopError:
            log.exception("some workers have not ended")
        for worker in running:
            worker.record, worker.due = None, None
            worker.state, worker.detail = HealthState.DOWN, "stopped"
            process.forget(self.home, worker.spec.name)


def _describe(code: int) -> str:
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _snapshot(worker: _Worker) -> WorkerState:
    record, rss = worker.record, 0
    if record is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            rss = psutil.Process(record.pid).memory_info().rss
    return WorkerState(
        name=worker.spec.name,
        component=worker.spec.component,
        state=worker.state,
        detail=worker.detail,
        pid=None if record is None else record.pid,
        restarts=worker.restarts,
        rss_bytes=rss,
    )
