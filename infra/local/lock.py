"""A lock between processes that the operating system releases when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from quantum.errors import DependencyError


@contextmanager
def file_lock(path: Path, *, timeout_s: float, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold a lock file.

    Parameters
    ----------
    path
        The file; it is made where it is missing and never removed.
    timeout_s
        How long to wait for another holder.
    waiting
        Told once, where another holds it.

    Raises
    ------
    DependencyError
        Another process still holds it after the timeout.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + timeout_s
        told = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                other = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                if time.monotonic() >= deadline:
                    raise DependencyError(
                        f"{path} is held by process {other} for more than {timeout_s:.0f} s", f"wait for it, or end process {other}"
                    ) from error
                if waiting is not None and not told:
                    waiting(f"waiting for process {other}, which works on the same files")
                    told = True
                time.sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
