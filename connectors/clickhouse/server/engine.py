"""The engine: chDB, opened once on one path by one process, and handles on it that run statements."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from connectors.clickhouse.server.errors import ClickHouseError, Code, from_engine
from quantum.errors import DependencyError

DATABASE = "quantum"
_KILL_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class Budget:
    """What the engine may use.

    Attributes
    ----------
    memory_bytes
        All queries and merges together.
    query_memory_bytes
        One query, where its client sets no other limit.
    query_seconds
        One query, where its client sets no other limit.
    result_bytes
        Rows of one answer in a format that is made up in memory before it is sent (JSON, Arrow, Parquet, ...).
    analyst_memory_bytes, analyst_seconds
        One query of an analyst, who can lower but not lift them.
    analyst_statements
        Statements that one analyst may have running at once.
    """

    memory_bytes: int = 1_200_000_000
    query_memory_bytes: int = 800_000_000
    query_seconds: int = 300
    result_bytes: int = 134_217_728
    analyst_memory_bytes: int = 400_000_000
    analyst_seconds: int = 60
    analyst_statements: int = 8

    def options(self) -> str:
        """Return the engine's own settings: small caches and thread pools."""
        options = {
            "max_server_memory_usage": self.memory_bytes,
            "mark_cache_size": 33_554_432,
            "index_mark_cache_size": 8_388_608,
            "uncompressed_cache_size": 0,
            "max_thread_pool_size": 256,
            "background_pool_size": 2,
            "background_move_pool_size": 1,
            "background_fetches_pool_size": 1,
            "background_common_pool_size": 1,
            "background_schedule_pool_size": 4,
        }
        return "&".join(f"{name}={value}" for name, value in options.items())

    def settings(self) -> dict[str, str]:
        """Return the settings that every statement starts with."""
        return {
            "async_insert": "0",
            "max_memory_usage": str(self.query_memory_bytes),
            "max_execution_time": str(self.query_seconds),
            "session_timezone": "UTC",
        }


@dataclass(frozen=True, slots=True)
class Done:
    """What a statement that gave no stream did.

    Attributes
    ----------
    body
        The answer in the format asked for; empty where there is none.
    read_rows, read_bytes, written_rows, written_bytes, result_rows
        Counts of rows and bytes.
    """

    body: bytes = b""
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0


class Handle:
    """One connection to the engine: a session with settings and temporary tables; its statements run one after another.

    Parameters
    ----------
    connection
        chDB's connection.
    settings
        Settings that every statement starts with.
    """

    def __init__(self, connection: Any, settings: Mapping[str, str]) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._stream: Any = None
        self._inserter: Any = None
        self._failures = b""
        self.apply(settings)

    @property
    def running(self) -> bool:
        """Whether a call is inside the engine now."""
        return self._lock.locked()

    def apply(self, settings: Mapping[str, str]) -> None:
        """Set settings (``param_<name>`` among them) until they are set again."""
        if settings:
            self.run("SET " + ", ".join(f"{_identifier(name)} = {_literal(value)}" for name, value in settings.items()))

    def values(self, names: list[str]) -> dict[str, str]:
        """Return the present values of settings; names that are none are left out."""
        listed = ", ".join(_literal(name) for name in names)
        body = self.run(f"SELECT name, value FROM system.settings WHERE name IN ({listed}) FORMAT TSVRaw").body.decode()
        return dict(line.split("\t", 1) for line in body.splitlines()) if listed else {}

    def tree(self, sql: str) -> dict[str, Any]:
        """Return the syntax tree of one statement, which is parsed and not run.

        Raises
        ------
        ClickHouseError
            It cannot be parsed, is more than one, or is of a kind that the engine gives no tree of.
        """
        try:
            body = self.run(f"SELECT parseQueryToJSON({_literal(sql)})", "TSVRaw").body
        except ClickHouseError as error:
            raise ClickHouseError(error.code, error.message.partition(": In scope SELECT parseQueryToJSON")[0]) from error
        try:
            return msgspec.json.decode(body, type=dict[str, Any])
        except RecursionError:
            raise ClickHouseError(Code.TOO_DEEP_RECURSION, "The statement is nested too deeply") from None

    def views(self, database: str) -> frozenset[str]:
        """Return the names of a database's views."""
        sql = f"SELECT name FROM system.tables WHERE database = {_literal(database)} AND engine = 'View'"
        return frozenset(self.run(sql, "TSVRaw").body.decode().splitlines())

    def use(self, database: str) -> None:
        """Make a database the default of the statements that follow."""
        self.run(f"USE {_quoted(database)}")

    def run(self, sql: str, form: str = "TabSeparated", params: Mapping[str, str] | None = None) -> Done:
        """Run a statement to its end and return its whole answer."""
        with self._calling():
            result = self._connection.query(_utf8(sql), form, params=dict(params or {}))
            return Done(
                bytes(result.bytes()), result.storage_rows_read(), result.bytes_read(),
                result.rows_written(), result.bytes_written(), result.rows_read(),
            )  # fmt: skip

    def start(self, sql: str, form: str, params: Mapping[str, str]) -> None:
        """Start a query whose answer comes in parts."""
        with self._calling():
            self._stream = self._connection.send_query(_utf8(sql), form, params=dict(params))

    def fetch(self) -> Done | None:
        """Return the next part of the answer, None at its end."""
        with self._calling():
            part = self._stream.fetch()
            if part is None:
                self._stream = None
                return None
            return Done(bytes(part.bytes()), read_rows=part.storage_rows_read(), result_rows=part.rows_read())

    def begin_insert(self, sql: str, form: str) -> None:
        """Start an insert whose data comes in parts."""
        self._failures = self._failed_inserts()
        with self._calling():
            self._inserter = self._connection.send_insert(_utf8(sql), form)

    def append(self, data: bytes) -> None:
        """Give the insert more data."""
        if data:
            with self._calling():
                self._inserter.append(data)

    def finish_insert(self) -> Done:
        """Store the insert's rows; when this returns they are on the disk.

        Raises
        ------
        ClickHouseError
            They are not, or, with UNKNOWN_STATUS_OF_INSERT, perhaps not.
        """
        with self._calling():
            inserter, self._inserter = self._inserter, None
            done = inserter.finish()
        # chDB keeps silent about an insert that fails while its part is written, for example at a limit of memory or time, and
        # counts its rows as written; the engine's own count of failed inserts knows.
        if self._failed_inserts() != self._failures:
            raise ClickHouseError(
                Code.UNKNOWN_STATUS_OF_INSERT,
                "An insert failed while this one ran, perhaps this one: whether its rows are stored is not known",
            )
        return Done(written_rows=done.rows_written, written_bytes=done.bytes_written)

    def _failed_inserts(self) -> bytes:
        """Return how many inserts have failed in the engine since it was opened, of all handles."""
        return self.run("SELECT value FROM system.events WHERE event = 'FailedInsertQuery'").body

    def abandon(self) -> None:
        """Drop an open stream or insert and what a failed statement may have left in the answer buffer."""
        with self._lock:
            open_calls, self._stream, self._inserter = (self._stream, self._inserter), None, None
            for call in open_calls:
                if call is not None:
                    call.cancel()
            self._connection.query("SELECT 1 FORMAT Null", "Null")

    def close(self) -> None:
        """Close the connection; waits for a call that is running."""
        with self._lock:
            for call in (self._stream, self._inserter):
                if call is not None:
                    call.cancel()
            self._stream = self._inserter = None
            self._connection.close()

    @contextmanager
    def _calling(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except RuntimeError as error:  # what every failure of the engine is
                raise from_engine(error) from error


class Engine:
    """Owns a path.

    Parameters
    ----------
    path
        Folder of the data.
    budget
        What it may use.
    """

    def __init__(self, path: Path, budget: Budget) -> None:
        self.path = path
        self.budget = budget
        self.version = ""
        self.timezone = ""
        self.formats = frozenset[str]()
        self._lock: int | None = None
        self._control: Handle | None = None

    def open(self) -> None:
        """Open the path and make the platform's database.

        Raises
        ------
        DependencyError
            Another process has the path open, or the engine cannot read what is there.
        """
        self._lock = _lock(self.path)
        try:
            control = self.handle()
        except (RuntimeError, ClickHouseError) as error:
            os.close(self._lock)
            raise DependencyError(
                f"the history store cannot open {self.path}: {error}", "see the log; restore the folder from a backup"
            ) from error
        self._control = control
        control.run(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic COMMENT 'Tick and trade history; one table a topic'")
        self.version, self.timezone = control.run("SELECT version(), timezone()").body.decode().split()
        self.formats = frozenset(control.run("SELECT lower(name) FROM system.formats WHERE is_output").body.decode().split())

    def handle(self) -> Handle:
        """Return a new handle.

        Raises
        ------
        ClickHouseError
            The engine has no memory for it now.
        """
        import chdb.state.sqlitelike as chdb  # 0.3 s and 250 MB: only in the process that owns a path

        try:
            connection = chdb.Connection(f"{self.path}?{self.budget.options()}")
        except RuntimeError as error:
            raise from_engine(error) from error
        return Handle(connection, self.budget.settings())

    def stop(self, handle: Handle, tag: str) -> None:
        """Cancel what a handle is doing and close it.

        Parameters
        ----------
        handle
            The handle.
        tag
            The ``log_comment`` that its statements run under.
        """
        while handle.running:
            self._kill(tag)
            time.sleep(_KILL_INTERVAL_S)
        handle.close()

    def _kill(self, tag: str) -> None:
        assert self._control is not None, "open() comes first"
        self._control.run(f"KILL QUERY WHERE Settings['log_comment'] = {_literal(tag)} ASYNC")

    def close(self) -> None:
        """Close the path."""
        if self._control is not None:
            self._control.close()
        if self._lock is not None:
            os.close(self._lock)


def _lock(path: Path) -> int:
    """Take the path for this process and return the lock's descriptor; the lock goes with the process, however it ends."""
    path.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(descriptor, 32).decode().strip() or "unknown"
        os.close(descriptor)
        raise DependencyError(
            f"{path} is open in another process (pid {owner}): one process owns a history store",
            "use that one's HTTP address, or stop it: quantum down",
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def _utf8(text: str) -> str:
    """Return a text that the engine can take; ClickHouse takes any bytes, chDB only UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ClickHouseError(Code.NOT_IMPLEMENTED, "A statement that is not UTF-8 is not supported by this store") from None
    return text


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _identifier(name: str) -> str:
    if not name.replace("_", "").isalnum():
        raise ClickHouseError(115, f"Unknown setting '{name}'. (UNKNOWN_SETTING)")
    return name


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
