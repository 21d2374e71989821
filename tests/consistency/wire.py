"""As much of Kafka's protocol as a proxy needs to choose requests of transactions: sizes, headers, transactional ids, error codes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import IntEnum


class Api(IntEnum):
    """Requests of a transaction, by Kafka's number."""

    PRODUCE = 0
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


FETCH = 1
CONCURRENT_TRANSACTIONS = 51
_FLEXIBLE_FROM = {Api.PRODUCE: 9, Api.INIT_PRODUCER_ID: 2}  # of the others, version 3


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was read.

    Attributes
    ----------
    frame
        Its bytes, size included.
    owner
        The transactional id.
    """

    frame: bytes
    api: Api
    version: int
    correlation: int
    owner: str


def key_of(frame: bytes) -> int:
    """Return Kafka's number of a request."""
    return int.from_bytes(frame[4:6], "big")


def read_request(frame: bytes) -> Request | None:
    """Return what a frame asks for, or None where that is no request of a transaction."""
    key = key_of(frame)
    if key not in set(Api):
        return None
    api, version = Api(key), int.from_bytes(frame[6:8], "big")
    at = 14 + max(0, int.from_bytes(frame[12:14], "big", signed=True))
    if version >= _FLEXIBLE_FROM.get(api, 3):
        start, length = at + 2, frame[at + 1] - 1  # an empty list of tags, then a length that fits a byte
    else:
        start, length = at + 2, int.from_bytes(frame[at : at + 2], "big", signed=True)
    return Request(frame, api, version, int.from_bytes(frame[8:12], "big"), frame[start : start + max(0, length)].decode())


def error_of(request: Request, answer: bytes) -> int | None:
    """Return the error code in the answer to a request whose answer begins with it, None for others."""
    if request.api not in (Api.END_TXN, Api.ADD_OFFSETS_TO_TXN):
        return None
    at = 12 if request.version < 3 else 13  # size, correlation, from version 3 a list of tags, throttle time
    return int.from_bytes(answer[at : at + 2], "big", signed=True)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the next message with its size; raises IncompleteReadError at the end."""
    size = await reader.readexactly(4)
    return size + await reader.readexactly(int.from_bytes(size, "big"))
