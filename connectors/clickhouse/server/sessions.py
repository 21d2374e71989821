"""Handles lent to requests: a fresh one each, or the one of the session that a request belongs to."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from connectors.clickhouse.server.engine import Engine, Handle
from connectors.clickhouse.server.errors import ClickHouseError, Code
from connectors.clickhouse.server.request import Call

MAX_SESSIONS = 256


@dataclass(slots=True)
class _Session:
    handle: Handle
    busy: bool = True
    expires: float = 0.0


@dataclass(slots=True)
class Lease:
    """A handle for one request.

    Attributes
    ----------
    handle
        The handle, with the request's database and settings applied.
    tag
        The ``log_comment`` that its statement runs under; the engine finds a statement to cancel by it. It begins with the query's
        id, which is the client's to choose, and ends with what no client can guess, lest one's going away end another's statement.
    """

    handle: Handle
    tag: str
    session_id: str = ""
    timeout_s: float = 0.0
    restore: dict[str, str] = field(default_factory=dict)


class Sessions:
    """Lends handles and takes them back. Its methods call the engine: not for the event loop.

    Parameters
    ----------
    engine
        The engine.
    clock
        Seconds that never go back, for the sessions' time-out.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, _Session] = {}

    def lend(self, call: Call, extra: dict[str, str]) -> Lease:
        """Return a handle with a request's settings applied.

        Parameters
        ----------
        call
            The request.
        extra
            Settings beneath the request's own.

        Raises
        ------
        ClickHouseError
            The session is busy or gone, or a setting or the database is unknown.
        """
        self.expire()
        settings = {**extra, **call.settings, "log_comment": f"{call.query_id} {secrets.token_hex(8)}"}
        lease = Lease(
            self._take(call) if call.session_id else self._engine.handle(), settings["log_comment"], call.session_id, call.session_timeout_s
        )
        try:
            if lease.session_id:
                lease.restore = lease.handle.values(list(settings))
            lease.handle.apply(settings)
            if call.database != "default":
                lease.handle.use(call.database)
        except BaseException:
            self.give_back(lease, failed=True)
            raise
        return lease

    def give_back(self, lease: Lease, *, failed: bool) -> None:
        """Take a handle back: a session's is kept, as its statements left it; any other is closed."""
        if not lease.session_id:
            lease.handle.close()
            return
        try:
            if failed:
                lease.handle.abandon()
            lease.handle.apply(lease.restore)
        except ClickHouseError:
            self._drop(lease)
            raise
        with self._lock:
            session = self._sessions.get(lease.session_id)
            if session is not None:
                session.busy, session.expires = False, self._clock() + lease.timeout_s

    def cancel(self, lease: Lease) -> None:
        """Stop what a handle is doing: its client has gone. A session ends with it."""
        if lease.session_id:
            with self._lock:
                self._sessions.pop(lease.session_id, None)
        self._engine.stop(lease.handle, lease.tag)

    def expire(self) -> None:
        """Close the sessions that have been idle too long."""
        now = self._clock()
        with self._lock:
            old = [name for name, session in self._sessions.items() if not session.busy and session.expires <= now]
            handles = [self._sessions.pop(name).handle for name in old]
        for handle in handles:
            handle.close()

    def close(self) -> None:
        """Close every session that is idle."""
        with self._lock:
            sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.handle.close()

    def _take(self, call: Call) -> Handle:
        with self._lock:
            session = self._sessions.get(call.session_id)
            if session is not None:
                if session.busy:
                    raise ClickHouseError(Code.SESSION_IS_LOCKED, "Session is locked by a concurrent client")
                session.busy = True
                return session.handle
            if call.session_must_exist:
                raise ClickHouseError(Code.SESSION_NOT_FOUND, "Session not found")
            if len(self._sessions) >= MAX_SESSIONS:
                raise ClickHouseError(Code.TOO_MANY_SIMULTANEOUS_QUERIES, f"Too many sessions: {MAX_SESSIONS} are open")
            handle = self._engine.handle()
            self._sessions[call.session_id] = _Session(handle)
            return handle

    def _drop(self, lease: Lease) -> None:
        with self._lock:
            self._sessions.pop(lease.session_id, None)
        lease.handle.close()
