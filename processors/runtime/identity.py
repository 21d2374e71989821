"""Who a worker is: stable over restarts, because its transactional id ends what the process before it left open."""

from __future__ import annotations

import fcntl
import os
import uuid
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
