"""Processes are found again, never mistaken, and always ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from infra.local import process, rotate
from quantum.errors import DependencyError
from quantum.home import Home

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [sys.executable, "-uc", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); time.sleep(60)"]


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    yield home
    process.terminate([found for _, found in process.marked(home)], 1.0)


def spawn(home: Home, name: str, argv: list[str]) -> process.ProcessRecord:
    return process.spawn(home, name, argv, kind="worker", log=home.logs / f"{name}.log")


def test_a_process_is_found_again_by_its_record(home: Home) -> None:
    record = spawn(home, "sleeper", SLEEP)
    assert process.record_of(home, "sleeper") == record
    assert process.is_alive(home, record)
    assert [(name, found.pid) for name, found in process.marked(home)] == [("sleeper", record.pid)]


def test_the_mark_finds_what_was_never_recorded(home: Home) -> None:
    record = spawn(home, "sleeper", SLEEP)
    process.forget(home, "sleeper")
    assert process.records(home) == []
    assert [(name, found.pid) for name, found in process.marked(home)] == [("sleeper", record.pid)]


def test_another_home_is_not_touched(home: Home, tmp_path: Path) -> None:
    spawn(home, "sleeper", SLEEP)
    assert list(process.marked(Home(tmp_path / "other"))) == []
    assert list(process.marked(Home(tmp_path))) == []


def test_a_process_id_that_was_used_again_is_not_ours(home: Home) -> None:
    record = spawn(home, "sleeper", SLEEP)
    stranger = subprocess.Popen(SLEEP)
    try:
        reused = msgspec.structs.replace(record, pid=stranger.pid, create_time=psutil.Process(stranger.pid).create_time())
        assert not process.is_alive(home, reused), "right start time, but without the mark"
    finally:
        stranger.kill()
        stranger.wait()
    assert not process.is_alive(home, msgspec.structs.replace(record, create_time=record.create_time - 3600)), (
        "the mark, but another start time"
    )
    assert not process.is_alive(home, msgspec.structs.replace(record, name="other"))


def test_the_dead_are_dead(home: Home) -> None:
    record = spawn(home, "quick", [sys.executable, "-c", "raise SystemExit(7)"])
    wait_for(lambda: process.exit_code(record.pid) is not None)
    assert process.exit_code(record.pid) == 7
    assert not process.is_alive(home, record)


def test_who_ignores_sigterm_is_killed(home: Home) -> None:
    polite, stubborn = spawn(home, "polite", SLEEP), spawn(home, "stubborn", STUBBORN)
    wait_for(lambda: Path(stubborn.log).read_text() == "ready\n")
    process.terminate([found for _, found in process.marked(home)], 0.5)
    assert process.exit_code(polite.pid) == -signal.SIGTERM
    assert process.exit_code(stubborn.pid) == -signal.SIGKILL


def test_a_program_that_is_not_there(home: Home) -> None:
    with pytest.raises(DependencyError, match="cannot be started"):
        spawn(home, "nothing", ["/nonexistent/program"])
    assert process.records(home) == []


def test_tethered_children_end_with_their_parent(home: Home) -> None:
    code = (
        "import signal, sys, time, pathlib; from infra.local import process; from quantum.home import Home\n"
        "home = Home(pathlib.Path(sys.argv[1]))\n"
        "process.spawn(home, 'child', [sys.executable, '-c', 'import time; time.sleep(60)'], kind='server',"
        " log=home.logs / 'child.log', die_with_parent=signal.SIGKILL)\n"
        "print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(home.root)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        assert len(list(process.marked(home))) == 1
        parent.kill()
    wait_for(lambda: not list(process.marked(home)))


def test_no_descriptor_leaks(home: Home) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(5):
        process.spawn(home, f"s{number}", SLEEP, kind="server", log=home.logs / "log", rotating=number % 2 == 0)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_rotating_log_loses_no_line(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_BYTES", 200_000)
    code = "import sys\nfor number in range(60_000): sys.stdout.write(f'{number:08d}\\n')"
    log = home.logs / "chatty.log"
    record = process.spawn(home, "chatty", [sys.executable, "-c", code], kind="server", log=log, rotating=True)
    wait_for(lambda: process.exit_code(record.pid) == 0)
    wait_for(lambda: b"00059999\n" in log.read_bytes() + log.with_name("chatty.log.1").read_bytes())
    parts = [log.with_name(f"chatty.log.{number}") for number in (3, 2, 1)] + [log]
    assert log.with_name("chatty.log.1").stat().st_size <= 200_000 + rotate.CHUNK
    assert b"".join(part.read_bytes() for part in parts if part.exists()) == b"".join(b"%08d\n" % number for number in range(60_000))


def test_trim_empties_a_log_that_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_BYTES", 10)
    log = tmp_path / "worker.log"
    with log.open("a") as writer:
        writer.write("a long line\n")
        writer.flush()
        process.trim(log)
        writer.write("next\n")
    assert log.read_text() == "next\n"
    assert (tmp_path / "worker.log.1").read_text() == "a long line\n"
