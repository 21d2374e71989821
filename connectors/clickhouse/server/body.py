"""The body of a request: decoded, and its statement told from the data that may follow it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from connectors.clickhouse.lexer import tokens
from connectors.clickhouse.server.compression import decoder
from connectors.clickhouse.server.errors import ClickHouseError, Code
from connectors.clickhouse.server.request import MAX_STATEMENT_BYTES, Call
from connectors.clickhouse.server.statement import Kind, Statement, parse

_HEAD_BYTES = 1_048_576


async def body_of(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the body, decoded; raises ClickHouseError where its encoding is broken or cut off."""
    undo = decoder(request.headers.get("Content-Encoding", ""))
    async for data in request.content.iter_any():
        part = undo.decode(data)
        if part:
            yield part
    undo.end()


async def read_statement(call: Call, body: AsyncIterator[bytes]) -> tuple[Statement, bytes]:
    """Return the statement and the beginning of its data, having read no more of the body than that takes."""
    head = bytearray(call.text)
    if call.text and _is_insert(call.text):
        statement = parse(call.text)
        if statement.kind is Kind.INSERT:
            return statement, call.text[statement.data_start :]
    complete = True
    async for part in body:
        if call.text and len(head) == len(call.text):
            head += b"\n"
        head += part
        if len(head) >= _HEAD_BYTES and _is_insert(head):
            complete = False
            break
        _check_size(head)
    statement = parse(bytes(head))
    if not complete and statement.kind is not Kind.INSERT:
        async for part in body:
            head += part
            _check_size(head)
        statement = parse(bytes(head))
    return statement, bytes(head[statement.data_start :]) if statement.kind is Kind.INSERT else b""


def _is_insert(text: bytes | bytearray) -> bool:
    first = next(tokens(bytes(text[:_HEAD_BYTES]).decode("latin-1")), None)
    return first is not None and first.keyword == "INSERT"


def _check_size(text: bytearray) -> None:
    if len(text) > MAX_STATEMENT_BYTES and not _is_insert(text):
        raise ClickHouseError(Code.QUERY_IS_TOO_LARGE, f"Query is too large: more than {MAX_STATEMENT_BYTES} bytes")
