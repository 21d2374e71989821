"""ClickHouse's HTTP interface over the engine: every request on a thread of its own, the event loop never waits for the engine."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, generate_latest

from connectors.clickhouse.server.answers import Answers
from connectors.clickhouse.server.body import body_of, read_statement
from connectors.clickhouse.server.compression import encoder
from connectors.clickhouse.server.doorman import Doorman
from connectors.clickhouse.server.engine import Done, Engine
from connectors.clickhouse.server.errors import ClickHouseError, Code
from connectors.clickhouse.server.guard import Guard
from connectors.clickhouse.server.request import MAX_STATEMENT_BYTES, Call, call_of, credentials
from connectors.clickhouse.server.sessions import Lease, Sessions
from connectors.clickhouse.server.statement import STREAMED, Kind, Statement
from connectors.clickhouse.server.users import User, Users

log = logging.getLogger(__name__)

_APPEND_BYTES = 4_194_304
_READERS, _ANALYSTS, _WRITERS = 24, 8, 12
_LAST_TO_DIE = {"memory_overcommit_ratio_denominator": "0"}
"""When all statements together have used up the memory, the engine ends one of them: never one that writes."""
_QUERIES = Counter("quantum_history_statements", "Statements by kind and outcome (0 or ClickHouse's error code).", ["kind", "code"])
_WRITTEN = Counter("quantum_history_written_rows", "Rows stored.")
_RUNNING = Gauge("quantum_history_running_statements", "Statements that run now.")
ResultT = TypeVar("ResultT")


class HttpFace:
    """The handlers.

    Parameters
    ----------
    engine
        The engine, open.
    users
        Who may ask.
    """

    def __init__(self, engine: Engine, users: Users) -> None:
        self._engine = engine
        self._answers = Answers(engine.version, engine.timezone)
        self._doorman = Doorman(users, engine.budget.analyst_statements)
        self._guard = Guard(engine)
        self._sessions = Sessions(engine)
        # Threads of their own for those who write, so that readers never stop a writer, and for analysts, so that they never stop
        # the platform's own reads.
        self._readers = ThreadPoolExecutor(_READERS, "reader")
        self._analysts = ThreadPoolExecutor(_ANALYSTS, "analyst")
        self._writers = ThreadPoolExecutor(_WRITERS, "writer")
        self._cancellers = ThreadPoolExecutor(4, "canceller")
        self._cancelling: set[asyncio.Future[None]] = set()

    def application(self) -> web.Application:
        """Return the application."""
        application = web.Application(client_max_size=2 * MAX_STATEMENT_BYTES)
        application.router.add_get("/ping", self._ping)
        application.router.add_get("/replicas_status", self._ping)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_route("*", "/", self._query)
        application.on_cleanup.append(self._close)
        return application

    async def _close(self, _application: web.Application) -> None:
        await asyncio.gather(*self._cancelling, return_exceptions=False)
        for pool in (self._readers, self._analysts, self._writers, self._cancellers):
            await asyncio.to_thread(pool.shutdown)
        await asyncio.to_thread(self._doorman.close)
        await asyncio.to_thread(self._sessions.close)

    async def _ping(self, _request: web.Request) -> web.Response:
        return web.Response(text="Ok.\n", content_type="text/html")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _query(self, request: web.Request) -> web.StreamResponse:
        call, kind = Call(), "NONE"
        try:
            if request.method not in ("GET", "POST", "HEAD"):
                return web.Response(status=405, text=f"{request.method} is not supported; use GET or POST\n")
            if not request.query_string and request.method != "POST":
                return await self._ping(request)
            user = await self._doorman.identify(*credentials(request))
            call = await call_of(request)
            body = body_of(request)
            statement, data = await read_statement(call, body)
            kind = statement.kind.value
            if request.method != "POST" and statement.kind in (Kind.INSERT, Kind.CHANGE):
                raise ClickHouseError(
                    Code.READONLY, "Cannot execute query in readonly mode: for queries over HTTP, method GET implies readonly; use POST"
                )
            if user.analyst:
                self._guard.confine(call, statement)
            with _RUNNING.track_inprogress(), self._doorman.counted(user):
                response = await self._run(request, call, statement, data, body, user)
        except ClickHouseError as error:
            _QUERIES.labels(kind, str(error.code)).inc()
            log.info("%s %s: code %d: %s", kind, call.query_id, error.code, error.message[:500])
            return self._answers.refusal(call, error)
        except ConnectionResetError:
            log.info("%s %s: the client has gone", kind, call.query_id)
            return web.Response(status=499)  # to nobody
        _QUERIES.labels(kind, "0").inc()
        return response

    async def _run(
        self, request: web.Request, call: Call, statement: Statement, data: bytes, body: AsyncIterator[bytes], user: User
    ) -> web.StreamResponse:
        started = time.perf_counter_ns()
        form = statement.format or call.default_format
        if statement.kind is not Kind.INSERT and form.lower() not in self._engine.formats:
            raise ClickHouseError(Code.UNKNOWN_FORMAT, f"Unknown format {form}")
        streamed = statement.streams and not call.whole and form.lower() in STREAMED
        extra = {f"param_{name}": value for name, value in call.params.items()} if statement.kind is Kind.INSERT else {}
        if statement.kind is Kind.READ and not streamed:
            extra |= {"max_result_bytes": str(self._engine.budget.result_bytes), "result_overflow_mode": "throw"}
        if statement.kind is not Kind.READ:
            extra |= _LAST_TO_DIE
        reading = self._analysts if user.analyst else self._readers
        pool = reading if statement.kind is Kind.READ else self._writers
        lease = await self._lend(pool, call, extra)
        outcome: str = "cancelled"
        try:
            for name, table in call.tables.items():
                await self._call(pool, _external_table, lease, name, table)
            if user.analyst:
                statement = replace(statement, sql=await self._call(pool, self._guard.admit, lease.handle, statement))
            if streamed:
                response = await self._stream(request, call, statement, form, lease, started, pool)
            else:
                if statement.kind is Kind.INSERT:
                    done = await self._insert(statement, data, body, lease)
                else:
                    done = await self._call(pool, lease.handle.run, statement.sql, form, call.params)
                _WRITTEN.inc(done.written_rows)
                shown = form if statement.kind is Kind.READ or done.body else ""  # a format says: this statement has a result
                response = self._answers.whole(call, shown, done, started)
            outcome = "done"
            return response
        except ClickHouseError:
            outcome = "failed"
            raise
        finally:
            if outcome == "cancelled":
                self._cancel(lease)
            else:
                await self._call(pool, self._return, lease, outcome)

    async def _lend(self, pool: ThreadPoolExecutor, call: Call, extra: dict[str, str]) -> Lease:
        """Take a handle; one that comes when the client has gone already is given back."""
        lending = asyncio.get_running_loop().run_in_executor(pool, self._sessions.lend, call, extra)
        try:
            return await asyncio.shield(lending)
        except asyncio.CancelledError:
            lending.add_done_callback(lambda late: None if late.exception() else self._cancel(late.result()))
            raise

    def _return(self, lease: Lease, outcome: str) -> None:
        self._sessions.give_back(lease, failed=outcome == "failed")

    def _cancel(self, lease: Lease) -> None:
        """Stop a statement whose client has gone, without waiting."""
        task = asyncio.get_running_loop().run_in_executor(self._cancellers, self._sessions.cancel, lease)
        self._cancelling.add(task)
        task.add_done_callback(self._cancelling.discard)

    async def _insert(self, statement: Statement, data: bytes, body: AsyncIterator[bytes], lease: Lease) -> Done:
        form, handle = statement.format or "Values", lease.handle
        pending, begun = bytearray(data), False
        async for part in body:
            pending += part
            if len(pending) >= _APPEND_BYTES:
                chunk, pending = bytes(pending), bytearray()
                if not begun:
                    await self._call(self._writers, handle.begin_insert, statement.sql, form)
                    begun = True
                await self._call(self._writers, handle.append, chunk)

        def finish() -> Done:
            if not begun:
                handle.begin_insert(statement.sql, form)
            handle.append(bytes(pending))
            return handle.finish_insert()

        return await self._call(self._writers, finish)

    async def _stream(
        self, request: web.Request, call: Call, statement: Statement, form: str, lease: Lease, started: int, pool: ThreadPoolExecutor
    ) -> web.StreamResponse:
        compress = encoder(call.encoding)
        handle = lease.handle

        def begin() -> tuple[Done | None, Done | None]:
            handle.start(statement.sql, form, call.params)
            first = handle.fetch()
            return first, None if first is None else handle.fetch()

        def following() -> bytes | None:
            part = handle.fetch()
            return None if part is None else compress.encode(part.body)

        first, second = await self._call(pool, begin)
        if second is None:
            return self._answers.whole(call, form, first or Done(), started)
        assert first is not None, "a second part follows a first"
        tag = secrets.token_hex(8)
        response = web.StreamResponse(headers={**self._answers.headers(call, form, first, started), "X-ClickHouse-Exception-Tag": tag})
        if call.encoding:
            response.headers["Content-Encoding"] = call.encoding
        response.enable_chunked_encoding()
        await response.prepare(request)
        encoded: bytes | None = compress.encode(first.body) + compress.encode(second.body)
        try:
            while encoded is not None:
                await response.write(encoded)
                encoded = await self._call(pool, following)
            await response.write(compress.end())
        except ClickHouseError as error:
            # The status is sent already: what is left is to say it at the end of the rows and to break the connection off.
            log.warning("%s failed after its first rows: code %d: %s", call.query_id, error.code, error.message[:500])
            await response.write(compress.encode(self._answers.broken_off(error, tag)) + compress.end())
            if request.transport is not None:
                request.transport.close()
            return response
        await response.write_eof()
        return response

    async def _call(self, pool: ThreadPoolExecutor, function: Callable[..., ResultT], *arguments: object) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


def _external_table(lease: Lease, name: str, table: tuple[str, str, bytes]) -> None:
    structure, form, data = table
    if not name.replace("_", "").isalnum():
        raise ClickHouseError(Code.BAD_ARGUMENTS, f"{name} is no name of an external table")
    lease.handle.run(f"CREATE TEMPORARY TABLE {name} ({structure}) ENGINE = Memory")
    lease.handle.begin_insert(f"INSERT INTO {name}", form)
    lease.handle.append(data)
    lease.handle.finish_insert()
