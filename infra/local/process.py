"""Child processes that can be found again by any later process, and that are never mistaken for others.

Two things identify what was started for a home. A record, ``run/<name>.process.json``, holds the process id and the start time; and every
process carries ``QUANTUM_PROCESS=<name>@<home>`` in its environment from its first instruction. The record may be lost (the
launcher was killed between starting and writing) and a process id may be used again; the mark covers the first, and start time
and mark together cover the second.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import psutil

from infra.local import rotate, tether
from quantum.errors import DependencyError
from quantum.home import Home

MARK = "QUANTUM_PROCESS"
SUFFIX = ".process.json"
LOG_BYTES = 10 * 1024 * 1024
LOG_BACKUPS = 3
# Start times are computed from the boot time, which moves by a second when the clock is set.
CREATE_TIME_SLACK_S = 2.0
EXEC_S = 0.5

Kind = Literal["server", "worker"]

# Children of this very process: they must be reaped here, and only here their exit code is known.
_children: dict[int, subprocess.Popen[bytes]] = {}


class ProcessRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A process that was started for a home.

    Attributes
    ----------
    name : str
        Unique within the home.
    kind : str
        ``server`` or ``worker``.
    pid : int
        Process id.
    create_time : float
        When the operating system started it, seconds since the epoch.
    argv : list of str
        What was started.
    ports : dict of str to int
        The ports that it listens on, by their use.
    started_at : int
        When the record was written, microseconds UTC.
    log : str
        The file that its standard output goes to.
    """

    name: str
    kind: Kind
    pid: int
    create_time: float
    argv: list[str]
    ports: dict[str, int]
    started_at: int
    log: str


def mark(home: Home, name: str) -> str:
    """Return the value of the environment variable that marks a process of this home."""
    return f"{name}@{home.root.resolve()}"


def spawn(
    home: Home,
    name: str,
    argv: Sequence[str],
    *,
    kind: Kind,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    ports: Mapping[str, int] | None = None,
    die_with_parent: signal.Signals | None = None,
    rotating: bool = False,
) -> ProcessRecord:
    """Start a process in a session of its own and record it.

    Parameters
    ----------
    home
        The home that it belongs to.
    name
        Unique within the home.
    argv
        The program and its arguments.
    kind
        ``server`` or ``worker``.
    log
        Where standard output and error go; rotated now if it is above 10 MB.
    env
        The whole environment; default that of this process.
    cwd
        Working directory; default the home.
    ports
        The ports that it will listen on.
    die_with_parent
        The signal that it gets when the calling *thread* ends; None lets it live on.
    rotating
        Rotate the log while the process runs, through a pipe to a small process that outlives this one.

    Raises
    ------
    DependencyError
        The program cannot be started.
    """
    for folder in (home.run, log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    environment = {**(os.environ if env is None else env), MARK: mark(home, name)}
    command = list(argv)
    if die_with_parent is not None:
        command = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), str(int(die_with_parent)), *command]
    if log.exists() and log.stat().st_size > LOG_BYTES:
        rotate.rotate(log, LOG_BACKUPS)
    output = _open_rotating(log, environment) if rotating else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        child = subprocess.Popen(
            command,
            env=environment,
            cwd=home.root if cwd is None else cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise DependencyError(f"{name} cannot be started: {error}", f"check that {command[0]} exists and may be run") from error
    finally:
        os.close(output)
    _children[child.pid] = child
    try:
        create_time = psutil.Process(child.pid).create_time()
    except psutil.NoSuchProcess as error:
        raise DependencyError(f"{name} ended at once", f"read {log}") from error
    record = ProcessRecord(
        name=name,
        kind=kind,
        pid=child.pid,
        create_time=create_time,
        argv=list(argv),
        ports=dict(ports or {}),
        started_at=time.time_ns() // 1000,
        log=str(log),
    )
    _write(home, record)
    return record


def records(home: Home) -> list[ProcessRecord]:
    """Return what was recorded for a home, dead or alive, by name."""
    found = []
    for path in sorted(home.run.glob(f"*{SUFFIX}")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=ProcessRecord))
        except FileNotFoundError:  # another process has just ended it
            continue
    return found


def record_of(home: Home, name: str) -> ProcessRecord | None:
    """Return the record of a process, dead or alive."""
    try:
        return msgspec.json.decode(_path(home, name).read_bytes(), type=ProcessRecord)
    except FileNotFoundError:
        return None


def forget(home: Home, name: str) -> None:
    """Remove the record of a process."""
    _path(home, name).unlink(missing_ok=True)


def find(home: Home, record: ProcessRecord) -> psutil.Process | None:
    """Return the running process of a record, or None where it has ended, also if its id now belongs to another."""
    reap()
    try:
        process = psutil.Process(record.pid)
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - record.create_time) > CREATE_TIME_SLACK_S:
                return None
        environment = _environment_of(process)
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # a process whose environment is closed to us is not one that we started
        return None
    # One that is stuck within exec has no environment; its id and start time are known to be right by then.
    return process if not environment or environment.get(MARK) == mark(home, record.name) else None


def _environment_of(process: psutil.Process) -> dict[str, str]:
    """Return a process's environment; within exec it has none for a moment, which is waited for."""
    deadline = time.monotonic() + EXEC_S
    while not (environment := process.environ()) and time.monotonic() < deadline:
        time.sleep(0.001)
    return environment


def is_alive(home: Home, record: ProcessRecord) -> bool:
    """Whether the process of a record still runs."""
    return find(home, record) is not None


def marked(home: Home) -> Iterator[tuple[str, psutil.Process]]:
    """Give name and process of everything that runs for a home, recorded or not."""
    reap()
    tail = f"@{home.root.resolve()}"
    for process in psutil.process_iter():
        try:
            value = process.environ().get(MARK, "")
            if value.endswith(tail) and process.status() != psutil.STATUS_ZOMBIE:
                yield value.removesuffix(tail), process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def exit_code(pid: int) -> int | None:
    """Return how a child of this process ended: its exit code, -N for signal N, None while it runs or if it is no child."""
    child = _children.get(pid)
    return None if child is None else child.poll()


def reap() -> None:
    """Collect the exit codes of children that have ended, so that none stays a zombie."""
    for child in list(_children.values()):
        child.poll()


def trim(log: Path) -> None:
    """Rotate a log that its writer holds open, where it is above 10 MB: copy it aside and empty it.

    The writer appends, so it goes on at the new start. Lines that it writes between copy and emptying are lost; a log that must not
    lose any is written through ``spawn(rotating=True)``.
    """
    if log.exists() and log.stat().st_size > LOG_BYTES:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)


def terminate(processes: Iterable[psutil.Process], grace_s: float) -> None:
    """End processes: SIGTERM to all, SIGKILL to those that are still there after the grace time.

    ``psutil`` compares start times before it sends, so a process id that was used again in the meantime is left alone.
    """
    pending = list(processes)
    for send in (psutil.Process.terminate, psutil.Process.kill):
        for process in pending:
            with contextlib.suppress(psutil.NoSuchProcess):
                send(process)
        deadline = time.monotonic() + grace_s
        while pending and time.monotonic() < deadline:
            reap()
            pending = [process for process in pending if _runs(process)]
            time.sleep(0.02)
        if not pending:
            return
    raise DependencyError(
        f"processes {', '.join(str(process.pid) for process in pending)} do not end, not even by SIGKILL",
        "they wait for the kernel, most often for a disk; look with 'ps -o pid,stat,wchan,args'",
    )


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@atexit.register
def _disown() -> None:
    """Let the servers that outlive this process on purpose not be reported as forgotten children."""
    for child in _children.values():
        if child.poll() is None:
            child.returncode = 0


def _open_rotating(log: Path, env: Mapping[str, str]) -> int:
    """Start the process that writes and rotates a log; returns the descriptor that leads to it."""
    # Not marked: it ends by itself once the server has, and must not be ended before it has written the last lines.
    unmarked = {key: value for key, value in env.items() if key != MARK}
    read, write = os.pipe()
    try:
        writer = subprocess.Popen(
            [sys.executable, "-I", "-S", rotate.__file__, str(log), str(LOG_BYTES), str(LOG_BACKUPS)],
            env=unmarked,
            cwd=log.parent,
            stdin=read,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        os.close(write)
        raise
    finally:
        os.close(read)
    _children[writer.pid] = writer
    return write


def _path(home: Home, name: str) -> Path:
    return home.run / f"{name}{SUFFIX}"


def _write(home: Home, record: ProcessRecord) -> None:
    path = _path(home, record.name)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2))
    temporary.replace(path)
