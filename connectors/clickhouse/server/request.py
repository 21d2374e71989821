"""A request as ClickHouse's HTTP interface understands it: statement, settings, parameters, data."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import BodyPartReader, MultipartReader, web

from connectors.clickhouse.server.compression import choose
from connectors.clickhouse.server.errors import ClickHouseError, Code

MAX_STATEMENT_BYTES = 16_777_216
_IGNORED = frozenset(
    {"user", "password", "quota_key", "stacktrace", "buffer_size", "client_protocol_version",
        "session_timeout", "session_check", "close_session", "role"}
)  # fmt: skip
_TRUE = frozenset({"1", "true"})


@dataclass(slots=True)
class Call:
    """What a request asks for.

    Attributes
    ----------
    text
        The statement of the URL or form; the body may go on with it.
    database
        Default database.
    default_format
        Format of the answer where the statement names none.
    settings
        Settings of this statement.
    params
        Values of its ``{name:Type}`` parameters.
    query_id
        Its id; made up where the client gives none.
    session_id
        Session that it belongs to; empty for none.
    session_timeout_s
        How long that session lives on without a statement.
    session_must_exist
        Whether it is an error if the session does not exist yet.
    whole
        Whether the answer is sent only when it is complete.
    encoding
        Encoding of the answer; None for a plain one.
    tables
        External tables that came with a form: name to (structure or types, format, data).
    """

    text: bytes = b""
    database: str = "default"
    default_format: str = "TabSeparated"
    settings: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    query_id: str = ""
    session_id: str = ""
    session_timeout_s: float = 60.0
    session_must_exist: bool = False
    whole: bool = False
    encoding: str | None = None
    tables: dict[str, tuple[str, str, bytes]] = field(default_factory=dict)


def credentials(request: web.Request) -> tuple[str, str]:
    """Return user and password, given by headers, Basic authorization or the URL, and by only one of them.

    Raises
    ------
    ClickHouseError
        They are given in two ways, or cannot be read.
    """
    header = request.headers.get("X-ClickHouse-User"), request.headers.get("X-ClickHouse-Key")
    query = request.query.get("user"), request.query.get("password")
    authorization = request.headers.get("Authorization", "")
    ways = {"X-ClickHouse HTTP headers": header != (None, None), "Authorization HTTP header": bool(authorization)}
    ways["authentication via parameters"] = query != (None, None)
    given = [way for way, used in ways.items() if used]
    if len(given) > 1:
        raise ClickHouseError(
            Code.AUTHENTICATION_FAILED, f"Invalid authentication: it is not allowed to use {' and '.join(given)} simultaneously"
        )
    if authorization:
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            raise ClickHouseError(Code.AUTHENTICATION_FAILED, "Invalid authentication: only the Basic scheme is supported")
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise ClickHouseError(Code.AUTHENTICATION_FAILED, "Invalid authentication: the Authorization header cannot be read") from None
        return user or "default", password
    user, password = (first or second or "" for first, second in zip(header, query, strict=True))
    return user or "default", password


async def call_of(request: web.Request) -> Call:
    """Return what the URL, the headers and, for a form, its fields ask for; the body of anything else is left unread."""
    values = dict(request.query)
    tables: dict[str, tuple[str, str, bytes]] = {}
    if request.content_type == "multipart/form-data":
        files = await _form(request, values)
        tables = {name: (_structure(name, values), values.pop(f"{name}_format", "TabSeparated"), data) for name, data in files.items()}
    call = Call(tables=tables)
    call.text = values.pop("query", "").encode("utf-8", "surrogateescape")
    call.database = values.pop("database", "") or request.headers.get("X-ClickHouse-Database", "") or "default"
    call.default_format = values.pop("default_format", "") or request.headers.get("X-ClickHouse-Format", "") or "TabSeparated"
    call.query_id = values.pop("query_id", "") or request.headers.get("X-ClickHouse-Query-Id", "") or str(uuid.uuid4())
    call.session_id = values.pop("session_id", "")
    call.session_timeout_s = _seconds(values.get("session_timeout", "60"))
    call.session_must_exist = values.get("session_check", "") in _TRUE
    call.whole = values.pop("wait_end_of_query", "") in _TRUE or values.get("http_wait_end_of_query", "") in _TRUE
    if values.pop("enable_http_compression", "") in _TRUE:
        call.encoding = choose(request.headers.get("Accept-Encoding", ""))
    for name in ("compress", "decompress"):
        if values.pop(name, "") in _TRUE:
            raise ClickHouseError(
                Code.NOT_IMPLEMENTED,
                f"{name}=1 (ClickHouse's own block compression) is not supported; use Content-Encoding or Accept-Encoding",
            )
    for name, value in values.items():
        if name.startswith("param_"):
            call.params[name.removeprefix("param_")] = value
        elif name not in _IGNORED:
            call.settings[name] = value
    return call


async def _form(request: web.Request, values: dict[str, str]) -> dict[str, bytes]:
    """Read a form: fields go to ``values``, files are returned."""
    files: dict[str, bytes] = {}
    size = 0
    reader: MultipartReader = await request.multipart()
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise ClickHouseError(Code.BAD_ARGUMENTS, "a part of the form has no name")
        data = await part.read(decode=True)
        size += len(data)
        if size > MAX_STATEMENT_BYTES:
            raise ClickHouseError(Code.QUERY_IS_TOO_LARGE, f"the form is larger than {MAX_STATEMENT_BYTES} bytes")
        if part.filename is None:
            values[part.name] = bytes(data).decode("utf-8", "surrogateescape")
        else:
            files[part.name] = bytes(data)
    return files


def _structure(name: str, values: dict[str, str]) -> str:
    """Return the columns of an external table: ``<name>_structure``, or ``<name>_types`` with names _1, _2, ..."""
    structure, types = values.pop(f"{name}_structure", ""), values.pop(f"{name}_types", "")
    if structure:
        return structure
    if types:
        return ", ".join(f"_{index} {kind}" for index, kind in enumerate(types.split(","), start=1))
    raise ClickHouseError(Code.BAD_ARGUMENTS, f"external table {name} has neither {name}_structure nor {name}_types")


def _seconds(text: str) -> float:
    try:
        return min(float(text), 3600.0)
    except ValueError as error:
        raise ClickHouseError(Code.BAD_ARGUMENTS, f"session_timeout is not a number: {text}") from error


def summary(read_rows: int, read_bytes: int, written_rows: int, written_bytes: int, result_rows: int, elapsed_ns: int) -> Mapping[str, str]:
    """Return the fields of ``X-ClickHouse-Summary``; numbers are text, as in ClickHouse."""
    return {
        "read_rows": str(read_rows),
        "read_bytes": str(read_bytes),
        "written_rows": str(written_rows),
        "written_bytes": str(written_bytes),
        "total_rows_to_read": "0",
        "result_rows": str(result_rows),
        "result_bytes": "0",
        "elapsed_ns": str(elapsed_ns),
    }
