"""Who a worker is: stable over restarts, because its transactional id ends what the process before it left open."""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections.abc import Container, Iterable
from pathlib import Path
from typing import IO

from quantum.errors import DependencyError


class Identity:
    """The name of a worker within its application.

    Parameters
    ----------
    name
        The name, unique among the application's workers.
    lock
        The open file that keeps another process from taking the same name; None for a name that was given.
    """

    def __init__(self, name: str, lock: IO[str] | None = None) -> None:
        self.name = name
        self._lock = lock

    def release(self) -> None:
        """Let another process have the name."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def process_name(worker: str) -> str:
    """Name this process among those of a worker's identity: ``<worker>:<start>``, where a later start sorts after an earlier one."""
    return f"{worker}:{time.time_ns() // 1_000_000:012x}{uuid.uuid4().hex[:4]}"


def newer(process: str, commits: Iterable[str], before: Container[str]) -> str | None:
    """Return a process of the same identity that was started later, if one has committed.

    Parameters
    ----------
    process
        This process.
    commits
        What is written beside committed offsets: ``<process>:<epoch>``.
    before
        Processes that were there before this one, whatever a clock that was set says of their start.
    """
    worker = process.rpartition(":")[0]
    others = {commit.rpartition(":")[0] for commit in commits} - {process}
    later = [other for other in others if other.rpartition(":")[0] == worker and other > process and other not in before]
    return max(later, default=None)


def identify(given: str | None, folder: Path) -> Identity:
    """Return the worker's identity: given, or from ``QUANTUM_WORKER`` or ``WORKER``, or one that is kept in a folder.

    Parameters
    ----------
    given
        The name that the application was given.
    folder
        Where names are kept otherwise; each process takes the first that no other process has locked.
    """
    name = given or os.environ.get("QUANTUM_WORKER") or os.environ.get("WORKER")
    if name:
        return Identity(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1000):
            held = _take(folder / f"worker-{number}.id")
            if held is not None:
                return held
    except OSError as error:
        raise DependencyError(
            f"the worker's identity cannot be kept in {folder}: {error}", "make the folder writable, or name the worker: worker=..."
        ) from error
    raise DependencyError(f"all worker identities in {folder} are taken", "name the worker: worker=...")


def _take(path: Path) -> Identity | None:
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    file.seek(0)
    name = file.read().strip()
    if not name:
        name = uuid.uuid4().hex[:12]
        file.write(name)
        file.flush()
    return Identity(name, file)
