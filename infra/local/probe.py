"""Whether a server answers, asked in its own protocol and in milliseconds.

A Kafka client library would start threads and log each refused connection while the broker is still starting; one metadata request needs
forty lines.
"""

from __future__ import annotations

import http.client
import socket
import struct

TIMEOUT_S = 5.0
_METADATA_KEY = 3
_METADATA_VERSION = 2  # the first whose answer names the cluster


def http_get(host: str, port: int, path: str) -> bytes | None:
    """Return the body of a 200 answer, or None where there is none (yet). Takes no proxy."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if answer.status == http.client.OK else None


def kafka_cluster(host: str, port: int) -> str | None:
    """Return the cluster id of the broker that answers, once it is registered and serves clients; None before.

    Sends Metadata v2 for no topic (Kafka protocol guide, api key 3): size, key, version, correlation id, client id, empty array.
    The answer: size, correlation id, array of brokers (id, host, port, rack), cluster id, and more that is not read.
    """
    client = b"quantum-probe"
    body = struct.pack(">hhih", _METADATA_KEY, _METADATA_VERSION, 1, len(client)) + client + struct.pack(">i", 0)
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            with connection.makefile("rb") as stream:
                (size,) = struct.unpack(">i", _exactly(stream.read(4), 4))
                answer = _exactly(stream.read(size), size)
    except OSError:
        return None
    return _parse(answer, port)


def _exactly(received: bytes, size: int) -> bytes:
    if len(received) != size:
        raise ConnectionError("the broker closed the connection within its answer")
    return received


def _parse(answer: bytes, port: int) -> str | None:
    correlation, brokers = struct.unpack_from(">ii", answer)
    if correlation != 1:
        return None
    at, serves = 8, False
    for _ in range(brokers):
        at += 4
        _, at = _string(answer, at)
        (broker_port,) = struct.unpack_from(">i", answer, at)
        _, at = _string(answer, at + 4)
        serves = serves or broker_port == port
    cluster, _ = _string(answer, at)
    return cluster if serves else None


def _string(data: bytes, at: int) -> tuple[str | None, int]:
    (length,) = struct.unpack_from(">h", data, at)
    if length < 0:
        return None, at + 2
    return data[at + 2 : at + 2 + length].decode(), at + 2 + length
