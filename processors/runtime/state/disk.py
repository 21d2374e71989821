"""Where a worker keeps its tables on disk: one folder that one process has, in it a store for each table and partition."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from yarl import URL

from processors.runtime.state.store import Encode
from quantum.errors import ConfigurationError, DependencyError, RetryError

if TYPE_CHECKING:
    from processors.runtime.state.rocks import RocksStore

#: Seconds for which a worker waits for the process whose place it takes.
TAKE_OVER_S = 5.0


def is_on_disk(store: Any, asked: str) -> bool:
    """Return whether a store's URL asks for a store on disk.

    Parameters
    ----------
    store
        ``rocksdb://`` or ``memory://``.
    asked
        Who asks, for the error: for example ``App(store=...)``.

    Raises
    ------
    ConfigurationError
        It is another URL.
    """
    scheme, colon, rest = str(URL(store)).partition(":")
    if scheme not in ("memory", "rocksdb") or (colon and rest.strip("/")):
        raise ConfigurationError(
            f"{asked} {str(store)!r} is not supported by the exactly-once runtime",
            "use store='memory://' (a restart restores from the changelogs) or store='rocksdb://' (kept in App(datadir=...))",
        )
    return scheme == "rocksdb"


class DiskStores:
    """The stores of one worker.

    Parameters
    ----------
    folder
        The worker's own folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: IO[bytes] | None = None
        from processors.runtime.state.rocks import RocksStore, options  # here, so that who keeps tables in memory does not load RocksDB

        self._store = RocksStore
        self._options = options()

    def acquire(self, stopping: Callable[[], bool], wait_s: float = TAKE_OVER_S) -> None:
        """Take the folder for this process; a process of the same identity that is about to end is waited for.

        Raises
        ------
        ConfigurationError
            Another process has it.
        DependencyError
            It cannot be made.
        RetryError
            The worker wants to stop.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / "lock").open("ab")
        except OSError as error:
            raise DependencyError(f"tables cannot be kept in {self._folder}: {error}", "make App(datadir=...) writable") from error
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if stopping() or time.monotonic() > deadline:
                    lock.close()
                    if stopping():
                        raise RetryError(f"another process has {self._folder}", "start the worker again") from error
                    raise ConfigurationError(
                        f"another process works with the tables in {self._folder}", "give every worker an identity of its own: worker=..."
                    ) from error
                time.sleep(0.05)
            else:
                self._lock = lock
                return

    def open(self, table: str, partition: int, encode_key: Encode, decode_key: Callable[[bytes], Any]) -> RocksStore:
        """Return the store of a partition of a table."""
        return self._store(self._folder / table / str(partition), encode_key, decode_key, self._options)

    def release(self) -> None:
        """Let another process have the folder; the stores must be closed before."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
