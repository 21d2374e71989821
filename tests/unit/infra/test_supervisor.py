"""Workers come back, within a budget, and end with their supervisor."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from infra.local import process, supervisor
from infra.local.supervisor import Supervisor, WorkerChange, WorkerSpec, WorkerState
from quantum.errors import ConfigurationError
from quantum.home import Endpoints, Home
from schemas.common import HealthState

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
FAIL = [sys.executable, "-c", "raise SystemExit(7)"]


def wait_for(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def worker(name: str, argv: list[str], **env: str) -> WorkerSpec:
    return WorkerSpec(name=name, component=name.split("-", maxsplit=1)[0], argv=argv, env=env)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    home.root.mkdir()
    yield home
    process.terminate([found for _, found in process.marked(home)], 1.0)


@pytest.fixture
def changes() -> list[WorkerChange]:
    return []


@pytest.fixture
def supervise(home: Home, changes: list[WorkerChange]) -> Iterator[Callable[..., Supervisor]]:
    started: list[Supervisor] = []

    def start(*specs: WorkerSpec, **options: object) -> Supervisor:
        made = Supervisor(home, specs, changes.append, **options)  # type: ignore[arg-type]  # each test gives what it is about
        started.append(made)
        made.start()
        return made

    yield start
    for each in started:
        each.stop(1.0)


def states(changes: list[WorkerChange], name: str) -> list[HealthState]:
    return [change.state for change in changes if change.name == name]


def only(watch: Supervisor) -> WorkerState:
    (state,) = watch.workers()
    return state


def test_a_killed_worker_comes_back_at_once(supervise: Callable[..., Supervisor], changes: list[WorkerChange], home: Home) -> None:
    watch = supervise(worker("features-0", SLEEP), worker("risk-0", SLEEP))
    first, other = watch.workers()
    assert first.pid is not None
    killed = time.monotonic()
    os.kill(first.pid, signal.SIGKILL)
    wait_for(lambda: watch.workers()[0].pid not in (None, first.pid))
    assert time.monotonic() - killed < 1.0
    assert watch.workers()[0].restarts == 1
    assert watch.workers()[0].rss_bytes > 0
    assert watch.workers()[1].pid == other.pid
    wait_for(lambda: states(changes, "features-0")[-1] is HealthState.HEALTHY)
    assert states(changes, "features-0") == [HealthState.STARTING, HealthState.DEGRADED, HealthState.STARTING, HealthState.HEALTHY]
    degraded = next(change for change in changes if change.state is HealthState.DEGRADED)
    assert (degraded.component, degraded.detail) == ("features", "ended by SIGKILL; restart in 0 s")
    record = process.record_of(home, "features-0")
    assert record is not None
    assert record.kind == "worker"
    assert record.pid == watch.workers()[0].pid


def test_delays_grow_until_the_budget_is_spent(supervise: Callable[..., Supervisor], changes: list[WorkerChange]) -> None:
    watch = supervise(worker("broken-0", FAIL), worker("sound-0", SLEEP), backoff=(0.05, 0.1), budget=4)
    wait_for(lambda: states(changes, "broken-0")[-1] is HealthState.DOWN)
    delays = [change.detail for change in changes if change.name == "broken-0" and change.state is HealthState.DEGRADED]
    assert delays == [f"ended with exit code 7; restart in {delay} s" for delay in ("0", "0.05", "0.1", "0.1")]
    down = changes[-1]
    assert down.detail == "budget spent: 4 restarts in 10 minutes; last: ended with exit code 7"
    assert down.restarts == 4
    count = len(states(changes, "broken-0"))
    time.sleep(0.4)
    assert len(states(changes, "broken-0")) == count, "it was restarted after its budget was spent"
    assert watch.workers()[0].pid is None
    assert watch.workers()[1].pid is not None


def test_what_cannot_be_started_spends_its_budget_too(supervise: Callable[..., Supervisor], changes: list[WorkerChange]) -> None:
    # Through the tether every program starts; that it is not there shows as an exit.
    supervise(worker("nothing-0", ["/nonexistent/program"]), backoff=(0.01, 0.01), budget=2)
    wait_for(lambda: bool(changes) and changes[-1].state is HealthState.DOWN)
    assert [change.state for change in changes].count(HealthState.STARTING) == 3


def test_a_reporter_that_raises_is_logged_and_the_watch_goes_on(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    def report(change: WorkerChange) -> None:
        raise RuntimeError(f"cannot report {change.name}")

    watch = Supervisor(home, [worker("features-0", SLEEP)], report)
    with caplog.at_level(logging.ERROR, logger="quantum.supervisor"):
        watch.start()
        try:
            before = only(watch).pid
            assert before is not None
            os.kill(before, signal.SIGKILL)
            wait_for(lambda: only(watch).pid not in (None, before))
        finally:
            watch.stop(1.0)
    assert "a change of features-0 could not be reported: STARTING, started" in caplog.text
    assert "RuntimeError: cannot report features-0" in caplog.text


def test_stop_ends_all_side_by_side_and_forgets_them(supervise: Callable[..., Supervisor], home: Home) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    watch = supervise(*(worker(f"deaf-{number}", [sys.executable, "-c", code]) for number in range(3)), worker("polite-0", SLEEP))
    wait_for(lambda: all((home.logs / f"deaf-{number}.log").read_text() == "deaf\n" for number in range(3)))
    begun = time.monotonic()
    watch.stop(0.5)
    assert time.monotonic() - begun < 1.5
    assert list(process.marked(home)) == []
    assert process.records(home) == []
    assert {(state.state, state.pid) for state in watch.workers()} == {(HealthState.DOWN, None)}
    watch.stop(0.5)


def test_workers_get_their_environment_and_a_log(supervise: Callable[..., Supervisor], home: Home) -> None:
    code = "import os, sys, time; print(os.environ['ROLE']); print('warned', file=sys.stderr, flush=True); time.sleep(60)"
    supervise(worker("w-0", [sys.executable, "-uc", code], ROLE="first"), worker("w-1", [sys.executable, "-uc", code], ROLE="second"))
    wait_for(lambda: (home.logs / "w-0.log").read_text() == "first\nwarned\n")
    wait_for(lambda: (home.logs / "w-1.log").read_text() == "second\nwarned\n")


def test_a_long_log_is_rotated_while_its_worker_writes(
    supervise: Callable[..., Supervisor], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LOG_BYTES", 50_000)
    monkeypatch.setattr(supervisor, "TRIM_INTERVAL_S", 0.2)
    code = "import time\nwhile True: print('x' * 999, flush=True); time.sleep(0.001)"
    supervise(worker("chatty-0", [sys.executable, "-c", code]))
    log = home.logs / "chatty-0.log"
    wait_for(log.with_name("chatty-0.log.1").exists)
    wait_for(lambda: 0 < log.stat().st_size < 50_000)


def test_nothing_is_restarted_once_the_stack_is_down(supervise: Callable[..., Supervisor], home: Home, changes: list[WorkerChange]) -> None:
    home.write_endpoints(Endpoints(kafka="127.0.0.1:1", registry="http://127.0.0.1:2", clickhouse="http://127.0.0.1:3"))
    watch = supervise(worker("features-0", SLEEP))
    home.endpoints_file.unlink()
    pid = only(watch).pid
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: changes[-1].state is HealthState.DOWN)
    assert changes[-1].detail == "the stack was taken down"


def test_workers_of_a_supervisor_that_was_killed_end(home: Home) -> None:
    code = (
        "import pathlib, sys, time; from infra.local.supervisor import *; from quantum.home import Home\n"
        "specs = [WorkerSpec(name=f'w-{n}', component='w', argv=[sys.executable, '-c', 'import time; time.sleep(60)']) for n in range(3)]\n"
        "Supervisor(Home(pathlib.Path(sys.argv[1])), specs, lambda change: None).start()\n"
        "print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(home.root)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        assert sorted(name for name, _ in process.marked(home)) == ["w-0", "w-1", "w-2"]
        parent.kill()
    wait_for(lambda: not list(process.marked(home)))


def test_a_worker_of_an_earlier_run_is_ended_first(supervise: Callable[..., Supervisor], home: Home) -> None:
    stale = process.spawn(home, "features-0", SLEEP, kind="worker", log=home.logs / "features-0.log")
    watch = supervise(worker("features-0", SLEEP))
    assert process.exit_code(stale.pid) == -signal.SIGTERM
    assert [found.pid for _, found in process.marked(home)] == [only(watch).pid]
    assert psutil.pid_exists(only(watch).pid or -1)


def test_two_workers_of_one_name_are_refused(home: Home) -> None:
    with pytest.raises(ConfigurationError, match="same name"):
        Supervisor(home, [worker("a", SLEEP), worker("a", SLEEP)], lambda _: None)
