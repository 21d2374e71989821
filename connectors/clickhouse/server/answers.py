"""Answers as ClickHouse's HTTP interface gives them: headers, whole bodies and errors."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from aiohttp import web

from connectors.clickhouse.server.compression import encoder
from connectors.clickhouse.server.engine import Done
from connectors.clickhouse.server.errors import ClickHouseError
from connectors.clickhouse.server.request import Call, summary

_CONTENT_TYPES = {
    "csv": "text/csv; charset=UTF-8; header=absent",
    "csvwithnames": "text/csv; charset=UTF-8; header=present",
    "json": "application/json; charset=UTF-8",
    "jsoncompact": "application/json; charset=UTF-8",
    "jsonstrings": "application/json; charset=UTF-8",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "tsv": "text/tab-separated-values; charset=UTF-8",
    "parquet": "application/octet-stream",
    "native": "application/octet-stream",
    "rowbinary": "application/octet-stream",
}


@dataclass(frozen=True, slots=True)
class Answers:
    """Makes answers.

    Attributes
    ----------
    version, timezone
        The engine's.
    """

    version: str
    timezone: str

    def whole(self, call: Call, form: str, done: Done, started: int) -> web.Response:
        """Return the answer of a statement that is done; ``form`` is empty where it has no rows."""
        headers = self.headers(call, form, done, started)
        body = done.body
        if call.encoding and body:
            compress = encoder(call.encoding)
            body = compress.encode(body) + compress.end()
            headers["Content-Encoding"] = call.encoding
        return web.Response(body=body, headers=headers)

    def refusal(self, call: Call, error: ClickHouseError) -> web.Response:
        """Return the answer that says what is wrong."""
        headers = {**self.headers(call, "", Done(), time.perf_counter_ns()), "X-ClickHouse-Exception-Code": str(error.code)}
        headers["Content-Type"] = "text/plain; charset=UTF-8"
        return web.Response(status=error.status, headers=headers, text=error.text(self.version))

    def headers(self, call: Call, form: str, done: Done, started: int) -> dict[str, str]:
        """Return the headers; ``started`` is when the statement began, by ``perf_counter_ns``."""
        elapsed = time.perf_counter_ns() - started
        counts = summary(done.read_rows, done.read_bytes, done.written_rows, done.written_bytes, done.result_rows, elapsed)
        headers = {
            "X-ClickHouse-Server-Display-Name": "quantum-history",
            "X-ClickHouse-Query-Id": call.query_id,
            "X-ClickHouse-Timezone": self.timezone,
            "X-ClickHouse-Summary": json.dumps(counts),
            "Content-Type": _CONTENT_TYPES.get(form.lower(), "text/plain; charset=UTF-8"),
        }
        if form:
            headers["X-ClickHouse-Format"] = form
        return headers

    def broken_off(self, error: ClickHouseError, tag: str) -> bytes:
        """Return the frame that tells of an error after the first rows, the last thing in the body."""
        text = error.text(self.version).encode()
        return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (tag.encode(), text, len(text), tag.encode())
